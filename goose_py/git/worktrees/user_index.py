"""The index that shows in a task's worktree what the user had staged, and what not."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from goose_py.git.private import ABSENT, PrivateStore, index_info
from goose_py.git.runner import Git
from goose_py.git.trees.patch import parse_raw
from goose_py.git.worktrees.base import Base
from goose_py.protocol.changes import path_to_bytes


async def make_user_index(store: PrivateStore, root: Path, base: Base, files: str, target: Path) -> None:
    """`target` becomes an index of what was staged, with the times of those files below `root` that are the same. The store's
    own index has all of them, as the tree `files`."""
    await asyncio.to_thread(shutil.copy2, store.index, target)
    on = store.on(root, index=target)
    listing = await store.bound.out(
        "diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", files, base.index
    )
    changes = parse_raw(iter(listing.split(b"\0")))
    entries = {each.path: (each.new_mode, each.new_oid) if each.new_mode != "000000" else ABSENT for each in changes}
    if entries:
        await on.run("update-index", "-z", "--index-info", stdin=index_info(entries, store.null_oid))
    await _mark(on, base)


async def _mark(on: Git, base: Base) -> None:
    found: dict[str, list[bytes]] = {}
    for path, mark in base.marks:
        found.setdefault(mark, []).append(path_to_bytes(path))
    if "intended" in found:
        named = ("--pathspec-from-file=-", "--pathspec-file-nul")
        await on.run("add", "--intent-to-add", "--force", *named, stdin=_rows(found["intended"]))
    for kind, option in (("assumed", "--assume-unchanged"), ("skipped", "--skip-worktree")):
        if kind in found:
            await on.run("update-index", option, "-z", "--stdin", stdin=_rows(found[kind]))


def _rows(paths: list[bytes]) -> bytes:
    return b"".join(path + b"\0" for path in paths)
