"""`goose-py delegate`: a task in the background that ends in a branch and a draft pull request."""

import asyncio
import sys
from dataclasses import replace

from goose_py.actions.tasks.start import TaskRequest, submit_one
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.session.log import Log
from goose_py.tasks.spec import Delivery, read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of
from goose_py.workers.delivery import deliver, wanted_delivery
from goose_py.workers.launch import tell


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
    command = cmd.Deliver(
        push=delivery.push, remote=delivery.remote, into=delivery.into, with_changes=delivery.with_changes
    )
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
        await deliver(host, folder, worktree, wanted_delivery(read_spec(folder.path), command), lambda: records, emit)
    finally:
        log.close()
