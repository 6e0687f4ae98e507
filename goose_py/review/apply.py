"""Leave an approved change in the user's working tree, unstaged, beside whatever else they have there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.git.contents.lfs import contents_of, uses_lfs
from goose_py.git.paths import below_symlink, located
from goose_py.git.private import ABSENT, PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.checkout import viewed
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.review.approval import Approval
from goose_py.review.checkout_state import Standing, standings
from goose_py.review.errors import BaseMoved, CannotApply, UncommittedOverlap, listed
from goose_py.review.files import Placed, Write, place
from goose_py.review.merge import PathChange, changed_submodules, merged_entry, path_changes
from goose_py.review.recovery import recover
from goose_py.review.temporary_names import LEFTOVER, sweep


@dataclass(frozen=True)
class Applied:
    """`files` were written or removed. `merged` are those of them where the repository had moved and both changes went
    together. `already` had the wanted content before."""

    tree: str
    files: tuple[str, ...]
    merged: tuple[str, ...] = ()
    already: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outlook:
    """What applying would do now: `dirty`, `conflicting` and `blocked` each forbid it."""

    todo: tuple[PathChange, ...] = ()
    merged: tuple[str, ...] = ()
    already: tuple[str, ...] = ()
    dirty: tuple[str, ...] = ()
    conflicting: tuple[str, ...] = ()
    blocked: tuple[tuple[str, str], ...] = ()

    def refuse(self) -> None:
        """Raise the error for what stands in the way, if anything does."""
        if self.dirty:
            raise UncommittedOverlap(
                f"you have uncommitted work in {listed(self.dirty)}, which this change touches too; nothing was changed. "
                "Commit it or move it away, or leave these files out of what you approve.",
                self.dirty,
            )
        if self.conflicting:
            raise base_moved(self.conflicting)
        if self.blocked:
            path, reason = self.blocked[0]
            names = [name for name, _ in self.blocked]
            more = f" (and {len(names) - 1} more)" if len(names) > 1 else ""
            raise CannotApply(f"{path} cannot be applied: {reason}{more}. Nothing was changed.", names)


def base_moved(paths: Sequence[str]) -> BaseMoved:
    return BaseMoved(
        f"{listed(paths)} changed in the repository since the task began, in the same places; nothing was changed. "
        "Leave these files out of what you approve, or have the task revised on the current state.",
        paths,
    )


@dataclass(frozen=True)
class _Part:
    """What goes into one repository: the user's, or that of a submodule in their checkout, whose path is `prefix` then."""

    repository: Repository
    seen: Outlook
    stand: Mapping[bytes, Standing]
    prefix: bytes = b""

    def named(self, names: Sequence[str]) -> tuple[str, ...]:
        return tuple(path_from_bytes(self.prefix + path_to_bytes(name)) for name in names)


async def outlook(repository: Repository, store: PrivateStore, approval: Approval, scratch: Path) -> Outlook:
    """What `apply_to_working_tree` would do with the checkout as it is now. Changes nothing."""
    async with AsyncExitStack() as views:
        return _together(await _parts(repository, store, approval, scratch, views))


async def apply_to_working_tree(
    repository: Repository, store: PrivateStore, approval: Approval, scratch: Path
) -> Applied:
    """Write the difference `approval.base_tree`..`approval.tree` into the checkout, that of files in a submodule into the
    submodule's checkout there. Index, HEAD, stash and every other file stay as they are; no hook or filter runs. A file that
    is no longer as the task found it is merged when it is clean and the changes do not overlap. All or nothing. Raises
    UncommittedOverlap, BaseMoved, CannotApply, NoSpace; then nothing was changed. To be called again with the same approval
    is harmless."""
    await recover(repository)
    async with AsyncExitStack() as views:
        parts = await _parts(repository, store, approval, scratch, views)
        seen = _together(parts)
        seen.refuse()
        placed: list[Placed] = []
        try:
            for part in parts:
                aside = aside_of(part.repository)
                placed.append(await put_in_place(part.repository, store, part.seen.todo, part.stand, aside))
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
        merged=seen.merged,
        already=seen.already,
    )


def _together(parts: Sequence[_Part]) -> Outlook:
    return Outlook(
        todo=tuple(replace(each, path=part.prefix + each.path) for part in parts for each in part.seen.todo),
        merged=tuple(name for part in parts for name in part.named(part.seen.merged)),
        already=tuple(name for part in parts for name in part.named(part.seen.already)),
        dirty=tuple(name for part in parts for name in part.named(part.seen.dirty)),
        conflicting=tuple(name for part in parts for name in part.named(part.seen.conflicting)),
        blocked=tuple((*part.named([name]), reason) for part in parts for name, reason in part.seen.blocked),
    )


async def _parts(
    repository: Repository, store: PrivateStore, approval: Approval, scratch: Path, views: AsyncExitStack, prefix: bytes = b""
) -> list[_Part]:
    """The checkout's own part first, then one for each submodule with changed files."""
    _, on = await views.enter_async_context(viewed(repository, scratch))
    changes = await path_changes(store, approval.base_tree, approval.tree)
    inside = await changed_submodules(store, changes)
    own = [change for change in changes if change.path not in inside]
    seen, stand = await _look(repository, store, on, own)
    blocked, below = [], []
    for path, inner in inside.items():
        place = located(repository.root, path)
        if below_symlink(repository.root, path) or place.is_symlink() or not os.path.lexists(place / ".git"):
            blocked.append((path_from_bytes(path), "it is not checked out; `git submodule update --init` does that"))
        else:
            checkout = await repository.beside(place)
            below += await _parts(checkout, store, inner, scratch, views, prefix + path + b"/")
    seen = replace(seen, blocked=(*seen.blocked, *blocked))
    return [_Part(repository, seen, stand, prefix), *below]


async def _look(
    repository: Repository, store: PrivateStore, on: Git, changes: Sequence[PathChange]
) -> tuple[Outlook, dict[bytes, Standing]]:
    stand = await standings(repository, store, on, changes)
    todo, merged, already, dirty, conflicting, blocked = [], [], [], [], [], []
    for change in changes:
        name = path_from_bytes(change.path)
        here = stand[change.path]
        if here.disk == change.new:
            already.append(name)
        elif here.obstacle:
            blocked.append((name, here.obstacle))
        elif here.disk == change.old:
            # As the task found it: also where that was the user's uncommitted work, which the base then holds.
            todo.append(change)
        elif not here.clean:
            dirty.append(name)
        else:
            entry = await merged_entry(store, change.old, change.new, here.disk)
            if entry is None:
                conflicting.append(name)
            else:
                todo.append(PathChange(change.path, here.disk, entry))
                merged.append(name)
    found = (todo, merged, already, dirty, conflicting, blocked)
    return Outlook(*(tuple(each) for each in found)), stand


async def put_in_place(
    repository: Repository,
    store: PrivateStore,
    changes: Sequence[PathChange],
    stand: Mapping[bytes, Standing],
    aside: Path,
) -> Placed:
    """Write the new side of `changes` into the checkout, by way of a folder that `aside_of` named. The caller settles or
    takes back what is returned."""
    with store.scratch("apply") as folder:
        sources = await _checked_out(repository, store, changes, Path(folder))
        writes = [_write(change, stand[change.path], sources.get(change.path)) for change in changes]
        working = asyncio.ensure_future(asyncio.to_thread(place, repository.root, aside, writes))
        try:
            return await asyncio.shield(working)
        except asyncio.CancelledError:
            # The thread cannot be stopped half way: wait for it, then undo it.
            await asyncio.wait([working])
            if working.exception() is None:
                working.result().take_back()
            raise


def aside_of(repository: Repository) -> Path:
    """A name for a folder on the checkout's file system, in the git directory where that is possible: out of sight. What
    killed processes left behind is cleared away: nothing in it is the only copy, see `place`."""
    sweep(repository.git_dir)
    home = repository.git_dir
    if home.stat().st_dev != repository.root.stat().st_dev:
        home = repository.root
        sweep(home)
    return home / f"{LEFTOVER}apply-{os.getpid()}-{os.urandom(4).hex()}"


async def _checked_out(
    repository: Repository, store: PrivateStore, changes: Sequence[PathChange], folder: Path
) -> dict[bytes, Path | bytes]:
    """By path: a file with the new content and the line endings that git gives it in this checkout (filters
    are not run), or the target of a symlink."""
    links = [change for change in changes if change.new[0] == "120000"]
    files = [change for change in changes if change.new != ABSENT and change.new[0] != "120000"]
    blobs = await store.read_blobs(change.new[1] for change in links)
    sources: dict[bytes, Path | bytes] = {change.path: blobs[change.new[1]] for change in links}
    if files:
        output = folder / "files"
        output.mkdir()
        on = store.on(repository.root, index=folder / "index")
        info = b"".join(f"{change.new[0]} {change.new[1]}\t".encode() + change.path + b"\0" for change in files)
        await on.run("update-index", "-z", "--index-info", stdin=info)
        await on.run("checkout-index", "--quiet", "--force", "--all", f"--prefix={output}/")
        sources |= {change.path: located(output, change.path) for change in files}
        if uses_lfs(store):
            sources |= await contents_of(store, on, {change.path: change.new[1] for change in files})
    return sources


def _write(change: PathChange, standing: Standing, source: Path | bytes | None) -> Write:
    if isinstance(source, bytes):
        return Write(change.path, standing.signature, link=source)
    return Write(change.path, standing.signature, source=source, executable=change.new[0] == "100755")
