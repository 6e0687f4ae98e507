"""Notices a model that goes in circles.

Only the same call with the same outcome counts: polling a job whose answer changes is work, not a loop, and so is running
the same test after each of several different changes. First the model is told, then the turn is stopped.
"""

import hashlib
from collections.abc import Callable

import msgspec

from goose_py.agent.loop import Stuck
from goose_py.agent.ports import Authorize, Resolved, Tools
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec

WARN_AT = 3
STOP_AT = 5


class LoopGuard:
    """One per turn: a wrapper of Tools and of Authorize, since a refusal is an outcome too. `authorize` raises `Stuck` for
    a call that has had one and the same outcome `STOP_AT` times. A call that was never made before and that may change
    something starts all counts afresh."""

    def __init__(self, tools: Tools, authorize: Authorize) -> None:
        self._tools = tools
        self._authorize = authorize
        self._outcomes: dict[bytes, tuple[bytes, int]] = {}
        self._known: set[bytes] = set()

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    def resolve(self, call: ToolCall) -> Resolved | str:
        return self._tools.resolve(call)

    async def authorize(self, call: ToolCall, spec: ToolSpec) -> ToolCall | str:
        key = _digest((call.name, call.arguments))
        _, count = self._outcomes.get(key, (b"", 0))
        if count >= STOP_AT:
            raise Stuck(f"{call.name} was called {count} times with the same arguments and the same result.")
        allowed = await self._authorize(call, spec)
        if isinstance(allowed, ToolCall):
            if key not in self._known and not spec.read_only:
                self._outcomes.clear()
            self._known.add(key)
            return allowed
        warning = self._count(key, allowed)
        return f"{allowed} {warning}" if warning else allowed

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        result = await self._tools.call(call, on_output)
        warning = self._count(_digest((call.name, call.arguments)), (result.content, result.is_error))
        if not warning:
            return result
        return msgspec.structs.replace(result, content=(*result.content, Text(warning)))

    def _count(self, key: bytes, outcome: object) -> str:
        """What the model must be told of this outcome, "" if nothing."""
        digest = _digest(outcome)
        before, count = self._outcomes.get(key, (b"", 0))
        count = count + 1 if digest == before else 1
        self._outcomes[key] = (digest, count)
        if count < WARN_AT:
            return ""
        return (
            f"This is the {_ordinal(count)} time that this exact call had this exact result; asking again will not change "
            "it. Try something else, or say what blocks you."
        )


def _ordinal(count: int) -> str:
    return {3: "third", 4: "fourth"}.get(count, f"{count}th")


def _digest(value: object) -> bytes:
    return hashlib.sha256(msgspec.json.encode(value, order="deterministic")).digest()
