"""A merge into a checkout that was cut off by the end of its process, finished or undone.

What the journal in the index lock names tells how far it had come. Files are put in place first, then the index, then the ref.
Once the index is in place only the ref is left to move, and a `git update-ref` of the killed process may still be about to: so
from there on it is finished. Before that it is undone. Either way ref, index and files belong together again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.errors import GitError, RefMoved, RepositoryBusy
from goose_py.git.repository import Repository, common_dir_of, update_ref
from goose_py.review.files import Placed, take_back_abandoned
from goose_py.review.index_lock import LOCK, Journal, Left, journal_in, left_behind
from goose_py.review.temporary_names import home_of, leftovers, sweep

REFLOG = "goose-py: merge approved changes"


@dataclass(frozen=True)
class Recovered:
    """What was found: the journal, and whether its merge holds now (else everything is as before it)."""

    journal: Journal
    merged: bool

    def sentence(self) -> str:
        """For people."""
        journal = self.journal
        cut = f"a merge of task {journal.task_id} into {journal.branch} had been cut off"
        if self.merged:
            return f"{cut}; it is finished now: {journal.branch} has {journal.commit[:12]}."
        return f"{cut}; {journal.root} is now as it was before."


def has_leftovers(root: Path) -> bool:
    """Whether `recover_all` may find something in the repository of the checkout `root`: by names only. Blocking."""
    try:
        common_dir = common_dir_of(root)
    except GitError:
        return False
    return any((git_dir / LOCK).exists() or leftovers(git_dir) for git_dir in _git_dirs(common_dir))


async def recover_all(repository: Repository) -> tuple[Recovered, ...]:
    """`recover` in each checkout of the repository that needs it."""
    found = []
    for git_dir in _git_dirs(repository.common_dir):
        journal = journal_in(git_dir)
        if journal is None and git_dir == repository.git_dir:
            await asyncio.to_thread(_clear, repository)
        elif journal is None:
            sweep(git_dir)
        elif (root := Path(journal.root)).is_dir():
            found.append(await recover(await repository.beside(root)))
    return tuple(each for each in found if each is not None)


def _git_dirs(common_dir: Path) -> list[Path]:
    return [common_dir, *sorted((common_dir / "worktrees").glob("*"))]


async def recover(repository: Repository) -> Recovered | None:
    """Ends what a process that is gone had begun in this checkout; None where there is nothing. A merge that is under way is
    left alone. Killed itself, it goes on where it stopped when it is called again. Raises RepositoryBusy where the journal is
    not about this checkout, which may have been moved since; nothing is done then."""
    left = left_behind(repository.git_dir)
    if left is None:
        await asyncio.to_thread(_clear, repository)
        return None
    if not left.journal.is_about(repository.root, repository.git_dir):
        left.keep()
        raise RepositoryBusy(
            f"{left.path} is about other places than this checkout, so nothing that it says was done; remove that file if no "
            "git process is running."
        )
    try:
        merged = await _ended(repository, left)
    except BaseException:
        left.keep()
        raise
    left.release()
    await asyncio.to_thread(_clear, repository)
    return Recovered(left.journal, merged)


def _clear(repository: Repository) -> None:
    take_back_abandoned(repository.root, home_of(repository.git_dir, repository.root))
    sweep(repository.git_dir)


async def _ended(repository: Repository, left: Left) -> bool:
    journal, git_dir = left.journal, repository.git_dir
    before, after = index_copies(git_dir, journal)
    placed = await asyncio.to_thread(Placed.found, Path(journal.root), Path(journal.aside))
    in_place = _index_is_in_place(journal, before, after, git_dir / "index")
    if await _holds(repository, journal) or (in_place and await _moved(repository, journal)):
        await asyncio.to_thread(placed.settle)
        before.unlink(missing_ok=True)
        return True
    # The index first: killed in between, this is not taken for a merge that only lacks its ref.
    if before.exists() and not after.exists():
        before.replace(git_dir / "index")
    elif in_place:
        (git_dir / "index").unlink(missing_ok=True)
    await asyncio.to_thread(placed.take_back)
    return False


def index_copies(git_dir: Path, journal: Journal) -> tuple[Path, Path]:
    """Where a landing keeps the index that was there, and the one that is to be there."""
    return git_dir / f"{journal.index}-old", git_dir / f"{journal.index}-new"


def _index_is_in_place(journal: Journal, before: Path, after: Path, index: Path) -> bool:
    """The new one is complete before the old one is kept, and is gone once it is in place."""
    if after.exists():
        return False
    return before.exists() if journal.had_index else index.exists()


async def _moved(repository: Repository, journal: Journal) -> bool:
    try:
        await update_ref(repository.bound, journal.reference, journal.commit, journal.tip, REFLOG)
    except RefMoved:
        return await _holds(repository, journal)
    return True


async def _holds(repository: Repository, journal: Journal) -> bool:
    """Somebody may have moved the branch on since."""
    tip = await repository.branch_tip(journal.branch)
    return tip is not None and await repository.is_ancestor(journal.commit, tip)
