"""The user's uncommitted work in what a task began with: told apart from the task's own, so that no commit holds it unasked."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from goose_py.git.private import ABSENT
from goose_py.git.trees.lines import added_lines, lines_in
from goose_py.git.trees.merge import Merged, merge_trees
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.errors import BaseMoved, UsersWork, listed
from goose_py.review.merge import PathChange, merged_onto, path_changes

_EMPTY = ("e69de29bb2d1d6434b8b29ae775ad8c2e48c5391", "473a0f4c3be8a93681a267e3b1e9a7dcda1185436fe141f7749120a303721813")
"""Git's id of a file without content, by SHA-1 and by SHA-256."""
_A_LINE = 12
"""So many characters are a line that says something,"""
_NO_COINCIDENCE = 40
"""and so many one that nobody else writes: of shorter ones it takes two."""
_CHOICE = (
    "nothing was changed. Commit your work first, apply the task's to your files (`goose-py apply`), or say "
    "`--with-my-changes` to commit both."
)


async def head_tree(worktree: TaskWorktree) -> str:
    """The tree of the commit that the task began at, without any uncommitted work that was recorded."""
    base = worktree.base
    return await worktree.repository.tree_of(base.commit) if base.recorded else base.tree


async def with_users_work(worktree: TaskWorktree, tree: str) -> str:
    """`tree`, which has none of it, with the user's uncommitted work on top. Raises UsersWork where that does not fit."""
    base, start = worktree.base, await head_tree(worktree)
    if start == base.tree:
        return tree
    try:
        return (await merged_onto(worktree.store, start, base.tree, tree)).tree
    except BaseMoved as conflict:
        raise _same_lines(conflict.paths) from None


async def apart_from_users_work(
    worktree: TaskWorktree, since: str, tree: str, onto: str, names: tuple[str, str]
) -> Merged:
    """The changes from `since` to `tree` on `onto`, which lacks the user's uncommitted work. Raises UsersWork where that is
    what they conflict with, else BaseMoved."""
    try:
        merged = await merged_onto(worktree.store, since, tree, onto, names)
    except BaseMoved as conflict:
        theirs = {path_from_bytes(each.path) for each in await _users_changes(worktree)}
        if set(conflict.paths) <= theirs:
            raise _same_lines(conflict.paths) from None
        raise
    brought = await path_changes(worktree.store, onto, merged.tree)
    if copies := await _copies(worktree, brought, onto):
        raise UsersWork(f"{listed(copies)} of the task holds what you have not committed, in another place; {_CHOICE}", copies)
    return merged


async def refuse_users_work(worktree: TaskWorktree, commit: str) -> None:
    """Raises UsersWork where this commit of the task holds some of it: where it is another one without it."""
    if not worktree.base.recorded:
        return
    store, start = worktree.store, await head_tree(worktree)
    tree = await worktree.repository.tree_of(commit)
    brought = await path_changes(store, start, tree)
    without = await merge_trees(store, worktree.base.tree, tree, start)
    others = [path_from_bytes(each.path) for each in await path_changes(store, tree, without.tree)]
    held = sorted({*without.conflicting, *others, *await _copies(worktree, brought, start)})
    if held:
        raise UsersWork(f"the task's commit {commit[:12]} holds your uncommitted work in {listed(held)}; {_CHOICE}", held)


async def base_on(worktree: TaskWorktree, commit: str, tree: str, branch: str | None) -> Base:
    """What the task stands on at another commit: the user's uncommitted work comes along where it fits there."""
    base, store = worktree.base, worktree.store
    clean = Base(commit, tree, branch)
    if not base.recorded:
        return clean
    try:
        files = await with_users_work(worktree, tree)
    except UsersWork as conflict:
        told = f"Your uncommitted work in {listed(conflict.paths)} is no longer in the task's files: it does not fit {branch}."
        return Base(commit, tree, branch, warnings=(told,))
    if files == tree:
        return clean
    recorded = await store.commit(files, [commit], "Uncommitted work, as it is on another commit\n")
    await store.publish([recorded], [commit], worktree.repository)
    return Base(
        commit, files, branch, includes_changes=True, index=tree, recorded=recorded, uncommitted=base.uncommitted,
        left_out=base.left_out,
    )  # fmt: skip


async def _users_changes(worktree: TaskWorktree) -> tuple[PathChange, ...]:
    return await path_changes(worktree.store, await head_tree(worktree), worktree.base.tree)


async def _copies(worktree: TaskWorktree, made: Sequence[PathChange], onto: str) -> list[str]:
    """Which files that are brought to the tree `onto` hold what the user has not committed, staged or not: the very bytes of a
    file, whatever it is called, or lines that `onto` has nowhere. What was reworded is not seen, nor a single short line."""
    store, start, base = worktree.store, await head_tree(worktree), worktree.base
    users = [each for tree in {base.tree, base.index or start} for each in await path_changes(store, start, tree)]
    if not users:
        return []
    theirs = {each.new[1] for each in users} - {ABSENT[1], *_EMPTY}
    known = {each.path for each in users}
    held = {each.path for each in made if each.new[1] in theirs and each.path not in known}
    own = frozenset[bytes]().union(*await added_lines(store, [(each.old, each.new) for each in users]))
    own = {line for line in own if len(line) >= _A_LINE}
    brought = await added_lines(store, [(each.old, each.new) for each in made])
    taken = {each.path: lines & own for each, lines in zip(made, brought, strict=True) if lines & own}
    there = await lines_in(store, onto, {line for lines in taken.values() for line in lines})
    held |= {path for path, lines in taken.items() if _is_no_coincidence(lines - there)}
    return sorted(map(path_from_bytes, held))


def _is_no_coincidence(lines: Collection[bytes]) -> bool:
    return len(lines) > 1 or any(len(line) >= _NO_COINCIDENCE for line in lines)


def _same_lines(paths: Sequence[str]) -> UsersWork:
    return UsersWork(
        f"the task changed lines in {listed(paths)} that you have changed too and not committed, so a commit of the one would "
        f"hold the other; {_CHOICE}",
        paths,
    )
