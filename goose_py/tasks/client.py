"""A consumer's end of a task's socket."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from goose_py.protocol.codec import CodecError, decode_frame, encode
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.frames import WIRE_VERSION, Attach, Attached, Ephemeral, FromWorker, Recorded, Reply, Send

FRAME_LIMIT = 64 * 1024 * 1024
ONLY_NEW = 1 << 62
"""For `after`: nothing that is on record already."""


class WorkerGone(GooseError):
    """The worker ended, or is not there. The task itself is unharmed: its log has everything."""


class TaskClient:
    """Made by `connect`. One reader: iterate `frames` in one place; `send` may be called from anywhere meanwhile."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, attached: Attached) -> None:
        self.attached = attached
        self._reader = reader
        self._writer = writer
        self._replies: dict[int, asyncio.Future[Reply]] = {}
        self._ref = 0
        self._gone = False

    @classmethod
    async def connect(cls, socket: Path, after: int = 0) -> "TaskClient":
        """Raises WorkerGone where nobody listens, UserError where the worker speaks another version."""
        try:
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=FRAME_LIMIT)
        except OSError as error:
            raise WorkerGone(f"No worker of this task is running ({error.strerror}).") from None
        writer.write(encode(Attach(after=after)) + b"\n")
        first = await _read(reader)
        if not isinstance(first, Attached):
            writer.close()
            raise WorkerGone("The worker of this task ended while it was being reached.")
        if first.version != WIRE_VERSION:
            writer.close()
            raise UserError("The task is run by another version of goose-py; stop it with that one first.")
        return cls(reader, writer, first)

    async def send(self, command: AnyCommand) -> None:
        """Returns when the worker has taken the command. Raises UserError with its words where it did not, WorkerGone."""
        if self._gone:
            raise WorkerGone("The worker of this task has ended.")
        self._ref += 1
        future: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._replies[self._ref] = future
        self._writer.write(encode(Send(ref=self._ref, command=command)) + b"\n")
        try:
            await self._writer.drain()
            reply = await future
        except OSError:
            raise WorkerGone("The worker of this task has ended.") from None
        if reply.error:
            raise UserError(reply.error)

    async def frames(self) -> AsyncIterator[Recorded | Ephemeral]:
        """Everything after `after`, in order; ends when the worker does."""
        try:
            while (frame := await _read(self._reader)) is not None:
                if isinstance(frame, Reply):
                    future = self._replies.pop(frame.ref, None)
                    if future is not None and not future.done():
                        future.set_result(frame)
                elif isinstance(frame, (Recorded, Ephemeral)):
                    yield frame
        finally:
            self._gone = True
            for future in self._replies.values():
                if not future.done():
                    future.set_exception(WorkerGone("The worker of this task has ended."))
            self._replies.clear()

    @asynccontextmanager
    async def sending(self) -> AsyncIterator["TaskClient"]:
        """For whoever only sends: what the task says meanwhile is passed over. Closes the connection at the end."""
        reading = asyncio.ensure_future(self._pass_over())
        try:
            yield self
        finally:
            await self.close()
            await reading

    async def _pass_over(self) -> None:
        async for _ in self.frames():
            pass

    async def close(self) -> None:
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except OSError:
            pass


async def _read(reader: asyncio.StreamReader) -> FromWorker | None:
    """One frame; None at the end. Frames of a kind that this version does not know are passed over."""
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        except asyncio.LimitOverrunError:
            return None
        try:
            return decode_frame(line)
        except CodecError:
            continue
