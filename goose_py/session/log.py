"""The event log: append-only, one writer, one JSON record a line. It is the truth; everything else is a fold of it.

A record is written by one `write`; what a crash leaves of it at the end of the file is set aside in a `.torn` file at the next
opening, and a damaged line in the middle is skipped and reported. Long texts are stored once, as blobs named by their SHA-256
in `blobs/` beside the log, and stand in the record as an entry of `blobs` (JSON pointer → hash).
"""

import fcntl
import hashlib
import json
import os
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

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
        "TaskEnded",
    }
)


class LogBusy(UserError):
    """Another live process writes this session."""


class LogWriteFailed(GooseError):
    """A record could not be written; the log is as it was before."""


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Something in a log file that could not be read: where it begins, how long it is, and why."""

    offset: int
    size: int
    reason: str


class LogContents(msgspec.Struct, frozen=True, kw_only=True):
    """All readable records in order. `size` is where the last whole line ends: what follows is a torn tail of `torn` bytes."""

    header: Header
    records: tuple[Record, ...]
    problems: tuple[Problem, ...]
    size: int
    torn: int


def read_log(folder: Path) -> LogContents:
    """Reads without locking, also while another process writes. Raises UserError where `folder` holds no log, or one of a
    newer format."""
    path = folder / LOG_NAME
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"There is no session log in {folder}.") from None
    records: list[Record] = []
    problems: list[Problem] = []
    header: Header | None = None
    offset = 0
    for line in _lines(data):
        end = offset + len(line) + 1
        if header is None:
            header = _header(line, path)
        else:
            try:
                records.append(_read_record(line, folder))
            except (CodecError, OSError) as error:
                problems.append(Problem(offset=offset, size=len(line), reason=str(error)))
        offset = end
    if header is None:
        header = Header(session_id=folder.name)
    return LogContents(
        header=header, records=tuple(records), problems=tuple(problems), size=offset, torn=len(data) - offset
    )


def _lines(data: bytes) -> Iterator[bytes]:
    """Whole lines only: the bytes after the last line feed are a torn tail."""
    start = 0
    while (end := data.find(b"\n", start)) >= 0:
        yield data[start:end]
        start = end + 1


def _header(line: bytes, path: Path) -> Header:
    try:
        header: Header = decode(line, Header)
    except CodecError:
        raise UserError(f"{path} is not a goose-py session log: its first line is damaged.") from None
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
    def create(cls, folder: Path, session_id: str, now: Callable[[], float]) -> "Log":
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        lock = _lock(folder)
        try:
            fd = os.open(folder / LOG_NAME, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            os.close(lock)
            raise UserError(f"The session {session_id} exists already.") from None
        log = cls(folder, fd, lock, 0, now)
        log._write(encode(Header(session_id=session_id)) + b"\n")
        _sync_folder(folder)
        return log

    @classmethod
    def open(cls, folder: Path, now: Callable[[], float]) -> "tuple[Log, LogContents]":
        """Takes the lock, sets a torn tail aside, and hands back what the log holds."""
        if not (folder / LOG_NAME).exists():
            raise UserError(f"There is no session log in {folder}.")
        lock = _lock(folder)
        try:
            contents = read_log(folder)
            fd = os.open(folder / LOG_NAME, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except BaseException:
            os.close(lock)
            raise
        if contents.torn:
            _set_aside(folder, fd, contents.size, contents.torn)
        last = contents.records[-1].seq if contents.records else 0
        log = cls(folder, fd, lock, max(last, len(contents.records) + len(contents.problems)), now)
        if contents.size == 0:
            log._write(encode(contents.header) + b"\n")
        return log, contents

    def append(self, event: DurableEvent) -> Record:
        """Writes one record and returns it. Raises LogWriteFailed, with the log rolled back, where the disk is full."""
        record = Record(seq=self._seq + 1, at=round(self._now(), 3), event=event)
        line = encode(record)
        if len(line) > BLOB_RECORD_SIZE:
            line = _with_blobs(line, self.folder)
        self._write(line + b"\n")
        self._seq = record.seq
        if type(event).__name__ in SYNCED:
            os.fdatasync(self._fd) if hasattr(os, "fdatasync") else os.fsync(self._fd)
        return record

    def close(self) -> None:
        os.fsync(self._fd)
        os.close(self._fd)
        os.close(self._lock)

    def _write(self, data: bytes) -> None:
        before = os.fstat(self._fd).st_size
        try:
            written = os.write(self._fd, data)
        except OSError as error:
            os.ftruncate(self._fd, before)
            raise LogWriteFailed(f"Cannot write the session log in {self.folder}: {error.strerror}.") from error
        if written != len(data):
            os.ftruncate(self._fd, before)
            raise LogWriteFailed(f"Cannot write the session log in {self.folder}: no space left.")


def _lock(folder: Path) -> int:
    fd = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        owner = os.read(fd, 200).decode("utf-8", "replace").strip()
        os.close(fd)
        raise LogBusy(f"The session {folder.name} is in use by another process ({owner or 'starting'}).") from None
    os.ftruncate(fd, 0)
    os.pwrite(fd, f"pid {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
    return fd


def _set_aside(folder: Path, fd: int, size: int, torn: int) -> None:
    number = 1
    while (side := folder / f"{LOG_NAME}.torn{number}").exists():
        number += 1
    side.write_bytes(os.pread(fd, torn, size))
    side.chmod(0o600)
    os.ftruncate(fd, size)
    os.fsync(fd)


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def _read_record(line: bytes, folder: Path) -> Record:
    if not line.startswith(b'{"blobs":'):
        return decode_record(line)
    raw = _json(line)
    for pointer, digest in raw.pop("blobs").items():
        text = (folder / "blobs" / str(digest)).read_text("utf-8", "surrogatepass")
        _place(raw, pointer, text)
    try:
        return msgspec.convert(raw, Record)
    except msgspec.ValidationError as error:
        raise CodecError(str(error)) from None


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except ValueError as error:
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
    data = text.encode("utf-8", "surrogatepass")
    digest = hashlib.sha256(data).hexdigest()
    path = folder / digest
    if not path.exists():
        folder.mkdir(exist_ok=True, mode=0o700)
        temporary = folder / f".{digest}.{os.getpid()}"
        try:
            fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "wb") as stream:
                stream.write(data)
                stream.flush()
                os.fsync(stream.fileno())
            temporary.replace(path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise LogWriteFailed(f"Cannot write the session's data in {folder}: {error.strerror}.") from error
    return digest


def _place(raw: Any, pointer: str, text: str) -> None:
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:])
    for part in parents:
        raw = raw[int(part)] if isinstance(raw, list) else raw[part]
    if isinstance(raw, list):
        raw[int(last)] = text
    else:
        raw[last] = text
