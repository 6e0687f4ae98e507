"""Extensions as configuration and recipes write them, as the toolbox takes them."""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from goose_py.config.settings import ExtensionSettings, Settings
from goose_py.protocol.errors import UserError
from goose_py.tasks.spec import TaskSpec
from goose_py.toolbox.spec import Builtin, ExtensionSpec, Stdio, StreamableHttp

DEFAULT = "developer"
# What Goose runs as parts of its own program: a recipe that asks for them gets ours where there is one, and goes on without
# the others.
GOOSE_PLATFORM = frozenset(
    {"analyze", "apps", "chatrecall", "code_execution", "extensionmanager", "skills", "summarize", "summon", "todo", "tom"}
)


def extensions_of(spec: TaskSpec, settings: Settings) -> tuple[list[ExtensionSpec], list[str]]:
    """Those of the settings, unless a recipe brings its own, and those of the recipe, with warnings. Raises UserError."""
    added, warnings = of_recipe(spec.extensions)
    return [*([] if spec.own_extensions else configured(settings)), *added], warnings


def all_ours(extensions: Iterable[ExtensionSpec]) -> bool:
    """Whether none is a server of somebody else, which may read the workspace as soon as it starts."""
    return all(isinstance(extension, Builtin) for extension in extensions)


def configured(settings: Settings) -> list[ExtensionSpec]:
    """The bundled developer extension, unless it is switched off, and what the user added."""
    found: list[ExtensionSpec] = []
    if DEFAULT not in settings.extensions:
        found.append(Builtin(name=DEFAULT))
    for name, entry in settings.extensions.items():
        if entry.enabled:
            found.append(_of_settings(entry.name or name, entry))
    return found


def of_recipe(entries: Iterable[Mapping[str, Any]]) -> tuple[list[ExtensionSpec], list[str]]:
    """In the order of the recipe, with warnings about those that do not exist here."""
    found: list[ExtensionSpec] = []
    warnings: list[str] = []
    for entry in entries:
        if entry.get("type") in ("builtin", "platform"):
            name = str(entry.get("name", ""))
            if name in GOOSE_PLATFORM:
                warnings.append(
                    f"The extension {name} is part of Goose and has no counterpart here; the recipe runs without it."
                )
                continue
        found.append(_of_mapping(entry))
    return found, warnings


def _of_settings(name: str, entry: ExtensionSettings) -> ExtensionSpec:
    fields = {key: value for key, value in msgspec.structs.asdict(entry).items() if value is not None}
    return _of_mapping({**fields, "name": name})


def _of_mapping(entry: Mapping[str, Any]) -> ExtensionSpec:
    kind = entry.get("type")
    name = str(entry.get("name") or "")
    common: dict[str, Any] = {
        "name": name,
        "description": entry.get("description") or "",
        "available_tools": tuple(entry.get("available_tools") or ()),
    }
    if kind in ("builtin", "platform"):
        return Builtin(**common)
    if entry.get("timeout"):
        common["timeout"] = float(entry["timeout"])
    env = {**(entry.get("envs") or {}), **(entry.get("env") or {})}
    if kind == "stdio":
        return Stdio(
            **common,
            cmd=str(entry["cmd"]),
            args=tuple(entry.get("args") or ()),
            env=dict(env),
            env_keys=tuple(entry.get("env_keys") or ()),
            cwd=entry.get("cwd"),
        )
    if kind == "streamable_http":
        return StreamableHttp(
            **common,
            uri=str(entry["uri"]),
            headers=dict(entry.get("headers") or {}),
            env=dict(env),
            env_keys=tuple(entry.get("env_keys") or ()),
        )
    raise UserError(f"The extension {name!r} is of type {kind!r}: builtin, stdio and streamable_http are known.")
