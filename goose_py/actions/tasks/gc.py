"""`goose-py task gc`: what earlier tasks, also killed ones, left behind, and what of it is provably of no further use."""

import asyncio
import sys
from collections.abc import Sequence

from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.scope import project_at, tasks_here
from goose_py.bootstrap.confinement import layers_of
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.workspace.removal import remove_worktree, status_of
from goose_py.files import delete_folder
from goose_py.git.worktrees.cleanup import WorktreeStatus
from goose_py.git.worktrees.unrecordable import drop_ignored, ignored_aside
from goose_py.protocol.amounts import counted
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import DELIVERED, ChangesApplied
from goose_py.protocol.safe_text import safe_text
from goose_py.review.errors import listed
from goose_py.sandbox.mounts.overlays import changed_layers
from goose_py.session.log import read_log
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summaries import list_tasks
from goose_py.tasks.summary import summary_of


def collect(*, dry_run: bool, everywhere: bool) -> int:
    """Removes the worktrees of the tasks here (`everywhere`: of all) that are merged, or in which nothing was ever changed, and
    what a task whose worktree is gone had installed; says of every other why it stays. A task that somebody works on is not
    looked at."""
    host = host_with_tasks()
    tasks = list_tasks(host.tasks)
    place = project_at(host.cwd, tasks)
    here = tasks if everywhere else tasks_here(host.cwd, tasks)[0] if place is not None else ()
    folders = [host.tasks.folder(task.task_id) for task in here]
    code = asyncio.run(_collect(host, folders, place, dry_run=dry_run))
    if others := len(tasks) - len(here):
        print(f"{counted(others, 'task')} elsewhere: `goose-py task gc --all` looks at all.", file=sys.stderr)
    return code


async def _collect(host: Host, folders: Sequence[TaskFolder], here: str | None, *, dry_run: bool) -> int:
    removed = 0
    for folder in folders:
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
            if layers := (*changed_layers(layers_of(folder)), *ignored_aside(folder.store)):
                try:
                    if not dry_run:
                        if layers_of(folder).is_dir():
                            await asyncio.to_thread(delete_folder, layers_of(folder))
                        await asyncio.to_thread(drop_ignored, folder.store)
                except OSError as error:
                    print(safe_text(f"keeps   {folder.task_id}  {error.filename} cannot be removed: {error.strerror}"))
                    continue
                verb, what = "would remove" if dry_run else "removed", listed(layers, 3)
                print(safe_text(f"{verb} what {folder.task_id} installed into {what}  {_title(folder, here)}"))
                removed += 1
            continue
        title, detail = _title(folder, here), _detail(folder, status)
        if not status.removable or worktree is None:
            print(safe_text(f"keeps   {folder.task_id}  {detail}  {title}"))
            continue
        removed += 1
        if not dry_run:
            await remove_worktree(host, folder, worktree)
            if aside := ignored_aside(folder.store):
                await asyncio.to_thread(drop_ignored, folder.store)
                title = f"(and with it what is too much to be recorded: {listed(aside, 3)})  {title}"
        verb = "would remove" if dry_run else "removed"
        print(safe_text(f"{verb} the worktree of {folder.task_id}  {detail}  {title}"))
    if not removed:
        print("There is nothing that could go: only what is merged, or was never changed, is removed.")
    return 0


def _title(folder: TaskFolder, here: str | None) -> str:
    """With the place that it is about where that is another."""
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
