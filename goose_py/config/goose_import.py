"""Goose's `config.yaml` into ours. Source of its fields: Goose 1.52, `crates/goose/src/config` and its documentation."""

from collections.abc import Mapping
from typing import Any

from goose_py.config.errors import ConfigError
from goose_py.config.layers import MODE_ALIASES, Layer, put

_OF_GOOSE = {
    "autovisualiser", "computercontroller", "tutorial", "analyze", "todo", "apps", "chatrecall", "extensionmanager",
    "summon", "skills", "code_execution", "summarize", "tom", "scheduler", "orchestrator",
}  # fmt: skip
_EFFORTS = {"off": "off", "low": "low", "medium": "medium", "high": "high", "max": "max"}
_KEPT_IN_ENTRY = ("description", "enabled", "cmd", "args", "env_keys", "cwd", "uri", "headers", "timeout", "available_tools")
_HANDLED = {
    "active_provider", "providers", "GOOSE_PROVIDER", "GOOSE_MODEL", "GOOSE_MODE", "GOOSE_MAX_TURNS", "extensions",
    "GOOSE_THINKING_EFFORT", "CONTEXT_FILE_NAMES",
}  # fmt: skip


def from_goose(text: str) -> tuple[str, tuple[str, ...]]:
    """TOML for our `config.toml` from the text of Goose's `config.yaml`, and a sentence for each thing that was left out or
    changed. Values of secrets are never taken over: Goose ignores API keys in this file, and so do we. Raises `ConfigError`
    where the text is not a YAML table."""
    import tomlkit

    from goose_py.config.diagnose import valid_part

    source = _load(text)
    notes: list[str] = []
    values: dict[str, Any] = {}
    for path, value in _settings(source, notes):
        put(values, path, value)
    if extensions := _extensions(source.get("extensions"), notes):
        values["extensions"] = extensions
    notes += [f"{name}: not taken over; goose-py has no such setting." for name in source if name not in _HANDLED]
    valid, problems = valid_part(Layer(name="user", where="config.yaml", values=values))
    notes += [f"{problem} Left out." for problem in problems]
    return "# Taken over from Goose's config.yaml.\n" + tomlkit.dumps(valid.values), tuple(notes)


def _load(text: str) -> dict[str, Any]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError, ValueError) as error:
        line = getattr(getattr(error, "problem_mark", None), "line", None)
        where = f"config.yaml:{line + 1}" if line is not None else "config.yaml"
        raise ConfigError((f"{where}: not valid YAML: {getattr(error, 'problem', None) or 'nested too deeply'}.",)) from None
    if not isinstance(value, dict):
        raise ConfigError(("config.yaml: not a table of settings; is this Goose's config.yaml?",))
    return value


def _settings(source: Mapping[str, Any], notes: list[str]) -> list[tuple[tuple[str, ...], Any]]:
    found: list[tuple[tuple[str, ...], Any]] = []
    provider = source.get("active_provider") or source.get("GOOSE_PROVIDER")
    entry = (source.get("providers") or {}).get(provider) if isinstance(source.get("providers"), dict) else None
    model = (entry or {}).get("model") if isinstance(entry, dict) else None
    model = model or source.get("GOOSE_MODEL")
    if isinstance(provider, str):
        found.append((("provider",), provider))
    if isinstance(model, str):
        found.append((("model",), model))
    effort = source.get("GOOSE_THINKING_EFFORT")
    if isinstance(effort, str) and effort.lower() in _EFFORTS:
        found.append((("effort",), _EFFORTS[effort.lower()]))
    mode = source.get("GOOSE_MODE")
    if isinstance(mode, str):
        ours = MODE_ALIASES.get(mode.lower(), mode.lower())
        found.append((("mode",), ours if ours in ("ask", "auto", "chat") else "ask"))
        if ours != mode:
            notes.append(f'GOOSE_MODE: "{mode}" is called "{found[-1][1]}" here.')
    turns = source.get("GOOSE_MAX_TURNS")
    if isinstance(turns, int) and not isinstance(turns, bool) and turns > 0:
        found.append((("limits", "max_turns"), turns))
    names = source.get("CONTEXT_FILE_NAMES")
    if isinstance(names, list) and names and all(isinstance(name, str) and name and "/" not in name for name in names):
        found.append((("context_files",), names))
    return found


def _extensions(entries: Any, notes: list[str]) -> dict[str, Any]:
    tables: dict[str, Any] = {}
    for name, entry in entries.items() if isinstance(entries, dict) else ():
        if not isinstance(entry, dict):
            notes.append(f"extensions.{name}: not a table; left out.")
            continue
        kind = entry.get("type")
        if kind == "platform" and name == "developer":
            kind = "builtin"
        if kind in ("platform", "builtin") and name in _OF_GOOSE:
            notes.append(f"extensions.{name}: part of Goose itself; left out.")
        elif kind not in ("builtin", "stdio", "streamable_http"):
            notes.append(f"extensions.{name}: type {kind} is not known here; left out.")
        elif (needed := {"stdio": "cmd", "streamable_http": "uri"}.get(kind)) and not entry.get(needed):
            notes.append(f"extensions.{name}: has no {needed}; left out.")
        else:
            tables[str(name)] = _entry(str(name), kind, entry, notes)
    return tables


def _entry(name: str, kind: str, entry: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    table: dict[str, Any] = {"type": kind}
    if isinstance(entry.get("name"), str) and entry["name"] != name:
        table["name"] = entry["name"]
    for field in _KEPT_IN_ENTRY:
        value = entry.get(field)
        if value is not None and value not in ("", [], {}):
            table[field] = value
    variables = entry.get("envs") or entry.get("env") or {}
    if isinstance(variables, dict) and variables:
        table["env"] = {str(key): str(value) for key, value in variables.items()}
    for field in ("socket", "client_id", "client_secret_key", "scopes"):
        if entry.get(field):
            notes.append(f"extensions.{name}.{field}: not taken over; goose-py has no such setting.")
    return table
