"""Which tasks of a repository will not merge with each other, told while they still run."""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from goose_py.git.errors import GitError
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.trees.merge import Merged, Side, merge_sides
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.review.merge import name_in_markers


@dataclass(frozen=True)
class Work:
    """A task's files as they were recorded: `tree`, the tree that they began as, and the commit that was made on."""

    task_id: str
    base: str
    base_tree: str
    tree: str

    @property
    def key(self) -> str:
        return hashlib.sha256(f"{self.base}:{self.base_tree}:{self.tree}".encode()).hexdigest()[:20]


@dataclass(frozen=True)
class TaskConflict:
    one: str
    other: str
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Forecast:
    """`apart` says why a task was not compared with others; `left` pairs were not, since there were too many new ones. `about`
    is what it rests on of what is known."""

    found: tuple[TaskConflict, ...]
    apart: dict[str, str]
    about: frozenset[str]
    left: int = 0


Known = dict[str, tuple[str, ...]]
"""What was found out before, by the trees that it is about: it cannot become another."""


async def conflicts_between(
    works: Sequence[Work], known: Known, opened: Callable[[str], Awaitable[TaskWorktree]], most: int | None = None
) -> Forecast:
    """Every pair that git could not merge by itself, with the files. Only pairs that changed a file in common, or one a file
    where the other has a folder, are tried; what is `known` is not, and what was not is added to it. At `most` so many pairs
    are tried. `opened` gives the worktree of a task; it is asked only about what is not known."""
    apart: dict[str, str] = {}
    worktrees: dict[str, TaskWorktree] = {}

    async def there(work: Work) -> bool:
        if work.task_id not in worktrees and work.task_id not in apart:
            try:
                worktrees[work.task_id] = await opened(work.task_id)
            except (GitError, UserError) as problem:
                apart[work.task_id] = str(problem)
        return work.task_id in worktrees

    for work in works:
        if work.key not in known and await there(work):
            changes = await changeset_summary(worktrees[work.task_id].store, work.base_tree, work.tree)
            # A file that another task adds where one has been renamed away may be one of a folder that was.
            moved = (path for file in changes.files if file.old_path for path in (file.old_path, *_folders(file.old_path)))
            known[work.key] = tuple(dict.fromkeys([*(file.path for file in changes.files), *moved]))
    compared = [work for work in works if work.key in known]
    changed = {work.task_id: set(known[work.key]) for work in compared}
    places = {name: paths | {folder for path in paths for folder in _folders(path)} for name, paths in changed.items()}
    pairs = [
        (one, other)
        for one, other in combinations(compared, 2)
        if changed[one.task_id] & places[other.task_id] or places[one.task_id] & changed[other.task_id]
    ]
    new = [pair for pair in pairs if _named(*pair) not in known]
    tried = [(one, other) for one, other in new[:most] if await there(one) and await there(other)]
    for (one, other), merged in zip(tried, await _merged(tried, worktrees), strict=True):
        conflicting = set(merged.conflicting)
        if one.base != other.base:
            # What the branch did between the two beginnings is the doing of neither.
            conflicting = {path for path in conflicting if all(_about(path, changed[each.task_id]) for each in (one, other))}
        known[_named(one, other)] = tuple(sorted(conflicting))
    found = ((pair, known.get(_named(*pair), ())) for pair in pairs)
    conflicts = tuple(TaskConflict(one.task_id, other.task_id, paths) for (one, other), paths in found if paths)
    about = known.keys() & {*(work.key for work in compared), *(_named(*pair) for pair in pairs)}
    return Forecast(conflicts, apart, frozenset(about), 0 if most is None else len(new[most:]))


async def _merged(pairs: Sequence[tuple[Work, Work]], worktrees: dict[str, TaskWorktree]) -> list[Merged]:
    if not pairs:
        return []
    stores = {work.task_id: worktrees[work.task_id].store for pair in pairs for work in pair}
    first, *others = stores.values()
    return await merge_sides(first.beside(*others), [(_side(one, worktrees), _side(other, worktrees)) for one, other in pairs])


def _side(work: Work, worktrees: dict[str, TaskWorktree]) -> Side:
    return Side(work.tree, worktrees[work.task_id].base.standing, name_in_markers(work.task_id))


def _named(one: Work, other: Work) -> str:
    return f"{one.key} {other.key}"


def _about(path: str, changed: set[str]) -> bool:
    return path in changed or any(folder in changed for folder in _folders(path)) or any(path in _folders(p) for p in changed)


def _folders(path: str) -> Iterator[str]:
    return (path[:at] for at, letter in enumerate(path) if letter == "/")
