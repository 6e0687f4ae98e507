"""What passes through the Model port: one request in, deltas and one reply out."""

import msgspec

from goose_py.protocol.messages import AssistantMessage, Effort, Message, Usage
from goose_py.protocol.tools import ToolSpec


class ModelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """`system` and `tools` are the stable prefix: an adapter writes them byte for byte the same each time and puts a
    prompt-cache breakpoint behind them and behind the last message. `cache_key` names the conversation for providers
    that route by it."""

    model: str
    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    effort: Effort | None = None
    temperature: float | None = None
    max_output_tokens: int | None = None
    cache_key: str = ""


class ModelReply(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a stream: a message that was received completely. A stream that was cut raises instead."""

    message: AssistantMessage
    usage: Usage
