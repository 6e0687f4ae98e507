"""Our temporary names beside a git directory, `.goose-KIND-PID-...`, and clearing away those of processes that are gone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LEFTOVER = ".goose-"
APPLY = f"{LEFTOVER}apply-"
"""What is put into a checkout's files alone, without a journal: see `review.files.take_back_abandoned`."""


def home_of(git_dir: Path, root: Path) -> Path:
    """Where what goes into a checkout is kept meanwhile: on its file system, in the git directory where that is possible. Only
    there is looked for what was left: files of the checkout, whoever made them, may be called as ours are."""
    return git_dir if git_dir.stat().st_dev == root.stat().st_dev else root


def leftovers(home: Path) -> list[Path]:
    """Everything of ours in `home`, whosever it is. Blocking."""
    return list(home.glob(f"{LEFTOVER}*-*-*"))


def abandoned(home: Path) -> list[Path]:
    """What no living process has made. Blocking."""
    return [left for left in leftovers(home) if not _alive(left.name.removeprefix(LEFTOVER).split("-")[1])]


def sweep(home: Path) -> None:
    """Removes it, but for what may be the only copy of a file. Blocking."""
    for left in abandoned(home):
        if left.name.startswith(APPLY):
            continue
        if left.is_dir() and not left.is_symlink():
            shutil.rmtree(left, ignore_errors=True)
        else:
            left.unlink(missing_ok=True)


def _alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        return True
    return True
