"""What is known about a task's worktree, beside its private git directory: enough to find everything again after a crash."""

import os
from pathlib import Path

import msgspec

from goose_py.git.errors import GitError, from_os_error

NAME = "goose-task.json"
_VERSION = 1


class BaseRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A `Base` as it is written; the fields are those of `git.worktrees.base`."""

    commit: str
    tree: str
    branch: str | None = None
    includes_changes: bool = False
    warnings: tuple[str, ...] = ()
    index: str = ""
    recorded: str = ""
    uncommitted: int = 0
    left_out: tuple[str, ...] = ()
    marks: tuple[tuple[str, str], ...] = ()


class TaskFile(msgspec.Struct, frozen=True, kw_only=True):
    """`ready` is false while the worktree is being made: whatever is there then is no work of anybody's. Paths are
    absolute. Earlier versions gave each task a `branch`; `published` is the one that a result was delivered on."""

    task_id: str
    repository: str
    common_dir: str
    path: str
    branch: str | None = None
    base: BaseRecord
    submodules: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    ready: bool = False
    published: str = ""
    version: int = _VERSION

    def write(self, store: Path) -> None:
        """Atomically, readable by the owner alone. Raises GitError."""
        temporary = store / f"{NAME}.new"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                file.write(msgspec.json.format(msgspec.json.encode(self)))
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(store / NAME)
        except OSError as error:
            raise from_os_error(error) from None

    @classmethod
    def read(cls, store: Path) -> "TaskFile":
        """Raises GitError where there is none or it cannot be understood."""
        try:
            found = msgspec.json.decode((store / NAME).read_bytes(), type=cls)
        except FileNotFoundError:
            raise GitError(f"{store} holds no task's worktree.") from None
        except (OSError, msgspec.DecodeError) as error:
            raise GitError(f"{store / NAME} cannot be read: {error}.") from None
        if found.version != _VERSION:
            raise GitError(f"{store / NAME} was written by another version of goose-py.")
        return found
