"""Turn the files of a worktree from one tree into another, without a filter and without losing what no tree holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from goose_py.git.errors import WouldOverwrite
from goose_py.git.patch import RawChange, parse_raw
from goose_py.git.paths import files_below, located, parents
from goose_py.git.private import PrivateStore
from goose_py.git.runner import Git
from goose_py.protocol.changes import path_from_bytes


async def switch(store: PrivateStore, on: Git, root: Path, current: str, target: str) -> None:
    """The files below `root`, whose private index and content are those of `current`, become those of `target`. Raises
    WouldOverwrite, with nothing changed, where a file that is not in `current` (an ignored one, say) stands in the way."""
    if current == target:
        return
    output = await store.bound.out("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", current, target)
    changes = list(parse_raw(iter(output.split(b"\0"))))
    # Git takes ignored files for expendable; they are not ours to spend.
    obstacles = await asyncio.to_thread(_in_the_way, root, changes)
    if obstacles:
        names = [path_from_bytes(path) for path in obstacles]
        raise WouldOverwrite(
            f"this would overwrite {', '.join(names[:5])}, which no snapshot holds; move it away and try again. "
            "Nothing was changed.",
            names,
        )
    await on.run("read-tree", "-m", "-u", current, target)


def _in_the_way(root: Path, changes: Sequence[RawChange]) -> list[bytes]:
    known = {change.path for change in changes if change.letter != "A"}
    found: set[bytes] = set()
    for change in changes:
        if change.letter == "A":
            found.update(path for path in _occupants(root, change.path) if path not in known)
    return sorted(found)


def _occupants(root: Path, path: bytes) -> Iterable[bytes]:
    """Files that have to go before `path` can be a file."""
    for parent in parents(path):
        place = located(root, parent)
        if place.is_symlink() or place.is_file():
            return [parent]
    place = located(root, path)
    if place.is_dir() and not place.is_symlink():
        return files_below(root, place)
    return [path] if os.path.lexists(place) else []
