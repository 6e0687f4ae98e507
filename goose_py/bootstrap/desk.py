"""A task's changes as a command of the command line reaches them: through its worker where one runs, else directly."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from goose_py.bootstrap.host import Host
from goose_py.git.diff import changeset_summary
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktree import TaskWorktree
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import DurableEvent, Record, SessionStarted
from goose_py.session.log import Log, read_log
from goose_py.tasks.changes import TaskChanges
from goose_py.tasks.client import TaskClient, WorkerGone
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary, list_tasks, summarise


@dataclass(frozen=True)
class Looked:
    """A task as it was when it was looked at. `changes` have no hunks yet."""

    folder: TaskFolder
    summary: TaskSummary
    records: tuple[Record, ...]
    worktree: TaskWorktree
    changes: ChangeSet


def choose(host: Host, task_id: str | None) -> TaskFolder:
    """The task that is named, else the newest one of this repository that has something to review. Raises UserError."""
    if task_id is not None:
        return host.tasks.find(task_id)
    for summary in list_tasks(host.tasks):
        here = host.cwd.is_relative_to(Path(summary.repository)) or host.cwd.is_relative_to(Path(summary.workspace))
        if here and summary.changed:
            return host.tasks.folder(summary.task_id)
    raise UserError("No task of this repository has changes to review. `goose-py task list --all` shows all tasks.")


async def look(host: Host, folder: TaskFolder) -> Looked:
    """Raises UserError where the task has not got as far as a worktree."""
    contents = read_log(folder.path)
    summary = summarise(folder.task_id, contents.records, alive=folder.owned())
    worktree = await open_worktree(host, folder, contents.records)
    result = (await worktree.snapshot()).tree if worktree.exists else summary.result_tree
    if result is None:
        raise UserError(f"The task {folder.task_id} has recorded nothing yet.")
    changes = await changeset_summary(worktree.store, worktree.base.tree, result)
    return Looked(folder=folder, summary=summary, records=contents.records, worktree=worktree, changes=changes)


async def open_worktree(host: Host, folder: TaskFolder, records: tuple[Record, ...]) -> TaskWorktree:
    started = next((record.event for record in records if isinstance(record.event, SessionStarted)), None)
    if started is None or started.repository is None:
        raise UserError(f"The task {folder.task_id} has no worktree yet.")
    git = Git.create(host.which("git"), host.env)
    repository = await Repository.open(git, Path(started.repository))
    return await TaskWorktree.open(repository, folder.store)


@asynccontextmanager
async def desk(host: Host, folder: TaskFolder) -> AsyncIterator["Desk"]:
    """Yields something that takes commands about changes. Where no worker owns the log, this process does for as long."""
    if folder.owned():
        try:
            client = await TaskClient.connect(folder.socket, after=1 << 62)
        except WorkerGone:
            raise UserError(f"The task {folder.task_id} is in use by another process; try again in a moment.") from None
        reading = asyncio.ensure_future(_drain(client))
        try:
            yield _Remote(client)
        finally:
            await client.close()
            await reading
        return
    log, contents = Log.open(folder.path, host.now)
    try:
        yield _Local(await open_worktree(host, folder, contents.records), log, contents.records, folder)
    finally:
        log.close()


async def _drain(client: TaskClient) -> None:
    """Replies arrive among the frames; the frames themselves are not needed here."""
    async for _ in client.frames():
        pass


class Desk(Protocol):
    async def send(self, command: AnyCommand) -> None:
        """Raises GooseError with one sentence; then nothing was changed."""
        ...


class _Local:
    def __init__(self, worktree: TaskWorktree, log: Log, records: tuple[Record, ...], folder: TaskFolder) -> None:
        self._records = list(records)
        self._log = log
        folder.scratch.mkdir(mode=0o700, exist_ok=True)
        self._changes = TaskChanges(worktree, self._emit, lambda: self._records, lambda: False, folder.scratch)

    async def send(self, command: AnyCommand) -> None:
        if not await self._changes.perform(command):
            raise UserError("That needs a running task.")

    def _emit(self, event: DurableEvent) -> None:
        self._records.append(self._log.append(event))


class _Remote:
    def __init__(self, client: TaskClient) -> None:
        self._client = client

    async def send(self, command: AnyCommand) -> None:
        await self._client.send(command)
