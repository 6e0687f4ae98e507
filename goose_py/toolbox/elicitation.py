"""Questions that a server puts to the user in the middle of a call (MCP elicitation)."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

import msgspec


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`schema` describes the form to fill in: an object of strings, numbers, booleans and choices. `url` is given instead
    where the user is to visit a page. All of it is text by the server."""

    extension: str
    message: str
    schema: dict[str, Any] | None = None
    url: str | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    action: Literal["accept", "decline", "cancel"]
    content: dict[str, Any] = {}


Ask = Callable[[Question], Awaitable[Answer]]


def with_defaults(content: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """What was filled in, with the schema's defaults for what was not (SEP-1034 asks it of the client)."""
    properties = schema.get("properties")
    defaults = {
        name: wanted["default"]
        for name, wanted in (properties.items() if isinstance(properties, dict) else ())
        if isinstance(wanted, dict) and "default" in wanted
    }
    return {**defaults, **content}
