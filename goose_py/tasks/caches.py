"""Large ignored folders (installed dependencies, build caches) in a new worktree, where the file system can share their
blocks. A hard link would let a task write into the user's own files, and a plain copy costs what the file is meant to save:
so it is a clone or nothing."""

import asyncio
import fcntl
import os
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

from goose_py.files import delete_folder
from goose_py.git.paths import located, parents
from goose_py.protocol.changes import path_to_bytes

CLONE = {"linux": ("cp", "-a", "--reflink=always", "--"), "darwin": ("cp", "-cRp", "--")}


_FICLONE: Final = 0x40049409  # linux/fs.h


def share_blocks(source: BinaryIO, copy: BinaryIO) -> bool:
    """Makes the empty file a copy that costs no space. Linux only; False where the file system cannot."""
    try:
        fcntl.ioctl(copy.fileno(), _FICLONE, source.fileno())
    except OSError:
        return False
    return True


def can_clone(source: Path, target: Path, platform: str) -> bool:
    """Whether folders of `source` can be cloned below `target`, tried with one file: a clone that is impossible is found out
    file by file otherwise."""
    if platform != "linux":
        return platform in CLONE
    files = (Path(folder, name) for folder, _, names in os.walk(source) for name in names)
    sample = next((file for file in files if file.is_file() and not file.is_symlink() and file.stat().st_size), None)
    try:
        with tempfile.TemporaryFile(dir=target) as copy:
            if sample is None:
                return True
            with sample.open("rb") as reading:
                return share_blocks(reading, copy)
    except OSError:
        return False


async def clone_caches(source: Path, target: Path, names: Sequence[str], platform: str) -> tuple[str, ...]:
    """Clones the folders `names` of `source` into `target`. Returns a sentence for each that is not there now."""
    told = []
    for name in names:
        reason = await _clone(source, target, name, platform)
        if reason:
            told.append(f"{name} was not cloned into the worktree: {reason}.")
    return tuple(told)


async def _clone(source: Path, target: Path, name: str, platform: str) -> str:
    raw = path_to_bytes(name.strip("/"))
    origin, copy = located(source, raw), located(target, raw)
    if not origin.resolve().is_relative_to(source.resolve()) or ".." in Path(name).parts:
        return "it is not inside the checkout"
    if not origin.is_dir() or origin.is_symlink():
        return "it is no folder of the checkout"
    if copy.exists() or copy.is_symlink():
        return "it exists in the worktree already"
    if any(located(target, parent).is_symlink() for parent in parents(raw)):
        return "a symlink stands in its way"
    if platform not in CLONE:
        return "this system has no command that clones"
    copy.parent.mkdir(parents=True, exist_ok=True)
    process = await asyncio.create_subprocess_exec(
        *CLONE[platform],
        str(origin),
        str(copy),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    if await process.wait() == 0:
        return ""
    with suppress(OSError):
        await asyncio.to_thread(delete_folder, copy)
    return "the file system cannot share blocks; name it in .worktreeinclude to have a real copy"
