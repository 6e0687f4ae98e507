"""What the servers of all protocols take from a turn in the same way."""

from typing import Any

import msgspec

from goose_py.providers.scripted import ScriptedCall, Turn
from wire.faults import Faults


def arguments_text(call: ScriptedCall) -> str:
    return call.arguments_text if call.arguments_text is not None else msgspec.json.encode(call.arguments).decode()


def call_id(call: ScriptedCall, prefix: str, number: int, place: int) -> str:
    return call.id if call.id is not None else f"{prefix}_{number:04}_{place}"


def usage_figures(turn: Turn, body: dict[str, Any], faults: Faults, *, style: str) -> Any:
    """The usage as this protocol reports it; None where it is left out. Without figures in the script: four bytes a
    token."""
    if faults.usage is not msgspec.UNSET:
        return faults.usage
    words = "".join(turn.text) + "".join(turn.thinking) + "".join(arguments_text(call) for call in turn.calls)
    given = turn.usage
    fresh = given.input_tokens if given else len(msgspec.json.encode(body)) // 4
    out = given.output_tokens if given else max(1, len(words) // 4)
    read, wrote = (given.cache_read_tokens, given.cache_write_tokens) if given else (0, 0)
    if style == "anthropic":
        cached = {"cache_read_input_tokens": read, "cache_creation_input_tokens": wrote}
        return {"input_tokens": fresh, "output_tokens": out, **cached}
    whole = fresh + read + wrote
    details = {"cached_tokens": read, "cache_write_tokens": wrote}
    if style == "responses":
        reasoning = {"reasoning_tokens": 0}
        return {
            "input_tokens": whole, "input_tokens_details": details, "output_tokens": out, "output_tokens_details": reasoning,
            "total_tokens": whole + out,
        }  # fmt: skip
    if style == "chat":
        return {
            "prompt_tokens": whole, "completion_tokens": out, "total_tokens": whole + out, "prompt_tokens_details": details,
        }  # fmt: skip
    return {"prompt_eval_count": whole, "eval_count": out}
