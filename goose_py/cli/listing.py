"""Tables of tasks for a terminal and for scripts."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from goose_py.actions.tasks.conflicts import conflicts_of_list
from goose_py.actions.tasks.scope import tasks_here
from goose_py.bootstrap.host import Host
from goose_py.protocol.amounts import counted, dollars
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.next_commands import Next, next_commands
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary
from goose_py.workers.queue import queue_reasons

if TYPE_CHECKING:
    from rich.table import Table

CHECKS = {
    "passed": "✓ passed",
    "failed": "✗ failed",
    "failed before": "~ failed before",
    "timed out": "~ timed out",
    "cannot run": "~ cannot run",
    "stale": "~ stale",
    "not run": "–",
}
TOLD = ("awaiting review", "failed", "cancelled", "foreign")
"""States of which the list says how they came about."""
LONGEST = 72
PIPED = 400
"""Columns of a list that a program reads: a task a line."""
GONE = " (given back; whoever goes on with the task has it again)"
ORDER = (
    "awaiting approval",
    "awaiting plan approval",
    "awaiting review",
    "running",
    "planning",
    "verifying",
    "failed",
    "cancelled",
)


def print_tasks(tasks: Sequence[TaskSummary], host: Host, *, as_json: bool, everywhere: bool) -> int:
    others = 0
    if not everywhere:
        tasks, others = tasks_here(host.cwd, tasks)
    if as_json:
        sys.stdout.write(json.dumps([msgspec.to_builtins(task) for task in tasks], indent=2) + "\n")
        return 0
    if tasks:
        _print_tasks(tasks, host)
    else:
        print("There are no tasks here." if others else "There are no tasks.")
    if others:
        print(f"{others} more of other repositories: --all lists them too.")
    return 0


def table_of(tasks: Sequence[TaskSummary], reasons: Mapping[str, str]) -> "Table":
    """The most urgent first. `reasons` why a task is queued, by id. What the terminal has no room for goes on in the next
    line: nothing is cut off, least of all an id, which is there to be copied."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    several = len({task.place for task in tasks}) > 1
    for name in ("id", "state", "checks", "diff", "cost", *(["repository"] if several else []), "task"):
        table.add_column(name, no_wrap=name not in ("state", "task"), overflow="fold")
    for task in sorted(tasks, key=_urgency):
        diff = f"+{task.added} −{task.removed}" if task.files else ""
        left = f"conflict markers in {', '.join(task.unresolved)}" if task.unresolved else ""
        said = task.question or reasons.get(task.task_id, "") or left or (task.detail if task.state in TOLD else "")
        state = task.state + (f": {said if len(said) <= LONGEST else said[: LONGEST - 1] + '…'}" if said else "")
        where = [Path(task.place).name] if several else []
        cost = f"${task.cost:.2f}" if task.cost else ""
        cells = (task.task_id, state, CHECKS[task.checks], diff, cost, *where, task.title)
        table.add_row(*(Text(safe_text(cell).replace("\n", " ")) for cell in cells))
    return table


def _print_tasks(tasks: Sequence[TaskSummary], host: Host) -> None:
    from rich.console import Console

    table = table_of(tasks, queue_reasons(host))
    Console(width=None if sys.stdout.isatty() else PIPED, markup=False, highlight=False).print(table)
    for task in tasks:
        if task.state == "delivered" and task.by_hand:
            print(safe_text(f"{task.task_id} was not sent anywhere. To send it on: {' && '.join(task.by_hand)}"))
    for line in conflicts_of_list(host, tuple(tasks)):
        print(line)
    if any(task.state in ("failed", "cancelled") for task in tasks):
        print("`goose-py task resume ID` lets one go on that failed or was interrupted; `task show ID` says how for each.")


def print_task(folder: TaskFolder, task: TaskSummary) -> int:
    lines = [
        ("task", f"{task.task_id}  {task.title}"),
        ("state", task.state + (f" ({task.detail})" if task.detail else "") + (", worker running" if task.alive else "")),
        ("checks", CHECKS[task.checks] + (f" {task.failed_check}" if task.failed_check else "")),
        ("diff", f"{counted(task.files, 'file')}, +{task.added} −{task.removed}"),
        ("model", str(task.model) if task.model else ""),
        ("cost", f"{dollars(task.cost, unpriced=task.unpriced)}, {task.usage.input_tokens} uncached and "
         f"{task.usage.cache_read_tokens} cached tokens in, {task.usage.output_tokens} out"
         + (" (estimated)" if task.usage.estimated else "")),
        *(("not ready", sentence) for sentence in task.missing),
        ("delivered", task.delivered),
        *(("to send it", command) for command in task.by_hand),
        ("repository", "" if task.copy_of else task.repository),
        ("copy of", task.copy_of),
        ("worktree", task.workspace + ("" if not task.workspace or Path(task.workspace).is_dir() else GONE)),
        ("branch", f"{task.branch or 'none yet'}, from {task.base[:12]}" if task.base else ""),
        ("files", str(folder.path)),
        *(("next", f"{each.command} {each.does}") for each in _next(task)),
        ("started", time.strftime("%Y-%m-%d %H:%M", time.localtime(task.started_at)) if task.started_at else ""),
    ]  # fmt: skip
    for name, value in lines:
        if value:
            print(f"{name:<11} {safe_text(value)}")
    return 0


def _next(task: TaskSummary) -> tuple[Next, ...]:
    match task.state:
        case "queued" | "planning" | "running" | "verifying":
            return (Next(f"goose-py task attach {task.task_id}", "shows it live"),)
        case "awaiting approval":
            return (Next(f"goose-py inbox answer {task.task_id} --allow", "lets it; --deny does not"),)
        case "merged" | "rejected" | "delivered":
            return ()
        case _:
            return next_commands(task.task_id, task.outcome, changed=task.changed)


def _urgency(task: TaskSummary) -> tuple[int, float]:
    rank = ORDER.index(task.state) if task.state in ORDER else len(ORDER)
    return rank, -task.updated_at
