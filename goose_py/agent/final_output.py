"""The structured answer of a recipe with a response schema: a tool whose arguments are the answer."""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from goose_py.agent.ports import Emit, Resolved, Tools
from goose_py.protocol.events import FinalOutput
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolAnnotations, ToolSpec
from goose_py.toolbox.repair import repair

FINAL_OUTPUT = "final_output"
WRAPPED = "value"
MISSING = f"Nothing is handed over yet: give your answer by calling {FINAL_OUTPUT}."


def final_output_spec(schema: Mapping[str, Any]) -> ToolSpec:
    """The tool for a response schema. A tool's arguments are an object: a schema of anything else is wrapped into one."""
    return ToolSpec(
        name=FINAL_OUTPUT,
        description=(
            "Hand over your final answer, in exactly this shape. Call it once, when everything else is done; what you only "
            "write as text is not part of the answer."
        ),
        input_schema=dict(schema)
        if _is_object(schema)
        else {
            "type": "object",
            "properties": {WRAPPED: dict(schema)},
            "required": [WRAPPED],
        },
        annotations=ToolAnnotations(read_only=True, destructive=False, idempotent=True, open_world=False),
        trusted=True,
    )


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    call: ToolCall
    spec: ToolSpec
    notes: tuple[str, ...] = ()


class FinalOutputTools:
    """A wrapper of Tools: a call of `final_output` whose arguments fit the schema becomes the event `FinalOutput`; one that
    does not fit is answered with what is wrong."""

    def __init__(self, tools: Tools, schema: Mapping[str, Any], emit: Emit) -> None:
        self._tools = tools
        self._emit = emit
        self._wrapped = not _is_object(schema)
        self._spec = final_output_spec(schema)

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(sorted((*self._tools.specs(), self._spec), key=lambda spec: spec.name))

    def resolve(self, call: ToolCall) -> Resolved | str:
        if call.name != FINAL_OUTPUT:
            return self._tools.resolve(call)
        mended = repair(call.arguments, self._spec.input_schema)
        if isinstance(mended, str):
            return f"{FINAL_OUTPUT}: {mended}"
        meant = ToolCall(id=call.id, name=FINAL_OUTPUT, arguments=mended.arguments)
        return _Answer(call=meant, spec=self._spec, notes=mended.notes)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        if call.name != FINAL_OUTPUT:
            return await self._tools.call(call, on_output)
        self._emit(FinalOutput(value=call.arguments[WRAPPED] if self._wrapped else call.arguments))
        return ToolResult(call_id=call.id, content=(Text("The final answer is recorded."),))


def _is_object(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" or ("type" not in schema and "properties" in schema)
