"""What the `task` commands do."""

import asyncio
import sys
import time
from collections.abc import Sequence

from goose_py.actions.command_channel import command_channel, send_command
from goose_py.actions.confirmation import confirmed
from goose_py.actions.tasks.moves import BUSY, host_with_tasks, send_away
from goose_py.actions.tasks.options import require_room
from goose_py.bootstrap.confinement import layers_of
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.port_leases import port_leases
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.bootstrap.workspace.removal import withdraw_worktree
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.worktrees.unrecordable import ignored_aside
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol import commands as cmd
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text
from goose_py.protocol.safe_text import safe_text
from goose_py.review.errors import listed
from goose_py.sandbox.mounts.overlays import changed_layers
from goose_py.session.log import read_log
from goose_py.tasks.changes.review_base import recorded_tree
from goose_py.tasks.client import ONLY_NEW, TaskClient, WorkerGone
from goose_py.tasks.history.recorded_states import RecordedState, recorded_states
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of
from goose_py.workers.launch import start_worker, tell

SAID = 60
"""Characters of a prompt that a list shows."""


def say(task_id: str, text: str, *, queue: bool) -> int:
    host = host_with_tasks()
    prompt = cmd.Prompt(prompt_id=host.new_id(), parts=(Text(text),), delivery="queue" if queue else "steer")
    folder = host.task(task_id)
    if folder.waiting.exists() and not folder.owned():
        # A worker started only to hear it would not wait for what the task comes after.
        raise UserError(f"The task {folder.task_id} has not begun: `goose-py task resume {folder.task_id}` starts it now.")
    asyncio.run(tell(host, folder, prompt))
    print(f"Said to {folder.task_id}. `goose-py task attach {folder.task_id}` shows what it makes of it.", file=sys.stderr)
    return 0


def resume(task_id: str) -> int:
    """Goes on with a task, or begins one that waits, whatever it waits for."""
    host = host_with_tasks()
    folder = host.task(task_id)
    if folder.waiting.exists() and not folder.owned():
        folder.waiting.write_text("")
        asyncio.run(start_worker(host, folder))
    else:
        require_room(host, folder)
        asyncio.run(tell(host, folder, cmd.Continue()))
    print(f"{folder.task_id} goes on in the background. `goose-py task attach {folder.task_id}` shows it.", file=sys.stderr)
    return 0


def check(task_id: str) -> int:
    host = host_with_tasks()
    folder = host.task(task_id)
    asyncio.run(tell(host, folder, cmd.RunChecks()))
    summary = summary_of(folder)
    print(f"checks: {summary.checks}" + (f" ({summary.failed_check})" if summary.failed_check else ""))
    return 6 if summary.failed_check else 0


def stop(task_id: str) -> int:
    host = host_with_tasks()
    folder = host.task(task_id)

    async def send() -> bool:
        try:
            client = await TaskClient.connect(folder.socket, after=ONLY_NEW)
        except WorkerGone:
            return False
        async with client.sending() as worker:
            await worker.send(cmd.Interrupt())
        return True

    if summary_of(folder).state in BUSY and asyncio.run(send()):
        print(f"Interrupted. `goose-py task resume {folder.task_id}` lets it go on.")
    elif folder.waiting.exists():
        print(f"It has not begun, and still waits: `goose-py task discard {folder.task_id} --yes` takes it out of the queue.")
    else:
        print("It was not running.")
    return 0


def set_up(task_id: str) -> int:
    """Runs the setup command of a task's worktree (again). Returns its success as an exit code."""
    from goose_py.bootstrap.checks_at_rest import run_setup

    host = host_with_tasks()
    result = asyncio.run(run_setup(host, host.task(task_id)))
    print(result.output.rstrip())
    ended = f"exit code {result.exit_code}" if result.exit_code is not None else "it did not end"
    print(f"`{result.command}`: {ended}. The full output is in {result.log}.", file=sys.stderr)
    return 0 if result.exit_code == 0 else 1


def restore(task_id: str, tree: str | None, *, listing: bool) -> int:
    host = host_with_tasks()
    return asyncio.run(_restore(host, host.task(task_id), tree, listing=listing))


async def _restore(host: Host, folder: TaskFolder, tree: str | None, *, listing: bool) -> int:
    records = read_log(folder.path).records
    worktree = await open_worktree(host, folder, records)
    trees = await worktree.snapshots()
    if listing:
        await _print_states(worktree, recorded_states(records, trees))
        return 0
    if tree is not None:
        fits = [recorded for recorded in trees if recorded.startswith(tree)]
        if len(fits) != 1:
            raise UserError(f"{tree} names {len(fits) or 'none'} of the recorded states; `--list` shows them.")
        tree = fits[0]
    if not worktree.intact:
        worktree = await worktree.recreate(tree)
    else:
        tree = tree or recorded_tree(records) or worktree.base.tree
        before = (await worktree.snapshot()).tree
        if before == tree:
            print(f"Nothing is missing: the files in {worktree.path} are as they were recorded last.")
            return 0
        await send_command(host, folder, cmd.Rewind(tree=tree))
        print(f"What was there before is kept: `goose-py task rewind {folder.task_id} --undo` brings it back.", file=sys.stderr)
    print(f"Restored: {worktree.path}")
    return 0


async def _print_states(worktree: TaskWorktree, states: Sequence[RecordedState]) -> None:
    """The oldest first; sizes are of the difference to what the task began as."""
    for number, state in enumerate(states, 1):
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(state.at)) if state.at is not None else ""
        changes = await changeset_summary(worktree.store, worktree.base.tree, state.tree)
        added, removed = (sum(getattr(file, side) or 0 for file in changes.files) for side in ("added", "removed"))
        count = "1 file" if len(changes.files) == 1 else f"{len(changes.files)} files"
        size = f"{count} +{added} −{removed}" if changes.files else "no changes"
        said = f"  “{state.said[:SAID]}{'…' if len(state.said) > SAID else ''}”" if state.said else ""
        print(safe_text(f"{number:>4}  {state.tree[:12]}  {when:<16}  {size:<20}  {state.cause}{said}"))


def discard(task_id: str, *, yes: bool) -> int:
    host = host_with_tasks()
    folder = host.task(task_id)
    summary = summary_of(folder)
    if summary.alive and summary.state in BUSY:
        raise UserError(f"The task {folder.task_id} is at work: `goose-py task stop {folder.task_id}` interrupts it.")
    if summary.changed and not yes:
        unapplied = f"{folder.task_id} has changes that were not applied"
        question = f"{unapplied} (+{summary.added} −{summary.removed}). Remove?"
        if not confirmed(host, question, unattended=f"The task {unapplied}: say --yes to remove its worktree."):
            print("Nothing was removed.")
            return 0
    if not folder.began():
        asyncio.run(_withdraw(host, folder))
        print(f"{folder.task_id} had not begun, and will not. What it was to do is kept in {folder.withdrawn}.")
        return 0
    asyncio.run(_discard_at_rest(host, folder))
    print(f"The worktree is gone, its files are kept: `goose-py task restore {folder.task_id}` brings them back.")
    if aside := ignored_aside(folder.store):
        print(safe_text(f"Too much to be recorded, and kept until `goose-py task gc`: {listed(aside, 5)}."))
    if layers := changed_layers(layers_of(folder)):
        print(safe_text(f"What it installed into {', '.join(layers)} is kept until `goose-py task gc`."))
    return 0


async def _withdraw(host: Host, folder: TaskFolder) -> None:
    """Take back a task whose log holds nothing yet: it waits for its turn, or its worker died while it opened the worktree."""
    folder.waiting.unlink(missing_ok=True)
    await withdraw_worktree(host, folder)
    port_leases(host).release(folder.task_id)
    folder.spec.rename(folder.withdrawn)


async def _discard_at_rest(host: Host, folder: TaskFolder) -> None:
    await send_away(folder)
    await discard_task(host, folder)


async def discard_task(host: Host, folder: TaskFolder) -> None:
    """Remove a task's worktree once everything in it is recorded. Raises GooseError; then it stays."""
    async with command_channel(host, folder) as channel:
        worktree = await open_worktree(host, folder, read_log(folder.path).records)
        await worktree.remove()
        port_leases(host).release(folder.task_id)
        if summary_of(folder).state not in ("merged", "rejected"):
            await channel.send(cmd.Reject(reason="discarded"))
