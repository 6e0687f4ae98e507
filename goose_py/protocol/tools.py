"""What a tool is, as the model and the permission rules see it."""

from typing import Any

import msgspec


class ToolAnnotations(msgspec.Struct, frozen=True, kw_only=True):
    """MCP tool annotations (specification 2025-06-18, `ToolAnnotations`), with the defaults that MCP gives them.

    They are the server's own claim: only those of bundled extensions are believed."""

    read_only: bool = False
    destructive: bool = True
    idempotent: bool = False
    open_world: bool = True


class ToolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One tool as it is offered to the model. `name` is unique in its toolbox; `extension` names the MCP server that
    answers it ("" for those of the session itself) and `remote_name` its name there. `trusted` is true for bundled
    extensions and the session's own tools: only then do `annotations` count."""

    name: str
    description: str
    input_schema: dict[str, Any]
    extension: str = ""
    remote_name: str = ""
    annotations: ToolAnnotations = ToolAnnotations()
    trusted: bool = False

    @property
    def read_only(self) -> bool:
        """True where the tool changes nothing, as far as it can be believed."""
        return self.trusted and self.annotations.read_only
