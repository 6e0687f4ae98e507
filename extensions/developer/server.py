"""The tools over MCP, for clients in other processes: `_meta` and progress notifications carry what `tools` says.

Progress is sent only if the call carries a progress token (`call_tool(..., progress_callback=...)`): `message` is the text,
`progress` the bytes, `total` is absent.
"""

import tomllib
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ImageContent,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
    Tool,
)

from .refusal import Refused
from .tool import Image, Text
from .tools import Tools, bind, tool_list

Request = ServerRequestContext[Tools]


class DeveloperServer(Server[Tools]):
    async def run_stdio_async(self) -> None:
        """Serves over the standard input and output of this process until the client closes them."""
        async with stdio_server() as (from_client, to_client):
            await self.run(from_client, to_client, self.create_initialization_options())


def manifest() -> dict[str, str]:
    """The fields of extension.toml."""
    return tomllib.loads(Path(__file__).with_name("extension.toml").read_text("utf-8"))


def create_server(workspace: Path, *args: Any, **options: Any) -> DeveloperServer:
    """The server for one workspace folder, whose clients each have a connection of their own: see `tools.bind`."""
    connect = bind(workspace, *args, **options)

    def connection(_: Server[Tools]) -> AbstractAsyncContextManager[Tools]:
        return connect()

    about = manifest()
    return DeveloperServer(
        about["name"],
        description=about["description"],
        instructions=about["instructions"],
        version=about["version"],
        lifespan=connection,
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )


async def _list_tools(ctx: Request, params: PaginatedRequestParams | None) -> ListToolsResult:
    return ListToolsResult(tools=[Tool.model_validate(tool) for tool in tool_list()])


async def _call_tool(ctx: Request, params: CallToolRequestParams) -> CallToolResult:
    async def progress(size: int, text: str) -> None:
        await ctx.session.report_progress(size, message=text)

    result = await ctx.lifespan_context.call(params.name, params.arguments or {}, meta=ctx.meta, progress=progress)
    return CallToolResult(
        content=[_block(part) for part in result.content],
        is_error=result.is_error,
        _meta=dict(result.meta) or None,
    )


def _block(part: Text | Image) -> TextContent | ImageContent:
    if isinstance(part, Text):
        return TextContent(text=part.text)
    return ImageContent(data=part.data, mime_type=part.mime_type)


async def serve(workspace: Path, state: Path | None, env: Mapping[str, str]) -> None:
    """Serves over the standard input and output of this process until the client closes them. Raises Refused."""
    await create_server(workspace, state=state, env=env).run_stdio_async()


__all__ = ["DeveloperServer", "Refused", "create_server", "manifest", "serve", "tool_list"]
