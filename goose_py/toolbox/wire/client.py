"""One MCP connection over any transport, in our own words: what leaves this module has no SDK type but the content blocks
of a result, and raises nothing but `ConnectFailed`, `CallFailed` and cancellation."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from mcp import Client, MCPError
from mcp.client.subscriptions import SubscriptionLost
from mcp_types import (
    CONNECTION_CLOSED,
    METHOD_NOT_FOUND,
    ElicitResult,
    Implementation,
    ListRootsResult,
    Root,
    ToolListChangedNotification,
)
from mcp_types.version import MODERN_PROTOCOL_VERSIONS

from goose_py.toolbox.elicitation import Answer, Ask, Question, with_defaults
from goose_py.toolbox.mcp_session import CallFailed, ConnectFailed, Reply
from goose_py.toolbox.names import RemoteTool, remote_tools
from goose_py.toolbox.wire.http import HttpTransport
from goose_py.toolbox.wire.stdio import RESULT_CUT, StdioTransport

_MAX_PAGES = 100
_MAX_TOOLS = 2000
_EXPECTED = (MCPError, OSError, RuntimeError, ValueError, httpx2.HTTPError, TimeoutError)
"""What calling through the SDK raises for a server's faults: protocol errors, broken pipes, results that do not conform to
the declared schema (RuntimeError, pydantic's ValueError), HTTP failures."""


def quiet_sdk() -> None:
    """Keep the SDK's logging off the terminal. A logger without any handler prints warnings on stderr, and creating an
    `MCPServer` installs one that does where the root logger has none."""
    root = logging.getLogger()
    if not root.handlers:
        root.addHandler(logging.NullHandler())


class McpSession:
    """See `mcp_session.Session`. `run` belongs to one task: the SDK's client must be left by the task that entered it."""

    def __init__(
        self,
        target: Any,
        *,
        extension: str,
        version: str,
        workspace_uri: str,
        ask: Ask | None,
        era: str = "",
    ) -> None:
        quiet_sdk()
        self._target = target
        self._extension = extension
        self._root = workspace_uri
        self._ask = ask
        self._calls: dict[asyncio.Timeout, float] = {}
        self._asking = 0
        self.changed = asyncio.Event()
        self.lost = target.lost if isinstance(target, StdioTransport) else asyncio.Event()
        self._client = Client(
            target,
            mode="legacy" if era == "legacy" else "auto",
            list_roots_callback=self._list_roots,
            elicitation_callback=self._elicit if ask is not None else _decline,
            message_handler=self._notice,
            client_info=Implementation(name="goose-py", version=version),
            cache=None,
        )

    @property
    def era(self) -> str:
        return "modern" if self._client.protocol_version in MODERN_PROTOCOL_VERSIONS else "legacy"

    async def run(self, serve: Callable[[], Awaitable[None]], timeout: float) -> None:
        try:
            async with contextlib.AsyncExitStack() as stack:
                await self._enter(stack, timeout)
                await serve()
        except (ConnectFailed, CallFailed):
            raise
        except Exception as error:
            raise ConnectFailed(self._why(error)) from error

    async def _enter(self, stack: contextlib.AsyncExitStack, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await stack.enter_async_context(self._client)
        except TimeoutError:
            raise ConnectFailed(f"the server did not answer within {timeout:g} s") from None
        except (FileNotFoundError, PermissionError, NotADirectoryError) as error:
            where = f": {error.filename}" if error.filename else ""
            raise ConnectFailed(f"it cannot be started: {error.strerror}{where}") from error

    async def watch(self) -> None:
        """Set `changed` whenever the server says that its tools changed. Returns where it will not say so."""
        capabilities = self._client.server_capabilities
        if self.era != "modern" or capabilities.tools is None or not capabilities.tools.list_changed:
            return  # earlier versions notify unasked: see `_notice`
        while not self.lost.is_set():
            try:
                async with self._client.listen(tools_list_changed=True) as events:
                    async for _ in events:
                        self.changed.set()
                return
            except SubscriptionLost:
                self.changed.set()
            except _EXPECTED:
                return

    async def list_tools(self) -> tuple[RemoteTool, ...]:
        tools: list[RemoteTool] = []
        cursor: str | None = None
        try:
            for _ in range(_MAX_PAGES):
                page = await self._client.list_tools(cursor=cursor)
                listed = [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in page.tools]
                tools += remote_tools(listed)
                cursor = page.next_cursor
                if cursor is None or len(tools) > _MAX_TOOLS:
                    break
        except MCPError as error:
            if error.code == METHOD_NOT_FOUND:
                return ()
            raise CallFailed(self._why(error), lost=self._is_lost(error)) from error
        except _EXPECTED as error:
            raise CallFailed(self._why(error), lost=self._is_lost(error)) from error
        return tuple(tools[:_MAX_TOOLS])

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
        loop = asyncio.get_running_loop()
        end = loop.time() + limit

        async def progressed(done: float, total: float | None, message: str | None) -> None:
            if not self._asking:
                clock.reschedule(min(loop.time() + timeout, end))
            on_progress(message or "")

        try:
            async with asyncio.timeout(timeout) as clock:
                self._calls[clock] = timeout
                try:
                    result = await self._client.call_tool(tool, arguments, progress_callback=progressed, meta=meta or None)
                finally:
                    del self._calls[clock]
        except TimeoutError as error:
            if clock.expired():
                raise CallFailed("", timed_out=True) from None
            raise CallFailed(self._why(error)) from error
        except MCPError as error:
            if error.code == RESULT_CUT:
                return Reply(text=error.data["text"], size=error.data["size"])
            raise CallFailed(self._why(error), lost=self._is_lost(error)) from error
        except _EXPECTED as error:
            raise CallFailed(self._why(error), lost=self._is_lost(error)) from error
        return Reply(
            content=tuple(result.content),
            structured=result.structured_content,
            is_error=result.is_error,
            meta=result.meta or {},
        )

    def _is_lost(self, error: BaseException) -> bool:
        if isinstance(error, MCPError):
            ended = "Session terminated" in error.message
            return (error.code == CONNECTION_CLOSED and not error.message.startswith("SSE stream failed")) or ended
        return isinstance(error, OSError | httpx2.TransportError)

    def _why(self, error: BaseException) -> str:
        reasons = list(dict.fromkeys(_leaves(error)))
        if isinstance(self._target, StdioTransport) and (ending := self._target.ending()):
            return f"the server {ending}"
        status = self._target.last_status if isinstance(self._target, HttpTransport) else 0
        if status in (401, 403):
            return f"the server refuses access (HTTP {status}): check the extension's headers and keys"
        if status >= 400:
            return f"HTTP {status}: {'; '.join(reasons)}"
        return "; ".join(reasons)

    # What servers ask of us

    async def _notice(self, message: Any) -> None:
        if isinstance(message, ToolListChangedNotification):
            self.changed.set()

    async def _list_roots(self, context: Any) -> Any:
        return ListRootsResult(roots=[Root(uri=self._root, name="workspace")])

    async def _elicit(self, context: Any, params: Any) -> Any:
        """While a person is asked, no call's time runs."""
        assert self._ask is not None
        schema = getattr(params, "requested_schema", None)
        question = Question(extension=self._extension, message=params.message, schema=schema, url=getattr(params, "url", None))
        answer = await self._while_waiting(self._ask(question))
        content = with_defaults(answer.content, schema) if answer.action == "accept" and schema is not None else None
        return ElicitResult(action=answer.action, content=content)

    async def _while_waiting(self, waiting: Awaitable[Answer]) -> Answer:
        self._asking += 1
        for clock in self._calls:
            clock.reschedule(None)
        try:
            return await waiting
        finally:
            self._asking -= 1
            if not self._asking:
                now = asyncio.get_running_loop().time()
                for clock, timeout in self._calls.items():
                    clock.reschedule(now + timeout)


async def _decline(context: Any, params: Any) -> Any:
    return ElicitResult(action="decline")


def _leaves(error: BaseException) -> list[str]:
    """What a group of errors says, without its wrapping."""
    if isinstance(error, BaseExceptionGroup):
        return [reason for inner in error.exceptions for reason in _leaves(inner)]
    if isinstance(error, MCPError):
        return [error.message]
    return [str(error) or type(error).__name__]
