"""The life of one server: started when first needed, watched, started again when it dies, ended for certain.

One task owns it from beginning to end, because the SDK's client must be left by the task that entered it, and because a
failure of one server must reach nothing else.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Literal

from goose_py.protocol.errors import GooseError
from goose_py.toolbox.mcp_session import CallFailed, Reply, Session
from goose_py.toolbox.names import RemoteTool
from goose_py.toolbox.server_log import plain

BACKOFF = (0.5, 2.0, 8.0)
"""Seconds before each restart of a server that died; when they are used up it stays down until it is asked for."""

PROBE_TIMEOUT = 10.0
LISTING_TIMEOUT = 30.0
_MAX_CALL = 12.0
"""A call that keeps reporting progress is ended after this many of its timeouts: progress alone proves nothing."""

_CLOSE_GRACE = 6.0
_MAX_REASON = 2000

Phase = Literal["idle", "connecting", "ready", "listing", "failed", "closed"]
Notice = Literal["ready", "failed", "restarted", "closed"]


class Connection:
    """`make` builds a session that is not yet connected; `on_listing` gets the server's tools whenever they were asked
    for, before calls go on; `on_notice` hears of every change that a person should know of."""

    def __init__(
        self,
        make: Callable[[], Awaitable[Session]],
        *,
        name: str,
        startup_timeout: float,
        on_listing: Callable[[tuple[RemoteTool, ...], str], None],
        on_notice: Callable[[Notice, str], None],
        tail: Callable[[], str] = str,
        backoff: tuple[float, ...] = BACKOFF,
        probe_timeout: float = PROBE_TIMEOUT,
    ) -> None:
        self._make = make
        self._name = name
        self._startup_timeout = startup_timeout
        self._on_listing = on_listing
        self._on_notice = on_notice
        self._tail = tail
        self._backoff = backoff
        self._probe_timeout = probe_timeout
        self._session: Session | None = None
        self._task: asyncio.Task[None] | None = None
        self._phase_changed = asyncio.Event()
        self._stop = asyncio.Event()
        self._wanted = asyncio.Event()
        self._suspect = asyncio.Event()
        self._failures = 0
        self._was_ready = False
        self.phase: Phase = "idle"
        self.detail = ""

    def start(self) -> None:
        """Begin to connect, if that has not begun."""
        if self._task is None:
            self._set("connecting")
            self._task = asyncio.create_task(self._own(), name=f"extension {self._name}")

    def restart(self) -> None:
        """End the server if it runs and start it; however often it failed, and without a wait."""
        self._failures = 0
        self._wanted.set()
        self.start()

    async def settled(self) -> None:
        """Wait until it is known whether it can be used."""
        while self.phase in ("idle", "connecting"):
            await self._phase_changed.wait()

    async def ready(self) -> Session:
        """The session, once it is connected and its tools are listed; starts it where that is needed.

        Raises CallFailed where it cannot be had."""
        self.start()
        asked = False
        while self.phase != "ready":
            if self.phase == "closed":
                raise CallFailed("it has been closed", lost=True)
            if self.phase == "failed":
                if asked or self._failures > len(self._backoff):
                    raise CallFailed(self.detail, lost=True)
                asked = True
                self._wanted.set()
            await self._phase_changed.wait()
        assert self._session is not None
        return self._session

    async def call(
        self,
        session: Session,
        tool: str,
        arguments: dict[str, Any],
        *,
        meta: dict[str, Any],
        on_progress: Callable[[str], None],
        timeout: float,
    ) -> Reply:
        """Call a tool of the session that `ready` gave. Raises CallFailed.

        A call that was lost with its server is not sent again: nobody knows what it did."""
        try:
            reply = await session.call(
                tool, arguments, meta=meta, on_progress=on_progress, timeout=timeout, limit=timeout * _MAX_CALL
            )
        except CallFailed as error:
            if error.timed_out:
                self._suspect.set()
            elif error.lost:
                session.lost.set()
            else:
                self._failures = 0
            raise
        self._failures = 0
        return reply

    async def close(self) -> None:
        """End the server and wait until it is gone: a few seconds at most."""
        self._stop.set()
        if self._task is not None:
            if self.phase not in ("ready", "failed"):
                self._task.cancel()  # it waits for a server that has not answered yet
            done, _ = await asyncio.wait([self._task], timeout=_CLOSE_GRACE)
            if not done:
                self._task.cancel()
                await asyncio.wait([self._task], timeout=_CLOSE_GRACE)
        if self.phase != "closed":
            self._set("closed")
            self._on_notice("closed", "")

    # The owner task

    async def _own(self) -> None:
        while not self._stop.is_set():
            self._set("connecting")
            reason = await self._live()
            if self._stop.is_set():
                return
            self._failures += 1
            if self._was_ready and self._failures <= len(self._backoff):
                attempt = f"it is started again ({self._failures} of {len(self._backoff)})"
                self._fail(f"{reason}; {attempt}", "connecting")
                await self._first(self._stop, self._wanted, timeout=self._backoff[self._failures - 1])
            else:
                self._fail(reason, "failed")
                await self._first(self._stop, self._wanted)
            self._wanted.clear()

    async def _live(self) -> str:
        """One life of the server; why it ended."""
        session: Session | None = None
        try:
            session = await self._make()
            current = session
            await session.run(lambda: self._serve(current), self._startup_timeout)
        except GooseError as error:
            return str(error)
        except Exception as error:  # noqa: BLE001 (the root of this task: whatever a server does ends here)
            return f"{type(error).__name__}: {error}"
        finally:
            self._session = None
        return "the server ended"

    async def _serve(self, session: Session) -> None:
        await self._list(session)
        self._session = session
        self._wanted.clear()
        self._set("ready")
        self._on_notice("restarted" if self._was_ready else "ready", "")
        self._was_ready = True
        watching = asyncio.create_task(session.watch(), name=f"extension {self._name} watch")
        try:
            while True:
                await self._first(self._stop, session.lost, session.changed, self._suspect, self._wanted)
                if self._stop.is_set():
                    return
                if self._wanted.is_set():
                    raise CallFailed("it is restarted as asked", lost=True)
                if session.lost.is_set():
                    raise CallFailed("the connection was lost", lost=True)
                self._set("listing")
                await self._list(session, self._probe_timeout if self._suspect.is_set() else LISTING_TIMEOUT)
                self._suspect.clear()
                self._set("ready")
        finally:
            self._suspect.clear()
            watching.cancel()
            await asyncio.wait([watching])

    async def _list(self, session: Session, timeout: float = LISTING_TIMEOUT) -> None:
        session.changed.clear()
        try:
            async with asyncio.timeout(timeout):
                tools = await session.list_tools()
        except TimeoutError:
            raise CallFailed(f"the server did not list its tools within {timeout:g} s") from None
        self._on_listing(tools, session.era)

    async def _first(self, *events: asyncio.Event, timeout: float | None = None) -> None:
        """Wait until one of the events is set."""
        waiting = [asyncio.create_task(event.wait()) for event in events]
        try:
            await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in waiting:
                task.cancel()

    def _fail(self, reason: str, phase: Phase) -> None:
        tail = self._tail()
        reason = plain(reason)[:_MAX_REASON]
        self.detail = f"{reason}\n{tail}" if tail else reason
        self._set(phase)
        self._on_notice("failed", self.detail)

    def _set(self, phase: Phase) -> None:
        self.phase = phase
        changed, self._phase_changed = self._phase_changed, asyncio.Event()
        changed.set()
