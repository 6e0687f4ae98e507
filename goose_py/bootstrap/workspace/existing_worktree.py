"""The worktree of a task that exists, for whoever looks at it without working in it."""

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.workspace.moved import repository_of_task
from goose_py.bootstrap.workspace.worktree import start_of
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import Record
from goose_py.tasks.store import TaskFolder


async def open_worktree(host: Host, folder: TaskFolder, records: tuple[Record, ...]) -> TaskWorktree:
    started = start_of(records)
    if started is None or started.repository is None:
        raise UserError(f"The task {folder.task_id} has no worktree yet.")
    repository = await repository_of_task(host, folder, started.repository)
    return await TaskWorktree.open(repository, folder.store)
