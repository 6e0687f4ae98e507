"""Bringing an approved tree onto a tip that has moved: by path, and by content where both sides changed a text file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.submodules import LINK, filled_paths, made_among, readable_commits
from goose_py.git.paths import parents
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.git.trees.patch import parse_raw
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.approval import Approval
from goose_py.review.errors import BaseMoved, CannotApply, listed


@dataclass(frozen=True)
class PathChange:
    """One path of a tree-to-tree difference, without renames."""

    path: bytes
    old: Entry
    new: Entry


async def path_changes(store: PrivateStore, old_tree: str, new_tree: str) -> tuple[PathChange, ...]:
    """Every path that differs, in git's order."""
    if old_tree == new_tree:
        return ()
    output = await store.bound.out("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", old_tree, new_tree)
    return tuple(
        PathChange(change.path, _entry(change.old_mode, change.old_oid), _entry(change.new_mode, change.new_oid))
        for change in parse_raw(iter(output.split(b"\0")))
    )


async def changed_submodules(store: PrivateStore, changes: Sequence[PathChange]) -> dict[bytes, Approval]:
    """Those of `changes` that are about files in a submodule: by its path, as an approval of its own."""
    links = {each.path: (each.old[1], each.new[1]) for each in changes if each.old[0] == each.new[0] == LINK}
    made = await made_among(store, links) if links else {}
    trees = await readable_commits(store, sorted({commit for pair in made.values() for commit in pair}))
    return {path: Approval(trees[old], trees[new], trees[new]) for path, (old, new) in made.items()}


@dataclass(frozen=True)
class Merged:
    """`changes` bring the tip's tree to the wanted one; `merged` are the paths where both sides had changed."""

    changes: tuple[PathChange, ...]
    merged: tuple[str, ...]

    async def on(self, store: PrivateStore, tip_tree: str) -> str:
        """The wanted tree."""
        return await store.edited_tree(tip_tree, {change.path: change.new for change in self.changes})


async def merged_onto(store: PrivateStore, base_tree: str, tree: str, tip_tree: str) -> Merged:
    """The changes from `base_tree` to `tree`, carried over to `tip_tree`. Raises BaseMoved, naming the files, where both
    sides changed the same lines or the same binary file, or one deleted what the other changed."""
    wanted = await path_changes(store, base_tree, tree)
    if tip_tree == base_tree:
        return Merged(wanted, ())
    moved = {change.path: change for change in await path_changes(store, base_tree, tip_tree)}
    changes: list[PathChange] = []
    merged: list[str] = []
    conflicts: list[str] = []
    for change in wanted:
        theirs = moved.get(change.path)
        if theirs is None:
            changes.append(change)
        elif theirs.new != change.new:
            entry = await merged_entry(store, change.old, change.new, theirs.new)
            if entry is None:
                conflicts.append(path_from_bytes(change.path))
            else:
                changes.append(PathChange(change.path, theirs.new, entry))
                merged.append(path_from_bytes(change.path))
    conflicts += _folder_conflicts({change.path: change.new for change in changes}, moved)
    if conflicts:
        raise BaseMoved(
            f"{listed(conflicts)} changed in the repository since the task began, in the same places; nothing was changed. "
            "Leave these files out of what you approve, or have the task revised on the current state.",
            conflicts,
        )
    return Merged(tuple(changes), tuple(merged))


def _folder_conflicts(wanted: Mapping[bytes, Entry], moved: Mapping[bytes, PathChange]) -> list[str]:
    """A file on one side where the other now has a folder."""
    theirs = {path for path, change in moved.items() if change.new != ABSENT}
    ours = {path for path, entry in wanted.items() if entry != ABSENT}
    found = []
    for one, other in ((ours, theirs), (theirs, ours)):
        for path in one:
            if any(parent in other and parent not in one for parent in parents(path)):
                found.append(path_from_bytes(path))
    return sorted(set(found))


async def merged_entry(store: PrivateStore, base: Entry, ours: Entry, theirs: Entry) -> Entry | None:
    """One entry out of two changes to a path, or None where they contradict. Text is merged by lines, with no conflict
    tolerated; anything else must have changed on one side only."""
    if theirs in (base, ours):
        return ours
    if not {base[0], ours[0], theirs[0]} <= {"100644", "100755"}:
        return None
    mode = ours[0] if ours[0] != base[0] else theirs[0]
    if ours[1] in (base[1], theirs[1]):
        return (mode, theirs[1])
    if theirs[1] == base[1]:
        return (mode, ours[1])
    content = await _merged_content(store, base[1], ours[1], theirs[1])
    return None if content is None else (mode, (await store.write_blobs([content]))[0])


async def _merged_content(store: PrivateStore, base: str, ours: str, theirs: str) -> bytes | None:
    blobs = await store.read_blobs((base, ours, theirs))
    with store.scratch("merge") as folder:
        paths = [Path(folder) / name for name in ("current", "base", "other")]
        for path, oid in zip(paths, (theirs, base, ours), strict=True):
            path.write_bytes(blobs[oid])
        # The exit code counts conflicts; 255 is a binary file.
        done = await store.bound.run("merge-file", "-p", "-q", *map(str, paths), ok=tuple(range(256)))
    return done.stdout if done.exit_code == 0 else None


def _entry(mode: str, oid: str) -> Entry:
    return ABSENT if mode == "000000" else (mode, oid)


async def refuse_submodules(store: PrivateStore, base_tree: str, tree: str) -> None:
    """Raises CannotApply where files in a submodule changed: their commit would have to be made there first."""
    if not filled_paths(store):
        return
    inside = sorted(await changed_submodules(store, await path_changes(store, base_tree, tree)))
    if inside:
        names = [path_from_bytes(path) for path in inside]
        raise CannotApply(
            f"files inside the submodule {listed(names)} changed, which no commit of this repository can hold; nothing was "
            "changed. Leave the change in your checkout instead (`goose-py apply` without --how) and commit it in the "
            "submodule, or leave these files out of what you approve.",
            names,
        )
