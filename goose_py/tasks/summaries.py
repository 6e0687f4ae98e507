"""The summaries of all tasks, from an index: of each log only what was added since the last look is read, whoever looked.

The index is derived from the logs and is never the truth. One that is missing, damaged or made by another version is made
anew; who cannot write it does without.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import msgspec

from goose_py import __version__
from goose_py.files import recall, remember
from goose_py.protocol.errors import UserError
from goose_py.session.log import LOG_NAME
from goose_py.tasks import summary
from goose_py.tasks.spec import SPEC_NAME
from goose_py.tasks.store import TaskFolder, TaskStore
from goose_py.tasks.summary import Folded, TaskSummary, read_on

Touched = tuple[int, int, int] | None
GROWN = 1 << 20
"""Bytes of a log that is being written, after which reading them again costs more than writing the index."""


class _Stamp(msgspec.Struct, frozen=True):
    """What differs when a summary may: whether somebody writes the log, and inode, time and size of the files."""

    owned: bool
    log: Touched
    spec: Touched
    waiting: Touched

    @classmethod
    def of(cls, task: TaskFolder) -> _Stamp:
        return cls(task.owned(), *(_touched(file) for file in (task.path / LOG_NAME, task.path / SPEC_NAME, task.waiting)))

    def adds_to(self, before: _Stamp) -> bool:
        """Whether the log is the same file and has only grown."""
        old, new = before.log, self.log
        return old is not None and new is not None and old[0] == new[0] and old[2] <= new[2]


class _Entry(msgspec.Struct):
    stamp: _Stamp
    folded: Folded


class _Index(msgspec.Struct):
    made_by: str
    entries: dict[str, _Entry] = {}


class TaskListing:
    """Not for several threads at once."""

    def __init__(self, store: TaskStore) -> None:
        self._store = store
        self._file = store.root.with_name("summaries.json")
        self._made_by = f"{__version__} {_touched(Path(summary.__file__))}"
        self._known: dict[str, _Entry] | None = None

    def read(self) -> tuple[TaskSummary, ...]:
        """All tasks, the one that was last written first."""
        known = self._recalled() if self._known is None else self._known
        now, worth_keeping = {}, False
        for task in self._store.all():
            # Taken before the log is read, so that what is written meanwhile is noticed next time.
            stamp = _Stamp.of(task)
            entry = known.get(task.task_id)
            if entry is None or entry.stamp != stamp:
                folded = entry.folded if entry is not None and stamp.adds_to(entry.stamp) else Folded.of(task)
                before = folded.cursor.offset
                entry = _Entry(stamp, read_on(task, folded))
                worth_keeping |= not stamp.owned or folded.cursor.offset - before > GROWN
            now[task.task_id] = task, entry
        self._known = {name: entry for name, (_, entry) in now.items()}
        if worth_keeping:
            with suppress(OSError):
                remember(self._file, _Index(self._made_by, self._known))
        return tuple(entry.folded.summary(task) for task, entry in now.values())

    def _recalled(self) -> dict[str, _Entry]:
        found = recall(self._file, _Index)
        return found.entries if found is not None and found.made_by == self._made_by else {}


def list_tasks(store: TaskStore) -> tuple[TaskSummary, ...]:
    """All tasks, the one that was last written first."""
    return TaskListing(store).read()


def find_task(store: TaskStore, name: str) -> TaskFolder:
    """By id or the beginning of one, else by title (whole, case does not matter), else by the beginning of what follows
    an id's date. Raises UserError where none or several fit."""
    folders = store.all()
    fits = [task for task in folders if task.task_id.startswith(name)] if name else []
    exact = [task for task in fits if task.task_id == name]
    title = " ".join(name.split()).casefold()
    if not fits and title:
        titled = {each.task_id for each in list_tasks(store) if each.title.casefold() == title}
        fits = [task for task in folders if task.task_id in titled]
    fits = exact or fits or [task for task in folders if name and task.task_id.partition("-")[2].startswith(name)]
    if len(fits) == 1:
        return fits[0]
    if fits:
        raise UserError(f"{name} could be {', '.join(task.task_id for task in fits[:5])}: give more of it.")
    raise UserError(f"There is no task {name!r}. `goose-py task list` shows those there are.")


def _touched(file: Path) -> Touched:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size
