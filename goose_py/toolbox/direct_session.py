"""A bundled extension that is called in this process, without MCP between: its results are what its server would answer."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import anyio

from goose_py.toolbox.mcp_session import CallFailed, ConnectFailed, Reply
from goose_py.toolbox.names import RemoteTool, remote_tools

Connect = Callable[[], AbstractAsyncContextManager[Any]]


class DirectSession:
    """See `mcp_session.Session`. `connect` opens the extension's tools: what it gives has `listed()`, the answer to
    `tools/list`, and `call(name, arguments, meta=..., progress=...)`, whose result has `content`, `is_error` and `meta`."""

    era = ""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._running: dict[asyncio.Task[Any], anyio.CancelScope] = {}
        self.changed = asyncio.Event()
        self.lost = asyncio.Event()

    async def run(self, serve: Callable[[], Awaitable[None]], timeout: float) -> None:
        """Nothing is waited for, so that nothing can take too long."""
        try:
            async with self._connect() as self._tools:
                try:
                    await serve()
                finally:
                    await self._end_calls()
        except (ConnectFailed, CallFailed):
            raise
        except Exception as error:
            raise ConnectFailed(str(error) or type(error).__name__) from error

    async def watch(self) -> None:
        """Its tools stay as they are."""

    async def list_tools(self) -> tuple[RemoteTool, ...]:
        return remote_tools(self._tools.listed())

    async def call(
        self,
        tool: str,
        arguments: dict[str, Any],
        *,
        meta: dict[str, Any],
        on_progress: Callable[[str], None],
        timeout: float,
        limit: float,
    ) -> Reply:
        """The tool runs in a task of its own, as in a server: who is told to stop has what it started to end, and whoever
        stops waiting need not wait for that."""
        loop = asyncio.get_running_loop()
        end = loop.time() + limit
        scope = anyio.CancelScope()

        async def progressed(size: int, text: str) -> None:
            if not (scope.cancel_called or clock.expired()):
                clock.reschedule(min(loop.time() + timeout, end))
                on_progress(text)

        async def work() -> Any:
            with scope:
                return await self._tools.call(tool, arguments, meta=meta, progress=progressed)

        try:
            async with asyncio.timeout(timeout) as clock:
                working = asyncio.create_task(work(), name=f"tool {tool}")
                self._running[working] = scope
                working.add_done_callback(self._running.pop)
                await asyncio.wait([working])
        except TimeoutError:
            raise CallFailed("", timed_out=True) from None
        finally:
            scope.cancel()
        result = working.result()
        if result is None:
            raise CallFailed("the connection was closed", lost=True)
        return Reply(content=result.content, is_error=result.is_error, meta=result.meta)

    async def _end_calls(self) -> None:
        for scope in self._running.values():
            scope.cancel()
        if self._running:
            await asyncio.wait(self._running)
