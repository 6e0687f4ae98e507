"""`.worktreeinclude`: which ignored files of the checkout (an `.env`, a local setting) a task's worktree needs as well.

The file stands at the root of the checkout, in gitignore syntax. Only files that git ignores, and those that hold secrets, are
copied: everything else is the task's base already.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from goose_py.git.paths import located, parents
from goose_py.git.repository import Repository
from goose_py.git.trees.snapshot import INCLUDE, ignored_paths
from goose_py.git.worktrees.checkout import viewed
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

FILE_NAME = INCLUDE


@dataclass(frozen=True)
class Included:
    """`copied` and, with a reason each, `skipped` paths."""

    copied: tuple[str, ...] = ()
    skipped: tuple[tuple[str, str], ...] = field(default=())


async def copy_included(
    repository: Repository, worktree: Path, scratch: Path, further: Sequence[str] = (), left_out: Sequence[str] = ()
) -> Included:
    """Copy what `.worktreeinclude` and the patterns `further` ask for, of what git ignores and of the new files that were
    `left_out` of a task's base. Copies are readable by their owner alone; symlinks are
    copied as links where they stay inside the checkout, and never followed."""
    file = repository.root / FILE_NAME
    patterns = [f"--exclude={pattern}" for pattern in further]
    if file.is_file() and not file.is_symlink():
        patterns.append(f"--exclude-from={file}")
    if not patterns:
        return Included()
    async with viewed(repository, scratch) as (_, on):
        wanted = await on.out("ls-files", "-z", "--others", "--ignored", *patterns)
        paths = [path for path in wanted.split(b"\0") if path]
        if not paths:
            return Included()
        chosen = sorted(await ignored_paths(on, paths) | set(paths) & {path_to_bytes(path) for path in left_out})
    return await asyncio.to_thread(_copy_all, repository.root, worktree, chosen)


def _copy_all(source: Path, target: Path, paths: list[bytes]) -> Included:
    copied: list[str] = []
    skipped: list[tuple[str, str]] = []
    for path in paths:
        try:
            reason = _copy_one(source, target, path)
        except OSError as error:
            reason = (error.strerror or "it cannot be copied").lower()
        if reason:
            skipped.append((path_from_bytes(path), reason))
        else:
            copied.append(path_from_bytes(path))
    return Included(tuple(copied), tuple(skipped))


def _copy_one(source: Path, target: Path, path: bytes) -> str | None:
    """Why the file was not copied, or None."""
    origin, copy = located(source, path), located(target, path)
    if path.endswith(b"/"):
        return "it is a git repository of its own"
    if os.path.lexists(copy):
        return "it exists in the worktree already"
    if not _make_folders(target, path):
        return "a symlink or file stands in its way"
    status = origin.lstat()
    if stat.S_ISLNK(status.st_mode):
        link = os.readlink(origin)  # noqa: PTH115  (exactly as it is written)
        if link.startswith("/") or not (origin.parent / link).resolve().is_relative_to(source.resolve()):
            return "it is a symlink out of the checkout"
        copy.symlink_to(link)
        return None
    if not stat.S_ISREG(status.st_mode):
        return "it is no regular file"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    with origin.open("rb") as reading, os.fdopen(os.open(copy, flags, status.st_mode & 0o700 | 0o600), "wb") as writing:
        shutil.copyfileobj(reading, writing, 1024 * 1024)
    return None


def _make_folders(root: Path, path: bytes) -> bool:
    for parent in reversed(list(parents(path))):
        folder = located(root, parent)
        if folder.is_symlink() or folder.is_file():
            return False
        folder.mkdir(mode=0o700, exist_ok=True)
    return True
