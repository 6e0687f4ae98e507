"""`goose-py review --why`: for each hunk, what the task was doing when it made it."""

import asyncio

from goose_py.actions.review.inspection import inspect_task, task_to_show
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.bootstrap.host import Host
from goose_py.git.trees.diff import with_hunks
from goose_py.protocol.changes import Hunk
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.review.blame import Reason, reasons
from goose_py.tasks.history.origins import Origin, origins

CALLS_SHOWN = 5


def explain_hunks(task_id: str | None, path: str | None) -> int:
    host = host_with_tasks()
    return asyncio.run(_explain(host, task_id, path))


async def _explain(host: Host, task_id: str | None, path: str | None) -> int:
    inspected = await inspect_task(host, task_to_show(host, task_id))
    steps = list(origins(inspected.records))
    if not steps or steps[-1].tree != inspected.changes.result_tree:
        steps.append(Origin(inspected.changes.result_tree, 0))
    if steps[0].tree != inspected.changes.base_tree:
        steps.insert(0, Origin(inspected.changes.base_tree, 0))
    changes = await with_hunks(inspected.worktree.store, inspected.changes)
    files = [file for file in changes.files if path in (None, file.path)]
    if not files:
        raise UserError(f"{path} is not among the changed files." if path else "The task has changed nothing.")
    for file in files:
        print(safe_text(file.path))
        found = await reasons(inspected.worktree.store, [step.tree for step in steps], file.path)
        for number, hunk in enumerate(file.hunks or (), 1):
            _print(number, hunk, found.get(hunk.id), steps, file.path)
    return 0


def _print(number: int, hunk: Hunk, reason: Reason | None, steps: list[Origin], path: str) -> None:
    print(f"  hunk {number}, line {hunk.new_start}:")
    for step in reason.steps if reason else ():
        origin = steps[step]
        print(safe_text(f"    {origin.sentence()}"))
        named = [call for call in origin.calls if path in call] or list(origin.calls)
        for call in named[-CALLS_SHOWN:]:
            print(safe_text(f"      {call}"))
