"""A worktree as a session sees it."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import TypedDict

from goose_py.git.paths import relative
from goose_py.git.private import PrivateStore
from goose_py.git.trees.conflicts import left_in_conflict
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.worktrees.worktree import Recorded, TaskWorktree
from goose_py.protocol.events import ChangesRecorded
from goose_py.protocol.resolving import Resolving
from goose_py.tasks.changes.diff_text import diff_text


class TreePorts(TypedDict):
    snapshot: Callable[[], Awaitable[str | None]]
    record: Callable[[Sequence[Path] | None], Awaitable[Recorded | None]]
    changes: Callable[[str, str], Awaitable[ChangesRecorded]]
    diff: Callable[[str, str, int], Awaitable[str]]
    unresolved: Callable[[Sequence[Resolving], str], Awaitable[tuple[str, ...]]]


def workspace_of(worktree: TaskWorktree, base_tree: Callable[[], str | None] = lambda: None) -> TreePorts:
    """What is left out of a snapshot is said with the changes of the turn in which it was. `base_tree` is what changes are
    counted from at that moment, the worktree's base where it says None."""
    warnings: dict[str, tuple[str, ...]] = {}

    async def snapshot() -> str:
        taken = await worktree.snapshot()
        warnings[taken.tree] = taken.warnings
        return taken.tree

    async def record(places: Sequence[Path] | None) -> Recorded:
        within = places is not None and all(place.is_relative_to(worktree.path) for place in places)
        paths = [relative(worktree.path, place) for place in places] if places is not None and within else None
        taken = await worktree.record(paths)
        warnings[taken.tree] = taken.warnings
        return taken

    async def changes(before: str, after: str) -> ChangesRecorded:
        base = base_tree() or worktree.base.tree
        return await changes_recorded(worktree.store, base, before, after, warnings.pop(after, ()))

    async def diff(before: str, after: str, limit: int) -> str:
        return await diff_text(worktree.store, before, after, limit)

    async def unresolved(resolving: Sequence[Resolving], tree: str) -> tuple[str, ...]:
        return await left_in_conflict(worktree.store, resolving, tree)

    return TreePorts(snapshot=snapshot, record=record, changes=changes, diff=diff, unresolved=unresolved)


async def changes_recorded(
    store: PrivateStore,
    base: str,
    before: str,
    after: str,
    warnings: tuple[str, ...] = (),
    resolving: Sequence[Resolving] = (),
) -> ChangesRecorded:
    """Counts are of all that is to be reviewed, from the tree `base` on: that is what a person is shown."""
    summary = await changeset_summary(store, base, after)
    return ChangesRecorded(
        tree_before=before,
        tree_after=after,
        files=len(summary.files),
        added=summary.added,
        removed=summary.removed,
        warnings=warnings,
        unresolved=await left_in_conflict(store, resolving, after),
    )
