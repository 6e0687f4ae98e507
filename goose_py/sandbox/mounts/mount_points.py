"""Folders that mounts hang on, made by us wherever a task may write: bwrap makes what is missing of the way to one, and
follows the links that a task has put there, out of the sandbox."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_IN_THE_WAY = (errno.ENOTDIR, errno.ELOOP, errno.EEXIST)


def mount_point(workspace: Path, part: Path) -> bool:
    """Makes the empty folder that a mount at `part` of the workspace hangs on. False where something of the task's stands
    there, or something that it has put in the way."""
    try:
        with _made(workspace, part) as folder, os.scandir(f"/proc/self/fd/{folder}") as entries:
            return next(entries, None) is None
    except OSError:
        return False


def make_way(folder: Path, part: Path) -> str:
    """Makes the folder `part` below `folder`, and returns the name of what stands in its way, "" where nothing does. Raises
    OSError."""
    try:
        with _made(folder, part):
            return ""
    except OSError as error:
        if error.errno not in _IN_THE_WAY:
            raise
        return os.fsdecode(error.filename)


@contextmanager
def _made(root: Path, part: Path) -> Iterator[int]:
    """`part` below `root`, opened; made where it is missing, through no link below `root`."""
    here = os.open(root, _FOLDER & ~os.O_NOFOLLOW)
    try:
        for name in part.parts:
            try:
                inner = os.open(name, _FOLDER, dir_fd=here)
            except FileNotFoundError:
                os.mkdir(name, 0o755, dir_fd=here)
                inner = os.open(name, _FOLDER, dir_fd=here)
            os.close(here)
            here = inner
        yield here
    finally:
        os.close(here)
