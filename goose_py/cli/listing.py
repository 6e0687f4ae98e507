"""Tables of tasks for a terminal and for scripts."""

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from goose_py.bootstrap.conflicts import conflicts_of_list
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.queue import queue_reasons
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary

CHECKS = {"passed": "✓ passed", "failed": "✗ failed", "stale": "~ stale", "not run": "–"}
ORDER = ("awaiting approval", "awaiting plan approval", "awaiting review", "running", "planning", "verifying", "failed")


def print_tasks(tasks: Sequence[TaskSummary], host: Host, *, as_json: bool, everywhere: bool) -> int:
    if not everywhere:
        tasks = [task for task in tasks if _here(task, host.cwd)]
    if as_json:
        sys.stdout.write(json.dumps([msgspec.to_builtins(task) for task in tasks], indent=2) + "\n")
        return 0
    if not tasks:
        print("No tasks here." if everywhere else "No tasks of this repository. `--all` lists those of every repository.")
        return 0
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    reasons = queue_reasons(host)
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for name in ("id", "state", "checks", "diff", "cost", "task"):
        table.add_column(name, no_wrap=name != "task", overflow="ellipsis")
    for task in sorted(tasks, key=_urgency):
        diff = f"+{task.added} −{task.removed}" if task.files else ""
        left = f"conflict markers in {', '.join(task.unresolved)}" if task.unresolved else ""
        said = task.question or reasons.get(task.task_id, "") or left
        state = task.state + (f": {said}" if said else "")
        cells = (task.task_id, state, CHECKS[task.checks], diff, f"${task.cost:.2f}" if task.cost else "", task.title)
        table.add_row(*(Text(safe_text(cell).replace("\n", " ")) for cell in cells))
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(table)
    for task in tasks:
        if task.state == "delivered" and task.by_hand:
            print(safe_text(f"{task.task_id} was not sent anywhere. To send it on: {' && '.join(task.by_hand)}"))
    for line in conflicts_of_list(host, tuple(tasks)):
        print(line)
    return 0


def print_task(folder: TaskFolder, task: TaskSummary) -> int:
    lines = [
        ("task", f"{task.task_id}  {task.title}"),
        ("state", task.state + (f" ({task.detail})" if task.detail else "") + (", worker running" if task.alive else "")),
        ("checks", CHECKS[task.checks] + (f" {task.failed_check}" if task.failed_check else "")),
        ("diff", f"{task.files} {'file' if task.files == 1 else 'files'}, +{task.added} −{task.removed}"),
        ("model", str(task.model) if task.model else ""),
        ("cost", f"${task.cost:.4f}, {task.usage.input_tokens} uncached and {task.usage.cache_read_tokens} cached tokens in, "
         f"{task.usage.output_tokens} out" + (" (estimated)" if task.usage.estimated else "")),
        *(("not ready", sentence) for sentence in task.missing),
        ("delivered", task.delivered),
        *(("to send it", command) for command in task.by_hand),
        ("repository", task.repository),
        ("worktree", task.workspace),
        ("branch", f"{task.branch or ''} from {(task.base or '')[:12]}" if task.base else ""),
        ("files", str(folder.path)),
        ("started", time.strftime("%Y-%m-%d %H:%M", time.localtime(task.started_at)) if task.started_at else ""),
    ]  # fmt: skip
    for name, value in lines:
        if value:
            print(f"{name:<11} {safe_text(value)}")
    return 0


def _here(task: TaskSummary, cwd: Path) -> bool:
    return any(place and cwd.is_relative_to(Path(place)) for place in (task.repository, task.workspace))


def _urgency(task: TaskSummary) -> tuple[int, float]:
    rank = ORDER.index(task.state) if task.state in ORDER else len(ORDER)
    return rank, -task.updated_at
