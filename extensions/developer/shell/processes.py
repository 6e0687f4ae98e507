"""Starting commands, finding everything they left behind, and ending it."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import anyio

from .environment import MARKER

if TYPE_CHECKING:
    import psutil

_POLL = 0.02
_KILL_ROUNDS = 100
_EXECUTED_WITHIN = 200
"""So many times, a millisecond apart."""


class Spawn(Protocol):
    """Starts a process in a session of its own, with nothing (/dev/null) as its standard input.

    `stdout` and `stderr` are asyncio.subprocess.PIPE, or descriptors that the process inherits; the caller keeps and
    closes its own. `env` is the whole environment. A host may wrap `argv` (in a sandbox); whatever it starts must end
    with the process that is returned, or carry `env` on. Where the former holds for everything, an attribute
    `contained` that is True says so: nobody has to look for what was left behind then. An attribute `reading` is
    another Spawn, which starts what is known to change nothing where nothing can be changed; its attribute
    `refused_write` holds the beginnings of what programs say there when they want to. Raises OSError.
    """

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> asyncio.subprocess.Process: ...


async def plain_spawn(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
) -> asyncio.subprocess.Process:
    """The Spawn of a server that stands alone: no sandbox."""
    return await asyncio.create_subprocess_exec(
        *argv,
        cwd=cwd,
        env=dict(env),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        start_new_session=True,
    )


@dataclass(frozen=True)
class Family:
    """All processes of one command: its own, its descendants wherever they went, and who else holds its output pipe.

    Descendants are told by the marker in their environment, which outlives reparenting and setsid(2).
    """

    process: asyncio.subprocess.Process
    marker: str
    pipe: int | None = None  # inode of the output pipe

    async def survivors(self) -> "list[psutil.Process]":
        """Who still lives beside the process itself; zombies do not count. Takes some milliseconds, in a thread."""
        return await anyio.to_thread.run_sync(self._look)

    def _look(self) -> "list[psutil.Process]":
        found = _marked_on_linux(self.marker, self.pipe) if sys.platform == "linux" else _marked_elsewhere(self.marker)
        found -= {self.process.pid, os.getpid()}
        if not found:
            return []
        import psutil

        living: list[psutil.Process] = []
        for pid in found:
            with suppress(psutil.Error):
                process = psutil.Process(pid)
                if process.status() != psutil.STATUS_ZOMBIE:
                    living.append(process)
        return sorted(living, key=lambda process: process.pid)

    async def end(self, grace: float) -> None:
        """Asks all of it to stop (TERM), and kills what is left after `grace` seconds. Returns when nothing is left.

        Not to be cancelled: callers shield it.
        """
        self._signal_group(signal.SIGTERM)
        _signal_all(await self.survivors(), signal.SIGTERM)
        deadline = asyncio.get_running_loop().time() + grace
        while asyncio.get_running_loop().time() < deadline:
            if self.process.returncode is not None and not await self.survivors():
                return
            await asyncio.sleep(_POLL)
        for _ in range(_KILL_ROUNDS):  # what forks while it is being killed is found in the next round
            self._signal_group(signal.SIGKILL)
            left = await self.survivors()
            _signal_all(left, signal.SIGKILL)
            if self.process.returncode is not None and not left:
                return
            await asyncio.sleep(_POLL)

    def _signal_group(self, number: signal.Signals) -> None:
        # Once the leader was waited for, its number may be another's: then only the marker is to be trusted.
        if self.process.returncode is None:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(self.process.pid, number)


def _signal_all(processes: "Iterable[psutil.Process]", number: signal.Signals) -> None:
    import psutil

    for process in processes:
        with suppress(psutil.Error, OSError):
            process.send_signal(number)


def _marked_on_linux(marker: str, pipe: int | None) -> set[int]:
    wanted = f"{MARKER}={marker}".encode()
    found: set[int] = set()
    for entry in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208
        with suppress(OSError):
            if wanted in _environment(entry) or (pipe is not None and _holds(entry, pipe)):
                found.add(int(entry))
    return found


def _environment(pid: str) -> bytes:
    """While a program is being executed it has neither arguments nor an environment yet (execve(2)): it is looked at again. A
    kernel thread and a zombie, of which the same is true, have no program. Raises OSError."""
    before = b""
    for _ in range(_EXECUTED_WITHIN):
        if found := Path(f"/proc/{pid}/environ").read_bytes():
            return found
        now = Path(f"/proc/{pid}/cmdline").read_bytes()
        if now and now == before:
            return found
        os.readlink(f"/proc/{pid}/exe")  # noqa: PTH115
        before = now
        time.sleep(0.001)
    return b""


def _holds(pid: str, pipe: int) -> bool:
    """Whether the process has the pipe open as its output: how one that cleared its environment is found."""
    for descriptor in ("1", "2"):
        with suppress(OSError):
            if os.readlink(f"/proc/{pid}/fd/{descriptor}") == f"pipe:[{pipe}]":  # noqa: PTH115
                return True
    return False


def _marked_elsewhere(marker: str) -> set[int]:
    import psutil

    found: set[int] = set()
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.environ().get(MARKER) == marker:
                found.add(process.pid)
    return found


def describe(processes: "Sequence[psutil.Process]") -> str:
    """`pid 4711 (python3 -m http.server)` for each, at most three."""
    import psutil

    parts = []
    for process in processes[:3]:
        try:
            command = " ".join(process.cmdline())[:60] or process.name()
        except psutil.Error:
            command = "?"
        parts.append(f"pid {process.pid} ({command})")
    more = len(processes) - len(parts)
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")
