"""The summaries of all tasks for whoever asks again and again: only what changed is read again."""

from __future__ import annotations

from pathlib import Path

from goose_py.session.log import LOG_NAME
from goose_py.tasks.spec import SPEC_NAME
from goose_py.tasks.store import TaskFolder, TaskStore
from goose_py.tasks.summary import TaskSummary, summary_of

Stamp = tuple[object, ...]


class TaskListing:
    """Not for several threads at once."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._known: dict[str, tuple[Stamp, TaskSummary]] = {}

    def read(self) -> tuple[TaskSummary, ...]:
        """As `summary.list_tasks`: all tasks, the one that was last written first."""
        known: dict[str, tuple[Stamp, TaskSummary]] = {}
        for task in self._store.all():
            stamp = _stamp(task)
            before = self._known.get(task.task_id)
            known[task.task_id] = before if before is not None and before[0] == stamp else (stamp, summary_of(task))
        self._known = known
        return tuple(summary for _, summary in known.values())


def _stamp(task: TaskFolder) -> Stamp:
    """What differs when a summary may. Taken before the summary, so that what is written meanwhile is noticed next time."""
    return (task.owned(), *(_touched(file) for file in (task.path / LOG_NAME, task.path / SPEC_NAME, task.waiting)))


def _touched(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
