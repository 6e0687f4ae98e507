"""Files, environment and flags into one frozen `Settings`. Flags > environment > project > user > defaults."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goose_py.config import layers
from goose_py.config.errors import ConfigError
from goose_py.config.layers import Layer, LayerName
from goose_py.config.settings import RuleEntry, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from goose_py.config.project import Executable, Ignored


class Loaded(msgspec.Struct, frozen=True, kw_only=True):
    """`sources`: the layers that count, weakest first. `ignored`: keys of the project that do not count. `executables`:
    everything that the project wants run; `pending`: those not approved. `found_checks`: what the project's files give away as
    checks where nobody has configured one, with the file that each was found by. `warnings`: for a person."""

    settings: Settings
    sources: tuple[Layer, ...] = ()
    ignored: "tuple[Ignored, ...]" = ()
    executables: "tuple[Executable, ...]" = ()
    pending: "tuple[Executable, ...]" = ()
    found_checks: Mapping[str, str] = {}
    warnings: tuple[str, ...] = ()

    def origins(self) -> dict[str, LayerName]:
        """Which layer set each dotted key that is not at its default."""
        return {layers.join_key(path): layer.name for layer in self.sources for path, _, _ in layers.leaves(layer.values)}


def load(
    *,
    user: Path | None = None,
    project: Path | None = None,
    trusted: bool = False,
    approved: Collection[str] = (),
    env: Mapping[str, str] | None = None,
    flags: Mapping[str, Any] | None = None,
) -> Loaded:
    """Read the sources and resolve them.

    `user` and `project` are files that need not exist. The project's is not opened unless `trusted`; `approved` are hashes
    of its executables (`goose_py.config.project`). `env` is searched for the names that `keys.env_names` gives, `flags`
    are values by dotted key. Raises `ConfigError` for the user's file, environment and flags, with every problem in it; what
    is wrong in the project's file is a warning, because a repository must not be able to stop the program.
    """
    mine = layers.read_file(user, "user") if user is not None else Layer(name="user", where="", values={})
    variables, warnings = layers.environment(env or {})
    given = layers.flags(flags or {})
    theirs, more = _read_project(project, trusted)
    warnings += more
    settings = _resolve((mine, variables, given))
    if not theirs.values:
        return Loaded(settings=settings, sources=(mine, variables, given), warnings=warnings)
    return _with_project(mine, theirs, variables, given, settings, approved, warnings)


def _read_project(path: Path | None, trusted: bool) -> tuple[Layer, tuple[str, ...]]:
    nothing = Layer(name="project", where=str(path or ""), values={})
    if path is None:
        return nothing, ()
    if not trusted:
        return nothing, ((f"{path} is not read: this repository is not trusted yet.",) if path.is_file() else ())
    try:
        return layers.read_file(path, "project"), ()
    except ConfigError as error:
        return nothing, error.problems


def _with_project(
    mine: Layer,
    theirs: Layer,
    variables: Layer,
    given: Layer,
    settings: Settings,
    approved: Collection[str],
    warnings: tuple[str, ...],
) -> Loaded:
    from goose_py.config.diagnose import valid_part
    from goose_py.config.project import admit

    valid, problems = valid_part(theirs)
    admitted = admit(valid, _resolve((mine,)), approved)
    project = Layer(name="project", where=theirs.where, values=admitted.values, text=theirs.text)
    all_layers = (mine, project, variables, given)
    return Loaded(
        settings=_resolve(all_layers) if admitted.values else settings,
        sources=all_layers,
        ignored=admitted.ignored,
        executables=admitted.executables,
        pending=admitted.pending,
        warnings=warnings + problems,
    )


def _resolve(sources: tuple[Layer, ...]) -> Settings:
    merged: dict[str, Any] = {}
    rules: list[RuleEntry] = []
    granted: list[Any] = []
    try:
        for layer in sources:
            own = dict(layer.values)
            rules += _rules(layer, own.pop("rules", ()))
            merge(merged, own)
            granted += _granted(layer)
        if granted:
            merged["sandbox"]["env"] = granted
        if merged.get("mode") in layers.MODE_ALIASES:
            merged["mode"] = layers.MODE_ALIASES[merged["mode"]]
        settings = msgspec.convert({**merged, "rules": rules}, Settings)
    except (msgspec.ValidationError, TypeError) as error:
        raise _errors(sources, str(error)) from None
    if any(extension.missing() for extension in settings.extensions.values()):
        raise _errors(sources, "an extension lacks a field")
    return settings


def _errors(sources: tuple[Layer, ...], otherwise: str) -> ConfigError:
    from goose_py.config.diagnose import problems

    found = tuple(problem for layer in sources for problem in problems(layer))
    return ConfigError(found or (f"The configuration cannot be used: {otherwise}.",))


def _rules(layer: Layer, tables: Any) -> list[RuleEntry]:
    """Rules of all layers count together, in the order of the layers: the strictest of them wins, not the last."""
    if not tables:
        return []
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise TypeError("rules are tables")
    from goose_py.config.locate import line_of

    return [
        RuleEntry(
            fields=table,
            layer="project" if layer.name == "project" else "user",
            file=layer.where,
            line=line_of(layer.text, ("rules", str(index))),
        )
        for index, table in enumerate(tables)
    ]


def _granted(layer: Layer) -> Sequence[Any]:
    """The variables that a layer lets commands have: who names one for a single task takes none of the others back."""
    sandbox = layer.values.get("sandbox")
    names = sandbox.get("env") if isinstance(sandbox, dict) else None
    return names if isinstance(names, list | tuple) else ()


def merge(into: dict[str, Any], values: Mapping[str, Any]) -> None:
    """Tables are merged, anything else is replaced."""
    for name, value in values.items():
        if isinstance(value, dict) and isinstance(into.get(name), dict):
            merge(into[name], value)
        else:
            into[name] = _copy(value)


def _copy(value: Any) -> Any:
    return {name: _copy(item) for name, item in value.items()} if isinstance(value, dict) else value
