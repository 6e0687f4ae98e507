"""What exactly is wrong with a layer: imported only once something is."""

from typing import Any

import msgspec

from goose_py.config import keys
from goose_py.config.layers import MODE_ALIASES, Layer, join_key, leaves, put, sentence, suggest
from goose_py.config.locate import line_of
from goose_py.config.settings import REQUIRED_FIELD


def problems(layer: Layer) -> tuple[str, ...]:
    """One line for each key that is unknown or has a value that it cannot have: where, what, and what was meant."""
    found = []
    for path, value, node in leaves(layer.values):
        reason = _wrong(path, value, node)
        if reason:
            found.append(f"{_place(layer, path)}: {reason}")
    found += [
        f"{_place(layer, ('extensions', name))}: {join_key(('extensions', name))} needs {needed}."
        for name, needed in _incomplete(layer).items()
    ]
    return tuple(found)


def valid_part(layer: Layer) -> tuple[Layer, tuple[str, ...]]:
    """A layer without the keys that are wrong, and what is wrong with those."""
    kept = Layer(name=layer.name, where=layer.where, values={}, text=layer.text)
    incomplete = _incomplete(layer)
    for path, value, node in leaves(layer.values):
        if not _wrong(path, value, node) and not (path[0] == "extensions" and path[1] in incomplete):
            put(kept.values, path, value)
    return kept, problems(layer)


def _incomplete(layer: Layer) -> dict[str, str]:
    """The extensions of a file that cannot be started as they stand, and the field that each needs."""
    tables = layer.values.get("extensions")
    if layer.name not in ("user", "project") or not isinstance(tables, dict):
        return {}
    found = {name: _needed(table) for name, table in tables.items() if isinstance(table, dict)}
    return {name: needed for name, needed in found.items() if needed}


def _needed(table: dict[str, Any]) -> str:
    kind = table.get("type")
    if kind is None:
        return f"`type`: {keys.table()['extensions.*.type'].type.replace(' | ', ', ')}"
    field = REQUIRED_FIELD.get(kind) if isinstance(kind, str) else None
    return f"`{field}`, because its type is {kind}" if field and field not in table else ""


def _place(layer: Layer, path: tuple[str, ...]) -> str:
    if layer.text:
        return f"{layer.where}:{line_of(layer.text, path)}"
    if layer.name == "environment":
        return keys.ENV_PREFIX + "_".join(path).upper()
    return layer.where


def _wrong(path: tuple[str, ...], value: object, node: "keys.Key | keys.Tree | None") -> str:
    name = join_key(path)
    if node is None:
        return sentence(f"unknown key `{name}`{_near(path)}")
    if isinstance(node, dict):
        return f"`{name}` is a table of settings, not {_say(value)}; its keys are {', '.join(sorted(node))}."
    if node.name == "mode" and value in MODE_ALIASES:
        return ""
    if node.name == "rules":
        fits = isinstance(value, list) and all(isinstance(rule, dict) for rule in value)
        return "" if fits else f"`rules` is a list of tables, each written [[rules]], not {_say(value)}."
    try:
        msgspec.convert(value, node.annotation)
    except msgspec.ValidationError as error:
        return sentence(f"`{name}` must be {_wanted(node, value, error)}{_near_choice(node, value)}")
    return ""


def _wanted(key: keys.Key, value: object, error: msgspec.ValidationError) -> str:
    """What the value should be, and what it is. msgspec says where inside a table or list it is wrong."""
    detail = str(error)
    if isinstance(value, list) and "matching regex" in detail:
        return "a list of plain file names, without a slash"
    if isinstance(value, dict | list) and key.type.startswith(("table", "list")) and "but got" not in detail:
        inside, _, where = detail.partition(" - at ")
        return f"a {key.type}: {inside[:1].lower()}{inside[1:]}{f' at {where}' if where else ''}".replace("`$", "`")
    return f"{_kind(key, detail)}, not {_say(value)}"


def _kind(key: keys.Key, detail: str) -> str:
    if "matching regex" in detail and key.name.endswith("base_url"):
        return "an address that begins with http:// or https://, or an absolute path"
    if "matching regex" in detail:
        return "a plain file name without a slash"
    if "length" in detail:
        return "text that is not empty"
    if key.type == "true | false":
        return "true or false"
    bound = detail.partition(" >")
    at_least = f" >{bound[2]}" if bound[1] else ""
    if key.type.endswith("number | none"):
        return f"a {key.type.removesuffix(' | none')}{at_least}, or none"
    if " | " in key.type and not key.type.startswith(("list", "table")):
        return f"one of {key.type.replace(' | ', ', ')}"
    return f"{'' if key.type == 'text' else 'a '}{key.type}{at_least}"


def _say(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value if len(value) <= 60 else value[:57] + "..."}"'
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "a list"
    return str(value)


def _near(path: tuple[str, ...]) -> str:
    """The nearest known name: among the keys that may stand beside it, else among all keys."""
    siblings = keys.find(path[:-1])
    if isinstance(siblings, dict):
        near = suggest(path[-1], [name for name in siblings if name != "*"])
        if near:
            return near
    by_last = {key.name.rpartition(".")[2]: key.name for key in keys.table().values()}
    return f"; did you mean {by_last[path[-1]]}?" if path[-1] in by_last else suggest(join_key(path), keys.table())


def _near_choice(key: keys.Key, value: object) -> str:
    return suggest(value, key.type.split(" | ")) if isinstance(value, str) and " | " in key.type else ""
