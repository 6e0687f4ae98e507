"""The worker's end of a task's socket: any number of consumers, each from where it left off."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

from goose_py.protocol.codec import CodecError, decode_request, encode
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import Record
from goose_py.protocol.frames import Attach, Attached, Ephemeral, FromWorker, Recorded, Reply, Send
from goose_py.session.bus import Bus
from goose_py.tasks.client import FRAME_LIMIT


class TaskServer:
    """`history` reads all records so far; `perform` carries out a command and raises GooseError where it cannot.

    The socket can be opened by its owner only (mode 0600 in a folder of mode 0700)."""

    def __init__(
        self,
        session_id: str,
        bus: Bus,
        history: Callable[[], Iterable[Record]],
        perform: Callable[[AnyCommand], Awaitable[None]],
    ) -> None:
        self._session_id = session_id
        self._bus = bus
        self._history = history
        self._perform = perform
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    @property
    def attached(self) -> int:
        return len(self._connections)

    async def listen(self, socket: Path) -> None:
        """Replaces a socket that a dead worker left: the log's lock has already settled that we are the only one."""
        socket.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        socket.unlink(missing_ok=True)
        mask = os.umask(0o177)
        try:
            self._server = await asyncio.start_unix_server(self._connected, str(socket), limit=FRAME_LIMIT)
        finally:
            os.umask(mask)

    async def close(self) -> None:
        """Lets every consumer read what there is, then ends the connections."""
        if self._server is not None:
            self._server.close()
        self._bus.close()
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=2)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    async def connections_changed(self) -> None:
        """Returns when a consumer came or went since the last call."""
        await self._changed.wait()
        self._changed.clear()

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        self._changed.set()
        task.add_done_callback(self._disconnected)

    def _disconnected(self, task: "asyncio.Task[None]") -> None:
        self._connections.discard(task)
        self._changed.set()
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, OSError):
            raise error

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            if not isinstance(request, Attach):
                return
            # Subscribed before the log is read, and both in this loop: no record falls between.
            subscription = self._bus.subscribe()
            sending = asyncio.ensure_future(self._send_all(writer, subscription, request.after))
            receiving = asyncio.ensure_future(self._receive(reader, writer))
            try:
                await asyncio.wait({sending, receiving}, return_when=asyncio.FIRST_COMPLETED)
            finally:
                subscription.close()
                receiving.cancel()
                sending.cancel()
                await asyncio.wait({sending, receiving})
        finally:
            writer.close()

    async def _send_all(self, writer: asyncio.StreamWriter, subscription, after: int) -> None:  # type: ignore[no-untyped-def]
        records = [record for record in self._history() if record.seq > after]
        last = records[-1].seq if records else after
        _write(writer, Attached(session_id=self._session_id, last_seq=last, pid=os.getpid()))
        for record in records:
            _write(writer, Recorded(record=record))
            await writer.drain()
        async for item in subscription:
            if isinstance(item, Record):
                if item.seq > last:
                    _write(writer, Recorded(record=item))
            else:
                _write(writer, Ephemeral(delta=item))
            await writer.drain()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        performing: set[asyncio.Task[None]] = set()
        while (request := await _read(reader)) is not None:
            if isinstance(request, Send):
                task = asyncio.ensure_future(self._answer(request, writer))
                performing.add(task)
                task.add_done_callback(performing.discard)

    async def _answer(self, request: Send, writer: asyncio.StreamWriter) -> None:
        error = ""
        try:
            await self._perform(request.command)
        except GooseError as refusal:
            error = str(refusal)
        if not writer.is_closing():
            _write(writer, Reply(ref=request.ref, error=error))


def _write(writer: asyncio.StreamWriter, frame: FromWorker) -> None:
    writer.write(encode(frame) + b"\n")


async def _read(reader: asyncio.StreamReader):  # type: ignore[no-untyped-def]
    while True:
        try:
            line = await reader.readuntil(b"\n")
        except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            return None
        try:
            return decode_request(line)
        except CodecError:
            continue
