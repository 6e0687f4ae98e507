"""Turn the files of a worktree from one tree into another, without a filter and without losing what no tree holds."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.lfs import FILES, pointers_among, put_contents, uses_lfs
from goose_py.git.contents.submodules import LINK, Checkout, fill_submodules, readable_commits
from goose_py.git.errors import WouldOverwrite
from goose_py.git.paths import files_below, located, parents
from goose_py.git.trees.patch import RawChange, parse_raw
from goose_py.protocol.changes import path_from_bytes


@dataclass(frozen=True)
class _Move:
    """Of one folder from tree to tree; `inner` are those of its submodules, before its own where they lose their files."""

    checkout: Checkout
    current: str
    target: str
    changes: tuple[RawChange, ...]
    emptied: tuple[_Move, ...] = ()
    inner: tuple[_Move, ...] = ()
    new: tuple[tuple[bytes, str], ...] = ()

    def all(self) -> Iterator[_Move]:
        yield self
        for move in (*self.emptied, *self.inner):
            yield from move.all()


async def switch(checkout: Checkout, current: str, target: str) -> None:
    """The files, whose private index and content are those of the tree `current`, become those of `target`, in submodules
    too where the commits can be read. Raises WouldOverwrite, with nothing changed, where a file that is not in `current` (an
    ignored one, say) stands in the way."""
    if current == target:
        return
    whole = await _planned(checkout, current, target)
    names = []
    for move in whole.all():
        # Git takes ignored files for expendable; they are not ours to spend.
        obstacles = await asyncio.to_thread(_in_the_way, move.checkout.root, move.changes)
        names += [path_from_bytes(move.checkout.prefix + path) for path in obstacles]
    if names:
        raise WouldOverwrite(
            f"this would overwrite {', '.join(names[:5])}, which no snapshot holds; move it away and try again. "
            "Nothing was changed.",
            names,
        )
    await _carry_out(whole)


async def _planned(checkout: Checkout, current: str, target: str) -> _Move:
    store = checkout.store
    output = await store.bound.out("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", current, target)
    changes = tuple(parse_raw(iter(output.split(b"\0"))))
    links = [change for change in changes if LINK in (change.old_mode, change.new_mode)]
    if not links:
        return _Move(checkout, current, target, changes)
    commits = {oid for each in links for mode, oid in _sides(each) if mode == LINK}
    trees = await readable_commits(store, sorted(commits))
    filled = checkout.filled()
    emptied, inner, new = [], [], []
    for change in links:
        (old_mode, old), (new_mode, oid) = _sides(change)
        path, wanted = change.path, trees.get(oid) if new_mode == LINK else None
        here = filled.get(path)
        if here is not None and old_mode == LINK and old in trees and here.usable:
            if wanted is not None:
                here.remember(wanted, oid)
                inner.append(await _planned(here, trees[old], wanted))
            elif new_mode != LINK:
                emptied.append(await _planned(here, trees[old], await store.bound.line("mktree")))
        elif wanted is not None:
            new.append((path, oid))
    return _Move(checkout, current, target, changes, tuple(emptied), tuple(inner), tuple(new))


async def _carry_out(move: _Move) -> None:
    for inner in move.emptied:
        await _carry_out(inner)
    if move.current != move.target:
        await _turn(move)
    for inner in move.inner:
        await _carry_out(inner)
    if move.new:
        await fill_submodules(move.checkout, dict(move.new))


async def _turn(move: _Move) -> None:
    checkout, store = move.checkout, move.checkout.store
    turning = ("read-tree", "-m", "-u", move.current, move.target)
    if not uses_lfs(store):
        await checkout.on.run(*turning)
        return
    old = {change.path: change.old_oid for change in move.changes if change.old_mode in FILES}
    new = {change.path: change.new_oid for change in move.changes if change.new_mode in FILES}
    pointers = await pointers_among(store, {*old.values(), *new.values()})
    # Their contents are what the pointers stand for; git would take them for changes that are not recorded.
    recorded = [located(checkout.root, path) for path, oid in old.items() if oid in pointers]
    await asyncio.to_thread(_unlink, [place for place in recorded if place.is_file() and not place.is_symlink()])
    await checkout.on.run(*turning)
    arrived = [path for path, oid in new.items() if oid in pointers]
    if arrived:
        await put_contents(store, checkout.on, checkout.root, checkout.index, arrived)


def _unlink(places: Iterable[Path]) -> None:
    for place in places:
        place.unlink()


def _sides(change: RawChange) -> tuple[tuple[str, str], tuple[str, str]]:
    return (change.old_mode, change.old_oid), (change.new_mode, change.new_oid)


def _in_the_way(root: Path, changes: Sequence[RawChange]) -> list[bytes]:
    known = {change.path for change in changes if change.letter != "A"}
    found: set[bytes] = set()
    for change in changes:
        if change.letter == "A":
            found.update(path for path in _occupants(root, change.path) if path not in known)
    return sorted(found)


def _occupants(root: Path, path: bytes) -> Iterable[bytes]:
    """Files that have to go before `path` can be a file."""
    for parent in parents(path):
        place = located(root, parent)
        if place.is_symlink() or place.is_file():
            return [parent]
    place = located(root, path)
    if place.is_dir() and not place.is_symlink():
        return files_below(root, place)
    return [path] if os.path.lexists(place) else []
