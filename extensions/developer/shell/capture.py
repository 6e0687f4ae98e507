"""The output of a command: its head and tail in memory, all of it in a bounded log, and an excerpt for the model."""

import asyncio
import codecs
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from ..display import cut_line, plain, plural, size

HEAD_BYTES = 8_000
TAIL_BYTES = 16_000
OUTPUT_LIMIT = 64_000_000
"""A command that has written this many bytes is ended: its log is complete up to there. A job's log turns over
instead."""

_CHUNK = 65_536
_LIVE_BYTES = 8_000
_LINE_CHARS = 2_000


class Cleaner(Protocol):
    """Takes something out of a stream of bytes; it may hold a part back until `end`."""

    def feed(self, chunk: bytes) -> bytes: ...
    def end(self) -> bytes: ...


class Capture:
    """Takes output in chunks. Memory stays below about 64 KB and the log below OUTPUT_LIMIT, whatever is written.

    The log file is made when the output outgrows memory, or at once with `eager`. It is private (0600). When it
    cannot be written, `log_failure` says why and the excerpt goes on without it. `cleaner` takes out of the log what
    must not be kept.
    """

    def __init__(self, log: Path, *, eager: bool = False, cleaner: Cleaner | None = None) -> None:
        self.log = log
        self.total = 0
        self.newlines = 0
        self.logged = False
        self.log_failure = ""
        self.turned_over = False
        self.rotating = False
        self._cleaner = cleaner
        self._head = bytearray()
        self._tail = bytearray()
        self._file: int | None = None
        self._in_file = 0
        self._live = bytearray()
        self._live_skipped = 0
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        if eager:
            self._open_log()

    @property
    def flooded(self) -> bool:
        return not self.rotating and self.total >= OUTPUT_LIMIT

    def feed(self, chunk: bytes) -> None:
        self.total += len(chunk)
        self.newlines += chunk.count(b"\n")
        if self._file is None and self.total > HEAD_BYTES + TAIL_BYTES and not self.log_failure:
            self._open_log()
            self._write(bytes(self._head + self._tail))
        self._write(chunk)
        self._keep(chunk)
        self._live += chunk
        if len(self._live) > _LIVE_BYTES:
            self._live_skipped += len(self._live) - _LIVE_BYTES
            del self._live[:-_LIVE_BYTES]

    def _keep(self, chunk: bytes) -> None:
        room = HEAD_BYTES - len(self._head)
        if room > 0:
            self._head += chunk[:room]
            chunk = chunk[room:]
        self._tail += chunk[-TAIL_BYTES:]
        if len(self._tail) > 2 * TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]

    def _open_log(self) -> None:
        try:
            self._file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            self.logged = True
        except OSError as error:
            self.log_failure = error.strerror or str(error)

    def _write(self, chunk: bytes) -> None:
        if self._file is not None:
            self._append(chunk if self._cleaner is None else self._cleaner.feed(chunk))

    def _append(self, chunk: bytes) -> None:
        assert self._file is not None
        try:
            if self.rotating and self._in_file > OUTPUT_LIMIT // 2:
                self._turn_over()
            self._in_file += len(chunk)
            left = memoryview(chunk)
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            self.log_failure = error.strerror or str(error)
            self._close_log()

    def _turn_over(self) -> None:
        """The log so far becomes `NAME.1`, in place of an older one; writing goes on in an empty file."""
        assert self._file is not None
        os.replace(self.log, self.log.with_name(self.log.name + ".1"))  # noqa: PTH105
        os.close(self._file)
        self._file = None
        self._file = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._in_file = 0
        self.turned_over = True

    def close(self) -> None:
        if self._file is not None and self._cleaner is not None:
            self._append(self._cleaner.end())
        self._close_log()

    def _close_log(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def take_live(self) -> str:
        """What was written since this was last called, decoded; of a great deal only the end, and that is said."""
        raw, skipped = bytes(self._live), self._live_skipped
        self._live.clear()
        self._live_skipped = 0
        if not raw:
            return ""
        note = f"\n[… {size(skipped)} not shown live …]\n" if skipped else ""
        return note + plain(self._decoder.decode(raw))

    def recent(self) -> bytes:
        """The output that is in memory: all of it as long as there is no log."""
        return bytes(self._head + self._tail)

    def excerpt(self, *, with_head: bool = True) -> str:
        """The output for a model: all of it when it is short, else its head and tail with a line between that counts
        what is left out and names the full log. Ends without a newline."""
        tail = bytes(self._tail[-TAIL_BYTES:])
        omitted = self.total - len(self._head) - len(tail)
        if not with_head and self.total > TAIL_BYTES:
            head, tail = b"", _from_line_start(self.recent()[-TAIL_BYTES:])
        elif omitted > 0:
            head, tail = _to_line_end(bytes(self._head)), _from_line_start(tail)
        else:
            return _readable(bytes(self._head) + tail)
        gap = self._gap(self.total - len(head) - len(tail), self.newlines - head.count(10) - tail.count(10))
        return "\n".join(filter(None, (_readable(head), gap, _readable(tail))))

    def _gap(self, bytes_: int, newlines: int) -> str:
        where = f"full log: {self.log}" if self.logged else f"no full log: {self.log_failure}"
        if self.logged and self.log_failure:
            where = f"log up to where writing it failed ({self.log_failure}): {self.log}"
        elif self.turned_over:
            where = f"the last of it: {self.log}.1 and {self.log}"
        return f"[… {plural(max(newlines, 0), 'line')}, {size(bytes_)} omitted here; {where} …]"


def _to_line_end(data: bytes) -> bytes:
    """Without a broken last line, unless that is most of it."""
    cut = data.rfind(b"\n")
    return data[: cut + 1] if cut >= len(data) // 2 else data


def _from_line_start(data: bytes) -> bytes:
    """Without a broken first line, unless that is most of it."""
    cut = data.find(b"\n")
    return data[cut + 1 :] if 0 <= cut < len(data) // 2 else data


def _readable(data: bytes) -> str:
    """Decoded, without escapes; of a line that was overwritten (carriage returns) what was last seen; long lines
    cut."""
    text = plain(data.decode("utf-8", "replace")).replace("\r\n", "\n")
    lines = (line.rstrip("\r").rpartition("\r")[2] for line in text.split("\n"))
    return "\n".join(cut_line(line, _LINE_CHARS) for line in lines).rstrip("\n")


class Pump:
    """Carries what is written to a pipe into a Capture, from the event loop, without ever waiting."""

    def __init__(self, capture: Capture) -> None:
        self.capture = capture
        self._loop = asyncio.get_running_loop()
        self._read, self.write_end = os.pipe()
        os.set_blocking(self._read, False)
        self.inode = os.fstat(self._read).st_ino
        self.ended = asyncio.Event()
        self.flooded = asyncio.Event()
        self.on_output: Callable[[], None] | None = None
        self._loop.add_reader(self._read, self._ready)

    def _ready(self) -> None:
        try:
            chunk = os.read(self._read, _CHUNK)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self.close()
            return
        self.capture.feed(chunk)
        if self.on_output is not None:
            self.on_output()
        if self.capture.flooded:
            # Left unread, the pipe fills and the writer waits until it is ended.
            self._loop.remove_reader(self._read)
            self.flooded.set()

    def close_write_end(self) -> None:
        """To be called once the process has inherited it: only then does the pipe end when the last writer does."""
        if self.write_end >= 0:
            os.close(self.write_end)
            self.write_end = -1

    def close(self) -> None:
        self.close_write_end()
        if self._read >= 0:
            self._loop.remove_reader(self._read)
            with suppress(OSError):
                os.close(self._read)
            self._read = -1
            self.ended.set()

    async def drained(self, quiet: float, at_most: float) -> bool:
        """Waits until the pipe ends, or nothing has come for `quiet` seconds, or `at_most` seconds have gone. True:
        it ended."""
        deadline = self._loop.time() + at_most
        while not self.ended.is_set() and self._loop.time() < deadline:
            before = self.capture.total
            try:
                await asyncio.wait_for(self.ended.wait(), min(quiet, deadline - self._loop.time()))
            except TimeoutError:
                if self.capture.total == before:
                    break
        return self.ended.is_set()
