"""How a function becomes a tool: a flat schema without noise, and errors that are one clear sentence."""

from collections.abc import Awaitable, Callable
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.tools import Tool
from mcp.types import ToolAnnotations
from pydantic import ValidationError

from .refusal import Refused


class DeveloperTool(Tool):
    """A tool whose every failure reaches the model as the bare sentence that says what is wrong."""

    async def run(self, arguments: dict[str, Any], context: Context, convert_result: bool = False) -> Any:
        unknown = sorted(set(arguments) - set(self.parameters["properties"]))
        if unknown:
            known = ", ".join(self.parameters["properties"])
            raise ToolError(f"{self.name} has no argument {', '.join(map(repr, unknown))}; its arguments are {known}.")
        try:
            return await super().run(arguments, context, convert_result)
        except ToolError as error:
            if isinstance(error.__cause__, Refused):
                raise ToolError(str(error.__cause__)) from error.__cause__
            if isinstance(error.__cause__, ValidationError):
                raise ToolError(f"{self.name}: {_what_is_wrong(error.__cause__)}.") from error.__cause__
            raise


def make_tool(
    function: Callable[..., Awaitable[Any]], name: str, description: str, annotations: ToolAnnotations
) -> Tool:
    """A DeveloperTool of `function`, whose parameters (but the Context) are the arguments, required ones first."""
    tool = DeveloperTool.from_function(
        function, name=name, description=description, annotations=annotations, structured_output=False
    )
    tool.parameters = _flat(tool.parameters)
    return tool


def _flat(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without titles, without nulls for what may just be left out, and closed."""
    properties = {name: _flat_property(value) for name, value in schema.get("properties", {}).items()}
    return {
        "type": "object",
        "properties": properties,
        "required": schema.get("required", []),
        "additionalProperties": False,
    }


def _flat_property(value: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in value.get("anyOf", []) if choice.get("type") != "null"]
    flat = {**(choices[0] if len(choices) == 1 else {}), **value}
    if len(choices) == 1:
        del flat["anyOf"]
    flat.pop("title", None)
    if flat.get("default", ...) is None:
        del flat["default"]
    return {key: flat[key] for key in sorted(flat, key=lambda key: key != "type")}


def _what_is_wrong(error: ValidationError) -> str:
    parts = []
    for fault in error.errors(include_url=False):
        name = ".".join(map(str, fault["loc"])) or "the arguments"
        missing = fault["type"] == "missing"
        parts.append(f"the argument {name!r} is missing" if missing else f"{name!r}: {fault['msg'].lower()}")
    return "; ".join(parts)
