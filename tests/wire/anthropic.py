"""Anthropic Messages as a server: what a request says, whether the real API would take it, and a turn as its events."""

import re
from typing import Any

from goose_py.providers.scripted import RequestView, Turn, pieces
from wire.faults import Faults
from wire.turns import arguments_text, call_id, usage_figures

NAMED = True
_KEYS = {
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stream", "thinking", "output_config",
    "temperature", "metadata", "cache_control", "stop_sequences", "anthropic_version",
}  # fmt: skip
_STOPS = {"end": "end_turn", "tool_calls": "tool_use", "length": "max_tokens", "refusal": "refusal", "pause": "pause_turn"}


def view(body: dict[str, Any]) -> RequestView:
    messages = body["messages"]
    texts = tuple(_text(message) for message in messages)
    last = messages[-1]["content"]
    results = [block for block in last if block["type"] == "tool_result"] if isinstance(last, list) else []
    return RequestView(
        system="".join(block["text"] for block in body.get("system") or ()),
        texts=texts,
        last=texts[-1],
        tools=frozenset(tool["name"] for tool in body.get("tools") or ()),
        replies=sum(message["role"] == "assistant" for message in messages),
        results=len(results),
        last_is_error=any(block.get("is_error") for block in results),
        model=body.get("model", ""),
        effort=(body.get("output_config") or {}).get("effort"),
    )


def _text(message: dict[str, Any]) -> str:
    if isinstance(message["content"], str):
        return message["content"]
    texts = []
    for block in message["content"]:
        if block["type"] == "text":
            texts.append(block["text"])
        elif block["type"] == "tool_result":
            texts += [inner["text"] for inner in block["content"] if inner["type"] == "text"]
    return "\n".join(texts)


def objection(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    """What the real API would answer 400 to; None where it would take the request."""
    if unknown := set(body) - _KEYS:
        return f"{sorted(unknown)[0]}: Extra inputs are not permitted"
    if "anthropic-version" not in headers and "anthropic_version" not in body:
        return "anthropic-version: header is required"
    if headers.get("anthropic-version", "") >= "2026-10-21" and "temperature" in body:
        return "temperature: sampling parameters are not supported"
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        return "max_tokens: field required"
    budget = (body.get("thinking") or {}).get("budget_tokens")
    if budget is not None and not 1024 <= budget < body["max_tokens"]:
        return "max_tokens must be greater than thinking.budget_tokens"
    marks = _count_marks(body)
    if marks > 4:
        return f"A maximum of 4 blocks with cache_control may be provided. Found {marks}."
    names = [tool["name"] for tool in body.get("tools") or ()]
    if len(set(names)) != len(names):
        return "tools: Tool names must be unique."
    if any(not re.fullmatch(r"[a-zA-Z0-9_-]{1,128}", name) for name in names):
        return "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"
    return _history(body["messages"])


def _count_marks(value: Any) -> int:
    if isinstance(value, dict):
        return ("cache_control" in value) + sum(_count_marks(item) for item in value.values())
    return sum(_count_marks(item) for item in value) if isinstance(value, list) else 0


def _history(messages: list[dict[str, Any]]) -> str | None:
    if not messages or messages[0]["role"] != "user":
        return "messages: first message must use the user role"
    waiting: list[str] = []
    seen: set[str] = set()
    for number, message in enumerate(messages):
        where = f"messages.{number}"
        if number and message["role"] == messages[number - 1]["role"]:
            return f"{where}: roles must alternate between user and assistant"
        blocks = message["content"]
        if isinstance(blocks, str):
            blocks = [{"type": "text", "text": blocks}]
        if not blocks:
            return f"{where}: all messages must have non-empty content"
        if any(block["type"] == "text" and not block["text"].strip() for block in blocks):
            return f"{where}: text content blocks must contain non-whitespace text"
        answered = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        if message["role"] == "user":
            if sorted(answered) != sorted(waiting):
                missing = [call for call in waiting if call not in answered]
                extra = [call for call in answered if call not in waiting]
                if missing:
                    return f"{where}: `tool_use` ids were found without `tool_result` blocks immediately after: {missing}"
                return f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {extra}"
            if answered and [block["type"] for block in blocks[: len(answered)]] != ["tool_result"] * len(answered):
                return f"{where}: tool_result blocks must come first"
            waiting = []
            continue
        if blocks[-1]["type"] in ("thinking", "redacted_thinking"):
            return f"{where}: The final block in an assistant message cannot be `thinking`."
        if any(block["type"] == "thinking" and not block.get("signature") for block in blocks):
            return f"{where}.thinking.signature: Field required"
        waiting = [block["id"] for block in blocks if block["type"] == "tool_use"]
        if any(not re.fullmatch(r"[a-zA-Z0-9_-]+", call) for call in waiting):
            return f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
        if len(set(waiting)) != len(waiting) or seen & set(waiting):
            return f"{where}: `tool_use` ids must be unique"
        if any(not isinstance(block["input"], dict) for block in blocks if block["type"] == "tool_use"):
            return f"{where}.tool_use.input: Input should be a valid dictionary"
        seen |= set(waiting)
    return "messages: `tool_use` ids were found without `tool_result` blocks" if waiting else None


def events(turn: Turn, body: dict[str, Any], faults: Faults, number: int) -> list[dict[str, Any] | str]:
    """The whole stream of a turn; the last two events are its end."""
    reported = usage_figures(turn, body, faults, style="anthropic")
    message = {
        "id": f"msg_{number:04}", "type": "message", "role": "assistant", "model": body.get("model", ""), "content": [],
        "stop_reason": None, "stop_sequence": None,
    }  # fmt: skip
    if reported is not None:
        message["usage"] = {**reported, "output_tokens": 1} if isinstance(reported, dict) else reported
    found: list[dict[str, Any] | str] = [{"type": "message_start", "message": message}, {"type": "ping"}]
    index = 0
    for kind, field, delta, texts in (
        ("thinking", "thinking", "thinking_delta", list(pieces(turn.thinking, turn.chunk))),
        ("text", "text", "text_delta", list(pieces(turn.text, turn.chunk))),
    ):
        if not texts:
            continue
        start: dict[str, Any] = {"type": kind, field: ""}
        found.append({"type": "content_block_start", "index": index, "content_block": start})
        for piece in texts:
            found.append({"type": "content_block_delta", "index": index, "delta": {"type": delta, field: piece}})
        if kind == "thinking":
            signature = {"type": "signature_delta", "signature": turn.signature or "sig"}
            found.append({"type": "content_block_delta", "index": index, "delta": signature})
        found.append({"type": "content_block_stop", "index": index})
        index += 1
    for place, call in enumerate(turn.calls):
        start = {"type": "tool_use", "id": call_id(call, "toolu", number, place), "name": call.name, "input": {}}
        found.append({"type": "content_block_start", "index": index, "content_block": start})
        for piece in pieces(arguments_text(call), turn.chunk):
            delta = {"type": "input_json_delta", "partial_json": piece}
            found.append({"type": "content_block_delta", "index": index, "delta": delta})
        found.append({"type": "content_block_stop", "index": index})
        index += 1
    stop = faults.finish or _STOPS[turn.stop or ("tool_calls" if turn.calls else "end")]
    end: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}}
    if reported is not None:
        end["usage"] = {"output_tokens": reported.get("output_tokens")} if isinstance(reported, dict) else reported
    return [*found, end, {"type": "message_stop"}]


ENDING = 2


def error(status: int, code: str, message: str) -> dict[str, Any]:
    kind = code or {
        400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error",
        413: "request_too_large", 429: "rate_limit_error", 529: "overloaded_error",
    }.get(status, "api_error")  # fmt: skip
    return {"type": "error", "error": {"type": kind, "message": message}}
