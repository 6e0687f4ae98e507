"""A stdio server: its process, and its pipes as the SDK's streams.

The SDK's own `stdio_client` reads lines of any length, writes the server's stderr to a text file of ours, and passes each
stray line on as an error; it also waits two seconds for every server that does not go by itself. This one holds at most
`MAX_LINE` bytes, answers a call whose result is longer with what it has of it, puts noise into the journal, and is rid of
the process, its group and its descendants within three seconds, whatever they ignore.
"""

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any

import anyio
from mcp.shared.message import SessionMessage
from mcp_types import ErrorData, JSONRPCError, JSONRPCRequest, JSONRPCResponse, jsonrpc_message_adapter

from goose_py.toolbox import lines
from goose_py.toolbox.processes import ProcessRecord, descendants, kill_exactly, signal_group, start_token
from goose_py.toolbox.server_log import Journal

MAX_LINE = 8 * 1024 * 1024
"""Bytes of one message. A parsed message takes several times its size."""

RESULT_CUT = -32950
"""Our own JSON-RPC error code: the result was longer than MAX_LINE; `data` has its beginning and its size."""

_CHUNK = 256 * 1024
_FLUSH_GRACE = 0.5
_EXIT_GRACE = 1.0
_TERM_GRACE = 1.0
_KILL_GRACE = 1.0
_EXIT_CODE_GRACE = 0.2
_POLL = 0.01


class StdioTransport:
    """The SDK's `Transport`: entering it starts the process, leaving it ends the process.

    `lost` is set when the server's stdout ends. `on_process` is told of the process once it runs, and again with
    `alive` false once it and its group are gone. Raises OSError on entering where it cannot be started."""

    def __init__(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: str,
        journal: Journal,
        extension: str = "",
        on_process: Callable[[ProcessRecord, bool], None] | None = None,
    ) -> None:
        self._argv, self._env, self._cwd = list(argv), dict(env), cwd
        self._journal = journal
        self._extension = extension
        self._on_process = on_process
        self._record: ProcessRecord | None = None
        self._process: Any = None
        self._methods: dict[int | str, str] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._ended = ""
        self._leaving = False
        self.lost = asyncio.Event()

    async def __aenter__(self) -> tuple[Any, Any]:
        self._process = await asyncio.create_subprocess_exec(
            *self._argv,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env=self._env,
            cwd=self._cwd,
            start_new_session=True,
            limit=_CHUNK,
        )
        pid = self._process.pid
        self._record = ProcessRecord(pid=pid, started=start_token(pid), extension=self._extension)
        if self._on_process is not None:
            self._on_process(self._record, True)
        self._to_session, from_server = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        to_server, self._from_session = anyio.create_memory_object_stream[SessionMessage](0)
        self._tasks = [
            asyncio.create_task(self._read_stdout(), name=f"mcp stdout {self._extension}"),
            asyncio.create_task(self._write_stdin(), name=f"mcp stdin {self._extension}"),
            asyncio.create_task(self._read_stderr(), name=f"mcp stderr {self._extension}"),
        ]
        return from_server, to_server

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Cancelling this does not cut it short: every wait in it is bounded."""
        ending = asyncio.create_task(self._end(), name=f"mcp end {self._extension}")
        interrupted: asyncio.CancelledError | None = None
        while not ending.done():
            try:
                await asyncio.shield(ending)
            except asyncio.CancelledError as cancelled:
                if ending.cancelled():
                    raise
                interrupted = cancelled
        ending.result()
        if interrupted is not None:
            raise interrupted

    def ending(self) -> str:
        """How it ended by itself, as the end of a sentence; "" where it did not."""
        return self._ended

    # Towards the session

    async def _read_stdout(self) -> None:
        splitter = lines.LineSplitter(MAX_LINE)
        answered = False
        try:
            while data := await self._process.stdout.read(_CHUNK):
                for line in splitter.feed(data):
                    if isinstance(line, bytes):
                        await self._deliver(self._parse(line))
                    else:
                        answered = await self._cut(line, answered)
            if rest := splitter.rest():
                self._stray(rest)
        finally:
            if not self._leaving:
                await self._note_exit()
            self.lost.set()
            self._to_session.close()

    async def _note_exit(self) -> None:
        """A closed stdout mostly means that the process is gone: wait a moment for its exit code."""
        await self._gone(_EXIT_CODE_GRACE)
        code = self._process.returncode
        if code is None:
            self._ended = "closed its output"
        elif code >= 0:
            self._ended = f"exited with code {code}"
        else:
            self._ended = f"was killed by {_signal_name(-code)}"

    async def _deliver(self, message: Any) -> None:
        if message is None:
            return
        try:
            await self._to_session.send(SessionMessage(message))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the session is over; reading on lets the server end instead of blocking on its pipe

    def _parse(self, line: bytes) -> Any:
        """The message in a line, or None for noise. Banner text without a newline may stand before a message."""
        start = line.find(b"{")
        if start < 0:
            self._stray(line)
            return None
        if line[:start].strip():
            self._stray(line[:start])
            start = max(start, line.find(b'{"'))
        try:
            text = line[start:].decode("utf-8", "replace")
            message = jsonrpc_message_adapter.validate_json(text, by_name=False)
        except ValueError:
            self._stray(line)
            return None
        if isinstance(message, JSONRPCResponse | JSONRPCError) and message.id is not None:
            self._methods.pop(message.id, None)
        return message

    async def _cut(self, line: lines.TooLong, answered: bool) -> bool:
        """Answer the request whose answer is too long, as soon as its id is known; whether it was."""
        if answered:
            return not line.ended
        wanted = lines.answered_id(line)
        if wanted is None or wanted not in self._methods:
            if line.ended:
                self._journal.write(b"[a line of %d bytes on stdout was left out]\n" % line.size)
            return False
        method = self._methods.pop(wanted)
        data = {"text": lines.leading_text(line.head), "size": line.size, "ended": line.ended}
        error = ErrorData(code=RESULT_CUT, message=f"the answer to {method} is longer than {MAX_LINE} bytes", data=data)
        await self._deliver(JSONRPCError(jsonrpc="2.0", id=wanted, error=error))
        return not line.ended

    def _stray(self, line: bytes) -> None:
        if line.strip():
            self._journal.write(b"stdout: " + line[:4096] + b"\n")

    async def _read_stderr(self) -> None:
        while data := await self._process.stderr.read(_CHUNK):
            self._journal.write(data)

    # Towards the server

    async def _write_stdin(self) -> None:
        try:
            async with self._from_session:
                async for item in self._from_session:
                    if isinstance(item.message, JSONRPCRequest):
                        self._methods[item.message.id] = item.message.method
                    text = item.message.model_dump_json(by_alias=True, exclude_unset=True)
                    self._process.stdin.write(text.encode("utf-8", "replace") + b"\n")
                    await self._process.stdin.drain()
        except (OSError, RuntimeError, anyio.ClosedResourceError):
            # Its stdin is closed: whoever waits for an answer must hear of it.
            self.lost.set()
            self._to_session.close()

    # The end

    async def _end(self) -> None:
        process = self._process
        self._leaving = True
        try:
            self._to_session.close()
            await asyncio.wait([self._tasks[1]], timeout=_FLUSH_GRACE)
            with contextlib.suppress(OSError):
                process.stdin.close()
            strays: tuple[tuple[int, str], ...] = ()
            if not await self._gone(_EXIT_GRACE):
                strays = await asyncio.to_thread(_with_tokens, process.pid)
                signal_group(process.pid, signal.SIGTERM)
                await self._gone(_TERM_GRACE)
            signal_group(process.pid, signal.SIGKILL)
            for pid, started in strays:
                kill_exactly(pid, started)
            await self._gone(_KILL_GRACE)
        finally:
            signal_group(process.pid, signal.SIGKILL)
            for task in self._tasks:
                task.cancel()
            # A survivor may hold the pipes' other ends open: asyncio would keep the transport, and wait, for ever.
            process._transport.close()
            if self._record is not None and self._on_process is not None:
                self._on_process(self._record, False)
        await asyncio.wait(self._tasks, timeout=_KILL_GRACE)

    async def _gone(self, seconds: float) -> bool:
        """Whether the process ends within `seconds`. Not `wait()`: that also waits for whoever inherited the pipes."""
        for _ in range(round(seconds / _POLL)):
            if self._process.returncode is not None:
                return True
            await asyncio.sleep(_POLL)
        return self._process.returncode is not None


def _with_tokens(pid: int) -> tuple[tuple[int, str], ...]:
    return tuple((child, start_token(child)) for child in descendants(pid))


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
