"""A task and its changes as a command finds them, and which task is meant where none is named."""

from dataclasses import dataclass

import msgspec

from goose_py.actions.review.interrupted_merges import end_cut_off_of
from goose_py.actions.tasks.scope import tasks_here
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.git.errors import GitError
from goose_py.git.trees.conflicts import left_in_conflict
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import Record
from goose_py.protocol.resolving import resolving
from goose_py.session.log import read_log
from goose_py.tasks.changes.review_base import recorded_tree, review_base
from goose_py.tasks.changes.trial import end_trial
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summaries import list_tasks
from goose_py.tasks.summary import TaskSummary, summarise


@dataclass(frozen=True)
class InspectedTask:
    """A task as it was at that moment. `changes` have no hunks yet."""

    folder: TaskFolder
    summary: TaskSummary
    records: tuple[Record, ...]
    worktree: TaskWorktree
    changes: ChangeSet


def task_to_show(host: Host, task_id: str | None) -> TaskFolder:
    """The task that is named, else the newest one of where the user stands that has something to review. Raises UserError."""
    return host.task(task_id) if task_id is not None else host.tasks.folder(_reviewable(host)[0].task_id)


def task_to_change(host: Host, task_id: str | None) -> TaskFolder:
    """The task that is named, else the only one here that has something to review. Raises UserError where there are several."""
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


async def inspect_task(host: Host, folder: TaskFolder, *, again: bool = False) -> InspectedTask:
    """The changes since what was applied last or, with `again`, since the task's base. Raises UserError where the task has
    not got as far as a worktree."""
    await end_cut_off_of(host, folder)
    contents = read_log(folder.path)
    worktree = await open_worktree(host, folder, contents.records)
    alive = folder.owned()
    if not alive:
        worktree = await end_trial(worktree, folder.scratch, contents.records) or worktree
    result = (await worktree.snapshot()).tree if worktree.intact else recorded_tree(contents.records)
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
    return InspectedTask(folder=folder, summary=summary, records=contents.records, worktree=worktree, changes=changes)
