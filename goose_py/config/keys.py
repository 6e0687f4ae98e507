"""The table of keys, derived from `Settings`: what `goose-py config list` shows, what the environment may set, and the
names that a misspelt key is compared with."""

from collections.abc import Iterator, Mapping
from functools import cache
from types import UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from goose_py.config.settings import Scope, Section, Settings

ENV_PREFIX = "GOOSE_PY_"
OTHER_VARIABLES = ("GOOSE_PY_HOME", "GOOSE_PY_DISABLE_KEYRING")
"""Variables of ours that are no settings."""


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """One key. `name` is dotted, with `*` for a name that the user chooses; `annotation` is what `msgspec.convert` checks a
    value against; `type` is the same in words. `env` is None for keys below a user's own names: those are set in files."""

    name: str
    type: str
    annotation: Any
    default: Any
    doc: str
    scope: Scope
    env: str | None


@cache
def table() -> dict[str, Key]:
    """All keys by name, in the order in which they are declared."""
    return {key.name: key for key in _keys(Settings, "")}


@cache
def env_names() -> dict[str, Key]:
    return {key.env: key for key in table().values() if key.env is not None}


Tree = dict[str, "Key | Tree"]
"""Keys by the parts of their names; `*` stands for a name that the user chooses."""


@cache
def tree() -> Tree:
    root: Tree = {}
    for key in table().values():
        node = root
        *sections, last = key.name.split(".")
        for part in sections:
            node = node.setdefault(part, {})  # type: ignore[assignment]
        node[last] = key
    return root


def find(path: tuple[str, ...]) -> "Key | Tree | None":
    """What a path names: a key, a section, or nothing."""
    node: Key | Tree | None = tree()
    for part in path:
        if not isinstance(node, dict):
            return None
        node = node.get(part, node.get("*"))
    return node


def _keys(section: type[Section], prefix: str) -> Iterator[Key]:
    for field in msgspec.structs.fields(section):
        name = prefix + field.name
        annotation, doc, scope = _unwrap(field.type)
        below = _section_below(annotation)
        if below is not None:
            yield from _keys(below[0], f"{name}.{below[1]}")
        else:
            yield Key(
                name=name,
                type=describe(annotation),
                annotation=field.type,
                default=_default(field),
                doc=doc,
                scope=scope,
                env=None if "*" in name or name == "rules" else ENV_PREFIX + name.upper().replace(".", "_"),
            )


def _default(field: msgspec.structs.FieldInfo) -> Any:
    if field.default_factory is not msgspec.NODEFAULT:
        return field.default_factory()
    return None if field.required else field.default


def _unwrap(annotation: Any) -> tuple[Any, str, Scope]:
    """The type, documentation and scope of a field. A field without scope stands below one that has it (`Price`)."""
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        for mark in marks:
            if mark.extra and "scope" in mark.extra:
                return inner, mark.description or "", mark.extra["scope"]
    return annotation, "", "user"


def _section_below(annotation: Any) -> tuple[type[Section], str] | None:
    """The section that a key opens, and the prefix of its names: a table of ours, or a table for each name."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return annotation, ""
    arguments = get_args(annotation)
    if len(arguments) == 2 and isinstance(arguments[1], type) and issubclass(arguments[1], Section):
        return arguments[1], "*."
    return None


def describe(annotation: Any) -> str:
    """A type in the words of a person who writes TOML."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return describe(get_args(annotation)[0])
    if origin is Literal:
        return " | ".join(str(choice) for choice in get_args(annotation))
    if origin is tuple:
        element = describe(get_args(annotation)[0])
        return f"list of {'tables' if element.startswith('table') else element}"
    if origin is Mapping:
        return f"table of {describe(get_args(annotation)[1])}"
    if origin in (Union, UnionType):
        return " | ".join(describe(choice) for choice in get_args(annotation) if choice is not type(None))
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return f"table with {', '.join(annotation.__struct_fields__)}"
    return {str: "text", int: "whole number", float: "number", bool: "true | false"}.get(annotation, "any value")
