"""OpenAI Chat Completions as a server: what a request says, whether a strict one would take it, and a turn as its chunks."""

from typing import Any

import msgspec

from goose_py.providers.scripted import RequestView, Turn, pieces
from wire.faults import Faults
from wire.turns import arguments_text, call_id, usage_figures

NAMED = False
_KEYS = {
    "model", "messages", "stream", "stream_options", "max_tokens", "max_completion_tokens", "temperature", "tools",
    "tool_choice", "parallel_tool_calls", "reasoning_effort", "prompt_cache_key", "thinking", "chat_template_kwargs",
    "reasoning", "enable_thinking", "cache_prompt",
}  # fmt: skip
_STOPS = {
    "end": "stop", "tool_calls": "tool_calls", "length": "length", "content_filter": "content_filter", "refusal": "stop",
}  # fmt: skip


def view(body: dict[str, Any]) -> RequestView:
    system = [message for message in body["messages"] if message["role"] in ("system", "developer")]
    messages = [message for message in body["messages"] if message["role"] not in ("system", "developer")]
    tail: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        tail.insert(0, text_of(message["content"]))
    texts = tuple(text_of(message.get("content")) for message in messages)
    return RequestView(
        system="".join(text_of(message["content"]) for message in system),
        texts=texts,
        last="\n".join(tail) if tail else (texts[-1] if texts else ""),
        tools=frozenset(tool["function"]["name"] for tool in body.get("tools") or ()),
        replies=sum(message["role"] == "assistant" for message in messages),
        results=len(tail),
        last_is_error=any(text.startswith("Error") for text in tail),
        model=body["model"],
        effort=body.get("reasoning_effort"),
    )


def text_of(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(item["text"] for item in content if item["type"] == "text")
    return content or ""


def objection(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    if unknown := set(body) - _KEYS:
        return f"Unrecognized request argument supplied: {sorted(unknown)[0]}"
    messages = body["messages"]
    if not messages:
        return "[] is too short - 'messages'"
    waiting: list[str] = []
    previous = ""
    for number, message in enumerate(messages):
        role = message["role"]
        if role in ("system", "developer") and number:
            return f"messages.[{number}].role: the system message must be the first"
        if role == "tool":
            if message["tool_call_id"] not in waiting:
                return "messages with role 'tool' must be a response to a preceding message with 'tool_calls'."
            waiting.remove(message["tool_call_id"])
        elif waiting:
            return f"An assistant message with 'tool_calls' must be followed by tool messages. Missing: {waiting}"
        if role == "user" and previous == "user":
            return "conversation roles must alternate user/assistant/user/assistant/..."
        if role == "user" and not message["content"]:
            return f"messages.[{number}].content must not be empty"
        if role == "assistant":
            calls = message.get("tool_calls") or []
            if not calls and not message.get("content"):
                return f"messages.[{number}]: either content or tool_calls must be set"
            waiting = [call["id"] for call in calls]
            if len(set(waiting)) != len(waiting) or any(not 1 <= len(call) <= 64 for call in waiting):
                return f"messages.[{number}].tool_calls: ids must be unique, of 1 to 64 characters"
            for call in calls:
                try:
                    msgspec.json.decode(call["function"]["arguments"], type=dict)
                except msgspec.DecodeError:
                    return f"messages.[{number}].tool_calls: arguments must be a JSON object"
        previous = role
    return f"tool_calls without results: {waiting}" if waiting else None


def events(turn: Turn, body: dict[str, Any], faults: Faults, number: int) -> list[dict[str, Any] | str]:
    def chunk(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        head = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 0, "model": body.get("model", "")}
        return {**head, "choices": [choice]}

    found: list[dict[str, Any] | str] = [chunk({"role": "assistant", "content": ""})]
    found += [chunk({"reasoning_content": piece}) for piece in pieces(turn.thinking, turn.chunk)]
    found += [chunk({"content": piece}) for piece in pieces(turn.text, turn.chunk)]
    for place, call in enumerate(turn.calls):
        index: dict[str, Any] = {} if faults.no_index else {"index": 0 if faults.index_zero else place}
        opened = {"id": call_id(call, "call", number, place), "type": "function"}
        found.append(chunk({"tool_calls": [{**index, **opened, "function": {"name": call.name, "arguments": ""}}]}))
        for piece in pieces(arguments_text(call), turn.chunk):
            found.append(chunk({"tool_calls": [{**index, "function": {"arguments": piece}}]}))
    stop = faults.finish or _STOPS[turn.stop or ("tool_calls" if turn.calls else "end")]
    refused = {"refusal": "I cannot help with that."} if turn.stop == "refusal" and not turn.text else {}
    found.append(chunk(refused, stop))
    reported = usage_figures(turn, body, faults, style="chat")
    if (body.get("stream_options") or {}).get("include_usage") and reported is not None:
        found.append({**chunk({}), "choices": [], "usage": reported})
    else:
        found.append({**chunk({}), "choices": []})
    if not faults.no_done:
        found.append("[DONE]")
    return found


ENDING = 3


def error(status: int, code: str, message: str) -> dict[str, Any]:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return {"error": {"message": message, "type": code or kind, "param": None, "code": code or None}}
