# ruff: noqa: PTH  (paths are bytes here, which pathlib does not take)
"""Leave an approved change in the user's working tree, unstaged, beside whatever else they have there."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.checkout import viewed
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.approval import Approval
from goose_py.review.errors import CannotApply, UncommittedOverlap, listed
from goose_py.review.files import Write, signature, write_all
from goose_py.review.merge import PathChange, merged_onto


@dataclass(frozen=True)
class Applied:
    """`files` were written or removed. `merged` are those where the repository had moved and both changes went together.
    `already` had the wanted content before."""

    tree: str
    files: tuple[str, ...]
    merged: tuple[str, ...] = ()
    already: tuple[str, ...] = ()


async def overlapping_files(repository: Repository, store: PrivateStore, approval: Approval, scratch: Path) -> tuple[str, ...]:
    """Files of the approved change in which the checkout has uncommitted work; `apply_to_working_tree` would refuse them."""
    async with viewed(repository, scratch) as (_, on):
        tip_tree = await _tip_tree(repository, store)
        wanted = await merged_onto(store, approval.base_tree, approval.tree, tip_tree)
        checked = await _check(repository, store, on, wanted.changes)
    return tuple(path_from_bytes(path) for path in checked.dirty)


async def apply_to_working_tree(
    repository: Repository, store: PrivateStore, approval: Approval, scratch: Path
) -> Applied:
    """Write the difference `approval.base_tree`..`approval.tree` into the checkout. Its index, HEAD, stash and every other
    file stay as they are; no hook or filter runs. Where HEAD has moved since the base, changes are merged onto it.
    All or nothing. Raises UncommittedOverlap, BaseMoved, CannotApply, NoSpace; then nothing was changed."""
    async with viewed(repository, scratch) as (_, on):
        wanted = await merged_onto(store, approval.base_tree, approval.tree, await _tip_tree(repository, store))
        checked = await _check(repository, store, on, wanted.changes)
        refuse(checked)
        with store.scratch("apply") as folder:
            sources = await _checked_out(repository, store, checked.todo, Path(folder))
            writes = [_write(change, checked, sources) for change in checked.todo]
            await _finish(asyncio.to_thread(write_all, os.fsencode(repository.root), writes, approval.content_hash[:8]))
    return Applied(
        tree=approval.tree,
        files=tuple(path_from_bytes(change.path) for change in checked.todo),
        merged=wanted.merged,
        already=tuple(path_from_bytes(path) for path in checked.already),
    )


@dataclass(frozen=True)
class Checked:
    """How the paths of a change stand in a checkout. `signatures` belong to `todo`."""

    todo: tuple[PathChange, ...]
    already: tuple[bytes, ...]
    dirty: tuple[bytes, ...]
    blocked: tuple[tuple[bytes, str], ...]
    signatures: dict[bytes, tuple[int, ...] | None]


def refuse(checked: Checked) -> None:
    """Raise where a change cannot go into the checkout as it stands."""
    if checked.dirty:
        names = [path_from_bytes(path) for path in checked.dirty]
        raise UncommittedOverlap(
            f"you have uncommitted work in {listed(names)}, which this change touches too; nothing was changed. Commit it or "
            "move it away, or leave these files out of the approval.",
            names,
        )
    if checked.blocked:
        path, reason = checked.blocked[0]
        names = [path_from_bytes(path) for path, _ in checked.blocked]
        raise CannotApply(f"{path_from_bytes(path)} cannot be applied: {reason}. Nothing was changed.", names)


async def _tip_tree(repository: Repository, store: PrivateStore) -> str:
    if repository.head.commit is None:
        return await store.bound.line("mktree")
    return await repository.tree_of(repository.head.commit)


async def _check(repository: Repository, store: PrivateStore, on: Git, changes: Sequence[PathChange]) -> Checked:
    """Compare each path with what is on disk and in the index. `change.old` is what HEAD has there."""
    root = os.fsencode(repository.root)
    current = await _current_entries(root, on, changes)
    staged = await _staged_entries(on, [change.path for change in changes])
    removed = {change.path for change in changes if change.new == ABSENT}
    todo, already, dirty, blocked = [], [], [], []
    signatures: dict[bytes, tuple[int, ...] | None] = {}
    for change in changes:
        reason = _obstacle(root, change, removed)
        entry, seen = current[change.path]
        if reason:
            blocked.append((change.path, reason))
        elif entry == change.new:
            already.append(change.path)
        elif entry != change.old or staged.get(change.path, ABSENT) != change.old:
            dirty.append(change.path)
        else:
            todo.append(change)
            signatures[change.path] = seen
    return Checked(tuple(todo), tuple(already), tuple(dirty), tuple(blocked), signatures)


async def _current_entries(
    root: bytes, on: Git, changes: Sequence[PathChange]
) -> dict[bytes, tuple[Entry, tuple[int, ...] | None]]:
    """What git would record for each path as it is on disk now, with the file's signature from before it was read."""
    found: dict[bytes, tuple[Entry, tuple[int, ...] | None]] = {}
    regular: list[tuple[bytes, tuple[int, ...]]] = []
    for change in changes:
        full = os.path.join(root, change.path)
        seen = signature(full)
        if seen is None or stat.S_ISDIR(seen[0]):
            found[change.path] = (ABSENT, None)
        elif stat.S_ISREG(seen[0]):
            regular.append((change.path, seen))
        elif stat.S_ISLNK(seen[0]):
            oid = await on.line("hash-object", "--stdin", stdin=os.readlink(full) or b"")
            found[change.path] = (("120000", oid), seen)
        else:
            found[change.path] = (("000000", "special"), seen)
    if regular:
        listing = b"".join(path + b"\n" for path, _ in regular if b"\n" not in path)
        oids = (await on.out("hash-object", "--stdin-paths", stdin=listing)).decode().split() if listing else []
        plain = [(path, seen) for path, seen in regular if b"\n" not in path]
        for (path, seen), oid in zip(plain, oids, strict=True):
            found[path] = ((_file_mode(seen[0]), oid), seen)
        for path, seen in regular:
            if b"\n" in path:
                oid = await on.line("hash-object", "--", os.fsdecode(path))
                found[path] = ((_file_mode(seen[0]), oid), seen)
    return found


def _file_mode(mode: int) -> str:
    return "100755" if mode & 0o100 else "100644"


async def _staged_entries(on: Git, paths: Sequence[bytes]) -> dict[bytes, Entry]:
    listing = await on.out("ls-files", "-z", "--stage", "--full-name")
    wanted = set(paths)
    found: dict[bytes, Entry] = {}
    for row in listing.split(b"\0"):
        head, separator, path = row.partition(b"\t")
        if separator and path in wanted:
            mode, oid, stage = head.decode().split(" ")
            found[path] = (mode, oid) if stage == "0" else ("000000", "unmerged")
    return found


def _obstacle(root: bytes, change: PathChange, removed: set[bytes]) -> str | None:
    """Why a path cannot be written whatever its content, or None."""
    if "160000" in (change.old[0], change.new[0]):
        return "it is a submodule, whose commit can only be applied with a commit"
    if change.new == ABSENT:
        return None
    full = os.path.join(root, change.path)
    if os.path.isdir(full) and not os.path.islink(full) and not _emptied(root, full, removed):
        return "a folder with other files is in its place"
    parent = os.path.dirname(change.path)
    while parent:
        above = os.path.join(root, parent)
        if os.path.islink(above) and parent not in removed:
            return f"{path_from_bytes(parent)} is a symlink in your checkout"
        if os.path.lexists(above) and not os.path.isdir(above) and parent not in removed:
            return f"{path_from_bytes(parent)} is a file in your checkout"
        parent = os.path.dirname(parent)
    return None


def _emptied(root: bytes, folder: bytes, removed: set[bytes]) -> bool:
    for current, _, files in os.walk(folder):
        for name in files:
            if os.path.relpath(os.path.join(current, name), root) not in removed:
                return False
    return True


async def _checked_out(
    repository: Repository, store: PrivateStore, changes: Sequence[PathChange], folder: Path
) -> dict[bytes, bytes]:
    """The new contents as files, with the line endings that git would give them in a checkout; filters are not run."""
    files = [change for change in changes if change.new[0] in ("100644", "100755")]
    links = [change for change in changes if change.new[0] == "120000"]
    sources: dict[bytes, bytes] = {}
    on = store.on(repository.root, index=folder / "index")
    for number, change in enumerate(files):
        sources[change.path] = os.fsencode(folder / str(number))
    blobs = await store.read_blobs(change.new[1] for change in links)
    for change in links:
        sources[change.path] = blobs[change.new[1]]
    if files:
        await _export(on, folder, files, sources)
    return sources


async def _export(on: Git, folder: Path, files: Sequence[PathChange], sources: dict[bytes, bytes]) -> None:
    info = b"".join(f"{change.new[0]} {change.new[1]}\t".encode() + change.path + b"\0" for change in files)
    await on.run("update-index", "-z", "--index-info", stdin=info)
    output = folder / "files"
    output.mkdir()
    await on.run("checkout-index", "--quiet", "--force", "--all", f"--prefix={output}/")
    for change in files:
        sources[change.path] = os.path.join(os.fsencode(output), change.path)


def _write(change: PathChange, checked: Checked, sources: dict[bytes, bytes]) -> Write:
    seen = checked.signatures[change.path]
    mode = change.new[0]
    if mode == "120000":
        return Write(change.path, seen, link=sources[change.path])
    if mode == "000000":
        return Write(change.path, seen)
    return Write(change.path, seen, source=sources[change.path], executable=mode == "100755")


async def _finish(work) -> None:
    """Files are renamed in a thread, which cannot be stopped half way: a cancellation waits for it."""
    running = asyncio.ensure_future(work)
    try:
        await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise
