"""Running ripgrep: found in the system's own folders, told to read no configuration and to run no other program."""

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path

import anyio

from ..shell.environment import command_environment
from ..shell.processes import Spawn

# Not from PATH: a program of this name in the workspace must never be it.
_PLACES = ("/usr/bin/rg", "/usr/local/bin/rg", "/opt/homebrew/bin/rg", "/bin/rg")
_CHUNK = 1 << 16
_MAX_ERROR = 4000
# Only ignore files in the workspace itself count, so that results do not depend on who runs it where.
_FILES = [
    "--files",
    "--hidden",
    "--null",
    "--no-messages",
    "--no-require-git",
    "--no-ignore-global",
    "--no-ignore-exclude",
    "--no-ignore-parent",
    "--glob",
    "!.git",
]


def installed() -> str | None:
    """The absolute path of ripgrep, None where it is not installed."""
    return next((place for place in _PLACES if os.access(place, os.X_OK)), None)


def _literally(path: str) -> str:
    return re.sub(r"([\\*?\[\]{}!])", r"\\\1", path)


@dataclass
class Failed(Exception):
    """ripgrep could not be started, or ended with an error (a pattern it cannot read)."""

    message: str


@dataclass(frozen=True)
class Ripgrep:
    """`program` run by `spawn` in the folder `cwd`."""

    program: str
    spawn: Spawn
    cwd: Path
    env: Mapping[str, str] | None

    async def files(self, folder: str, max_bytes: int | None = None, left_out: Sequence[str] = ()) -> list[str]:
        """The files beneath `folder` (relative to cwd or absolute, `.` for all) that are not ignored, nor larger than
        `max_bytes`, nor beneath one of the paths `left_out`, in no order. Raises Failed.

        Rules of folders above `folder` do not count.
        """
        pieces: list[bytes] = []
        size = [] if max_bytes is None else ["--max-filesize", str(max_bytes)]
        without = [word for path in left_out for word in ("--glob", f"!/{_literally(path)}")]
        async with aclosing(self._output([*_FILES, *without, *size, "--", "./"], self.cwd / folder)) as output:
            async for piece in output:
                pieces.append(piece)
        names = b"".join(pieces).split(b"\0")
        prefix = b"" if folder == "." else os.fsencode(folder) + b"/"
        return [os.fsdecode(prefix + name.removeprefix(b"./")) for name in names if name]

    def search(self, arguments: Sequence[str], files: Sequence[str]) -> AsyncGenerator[bytes, None]:
        """The output of a search in just these files, in chunks. Raises Failed; closing it early ends the program."""
        return self._output([*arguments, "--", *(name if name.startswith("/") else f"./{name}" for name in files)], self.cwd)

    async def _output(self, arguments: Sequence[str], cwd: Path) -> AsyncGenerator[bytes, None]:
        try:
            with anyio.CancelScope(shield=True):
                process = await self.spawn(
                    [self.program, "--no-config", "--color", "never", *arguments],
                    cwd=str(cwd),
                    env=command_environment(self.env, "search"),
                    stdout=asyncio.subprocess.PIPE,
                    stderr=asyncio.subprocess.PIPE,
                )
        except OSError as error:
            raise Failed(error.strerror or str(error)) from error
        output, errors = process.stdout, process.stderr
        assert output is not None and errors is not None
        try:
            while piece := await output.read(_CHUNK):
                yield piece
            # 0: found, 1: found nothing, 2: an error, perhaps no more than one unreadable file. A sandbox that cannot
            # start it ends with 1 as well, but says something.
            if await process.wait() != 0 and (complaint := await errors.read(_MAX_ERROR)):
                raise Failed(complaint.decode("utf-8", "replace").strip())
        finally:
            with anyio.CancelScope(shield=True):
                if process.returncode is None:
                    process.kill()
                await process.communicate()  # what is left unread would keep the pipes open
