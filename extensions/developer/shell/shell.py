"""The `shell` tool: one command, its whole family of processes, its output, its time."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import anyio

from ..display import size
from ..refusal import Refused
from ..workspace import Workspace
from .capture import OUTPUT_LIMIT, Capture, Cleaner, Pump
from .environment import command_environment, needs_terminal, refused_network, refused_write, wants_to_write
from .jobs import Job, Jobs
from .processes import Family, Spawn, describe
from .running_command import DRAIN_QUIET, Running

DEFAULT_TIMEOUT = 120.0
MAX_TIMEOUT = 3600.0
_MAX_COMMAND = 100_000  # Linux takes 128 KiB for one argument (MAX_ARG_STRLEN)
_LIVE_INTERVAL = 0.1
_DRAIN_AT_MOST = 0.6
_STARTED_WELL = 0.3
_SHELLS = (
    ("/bin/bash", "--norc", "--noprofile"),
    ("/usr/bin/bash", "--norc", "--noprofile"),
    ("/usr/local/bin/bash", "--norc", "--noprofile"),
    ("/bin/sh",),
)

Live = Callable[[int, str], Awaitable[None]]
"""Takes (bytes of output so far, new text); what it raises ends the command."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended. `exit_code` is None when it was ended for its time or its output, or goes on as `job`.
    `refused_write`: it failed because it wanted to change something where nothing can be changed."""

    text: str
    exit_code: int | None
    ended: str  # "exit" | "timeout" | "flood" | "background"
    log: Path | None
    output_bytes: int
    job: str | None = None
    refused_write: bool = False


class Shell:
    """Runs commands in the start folder of `workspace`, each in a session of its own, and keeps their logs in the folder
    `logs`, each through a `cleaner` of its own."""

    def __init__(
        self,
        spawn: Spawn,
        workspace: Workspace,
        env: Mapping[str, str] | None,
        logs: Path,
        jobs: Jobs,
        cleaner: Callable[[], Cleaner] | None = None,
    ) -> None:
        self._spawn = spawn
        self._reading: Spawn = getattr(spawn, "reading", None) or spawn
        self._contained = getattr(spawn, "contained", False) is True
        self._workspace = workspace
        self._env = env
        self._logs = logs
        self._jobs = jobs
        self._cleaner = cleaner
        self._count = 0

    async def run(
        self, command: str, timeout: float, live: Live | None = None, *, reads_only: bool = False
    ) -> Outcome:
        """Runs to the end of the shell itself, however long its children hold on to the output: those become a job.

        When the time is up or the output passes the limit, everything the command started is ended; so it is when
        this is cancelled, before the cancellation goes on. A command that `reads_only` runs where nothing can be
        changed. Raises Refused when it cannot be started.
        """
        if not 0 < timeout <= MAX_TIMEOUT:
            raise Refused(
                f"timeout is in seconds, more than 0 and at most {MAX_TIMEOUT:.0f}; use background for what runs "
                "longer."
            )
        running = await self._start(command, reads_only=reads_only)
        try:
            ended = await _watched(running, timeout, live)
            if ended == "exit":
                return await self._finished(running, live, reads_only=reads_only)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await running.end()
            raise
        with anyio.CancelScope(shield=True):
            await running.end()
        return _cut_short(running.pump.capture, ended, timeout)

    async def run_in_background(self, command: str, *, reads_only: bool = False) -> Outcome:
        """Starts a job and gives it a moment, so that one that fails at once is reported as such."""
        running = await self._start(command, eager=True, reads_only=reads_only)
        capture = running.pump.capture
        try:
            with anyio.move_on_after(_STARTED_WELL):
                await running.family.process.wait()
            if running.family.process.returncode is not None:
                return await self._finished(running, reads_only=reads_only)
        except BaseException:
            with anyio.CancelScope(shield=True):
                await running.end()
            raise
        job = self._jobs.add(running)
        output = capture.excerpt()
        text = f"{output}\n" if output else ""
        note = (
            f"[started as job {job.id} (pid {running.family.process.pid}); its output goes to {capture.log}; "
            "read it, wait for it or kill it with the job tool]"
        )
        return Outcome(text + note, None, "background", capture.log, capture.total, job.id)

    async def _start(self, command: str, *, eager: bool = False, reads_only: bool) -> Running:
        if not command.strip() or "\0" in command:
            raise Refused("The command is empty." if "\0" not in command else "The command contains a NUL character.")
        try:
            length = len(command.encode())
        except UnicodeEncodeError:
            raise Refused("The command contains half of a surrogate pair, which no program can be given.") from None
        if length > _MAX_COMMAND:
            raise Refused(
                f"The command has {size(length)}; at most {size(_MAX_COMMAND)} can be run. Write it to a script with "
                "write, and run that."
            )
        self._count += 1
        marker = secrets.token_hex(8)
        log = self._logs / f"command-{self._count:04d}-{marker[:6]}.log"
        capture = Capture(log, eager=eager, cleaner=self._cleaner() if self._cleaner is not None else None)
        pump = Pump(capture)
        shell = next((shell for shell in _SHELLS if Path(shell[0]).exists()), _SHELLS[-1])
        try:
            with anyio.CancelScope(shield=True):  # cancelled half-way, a process would be started and lost
                process = await (self._reading if reads_only else self._spawn)(
                    [*shell, "-c", command],
                    cwd=str(self._workspace.working_folder()[0]),
                    env=command_environment(self._env, marker),
                    stdout=pump.write_end,
                    stderr=pump.write_end,
                )
        except OSError as error:
            pump.close()
            capture.close()
            raise Refused(f"The command could not be started: {error.strerror or error}.") from error
        pump.close_write_end()
        return Running(command, Family(process, marker, pump.inode), pump)

    async def _finished(self, running: Running, live: Live | None = None, *, reads_only: bool) -> Outcome:
        ended = await running.pump.drained(DRAIN_QUIET, _DRAIN_AT_MOST)
        capture = running.pump.capture
        if live is not None and (text := capture.take_live()):
            await _tell(live, capture.total, text, 1.0)
        code = running.family.process.returncode
        left = [] if ended and self._contained else await running.family.survivors()
        job: Job | None = None
        if left:
            job = self._jobs.add(running, adopted=True)
        elif not ended:  # held by somebody who cannot be found: what they write is nobody's
            running.pump.close()
        if job is None:
            capture.close()
        output = capture.excerpt()
        notes = []
        if code and needs_terminal(output[-4000:]):
            notes.append(
                "[hint: there is no terminal, editor or input here and nobody to answer; "
                "give the answer as an option (-y, -m TEXT, --no-edit), an environment variable or a pipe]"
            )
        end = output[-4000:] if code else ""
        wanted_to_write = reads_only and wants_to_write(end, getattr(self._reading, "refused_write", ()))
        if not wanted_to_write:
            notes += [said for said in (refused_network(end, self._env), refused_write(end, self._env)) if said]
        folder, is_gone = self._workspace.working_folder()
        if is_gone:
            where = self._workspace.named(folder.relative_to(self._workspace.root).as_posix())
            notes.append(f"[the folder {self._workspace.start} that commands begin in is gone; they begin in {where}]")
        if job is not None:
            notes.append(
                f"[still running in the background as job {job.id}: {describe(left)}; see or kill it with the job tool]"
            )
        notes.append(_exit_line(code))
        text = "\n".join([output, *notes] if output else notes)
        log = capture.log if capture.logged else None
        return Outcome(text, code, "exit", log, capture.total, job.id if job else None, wanted_to_write)


async def _watched(running: Running, timeout: float, live: Live | None) -> str:
    """Waits for the shell's exit, the end of its time or too much output: "exit", "timeout" or "flood"."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    exited = asyncio.ensure_future(running.family.process.wait())
    flooded = asyncio.ensure_future(running.pump.flooded.wait())
    try:
        while True:
            left = deadline - loop.time()
            pause = min(left, _LIVE_INTERVAL) if live is not None else left
            await asyncio.wait({exited, flooded}, timeout=max(pause, 0), return_when=asyncio.FIRST_COMPLETED)
            if live is not None and (text := running.pump.capture.take_live()):
                await _tell(live, running.pump.capture.total, text, min(max(left, 0.01), 1.0))
            if flooded.done():
                return "flood"
            if exited.done():
                return "exit"
            if loop.time() >= deadline:
                return "timeout"
    finally:
        for task in (exited, flooded):
            task.cancel()


async def _tell(live: Live, total: int, text: str, patience: float) -> None:
    """A listener that does not take it in time misses it: the command's own time goes on."""
    with anyio.move_on_after(patience):
        await live(total, text)


def _exit_line(code: int | None) -> str:
    if code is None:
        return "[exit code unknown]"
    return f"[exit code {code}]" if code >= 0 else f"[exit code {128 - code}, ended by signal {-code}]"


def _cut_short(capture: Capture, ended: str, timeout: float) -> Outcome:
    if ended == "timeout":
        last = (
            f"[timed out after {timeout:g} s: the command and everything it started was killed; no exit code. "
            "Give a longer timeout, or run it in the background]"
        )
    else:
        last = (
            f"[killed: it wrote more than {size(OUTPUT_LIMIT)} of output; no exit code. Limit or redirect its output]"
        )
    output = capture.excerpt()
    text = f"{output}\n{last}" if output else last
    return Outcome(text, None, ended, capture.log if capture.logged else None, capture.total)
