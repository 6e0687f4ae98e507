"""OpenAI Responses: three pure mappings on the dicts of `POST /responses`.

Source: the API reference of the official SDK, version 3.54 (`openai.types.responses`). Nothing is stored at the provider
(`store` false): reasoning travels back and forth encrypted.
"""

from collections.abc import Iterable
from typing import Any

import msgspec

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
PATH = "/responses"
HEADERS: dict[str, str] = {}


def to_request(request: ModelRequest, profile: Profile) -> dict[str, Any]:
    """The JSON body, input last, so that a later turn only appends."""
    body: dict[str, Any] = {
        "model": profile.wire_model,
        "stream": True,
        "store": False,
        "max_output_tokens": assembly.output_limit(request, profile),
    }
    body |= assembly.temperature(request, profile)
    if profile.thinking == "effort":
        effort = effort_value(profile, request.effort)
        body["reasoning"] = {"effort": effort, "summary": "auto"} if effort is not None else {"summary": "auto"}
        body["include"] = ["reasoning.encrypted_content"]
    if profile.cache == "key" and request.cache_key:
        body["prompt_cache_key"] = request.cache_key
    body.update(profile.extra_body)
    if request.system:
        body["instructions"] = request.system
    if request.tools:
        body["tools"] = [
            {"type": "function", **tool, "strict": False}
            for tool in assembly.described(request.tools, profile, schema="parameters")
        ]
        body["parallel_tool_calls"] = True
    body["input"] = _input(request, profile)
    return body


def _input(request: ModelRequest, profile: Profile) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for message in request.messages:
        if isinstance(message, AssistantMessage):
            items += _assistant_items(message, profile)
        elif isinstance(message, UserMessage):
            items.append({"type": "message", "role": "user", "content": _content(message.parts, profile)})
        else:
            items += [_result(result, profile) for result in message.results]
    return items


def _assistant_items(message: AssistantMessage, profile: Profile) -> list[dict[str, Any]]:
    """A reasoning item is only accepted in front of what it led to: one at the end (an answer of nothing but thought) is
    left out."""
    items: list[dict[str, Any]] = []
    phase = {"phase": "commentary" if message.tool_calls() else "final_answer"} if profile.phase else {}
    for part in message.parts:
        if isinstance(part, Text):
            if part.text:
                content = [{"type": "output_text", "text": part.text, "annotations": []}]
                items.append({"type": "message", "role": "assistant", "content": content, **phase})
        elif isinstance(part, ToolCall):
            items.append(
                {
                    "type": "function_call",
                    "call_id": assembly.legal_id(part.id, "any"),
                    "name": part.name,
                    "arguments": msgspec.json.encode(part.arguments).decode(),
                }
            )
        elif part.signature and part.item_id:
            summary = [{"type": "summary_text", "text": part.text}] if part.text else []
            items.append(
                {"type": "reasoning", "id": part.item_id, "summary": summary, "encrypted_content": part.signature}
            )
    while items and items[-1]["type"] == "reasoning":
        items.pop()
    return items


def _content(parts: Iterable[Text | Image], profile: Profile) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    for part in parts:
        if isinstance(part, Text):
            items.append({"type": "input_text", "text": part.text})
        elif profile.images:
            url = f"data:{part.media_type};base64,{part.data}"
            items.append({"type": "input_image", "image_url": url, "detail": "auto"})
        else:
            items.append({"type": "input_text", "text": assembly.NO_IMAGES})
    return items or [{"type": "input_text", "text": assembly.NO_TEXT}]


def _result(result: ToolResult, profile: Profile) -> dict[str, Any]:
    pictures = profile.images and profile.images_in_results and any(isinstance(part, Image) for part in result.content)
    text = assembly.user_text(result)
    if not pictures and any(isinstance(part, Image) for part in result.content):
        text = f"{result.text()}\n{assembly.NO_IMAGES}".strip()
    return {
        "type": "function_call_output",
        "call_id": assembly.legal_id(result.call_id, "any"),
        "output": _content(result.content, profile) if pictures else text,
    }


class Reader(assembly.Reader):
    """The finished items are what counts: deltas are only shown. A server that sends no `output_item.done` is read from
    `response.completed`."""

    def __init__(self, request: ModelRequest, profile: Profile) -> None:
        super().__init__(request, profile)
        self._items: dict[int, dict[str, Any]] = {}
        self._names: dict[Any, str] = {}
        self._sizes: dict[Any, int] = {}
        self._end: dict[str, Any] = {}

    def feed(self, event: dict[str, Any]) -> list[ModelDelta]:
        kind = event.get("type")
        if kind in ("response.output_text.delta", "response.refusal.delta"):
            return self._shown(TextDelta(event["delta"]))
        if kind in ("response.reasoning_summary_text.delta", "response.reasoning_text.delta"):
            return self._shown(ThinkingDelta(event["delta"]))
        if kind == "response.reasoning_summary_part.added" and event.get("summary_index"):
            return self._shown(ThinkingDelta("\n\n"))
        if kind == "response.function_call_arguments.delta":
            return self._arguments(event)
        if kind == "response.output_item.added":
            return self._added(event)
        if kind == "response.output_item.done":
            self._items[event.get("output_index", len(self._items))] = event["item"]
        elif kind in ("response.completed", "response.incomplete", "response.done"):
            self._end = event["response"]
            self.done = True
        elif kind in ("response.failed", "error"):
            raise self._failed(event)
        return []

    def finish(self) -> ModelReply:
        if not self.done:
            raise self._interrupted("the end of the response was not received")
        items = [item for _, item in sorted(self._items.items())] or list(self._end.get("output") or ())
        parts = [part for item in items for part in self._parts(item)]
        return self._reply(parts, self._stop(items), usage(self._end.get("usage")))

    def _stop(self, items: list[dict[str, Any]]) -> StopReason:
        if self._end.get("status") == "failed":
            raise self._failed({"response": self._end})
        if self._end.get("status") == "incomplete":
            reason = (self._end.get("incomplete_details") or {}).get("reason")
            return "content_filter" if reason == "content_filter" else "length"
        refused = any(piece.get("type") == "refusal" for item in items for piece in item.get("content") or ())
        return "refusal" if refused else "end"

    def _shown(self, delta: TextDelta | ThinkingDelta) -> list[ModelDelta]:
        self._size += len(delta.text)
        return [delta]

    def _added(self, event: dict[str, Any]) -> list[ModelDelta]:
        item = event["item"]
        if item.get("type") != "function_call":
            return []
        self._names[event.get("output_index")] = item.get("name", "")
        return [ToolCallDelta(name=item.get("name", ""))]

    def _arguments(self, event: dict[str, Any]) -> list[ModelDelta]:
        index = event.get("output_index")
        self._sizes[index] = self._sizes.get(index, 0) + len(event["delta"])
        self._size += len(event["delta"])
        return [ToolCallDelta(name=self._names.get(index, ""), size=self._sizes[index])]

    def _parts(self, item: dict[str, Any]) -> Iterable[assembly.Part]:
        kind = item.get("type")
        if kind == "reasoning":
            texts = [piece.get("text", "") for piece in item.get("summary") or item.get("content") or ()]
            text = "\n\n".join(texts)
            yield Thinking(text=text, signature=item.get("encrypted_content") or None, item_id=item.get("id") or None)
        elif kind == "message":
            for piece in item.get("content") or ():
                yield Text(piece.get("text") or piece.get("refusal") or "")
        elif kind == "function_call":
            arguments, malformed = assembly.parse_arguments(item.get("arguments") or "")
            if item.get("status") == "incomplete":
                malformed = item.get("arguments") or ""
            call_id = self._ids.take(item.get("call_id"))
            yield ToolCall(id=call_id, name=item.get("name", ""), arguments=arguments, malformed=malformed)


def usage(reported: Any) -> Usage | None:
    """OpenAI counts cached tokens within `input_tokens`."""
    if not isinstance(reported, dict):
        return None
    details = reported.get("input_tokens_details")
    details = details if isinstance(details, dict) else {}
    return assembly.checked_usage(
        total_input=reported.get("input_tokens"),
        cached=details.get("cached_tokens"),
        written=details.get("cache_write_tokens"),
        output=reported.get("output_tokens"),
    )
