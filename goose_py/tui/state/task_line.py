"""One task in a list, as the screens show it. Imports nothing of Textual."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from goose_py.tasks.summary import TaskSummary

Need = Literal["you", "review", "running", "waiting", "done"]
"""What a task needs: an answer, a review, nothing for it works, to be started or told something, nothing for it is over."""

_NEEDS: dict[str, Need] = {
    "awaiting approval": "you",
    "awaiting plan approval": "you",
    "awaiting review": "review",
    "delivered": "done",
    "planning": "running",
    "running": "running",
    "verifying": "running",
    "queued": "waiting",
    "idle": "waiting",
    "failed": "you",
    "merged": "done",
    "rejected": "done",
    "cancelled": "waiting",
    "foreign": "done",
}


@dataclass(frozen=True)
class TaskLine:
    """`doing` is a few words on its state; `checks` what its last check says; `cost` in US dollars; times are Unix time."""

    task_id: str
    title: str
    need: Need
    doing: str = ""
    files: int = 0
    added: int = 0
    removed: int = 0
    cost: float = 0.0
    started_at: float = 0.0
    updated_at: float = 0.0
    repository: str = ""
    branch: str = ""
    checks: str = ""
    failed_check: str = ""
    alive: bool = False


def task_line(summary: TaskSummary) -> TaskLine:
    """The line for a task as `tasks.summary.list_tasks` tells of it."""
    return TaskLine(
        task_id=summary.task_id,
        title=summary.title or summary.task_id,
        need=_NEEDS[summary.state],
        doing=f"asks: {summary.question}" if summary.question else summary.detail or summary.state,
        files=summary.files,
        added=summary.added,
        removed=summary.removed,
        cost=summary.cost,
        started_at=summary.started_at,
        updated_at=summary.updated_at,
        repository=summary.place,
        branch=summary.branch or "",
        checks=summary.checks,
        failed_check=summary.failed_check,
        alive=summary.alive,
    )
