"""Git's paths (bytes, relative to a root) as places in the file system."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def located(root: Path, path: bytes) -> Path:
    """Where a path of a tree is below `root`. Undecodable bytes survive (surrogateescape)."""
    return root / os.fsdecode(path)


def relative(root: Path, place: Path) -> bytes:
    """The inverse of `located`."""
    return os.fsencode(place.relative_to(root))


def parents(path: bytes) -> Iterator[bytes]:
    """The folders above a path of a tree, the nearest first, without the root."""
    parent = path.rpartition(b"/")[0]
    while parent:
        yield parent
        parent = parent.rpartition(b"/")[0]


def below_symlink(root: Path, path: bytes) -> bool:
    """Whether a folder above the path is a symlink, so that the path leads elsewhere."""
    return any(located(root, parent).is_symlink() for parent in parents(path))


def files_below(root: Path, folder: Path) -> Iterator[bytes]:
    """Every file and symlink below `folder`, as paths relative to `root`, in order. Repositories inside are entered, their
    `.git` is left out; symlinks are not followed."""
    for here, folders, files in walk(folder):
        links = [name for name in folders if (here / name).is_symlink()]
        folders[:] = sorted(name for name in folders if name != ".git" and name not in links)
        for name in sorted((*files, *links)):
            if name != ".git":
                yield relative(root, here / name)


def walk(top: Path) -> Iterator[tuple[Path, list[str], list[str]]]:
    """As `os.walk` does from the top, for folders that an agent may have made thousands of within each other: before Python
    3.12 that calls itself for each level. Whoever takes folders out of the list keeps them from being entered."""
    waiting = [top]
    while waiting:
        here = waiting.pop()
        try:
            with os.scandir(here) as scanned:
                entries = list(scanned)
        except OSError:
            continue
        folders = [entry.name for entry in entries if entry.is_dir()]
        links = {entry.name for entry in entries if entry.is_symlink()}
        yield here, folders, [entry.name for entry in entries if not entry.is_dir()]
        waiting += [here / name for name in reversed(folders) if name not in links]
