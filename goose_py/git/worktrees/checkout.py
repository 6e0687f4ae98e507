"""The user's checkout, looked at through a copy of its index: nothing of theirs is refreshed, locked or executed."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from goose_py.git.errors import GitFailed
from goose_py.git.private import PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git


@asynccontextmanager
async def viewed(
    repository: Repository, scratch: Path, *, trusted: bool = False
) -> AsyncIterator[tuple[PrivateStore, Git]]:
    """A throw-away private git directory with a copy of the checkout's index, and git bound to it and the checkout.
    `scratch` is a folder of ours for it. Whether git can read that index is found out, unless it is `trusted`."""
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    folder = scratch / f"view-{os.urandom(6).hex()}"
    try:
        store = await PrivateStore.create(repository, folder)
        if repository.head.commit:
            (folder / "HEAD").write_text(repository.head.commit + "\n")
        on = store.on(repository.root)
        await _copy_index(repository, on, folder / "index", trusted=trusted)
        yield store, on
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def _copy_index(repository: Repository, on: Git, target: Path, *, trusted: bool) -> None:
    source = repository.git_dir / "index"
    if source.is_file():
        # With its time: git tells by it which entries may have changed unnoticed.
        shutil.copy2(source, target)
        for shared in repository.git_dir.glob("sharedindex.*"):
            shutil.copy2(shared, target.parent / shared.name)
        if trusted:
            return
        try:
            await on.run("ls-files", "--error-unmatch", "--", "\n", ok=(0, 1))
            return
        except GitFailed:
            target.unlink()
    if repository.head.commit:
        await on.run("read-tree", repository.head.commit)
