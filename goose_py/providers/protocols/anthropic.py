"""Anthropic Messages: three pure mappings between our values and the dicts of `POST /v1/messages`.

Source: the API reference of the official SDK, version 2.12 (`anthropic.types`), API version 2026-10-21, and what the older
2023-06-01 of compatible servers differs in.
"""

from collections.abc import Iterable
from typing import Any

from goose_py.protocol.deltas import ModelDelta, TextDelta, ThinkingDelta, ToolCallDelta
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
    Usage,
    UserMessage,
)
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers.profile import Profile, effort_value
from goose_py.providers.protocols import assembly

FRAMING = "sse"
PATH = "/v1/messages"
HEADERS = {"anthropic-version": "2026-10-21"}
_CACHE = {"type": "ephemeral"}
_SMALLEST_BUDGET = 1_024

_STOPS: dict[str, StopReason] = {
    "end_turn": "end",
    "stop_sequence": "end",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "refusal": "refusal",
    "pause_turn": "pause",
}


def to_request(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    """The JSON body. Its keys stand in the order of what is stable: everything that differs between two turns of a
    conversation is appended at its end, apart from the cache markers, which move and which the server does not hash.

    Cache markers (at most four): behind the tools, behind the system prompt, behind the last message and the one before
    it, where the previous request had put its own."""
    body: dict[str, Any] = {
        "model": profile.wire_model,
        "max_tokens": assembly.output_limit(request, profile),
        "stream": True,
        **_thinking(request, profile),
        **profile.extra_body,
    }
    body |= assembly.temperature(request, profile)
    mark = profile.cache == "blocks"
    if request.tools:
        body["tools"] = assembly.described(request.tools, profile, schema="input_schema")
        if mark:
            body["tools"][-1]["cache_control"] = _CACHE
    if request.system:
        body["system"] = [{"type": "text", "text": request.system} | ({"cache_control": _CACHE} if mark else {})]
    body["messages"] = messages = _messages(request, profile)
    if mark:
        _mark_last(messages)
    return body


def _thinking(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    value = effort_value(profile, request.effort)
    if value is None or profile.thinking not in ("adaptive", "budget"):
        return {}
    if request.effort == "off":
        return {"thinking": {"type": "disabled"}}
    if profile.thinking == "adaptive":
        thinking = {"type": "adaptive", "display": "summarized"}
        return {"thinking": thinking, "output_config": {"effort": value}}
    budget = min(int(value), assembly.output_limit(request, profile) - _SMALLEST_BUDGET)
    if budget < _SMALLEST_BUDGET:
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget}}


def _messages(request: ModelRequest, profile: Profile) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            role, blocks = "assistant", _assistant_blocks(message)
        elif isinstance(message, UserMessage):
            role, blocks = "user", _content(message.parts, profile)
        else:
            role, blocks = "user", [_result(result, profile) for result in message.results]
        if not blocks:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += blocks
        else:
            messages.append({"role": role, "content": blocks})
    return messages or [{"role": "user", "content": [{"type": "text", "text": assembly.NO_TEXT}]}]


def _assistant_blocks(message: AssistantMessage) -> list[dict[str, Any]]:
    """The API refuses empty text, unsigned thinking, and a message that ends in thinking."""
    blocks: list[dict[str, Any]] = []
    for part in message.parts:
        if isinstance(part, Text):
            if part.text.strip():
                blocks.append({"type": "text", "text": part.text})
        elif isinstance(part, ToolCall):
            blocks.append(
                {
                    "type": "tool_use",
                    "id": assembly.legal_id(part.id, "anthropic"),
                    "name": part.name,
                    "input": part.arguments,
                }
            )
        elif part.signature and part.redacted:
            blocks.append({"type": "redacted_thinking", "data": part.signature})
        elif part.signature:
            blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
    while blocks and blocks[-1]["type"] in ("thinking", "redacted_thinking"):
        blocks.pop()
    if blocks and blocks[-1]["type"] == "text":
        blocks[-1]["text"] = blocks[-1]["text"].rstrip()
    return blocks


def _content(parts: Iterable[Text | Image], profile: Profile) -> list[dict[str, Any]]:
    blocks: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            if part.text.strip():
                blocks.append({"type": "text", "text": part.text})
        elif profile.images:
            source = {"type": "base64", "media_type": part.media_type, "data": part.data}
            blocks.append({"type": "image", "source": source})
        else:
            blocks.append({"type": "text", "text": assembly.NO_IMAGES})
    return blocks


def _result(result: ToolResult, profile: Profile) -> dict[str, Any]:
    block: dict[str, Any] = {
        "type": "tool_result",
        "tool_use_id": assembly.legal_id(result.call_id, "anthropic"),
        "content": _content(result.content, profile) or [{"type": "text", "text": assembly.NO_OUTPUT}],
    }
    if result.is_error:
        block["is_error"] = True
    return block


def _mark_last(messages: list[dict[str, Any]]) -> None:
    users = [message for message in messages if message["role"] == "user"]
    for message in users[-2:]:
        message["content"][-1] = message["content"][-1] | {"cache_control": _CACHE}


class Reader(assembly.Reader):
    def __init__(self, request: ModelRequest, profile: Profile) -> None:
        super().__init__(request, profile)
        self._blocks: dict[int, dict[str, Any]] = {}
        self._usage: dict[str, Any] = {}
        self._stop = ""

    @property
    def ended(self) -> bool:
        return bool(self._stop)

    def feed(self, event: dict[str, Any]) -> list[ModelDelta]:
        kind = event.get("type")
        if kind == "content_block_delta":
            return self._delta(event)
        if kind == "content_block_start":
            return self._start(event)
        if kind == "content_block_stop":
            if block := self._blocks.get(event.get("index", 0)):
                block["complete"] = True
        elif kind == "message_start":
            self._usage.update(_given((event.get("message") or {}).get("usage")))
        elif kind == "message_delta":
            self._usage.update(_given(event.get("usage")))
            self._stop = (event.get("delta") or {}).get("stop_reason") or self._stop
        elif kind == "message_stop":
            self.done = True
        elif kind == "error":
            raise self._failed(event)
        return []

    def finish(self) -> ModelReply:
        if not self._stop:
            raise self._interrupted("no stop reason was received")
        stop = _STOPS.get(self._stop, "end")
        blocks = [block for _, block in sorted(self._blocks.items())]
        if stop != "length" and any(block["type"] == "tool_use" and not block["complete"] for block in blocks):
            raise self._interrupted("a tool call was left unfinished")
        parts = [part for block in blocks if (part := self._part(block)) is not None]
        return self._reply(parts, stop, _usage(self._usage))

    def _start(self, event: dict[str, Any]) -> list[ModelDelta]:
        block = dict(event.get("content_block") or {})
        kind = block.get("type", "")
        self._blocks[event.get("index", 0)] = state = {"type": kind, "block": block, "pieces": [], "complete": False}
        if kind == "tool_use":
            if block.get("input"):  # some compatible servers send the arguments here, whole
                state["input"] = block["input"]
            return [ToolCallDelta(name=str(block.get("name", "")))]
        if kind == "text" and block.get("text"):
            return self._add(state, block["text"], TextDelta(block["text"]))
        if kind == "thinking" and block.get("thinking"):
            return self._add(state, block["thinking"], ThinkingDelta(block["thinking"]))
        return []

    def _delta(self, event: dict[str, Any]) -> list[ModelDelta]:
        delta = event.get("delta") or {}
        state = self._blocks.get(event.get("index", 0))
        if state is None:
            raise self._interrupted("it continued a block that it had not begun")
        kind = delta.get("type")
        if kind == "text_delta":
            return self._add(state, delta["text"], TextDelta(delta["text"]))
        if kind == "thinking_delta":
            return self._add(state, delta["thinking"], ThinkingDelta(delta["thinking"]))
        if kind == "signature_delta":
            state["block"]["signature"] = (state["block"].get("signature") or "") + delta["signature"]
        elif kind == "input_json_delta":
            state["length"] = state.get("length", 0) + len(delta["partial_json"])
            named = ToolCallDelta(name=str(state["block"].get("name", "")), size=state["length"])
            return self._add(state, delta["partial_json"], named)
        return []

    def _add(self, state: dict[str, Any], piece: str, delta: ModelDelta) -> list[ModelDelta]:
        state["pieces"].append(piece)
        self._size += len(piece)
        return [delta]

    def _part(self, state: dict[str, Any]) -> assembly.Part | None:
        text, block = "".join(state["pieces"]), state["block"]
        if state["type"] == "text":
            return Text(text)
        if state["type"] == "thinking":
            return Thinking(text=text, signature=block.get("signature") or None)
        if state["type"] == "redacted_thinking":
            return Thinking(signature=block.get("data") or None, redacted=True)
        if state["type"] != "tool_use":
            return None
        arguments, malformed = assembly.parse_arguments(text)
        if not text and isinstance(state.get("input"), dict):
            arguments = state["input"]
        call_id = self._ids.take(block.get("id"))
        return ToolCall(id=call_id, name=str(block.get("name", "")), arguments=arguments, malformed=malformed)


def _given(usage: Any) -> dict[str, Any]:
    """`message_delta` repeats some of the counts and leaves others out or null; what is not said stays as it was."""
    return {key: value for key, value in usage.items() if value is not None} if isinstance(usage, dict) else {}


def _usage(reported: dict[str, Any]) -> Usage | None:
    """Anthropic counts cached tokens apart from `input_tokens`, as we do."""
    counts = [reported.get(key, 0) for key in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")]
    if not all(isinstance(count, int) and not isinstance(count, bool) and count >= 0 for count in counts):
        return None
    return assembly.checked_usage(
        total_input=sum(counts), cached=counts[1], written=counts[2], output=reported.get("output_tokens")
    )
