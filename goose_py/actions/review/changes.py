"""A task's changes as a command of the command line reaches them: through its worker where one runs, else directly."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

import msgspec

from goose_py.actions.review.interrupted_merges import end_cut_off_of
from goose_py.actions.tasks.scope import tasks_here
from goose_py.bootstrap.checks_at_rest import run_checks
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.git.errors import GitError
from goose_py.git.trees.conflicts import left_in_conflict
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import DurableEvent, Record, VerificationFinished
from goose_py.protocol.resolving import resolving
from goose_py.session.log import Log, read_log
from goose_py.session.redaction import redacted
from goose_py.tasks.changes.review_base import review_base
from goose_py.tasks.changes.task_changes import ChangePorts, TaskChanges
from goose_py.tasks.changes.trial import end_trial
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
    """For looking: the task that is named, else the newest one of where the user stands that has something to review. Raises
    UserError."""
    return host.task(task_id) if task_id is not None else host.tasks.folder(_reviewable(host)[0].task_id)


def choose_only(host: Host, task_id: str | None) -> TaskFolder:
    """For changing something: the task that is named, else the only one here that has something to review. Raises UserError
    where there are several."""
    if task_id is not None:
        return host.task(task_id)
    found = _reviewable(host)
    if len(found) > 1:
        named = "; ".join(f"{summary.task_id} ({summary.title})" for summary in found[:5])
        raise UserError(f"{len(found)} tasks here have changes to review: say which. {named}{' …' if found[5:] else ''}")
    return host.tasks.folder(found[0].task_id)


def _reviewable(host: Host) -> list[TaskSummary]:
    """The newest first; at least one. Raises UserError."""
    here = tasks_here(host.cwd, list_tasks(host.tasks))[0]
    if found := [summary for summary in here if summary.changed and summary.state != "rejected"]:
        return found
    raise UserError("No task here has changes to review. `goose-py task list --all` shows all tasks.")


async def look(host: Host, folder: TaskFolder, *, again: bool = False) -> Looked:
    """The changes since what was applied last or, with `again`, since the task's base. Raises UserError where the task has
    not got as far as a worktree."""
    await end_cut_off_of(host, folder)
    contents = read_log(folder.path)
    alive = folder.owned()
    summary = summarise(folder.task_id, contents.records, alive=alive)
    worktree = await open_worktree(host, folder, contents.records)
    if not alive:
        worktree = await end_trial(worktree, folder.scratch, contents.records) or worktree
    result = (await worktree.snapshot()).tree if worktree.intact else summary.result_tree
    if result is None:
        raise UserError(f"The task {folder.task_id} has recorded nothing yet.")
    base = worktree.base.tree if again else review_base(contents.records, worktree.base.tree)
    try:
        changes = await changeset_summary(worktree.store, base, result)
    except GitError:
        await worktree.require_base()
        raise
    # What is said of them is that of the files in front of us: the log knows those of the last turn's end.
    summary = msgspec.structs.replace(
        summarise(folder.task_id, contents.records, alive=alive, tree=result),
        files=len(changes.files),
        added=changes.added,
        removed=changes.removed,
        unresolved=await left_in_conflict(worktree.store, resolving(contents.records), result),
    )
    return Looked(folder=folder, summary=summary, records=contents.records, worktree=worktree, changes=changes)


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
        yield _Local(host, await open_worktree(host, folder, contents.records), log, contents.records, folder)
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
    """No session runs: nothing can be said to the task, everything else goes as ever."""

    def __init__(
        self, host: Host, worktree: TaskWorktree, log: Log, records: tuple[Record, ...], folder: TaskFolder
    ) -> None:
        self._host = host
        self._folder = folder
        self._records = list(records)
        self._log = log
        self._redact = redaction(host)
        folder.scratch.mkdir(mode=0o700, exist_ok=True)
        ports = ChangePorts(
            emit=self._emit, history=lambda: self._records, check=self._check, scratch=folder.scratch, new_id=host.new_id
        )
        self._changes = TaskChanges(worktree, ports)

    async def send(self, command: AnyCommand) -> None:
        if not await self._changes.perform(command):
            raise UserError("That needs a running task.")

    def _emit(self, event: DurableEvent) -> None:
        self._records.append(self._log.append(redacted(event, self._redact)))

    async def _check(self) -> Sequence[VerificationFinished]:
        return await run_checks(self._host, self._folder, self._changes.worktree, self._records, self._emit)


class _Remote:
    def __init__(self, client: TaskClient) -> None:
        self._client = client

    async def send(self, command: AnyCommand) -> None:
        await self._client.send(command)
