"""A wrapper of Tools that notices a model going in circles.

Only the same call with the same result counts: polling a job whose answer changes is work, not a loop. First the model is
told, then the turn is stopped.
"""

import hashlib
from collections.abc import Callable

import msgspec

from goose_py.agent.loop import Stuck
from goose_py.agent.ports import Tools
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec

WARN_AT = 3
STOP_AT = 5


class LoopGuard:
    """Counts from the last differing result of each call. `call` raises `Stuck` at the `STOP_AT`th identical one."""

    def __init__(self, tools: Tools) -> None:
        self._tools = tools
        self._seen: dict[bytes, tuple[bytes, int]] = {}

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        key = _digest((call.name, call.arguments))
        before, count = self._seen.get(key, (b"", 0))
        if count >= STOP_AT:
            raise Stuck(f"{call.name} was called {count} times with the same arguments and the same result.")
        result = await self._tools.call(call, on_output)
        outcome = _digest((result.content, result.is_error))
        count = count + 1 if outcome == before else 1
        self._seen[key] = (outcome, count)
        if count < WARN_AT:
            return result
        warning = (
            f"This is the {count}th time that this exact call gave this exact result; asking again will not change it. "
            "Try something else, or say what blocks you."
        )
        return msgspec.structs.replace(result, content=(*result.content, Text(warning)))


def _digest(value: object) -> bytes:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).digest()
