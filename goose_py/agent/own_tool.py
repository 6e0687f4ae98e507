"""A tool of our own among those of the toolbox: to the model it looks like any other, and its calls are answered here."""

from collections.abc import Callable

from goose_py.agent import ports
from goose_py.protocol.messages import ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec
from goose_py.toolbox import Resolved
from goose_py.toolbox.repair import repair


class OwnTool:
    """A wrapper of Tools that adds one. A subclass answers its calls, whose arguments fit the schema by then."""

    def __init__(self, tools: ports.Tools, spec: ToolSpec) -> None:
        self._tools = tools
        self._spec = spec

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(sorted((*self._tools.specs(), self._spec), key=lambda spec: spec.name))

    def resolve(self, call: ToolCall) -> ports.Resolved | str:
        if call.name != self._spec.name:
            return self._tools.resolve(call)
        mended = repair(call.arguments, self._spec.input_schema)
        if isinstance(mended, str):
            return f"{call.name}: {mended}"
        meant = ToolCall(id=call.id, name=call.name, arguments=mended.arguments)
        return Resolved(call=meant, spec=self._spec, notes=mended.notes)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        return self._answer(call) if call.name == self._spec.name else await self._tools.call(call, on_output)

    def _answer(self, call: ToolCall) -> ToolResult:
        raise NotImplementedError
