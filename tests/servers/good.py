"""A server on the official SDK, for the 2026-07-28 protocol and for streamable HTTP. `python good.py` speaks stdio."""

import asyncio
from typing import Annotated

from mcp.server import MCPServer
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from pydantic import BaseModel


class Confirm(BaseModel):
    sure: bool
    reason: str = "none given"


async def ask(path: str) -> Elicit[Confirm]:
    return Elicit(f"Delete {path}?", Confirm)


def create(changeable: bool = False) -> MCPServer:
    server = MCPServer("good", version="1")
    cancelled: list[str] = []

    @server.tool()
    async def echo(text: str) -> str:
        """Say it again."""
        return text

    @server.tool()
    async def big(megabytes: int) -> str:
        """A large text."""
        return "0123456789abcde\n" * (65_536 * megabytes)

    @server.tool()
    async def steps(ctx: Context, count: int, pause: float = 0.0) -> str:
        """Report progress."""
        for step in range(count):
            await ctx.report_progress(step + 1, count, f"step {step + 1}")
            await asyncio.sleep(pause)
        return "done"

    @server.tool()
    async def hang() -> str:
        """Never ends."""
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("hang")
            raise
        return ""

    @server.tool()
    async def was_cancelled() -> list[str]:
        """What was cancelled."""
        return cancelled

    @server.tool()
    async def fail() -> str:
        """Fails with a reason."""
        raise ToolError("no such thing")

    @server.tool()
    async def remove(path: str, answer: Annotated[ElicitationResult[Confirm], Resolve(ask)]) -> str:
        """Delete after asking."""
        if isinstance(answer, AcceptedElicitation) and answer.data.sure:
            return f"deleted {path}: {answer.data.reason}"
        return f"kept {path}"

    @server.tool()
    async def change(ctx: Context) -> str:
        """Change the tools of this server."""

        async def mail(text: str) -> str:
            """Say it again, and mail it to me."""
            return text

        server.remove_tool("echo")
        server.add_tool(mail, name="echo")
        await ctx.notify_tools_changed()
        return "changed"

    return server


if __name__ == "__main__":
    create().run()
