"""OpenAI Responses as a server: what a request says, whether the real API would take it, and a turn as its events."""

from typing import Any

import msgspec

from goose_py.providers.scripted import RequestView, Turn, pieces
from wire.faults import Faults
from wire.turns import arguments_text, call_id, usage_figures

NAMED = True
_KEYS = {
    "model", "input", "instructions", "stream", "store", "max_output_tokens", "temperature", "reasoning", "include",
    "prompt_cache_key", "tools", "tool_choice", "parallel_tool_calls",
}  # fmt: skip


def view(body: dict[str, Any]) -> RequestView:
    items = body["input"]
    texts = tuple(text for item in items if (text := _text(item)) is not None)
    tail: list[str] = []
    for item in reversed(items):
        if item["type"] != "function_call_output":
            break
        tail.insert(0, _text(item) or "")
    return RequestView(
        system=body.get("instructions", ""),
        texts=texts,
        last="\n".join(tail) if tail else (texts[-1] if texts else ""),
        tools=frozenset(tool["name"] for tool in body.get("tools") or ()),
        replies=_replies(items),
        results=len(tail),
        last_is_error=any(text.startswith("Error") for text in tail),
        model=body["model"],
        effort=(body.get("reasoning") or {}).get("effort"),
    )


def _replies(items: list[dict[str, Any]]) -> int:
    """Runs of the model's own items."""
    own = [item["type"] in ("reasoning", "function_call") or item.get("role") == "assistant" for item in items]
    return sum(mine and (place == 0 or not own[place - 1]) for place, mine in enumerate(own))


def _text(item: dict[str, Any]) -> str | None:
    content = item.get("output") if item["type"] == "function_call_output" else item.get("content")
    if isinstance(content, str) or content is None:
        return content
    return "\n".join(piece["text"] for piece in content if "text" in piece)


def objection(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    if unknown := set(body) - _KEYS:
        return f"Unknown parameter: '{sorted(unknown)[0]}'."
    items = body["input"]
    calls: set[str] = set()
    waiting: set[str] = set()
    for place, item in enumerate(items):
        kind = item["type"]
        if kind == "function_call":
            if item["call_id"] in calls or not 1 <= len(item["call_id"]) <= 64:
                return f"Invalid 'input[{place}].call_id': must be unique and of 1 to 64 characters."
            calls.add(item["call_id"])
            waiting.add(item["call_id"])
            try:
                msgspec.json.decode(item["arguments"], type=dict)
            except msgspec.DecodeError:
                return f"Invalid 'input[{place}].arguments': expected a JSON object."
        elif kind == "function_call_output":
            if item["call_id"] not in waiting:
                return f"No tool call found for function call output with call_id {item['call_id']}."
            waiting.remove(item["call_id"])
        elif kind == "reasoning":
            if not item.get("encrypted_content"):
                return f"Item '{item['id']}' not found. Items are not persisted when `store` is set to false."
            follower = items[place + 1] if place + 1 < len(items) else {}
            follows = follower.get("type") in ("reasoning", "function_call") or follower.get("role") == "assistant"
            if not follows:
                return f"Item '{item['id']}' of type 'reasoning' was provided without its required following item."
        elif waiting:
            return f"No tool output found for function call {sorted(waiting)[0]}."
    return f"No tool output found for function call {sorted(waiting)[0]}." if waiting else None


def events(turn: Turn, body: dict[str, Any], faults: Faults, number: int) -> list[dict[str, Any] | str]:
    head = {"id": f"resp_{number}", "object": "response", "created_at": 0, "model": body.get("model", ""), "output": []}
    found: list[dict[str, Any]] = [
        {"type": "response.created", "response": {**head, "status": "in_progress"}},
        {"type": "response.in_progress", "response": {**head, "status": "in_progress"}},
    ]
    done: list[dict[str, Any]] = []
    stop = turn.stop or "end"

    def item(body_of: dict[str, Any], deltas: list[dict[str, Any]], finished: dict[str, Any]) -> None:
        place = {"output_index": len(done), "item_id": body_of["id"]}
        found.append({"type": "response.output_item.added", "output_index": len(done), "item": body_of})
        found.extend({**delta, **place} for delta in deltas)
        found.append({"type": "response.output_item.done", "output_index": len(done), "item": finished})
        done.append(finished)

    if thoughts := list(pieces(turn.thinking, turn.chunk)):
        opened = {"type": "reasoning", "id": f"rs_{number}", "summary": []}
        deltas: list[dict[str, Any]] = [{"type": "response.reasoning_summary_part.added", "summary_index": 0}]
        deltas += [
            {"type": "response.reasoning_summary_text.delta", "summary_index": 0, "delta": piece} for piece in thoughts
        ]
        whole = {"type": "summary_text", "text": "".join(thoughts)}
        item(opened, deltas, {**opened, "summary": [whole], "encrypted_content": turn.signature or "enc"})
    if texts := list(pieces(turn.text, turn.chunk)):
        opened = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "in_progress", "content": []}
        kind, field = ("refusal", "refusal") if stop == "refusal" else ("output_text", "text")
        deltas = [{"type": f"response.{kind}.delta", "content_index": 0, "delta": piece} for piece in texts]
        content = {"type": kind, field: "".join(texts)}
        item(opened, deltas, {**opened, "status": "completed", "content": [content]})
    for place, call in enumerate(turn.calls):
        raw = arguments_text(call)
        cut = stop == "length" and place == len(turn.calls) - 1
        opened = {
            "type": "function_call", "id": f"fc_{number}_{place}", "call_id": call_id(call, "call", number, place),
            "name": call.name, "arguments": "", "status": "in_progress",
        }  # fmt: skip
        deltas = [{"type": "response.function_call_arguments.delta", "delta": piece} for piece in pieces(raw, turn.chunk)]
        item(opened, deltas, {**opened, "arguments": raw, "status": "incomplete" if cut else "completed"})
    for sequence, event in enumerate(found):
        event["sequence_number"] = sequence
    return [*found, _end(head, done, turn, body, faults)]


def _end(
    head: dict[str, Any], done: list[dict[str, Any]], turn: Turn, body: dict[str, Any], faults: Faults
) -> dict[str, Any]:
    response = {**head, "status": "completed", "output": done, "incomplete_details": None, "error": None}
    reported = usage_figures(turn, body, faults, style="responses")
    if reported is not None:
        response["usage"] = reported
    if turn.stop in ("length", "content_filter"):
        reason = "max_output_tokens" if turn.stop == "length" else "content_filter"
        response |= {"status": "incomplete", "incomplete_details": {"reason": reason}}
        return {"type": "response.incomplete", "response": response}
    if faults.finish == "failed":
        response |= {"status": "failed", "error": {"code": "server_error", "message": "The model failed."}}
        return {"type": "response.failed", "response": response}
    return {"type": "response.completed", "response": response}


ENDING = 1


def error(status: int, code: str, message: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": code or kind, "param": None, "code": code or None}}
