"""How a test asks a model behind the server."""

import time
from collections.abc import Sequence
from typing import Any

from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.messages import Message, ModelRef, Text, ToolCall, ToolMessage, ToolResult, UserMessage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec
from goose_py.providers import OpenModel, ProviderSettings, open_model
from wire.server import WireServer

KEY = "sk-test-0123456789"
PRESETS = {
    "anthropic": ("anthropic", "claude-sonnet-5"),
    "responses": ("openai", "gpt-5.5"),
    "chat": ("openai-compatible", "some-model"),
    "ollama": ("ollama", "llama-test"),
}
ROADS = [(protocol, transport) for protocol in ("anthropic", "responses", "chat") for transport in ("http", "sdk")]
"""Protocol and transport; Ollama has no official client among ours."""
ALL_ROADS = [*ROADS, ("ollama", "http")]

SHELL = ToolSpec(
    name="shell",
    description="Run a command.",
    input_schema={"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]},
)
READ = ToolSpec(
    name="read",
    description="Read a file.",
    input_schema={"type": "object", "properties": {"path": {"type": "string"}}, "required": ["path"]},
)


def connect(server: WireServer, protocol: str, transport: str = "http", **settings: Any) -> OpenModel:
    """A model of this protocol at the server. `settings` are fields of `ProviderSettings`."""
    provider, model = PRESETS[protocol]
    given = {"base_url": server.base_url(protocol), "api_key": KEY, "transport": transport, **settings}
    given["profile"] = {"images": True, "tool_calls": "native", **given.get("profile", {})}
    return open_model(ModelRef(provider=provider, model=model), ProviderSettings(**given), now=time.time)


def asking(text: str = "Fix it.", *, history: Sequence[Message] = (), **fields: Any) -> ModelRequest:
    messages = (*history, UserMessage((Text(text),)))
    return ModelRequest(**{"model": "m", "system": "You are a test.", "messages": messages, "tools": (SHELL, READ), **fields})


def answering(request: ModelRequest, reply: ModelReply, *results: ToolResult, output: str = "ok") -> ModelRequest:
    """The next request of a conversation: the reply, and a result for each of its calls."""
    import msgspec

    given = {result.call_id: result for result in results}
    batch = tuple(given.get(call.id, result_of(call, output)) for call in reply.message.tool_calls())
    added: tuple[Message, ...] = (reply.message, ToolMessage(batch)) if batch else (reply.message,)
    return msgspec.structs.replace(request, messages=(*request.messages, *added))


def result_of(call: ToolCall, text: str) -> ToolResult:
    return ToolResult(call_id=call.id, content=(Text(text),))


async def ask(model: OpenModel, request: ModelRequest) -> tuple[list[ModelDelta], ModelReply]:
    """The deltas and the reply; raises what the model raises."""
    deltas: list[ModelDelta] = []
    reply: ModelReply | None = None
    async for item in model.stream(request):
        assert reply is None, "something came after the reply"
        if isinstance(item, ModelReply):
            reply = item
        else:
            deltas.append(item)
    assert reply is not None, "the stream ended without a reply"
    return deltas, reply


async def ask_once(server: WireServer, protocol: str, transport: str, request: ModelRequest, **settings: Any) -> ModelReply:
    model = connect(server, protocol, transport, **settings)
    try:
        return (await ask(model, request))[1]
    finally:
        await model.close()
