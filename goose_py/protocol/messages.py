"""Messages, as every provider's protocol is projected onto them.

A message is a tuple of parts. Order of parts is the order in which the model produced them, and is kept: providers that
sign their thinking reject a history in which it moved.
"""

from typing import Any, Literal

import msgspec

StopReason = Literal["end", "tool_calls", "length", "refusal", "content_filter", "pause"]
"""Why a reply ended. `length`: the output limit cut it. `pause`: the provider asks to be called again as is."""

Effort = Literal["off", "minimal", "low", "medium", "high", "max"]


class ModelRef(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers: provider, model, and how hard it thinks. Shown to the user wherever an answer is shown.

    `effort` None means the provider's own default."""

    provider: str
    model: str
    effort: Effort | None = None

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}" + (f" · {self.effort}" if self.effort else "")


class Text(msgspec.Struct, frozen=True, tag="text", tag_field="type"):
    text: str


class Thinking(msgspec.Struct, frozen=True, kw_only=True, tag="thinking", tag_field="type"):
    """A model's reasoning. `signature` is the provider's opaque proof (Anthropic `signature`, OpenAI Responses
    `encrypted_content`); `redacted` thinking has no text. `item_id` is the Responses item id. Valid only for the
    provider, protocol and model that made it: `agent.context` drops foreign ones."""

    text: str = ""
    signature: str | None = None
    redacted: bool = False
    item_id: str | None = None


class Image(msgspec.Struct, frozen=True, kw_only=True, tag="image", tag_field="type"):
    """`data` is base64 without line breaks; `media_type` one of image/png, image/jpeg, image/gif, image/webp."""

    media_type: str
    data: str


class ToolCall(msgspec.Struct, frozen=True, kw_only=True, tag="tool_call", tag_field="type"):
    """What the model asks to run. `id` is unique within a session (adapters replace empty and repeated ones).

    `malformed` carries the raw text when the arguments were not one JSON object; such a call is answered with an error
    and never run. `reads_only` is never the model's to say: it is set where the call was judged to change nothing, and then it
    is carried out where nothing can be changed."""

    id: str
    name: str
    arguments: dict[str, Any] = {}
    malformed: str | None = None
    reads_only: bool = False


class ToolResult(msgspec.Struct, frozen=True, kw_only=True, tag="tool_result", tag_field="type"):
    """`refused_write`: the call was carried out where nothing can be changed, and failed because it wanted to; it may have been
    run again as one that writes. `still_running`: something of it goes on in the background."""

    call_id: str
    content: tuple[Text | Image, ...] = ()
    is_error: bool = False
    refused_write: bool = False
    still_running: bool = False

    def text(self) -> str:
        return "\n".join(part.text for part in self.content if isinstance(part, Text))


class UserMessage(msgspec.Struct, frozen=True, tag="user", tag_field="role"):
    parts: tuple[Text | Image, ...]


class AssistantMessage(msgspec.Struct, frozen=True, kw_only=True, tag="assistant", tag_field="role"):
    parts: tuple[Text | Thinking | ToolCall, ...]
    origin: ModelRef
    stop_reason: StopReason = "end"

    def text(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(part for part in self.parts if isinstance(part, ToolCall))


class ToolMessage(msgspec.Struct, frozen=True, tag="tool", tag_field="role"):
    """The results of one batch of calls, in the order of the calls."""

    results: tuple[ToolResult, ...]


Message = UserMessage | AssistantMessage | ToolMessage


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one request. `input_tokens` are those read at full price: cached ones are counted apart, whatever the
    provider's own convention. `estimated`: the provider sent no usable figures and these are ours (four bytes a token)."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    estimated: bool = False

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            cache_read_tokens=self.cache_read_tokens + other.cache_read_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            estimated=self.estimated or other.estimated,
        )

    @property
    def context_tokens(self) -> int:
        """What the request and its answer occupy of the model's window."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.output_tokens
