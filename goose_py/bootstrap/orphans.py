"""`goose-py task gc`: what earlier tasks, also killed ones, left behind, and what of it is provably of no further use."""

import asyncio
import filecmp
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.leases import port_leases
from goose_py.bootstrap.place import place_of
from goose_py.git.cleanup import WorktreeStatus, worktree_status
from goose_py.git.errors import GitError
from goose_py.git.paths import located
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.task_file import TaskFile
from goose_py.git.worktree import TaskWorktree
from goose_py.protocol.changes import path_from_bytes
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import DELIVERED, ChangesApplied
from goose_py.protocol.safe_text import safe_text
from goose_py.review.errors import listed
from goose_py.session.log import Log, read_log
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import list_tasks, summary_of

CACHES = frozenset({b"__pycache__", b".pytest_cache", b".mypy_cache", b".ruff_cache"})
"""Folders that their programs make anew."""


def collect(*, dry_run: bool) -> int:
    """Removes the worktrees of tasks that are merged, or in which nothing was ever changed; says of every other why it stays.
    A task that somebody works on is not looked at."""
    host = Host.here()
    return asyncio.run(_collect(host, dry_run=dry_run))


async def _collect(host: Host, *, dry_run: bool) -> int:
    removed = 0
    here = place_of(host.cwd, list_tasks(host.tasks))
    for folder in host.tasks.all():
        if not folder.store.is_dir():
            continue
        if folder.owned():
            print(safe_text(f"keeps   {folder.task_id}  its worker is there  {_title(folder, here)}"))
            continue
        try:
            status, worktree = await status_of(host, folder)
        except GooseError as problem:
            print(safe_text(f"keeps   {folder.task_id}  {problem}"))
            continue
        if status.state == "missing":
            continue
        title, detail = _title(folder, here), _detail(folder, status)
        if not status.removable or worktree is None:
            print(safe_text(f"keeps   {folder.task_id}  {detail}  {title}"))
            continue
        removed += 1
        if left := await ignored_work(worktree):
            title = f"(and with it what git ignores: {listed(left, 3)})  {title}"
        if not dry_run:
            await remove_worktree(host, folder, worktree)
        verb = "would remove" if dry_run else "removed"
        print(safe_text(f"{verb} the worktree of {folder.task_id}  {detail}  {title}"))
    if not removed:
        print("There is nothing that could go: only what is merged, or was never changed, is removed.")
    return 0


def _title(folder: TaskFolder, here: str | None) -> str:
    """With the place that it is about where that is another: all of them are looked at."""
    summary = summary_of(folder)
    return summary.title if summary.place == here else f"{summary.title}  ({summary.place})"


def _detail(folder: TaskFolder, status: WorktreeStatus) -> str:
    """What became of its changes is in the log: its files do not differ from what they were merged into."""
    events = (record.event for record in reversed(read_log(folder.path).records)) if folder.began() else ()
    last = next((event for event in events if isinstance(event, ChangesApplied)), None)
    if not status.removable or last is None:
        return f"{status.state}: {status.detail}"
    if last.how == "worktree":
        return f"applied: everything in it was left in {last.target}"
    return f"{'delivered' if last.how == DELIVERED else 'merged'}: everything in it is in {last.target}"


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
    """The same for a task that never wrote a log, whose worktree may be there in part or not at all."""
    try:
        _, worktree = await status_of(host, folder)
    except GooseError:
        return
    if worktree is not None:
        await worktree.remove()


async def status_of(host: Host, folder: TaskFolder) -> tuple[WorktreeStatus, TaskWorktree | None]:
    """Takes a snapshot. The worktree is None where it was never finished. Raises GitError."""
    known = TaskFile.read(folder.store)
    repository = await Repository.open(Git.create(host.which("git"), host.env), Path(known.repository))
    status = await worktree_status(repository, folder.store)
    try:
        return status, await TaskWorktree.open(repository, folder.store)
    except GitError:
        return status, None


async def ignored_work(worktree: TaskWorktree) -> tuple[str, ...]:
    """The ignored files and folders in it that are neither caches nor copies of files in the checkout: no snapshot has them."""
    found = [path for path in await worktree.ignored_files() if path.rstrip(b"/").rpartition(b"/")[2] not in CACHES]

    def of_value() -> tuple[str, ...]:
        root = worktree.repository.root
        return tuple(path_from_bytes(path) for path in found if not _copied(root, worktree.path, path))

    return await asyncio.to_thread(of_value)


def _copied(checkout: Path, worktree: Path, path: bytes) -> bool:
    """Of a folder this is not asked: what is in it may be many files."""
    here, there = located(worktree, path), located(checkout, path)
    if path.endswith(b"/") or here.is_symlink() or not there.is_file():
        return False
    return filecmp.cmp(here, there, shallow=False)
