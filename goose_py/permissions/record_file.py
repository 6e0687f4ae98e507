"""A small file of JSON records, one a line, only ever added to. Grants and trust are folds of such files."""

import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from goose_py.protocol.errors import UserError


class RecordFile:
    """`path` is made when the first record is written: the file 0600, missing folders 0700, whatever the umask is.

    Several processes may add at once: a record is one write under a lock. What a killed process left of a record, or what
    somebody's editor broke, is skipped when reading; nothing is ever rewritten."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self) -> tuple[Mapping[str, Any], ...]:
        """The records, oldest first. Raises UserError where the file is there and cannot be read."""
        try:
            data = self.path.read_bytes()
        except FileNotFoundError:
            return ()
        except OSError as error:
            raise UserError(f"{self.path} cannot be read: {error.strerror}.") from error
        return tuple(record for line in data.split(b"\n") if (record := _record(line)) is not None)

    def add(self, record: Mapping[str, Any]) -> None:
        """Durable when it returns. Raises UserError where the file cannot be written."""
        line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
        try:
            self._append(line)
        except OSError as error:
            raise UserError(f"{self.path} cannot be written: {error.strerror}.") from error

    def _append(self, line: bytes) -> None:
        missing = [folder for folder in self.path.parents if not folder.exists()]
        for folder in reversed(missing):
            folder.mkdir(mode=0o700, exist_ok=True)
            folder.chmod(0o700)
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            os.fchmod(descriptor, 0o600)
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            size = os.fstat(descriptor).st_size
            # A torn last line must not swallow this record.
            torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
            written = os.write(descriptor, b"\n" + line if torn else line)
            if written < len(line):
                os.ftruncate(descriptor, size)
                raise OSError(28, "No space left on device")
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _record(line: bytes) -> Mapping[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None
