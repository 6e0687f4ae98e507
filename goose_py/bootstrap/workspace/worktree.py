"""Where a task works: the worktree that it has, or a new one from the base that was asked for."""

import asyncio
import os
import shutil
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import git_of, open_repository
from goose_py.bootstrap.workspace.base import no_repository, recorded_base
from goose_py.bootstrap.workspace.moved import repository_of_task
from goose_py.bootstrap.workspace.predecessors import base_after
from goose_py.config.settings import Settings
from goose_py.git.contents.lfs import mentions_lfs
from goose_py.git.errors import GitError, NotARepository
from goose_py.git.paths import located
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.included import FILE_NAME, copy_included
from goose_py.git.worktrees.task_file import TaskFile
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_to_bytes
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import Record, SessionStarted
from goose_py.tasks.caches import clone_caches
from goose_py.tasks.changes.trial import end_trial
from goose_py.tasks.spec import TaskSpec
from goose_py.tasks.store import TaskFolder


async def _nothing() -> None:
    """The files are there."""


@dataclass(frozen=True)
class OpenWorkspace:
    """`fill` puts the files in place where that is still to be done. They are then those of the base and nothing besides.
    `copy_of` is the folder that was copied because it is no repository, else ""."""

    worktree: TaskWorktree
    warnings: tuple[str, ...] = ()
    fill: Callable[[], Awaitable[None]] = _nothing
    copy_of: str = ""

    @property
    def filled(self) -> bool:
        return self.fill is _nothing


async def open_workspace(
    host: Host, folder: TaskFolder, spec: TaskSpec, settings: Settings, records: Sequence[Record]
) -> OpenWorkspace:
    """Raises UserError and GitError, each with one sentence. A worktree that was removed is made again from its last
    snapshot, one whose files a crash kept from arriving from its base. What a worktree needs besides its base is there when
    this returns."""
    started = start_of(records)
    if started is not None and started.session_id == spec.task_id and started.repository is not None:
        repository = await repository_of_task(host, folder, started.repository)
        if not _made_before(folder):
            return await _filled(await TaskWorktree.begin_again(repository, folder.store), folder, settings)
        worktree = await TaskWorktree.open(repository, folder.store)
        if (back := await end_trial(worktree, folder.scratch, records)) is not None:
            told = "The program ended while it switched the files of the task; they are back as they were."
            return OpenWorkspace(back, (told,))
        if worktree.intact:
            return OpenWorkspace(worktree)
        worktree = await worktree.recreate()
        return OpenWorkspace(worktree, (*await _furnished(worktree, folder, settings), *_to_set_up(folder, settings)))
    source = Path(spec.folder).resolve()
    made = _made_before(folder)
    repository = await (open_repository(host, made) if made else _repository(host, folder, spec))
    copy_of = "" if source.is_relative_to(repository.root) else str(source)
    if made:
        return OpenWorkspace(await TaskWorktree.open(repository, folder.store), copy_of=copy_of)
    base = await _base(host, repository, spec)
    where = place_of_worktree(folder, repository, settings)
    worktree = await TaskWorktree.begin(repository, spec.task_id, where=where, store=folder.store, base=base)
    opened = await _filled(worktree, folder, settings)
    return replace(opened, warnings=(*base.warnings, *opened.warnings, *_empty_submodules(worktree)), copy_of=copy_of)


async def _filled(worktree: TaskWorktree, folder: TaskFolder, settings: Settings) -> OpenWorkspace:
    """A worktree that was begun, with what it needs besides its base, or with its files still to come where that is nothing."""
    wanted = settings.worktree
    # Which contents of LFS are missing is known once they are put in place, and is to be said at the start.
    root = worktree.repository.root
    lfs = mentions_lfs(worktree.store, root, await worktree.base_files())
    if not (wanted.include or wanted.caches or lfs or (root / FILE_NAME).exists()):
        return OpenWorkspace(worktree, fill=worktree.fill)
    await worktree.fill()
    return OpenWorkspace(worktree, await _furnished(worktree, folder, settings))


async def _furnished(worktree: TaskWorktree, folder: TaskFolder, settings: Settings) -> tuple[str, ...]:
    """Brings the ignored files that the settings ask for into a new worktree, and says what of them is missing."""
    folder.scratch.mkdir(exist_ok=True, mode=0o700)
    left_out = worktree.base.left_out
    included = await copy_included(worktree.repository, worktree.path, folder.scratch, settings.worktree.include, left_out)
    worktree.store.ignore(path_to_bytes(path) for path in included.copied if path in left_out)
    skipped = tuple(f"{path} was not copied into the worktree: {reason}." for path, reason in included.skipped)
    cloned = await clone_caches(worktree.repository.root, worktree.path, settings.worktree.caches, sys.platform)
    return (*skipped, *cloned, *_pointers(worktree))


def _to_set_up(folder: TaskFolder, settings: Settings) -> tuple[str, ...]:
    if settings.worktree.setup is None:
        return ()
    return (f"The worktree was made again: `goose-py task setup {folder.task_id}` runs its setup command there.",)


def _empty_submodules(worktree: TaskWorktree) -> tuple[str, ...]:
    return tuple(_why_empty(worktree.repository, name) for name in worktree.empty)


def _why_empty(repository: Repository, name: str) -> str:
    there = os.path.lexists(located(repository.root, path_to_bytes(name)) / ".git")
    why = "your checkout does not have the commit that is recorded for it" if there else "your checkout has not initialised it"
    return (
        f"The submodule {name} is empty in the worktree, because {why}: run `git submodule update --init --recursive` in "
        f"{repository.root} and start the task again."
    )


def _pointers(worktree: TaskWorktree) -> tuple[str, ...]:
    if not worktree.pointers:
        return ()
    shown = ", ".join(worktree.pointers[:5])
    more = f" and {len(worktree.pointers) - 5} more" if len(worktree.pointers) > 5 else ""
    return (
        f"Files of Git LFS are pointers in the worktree, because your repository does not have their content: {shown}{more}. "
        f"Run `git lfs fetch` in {worktree.repository.root} and start the task again.",
    )


def _made_before(folder: TaskFolder) -> Path | None:
    """Its repository where the log has no record yet: a crash came between the making of the worktree and the first one, and
    nobody has worked in it."""
    try:
        known = TaskFile.read(folder.store)
    except GitError:
        return None
    return Path(known.repository) if known.ready else None


def place_of_worktree(folder: TaskFolder, repository: Repository, settings: Settings) -> Path:
    """The folder of a task's worktree; the one above it exists."""
    where = folder.worktree(repository.root.name or "root")
    if settings.worktree.location:
        where = Path(settings.worktree.location).expanduser() / f"{repository.root.name}-{folder.task_id}"
    where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    return where


def start_of(records: Sequence[Record]) -> SessionStarted | None:
    """The start that holds: a forked or imported log tells of an earlier one too."""
    return next((record.event for record in reversed(records) if isinstance(record.event, SessionStarted)), None)


async def _repository(host: Host, folder: TaskFolder, spec: TaskSpec) -> Repository:
    source = Path(spec.folder)
    try:
        return await open_repository(host, source)
    except NotARepository:
        if spec.isolation != "copy":
            raise UserError(no_repository(source)) from None
    return await _copied(git_of(host), source, folder)


async def _copied(git: Git, source: Path, folder: TaskFolder) -> Repository:
    """A repository of our own with the folder's files; the folder itself gets no `.git`."""
    target = folder.path / "copy" / (source.name or "root")
    if target.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{source} holds goose-py's own files, so it is not copied: work in a folder below it.")
    target.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.rmtree(target, ignore_errors=True)  # what a crash left of an earlier attempt
    try:
        await asyncio.to_thread(shutil.copytree, source, target, symlinks=True)
    except shutil.Error as error:
        failed = error.args[0]
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise UserError(f"{failed[0][0]} cannot be copied{more}: {failed[0][2]}") from None
    await git.run("init", "-q", "-b", "main", str(target))
    bound = git.at(target / ".git", work_tree=target)
    await bound.run("add", "-A")
    identity = ("-c", "user.name=goose-py", "-c", "user.email=goose-py@localhost")
    await bound.run(*identity, "commit", "-q", "--allow-empty", "-m", f"Copy of {source}")
    return await Repository.open(git, target)


async def _base(host: Host, repository: Repository, spec: TaskSpec) -> Base:
    if (base := await base_after(host, repository, spec)) is not None:
        return base
    if spec.start is not None:
        return Base.of(spec.start)
    base = await recorded_base(host, repository, spec.base)
    return replace(base, branch=spec.base_branch) if spec.base_branch else base
