"""`goose-py delegate`: a task in the background that ends in a branch and a draft pull request."""

import asyncio
import sys
from dataclasses import replace

from goose_py.bootstrap.deliver import deliver
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.launch import tell
from goose_py.bootstrap.starting import TaskRequest, submit_one
from goose_py.bootstrap.task import OpenTask
from goose_py.bootstrap.task_worktree import open_worktree
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import GooseError
from goose_py.session.log import Log
from goose_py.tasks.spec import Delivery, TaskSpec, read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summarise, summary_of


def delegate(request: TaskRequest, delivery: Delivery) -> int:
    host = Host.here()
    folder, kicked = asyncio.run(submit_one(host, replace(request, spec={**request.spec, "delivery": delivery})))
    print(folder.task_id)
    state = f"Queued: {kicked.waiting[folder.task_id]}." if folder.task_id in kicked.waiting else "Started."
    end = "a pushed branch and a draft pull request" if delivery.push else "a branch here; nothing is pushed without --push"
    how = f"`goose-py task show {folder.task_id}` says when, and how to send it on by hand"
    print(f"{state} It ends in {end}. {how}.", file=sys.stderr)
    return 0


def finish(task_id: str, delivery: Delivery) -> int:
    """Delivers (again) what a task made, from the command line."""
    host = Host.here()
    folder = host.task(task_id)
    command = cmd.Deliver(push=delivery.push, remote=delivery.remote, into=delivery.into)
    asyncio.run(_finish(host, folder, command))
    summary = summary_of(folder)
    print(summary.delivered)
    for line in summary.by_hand:
        print(f"  {line}")
    return 0


async def _finish(host: Host, folder: TaskFolder, command: cmd.Deliver) -> None:
    """Through the task's worker where one runs, else directly."""
    if folder.owned():
        await tell(host, folder, command)
        return
    log, contents = Log.open(folder.path, host.now)
    records = list(contents.records)

    def emit(event: ev.DurableEvent) -> None:
        records.append(log.append(event))

    try:
        worktree = await open_worktree(host, folder, contents.records)
        await deliver(host, folder, worktree, _delivery(read_spec(folder.path), command), lambda: records, emit)
    finally:
        log.close()


async def deliver_now(host: Host, task: OpenTask, command: cmd.Deliver) -> None:
    """The same in the task's worker. Raises UserError where a turn runs."""
    delivery = _delivery(task.spec, command)
    work = deliver(host, task.folder, task.changes.worktree, delivery, task.history, task.session.emit)
    await task.session.aside(work)


def _delivery(spec: TaskSpec, command: cmd.Deliver) -> Delivery:
    given = spec.delivery or Delivery()
    return Delivery(push=command.push, remote=command.remote or given.remote, into=command.into or given.into)


async def deliver_if_done(host: Host, task: OpenTask) -> None:
    """What the worker of a delegated task does after a turn that came to its own end. What goes wrong is said in the log,
    where `delegate --finish` can mend it."""
    delivery, outcome = task.spec.delivery, task.session.state.outcome
    if delivery is None or outcome is None or outcome.outcome != "done" or task.session.running():
        return
    if not summarise(task.folder.task_id, task.history()).changed:
        return
    try:
        await task.session.aside(
            deliver(host, task.folder, task.changes.worktree, delivery, task.history, task.session.emit)
        )
    except GooseError as problem:
        again = f"`goose-py delegate --finish {task.folder.task_id}` tries again."
        task.session.emit(ev.Warned(text=f"It was not delivered: {problem} {again}", about="delivery"))
