"""Ephemeral deltas: they travel on the bus and the socket, may be dropped, and are never logged."""

import msgspec


class TextDelta(msgspec.Struct, frozen=True, tag="text_delta", tag_field="type"):
    text: str


class ThinkingDelta(msgspec.Struct, frozen=True, tag="thinking_delta", tag_field="type"):
    text: str


class ToolCallDelta(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call_delta", tag_field="type"):
    """The model has begun to write a call: `name` is known, `size` characters of its arguments have arrived."""

    name: str
    size: int = 0


class ToolOutput(msgspec.Struct, frozen=True, kw_only=True, tag="tool_output", tag_field="type"):
    """Text that a running tool has printed so far, in pieces."""

    call_id: str
    text: str


class Notice(msgspec.Struct, frozen=True, tag="notice", tag_field="type"):
    """What a person must be told although it cannot be logged: that the log itself cannot be written."""

    text: str


Delta = TextDelta | ThinkingDelta | ToolCallDelta | ToolOutput | Notice
ModelDelta = TextDelta | ThinkingDelta | ToolCallDelta
