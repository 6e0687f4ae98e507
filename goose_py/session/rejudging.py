"""A wrapper of Tools for calls that turn out to be more than they were taken for."""

from collections.abc import Callable

import msgspec

from goose_py.agent.ports import Authorize, Resolved, Tools
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec

AGAIN = "[It wanted to change something, so it was run again as a command that may.]"


class RejudgingTools:
    """A call that was judged to change nothing, and failed because it wanted to, is judged again by `authorize` as one that
    writes, and then run as such, or answered with the reason why not. The model is told in a line either way."""

    def __init__(self, tools: Tools, authorize: Authorize) -> None:
        self._tools = tools
        self._authorize = authorize

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    def resolve(self, call: ToolCall) -> Resolved | str:
        return self._tools.resolve(call)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        result = await self._tools.call(call, on_output)
        meant = self._tools.resolve(call)
        if not result.refused_write or isinstance(meant, str):
            return result
        allowed = await self._authorize(call, meant.spec)
        if isinstance(allowed, str):
            return _with(result, f"[{allowed}]")
        again = await self._tools.call(allowed, on_output)
        return msgspec.structs.replace(_with(again, AGAIN), refused_write=True)


def _with(result: ToolResult, line: str) -> ToolResult:
    return msgspec.structs.replace(result, content=(*result.content, Text(line)))
