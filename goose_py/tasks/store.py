"""Where tasks are kept, how one is found again, and whether it was made here: a folder that somebody copied in, or wrote by
hand, has no seal made with this user's key."""

import fcntl
import hmac
import os
import secrets
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from goose_py.files import locked, write_atomic
from goose_py.protocol.errors import UserError
from goose_py.session.log import LOCK_NAME, LOG_NAME
from goose_py.tasks.spec import SPEC_NAME

SEAL_NAME = "made-here"
KEY_NAME = "tasks.key"


class TaskFolder:
    """The files of one task.

    `log.jsonl`, `blobs/` — the session; `task.json` — the spec; `git/` — the private git directory; `tree/NAME` — the
    worktree, NAME being the repository's own; `logs/` — full output of commands; `worker.log` — what the worker printed;
    `tmp/` — /tmp of its commands; `scratch/` — ours; `waiting` — the task's place in the queue (see `tasks.schedule`);
    `made-here` — the seal of this user's program."""

    def __init__(self, path: Path, runtime: Path, key: bytes | None = None) -> None:
        self.path = path
        self._runtime = runtime
        self._key = key

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

    def made_here(self) -> bool:
        """Whether this user's program made it. What another's log says a person did was not said by this one."""
        key = self._key or _read_key(self.path.parent)
        if key is None:
            return True  # no program of this user has looked yet: see `TaskStore.keep_key`
        try:
            return hmac.compare_digest((self.path / SEAL_NAME).read_text("ascii", "replace"), _seal(key, self.task_id))
        except OSError:
            return False

    def require_made_here(self) -> None:
        """Raises UserError where it was not."""
        if not self.made_here():
            raise UserError(
                f"The task {self.task_id} was not made by your goose-py, so what its files say of approvals is nobody's word: "
                f"`goose-py session show {self.task_id}` reads it. It lies in {self.path}."
            )

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
        self._key: bytes | None = None

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
            if (key := self.keep_key()) is not None:
                _write_seal(key, path)
            return TaskFolder(path, self.runtime, key)

    def keep_key(self) -> bytes | None:
        """The key of this user's seals, made when it is first asked for; None where it cannot be kept. The tasks that an
        earlier version has made are sealed with it: of its state there is more than folders of tasks."""
        self._key = self._key or _read_key(self.root)
        if self._key is None:
            with suppress(OSError):
                self._make_key()
            self._key = _read_key(self.root)
        return self._key

    def _make_key(self) -> None:
        file = self.root.with_name(KEY_NAME)
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with locked(file):
            if file.exists():
                return
            key = secrets.token_bytes(32)
            if any(not entry.name.startswith(".") and entry != self.root for entry in file.parent.iterdir()):
                for task in self.all():
                    _write_seal(key, task.path)
            write_atomic(file, key)

    def folder(self, task_id: str) -> TaskFolder:
        return TaskFolder(self.root / task_id, self.runtime, self._key)

    def all(self) -> list[TaskFolder]:
        """Newest first, by when they were last written."""
        if not self.root.is_dir():
            return []
        found = [TaskFolder(path, self.runtime, self._key) for path in self.root.iterdir() if path.is_dir()]
        return sorted((task for task in found if task.exists()), key=_last_written, reverse=True)


def _read_key(root: Path) -> bytes | None:
    try:
        return root.with_name(KEY_NAME).read_bytes()
    except OSError:
        return None


def _seal(key: bytes, task_id: str) -> str:
    return hmac.new(key, task_id.encode(), "sha256").hexdigest()


def _write_seal(key: bytes, folder: Path) -> None:
    """To the disk: a task without it would not be its user's any more."""
    write_atomic(folder / SEAL_NAME, _seal(key, folder.name).encode())


def _last_written(task: TaskFolder) -> float:
    for name in (LOG_NAME, SPEC_NAME):
        try:
            return (task.path / name).stat().st_mtime
        except FileNotFoundError:
            continue
    return 0.0
