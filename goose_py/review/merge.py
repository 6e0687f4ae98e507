"""Bringing an approved tree onto a tip that has moved: by path, and by content where both sides changed a text file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.patch import parse_raw
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.errors import BaseMoved, listed


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


@dataclass(frozen=True)
class Merged:
    """`changes` bring the tip's tree to the wanted one; `merged` are the paths where both sides had changed."""

    changes: tuple[PathChange, ...]
    merged: tuple[str, ...]


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
            entry = await _merged_entry(store, change, theirs)
            if entry is None:
                conflicts.append(path_from_bytes(change.path))
            else:
                changes.append(PathChange(change.path, theirs.new, entry))
                merged.append(path_from_bytes(change.path))
    conflicts += _folder_conflicts({change.path: change.new for change in changes}, moved)
    if conflicts:
        raise BaseMoved(
            f"{listed(conflicts)} changed in the repository since the task began, in the same places; nothing was changed. "
            "Send the task back to revise it on the current state, or leave these files out.",
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
            parent = path.rpartition(b"/")[0]
            while parent:
                if parent in other and parent not in one:
                    found.append(path_from_bytes(path))
                parent = parent.rpartition(b"/")[0]
    return sorted(set(found))


async def _merged_entry(store: PrivateStore, ours: PathChange, theirs: PathChange) -> Entry | None:
    """One entry of the two changes to a path, or None where they contradict."""
    modes = {ours.old[0], ours.new[0], theirs.new[0]}
    if not modes <= {"100644", "100755"}:
        return None
    mode = ours.new[0] if ours.new[0] != ours.old[0] else theirs.new[0]
    if ours.new[1] == ours.old[1]:
        return (mode, theirs.new[1])
    if theirs.new[1] in (theirs.old[1], ours.new[1]):
        return (mode, ours.new[1])
    blobs = await store.read_blobs((ours.old[1], ours.new[1], theirs.new[1]))
    with store.scratch("merge") as folder:
        paths = [Path(folder) / name for name in ("current", "base", "other")]
        for path, oid in zip(paths, (theirs.new[1], ours.old[1], ours.new[1]), strict=True):
            path.write_bytes(blobs[oid])
        done = await store.bound.run("merge-file", "-p", "-q", *map(str, paths), ok=tuple(range(256)))
    if done.exit_code:
        return None
    return (mode, (await store.write_blobs([done.stdout]))[0])


def _entry(mode: str, oid: str) -> Entry:
    return ABSENT if mode == "000000" else (mode, oid)
