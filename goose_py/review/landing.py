"""Approved changes as commits: on the task's own branch, and fast-forward on the user's. Never a checkout, stash or hook."""

from __future__ import annotations

import asyncio
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from goose_py.git.contents.lfs import with_pointers
from goose_py.git.contents.submodules import LINK
from goose_py.git.errors import GitError, RefMoved, RepositoryBusy
from goose_py.git.private import ABSENT, Entry, PrivateStore, index_info
from goose_py.git.repository import Repository, update_ref
from goose_py.git.trees.merge import Merged, merge_trees
from goose_py.git.worktrees.checkout import viewed
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.apply import NAMES, as_known, aside_of, look, put_in_place, uncommitted_overlap
from goose_py.review.approval import Approval
from goose_py.review.bytes_on_disk import contents_to_write
from goose_py.review.checkout_state import CheckoutState
from goose_py.review.commit_customs import require_author
from goose_py.review.errors import ApprovalOutdated, BaseMoved, CannotApply
from goose_py.review.index_lock import Journal, index_locked
from goose_py.review.merge import merged_onto, name_in_markers, path_changes, refuse_filtered, refuse_submodules
from goose_py.review.recovery import REFLOG, index_copies, recover
from goose_py.review.temporary_names import LEFTOVER
from goose_py.review.users_work import apart_from_users_work, head_tree, refuse_users_work, with_users_work

History = Literal["squash", "commits"]
"""One commit with everything that was approved, or the task's own commits (and one more for what they lack)."""


@dataclass(frozen=True)
class Landing:
    """Commits that are ready: `commit` with `tree` stands on `tip`, where `branch` was. Nothing points to it yet, so it can
    be verified first. `merged` are the files where both sides had changed, `as_text` those that a merge driver of the user's
    would have merged. `known` are trees with uncommitted work of the user's, and of their index, that the commit holds."""

    branch: str
    tip: str
    commit: str
    tree: str
    approval: Approval
    merged: tuple[str, ...] = ()
    history: History = "squash"
    task_id: str = ""
    as_text: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

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
    await _refuse_what_no_commit_holds(worktree, approval, history, with_changes=with_changes)
    tip_tree = await repository.tree_of(tip)
    if history == "commits":
        replayed = await _replayed(worktree, approval, tip, tip_tree, message, _Onto(worktree, branch, with_changes))
    else:
        start = await head_tree(worktree) if with_changes else worktree.base.tree
        since = start if with_changes else approval.base_tree
        since, wanted = [await _as_committed(worktree, each, start) for each in (since, approval.tree)]
        onto = await _Onto(worktree, branch, with_changes).merged(since, wanted, tip_tree)
        replayed = _Replayed(await store.commit(onto.tree, [tip], message), onto.tree, {*onto.joined}, {*onto.as_text})
    await store.publish([replayed.commit], [tip], repository)
    base = worktree.base
    known = (base.tree, approval.base_tree, approval.tree, base.index or base.tree) if with_changes and base.recorded else ()
    return Landing(
        branch, tip, replayed.commit, replayed.tree, approval, tuple(sorted(replayed.merged)), history, worktree.task_id,
        tuple(sorted(replayed.as_text)), known,
    )  # fmt: skip


@dataclass(frozen=True)
class Followed:
    """How a checkout followed its branch: `files` were written, `yours` are those of them with uncommitted work in them."""

    files: tuple[str, ...] = ()
    yours: tuple[str, ...] = ()


async def land(repository: Repository, store: PrivateStore, landing: Landing, scratch: Path) -> Followed:
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
        return Followed()
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
    await _refuse_what_no_commit_holds(worktree, approval, history, with_changes=with_changes)
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
    tree = (await _Onto(worktree, worktree.base.branch or "base", with_changes).merged(since, wanted, start)).tree
    if history == "commits" and await repository.tree_of(before) == tree:
        return before
    commit = await store.commit(tree, [parent], message)
    await store.publish([commit], [parent], repository)
    await worktree.keep_tip()
    await worktree.move_tip(commit, before, "goose-py: commit approved changes")
    return commit


async def _refuse_what_no_commit_holds(
    worktree: TaskWorktree, approval: Approval, history: History, *, with_changes: bool
) -> None:
    store, start = worktree.store, await head_tree(worktree)
    require_author(store)
    await refuse_submodules(store, approval.base_tree, approval.tree)
    await refuse_filtered(store, start if with_changes else approval.base_tree, approval.tree)
    for commit in await _own_commits(worktree) if history == "commits" else ():
        tree = await worktree.repository.tree_of(commit)
        await refuse_filtered(store, start, tree)
        start = tree


def _journal(checkout: Repository, landing: Landing) -> Journal:
    return Journal(
        root=os.fspath(checkout.root),
        reference=landing.reference,
        tip=landing.tip,
        commit=landing.commit,
        aside=os.fspath(aside_of(checkout, f"{LEFTOVER}land-")),
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
) -> Followed:
    """`checkout` as it is since its index is locked: while that was waited for, others may have worked in it."""
    if checkout.operation:
        raise RepositoryBusy(
            f"a {checkout.operation} is under way in {checkout.root}; finish or abort it, then merge. Nothing was changed."
        )
    if checkout.head.branch != landing.branch or checkout.head.commit != landing.tip:
        raise _moved(landing)
    if journal.had_index != (checkout.git_dir / "index").exists():
        raise _moved(landing)
    tip_tree = await checkout.tree_of(landing.tip)
    async with viewed(checkout, scratch) as (_, on):
        seen, state = await look(checkout, store, on, tip_tree, landing.tree, landing.known)
        seen.refuse()
        entries = await _staged_with(checkout, store, state, tip_tree, landing)
        with store.scratch("land") as folder:
            writes = await contents_to_write(checkout, store, state, seen.todo, seen.found.tree, Path(folder))
            placed = await put_in_place(checkout, writes, Path(journal.aside))
        try:
            await on.run("update-index", "-z", "--index-info", stdin=index_info(entries, store.null_oid))
            await on.run("update-index", "-q", "--refresh", ok=(0, 1))
            await _commit_index(checkout, Path(on.env["GIT_INDEX_FILE"]), journal)
        except BaseException:
            placed.take_back()
            raise
        placed.settle()
    await store.mark_landed(landing.approval.tree)
    return Followed(tuple(path_from_bytes(change.path) for change in seen.todo), seen.yours)


async def _staged_with(
    checkout: Repository, store: PrivateStore, state: CheckoutState, tip_tree: str, landing: Landing
) -> dict[bytes, Entry]:
    """What changes in the index: the change is merged into what is staged too. Raises UncommittedOverlap."""
    changes = await path_changes(store, tip_tree, landing.tree)
    base = await as_known(store, tip_tree, state.index, changes, landing.known)
    merged = await merge_trees(store, base, state.index, landing.tree, NAMES)
    if not merged.clean:
        raise uncommitted_overlap(merged.conflicting)
    entries = {change.path: change.new for change in await path_changes(store, state.index, merged.tree)}
    for mode, oid in {*entries.values()} - {change.new for change in changes} - {ABSENT}:
        if mode != LINK:
            # No commit holds it: the user's repository gets it here.
            content = (await store.read_blobs([oid]))[oid]
            await checkout.bound.run("hash-object", "-w", "--no-filters", "--stdin", stdin=content)
    return entries


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


@dataclass(frozen=True)
class _Onto:
    """How changes of the task come onto `branch`."""

    worktree: TaskWorktree
    branch: str
    with_changes: bool

    async def merged(self, since: str, tree: str, onto: str) -> Merged:
        names = (self.branch, name_in_markers(self.worktree.task_id))
        if self.with_changes:
            return await merged_onto(self.worktree.store, since, tree, onto, names)
        return await apart_from_users_work(self.worktree, since, tree, onto, names)


@dataclass(frozen=True)
class _Replayed:
    commit: str
    tree: str
    merged: set[str]
    as_text: set[str]


async def _replayed(
    worktree: TaskWorktree, approval: Approval, tip: str, tip_tree: str, message: str, onto: _Onto
) -> _Replayed:
    """The task's commits one by one on `tip`, then one for what was approved beyond them."""
    repository, store = worktree.repository, worktree.store
    if approval.tree != approval.result_tree:
        raise ApprovalOutdated(
            "the task's own commits can only be kept when its whole change is approved; merge it as one commit instead."
        )
    commit, tree, steps = tip, tip_tree, []
    start = last_tree = await head_tree(worktree)
    committed = start if onto.with_changes else worktree.base.tree
    for original in await _own_commits(worktree):
        if not onto.with_changes:
            await refuse_users_work(worktree, original)
        original_tree = await _as_committed(worktree, await repository.tree_of(original), committed)
        steps.append(await merged_onto(store, last_tree, original_tree, tree, (onto.branch, name_in_markers(worktree.task_id))))
        tree = steps[-1].tree
        commit = await store.commit_like(original, tree, [commit])
        last_tree = original_tree
    wanted = await _as_committed(worktree, approval.tree, committed)
    since = last_tree if onto.with_changes else await with_users_work(worktree, last_tree)
    if since != wanted:
        steps.append(await onto.merged(since, wanted, tree))
        tree = steps[-1].tree
        commit = await store.commit(tree, [commit], message)
    return _Replayed(commit, tree, {p for each in steps for p in each.joined}, {p for each in steps for p in each.as_text})


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
