"""What the user's repository has of its submodules: object stores, to be read by the ids that the superproject records."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from goose_py.git.repository import Repository


def module_stores(repository: Repository) -> tuple[Path, ...]:
    """The object stores of the submodules that the user's checkout has (gitsubmodules(7): below `modules` of the git
    directory, nested ones below theirs). What leads out of the repository is not among them."""
    homes = dict.fromkeys((repository.git_dir, repository.common_dir))
    return tuple(store for home in homes for store in _stores_below(home / "modules", home))


def _stores_below(folder: Path, home: Path) -> list[Path]:
    inside = home.resolve()
    found, waiting = [], [folder]
    while waiting:
        with suppress(OSError):  # what may not be read has nothing for us either
            for entry in _folders_in(waiting.pop(0)):
                if not (entry / "HEAD").is_file():
                    waiting.append(entry)  # names of submodules may have slashes
                    continue
                waiting.append(entry / "modules")
                objects = entry / "objects"
                if objects.is_dir() and objects.resolve().is_relative_to(inside):
                    found.append(objects)
    return found


def _folders_in(folder: Path) -> list[Path]:
    """Without links, and none where it is one itself."""
    if folder.is_symlink():
        return []
    with os.scandir(folder) as entries:
        return sorted(Path(entry.path) for entry in entries if entry.is_dir(follow_symlinks=False))
