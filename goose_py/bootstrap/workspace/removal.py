"""Worktrees taken away: what of one no review shows, and its removal once everything is recorded."""

import asyncio
import filecmp
from contextlib import suppress
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.port_leases import port_leases
from goose_py.bootstrap.repository import open_repository
from goose_py.bootstrap.workspace.moved import repository_of_task
from goose_py.git.errors import GitError
from goose_py.git.paths import files_below, located
from goose_py.git.worktrees.cleanup import WorktreeStatus, worktree_status
from goose_py.git.worktrees.ignored import is_cache
from goose_py.git.worktrees.task_file import TaskFile
from goose_py.git.worktrees.worktree import TaskWorktree, unpin_base
from goose_py.protocol.changes import path_from_bytes
from goose_py.protocol.errors import GooseError
from goose_py.session.log import Log
from goose_py.tasks.spec import read_spec
from goose_py.tasks.store import TaskFolder


async def remove_worktree(host: Host, folder: TaskFolder, worktree: TaskWorktree) -> None:
    """Everything in it is recorded first; `task restore` brings it back. The log's lock is held meanwhile, so that nobody
    begins to work in it. Raises LogBusy."""
    log, _ = Log.open(folder.path, host.now)
    try:
        await worktree.remove()
        port_leases(host).release(folder.task_id)
    finally:
        log.close()


async def withdraw_worktree(host: Host, folder: TaskFolder) -> None:
    """The same for a task that never wrote a log, whose worktree may be there in part or not at all. What it was to start from
    is kept no longer."""
    if folder.store.is_dir():
        with suppress(GooseError):
            _, worktree = await status_of(host, folder)
            if worktree is not None:
                await worktree.remove()
        return
    with suppress(GooseError):
        repository = await open_repository(host, Path(read_spec(folder.path).folder))
        await unpin_base(repository, [folder.task_id])


async def status_of(host: Host, folder: TaskFolder) -> tuple[WorktreeStatus, TaskWorktree | None]:
    """Takes a snapshot. The worktree is None where it was never finished. Raises GitError."""
    known = TaskFile.read(folder.store)
    repository = await repository_of_task(host, folder, known.repository)
    status = await worktree_status(repository, folder.store)
    try:
        return status, await TaskWorktree.open(repository, folder.store)
    except GitError:
        return status, None


async def ignored_work(worktree: TaskWorktree) -> tuple[str, ...]:
    """The ignored files and folders in it that are neither caches nor copies of files in the checkout: no review shows them."""
    found = [path for path in await worktree.ignored_files() if not is_cache(path)]

    def of_value() -> tuple[str, ...]:
        root = worktree.repository.root
        return tuple(path_from_bytes(path) for path in found if not _copied(root, worktree.path, path))

    return await asyncio.to_thread(of_value)


def _copied(checkout: Path, worktree: Path, path: bytes) -> bool:
    """Of a folder only whether anything is in it: that may be many files, and an empty one is what a mount hung on."""
    here, there = located(worktree, path), located(checkout, path)
    if path.endswith(b"/"):
        return next(files_below(worktree, here), None) is None
    if here.is_symlink() or not there.is_file():
        return False
    return filecmp.cmp(here, there, shallow=False)
