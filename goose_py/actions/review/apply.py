"""`review`, `approve`, `reject`, `apply` from the command line."""

import asyncio
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from goose_py.actions.command_channel import send_command
from goose_py.actions.confirmation import confirmed
from goose_py.actions.review.inspection import InspectedTask, inspect_task, task_to_change
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.scope import tasks_here
from goose_py.bootstrap.host import Host
from goose_py.protocol import commands as cmd
from goose_py.protocol.amounts import counted
from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.events import ChangesApplied, Rebased
from goose_py.protocol.safe_text import safe_text
from goose_py.review.apply import outlook
from goose_py.review.approval import Approval
from goose_py.review.commit_customs import left_out
from goose_py.review.errors import listed
from goose_py.review.plain_folder import checkout_of_copy
from goose_py.review.selection import reviewed, selected_tree
from goose_py.review.verdicts import FileReview, HunkReview, Review, decisions_of, keep_undecided
from goose_py.session.log import read_log
from goose_py.tasks.changes.review_base import last_applied
from goose_py.tasks.client import WorkerGone
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summaries import list_tasks
from goose_py.tasks.summary import TaskSummary, summary_of
from goose_py.workers.launch import tell
from goose_py.workers.queue_watch import start_next


@dataclass(frozen=True)
class ApplyRequest:
    """`how` is "worktree", "squash" or "commits"; the rest as in `commands.ApplyChanges`. `again`: also what was applied
    before. `send_back`: what conflicts becomes the task's next prompt."""

    task_id: str | None = None
    everything: bool = False
    yes: bool = False
    how: Literal["worktree", "squash", "commits"] = "worktree"
    into: str = ""
    message: str = ""
    verify: bool = True
    again: bool = False
    send_back: bool = False
    with_changes: bool = False


def apply_kept(request: ApplyRequest) -> int:
    host = host_with_tasks()
    folder = task_to_change(host, request.task_id)
    code = asyncio.run(_apply(host, folder, request))
    asyncio.run(start_next(host))  # what comes after it may begin
    return code


async def _apply(host: Host, folder: TaskFolder, request: ApplyRequest) -> int:
    inspected = await inspect_task(host, folder, again=request.again)
    question = await _question(inspected, request)
    if not request.yes and not confirmed(host, question):
        print("Nothing was applied.")
        return 0
    command = cmd.ApplyChanges(
        base_tree=inspected.changes.base_tree,
        result_tree=inspected.changes.result_tree,
        how=request.how,
        all=request.everything,
        into=request.into,
        message=request.message,
        verify=request.verify,
        with_changes=request.with_changes,
    )
    try:
        await send_command(host, folder, command)
    except WorkerGone:
        await _after_worker(host, inspected)
    except GooseError as refusal:
        if not request.send_back or not (inspected.worktree.base.branch or request.into):
            raise
        print(f"goose-py: {refusal}", file=sys.stderr)
        return await send_back(host, folder, request.into)
    print(_applied(summary_of(folder), request.how))
    if request.how != "worktree" and (customs := left_out(inspected.worktree.repository, inspected.worktree.store)):
        print(safe_text(customs), file=sys.stderr)
    return 0


async def _after_worker(host: Host, before: InspectedTask) -> None:
    """Whether it came to its end is said by what is there. Raises UserError where it did not."""
    now = await inspect_task(host, before.folder)
    if any(isinstance(record.event, ChangesApplied) and record.seq > before.records[-1].seq for record in now.records):
        return
    raise UserError(
        f"The worker of task {before.folder.task_id} ended before its changes were applied (its last words are in "
        f"{before.folder.worker_log}). The same command does it again, and completes what was begun."
    )


def _applied(summary: TaskSummary, how: str) -> str:
    undo = f"`goose-py apply {summary.task_id} --undo` takes it back."
    if how == "worktree" and summary.copy_of:
        return f"Applied to {summary.copy_of}: {summary.detail}. {undo}"
    if how == "worktree":
        return f"Applied to {summary.repository}: {summary.detail}. `git status` and `git diff` show it there; {undo}"
    return f"Merged: {summary.detail}."


async def _question(inspected: InspectedTask, request: ApplyRequest) -> str:
    """Raises UserError where there is nothing to ask about."""
    task_id = inspected.folder.task_id
    if not inspected.changes.files:
        raise UserError(f"Nothing of task {task_id} is left to apply: {_why_nothing(inspected, request)}.")
    changes, review = await reviewed(inspected.worktree.store, inspected.changes, decisions_of(inspected.records))
    kept, undecided = _counted(changes, review)
    if undecided and not request.everything and not kept:
        raise UserError(
            f"Nothing of task {task_id} was approved yet. `goose-py review {task_id}` shows it, `goose-py approve {task_id}` "
            f"keeps it, `goose-py apply {task_id} --all` takes all of it."
        )
    target = inspected.summary.place if request.how == "worktree" else (request.into or inspected.worktree.base.branch)
    question = f"Apply {'everything' if request.everything else counted(kept, 'kept file')} to {target}?"
    if undecided and not request.everything:
        question = f"{undecided} files are undecided and stay out. {question}"
    if not request.yes and (yours := await _yours(inspected, changes, review, request)):
        question = f"You have uncommitted changes in {listed(yours)}, with which it is merged. {question}"
    if inspected.summary.unresolved:
        question = f"Conflict markers are left in {listed(inspected.summary.unresolved)}. {question}"
    if inspected.summary.checks != "passed":
        question = f"The checks are: {inspected.summary.checks}. {question}"
    return question


async def _yours(inspected: InspectedTask, changes: ChangeSet, review: Review, request: ApplyRequest) -> tuple[str, ...]:
    """The files with uncommitted work that the change is merged into."""
    worktree, summary = inspected.worktree, inspected.summary
    checkout = worktree.repository
    if request.how != "worktree" and checkout.head.branch != (request.into or worktree.base.branch):
        return ()
    if summary.copy_of:
        checkout = checkout_of_copy(checkout, Path(summary.copy_of))
    kept = keep_undecided(changes, review) if request.everything else review
    tree = await selected_tree(worktree.store, changes, kept)
    approval = Approval(changes.base_tree, changes.result_tree, tree)
    return (await outlook(checkout, worktree.store, approval, inspected.folder.scratch)).yours


def _why_nothing(inspected: InspectedTask, request: ApplyRequest) -> str:
    events = (record.event for record in reversed(inspected.records))
    last = next((event for event in events if isinstance(event, ChangesApplied)), None)
    if last is None:
        return "it has changed nothing"
    if last.how in ("squash", "commits"):
        # From then on the task stands on what was merged: it differs from that in nothing.
        return f"{last.target} has it as {(last.commit or '')[:12]}, which `git cherry-pick` applies once more"
    return "what was kept of it is applied" + ("" if request.again else "; `--again` applies all of it once more")


def take_back(task_id: str | None, *, yes: bool) -> int:
    """Puts the user's files back to what they were before a task's changes were applied to them."""
    host = host_with_tasks()
    folder = host.task(task_id) if task_id is not None else _last_merged(host)
    last = last_applied(read_log(folder.path).records)
    if last is not None and not yes and not confirmed(host, f"Take {counted(len(last.files), 'file')} in {last.target} back?"):
        print("Nothing was changed.")
        return 0
    asyncio.run(send_command(host, folder, cmd.UndoApply()))
    print(f"Taken back. `goose-py review {folder.task_id}` shows the changes again.")
    return 0


def _last_merged(host: Host) -> TaskFolder:
    for summary in tasks_here(host.cwd, list_tasks(host.tasks))[0]:
        if summary.state == "merged":
            return host.tasks.folder(summary.task_id)
    raise UserError("No task here has been applied.")


def rebase_task(task_id: str, into: str) -> int:
    host = host_with_tasks()
    return asyncio.run(send_back(host, host.task(task_id), into))


async def send_back(host: Host, folder: TaskFolder, into: str) -> int:
    """Rebases a task; what conflicts is its next prompt."""
    await tell(host, folder, cmd.Rebase(into=into))
    last = next((r.event for r in reversed(read_log(folder.path).records) if isinstance(r.event, Rebased)), None)
    if last is not None and last.conflicts:
        print(f"{folder.task_id} stands on {last.branch} now and resolves {', '.join(last.conflicts)}.")
    else:
        print(f"{folder.task_id} stands on the tip now; nothing conflicted.")
    return 0


def _counted(changes: ChangeSet, review: Review) -> tuple[int, int]:
    """Files of which something is kept, and files with something undecided."""
    kept = undecided = 0
    for file in changes.files:
        found = review.of(file.path)
        verdicts = _verdicts(file, found)
        kept += "keep" in verdicts
        undecided += "undecided" in verdicts
    return kept, undecided


def _verdicts(file: FileChange, review: FileReview) -> set[str]:
    if not file.hunks:
        return {review.attributes}
    found: set[str] = set()
    for hunk in file.hunks:
        of_hunk = review.hunks.get(hunk.id, HunkReview())
        found |= {of_hunk.of_line(number) for number, line in enumerate(hunk.lines) if line[:1] != " "}
    return found
