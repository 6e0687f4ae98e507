"""Git's own linked worktrees: made, found, forgotten and taken away without any of their content being executed."""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from goose_py.files import delete_folder
from goose_py.git.errors import GitError, GitFailed, WorktreeExists
from goose_py.git.repository import Repository
from goose_py.git.runner import translated
from goose_py.git.untrusted import put_in_place, read_small, write_small


async def add_linked(repository: Repository, where: Path, wanted: str, commit: str) -> str:
    """`git worktree add --no-checkout` on a new branch with the first free name, which is returned. The worktree is locked,
    which keeps `git worktree prune` and other tools from removing it. Raises WorktreeExists."""
    stderr = ""
    for branch in _names(wanted):
        done = await repository.bound.run(
            "worktree", "add", "--quiet", "--no-checkout", "--lock", "-b", branch, "--", str(where), commit,
            ok=(0, 128, 255),
        )  # fmt: skip
        if done.exit_code == 0:
            return branch
        stderr = done.stderr.decode("utf-8", "replace")
        if f"'{where}' already exists" in stderr:
            raise WorktreeExists(where)
        # The last is the case of a branch `goose`, beside which git cannot store `goose/...`.
        if not any(text in stderr for text in ("already exists", "cannot lock ref", "is already checked out")):
            break
    raise GitFailed(("worktree", "add"), 128, stderr)


async def add_detached(repository: Repository, where: Path, commit: str) -> None:
    """The same on no branch. Raises WorktreeExists."""
    done = await repository.bound.run(
        "worktree", "add", "--quiet", "--no-checkout", "--lock", "--detach", "--", str(where), commit, ok=(0, 128, 255)
    )
    if done.exit_code:
        stderr = done.stderr.decode("utf-8", "replace")
        if f"'{where}' already exists" in stderr:
            raise WorktreeExists(where)
        raise translated(("worktree", "add"), done.exit_code, stderr)


async def move_head(repository: Repository, where: Path, commit: str) -> None:
    """Where a linked worktree is on no branch."""
    admin = admin_dir(repository, where)
    await repository.git.at(admin).run("update-ref", "--no-deref", "-m", "goose-py", "HEAD", commit)


async def free_branch(repository: Repository, wanted: str, commit: str) -> str:
    """A new branch at `commit` with the first free name, which is returned."""
    for name in _names(wanted):
        new = ("update-ref", "-m", "goose-py", f"refs/heads/{name}", commit, "0" * len(commit))
        done = await repository.bound.run(*new, ok=(0, 128))
        if done.exit_code == 0:
            return name
    raise GitError(f"no branch of the name {wanted} can be made; see `git branch --list 'goose*'`.")


async def attach_linked(repository: Repository, where: Path, branch: str) -> None:
    """A worktree without files on a branch that exists."""
    await repository.bound.run("worktree", "add", "--quiet", "--no-checkout", "--lock", "--", str(where), branch)


def admin_dir(repository: Repository, where: Path) -> Path:
    """The folder in which git keeps the HEAD and index of a linked worktree. Raises GitError where it knows of none."""
    wanted = os.path.realpath(where) + "/.git"
    named = Path((read_small(where / ".git") or "").removeprefix("gitdir:").strip())
    if named.parent == repository.common_dir / "worktrees" and _leads_to(named, wanted):
        return named  # the usual case: to ask each of them takes its time where they are many
    for folder in (repository.common_dir / "worktrees").glob("*"):
        if _leads_to(folder, wanted):
            return folder
    raise GitError(f"git has no record of the worktree {where}; repair it with `git worktree repair`.")


def record_of(repository: Repository, *places: Path) -> Path | None:
    """The folder in which git keeps what it knows of a linked worktree that is, or was, at one of `places`."""
    wanted = {os.path.realpath(place / ".git") for place in places}
    records = (repository.common_dir / "worktrees").glob("*")
    return next((record for record in records if any(_leads_to(record, each) for each in wanted)), None)


def repair_linked(repository: Repository, where: Path, before: Path) -> None:
    """As `git worktree repair`, for a worktree that was at `before`: it and git's record of it lead to each other again. None
    of its content is believed."""
    record = record_of(repository, before, where)
    if record is None:
        return
    if not _leads_to(record, os.path.realpath(where / ".git")):
        write_small(record / "gitdir", f"{where / '.git'}\n")
        with suppress(OSError):
            (record / "gitdir").chmod(stat.S_IMODE((record / "HEAD").stat().st_mode))
    if where.is_dir() and read_small(where / ".git") != f"gitdir: {record}\n":
        write_small(where / ".git", f"gitdir: {record}\n")


def _leads_to(folder: Path, wanted: str) -> bool:
    pointer = folder / "gitdir"
    if not pointer.is_file():
        return False
    named = Path(os.fsdecode(pointer.read_bytes().strip()))
    return f"{os.path.realpath(named.parent)}/{named.name}" == wanted  # not where a link leads that took its place


def put_index(repository: Repository, where: Path, index: Path) -> None:
    """A linked worktree gets a copy of this index, times included. Others may read it who may read the rest of its record: in
    a repository that users share, git fails for them all where it cannot."""
    admin = admin_dir(repository, where)
    put_in_place(index, admin / "index")
    with suppress(OSError):
        (admin / "index").chmod(stat.S_IMODE((admin / "HEAD").stat().st_mode))


def head_of(repository: Repository, where: Path) -> str | None:
    """What HEAD of a linked worktree says: the full name of a ref or, detached, an object id. None where it cannot be told.
    Read as a file: an agent may have written to it, and no git is asked to believe it."""
    try:
        content = (read_small(admin_dir(repository, where) / "HEAD") or "").strip()
    except GitError:
        return None
    return content.removeprefix("ref: ").strip() or None


async def remove_linked(repository: Repository, where: Path) -> None:
    """Move the folder away in one step, let git forget it, then delete it. Git itself is never let near its content."""
    gone = where.with_name(f".{where.name}.removed-{os.urandom(4).hex()}")
    if where.exists():
        where.rename(gone)
    await forget_linked(repository, where)
    if gone.exists():
        await asyncio.to_thread(delete_folder, gone)


async def forget_linked(repository: Repository, where: Path) -> None:
    """Remove git's record of a worktree whose folder is gone."""
    done = await repository.bound.run("worktree", "remove", "--force", "--force", "--", str(where), ok=(0, 128))
    if done.exit_code and b"is not a working tree" not in done.stderr:
        raise GitFailed(("worktree", "remove"), done.exit_code, done.stderr.decode("utf-8", "replace"))


def _names(wanted: str) -> Iterator[str]:
    for name in (wanted, wanted.replace("/", "-")):
        yield name
        yield from (f"{name}-{number}" for number in range(2, 100))
