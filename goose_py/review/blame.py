"""Which step of a task made which part of its change: blame over the trees that were recorded along the way."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from goose_py.git.paths import parents
from goose_py.git.private import PrivateStore
from goose_py.git.trees.diff import changeset_summary, file_change, with_hunks
from goose_py.protocol.changes import ChangeSet, FileChange, Hunk, path_to_bytes

Step = int
"""Index into the recorded trees: step n made the difference from tree n-1 to tree n."""


@dataclass(frozen=True)
class Reason:
    """`lines`, by index into `Hunk.lines`: the step that put a "+" line there or took a "-" line away, where it can be told.
    `steps`: all steps that made the hunk; every step that changed the file where no line can be told."""

    steps: tuple[Step, ...]
    lines: dict[int, Step]


async def reasons(
    store: PrivateStore, trees: Sequence[str], path: str, since: str | None = None
) -> dict[str, Reason]:
    """By hunk id, for one file of the changeset from `since` (`trees[0]` by default) to `trees[-1]`. A line that was written,
    removed and written again belongs to the last of these steps. Raises KeyError where the file did not change."""
    whole = await changeset_summary(store, since or trees[0], trees[-1])
    file = await file_change(store, whole, path)
    history = _History()
    name = file.old_path or file.path
    for step, changed in enumerate(await _changed(store, trees), 1):
        if not changed.isdisjoint(_ways_to(name) | _ways_to(file.path)):
            name = await _advance(store, trees[step - 1], trees[step], name, file.path, step, history)
    if since not in (None, trees[0]):
        history.removed.clear()  # these lines are numbered as in the first tree
    return {hunk.id: _reason(hunk, history) for hunk in file.hunks or ()}


async def _changed(store: PrivateStore, trees: Sequence[str]) -> list[set[bytes]]:
    """The paths in which each tree differs from the one before it."""
    pairs = "".join(f"{before} {after}\n" for before, after in pairwise(trees))
    output = await store.bound.out("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--stdin", stdin=pairs.encode())
    found: list[set[bytes]] = []
    for row in output.split(b"\0"):
        while pair := _PAIR.match(row):
            found.append(set())
            row = row[pair.end() :]
        if row:
            found[-1].add(row)
    return found


_PAIR = re.compile(rb"[0-9a-f]{40,64} [0-9a-f]{40,64}\n")


def _ways_to(path: str) -> set[bytes]:
    """Itself and the folders above: a submodule's files are behind a link of its own."""
    raw = path_to_bytes(path)
    return {raw, *parents(raw)}


class _History:
    """Where each line of the current version came from: the step that wrote it (0: the base), and its number in the base
    (0: none). Lines beyond the end of `lines` are the base's, in order: they are added when a hunk reaches them."""

    def __init__(self) -> None:
        self.lines: list[tuple[Step, int]] = []
        self.known_base = 0
        self.removed: dict[int, Step] = {}
        self.touched: list[Step] = []

    def reach(self, count: int) -> None:
        while len(self.lines) < count:
            self.known_base += 1
            self.lines.append((0, self.known_base))

    def apply(self, hunks: Sequence[Hunk], step: Step) -> None:
        """Hunks from the last to the first, so that line numbers stay those of the old side."""
        self.touched.append(step)
        for hunk in reversed(hunks):
            start = hunk.old_start - 1 if hunk.old_lines else hunk.old_start
            self.reach(start + hunk.old_lines)
            old = iter(self.lines[start : start + hunk.old_lines])
            fresh: list[tuple[Step, int]] = []
            for line in hunk.lines:
                if line[0] == "+":
                    fresh.append((step, 0))
                elif line[0] == " ":
                    fresh.append(next(old))
                else:
                    _, base_number = next(old)
                    if base_number:
                        self.removed[base_number] = step
            self.lines[start : start + hunk.old_lines] = fresh


async def _advance(
    store: PrivateStore, before: str, after: str, name: str, final: str, step: Step, history: _History
) -> str:
    """Take one step into the history; returns the file's name after it."""
    changes = await changeset_summary(store, before, after)
    file = _renamed_from(changes, name) or changes.file(name) or changes.file(final)
    if file is None:
        return name
    loaded = (await with_hunks(store, changes, [file.path])).file(file.path)
    if loaded is not None and loaded.hunks:
        history.apply(loaded.hunks, step)
    return name if file.status == "deleted" else file.path


def _renamed_from(changes: ChangeSet, name: str) -> FileChange | None:
    return next((file for file in changes.files if file.old_path == name), None)


def _reason(hunk: Hunk, history: _History) -> Reason:
    found: dict[int, Step] = {}
    old = hunk.old_start - (1 if hunk.old_lines else 0)
    new = hunk.new_start - (1 if hunk.new_lines else 0)
    for number, line in enumerate(hunk.lines):
        if line[0] != "+":
            old += 1
        if line[0] != "-":
            new += 1
        if line[0] == "-" and old in history.removed:
            found[number] = history.removed[old]
        elif line[0] == "+":
            history.reach(new)
            step = history.lines[new - 1][0]
            if step:
                found[number] = step
    return Reason(tuple(sorted(set(found.values()) or set(history.touched))), found)
