"""What can go wrong with git. `str(error)` is one sentence that says what is wrong, where, and what to do."""

import errno
from collections.abc import Sequence
from pathlib import Path

from goose_py.protocol.errors import GooseError


class GitError(GooseError):
    """Root of everything git-related that is expected to go wrong."""


class GitUnavailable(GitError):
    """There is no git binary, or it is too old for what was asked."""


class NotARepository(GitError):
    def __init__(self, path: Path) -> None:
        super().__init__(f"{path} is not inside a git repository; start in one, or run `git init` there yourself first.")
        self.path = path


class BareRepository(GitError):
    """`worktrees` are the folders in which its files are."""

    def __init__(self, path: Path, worktrees: Sequence[Path] = ()) -> None:
        places = ", ".join(map(str, worktrees[:5])) + (" …" if worktrees[5:] else "")
        todo = f"go into one of its worktrees: {places}" if worktrees else "start in a clone or a worktree of it"
        super().__init__(f"{path} is a bare repository without working files; {todo}.")
        self.path = path


class Doubted(GitError):
    """A repository that its user has to vouch for first."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"{reason}; `goose-py trust` asks you whether it may be used.")


class UnbornHead(GitError):
    def __init__(self, root: Path) -> None:
        super().__init__(f"{root} has no commit yet; make a first one, or start the task with your changes included.")
        self.root = root


class UnknownRevision(GitError):
    def __init__(self, revision: str, where: Path) -> None:
        super().__init__(f"{revision} names no commit in {where}: `git branch -a` lists what there is.")
        self.revision = revision


class MissingObjects(GitError):
    """A partial or damaged clone lacks content that is needed."""


class RepositoryBusy(GitError):
    """Another git process holds a lock, or an operation (rebase, merge ...) is under way that forbids what was asked."""


class RefMoved(GitError):
    """A branch is no longer where it was when the operation was prepared. Nothing was changed."""


class WorktreeExists(GitError):
    def __init__(self, where: Path) -> None:
        super().__init__(f"{where} already exists and is not empty, and it is no worktree of the task: move it away first.")
        self.where = where


class WorktreeMissing(GitError):
    def __init__(self, where: Path, task_id: str = "ID") -> None:
        super().__init__(f"the worktree {where} is gone; `goose-py task restore {task_id}` brings back what was recorded last.")
        self.where = where


class WouldOverwrite(GitError):
    """Files that no snapshot holds stand in the way. Nothing was changed. `paths` names them."""

    def __init__(self, message: str, paths: Sequence[str]) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class NoSpace(GitError):
    """The disk (or a quota, or a file size limit) is full. What was there before is intact."""


class GitFailed(GitError):
    """A git command ended with an exit code that was not expected. `stderr` is decoded and whole."""

    def __init__(self, args: Sequence[str], exit_code: int, stderr: str) -> None:
        last = next((line for line in reversed(stderr.strip().splitlines()) if line.strip()), "no message")
        super().__init__(f"git {_subcommand(args)} failed with exit code {exit_code}: {last.strip()}")
        self.arguments = tuple(args)
        self.status = exit_code
        self.stderr = stderr


def from_os_error(error: OSError) -> GitError:
    """The sentence for a file operation that the operating system refused."""
    place = error.filename or "a file"
    if error.errno in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
        return NoSpace(f"there is no space left to write {place}; free some and try again. Nothing was lost.")
    return GitError(f"{place} cannot be used: {error.strerror}.")


def _subcommand(args: Sequence[str]) -> str:
    words = [word for word in args if not word.startswith("-")]
    return words[0] if words else "command"
