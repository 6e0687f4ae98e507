"""`goose-py review --why`: for each hunk, what the task was doing when it made it."""

import asyncio

from goose_py.actions.review.inspection import inspect_task, task_to_show
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.bootstrap.host import Host
from goose_py.git.trees.diff import with_hunks
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.history.causes import Cause, causes


def explain_hunks(task_id: str | None, path: str | None) -> int:
    host = host_with_tasks()
    return asyncio.run(_explain(host, task_id, path))


async def _explain(host: Host, task_id: str | None, path: str | None) -> int:
    inspected = await inspect_task(host, task_to_show(host, task_id))
    store = inspected.worktree.store
    changes = await with_hunks(store, inspected.changes)
    files = [file for file in changes.files if path in (None, file.path)]
    if not files:
        raise UserError(f"{path} is not among the changed files." if path else "The task has changed nothing.")
    for file in files:
        print(safe_text(file.path))
        found = await causes(store, inspected.records, changes.base_tree, changes.result_tree, file.path)
        for number, hunk in enumerate(file.hunks or (), 1):
            print(f"  hunk {number}, line {hunk.new_start}:")
            for cause in reversed(found.get(hunk.id, ())):
                _print(cause)
    return 0


def _print(cause: Cause) -> None:
    print(safe_text(f"    {cause.sentence()}"))
    if cause.call:
        during = ", while something ran in the background" if cause.during else ""
        print(safe_text(f"      {cause.name}  {cause.call}{during}" if cause.name else f"      {cause.call}"))
