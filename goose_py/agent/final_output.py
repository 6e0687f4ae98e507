"""The structured answer of a recipe with a response schema: a tool whose arguments are the answer."""

from collections.abc import Mapping
from typing import Any

from goose_py.agent.own_tool import OwnTool
from goose_py.agent.ports import Emit, Tools
from goose_py.protocol.events import FinalOutput
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.tools import ToolAnnotations, ToolSpec

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


class FinalOutputTools(OwnTool):
    """A wrapper of Tools: a call of `final_output` whose arguments fit the schema becomes the event `FinalOutput`; one that
    does not fit is answered with what is wrong."""

    def __init__(self, tools: Tools, schema: Mapping[str, Any], emit: Emit) -> None:
        super().__init__(tools, final_output_spec(schema))
        self._emit = emit
        self._wrapped = not _is_object(schema)

    def _answer(self, call: ToolCall) -> ToolResult:
        self._emit(FinalOutput(value=call.arguments[WRAPPED] if self._wrapped else call.arguments))
        return ToolResult(call_id=call.id, content=(Text("The final answer is recorded."),))


def _is_object(schema: Mapping[str, Any]) -> bool:
    return schema.get("type") == "object" or ("type" not in schema and "properties" in schema)
