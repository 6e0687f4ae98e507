"""What may be cleaned up. Only what is provably of no further use is ever offered, and nothing here removes anything."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from goose_py.git.errors import GitError
from goose_py.git.private import LANDED
from goose_py.git.repository import Repository, read_ref
from goose_py.git.worktrees.task_file import TaskFile
from goose_py.git.worktrees.worktree import TaskWorktree

State = Literal["clean", "merged", "dirty", "unmerged", "missing", "unfinished", "unreadable"]
"""`clean`: nothing was ever changed. `merged`: everything in it has reached one of the user's branches or was applied.
`dirty`: files differ from what was last merged. `unmerged`: commits on its branch are on no other. `missing`: the folder
is gone, its snapshots are kept. `unfinished`: a crash ended its creation, so that it holds no work; starting the same task
again clears it. `unreadable`: git or the file system refuses; see `detail`."""


@dataclass(frozen=True)
class WorktreeStatus:
    store: Path
    task_id: str
    path: Path | None
    branch: str | None
    state: State
    detail: str = ""

    @property
    def removable(self) -> bool:
        """May be offered for removal."""
        return self.state in ("clean", "merged")


async def find_worktrees(repository: Repository, stores: Path) -> tuple[WorktreeStatus, ...]:
    """Every task of this repository whose private git directory lies in `stores`, by name. Whether its process still lives
    is not known here: do not offer those that do. Takes a snapshot of each, so that whatever it finds is safe."""
    found = []
    for folder in await asyncio.to_thread(lambda: sorted(stores.iterdir()) if stores.is_dir() else []):
        try:
            known = TaskFile.read(folder)
        except GitError:
            continue
        if known.common_dir == str(repository.common_dir):
            found.append(await worktree_status(repository, folder))
    return tuple(found)


async def worktree_status(repository: Repository, store: Path) -> WorktreeStatus:
    """Of the task with this private git directory. Takes a snapshot. Raises GitError where there is none."""
    known = TaskFile.read(store)
    if not known.ready:
        detail = "a crash ended its creation; it holds no work"
        return WorktreeStatus(store, known.task_id, Path(known.path), known.branch, "unfinished", detail)
    try:
        worktree = await TaskWorktree.open(repository, store)
        state, detail = await _judge(worktree)
    except GitError as error:
        return WorktreeStatus(store, known.task_id, Path(known.path), known.branch, "unreadable", str(error))
    return WorktreeStatus(store, known.task_id, worktree.path, worktree.branch, state, detail)


async def _judge(worktree: TaskWorktree) -> tuple[State, str]:
    if not worktree.intact:
        return "missing", f"{worktree.path} is gone; `goose-py task restore {worktree.task_id}` brings it back"
    snapshot = await worktree.snapshot()
    if snapshot.left_out:
        return "dirty", f"{len(snapshot.left_out)} files are in no snapshot"
    tip, head = await worktree.tip(), await worktree.detached_head()
    for commit in (tip, head):
        if commit not in (None, worktree.base.commit) and not await _on_another_branch(worktree, commit):
            return "unmerged", f"commits of {worktree.branch or 'the task'} are on no other branch"
    if snapshot.tree == worktree.base.tree:
        return "clean", "nothing was changed"
    landed = await read_ref(worktree.store.bound, LANDED)
    tip_tree = await worktree.repository.tree_of(tip) if tip else None
    if snapshot.tree == landed or (tip != worktree.base.commit and snapshot.tree == tip_tree):
        return "merged", "everything in it has been merged"
    return "dirty", "files differ from what was merged" if landed else "its changes were not merged"


async def _on_another_branch(worktree: TaskWorktree, commit: str) -> bool:
    listing = await worktree.repository.bound.out(
        "for-each-ref", "--format=%(refname)", "--contains", commit, "refs/heads/", "refs/remotes/", "refs/tags/"
    )
    own = f"refs/heads/{worktree.branch or worktree.published}"
    return any(name != own for name in listing.decode("utf-8", "surrogateescape").split())
