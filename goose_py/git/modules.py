"""What the user's repository has of its submodules: object stores, to be read by the ids that the superproject records."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from goose_py.git.repository import Repository


def module_stores(repository: Repository) -> tuple[Path, ...]:
    """The object stores of the submodules that the user's checkout has (gitsubmodules(7): below `modules` of the git
    directory, nested ones below theirs). What leads out of the repository is not among them."""
    homes = dict.fromkeys((repository.git_dir, repository.common_dir))
    return tuple(store for home in homes for store in _stores_below(home / "modules", home))


def _stores_below(folder: Path, home: Path) -> Iterator[Path]:
    if not folder.is_dir() or folder.is_symlink():
        return
    for entry in sorted(folder.iterdir()):
        objects = entry / "objects"
        if entry.is_symlink() or not entry.is_dir():
            continue
        if not (entry / "HEAD").is_file():
            yield from _stores_below(entry, home)  # names of submodules may have slashes
            continue
        if objects.is_dir() and objects.resolve().is_relative_to(home.resolve()):
            yield objects
        yield from _stores_below(entry / "modules", home)
