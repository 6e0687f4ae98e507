"""Where tasks are kept, and how one is found again."""

import fcntl
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path

from goose_py.session.log import LOCK_NAME, LOG_NAME
from goose_py.tasks.spec import SPEC_NAME


class TaskFolder:
    """The files of one task.

    `log.jsonl`, `blobs/` — the session; `task.json` — the spec; `git/` — the private git directory; `tree/NAME` — the
    worktree, NAME being the repository's own; `logs/` — full output of commands; `worker.log` — what the worker printed;
    `tmp/` — /tmp of its commands; `scratch/` — ours; `waiting` — the task's place in the queue (see `tasks.schedule`)."""

    def __init__(self, path: Path, runtime: Path) -> None:
        self.path = path
        self._runtime = runtime

    @property
    def task_id(self) -> str:
        return self.path.name

    @property
    def store(self) -> Path:
        return self.path / "git"

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def tmp(self) -> Path:
        """/tmp of the task's commands."""
        return self.path / "tmp"

    @property
    def scratch(self) -> Path:
        """Ours, for what no command of the task may touch while git or we work on it."""
        return self.path / "scratch"

    @property
    def worker_log(self) -> Path:
        return self.path / "worker.log"

    @property
    def waiting(self) -> Path:
        """There while the task waits to be started. Empty, or one sentence why it could not be."""
        return self.path / "waiting"

    @property
    def socket(self) -> Path:
        """Outside the task's folder, because the path of a Unix socket is limited to some hundred bytes."""
        return self._runtime / f"{self.task_id}.sock"

    def worktree(self, name: str) -> Path:
        return self.path / "tree" / name

    @property
    def spec(self) -> Path:
        return self.path / SPEC_NAME

    @property
    def withdrawn(self) -> Path:
        """The spec of a task that was discarded before it began: kept, and neither listed nor started."""
        return self.path / f"{SPEC_NAME}.withdrawn"

    def began(self) -> bool:
        return (self.path / LOG_NAME).exists()

    def exists(self) -> bool:
        return self.began() or self.spec.exists()

    def owned(self) -> bool:
        """Whether a live process writes the session.

        The lock is tried only where the file names a writer: a screen that lists tasks would otherwise hold, for a
        moment, the lock that a starting worker asks for.
        """
        try:
            fd = os.open(self.path / LOCK_NAME, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            if not os.fstat(fd).st_size:
                return False
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False


class TaskStore:
    """`root` holds one folder a task; `runtime` their sockets. Both are made with mode 0700 when first needed."""

    def __init__(self, root: Path, runtime: Path) -> None:
        self.root = root
        self.runtime = runtime

    def new(self, now: Callable[[], float]) -> TaskFolder:
        """A folder for a new task. Ids begin with the date, so that they sort by age."""
        self.root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
        day = time.strftime("%m%d", time.localtime(now()))
        while True:
            path = self.root / f"{day}-{secrets.token_hex(3)}"
            try:
                path.mkdir(mode=0o700)
            except FileExistsError:
                continue
            return TaskFolder(path, self.runtime)

    def folder(self, task_id: str) -> TaskFolder:
        return TaskFolder(self.root / task_id, self.runtime)

    def all(self) -> list[TaskFolder]:
        """Newest first, by when they were last written."""
        if not self.root.is_dir():
            return []
        found = [TaskFolder(path, self.runtime) for path in self.root.iterdir() if path.is_dir()]
        return sorted((task for task in found if task.exists()), key=_last_written, reverse=True)


def _last_written(task: TaskFolder) -> float:
    for name in (LOG_NAME, SPEC_NAME):
        try:
            return (task.path / name).stat().st_mtime
        except FileNotFoundError:
            continue
    return 0.0
