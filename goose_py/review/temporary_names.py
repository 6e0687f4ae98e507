"""Our temporary names beside a git directory, `.goose-KIND-PID-...`, and clearing away those of processes that are gone."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LEFTOVER = ".goose-"


def leftovers(home: Path) -> list[Path]:
    """Everything of ours in `home`, whosever it is. Blocking."""
    return list(home.glob(f"{LEFTOVER}*-*-*"))


def sweep(home: Path) -> None:
    """Removes from `home` what no living process has made. Blocking."""
    for left in leftovers(home):
        if not _alive(left.name.removeprefix(LEFTOVER).split("-")[1]):
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
