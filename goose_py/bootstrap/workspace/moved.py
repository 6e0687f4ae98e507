"""Repositories that stand elsewhere than their tasks know, because they, or a home folder, were moved: found by what git keeps
of a task, and put right in everything that names a path.

A repository is a task's where the commit that the task began from is kept at the task's own ref, or where git has a record of
its worktree. Where it lies plays no part. Both also hold of a copy, so a task only goes to where it is not known to be already.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import open_repository
from goose_py.git.errors import GitError, NotARepository
from goose_py.git.repository import Repository, common_dir_of, read_ref
from goose_py.git.untrusted import read_small
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.linked import record_of, repair_linked
from goose_py.git.worktrees.task_file import TaskFile
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import RepositoryMoved
from goose_py.session.log import Log
from goose_py.tasks.spec import read_spec, rewrite_spec
from goose_py.tasks.store import TaskFolder

_KEPT = re.compile(r" refs/goose/([^/\n]+)/base$", re.MULTILINE)
_PACKED_BYTES = 64 * 1024 * 1024


async def repository_of_task(host: Host, folder: TaskFolder, root: str) -> Repository:
    """The one that a task works on; `root` is its checkout where the task's own files do not say. Raises GitError, and
    UserError where it is not there any more."""
    folder.require_made_here()
    try:
        root = TaskFile.read(folder.store).repository
    except GitError:
        pass  # it has not begun
    try:
        return await open_repository(host, Path(root))
    except NotARepository:
        raise UserError(
            f"The repository of the task {folder.task_id} is not at {root} any more; if it was moved, go into it and say "
            "`goose-py task list`, which finds the task again."
        ) from None


@dataclass(frozen=True)
class Recorded:
    """Where a task is by its own files. `worktree` is None before it has begun; `kept` is the commit that its repository keeps
    for it, "" where that is none yet; `copied` tells that the repository is a copy of ours, in the task's folder."""

    folder: TaskFolder
    root: Path
    common_dir: Path
    worktree: Path | None
    kept: str
    copied: bool = False

    @classmethod
    def of(cls, folder: TaskFolder) -> Recorded | None:
        try:
            known = TaskFile.read(folder.store)
        except GitError:
            return cls._of_spec(folder)
        root = Path(known.repository)
        copied = root.parts[-3:-1] == (folder.task_id, "copy")
        return cls(folder, root, Path(known.common_dir), Path(known.path), Base.of(known.base).standing, copied)

    @classmethod
    def _of_spec(cls, folder: TaskFolder) -> Recorded | None:
        try:
            spec = read_spec(folder.path)
        except UserError:
            return None
        if spec.isolation == "copy" or not spec.repository:
            return None
        root = Path(spec.repository)
        return cls(folder, root, common_dir_at(root) or root / ".git", None, Base.of(spec.start).standing if spec.start else "")

    @property
    def worktree_now(self) -> Path | None:
        """It moves with the task's folder, unless it was made elsewhere."""
        if self.worktree is None or self.worktree.parts[-3:-1] != (self.folder.task_id, "tree"):
            return self.worktree
        return self.folder.worktree(self.worktree.name)

    @property
    def at_home(self) -> bool:
        """Whether everything is where its files say."""
        return common_dir_at(self.root) == self.common_dir and self.worktree == self.worktree_now

    def now(self, path: Path) -> Path:
        """What became of `path` where the task's folder was moved with all that is around it: a home folder, say."""
        if self.worktree is None or self.worktree_now is None:
            return path
        before, after = list(self.worktree.parts), list(self.worktree_now.parts)
        while before and after and before[-1] == after[-1]:
            before.pop()
            after.pop()
        above = Path(*before)
        return Path(*after) / path.relative_to(above) if before and path.is_relative_to(above) else path

    def places(self, here: Path) -> Iterator[Path]:
        """Where its repository may be: where it was, where all else has gone, and where its user stands."""
        if self.copied:
            yield self.folder.path / "copy" / self.root.name
            return
        yield from dict.fromkeys((self.root, self.now(self.root), here))

    async def is_kept_in(self, repository: Repository) -> bool:
        task, bound = self.folder.task_id, repository.bound
        if self.kept and await read_ref(bound, f"refs/goose/{task}/base") == self.kept:
            return True
        if self.worktree is None or record_of(repository, self.worktree, self.worktree_now or self.worktree) is None:
            return False
        return await read_ref(bound, f"{self.kept}^{{commit}}") is not None

    def root_in(self, repository: Repository) -> Path:
        """The checkout that takes the place of the task's: itself where it still stands, the main one for the main one."""
        if common_dir_at(self.root) == repository.common_dir:
            return self.root
        was_main = self.common_dir == self.root / ".git"
        return repository.common_dir.parent if was_main and repository.common_dir.name == ".git" else repository.root


def common_dir_at(root: Path) -> Path | None:
    """Of the checkout that stands exactly there."""
    try:
        return common_dir_of(root) if os.path.lexists(root / ".git") else None
    except (GitError, OSError):
        return None


def astray(folders: Iterable[TaskFolder], here: Path) -> Iterator[Recorded]:
    """The tasks that are not where their files say, and those of other repositories that the one around `here` knows too."""
    common_dir = _common_dir_around(here)
    known_here = _names_kept(common_dir) if common_dir is not None else frozenset[str]()
    at = cache(common_dir_at)  # of many tasks of few repositories
    for folder in folders:
        known = Recorded.of(folder) if folder.made_here() else None
        if known is None:
            continue
        at_home = at(known.root) == known.common_dir and known.worktree == known.worktree_now
        if not at_home or (folder.task_id in known_here and known.common_dir != common_dir):
            yield known


def settle(host: Host, known: Recorded, repository: Repository) -> None:
    """The task is of this repository from here on, and so are its worktree's links, its log and its files. Done again after a
    crash it comes to the same. Raises LogBusy where somebody works on it."""
    folder, root, worktree = known.folder, known.root_in(repository), known.worktree_now
    log = Log.open(folder.path, host.now)[0] if folder.began() else None
    try:
        if known.worktree is not None and worktree is not None:
            repair_linked(repository, worktree, known.worktree)
        stands = _move_spec(known, root)
        if log is not None:
            copy_of = stands if known.copied else ""
            log.append(RepositoryMoved(repository=str(root), worktree=str(worktree or ""), copy_of=copy_of))
        if known.worktree is not None:
            moved = {"repository": str(root), "common_dir": str(repository.common_dir), "path": str(worktree)}
            msgspec.structs.replace(TaskFile.read(folder.store), **moved).write(folder.store)
    finally:
        if log is not None:
            log.close()


def _move_spec(known: Recorded, root: Path) -> str:
    """Returns the folder that the task is about."""
    try:
        spec = read_spec(known.folder.path)
    except UserError:
        return ""  # it is said where the task is gone on with
    stood = Path(spec.folder)
    stands = root / stood.relative_to(known.root) if stood.is_relative_to(known.root) else stood
    if known.copied and not stood.is_dir() and known.now(stood).is_dir():
        stands = known.now(stood)
    repository = str(root) if spec.repository == str(known.root) else spec.repository
    moved = msgspec.structs.replace(spec, folder=str(stands), repository=repository)
    if moved != spec:
        rewrite_spec(known.folder.path, moved)
    return moved.folder


def _common_dir_around(folder: Path) -> Path | None:
    try:
        return common_dir_of(folder)
    except (GitError, OSError):
        return None


def _names_kept(common_dir: Path) -> frozenset[str]:
    """Of which tasks something is kept, or a worktree known, in a repository: read as files, which need not be true."""
    names = set(_folders(common_dir / "refs" / "goose"))
    names |= set(_KEPT.findall(read_small(common_dir / "packed-refs", _PACKED_BYTES) or ""))
    for record in (common_dir / "worktrees").glob("*/gitdir"):
        parts = Path((read_small(record) or "").strip()).parts
        names |= {parts[-4]} if len(parts) > 4 and parts[-3] == "tree" else set()
    return frozenset(names)


def _folders(path: Path) -> Iterable[str]:
    try:
        return [entry.name for entry in os.scandir(path) if entry.is_dir(follow_symlinks=False)]
    except OSError:
        return ()
