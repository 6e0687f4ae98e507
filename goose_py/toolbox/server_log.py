"""What a server says beside its protocol: kept in a bounded file and a short tail, and never sent to the terminal."""

import contextlib
import os
import re
from collections import deque
from collections.abc import Callable
from pathlib import Path

MAX_FILE = 1_000_000
_TAIL_CHUNKS = 8 * 1024
_TAIL_LINES = 12
_TAIL_CHARS = 1500

_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|[PX^_][^\x1b]*(?:\x1b\\)?|.)?", re.DOTALL)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class Journal:
    """Stderr and stray stdout of one server, in the order in which it came. `path` None keeps only the tail. The file has
    at most `MAX_FILE` bytes; a full one is moved to `NAME.old` and begun anew."""

    def __init__(
        self, path: Path | None = None, secrets: tuple[str, ...] = (), redact: Callable[[str], str] = str
    ) -> None:
        self._path = path
        self._secrets = tuple(secret for secret in secrets if len(secret) >= 4)
        self._redact = redact
        self._tail: deque[bytes] = deque()
        self._held = 0
        self._size: int | None = None

    def write(self, data: bytes) -> None:
        """Never raises: a full disk must not end a server."""
        self._tail.append(data[-_TAIL_CHUNKS:])
        self._held += len(self._tail[-1])
        while self._held > _TAIL_CHUNKS and len(self._tail) > 1:
            self._held -= len(self._tail.popleft())
        if self._path is not None:
            with contextlib.suppress(OSError):
                self._append(self._path, data)

    def _append(self, path: Path, data: bytes) -> None:
        if self._size is None:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._size = path.stat().st_size if path.exists() else 0
        data = self.redact(data[-MAX_FILE:].decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
        if self._size + len(data) > MAX_FILE:
            path.replace(path.with_name(f"{path.name}.old"))
            self._size = 0
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        with os.fdopen(os.open(path, flags, 0o600), "ab") as file:
            file.write(data)
        self._size += len(data)

    def clear(self) -> None:
        """Forget the tail: what follows is by a new process. The file keeps it."""
        self._tail.clear()
        self._held = 0

    def tail(self) -> str:
        """The last lines, without escapes, control characters and the secrets that the server was given."""
        lines = [line.rstrip() for line in plain(b"".join(self._tail).decode("utf-8", "replace")).splitlines()]
        text = "\n".join([line for line in lines if line][-_TAIL_LINES:])[-_TAIL_CHARS:]
        return self.redact(text)

    def redact(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return self._redact(text)


def plain(text: str) -> str:
    """`text` as lines without terminal escapes and control characters."""
    return _CONTROL.sub("", _ESCAPE.sub("", text.replace("\r\n", "\n").replace("\r", "\n")))
