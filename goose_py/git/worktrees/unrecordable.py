"""What no tree can hold, and yet somebody made: files above the cap, the history of repositories inside a worktree, the files
of submodules, and ignored folders that are too much to be recorded. When the worktree is removed they are moved into a folder
of the private git directory, numbered, with a list of where they were."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from goose_py.files import delete_folder
from goose_py.git.paths import located, relative, walk
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

WORK = "left-out"
"""Kept for good."""
IGNORED = "left-out-ignored"
"""Dependencies rather than work: kept until somebody tidies up."""
_LIST = "list.json"


def nested_git_dirs(root: Path) -> list[Path]:
    """Every `.git` below `root` but its own."""
    found = []
    for here, folders, files in walk(root):
        if here != root and ".git" in (*folders, *files):
            found.append(here / ".git")
        folders[:] = [name for name in folders if name != ".git"]
    return found


def move_aside(store: Path, root: Path, places: Sequence[Path], kind: str = WORK) -> None:
    """Move files and folders below `root` away; the list is written before each move, so that a crash loses none."""
    folder = store / kind
    moved = _moved(folder)
    for place in places:
        if not os.path.lexists(place):
            continue
        folder.mkdir(exist_ok=True)
        name = f"{len(moved)}-{os.urandom(3).hex()}"
        moved[name] = path_from_bytes(relative(root, place))
        _write_list(folder, moved)
        shutil.move(place, folder / name)


def bring_back(store: Path, root: Path, kind: str = WORK) -> None:
    """Put them where they were, but over nothing: what finds its place taken stays aside."""
    folder = store / kind
    moved = _moved(folder)
    for name, path in sorted(moved.items()):
        target = located(root, path_to_bytes(path))
        if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
            target.rmdir()
        if os.path.lexists(folder / name) and not os.path.lexists(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(folder / name, target)
            del moved[name]
            _write_list(folder, moved)


def ignored_aside(store: Path) -> tuple[str, ...]:
    """What was moved away although git ignores it, by the path that it had."""
    return tuple(sorted(_moved(store / IGNORED).values()))


def drop_ignored(store: Path) -> None:
    """Deletes it. Raises OSError."""
    if (store / IGNORED).is_dir():
        delete_folder(store / IGNORED)


def _moved(folder: Path) -> dict[str, str]:
    listing = folder / _LIST
    return json.loads(listing.read_text()) if listing.is_file() else {}


def _write_list(folder: Path, moved: dict[str, str]) -> None:
    temporary = folder / f"{_LIST}.new"
    temporary.write_text(json.dumps(moved, indent=1))
    temporary.replace(folder / _LIST)
