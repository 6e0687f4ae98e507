"""Commands that go on after their tool call: each has an id, a log and a life that ends with the connection."""

import asyncio
import os
from contextlib import suppress

import anyio

from ..display import plural, size
from ..refusal import Refused
from .processes import describe
from .running_command import Running

MAX_WAIT = 600.0
_POLL = 0.1
_SHOWN_COMMAND = 100
_LISTENING = "0A"  # the state of a listening socket in /proc/net/tcp


class Job:
    """A command in the background, or processes that a command left running when its shell exited (`adopted`)."""

    def __init__(self, number: int, running: Running, adopted: bool) -> None:
        self.id = str(number)
        self.running = running
        self.adopted = adopted
        self.killed = False

    @property
    def command(self) -> str:
        first, _, rest = self.running.command.strip().partition("\n")
        shortened = first[:_SHOWN_COMMAND]
        return shortened + (" …" if rest or len(first) > _SHOWN_COMMAND else "")

    async def living(self) -> bool:
        return self.running.family.process.returncode is None or bool(await self.running.family.survivors())

    async def status(self) -> str:
        """`running: pid ...`, `exited with code 1`, `killed`, `ended`."""
        process = self.running.family.process
        left = await self.running.family.survivors()
        if process.returncode is None:
            return f"running: pid {process.pid}" + (f", {describe(left)}" if left else "")
        if left:
            return f"running: {describe(left)}"
        if self.killed:
            return "killed"
        return "ended" if self.adopted else f"exited with code {process.returncode}"


class Jobs:
    """The jobs of one connection, numbered from 1."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}

    def add(self, running: Running, *, adopted: bool = False) -> Job:
        job = Job(len(self._jobs) + 1, running, adopted)
        running.pump.capture.rotating = True
        self._jobs[job.id] = job
        return job

    def named(self, id: str) -> Job:
        """Raises Refused, naming the ids there are."""
        job = self._jobs.get(id)
        if job is None:
            known = f"the jobs are {', '.join(self._jobs)}" if self._jobs else "there are no jobs"
            raise Refused(f"There is no job {id!r}; {known}." if id else f"Which job? Give its id; {known}.")
        return job

    async def listing(self) -> str:
        if not self._jobs:
            return "No jobs."
        return "\n".join([f"job {job.id}: {await job.status()}: {job.command}" for job in self._jobs.values()])

    async def log(self, id: str, wait_for: str | None, timeout: float) -> str:
        """The job's last output and its state, after waiting for `wait_for`: a text in its output, or `port:N` for a
        port it listens on. Without it the answer comes at once. What does not come in `timeout` seconds is said, not
        an error."""
        job = self.named(id)
        met = await self._waited(job, wait_for, timeout) if wait_for else ""
        capture = job.running.pump.capture
        output = capture.excerpt(with_head=False)
        amount = f"{plural(capture.newlines, 'line')}, {size(capture.total)} so far"
        facts = f"[job {job.id} {await job.status()}; {amount}{met}]"
        return f"{output}\n{facts}" if output else facts

    async def kill(self, id: str) -> str:
        job = self.named(id)
        if not await job.living():
            return f"Job {job.id} is not running any more: {await job.status()}."
        with anyio.CancelScope(shield=True):
            job.killed = True
            await job.running.end()
        return f"Killed job {job.id} and everything it started."

    async def close(self) -> None:
        """Ends them all. Not to be cancelled."""
        await asyncio.gather(*(job.running.end() for job in self._jobs.values()))

    async def _waited(self, job: Job, wait_for: str, timeout: float) -> str:
        if not 0 < timeout <= MAX_WAIT:
            raise Refused(f"timeout is in seconds, more than 0 and at most {MAX_WAIT:.0f}.")
        port = _port(wait_for)
        seen = Watcher(job, wait_for) if port is None else None
        with anyio.move_on_after(timeout):
            while True:
                if await (_listens(job, port or 0) if seen is None else anyio.to_thread.run_sync(seen.seen)):
                    return f"; {wait_for} is there" if port is not None else f"; its output has {wait_for!r}"
                if not await job.living():
                    return f"; it ended before {wait_for!r} came"
                await asyncio.sleep(_POLL)
        return f"; {wait_for!r} did not come in {timeout:g} s"


class Watcher:
    """Looks for a text in a job's log from the beginning, reading on where it left off."""

    def __init__(self, job: Job, text: str) -> None:
        self._log = job.running.pump.capture.log
        self._capture = job.running.pump.capture
        self._wanted = text.encode("utf-8", "replace")
        self._rest = b""
        self._at = 0

    def seen(self) -> bool:
        if not self._capture.logged:
            return self._wanted in self._capture.recent()
        with suppress(OSError), self._log.open("rb") as log:
            if self._at > os.fstat(log.fileno()).st_size:
                self._at = 0  # the log was turned over
            log.seek(self._at)
            while piece := log.read(1 << 20):
                self._at += len(piece)
                if self._wanted in self._rest + piece:
                    return True
                self._rest = (self._rest + piece)[-len(self._wanted) :]
        return False


def _port(wait_for: str) -> int | None:
    kind, _, number = wait_for.partition(":")
    if kind != "port" or not number.strip().isdigit():
        return None
    return int(number)


async def _listens(job: Job, port: int) -> bool:
    pids = [job.running.family.process.pid] if job.running.family.process.returncode is None else []
    pids += [process.pid for process in await job.running.family.survivors()]
    return await anyio.to_thread.run_sync(_any_listens, pids, port)


def _any_listens(pids: list[int], port: int) -> bool:
    """Whether a socket listens on the port where these processes live: their own network, also inside a sandbox."""
    if not os.path.exists("/proc/self/net/tcp"):  # noqa: PTH110
        return _accepts(port)
    for pid in pids:
        for table in ("tcp", "tcp6"):
            with suppress(OSError), open(f"/proc/{pid}/net/{table}") as lines:  # noqa: PTH123
                for fields in map(str.split, lines):
                    if fields[3] == _LISTENING and int(fields[1].rpartition(":")[2], 16) == port:
                        return True
    return False


def _accepts(port: int) -> bool:
    import socket

    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
