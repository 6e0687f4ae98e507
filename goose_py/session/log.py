"""The event log: append-only, one writer, one JSON record a line. It is the truth; everything else is a fold of it.

A record is written by one `write`; what a crash leaves of it at the end of the file is set aside in a `.torn` file at the next
opening, and a damaged line in the middle is skipped and reported. Long texts are stored once, as blobs named by their SHA-256
in `blobs/` beside the log, and stand in the record as an entry of `blobs` (JSON pointer → hash).
"""

import errno
import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from goose_py.files import sync_folder, synced, write_atomic
from goose_py.protocol.codec import RECORD_VERSION, CodecError, Header, decode, decode_record, encode
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.events import DurableEvent, Record

LOG_NAME = "log.jsonl"
LOCK_NAME = "log.lock"
BLOB_RECORD_SIZE = 64 * 1024
BLOB_TEXT_SIZE = 8 * 1024

# After these the record must survive a power cut: something outside the log is about to change, or a person was promised
# that their word is kept.
SYNCED = frozenset(
    {
        "PromptReceived",
        "ToolStarted",
        "TurnEnded",
        "ChangeDecided",
        "ChangesApplied",
        "ApprovalResolved",
        "Rewound",
        "Rebased",
        "TaskEnded",
    }
)


class LogBusy(UserError):
    """Another live process writes this session."""


class LogWriteFailed(GooseError):
    """A record could not be written; the log is as it was before."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a log file that could not be read: where it begins, how long it is, and why. `offset` None: it is not in
    this file, but in one that it goes on from."""

    offset: int | None
    size: int
    reason: str

    def sentence(self) -> str:
        where = "cannot be read whole" if self.offset is None else f"is damaged at byte {self.offset}"
        return f"The session log {where}: {self.reason}"


class LogContents(msgspec.Struct, frozen=True, kw_only=True):
    """All readable records in order. `lines` counts the whole lines, the header and damaged ones included; `size` is where the
    last of them ends: what follows is a torn tail of `torn` bytes."""

    header: Header
    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    lines: int
    size: int
    torn: int

    def warnings(self) -> tuple[str, ...]:
        """What a person should be told of the file, a sentence each."""
        told = [item.sentence() for item in self.problems[:5]]
        if len(self.problems) > 5:
            told.append(f"The session log is damaged in {len(self.problems) - 5} more places.")
        if self.torn:
            told.append(f"The last {self.torn} bytes of the session log were never written to their end and are set aside.")
        return tuple(told)


def read_log(folder: Path) -> LogContents:
    """Reads without locking, also while another process writes. A damaged line is passed over and reported, and so is a text
    that is missing, in whose place a note stands. Raises UserError where `folder` holds no log, or one of a newer format."""
    path = folder / LOG_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no session log in {folder}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    records: list[Record] = []
    problems: list[Problem] = []
    header: Header | None = None
    lines = offset = 0
    order = _Order()
    for line in _lines(data):
        try:
            if offset == 0:
                header = _header(line, path)
                order = _Order(header.parent_seq)
            else:
                record, lost = _read_record(line, folder)
                if wrong := order.problem(record.seq):
                    lost.append(wrong)
                if order.take(record.seq):
                    records.append(record)
                problems += [Problem(offset=offset, size=len(line), reason=reason) for reason in lost]
        except CodecError as error:
            order.unread += 1
            problems.append(Problem(offset=offset, size=len(line), reason=str(error)))
        lines, offset = lines + 1, offset + len(line) + 1
    if not data:
        problems.append(Problem(offset=0, size=0, reason="the file is empty, what it held is lost"))
    if header is None and offset and not records:
        raise UserError(f"{path} is not a goose-py session log.")
    inherited, lost = _inherited(header, folder) if header is not None and header.parent else ((), ())
    return LogContents(
        header=header or Header(session_id=folder.name),
        records=(*inherited, *records),
        problems=(*lost, *problems),
        lines=lines,
        size=offset,
        torn=len(data) - offset,
    )


class _Order:
    """The numbers of a log's records: each is one more than that before it, but for the lines that could not be read."""

    def __init__(self, last: int | None = None) -> None:
        self.unread = 0
        self._last = last

    def problem(self, seq: int) -> str:
        """What is wrong where `seq` comes next; "" if nothing."""
        if self._last is None or self._last < seq <= self._last + 1 + self.unread:
            return ""
        if seq <= self._last:
            return f"the record {seq} stands there once more and is passed over"
        missing = f"{self._last + 1} to {seq - 1}" if seq > self._last + 2 else str(seq - 1)
        return f"before it records are missing: {missing}"

    def take(self, seq: int) -> bool:
        """Whether the record counts: one that is there twice would send the same call out twice."""
        if self._last is not None and seq <= self._last:
            return False
        self._last, self.unread = seq, 0
        return True


def _inherited(header: Header, folder: Path) -> tuple[tuple[Record, ...], tuple[Problem, ...]]:
    """What a fork has of its parent, and what cannot be had of it. A session begins before its forks, so that the chain ends;
    names that lead elsewhere, or in a circle, are not followed."""
    name = header.parent
    seen = {folder.name}
    if Path(name).name != name or name in (".", "..") or not _older(folder.parent / name, seen):
        return (), (Problem(offset=None, size=0, reason=f"it goes on from the session {name!r}, which is not there"),)
    parent = read_log(folder.parent / name)
    records = tuple(record for record in parent.records if record.seq <= header.parent_seq)
    if not records or records[-1].seq < header.parent_seq:
        gap = Problem(offset=None, size=0, reason=f"records up to {header.parent_seq} of the session {name} are missing")
        return records, (*parent.problems, gap)
    return records, parent.problems


def _older(folder: Path, seen: set[str]) -> bool:
    """Whether the chain of parents ends."""
    while True:
        if folder.name in seen:
            return False
        seen.add(folder.name)
        try:
            with (folder / LOG_NAME).open("rb") as stream:
                header = decode(stream.readline(65536).rstrip(b"\n"), Header)
        except OSError:
            return False
        except CodecError:
            return True
        if not header.parent:
            return True
        folder = folder.parent / header.parent


def _lines(data: bytes) -> Iterator[bytes]:
    """Whole lines only: the bytes after the last line feed are a torn tail."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1


class Cursor(msgspec.Struct):
    """How far a log was read: `offset` is where its next line begins, `seq` the number of the last record that was had."""

    offset: int = 0
    seq: int | None = None


def records_of(folder: Path, passed_over: frozenset[bytes], cursor: Cursor | None = None) -> Iterator[Record]:
    """For folds that look at few kinds of records: those of a log without the kinds (`tag`s) in `passed_over`, of which only
    the last one comes, read line by line. So a log of any size costs little more than its bytes, and with a `cursor`, which is
    moved on, only those that were added. What is damaged is passed over. Raises UserError as `read_log` does."""
    path = folder / LOG_NAME
    at = Cursor() if cursor is None else cursor
    order = _Order(at.seq)
    last = b""
    try:
        with path.open("rb") as stream:
            stream.seek(at.offset)
            for line in stream:
                if not line.endswith(b"\n"):
                    break
                first, at.offset = at.offset == 0, at.offset + len(line)
                with suppress(CodecError):
                    if first:
                        header = _header(line, path)
                        yield from _inherited(header, folder)[0] if header.parent else ()
                        continue
                    last = line
                    start = line.find(_KIND, 0, BLOB_RECORD_SIZE) + len(_KIND)
                    if line[start : line.find(b'"', start)] in passed_over:
                        continue
                    record, last = _read_record(line, folder)[0], b""
                    if order.take(record.seq):
                        at.seq = record.seq
                        yield record
            if last:
                with suppress(CodecError):
                    yield _read_record(last, folder)[0]
    except FileNotFoundError:
        raise UserError(f"There is no session log in {folder}.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None


_KIND = b'"event":{"type":"'


def _header(line: bytes, path: Path) -> Header:
    """Raises CodecError where the line is damaged (what follows can still be read), UserError for a newer format."""
    if not line.startswith(b'{"format":'):
        raise CodecError("the header is damaged")
    header: Header = decode(line, Header)
    if header.format != Header().format:
        raise UserError(f"{path} is not a goose-py session log.")
    if header.version > RECORD_VERSION:
        raise UserError(f"{path} was written by a newer goose-py (format {header.version}); update to read it.")
    return header


class Log:
    """The one writer of a session's log. Use `Log.create` or `Log.open`, and `close` at the end.

    `now` gives Unix time in seconds."""

    def __init__(self, folder: Path, fd: int, lock: int, seq: int, now: Callable[[], float]) -> None:
        self.folder = folder
        self._fd = fd
        self._lock = lock
        self._seq = seq
        self._now = now

    @classmethod
    def create(cls, folder: Path, session_id: str, now: Callable[[], float], *, parent: str = "", parent_seq: int = 0) -> "Log":
        """`parent` and `parent_seq`: of a fork, see `Header`. Raises UserError where the session exists, LogWriteFailed (and
        nothing is left) where it cannot be written."""
        with _reported(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            folder.chmod(0o700)
            lock = _lock(folder)
        try:
            with _reported(folder):
                fd = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            os.close(lock)
            raise UserError(f"The session {session_id} exists already.") from None
        except GooseError:
            os.close(lock)
            raise
        log = cls(folder, fd, lock, parent_seq, now)
        header = Header(session_id=session_id, parent=parent, parent_seq=parent_seq)
        try:
            log._write(encode(header) + b"\n", sync=True)
        except GooseError:
            (folder / LOG_NAME).unlink()
            log.close()
            raise
        sync_folder(folder)
        return log

    @classmethod
    def open(cls, folder: Path, now: Callable[[], float]) -> "tuple[Log, LogContents]":
        """Takes the lock, sets a torn tail aside, and hands back what the log holds. Raises UserError, LogWriteFailed."""
        if not (folder / LOG_NAME).exists():
            raise UserError(f"There is no session log in {folder}.")
        lock = _lock(folder)
        fd = -1
        try:
            contents = read_log(folder)
            with _reported(folder):
                fd = os.open(folder / LOG_NAME, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
                if contents.torn:
                    _set_aside(folder, fd, contents.size, contents.torn)
        except BaseException:
            if fd >= 0:
                os.close(fd)
            os.close(lock)
            raise
        last = contents.records[-1].seq if contents.records else 0
        log = cls(folder, fd, lock, max(last, contents.header.parent_seq + contents.lines - 1), now)
        if contents.size == 0:
            log._write(encode(contents.header) + b"\n", sync=True)
        return log, contents

    def append(self, event: DurableEvent) -> Record:
        """Writes one record and returns it. Raises LogWriteFailed, with the log as it was before, where that fails."""
        record = Record(seq=self._seq + 1, at=round(self._now(), 3), event=event)
        line = encode(record)
        if len(line) > BLOB_RECORD_SIZE:
            line = _with_blobs(line, self.folder)
        self._write(line + b"\n", sync=type(event).__name__ in SYNCED)
        self._seq = record.seq
        return record

    def close(self) -> None:
        """What was appended is on disk afterwards. Closing twice does nothing."""
        if self._fd < 0:
            return
        try:
            synced(self._fd)
        except OSError:  # nothing more can be done about it here
            pass
        with suppress(OSError):  # who asks for the owner need not try the lock of a log that nobody writes
            os.ftruncate(self._lock, 0)
        os.close(self._fd)
        os.close(self._lock)
        self._fd = self._lock = -1

    def _write(self, data: bytes, *, sync: bool) -> None:
        with _reported(self.folder):
            before = os.fstat(self._fd).st_size
            try:
                written = os.write(self._fd, data)
                if written != len(data):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if sync:
                    _sync(self._fd)
            except OSError:
                os.ftruncate(self._fd, before)
                raise


@contextmanager
def _reported(folder: Path) -> Iterator[None]:
    """What the system says against writing, in one sentence. That a file exists already is left to the caller."""
    try:
        yield
    except FileExistsError:
        raise
    except OSError as error:
        raise LogWriteFailed(f"Cannot write the session log in {folder}: {error.strerror}.") from error


def _sync(fd: int) -> None:
    synced(fd, os.fdatasync if hasattr(os, "fdatasync") else os.fsync)


def _lock(folder: Path) -> int:
    with _reported(folder):
        fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 200).decode("utf-8", "replace").strip()
        os.close(fd)
        raise LogBusy(f"The session {folder.name} is in use by another process ({owner or 'starting'}).") from None
    try:
        os.ftruncate(fd, 1)  # says "owned" even where the disk is full: a hole takes no block
        os.pwrite(fd, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    except OSError:  # no space for a courtesy: the lock itself holds
        pass
    return fd


def _set_aside(folder: Path, fd: int, size: int, torn: int) -> None:
    number = 1
    while (side := folder / f"{LOG_NAME}.torn{number}").exists():
        number += 1
    side.write_bytes(os.pread(fd, torn, size))
    side.chmod(0o600)
    os.ftruncate(fd, size)
    synced(fd)


def _read_record(line: bytes, folder: Path) -> tuple[Record, list[str]]:
    """The record, and what is lost of it. Raises CodecError."""
    if not line.startswith(b'{"blobs":'):
        return decode_record(line), []
    raw = _json(line)
    lost: list[str] = []
    try:
        for pointer, digest in raw.pop("blobs").items():
            text = _read_blob(folder / "blobs", digest)
            if text is None:
                lost.append(f"the text {digest} is missing or damaged")
                _place_loss(raw, pointer)
            else:
                _place(raw, pointer, text)
        return msgspec.convert(raw, Record), lost
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise CodecError(f"its stored texts do not fit: {error}") from None


def _read_blob(folder: Path, digest: str) -> str | None:
    try:
        data = (folder / digest).read_bytes()
    except (OSError, ValueError):
        return None
    return data.decode("utf-8") if hashlib.sha256(data).hexdigest() == digest else None


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CodecError(str(error)) from None


def _with_blobs(line: bytes, folder: Path) -> bytes:
    raw = _json(line)
    blobs: dict[str, str] = {}
    _extract(raw["event"], "/event", blobs, folder / "blobs")
    return line if not blobs else encode({"blobs": blobs, **raw})


def _extract(value: Any, pointer: str, blobs: dict[str, str], folder: Path) -> None:
    for key, item in value.items() if isinstance(value, dict) else enumerate(value):
        at = f"{pointer}/{str(key).replace('~', '~0').replace('/', '~1')}"
        if isinstance(item, str) and len(item) > BLOB_TEXT_SIZE:
            blobs[at] = _store_blob(item, folder)
            value[key] = ""
        elif isinstance(item, (dict, list)):
            _extract(item, at, blobs, folder)


def _store_blob(text: str, folder: Path) -> str:
    data = text.encode("utf-8")
    digest = hashlib.sha256(data).hexdigest()
    path = folder / digest
    if path.exists():
        return digest
    with _reported(folder):
        folder.mkdir(exist_ok=True, mode=0o700)
        write_atomic(path, data)
    return digest


def _place(raw: Any, pointer: str, text: str) -> None:
    *parents, last = _steps(pointer)
    holder = _follow(raw, parents)
    holder[_key(holder, last)] = text


def _place_loss(raw: Any, pointer: str) -> None:
    """A note in place of a lost text. What only makes sense as a whole (a picture, a signature) goes with it."""
    *parents, last = _steps(pointer)
    holder = _follow(raw, parents)
    kind = holder.get("type") if isinstance(holder, dict) else None
    if kind == "image":
        holder.clear()
        holder.update(type="text", text="[a picture that was stored here is lost]")
    elif kind == "thinking":
        holder.update(text="", signature=None)
    else:
        holder[_key(holder, last)] = "[a long text that was stored here is lost]"


def _steps(pointer: str) -> list[str]:
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _follow(raw: Any, steps: list[str]) -> Any:
    for step in steps:
        raw = raw[_key(raw, step)]
    return raw


def _key(holder: Any, step: str) -> str | int:
    return int(step) if isinstance(holder, list) else step
