"""The one place that starts git."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goose_py.git.environment import hardened_environment
from goose_py.git.errors import GitError, GitFailed, GitUnavailable, MissingObjects, NoSpace, RepositoryBusy

OLDEST_GIT = (2, 31)
"""GIT_CONFIG_COUNT, without which the environment cannot be hardened."""

_NO_SPACE = "there is no space left for git to write; free some and try again. Nothing was lost."
_NEARLY_NOTHING = 16 * 1024 * 1024

_MISSING = re.compile(
    r"(?:cannot read object|unable to read (?:sha1 file|tree|[0-9a-f]{40})|missing (?:blob|tree|commit)|bad object|"
    r"could not fetch|lazy fetching disabled)[^\n]*"
)


@dataclass(frozen=True)
class Completed:
    exit_code: int
    stdout: bytes
    stderr: bytes


@dataclass(frozen=True)
class Git:
    """An absolute git binary and the hardened environment that it runs in.

    A `Git` is a value: `at()` binds it to a git directory, index and working tree. Every process gets its own process group
    and is killed with it when the awaiting task is cancelled."""

    executable: Path
    env: Mapping[str, str]
    cwd: Path | None = field(default=None)

    @classmethod
    def create(cls, executable: Path | None, environment: Mapping[str, str]) -> Git:
        """`executable`: absolute, found by bootstrap. `environment`: the user's; only harmless parts are inherited."""
        if executable is None:
            raise GitUnavailable("git was not found on PATH; install git 2.31 or newer.")
        if not executable.is_absolute():
            raise ValueError("the path of git must be absolute")
        return cls(executable=executable, env=hardened_environment(environment))

    def at(
        self,
        git_dir: Path,
        *,
        work_tree: Path | None = None,
        index: Path | None = None,
        objects: Path | None = None,
        alternates: Sequence[Path] = (),
    ) -> Git:
        """The same git for one explicit git directory: discovery never happens. `objects`: where new objects are written
        instead of the git directory's own store; `alternates`: further stores to read from."""
        env = {**self.env, "GIT_DIR": str(git_dir)}
        if work_tree is not None:
            env["GIT_WORK_TREE"] = str(work_tree)
        if index is not None:
            env["GIT_INDEX_FILE"] = str(index)
        if objects is not None:
            env["GIT_OBJECT_DIRECTORY"] = str(objects)
        if alternates:
            env["GIT_ALTERNATE_OBJECT_DIRECTORIES"] = os.pathsep.join(_quoted_store(path) for path in alternates)
        return replace(self, env=env, cwd=work_tree or git_dir)

    def with_env(self, **variables: str) -> Git:
        return replace(self, env={**self.env, **variables})

    async def run(self, *args: str, stdin: bytes = b"", ok: Sequence[int] = (0,)) -> Completed:
        """Run to its end. Raises a GitError where the exit code is not in `ok`."""
        done = await self._execute(args, stdin)
        if done.exit_code not in ok:
            stderr = done.stderr.decode("utf-8", "replace")
            if "unable to write file" in stderr and self._is_full():
                raise NoSpace(_NO_SPACE)
            raise translated(args, done.exit_code, stderr)
        return done

    def _is_full(self) -> bool:
        """Git does not say why it cannot write a file of a working tree."""
        try:
            return self.cwd is not None and shutil.disk_usage(self.cwd).free < _NEARLY_NOTHING
        except OSError:
            return False

    async def out(self, *args: str, stdin: bytes = b"") -> bytes:
        return (await self.run(*args, stdin=stdin)).stdout

    async def line(self, *args: str, stdin: bytes = b"") -> str:
        """The output as text without its final newline: for oids and names of refs."""
        return (await self.out(*args, stdin=stdin)).decode("utf-8", "surrogateescape").removesuffix("\n")

    async def version(self) -> tuple[int, ...]:
        """For example (2, 39, 5). Raises GitUnavailable below the oldest version that can be hardened."""
        text = await self.line("version")
        found = re.search(r"(\d+)\.(\d+)(?:\.(\d+))?", text)
        version = tuple(int(part) for part in found.groups(default="0")) if found else (0,)
        if version < OLDEST_GIT:
            raise GitUnavailable(f"{text} is too old; install git 2.31 or newer.")
        return version

    async def _execute(self, args: Sequence[str], stdin: bytes) -> Completed:
        try:
            process = await asyncio.create_subprocess_exec(
                self.executable,
                *args,
                env=dict(self.env),
                cwd=self.cwd,
                stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError as error:
            if str(error.filename) == str(self.executable):
                raise GitUnavailable(f"git was not found at {self.executable}; install git 2.31 or newer.") from None
            raise GitError(f"{error.filename} does not exist: moved or deleted; where it comes back, this goes on.") from None
        try:
            stdout, stderr = await process.communicate(stdin or None)
        except BaseException:
            await _kill(process)
            raise
        return Completed(process.returncode or 0, stdout, stderr)


async def _kill(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        await process.wait()


async def together(*work: Coroutine[Any, Any, Any]) -> list[Any]:
    """The results of what runs side by side, in order. The first failure ends the others, and is raised once they are gone."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(each) for each in work]
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None
    return [task.result() for task in tasks]


def translated(args: Sequence[str], exit_code: int, stderr: str) -> GitError:
    """The typed error for a failed command. Git has no machine-readable errors; LC_ALL=C makes its texts stable."""
    full = ("No space left on device", "File too large", "Disk quota exceeded")
    if exit_code == -signal.SIGXFSZ or any(text in stderr for text in full):
        return NoSpace(_NO_SPACE)
    locked = re.search(r"Unable to create '(.+?\.lock)': File exists", stderr)
    if locked:
        return RepositoryBusy(
            f"another git process holds {locked[1]}; wait for it, or remove that file if no git process is running."
        )
    missing = _MISSING.search(stderr)
    if missing:
        return MissingObjects(
            f"the repository lacks content that is needed ({missing[0].strip()}); "
            "fetch it first, for example with `git fetch --refetch` in a partial clone."
        )
    return GitFailed(args, exit_code, stderr)


def _quoted_store(path: Path) -> str:
    text = os.fspath(path)
    if os.pathsep not in text and not text.startswith('"'):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
