"""Ollama's native chat as a server: what a request says, what it would refuse, and a turn as its lines."""

from typing import Any

import msgspec

from goose_py.providers.scripted import RequestView, Turn, pieces
from wire.faults import Faults
from wire.turns import arguments_text, usage_figures

NAMED = False
_KEYS = {"model", "messages", "stream", "options", "think", "tools", "keep_alive", "format"}


def view(body: dict[str, Any]) -> RequestView:
    messages = [message for message in body["messages"] if message["role"] != "system"]
    tail: list[str] = []
    for message in reversed(messages):
        if message["role"] != "tool":
            break
        tail.insert(0, message["content"])
    texts = tuple(message["content"] for message in messages)
    return RequestView(
        system="".join(message["content"] for message in body["messages"] if message["role"] == "system"),
        texts=texts,
        last="\n".join(tail) if tail else (texts[-1] if texts else ""),
        tools=frozenset(tool["function"]["name"] for tool in body.get("tools") or ()),
        replies=sum(message["role"] == "assistant" for message in messages),
        results=len(tail),
        last_is_error=any(text.startswith("Error") for text in tail),
        model=body["model"],
        effort=None,
    )


def objection(body: dict[str, Any], headers: dict[str, str]) -> str | None:
    if unknown := set(body) - _KEYS:
        return f"unknown field {sorted(unknown)[0]!r}"
    if not (body.get("options") or {}).get("num_ctx"):
        return "options.num_ctx is not set: the prompt would be cut to 4096 tokens"
    calls = 0
    for message in body["messages"]:
        if message["role"] == "assistant":
            if calls:
                return f"{calls} tool calls without a result"
            calls = len(message.get("tool_calls") or ())
            if any(not isinstance(call["function"]["arguments"], dict) for call in message.get("tool_calls") or ()):
                return "json: cannot unmarshal string into Go struct field of type map[string]interface {}"
        elif message["role"] == "tool":
            calls -= 1
            if calls < 0:
                return "a tool message without a call"
        elif calls:
            return f"{calls} tool calls without a result"
    return f"{calls} tool calls without a result" if calls else None


def events(turn: Turn, body: dict[str, Any], faults: Faults, number: int) -> list[dict[str, Any] | str]:
    """A request that is longer than the window is cut in silence, as the real server does it."""

    def line(message: dict[str, Any]) -> dict[str, Any]:
        return {"model": body["model"], "message": {"role": "assistant", "content": "", **message}, "done": False}

    found: list[dict[str, Any] | str] = [line({"thinking": piece}) for piece in pieces(turn.thinking, turn.chunk)]
    found += [line({"content": piece}) for piece in pieces(turn.text, turn.chunk)]
    for call in turn.calls:
        arguments = call.arguments
        if call.arguments_text is not None:
            arguments = _raw(arguments_text(call))
        found.append(line({"tool_calls": [{"function": {"name": call.name, "arguments": arguments}}]}))
    reported = usage_figures(turn, body, faults, style="ollama") or {}
    if faults.usage is msgspec.UNSET:
        reported["prompt_eval_count"] = min(reported["prompt_eval_count"], body["options"]["num_ctx"])
    stop = faults.finish or ("length" if turn.stop == "length" else "stop")
    end = {"model": body["model"], "message": {"role": "assistant", "content": ""}, "done": True, "done_reason": stop}
    return [*found, {**end, **reported}]


def _raw(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text


ENDING = 1


def error(status: int, code: str, message: str) -> dict[str, Any]:
    return {"error": message}
