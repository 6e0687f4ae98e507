"""OpenAI Chat Completions, and every server that speaks it: three pure mappings on the dicts of `POST /chat/completions`.

Source: the API reference of the official SDK, version 3.54 (`openai.types.chat`), and the servers' own documents for what
they add: `reasoning_content` (DeepSeek, Moonshot, vLLM), `reasoning` and `reasoning_details` (OpenRouter, Groq),
`extra_content.google.thought_signature` (Gemini). Which of these a server wants is data in the profile.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

from goose_py.protocol.deltas import ModelDelta, TextDelta, ThinkingDelta, ToolCallDelta
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    Message,
    StopReason,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    Usage,
)
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers.profile import Profile, effort_value
from goose_py.providers.protocols import assembly

FRAMING = "sse"
PATH = "/chat/completions"
HEADERS: dict[str, str] = {}

_STOPS: dict[str, StopReason] = {
    "stop": "end",
    "eos": "end",  # Together
    "end_turn": "end",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "length": "length",
    "max_tokens": "length",
    "model_length": "length",  # Mistral
    "content_filter": "content_filter",
    "sensitive": "content_filter",  # Zhipu
    "refusal": "refusal",
}
_BROKEN = frozenset({"error", "network_error", "insufficient_system_resource", "abort"})
"""Finish reasons that say the answer is not whole (OpenRouter, Zhipu, DeepSeek, vLLM)."""


def to_request(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    """The JSON body, messages last, so that a later turn only appends."""
    body: dict[str, Any] = {"model": profile.wire_model, "stream": True}
    if profile.stream_usage:
        body["stream_options"] = {"include_usage": True}
    body[profile.max_tokens_field] = assembly.output_limit(request, profile)
    body |= assembly.temperature(request, profile)
    body.update(_effort(request, profile))
    if profile.cache == "key" and request.cache_key:
        body["prompt_cache_key"] = request.cache_key
    body.update(profile.extra_body)
    if request.tools:
        body["tools"] = tools(request, profile)
        if profile.parallel_tool_calls:
            body["parallel_tool_calls"] = True
    body["messages"] = _messages(request, profile)
    return body


def _effort(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    value = effort_value(profile, request.effort)
    if isinstance(value, dict):
        return value
    if value is None or profile.thinking == "none":
        return {}
    return {"chat_template_kwargs": {"enable_thinking": value}} if profile.thinking == "switch" else {"reasoning_effort": value}


def tools(request: ModelRequest, profile: Profile) -> list[dict[str, Any]]:
    described = assembly.described(request.tools, profile, schema="parameters")
    return [{"type": "function", "function": tool} for tool in described]


def _messages(request: ModelRequest, profile: Profile) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = []
    if request.system:
        messages.append({"role": profile.system_role, "content": _cached_text(request.system, profile)})
    for message in assembly.merged_users(request.messages):
        for entry in _entries(message, profile):
            after_tool = bool(messages) and messages[-1]["role"] == "tool" and entry["role"] == "user"
            if after_tool and profile.bridge_after_tools:
                messages.append({"role": "assistant", "content": "I have read the results."})
            if messages and messages[-1]["role"] == entry["role"] == "user":
                messages[-1]["content"] = _joined(messages[-1]["content"], entry["content"])
            else:
                messages.append(entry)
    if profile.cache == "blocks":
        _mark_last(messages)
    return messages


def _entries(message: Message, profile: Profile) -> Iterable[dict[str, Any]]:
    if isinstance(message, AssistantMessage):
        entry = _assistant(message, profile)
        return [entry] if entry else []
    if isinstance(message, ToolMessage):
        return _results(message, profile)
    return [{"role": "user", "content": _content(message.parts, profile)}]


def _assistant(message: AssistantMessage, profile: Profile) -> dict[str, Any] | None:
    calls: list[dict[str, Any]] = []
    signature: str | None = None
    for part in message.parts:
        if isinstance(part, Thinking) and part.redacted:
            signature = part.signature
        if isinstance(part, ToolCall):
            calls.append(_call(part, profile, signature))
            signature = None
    text = message.text()
    if not text.strip() and not calls:
        return None
    entry: dict[str, Any] = {"role": "assistant", "content": text or (None if calls else "")}
    if calls:
        entry["tool_calls"] = calls
    if profile.reasoning_echo:
        entry.update(_reasoning(message, profile))
    return entry


def _call(call: ToolCall, profile: Profile, signature: str | None) -> dict[str, Any]:
    arguments = msgspec.json.encode(call.arguments).decode()
    entry: dict[str, Any] = {
        "id": assembly.legal_id(call.id, profile.tool_ids),
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }
    if profile.thought_signatures and signature:
        entry["extra_content"] = {"google": {"thought_signature": signature}}
    return entry


def _reasoning(message: AssistantMessage, profile: Profile) -> dict[str, Any]:
    thoughts = [part for part in message.parts if isinstance(part, Thinking) and not part.redacted]
    if profile.reasoning_echo == "reasoning_details":
        signed = [part.signature for part in thoughts if part.signature]
        return {"reasoning_details": [entry for text in signed for entry in _details(text)]} if signed else {}
    text = "".join(part.text for part in thoughts)
    return {profile.reasoning_echo: text} if text or message.tool_calls() else {}


def _details(encoded: str) -> list[Any]:
    try:
        value = msgspec.json.decode(encoded)
    except (msgspec.DecodeError, RecursionError):
        return []
    return value if isinstance(value, list) else []


def _results(message: ToolMessage, profile: Profile) -> list[dict[str, Any]]:
    """Results are text here; their pictures follow in a user message of their own."""
    entries: list[dict[str, Any]] = []
    pictures: list[Text | Image] = []
    for result in message.results:
        images = [part for part in result.content if isinstance(part, Image)]
        call_id = assembly.legal_id(result.call_id, profile.tool_ids)
        text = assembly.user_text(result)
        if images and not profile.images:
            text = f"{result.text()}\n{assembly.NO_IMAGES}".strip()
        elif images:
            text = result.text() or "(The image follows.)"
            pictures += [Text("Image from the tool's result:"), *images]
        entries.append({"role": "tool", "tool_call_id": call_id, "content": text})
    if pictures:
        entries.append({"role": "user", "content": _content(pictures, profile)})
    return entries


def _content(parts: Iterable[Text | Image], profile: Profile) -> str | list[dict[str, Any]]:
    """Plain text where there is nothing else: many servers' templates take no list."""
    items: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            items.append({"type": "text", "text": part.text})
        elif profile.images:
            url = f"data:{part.media_type};base64,{part.data}"
            items.append({"type": "image_url", "image_url": {"url": url}})
        else:
            items.append({"type": "text", "text": assembly.NO_IMAGES})
    if all(item["type"] == "text" for item in items):
        return "\n\n".join(item["text"] for item in items) or assembly.NO_TEXT
    return items


def _joined(first: str | list[Any], second: str | list[Any]) -> str | list[Any]:
    if isinstance(first, str) and isinstance(second, str):
        return f"{first}\n\n{second}"
    as_list = [content if isinstance(content, list) else [{"type": "text", "text": content}] for content in (first, second)]
    return as_list[0] + as_list[1]


def _cached_text(text: str, profile: Profile) -> str | list[dict[str, Any]]:
    if profile.cache != "blocks":
        return text
    return [{"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}]


def _mark_last(messages: list[dict[str, Any]]) -> None:
    """Anthropic's markers through a chat protocol (OpenRouter): behind the last message and the one before it that are
    not the model's own."""
    inputs = [message for message in messages if message["role"] in ("user", "tool")]
    for message in inputs[-2:]:
        content = message["content"]
        items = content if isinstance(content, list) else [{"type": "text", "text": content}]
        message["content"] = [*items[:-1], items[-1] | {"cache_control": {"type": "ephemeral"}}]


class Reader(assembly.Reader):
    def __init__(self, request: ModelRequest, profile: Profile) -> None:
        super().__init__(request, profile)
        self._texts: list[str] = []
        self._refusals: list[str] = []
        self._thoughts: list[str] = []
        self._details: list[Any] = []
        self._calls: dict[Any, dict[str, Any]] = {}
        self._order: list[dict[str, Any]] = []
        self._usage: Any = None
        self._stop: str | None = None

    def feed(self, event: dict[str, Any]) -> list[ModelDelta]:
        if event.get("error"):
            raise self._failed(event)
        self._usage = event.get("usage") or (event.get("x_groq") or {}).get("usage") or self._usage
        deltas: list[ModelDelta] = []
        for choice in event.get("choices") or ():
            if choice.get("index") in (None, 0):
                deltas += self._choice(choice)
        return deltas

    @property
    def ended(self) -> bool:
        return self._stop is not None

    def finish(self) -> ModelReply:
        if self._stop is None:
            raise self._interrupted("no finish reason was received")
        if self._stop in _BROKEN:
            raise self._interrupted(f"the server gave up with {self._stop!r}")
        stop = _STOPS.get(self._stop, "end")
        if self._refusals and stop == "end":
            stop = "refusal"
        return self._reply(self._parts(), stop, usage(self._usage))

    def _choice(self, choice: dict[str, Any]) -> list[ModelDelta]:
        delta = choice.get("delta") or choice.get("message") or {}
        self._usage = choice.get("usage") or self._usage  # Moonshot
        self._stop = choice.get("finish_reason") or self._stop
        deltas: list[ModelDelta] = []
        self._details += delta.get("reasoning_details") or ()
        if thought := delta.get("reasoning_content") or delta.get("reasoning"):
            self._thoughts.append(thought)
            deltas.append(ThinkingDelta(thought))
        for kept, piece in ((self._texts, _plain(delta.get("content"))), (self._refusals, delta.get("refusal"))):
            if piece:
                kept.append(piece)
                deltas.append(TextDelta(piece))
        deltas += [self._call(piece) for piece in delta.get("tool_calls") or ()]
        self._size += sum(len(delta.text) for delta in deltas if not isinstance(delta, ToolCallDelta))
        return deltas

    def _call(self, piece: dict[str, Any]) -> ModelDelta:
        call = self._find_call(piece)
        function = piece.get("function") or {}
        call["id"] = call["id"] or piece.get("id") or ""
        if (name := function.get("name") or "") != call["name"]:
            call["name"] += name
        arguments = function.get("arguments") or ""
        if isinstance(arguments, dict):
            arguments = msgspec.json.encode(arguments).decode()
        call["pieces"].append(arguments)
        call["size"] += len(arguments)
        self._size += len(arguments)
        google = (piece.get("extra_content") or {}).get("google") or {}
        call["signature"] = google.get("thought_signature") or call["signature"]
        return ToolCallDelta(name=call["name"], size=call["size"])

    def _find_call(self, piece: dict[str, Any]) -> dict[str, Any]:
        """Pieces of one call share an index. Some servers leave it out, some number every call 0: there a new id opens a
        new call, and a piece without an id belongs to the one that was opened last."""
        index, offered = piece.get("index"), piece.get("id") or ""
        call = self._calls.get(index) if index is not None else (self._order[-1] if self._order else None)
        if call is None or (offered and call["id"] and offered != call["id"]) or (offered and index is None):
            call = {"id": "", "name": "", "pieces": [], "size": 0, "signature": None}
            self._order.append(call)
            self._calls[index] = call
        return call

    def _parts(self) -> list[assembly.Part]:
        parts: list[assembly.Part] = []
        details = msgspec.json.encode(self._details).decode() if self._details else None
        if self._thoughts or details:
            parts.append(Thinking(text="".join(self._thoughts), signature=details))
        if self._texts or self._refusals:
            parts.append(Text("".join(self._texts + self._refusals)))
        for call in self._order:
            if call["signature"]:
                parts.append(Thinking(signature=call["signature"], redacted=True))
            arguments, malformed = assembly.parse_arguments("".join(call["pieces"]))
            call_id = self._ids.take(call["id"])
            parts.append(ToolCall(id=call_id, name=call["name"], arguments=arguments, malformed=malformed))
        return parts


def usage(reported: Any) -> Usage | None:
    """OpenAI counts cached tokens within `prompt_tokens`. DeepSeek names its hits `prompt_cache_hit_tokens`."""
    if not isinstance(reported, dict):
        return None
    details = reported.get("prompt_tokens_details")
    details = details if isinstance(details, dict) else {}
    cached = details.get("cached_tokens") or reported.get("prompt_cache_hit_tokens") or reported.get("cached_tokens")
    return assembly.checked_usage(
        total_input=reported.get("prompt_tokens"),
        cached=cached,
        written=details.get("cache_write_tokens"),
        output=reported.get("completion_tokens"),
    )


def _plain(content: Any) -> str:
    """Mistral's reasoning models send content as a list of typed pieces."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "".join(piece.get("text", "") for piece in content if isinstance(piece, dict) and piece.get("type") == "text")
    return ""
