"""What tasks may not share by accident: each has a block of ports for itself, for as long as its worktree lives."""

import fcntl
import os
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from goose_py.protocol.codec import CodecError, decode, encode
from goose_py.protocol.errors import UserError

LAST_PORT = 65535


@dataclass(frozen=True)
class Ports:
    """`first` and the `count - 1` ports after it."""

    first: int
    count: int

    @property
    def last(self) -> int:
        return self.first + self.count - 1


class PortLeases:
    """Kept in one file below `root`, written under a lock, so that two tasks that begin at once never get the same. `holds`
    tells whether a task can still use its lease: those of others are given to the next who asks."""

    def __init__(self, root: Path, holds: Callable[[str], bool]) -> None:
        self._root = root
        self._holds = holds

    def lease(self, task_id: str, first: int, count: int) -> Ports:
        """The task's own block, the same each time. Blocks begin at `first`; one in which something listens already is passed
        over. Raises UserError where all are taken."""
        with self._locked() as leases:
            if (own := leases.get(task_id)) is not None:
                return Ports(*own)
            for task in [task for task in leases if not self._holds(task)]:
                del leases[task]
            ports = _free_block(first, count, [Ports(*block) for block in leases.values()])
            leases[task_id] = (ports.first, ports.count)
            return ports

    def release(self, task_id: str) -> None:
        with self._locked() as leases:
            leases.pop(task_id, None)

    @contextmanager
    def _locked(self) -> Iterator[dict[str, tuple[int, int]]]:
        """The leases by task; written back when the block ends without an error."""
        self._root.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self._root / "ports.json"
        descriptor = os.open(self._root / "ports.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            before = _read(file)
            leases = dict(before)
            yield leases
            if leases != before:
                fresh = file.with_suffix(".new")
                fresh.unlink(missing_ok=True)
                fresh.touch(mode=0o600)
                fresh.write_bytes(encode(leases))
                fresh.replace(file)
        finally:
            os.close(descriptor)


def _read(file: Path) -> dict[str, tuple[int, int]]:
    try:
        return decode(file.read_bytes(), dict[str, tuple[int, int]])
    except (FileNotFoundError, CodecError):
        return {}


def _free_block(first: int, count: int, taken: Collection[Ports]) -> Ports:
    for start in range(first, LAST_PORT - count + 2, count):
        ports = Ports(start, count)
        overlapping = any(start <= other.last and other.first <= ports.last for other in taken)
        if not overlapping and all(_is_free(port) for port in range(start, start + count)):
            return ports
    raise UserError(f"All ports from {first} on are taken; set tasks.first_port, or discard tasks that are done.")


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
