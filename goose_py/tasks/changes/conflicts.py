"""Which tasks of a repository will not merge with each other, told while they still run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from goose_py.git.trees.diff import changeset_summary
from goose_py.git.trees.merge import Side, merge_sides
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.merge import name_in_markers


@dataclass(frozen=True)
class Work:
    """A task's files as they were looked at: `tree`, and the tree that its changes count from."""

    worktree: TaskWorktree
    tree: str
    base_tree: str

    @property
    def task_id(self) -> str:
        return self.worktree.task_id


@dataclass(frozen=True)
class TaskConflict:
    one: str
    other: str
    paths: tuple[str, ...]


Known = dict[str, tuple[str, ...]]
"""What was found out before, by the trees that it is about: it cannot become another."""


async def conflicts_between(works: Sequence[Work], known: Known) -> tuple[TaskConflict, ...]:
    """Every pair that git could not merge by itself, with the files. Only pairs that changed a file in common, or one a file
    where the other has a folder, are tried; what is `known` is not, and what was not is added to it."""
    changed = {work.task_id: await _changed_paths(work, known) for work in works}
    found = []
    for one, other in combinations(works, 2):
        if not _touch(changed[one.task_id], changed[other.task_id]):
            continue
        pair = f"{_named(one)} {_named(other)}"
        if pair not in known:
            known[pair] = await _conflicting(one, other, changed)
        if known[pair]:
            found.append(TaskConflict(one.task_id, other.task_id, known[pair]))
    return tuple(found)


async def _conflicting(one: Work, other: Work, changed: Mapping[str, set[str]]) -> tuple[str, ...]:
    store = one.worktree.store.beside(other.worktree.store)
    merged = await merge_sides(
        store,
        Side(one.tree, one.worktree.base.standing, name_in_markers(one.task_id)),
        Side(other.tree, other.worktree.base.standing, name_in_markers(other.task_id)),
    )
    conflicting = set(merged.conflicting)
    if one.worktree.base.standing != other.worktree.base.standing:
        # What the branch did between the two beginnings is the doing of neither.
        conflicting = {path for path in conflicting if all(_touch({path}, changed[each.task_id]) for each in (one, other))}
    return tuple(sorted(conflicting))


def _named(work: Work) -> str:
    return f"{work.worktree.base.standing}:{work.base_tree}:{work.tree}"


async def _changed_paths(work: Work, known: Known) -> set[str]:
    trees = f"{work.base_tree}..{work.tree}"
    if trees not in known:
        changes = await changeset_summary(work.worktree.store, work.base_tree, work.tree)
        known[trees] = tuple(path for file in changes.files for path in (file.path, file.old_path) if path)
    return set(known[trees])


def _touch(ours: set[str], theirs: set[str]) -> bool:
    if ours & theirs:
        return True
    folders = {_folder for path in theirs for _folder in _folders(path)}
    return bool(ours & folders) or any(folder in theirs for path in ours for folder in _folders(path))


def _folders(path: str) -> list[str]:
    parts = path.split("/")[:-1]
    return ["/".join(parts[: number + 1]) for number in range(len(parts))]
