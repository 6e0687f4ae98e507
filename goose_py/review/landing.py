"""Approved changes as commits: on the task's own branch, and fast-forward on the user's. Never a checkout, stash or hook."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from goose_py.git.contents.lfs import with_pointers
from goose_py.git.errors import GitError, RefMoved, RepositoryBusy
from goose_py.git.private import ABSENT, Entry, PrivateStore, index_info
from goose_py.git.repository import Repository, update_ref
from goose_py.git.runner import Git
from goose_py.git.worktrees.checkout import viewed
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.apply import aside_of, put_in_place
from goose_py.review.approval import Approval
from goose_py.review.checkout_state import Standing, standings
from goose_py.review.commit_customs import require_author
from goose_py.review.errors import ApprovalOutdated, BaseMoved, CannotApply, UncommittedOverlap, listed
from goose_py.review.index_lock import Journal, index_locked
from goose_py.review.merge import Merged, PathChange, merged_entry, merged_onto, path_changes, refuse_submodules
from goose_py.review.recovery import REFLOG, index_copies, recover
from goose_py.review.temporary_names import LEFTOVER
from goose_py.review.users_work import apart_from_users_work, head_tree, refuse_users_work, with_users_work

History = Literal["squash", "commits"]
"""One commit with everything that was approved, or the task's own commits (and one more for what they lack)."""


@dataclass(frozen=True)
class Landing:
    """Commits that are ready: `commit` with `tree` stands on `tip`, where `branch` was. Nothing points to it yet, so it can
    be verified first. `merged` are the files where both sides had changed. `found` are trees that the task has had from the
    user's uncommitted work, `staged` the one of their index: what is still so in their checkout is no surprise there, and is
    part of the commit only `with_changes`."""

    branch: str
    tip: str
    commit: str
    tree: str
    approval: Approval
    merged: tuple[str, ...] = ()
    history: History = "squash"
    task_id: str = ""
    found: tuple[str, ...] = ()
    staged: str = ""
    with_changes: bool = False

    @property
    def reference(self) -> str:
        return f"refs/heads/{self.branch}"


async def prepare_landing(
    worktree: TaskWorktree,
    approval: Approval,
    branch: str,
    message: str,
    history: History = "squash",
    *,
    with_changes: bool = False,
) -> Landing:
    """Rebase what was approved on the tip of `branch`, in objects only. What the user had not committed when the task began
    goes along only `with_changes`. Raises BaseMoved where it conflicts or the branch is gone, UsersWork where it cannot be told
    apart from the user's work, ApprovalOutdated where `history` is "commits" and not everything was approved."""
    repository, store = worktree.repository, worktree.store
    tip = await repository.branch_tip(branch)
    if tip is None and repository.head.unborn and branch == repository.head.branch:
        raise CannotApply(
            f"{branch} has no commit yet, so nothing can be merged into it: commit something there first, or leave the changes "
            "in the working tree. Nothing was changed."
        )
    if tip is None:
        raise BaseMoved(f"the branch {branch} no longer exists; choose another one to merge into. Nothing was changed.")
    if approval.empty:
        raise CannotApply("nothing of this change was kept, so there is nothing to merge.")
    require_author(store)
    await refuse_submodules(store, approval.base_tree, approval.tree)
    tip_tree = await repository.tree_of(tip)
    if history == "commits":
        commit, tree, merged = await _replayed(worktree, approval, tip, tip_tree, message, with_changes=with_changes)
    else:
        start = await head_tree(worktree) if with_changes else worktree.base.tree
        since = start if with_changes else approval.base_tree
        base, wanted = [await _as_committed(worktree, each, start) for each in (since, approval.tree)]
        onto = await _merged(worktree, base, wanted, tip_tree, with_changes=with_changes)
        tree = await onto.on(store, tip_tree)
        commit, merged = await store.commit(tree, [tip], message), onto.merged
    await store.publish([commit], [tip], repository)
    base = worktree.base
    found = (base.tree, approval.base_tree, approval.tree) if base.recorded else ()
    return Landing(
        branch, tip, commit, tree, approval, merged, history, worktree.task_id, found, base.index, with_changes=with_changes
    )


async def land(repository: Repository, store: PrivateStore, landing: Landing, scratch: Path) -> tuple[str, ...]:
    """Fast-forward the branch to the prepared commit. Where it is checked out, files and index of that checkout follow, path
    by path; everything else in it stays. Waits for another merge into that checkout, and ends one that was killed. Returns the
    files that were written. Raises RefMoved, UncommittedOverlap, CannotApply, RepositoryBusy, NoSpace; then nothing was
    changed."""
    if await repository.branch_tip(landing.branch) != landing.tip:
        raise _moved(landing)
    places = [place for place in await repository.checkouts_of(landing.branch) if place.is_dir()]
    if len(places) > 1:
        raise CannotApply(f"{landing.branch} is checked out in {len(places)} places; leave it in one of them only.")
    if not places:
        await update_ref(repository.bound, landing.reference, landing.commit, landing.tip, REFLOG)
        await store.mark_landed(landing.approval.tree)
        return ()
    checkout = await repository.beside(places[0])
    await recover(checkout)
    journal = _journal(checkout, landing)
    async with index_locked(checkout.git_dir, journal, lambda: recover(checkout)):
        moving = asyncio.ensure_future(_move_checkout(await checkout.reopened(), store, landing, scratch, journal))
        try:
            return await asyncio.shield(moving)
        except asyncio.CancelledError:
            # Files, index and ref belong together: a cancellation waits for the few milliseconds that this takes.
            await asyncio.wait([moving])
            raise


async def commit_on_task_branch(
    worktree: TaskWorktree, approval: Approval, message: str, history: History = "squash", *, with_changes: bool = False
) -> str:
    """Put what was approved on the task's own branch and return the new tip. Earlier commits of the task stay reachable
    under `refs/goose/<task>/tip`. The worktree's files are not touched. What the user had not committed when the task began
    goes along only `with_changes`. Raises UsersWork where it cannot be told apart."""
    repository, store = worktree.repository, worktree.store
    if approval.empty:
        raise CannotApply("nothing of this change was kept, so there is nothing to commit.")
    require_author(store)
    await refuse_submodules(store, approval.base_tree, approval.tree)
    before = await worktree.tip()
    if before is None:
        raise BaseMoved(f"the task's commits are gone: {worktree.reference} no longer exists. Nothing was changed.")
    parent, start = worktree.base.commit, await head_tree(worktree)
    wanted = await _as_committed(worktree, approval.tree, start if with_changes else worktree.base.tree)
    if history == "commits":
        parent = before
        start = await _as_committed(worktree, await repository.tree_of(before), worktree.base.tree)
        if not with_changes:
            for commit in await _own_commits(worktree):
                await refuse_users_work(worktree, commit)
    since = start if with_changes else await with_users_work(worktree, start)
    tree = await (await _merged(worktree, since, wanted, start, with_changes=with_changes)).on(store, start)
    if history == "commits" and await repository.tree_of(before) == tree:
        return before
    commit = await store.commit(tree, [parent], message)
    await store.publish([commit], [parent], repository)
    await worktree.keep_tip()
    await worktree.move_tip(commit, before, "goose-py: commit approved changes")
    return commit


def _journal(checkout: Repository, landing: Landing) -> Journal:
    return Journal(
        root=os.fspath(checkout.root),
        reference=landing.reference,
        tip=landing.tip,
        commit=landing.commit,
        aside=os.fspath(aside_of(checkout)),
        index=f"{LEFTOVER}index-{os.getpid()}-{os.urandom(4).hex()}",
        had_index=(checkout.git_dir / "index").exists(),
        task_id=landing.task_id,
        how=landing.history,
        base_tree=landing.approval.base_tree,
        result_tree=landing.approval.result_tree,
        tree=landing.approval.tree,
    )


def _moved(landing: Landing) -> RefMoved:
    return RefMoved(f"{landing.branch} has moved meanwhile; nothing was changed. Merge again.")


async def _move_checkout(
    checkout: Repository, store: PrivateStore, landing: Landing, scratch: Path, journal: Journal
) -> tuple[str, ...]:
    """`checkout` as it is since its index is locked: while that was waited for, others may have worked in it."""
    if checkout.operation:
        raise RepositoryBusy(
            f"a {checkout.operation} is under way in {checkout.root}; finish or abort it, then merge. Nothing was changed."
        )
    if checkout.head.branch != landing.branch or checkout.head.commit != landing.tip:
        raise _moved(landing)
    if journal.had_index != (checkout.git_dir / "index").exists():
        raise _moved(landing)
    changes = await path_changes(store, await checkout.tree_of(landing.tip), landing.tree)
    async with viewed(checkout, scratch) as (_, on):
        todo, entries, stand = await _still_to_write(checkout, store, on, landing, changes)
        placed = await put_in_place(checkout, store, todo, stand, Path(journal.aside))
        try:
            await on.run("update-index", "-z", "--index-info", stdin=index_info(entries, store.null_oid))
            await on.run("update-index", "-q", "--refresh", ok=(0, 1))
            await _commit_index(checkout, Path(on.env["GIT_INDEX_FILE"]), journal)
        except BaseException:
            placed.take_back()
            raise
        placed.settle()
    await store.mark_landed(landing.approval.tree)
    return tuple(path_from_bytes(change.path) for change in todo)


async def _still_to_write(
    checkout: Repository, store: PrivateStore, on: Git, landing: Landing, changes: Sequence[PathChange]
) -> tuple[list[PathChange], dict[bytes, Entry], dict[bytes, Standing]]:
    """What files become, and what the index's entries do: the same, but for a file in which the user's own work stays beside
    what was merged."""
    stand = await standings(checkout, store, on, changes)
    known = await _UsersWork.read(checkout, store, landing, [change.path for change in changes])
    todo, dirty, blocked = [], [], []
    entries: dict[bytes, Entry] = {}
    for change in changes:
        here, path = stand[change.path], change.path
        entries[path] = change.new
        if here.disk == change.new and here.staged in (change.old, change.new):
            continue
        if here.obstacle:
            blocked.append((path_from_bytes(path), here.obstacle))
        elif here.disk == change.old and here.staged == change.old:
            todo.append(change)
        elif (beside := await known.beside(change, here)) is None:
            dirty.append(path_from_bytes(path))
        else:
            on_disk, entries[path] = beside
            if on_disk != here.disk:
                todo.append(PathChange(path, here.disk, on_disk))
    if dirty:
        raise UncommittedOverlap(
            f"you have uncommitted work in {listed(dirty)}, which this change touches too; nothing was changed. Commit it or "
            "move it away, or leave these files out of what you approve.",
            dirty,
        )
    if blocked:
        raise CannotApply(f"{blocked[0][0]} cannot be applied: {blocked[0][1]}. Nothing was changed.", [b[0] for b in blocked])
    return todo, entries, stand


@dataclass(frozen=True)
class _UsersWork:
    """What the task knows of the user's uncommitted work in the files that a landing changes."""

    checkout: Repository
    store: PrivateStore
    landing: Landing
    files: tuple[Mapping[bytes, Entry], ...]
    staged: Mapping[bytes, Entry]

    @classmethod
    async def read(
        cls, checkout: Repository, store: PrivateStore, landing: Landing, paths: Sequence[bytes]
    ) -> _UsersWork:
        files = tuple([await store.entries(tree, paths) for tree in landing.found])
        staged = await store.entries(landing.staged, paths) if landing.staged else {}
        return cls(checkout, store, landing, files, staged)

    async def beside(self, change: PathChange, here: Standing) -> tuple[Entry, Entry] | None:
        """The file and its entry in the index with the change in them; None where they are not as the task has known them,
        or the change is about the same lines."""
        path = change.path
        if all(here.disk != tree.get(path, ABSENT) for tree in self.files):
            return None
        if here.staged not in (change.old, change.new, self.staged.get(path, ABSENT)):
            return None
        if self.landing.with_changes:
            return change.new, change.new
        on_disk = await merged_entry(self.store, change.old, change.new, here.disk)
        staged = await merged_entry(self.store, change.old, change.new, here.staged)
        if on_disk is None or staged is None:
            return None
        if staged not in (ABSENT, change.new):
            # No commit holds it: the user's repository gets it here.
            content = (await self.store.read_blobs([staged[1]]))[staged[1]]
            await self.checkout.bound.run("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
        return on_disk, staged


async def _commit_index(checkout: Repository, new_index: Path, journal: Journal) -> None:
    """Index first, then the ref. `review.recovery` reads from what is there how far this has come."""
    index = checkout.git_dir / "index"
    before, staged = index_copies(checkout.git_dir, journal)
    try:
        shutil.copy2(new_index, staged)
        if journal.had_index:
            _keep(index, before)
        staged.replace(index)
        try:
            await update_ref(checkout.bound, journal.reference, journal.commit, journal.tip, REFLOG)
        except GitError:
            if journal.had_index:
                before.replace(index)
            else:
                index.unlink()
            raise
    finally:
        staged.unlink(missing_ok=True)
        before.unlink(missing_ok=True)


def _keep(index: Path, before: Path) -> None:
    """In one step, so that what is kept is never half of it."""
    try:
        os.link(index, before)
    except OSError:
        copy = before.with_name(f"{before.name}-copy")
        shutil.copy2(index, copy)
        copy.replace(before)


async def _replayed(
    worktree: TaskWorktree, approval: Approval, tip: str, tip_tree: str, message: str, *, with_changes: bool
) -> tuple[str, str, tuple[str, ...]]:
    """The task's commits one by one on `tip`, then one for what was approved beyond them."""
    repository, store = worktree.repository, worktree.store
    if approval.tree != approval.result_tree:
        raise ApprovalOutdated(
            "the task's own commits can only be kept when its whole change is approved; merge it as one commit instead."
        )
    commit, tree, merged = tip, tip_tree, []
    start = last_tree = await head_tree(worktree)
    committed = start if with_changes else worktree.base.tree
    for original in await _own_commits(worktree):
        if not with_changes:
            await refuse_users_work(worktree, original)
        original_tree = await _as_committed(worktree, await repository.tree_of(original), committed)
        onto = await merged_onto(store, last_tree, original_tree, tree)
        tree = await onto.on(store, tree)
        commit = await store.commit_like(original, tree, [commit])
        merged += onto.merged
        last_tree = original_tree
    wanted = await _as_committed(worktree, approval.tree, committed)
    since = last_tree if with_changes else await with_users_work(worktree, last_tree)
    if since != wanted:
        onto = await _merged(worktree, since, wanted, tree, with_changes=with_changes)
        tree = await onto.on(store, tree)
        commit = await store.commit(tree, [commit], message)
        merged += onto.merged
    return commit, tree, tuple(sorted(set(merged)))


async def _merged(worktree: TaskWorktree, since: str, tree: str, onto: str, *, with_changes: bool) -> Merged:
    if with_changes:
        return await merged_onto(worktree.store, since, tree, onto)
    return await apart_from_users_work(worktree, since, tree, onto)


async def _as_committed(worktree: TaskWorktree, tree: str, since: str) -> str:
    """With pointers where files of LFS differ from the tree `since`: a merge has to see them on all sides."""
    return await with_pointers(worktree.store, since, tree)


async def _own_commits(worktree: TaskWorktree) -> list[str]:
    tip = await worktree.tip()
    if tip is None:
        return []
    listing = await worktree.repository.bound.out(
        "rev-list", "--reverse", "--first-parent", f"{worktree.base.commit}..{tip}"
    )
    return listing.decode().split()
