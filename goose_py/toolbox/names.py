"""From the tools that a server lists to the tools that the model is offered: names, hidden characters, duplicates.

Everything here is text by a stranger that ends up in the model's prompt and in an approval dialog.
"""

import re
import unicodedata
from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from goose_py.protocol.tools import ToolAnnotations, ToolSpec

MAX_NAME = 64
"""The longest tool name that the model APIs take (`^[a-zA-Z0-9_-]{1,64}$` of Anthropic and OpenAI)."""

_ALLOWED = re.compile(r"[A-Za-z0-9_-]+")
_INVISIBLE = {"Cf", "Co", "Cs", "Cc"}
_TEXT_KEYS = frozenset({"description", "title", "$comment"})


class RemoteTool(msgspec.Struct, frozen=True, kw_only=True):
    """One tool as its server lists it: nothing is cleaned yet."""

    name: str
    description: str = ""
    input_schema: dict[str, Any] = {}
    annotations: ToolAnnotations = ToolAnnotations()


class Origin(msgspec.Struct, frozen=True, kw_only=True):
    """Whose tools they are. `plain_names` offers them without the extension's name."""

    extension: str
    trusted: bool = False
    plain_names: bool = False


def remote_tools(listed: Any) -> tuple[RemoteTool, ...]:
    """The tools of an MCP `tools/list` answer in its JSON form (`inputSchema`, `annotations.readOnlyHint`, …).

    Raises ValueError where it is not a list of tools."""
    if not isinstance(listed, list):
        raise ValueError(f"expected a list, got {type(listed).__name__}")
    return tuple(_remote_tool(item) for item in listed)


def _remote_tool(item: Any) -> RemoteTool:
    if not isinstance(item, dict) or not isinstance(item.get("name"), str):
        raise ValueError("a tool has no name")
    schema = item.get("inputSchema", {})
    if not isinstance(schema, dict):
        raise ValueError(f"the tool {item['name']!r} has no object as its inputSchema")
    return RemoteTool(
        name=item["name"],
        description=item.get("description") or "",
        input_schema=schema,
        annotations=annotations(item.get("annotations")),
    )


def annotations(hints: Any) -> ToolAnnotations:
    """MCP `ToolAnnotations` in JSON form, with MCP's defaults where a hint is absent or no boolean."""
    hints = hints if isinstance(hints, dict) else {}

    def hint(key: str, default: bool) -> bool:
        return hints[key] if isinstance(hints.get(key), bool) else default

    return ToolAnnotations(
        read_only=hint("readOnlyHint", False),
        destructive=hint("destructiveHint", True),
        idempotent=hint("idempotentHint", False),
        open_world=hint("openWorldHint", True),
    )


def admit(
    origin: Origin, tools: Sequence[RemoteTool], taken: Collection[str] = ()
) -> tuple[tuple[ToolSpec, ...], tuple[str, ...]]:
    """The tools that can be offered, sorted by name, and one warning for each that cannot.

    `taken` are the names that others have: whoever came first keeps a name, so that no server can put itself in the
    place of a built-in. Of two tools with one name only the first is kept."""
    specs: dict[str, ToolSpec] = {}
    warnings: list[str] = []
    for tool in tools:
        spec = _spec(origin, tool)
        problem = _problem(tool.name, spec.name, specs, taken)
        if problem:
            warnings.append(f"{origin.extension}: the tool {_quoted(tool.name)} is not offered: {problem}")
            continue
        specs[spec.name] = spec
    return tuple(specs[name] for name in sorted(specs)), tuple(warnings)


def not_there(extension: str, wanted: Collection[str], tools: Sequence[RemoteTool]) -> tuple[str, ...]:
    """A warning for each tool that the user wanted, by its own name, and that is not listed."""
    listed = {tool.name for tool in tools}
    return tuple(
        f"{extension}: available_tools names {_quoted(name)}, which it does not have" for name in wanted if name not in listed
    )


def _problem(remote: str, name: str, specs: Collection[str], taken: Collection[str]) -> str:
    if not remote or not _ALLOWED.fullmatch(_plain(remote)):
        return "its name has characters other than letters, digits, '_', '-' and '.'"
    if "__" in remote:
        return "its name has '__' in it, which parts an extension's name from its tool's"
    if len(name) > MAX_NAME:
        return f"the name {_quoted(name, 40)} has {len(name)} characters, at most {MAX_NAME} are possible"
    if name in specs:
        return "another tool of this extension has the same name"
    if name in taken:
        return f"{name!r} is the name of another extension's tool"
    return ""


def _spec(origin: Origin, tool: RemoteTool) -> ToolSpec:
    plain = _plain(tool.name)
    return ToolSpec(
        name=plain if origin.plain_names else f"{origin.extension}__{plain}",
        description=tool.description if origin.trusted else visible(tool.description),
        input_schema=tool.input_schema if origin.trusted else _visible_schema(tool.input_schema),
        extension=origin.extension,
        remote_name=tool.name,
        annotations=tool.annotations,
        trusted=origin.trusted,
    )


def _plain(name: str) -> str:
    """MCP allows "." and "/" in names, the model APIs do not."""
    return name.replace(".", "_").replace("/", "_")


def visible(text: str) -> str:
    r"""`text` with every control and invisible character but newline and tab written as `\u{…}`: what a person approves
    must be what the model reads."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(c if c in "\n\t" or not _hidden(c) else f"\\u{{{ord(c):04x}}}" for c in text)


def _quoted(name: str, limit: int = 80) -> str:
    shown = visible(name).replace("\n", "\\n").replace("\t", "\\t")
    return f"'{shown}'" if len(shown) <= limit else f"'{shown[:limit]}…'"


def _hidden(character: str) -> bool:
    return unicodedata.category(character) in _INVISIBLE


def _visible_schema(schema: Any, key: str = "") -> Any:
    if isinstance(schema, dict):
        return {k: _visible_schema(v, k) for k, v in schema.items()}
    if isinstance(schema, list):
        return [_visible_schema(item) for item in schema]
    return visible(schema) if isinstance(schema, str) and key in _TEXT_KEYS else schema
