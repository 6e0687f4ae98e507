"""Check commands, run by us: their exit code on a recorded tree is the evidence that a diff is shown with."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from goose_py.protocol.events import VerificationFinished
from goose_py.protocol.redact import RedactingStream

OUTPUT_KEPT = 6000
LOG_CAP = 32 * 1024 * 1024
GRACE = 2.0
_IN_A_NEW_FOLDER = 'mkdir -p -- "$1" && cd -- "$1" && exec "$0" -c "$2"'


class Spawn(Protocol):
    """Starts a process with stdin closed, in a session of its own, within whatever sandbox applies."""

    def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> Awaitable[asyncio.subprocess.Process]: ...


class CheckRunner:
    """Runs checks in the folder `start` of `workspace`, each for at most `timeout` seconds; full output goes to `logs`. `shell`
    is the absolute path of the shell; `now` a monotonic clock; `redact` takes secrets out of that output."""

    def __init__(
        self,
        spawn: Spawn,
        workspace: Path,
        env: Mapping[str, str],
        logs: Path,
        shell: str,
        timeout: float,
        now: Callable[[], float],
        redact: Callable[[str], str] = str,
        start: str = ".",
    ) -> None:
        self._redact = redact
        self._spawn = spawn
        self._workspace = workspace
        self._start = start
        self._env = env
        self._logs = logs
        self._shell = shell
        self._timeout = timeout
        self._now = now

    def with_timeout(self, timeout: float, start: str | None = None) -> "CheckRunner":
        """The same runner with another time limit, and in another folder where `start` names one."""
        start = self._start if start is None else start
        return CheckRunner(
            self._spawn, self._workspace, self._env, self._logs, self._shell, timeout, self._now, self._redact, start
        )

    def _start_of(self, command: str) -> tuple[list[str], Path]:
        """What is run, and where. A start folder that is gone is made within, where the sandbox holds."""
        folder = self._workspace / self._start
        if folder.is_dir():
            return [self._shell, "-c", command], folder
        return [self._shell, "-c", _IN_A_NEW_FOLDER, self._shell, self._start, command], self._workspace

    async def run(self, command: str, tree: str | None) -> VerificationFinished:
        """Never raises but for cancellation, which kills the check. `exit_code` is None where it could not be started or had
        to be stopped; `output` then says why."""
        started = self._now()
        self._logs.mkdir(parents=True, exist_ok=True, mode=0o700)
        log = self._new_log()
        reader, writer = os.pipe()
        try:
            argv, folder = self._start_of(command)
            process = await self._spawn(argv, cwd=str(folder), env=self._env, stdout=writer, stderr=writer)
        except OSError as error:
            os.close(reader)
            why = f"The check could not be started: {error.strerror}."
            return VerificationFinished(
                command=command, exit_code=None, tree=tree, output=why, outcome="cannot run", reason=why
            )
        finally:
            os.close(writer)
        capture = _Capture(reader, log, self._redact)
        note = reason = ""
        try:
            await asyncio.wait_for(_ended(process), self._timeout)
        except TimeoutError:
            note = f"\n[stopped after {self._timeout:g} seconds]"
            reason = f"It did not end in {self._timeout:g} seconds, which is its time limit."
        finally:
            await _kill(process)
            await capture.close()
        return VerificationFinished(
            command=command,
            exit_code=None if note else process.returncode,
            tree=tree,
            seconds=round(self._now() - started, 3),
            output=capture.text() + note,
            log=str(log),
            outcome="timed out" if note else None,
            reason=reason,
        )

    def _new_log(self) -> Path:
        number = 1
        while (path := self._logs / f"check-{number}.log").exists():
            number += 1
        return path


class _Capture:
    """Reads a pipe as it fills: the log up to a cap, the head and the tail of the text, nothing more in memory."""

    def __init__(self, fd: int, log: Path, redact: Callable[[str], str]) -> None:
        self._cleaner = RedactingStream(redact)
        self._fd = fd
        self._size = 0
        self._head = b""
        self._tail = b""
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        self._done = asyncio.Event()
        os.set_blocking(fd, False)
        asyncio.get_running_loop().add_reader(fd, self._readable)

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._stop()
            return
        if self._size < LOG_CAP:
            os.write(self._log, self._cleaner.feed(data[: LOG_CAP - self._size]))
        self._size += len(data)
        room = OUTPUT_KEPT // 3 - len(self._head)
        if room > 0:
            self._head += data[:room]
            data = data[room:]
        self._tail = (self._tail + data)[-(OUTPUT_KEPT - OUTPUT_KEPT // 3) :]

    def _stop(self) -> None:
        if not self._done.is_set():
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            os.write(self._log, self._cleaner.end())
            os.close(self._log)
            self._done.set()

    async def close(self) -> None:
        """What the process wrote is read to its end; something that outlived it and holds the pipe is not waited for."""
        try:
            await asyncio.wait_for(self._done.wait(), 0.5)
        except TimeoutError:
            self._stop()

    def text(self) -> str:
        omitted = self._size - len(self._head) - len(self._tail)
        middle = f"\n[{omitted} bytes omitted]\n".encode() if omitted else b""
        return (self._head + middle + self._tail).decode("utf-8", "replace")


async def _ended(process: asyncio.subprocess.Process) -> None:
    """`Process.wait` also waits for the pipes, which a daemon may hold: the exit status alone is what counts."""
    delay = 0.002
    while process.returncode is None:
        await asyncio.sleep(delay)
        delay = min(delay * 1.5, 0.05)


async def _kill(process: asyncio.subprocess.Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except (ProcessLookupError, PermissionError):
            return
        try:
            await asyncio.wait_for(asyncio.shield(_ended(process)), GRACE)
            if process.returncode is not None and number == signal.SIGTERM:
                continue
        except TimeoutError:
            continue
