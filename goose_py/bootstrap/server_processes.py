"""The server processes of a task, kept on disk so that a killed program's orphans are found and ended at the next start."""

import os
from pathlib import Path

import msgspec

from goose_py.toolbox import ProcessRecord, reap


class ProcessList:
    """One file of a task: the processes that are alive, by pid and start time."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._alive: list[ProcessRecord] = []

    def reap(self) -> int:
        """Ends what an earlier run left behind, and returns how many there were."""
        try:
            left = msgspec.json.decode(self._file.read_bytes(), type=list[ProcessRecord])
        except (OSError, msgspec.DecodeError):
            return 0
        found = reap(left)
        self._write()
        return len(found)

    def note(self, record: ProcessRecord, alive: bool) -> None:
        self._alive = [known for known in self._alive if known != record]
        if alive:
            self._alive.append(record)
        self._write()

    def _write(self) -> None:
        fresh = self._file.with_suffix(".new")
        fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as stream:
            stream.write(msgspec.json.encode(self._alive))
        fresh.replace(self._file)
