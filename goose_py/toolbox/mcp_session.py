"""A live connection as the rest of the toolbox sees it: `wire.client` speaks MCP, `direct_session` calls functions."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec

from goose_py.protocol.errors import GooseError
from goose_py.toolbox.names import RemoteTool


class ConnectFailed(GooseError):
    """No connection could be made, or it broke. The message says why, as a sentence's end."""


class CallFailed(GooseError):
    """The server gave no result. `lost`: the connection is gone with it. `timed_out`: it gave no sign of life in time and
    was told to stop."""

    def __init__(self, message: str, *, lost: bool = False, timed_out: bool = False) -> None:
        super().__init__(message)
        self.lost = lost
        self.timed_out = timed_out


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """`content` are content blocks with the attributes of MCP's, `meta` what the server says beside. A result beyond the
    size that is read at all has `size` (bytes), and the beginning of its text in `text`, instead."""

    content: tuple[Any, ...] = ()
    structured: Any = None
    is_error: bool = False
    text: str = ""
    size: int = 0
    meta: Mapping[str, Any] = {}


class Session(Protocol):
    lost: asyncio.Event
    """Set when the server is gone, where the transport can tell."""

    changed: asyncio.Event
    """Set when the server says that its tools are others now; whoever lists them clears it before."""

    @property
    def era(self) -> str:
        """ "legacy" or "modern"; see `approved_tools.Listing`. "" where no MCP is spoken."""
        ...

    async def run(self, serve: Callable[[], Awaitable[None]], timeout: float) -> None:
        """Connect within `timeout` seconds, await `serve`, disconnect. Everything else here is for while `serve` runs.
        Raises ConnectFailed where the connection cannot be made or breaks; in any case nothing is left behind."""
        ...

    async def watch(self) -> None:
        """Set `changed` when the server announces it; returns where it will not announce anything (any more)."""
        ...

    async def list_tools(self) -> tuple[RemoteTool, ...]:
        """Raises CallFailed."""
        ...

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
        """`meta` goes to the server beside the arguments. `timeout` seconds without progress, or `limit` in all, end the
        call; time in which a person is asked does not count. `on_progress` gets each message. Raises CallFailed. Cancelling it
        tells the server to stop."""
        ...
