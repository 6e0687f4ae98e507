"""The app's tie to one task: a state that grows with what the worker says, and a way to say something back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Literal

from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import GooseError
from goose_py.protocol.frames import Recorded
from goose_py.tui.services import Connection
from goose_py.tui.state.cases.turns import cut_off
from goose_py.tui.state.reducer import reduce
from goose_py.tui.state.view_state import ViewState

BATCH = 200
"""Records that are taken in before other things get a turn."""


class Attachment:
    """`run` reads until the worker ends; then it can be run again, and goes on where it stopped. `version` grows with every
    change, so that a timer can tell whether there is something to draw. `state` is what the worker has said; where it ended in
    the middle of a turn, with that turn cut off, which nobody has written down yet."""

    def __init__(
        self,
        task_id: str,
        connect: Callable[[str, int], Awaitable[Connection]],
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.task_id = task_id
        self.state = self._said = ViewState()
        self.version = 0
        self.status: Literal["connecting", "attached", "gone", "failed"] = "connecting"
        self.problem = ""
        self._connect = connect
        self._changed = changed
        self._connection: Connection | None = None
        self._connected = asyncio.Event()

    def restarting(self) -> None:
        """`run` is about to be called again: what is sent from now on waits for it."""
        self._connected.clear()
        self._set("connecting")

    async def connect(self) -> None:
        """Raises GooseError where the worker could not be reached; `status` and `problem` say so too."""
        self.restarting()
        try:
            self._connection = await self._connect(self.task_id, self._said.seq)
        except GooseError as error:
            self._set("failed", str(error))
            raise
        finally:
            self._connected.set()
        self._set("attached")

    async def run(self) -> None:
        """Returns when the worker is gone or could not be reached; `status` and `problem` say which and why."""
        if self._connection is None:
            try:
                await self.connect()
            except GooseError:
                return
        assert self._connection is not None
        try:
            await self._read(self._connection)
        finally:
            connection, self._connection = self._connection, None
            self.state = cut_off(self._said)
            self._set("gone")
            await connection.close()

    async def _read(self, connection: Connection) -> None:
        taken = 0
        async for frame in connection.frames():
            self.state = self._said = reduce(self._said, frame.record if isinstance(frame, Recorded) else frame.delta)
            self.version += 1
            self._changed()
            taken += 1
            if taken % BATCH == 0:
                await asyncio.sleep(0)

    async def send(self, command: AnyCommand) -> None:
        """Waits for the connection first. Raises GooseError with one sentence where the command was not taken."""
        await self._connected.wait()
        if self._connection is None:
            raise GooseError(self.problem or "The worker of this task has ended.")
        await self._connection.send(command)

    def _set(self, status: Literal["connecting", "attached", "gone", "failed"], problem: str = "") -> None:
        self.status = status
        self.problem = problem
        self.version += 1
        self._changed()
