"""Leave an approved change in the user's working tree, unstaged, merged with whatever else is there; and take it back."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from goose_py.files import recall, remember
from goose_py.git.contents.filters import filtered_paths
from goose_py.git.paths import below_symlink, located
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.merge import Merged, merge_trees
from goose_py.git.worktrees.checkout import viewed
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.review.approval import Approval
from goose_py.review.bytes_on_disk import contents_to_write, raw_entries, written_entries
from goose_py.review.checkout_state import CheckoutState, checkout_state, in_the_way
from goose_py.review.errors import CannotApply, UncommittedOverlap, listed
from goose_py.review.files import Placed, Write, place, standing_at
from goose_py.review.merge import PathChange, base_moved, changed_submodules, path_changes
from goose_py.review.recovery import recover
from goose_py.review.temporary_names import APPLY, home_of

NAMES = ("your-files", "task")
"""What git calls the two sides in what it says of a conflict."""


@dataclass(frozen=True)
class Applied:
    """`files` were written or removed. `merged` are those of them where the repository had moved and both changes went
    together, `yours` those in which the user's uncommitted work is kept, `as_text` those that a merge driver of theirs would
    have merged. `already` had the wanted content before. `before` and `after` are trees of the very bytes on disk."""

    tree: str
    files: tuple[str, ...]
    merged: tuple[str, ...] = ()
    yours: tuple[str, ...] = ()
    as_text: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


@dataclass(frozen=True)
class Outlook:
    """What applying would do now: `dirty`, `conflicting` (as `found` says) and `blocked` each forbid it."""

    found: Merged
    todo: tuple[PathChange, ...] = ()
    already: tuple[PathChange, ...] = ()
    yours: tuple[str, ...] = ()
    dirty: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()
    blocked: tuple[tuple[str, str], ...] = ()

    def refuse(self) -> None:
        """Raise the error for what stands in the way, if anything does."""
        if self.dirty:
            raise uncommitted_overlap(self.dirty)
        if self.conflicting:
            raise base_moved(self.found, self.conflicting)
        if self.blocked:
            path, reason = self.blocked[0]
            names = [name for name, _ in self.blocked]
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise CannotApply(f"{path} cannot be applied: {reason}{more}. Nothing was changed.", names)


def uncommitted_overlap(paths: Sequence[str]) -> UncommittedOverlap:
    return UncommittedOverlap(
        f"you have uncommitted work in {listed(paths)}, in the same places that this change touches; nothing was changed. "
        "Commit it or move it away, or leave these files out of what you approve.",
        paths,
    )


@dataclass(frozen=True)
class Part:
    """What goes into one repository: the user's, or that of a submodule in their checkout, whose path is `prefix` then."""

    repository: Repository
    seen: Outlook
    state: CheckoutState
    prefix: bytes = b""

    def named(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(path_from_bytes(self.prefix + path_to_bytes(name)) for name in names)

    def located(self, changes: Sequence[PathChange]) -> tuple[PathChange, ...]:
        return tuple(replace(each, path=self.prefix + each.path) for each in changes)


async def outlook(repository: Repository, store: PrivateStore, approval: Approval, scratch: Path) -> Outlook:
    """What `apply_to_working_tree` would do with the checkout as it is now. Changes nothing."""
    async with AsyncExitStack() as views:
        return _together(await _parts(repository, store, approval, scratch, views))


async def apply_to_working_tree(
    repository: Repository, store: PrivateStore, approval: Approval, scratch: Path
) -> Applied:
    """Merge the difference `approval.base_tree`..`approval.tree` into the checkout, that of files in a submodule into the
    submodule's checkout there. Index, HEAD, stash and every other file stay as they are; no hook, filter or driver runs. All or
    nothing. Raises UncommittedOverlap, BaseMoved, CannotApply, NoSpace; then nothing was changed. To be called again with the
    same approval is harmless."""
    await recover(repository)
    async with AsyncExitStack() as views:
        parts = await _parts(repository, store, approval, scratch, views)
        seen = _together(parts)
        seen.refuse()
        placed: list[Placed] = []
        before, after = await _applied_before(repository, store, approval.tree, seen.already)
        try:
            for part in parts:
                folder = Path(views.enter_context(store.scratch("apply")))
                todo, tree = part.seen.todo, part.seen.found.tree
                writes = await contents_to_write(part.repository, store, part.state, todo, tree, folder)
                was = await raw_entries(store, part.repository.root, {write.path: write.seen for write in writes})
                before |= {part.prefix + path: entry for path, entry in was.items()}
                after |= {part.prefix + path: entry for path, entry in (await written_entries(store, writes)).items()}
                placed.append(await put_in_place(part.repository, writes, aside_of(part.repository)))
            note = _Note(approval.tree, await store.tree_of(before), await store.tree_of(after))
            await asyncio.to_thread(remember, _note_in(store), note)
        except BaseException:
            for each in reversed(placed):
                each.take_back()
            raise
        for each in placed:
            await asyncio.to_thread(each.settle)
    await store.mark_landed(approval.tree)
    return Applied(
        tree=approval.tree,
        files=tuple(path_from_bytes(change.path) for change in seen.todo),
        merged=tuple(name for part in parts for name in part.named(part.seen.found.joined)),
        yours=seen.yours,
        as_text=tuple(name for part in parts for name in part.named(part.seen.found.as_text)),
        already=tuple(path_from_bytes(change.path) for change in seen.already),
        before=note.before,
        after=note.after,
    )


async def take_back(repository: Repository, store: PrivateStore, before: str, after: str, landed: str) -> Applied:
    """The files of the tree `after`, as applying has left them, are again those of `before`, byte by byte; what was done to
    them since stays. `landed` is what of the task is in the user's files then. Raises as `apply_to_working_tree` does."""
    await recover(repository)
    root = repository.root
    paths = sorted({*await store.entries(before), *await store.entries(after)})
    seen = {path: standing_at(root, path) for path in paths}
    now = await store.tree_of(await raw_entries(store, root, seen))
    merged = await merge_trees(store, after, now, before, ("your-files", "before"))
    if not merged.clean:
        raise uncommitted_overlap(merged.conflicting)
    todo = await path_changes(store, now, merged.tree)
    removed = {change.path for change in todo if change.new == ABSENT}
    blocked = ((change, in_the_way(root, change.path, removed)) for change in todo if change.new != ABSENT)
    Outlook(merged, blocked=tuple((path_from_bytes(each.path), reason) for each, reason in blocked if reason)).refuse()
    blobs = await store.read_blobs(change.new[1] for change in todo if change.new != ABSENT)
    with store.scratch("apply") as folder:
        writes = []
        for number, change in enumerate(todo):
            content, source = blobs.get(change.new[1], b""), Path(folder) / str(number)
            if change.new[0] == "120000":
                writes.append(Write(change.path, seen[change.path], link=content))
                continue
            source.write_bytes(content)
            kept = None if change.new == ABSENT else source
            writes.append(Write(change.path, seen[change.path], source=kept, executable=change.new[0] == "100755"))
        placed = await put_in_place(repository, writes, aside_of(repository))
    await asyncio.to_thread(placed.settle)
    _note_in(store).unlink(missing_ok=True)
    await store.mark_landed(landed)
    return Applied(tree=landed, files=tuple(path_from_bytes(change.path) for change in todo))


class _Note(msgspec.Struct, frozen=True):
    """What was applied last, for a process that ends before anybody was told: `approved` is its tree."""

    approved: str
    before: str
    after: str


def _note_in(store: PrivateStore) -> Path:
    return store.path / "applied.json"


async def _applied_before(
    repository: Repository, store: PrivateStore, approved: str, already: Sequence[PathChange]
) -> tuple[dict[bytes, Entry], dict[bytes, Entry]]:
    """Of the files that have the wanted content already, those that have it from applying the same before, with their bytes
    before and after that."""
    note = recall(_note_in(store), _Note) if already else None
    if note is None or note.approved != approved:
        return {}, {}
    before, after = [await store.entries(tree) for tree in (note.before, note.after)]
    seen = {change.path: standing_at(repository.root, change.path) for change in already}
    now = await raw_entries(store, repository.root, seen)
    same = [path for path in seen if now.get(path) == after.get(path) != before.get(path)]
    was, became = ({path: side[path] for path in same if path in side} for side in (before, after))
    return was, became


def _together(parts: Sequence[Part]) -> Outlook:
    return Outlook(
        parts[0].seen.found,
        todo=tuple(change for part in parts for change in part.located(part.seen.todo)),
        already=tuple(change for part in parts for change in part.located(part.seen.already)),
        yours=tuple(name for part in parts for name in part.named(part.seen.yours)),
        dirty=tuple(name for part in parts for name in part.named(part.seen.dirty)),
        conflicting=tuple(name for part in parts for name in part.named(part.seen.conflicting)),
        blocked=tuple((part.named([name])[0], reason) for part in parts for name, reason in part.seen.blocked),
    )


async def _parts(
    repository: Repository, store: PrivateStore, approval: Approval, scratch: Path, views: AsyncExitStack, prefix: bytes = b""
) -> list[Part]:
    """The checkout's own part first, then one for each submodule with changed files."""
    _, on = await views.enter_async_context(viewed(repository, scratch))
    changes = await path_changes(store, approval.base_tree, approval.tree)
    inside = await changed_submodules(store, changes)
    kept = {change.path: change.old for change in changes if change.path in inside}
    own = await store.edited_tree(approval.tree, kept)
    seen, state = await look(repository, store, on, approval.base_tree, own)
    blocked, below = [], []
    for path, inner in inside.items():
        place = located(repository.root, path)
        if below_symlink(repository.root, path) or place.is_symlink() or not os.path.lexists(place / ".git"):
            blocked.append((path_from_bytes(path), "it is not checked out; `git submodule update --init` does that"))
        else:
            checkout = await repository.beside(place)
            await recover(checkout)
            below += await _parts(checkout, store, inner, scratch, views, prefix + path + b"/")
    seen = replace(seen, blocked=(*seen.blocked, *blocked))
    return [Part(repository, seen, state, prefix), *below]


async def look(
    repository: Repository, store: PrivateStore, on: Git, base: str, wanted: str, known: Sequence[str] = ()
) -> tuple[Outlook, CheckoutState]:
    """What becomes of the checkout's files where the difference between the trees `base` and `wanted` is merged into them. A
    file that is as in one of the trees `known` is not merged: `wanted` has all of it."""
    changes = await path_changes(store, base, wanted)
    state = await checkout_state(repository, store, on, [change.path for change in changes])
    base = await as_known(store, base, state.tree, changes, known)
    merged = await merge_trees(store, base, state.tree, wanted, NAMES)
    if not merged.clean:
        return await _in_the_way(on, state, merged), state
    todo = await path_changes(store, state.tree, merged.tree)
    removed = {change.path for change in todo if change.new == ABSENT}
    before = {change.path: change.old for change in changes}
    blocked, unseen, yours = [], [], []
    for change in todo:
        name = path_from_bytes(change.path)
        if (reason := state.obstacle(change, removed)) is not None:
            blocked.append((name, reason))
        elif change.old == ABSENT and state.signature(change.path) is not None:
            unseen.append(name)
        if change.path in state.dirty and change.old not in (ABSENT, before.get(change.path)):
            yours.append(name)
    already = tuple(change for change in changes if state.disk[change.path] == change.new)
    return Outlook(merged, todo, already, tuple(yours), tuple(unseen), blocked=tuple(blocked)), state


async def as_known(
    store: PrivateStore, base: str, ours: str, changes: Sequence[PathChange], known: Sequence[str]
) -> str:
    """The tree `base`, with those of the changed files as they are in `ours` that one of the trees `known` has as well."""
    if not known:
        return base
    paths = [change.path for change in changes]
    here, *there = [await store.entries(tree, paths) for tree in (ours, *known)]
    same = (path for path in paths if any(here.get(path, ABSENT) == tree.get(path, ABSENT) for tree in there))
    return await store.edited_tree(base, {path: here.get(path, ABSENT) for path in same})


async def _in_the_way(on: Git, state: CheckoutState, merged: Merged) -> Outlook:
    """Whose doing the conflicts are."""
    paths = [path_to_bytes(name) for name in merged.conflicting]
    filtered = await filtered_paths(on, [path for path in paths if state.signature(path) is not None])
    blocked, dirty, conflicting = [], [], []
    for name, path in zip(merged.conflicting, paths, strict=True):
        if path in filtered:
            blocked.append((name, filter_reason(filtered[path])))
        elif path in state.dirty:
            dirty.append(name)
        else:
            conflicting.append(name)
    return Outlook(merged, dirty=tuple(dirty), conflicting=tuple(conflicting), blocked=tuple(blocked))


def filter_reason(name: str) -> str:
    return f"its content passes through the filter {name!r}, a program that goose-py does not run"


async def put_in_place(repository: Repository, writes: Sequence[Write], aside: Path) -> Placed:
    """Write into the checkout, by way of a folder that `aside_of` named. The caller settles or takes back what is returned."""
    working = asyncio.ensure_future(asyncio.to_thread(place, repository.root, aside, writes))
    try:
        return await asyncio.shield(working)
    except asyncio.CancelledError:
        # The thread cannot be stopped half way: wait for it, then undo it.
        await asyncio.wait([working])
        if working.exception() is None:
            working.result().take_back()
        raise


def aside_of(repository: Repository, kind: str = APPLY) -> Path:
    """A name for a folder on the checkout's file system, out of sight where that is possible."""
    return home_of(repository.git_dir, repository.root) / f"{kind}{os.getpid()}-{os.urandom(4).hex()}"
