"""The conventions that apply from the start, also while the files that say them are still on their way."""

import os
import posixpath
import shutil
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path, PurePosixPath

from goose_py.agent.conventions import Conventions
from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.git.paths import located, parents, relative
from goose_py.git.trees.extract import extract
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_from_bytes


def global_conventions(host: Host, settings: Settings) -> list[Path]:
    return [host.paths.config / name for name in settings.context_files] + [host.home / ".agents" / "AGENTS.md"]


async def conventions_of_base(
    worktree: TaskWorktree,
    tracked: Collection[str],
    names: Sequence[str],
    global_files: Sequence[Path],
    scratch: Path,
    start: str = ".",
    meant: Callable[[str], Path] = Path,
) -> tuple[Conventions, str]:
    """What `Conventions.initial` finds for the folder `start` of the worktree where that holds the files of its base,
    `tracked`, and nothing else; and the reader, for the worktree, that has said it. Read by the same rules from a
    copy of the files that are asked for, which git writes as it would write the worktree: what they import or lead to is
    fetched until nothing is missing."""
    top = Path(os.path.realpath(scratch)) / "conventions"
    # Named as the worktree is: a link may leave the top and come in again.
    root = top / worktree.path.name
    chain = {folder.as_posix() for folder in (PurePosixPath(start), *PurePosixPath(start).parents)}
    known = {path.casefold(): path for path in tracked if (posixpath.dirname(path) or ".") in chain}
    wanted = [posixpath.normpath(f"{folder}/{name}") for folder in chain for name in names]
    asked = {known.get(name.casefold(), name) for name in wanted}
    fetched: set[bytes] = set()

    def ignored(path: str) -> bool:
        asked.add(path)
        return path not in tracked

    try:
        root.mkdir(parents=True, mode=0o700)
        while True:
            conventions = Conventions(root, names, ignored)
            text = conventions.initial(global_files, root / start)
            missing = _missing(root, asked, tracked) - fetched
            if not missing:
                return conventions.at(worktree.path, meant), text
            await extract(worktree.store, worktree.base.tree, missing, root)
            fetched |= missing
    finally:
        shutil.rmtree(top, ignore_errors=True)


def _missing(root: Path, asked: Iterable[str], tracked: Collection[str]) -> set[bytes]:
    """What the base has of the paths that were asked for, or of the links on the way to them, and `root` does not yet."""
    found: set[bytes] = set()
    for path in asked:
        real = Path(os.path.realpath(root / path))
        if real.is_relative_to(root):
            place = relative(root, real)
            found |= {step for step in (place, *parents(place)) if path_from_bytes(step) in tracked}
    return {step for step in found if not os.path.lexists(located(root, step))}
