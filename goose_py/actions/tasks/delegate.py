"""`goose-py delegate`: a task in the background that ends in a branch and a draft pull request."""

import asyncio
import sys
from dataclasses import replace

from goose_py.actions.command_channel import send_command
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.start import TaskRequest, submit_one
from goose_py.protocol import commands as cmd
from goose_py.tasks.spec import Delivery
from goose_py.tasks.summary import summary_of


def delegate(request: TaskRequest, delivery: Delivery) -> int:
    host = host_with_tasks()
    folder, queue = asyncio.run(submit_one(host, replace(request, spec={**request.spec, "delivery": delivery})))
    print(folder.task_id)
    state = f"Queued: {queue.waiting[folder.task_id]}." if folder.task_id in queue.waiting else "Started."
    end = "a pushed branch and a draft pull request" if delivery.push else "a branch here; nothing is pushed without --push"
    how = f"`goose-py task show {folder.task_id}` says when, and how to send it on by hand"
    print(f"{state} It ends in {end}. {how}.", file=sys.stderr)
    return 0


def finish(task_id: str, delivery: Delivery) -> int:
    """Delivers (again) what a task made, from the command line."""
    host = host_with_tasks()
    folder = host.task(task_id)
    command = cmd.Deliver(
        push=delivery.push, remote=delivery.remote, into=delivery.into, with_changes=delivery.with_changes
    )
    asyncio.run(send_command(host, folder, command))
    summary = summary_of(folder)
    print(summary.delivered)
    for line in summary.by_hand:
        print(f"  {line}")
    return 0
