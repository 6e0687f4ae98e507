"""Commits that an agent makes inside its sandbox, taken over into the user's repository.

Inside, git sees a folder of the task's own in the places that a commit writes: new objects, the branch and its reflog, the
worktree's HEAD and index. None of them is the user's. What lies there was written by somebody else's program, so no git of
ours runs on it: the branch's file is read as a file, loose objects are copied one by one, and git checks them as it would
objects that it was sent.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goose_py.git.errors import GitError
from goose_py.git.repository import Repository, read_ref, update_ref
from goose_py.git.untrusted import put_in_place, read_small, write_small
from goose_py.git.worktrees.linked import admin_dir

_OID: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_AT_MOST: Final = 1024**3
_DEADLINE: Final = 120.0


@dataclass(frozen=True)
class CommitStore:
    """`folder` is laid over the repository inside the sandbox: `objects`, `refs`, `logs` and `worktree` may be written there,
    `seen` (where the branch was when both sides agreed) is ours. `branch` is without `refs/heads/`."""

    folder: Path
    repository: Repository
    where: Path
    branch: str

    @property
    def possible(self) -> bool:
        """A branch beside those of the user would lay our folder over theirs."""
        return "/" in self.branch

    async def prepare(self) -> None:
        """Makes what is missing, from how things stand in the repository. Raises GitError."""
        tip = await self.repository.branch_tip(self.branch)
        if tip is None:
            return
        await asyncio.to_thread(self._make, tip)

    async def adopt(self, task_id: str) -> tuple[str, ...]:
        """Takes over what was committed since, and shows the sandbox where the branch is now. Returns what a person should
        know: a commit that could not be taken over stays in `folder`."""
        seen = _read(self.folder / "seen")
        tip = await self.repository.branch_tip(self.branch) if seen else None
        if seen is None or tip is None:
            return ()
        warnings: list[str] = []
        try:
            await self._adopt(seen, tip, task_id, warnings)
        except OSError as error:
            warnings.append(f"The commits of the task could not be looked at: {error.strerror or error}.")
        return tuple(warnings)

    async def _adopt(self, seen: str, tip: str, task_id: str, warnings: list[str]) -> None:
        ours = _oid(self._ref)
        if ours is not None and ours != seen:
            tip = await self._take_over(ours, seen, tip, task_id, warnings)
        head = _oid(self.folder / "worktree" / "HEAD")
        if head is not None and head not in (seen, tip, ours):
            await self._keep(head, f"refs/goose/{task_id}/head", seen, warnings)
        if ours != tip or seen != tip:
            await asyncio.to_thread(self._show, tip)

    def show_index(self, index: Path) -> None:
        """Gives the git inside the index that belongs to the files."""
        worktree = self.folder / "worktree"
        if worktree.is_dir():
            put_in_place(index, worktree / "index")

    def forget(self) -> None:
        """After everything was adopted: what comes next begins anew."""
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def _ref(self) -> Path:
        return self.folder / "refs" / "heads" / self.branch

    def _make(self, tip: str) -> None:
        admin = admin_dir(self.repository, self.where)
        if not (self.folder / "seen").exists():
            shutil.rmtree(self.folder, ignore_errors=True)
            for path in (self._ref.parent, self.folder / "logs" / "refs" / "heads" / Path(self.branch).parent):
                path.mkdir(mode=0o700, parents=True)
            (self.folder / "objects" / "info").mkdir(mode=0o700, parents=True)
            # The index may be handed out at the same time: it comes either with the copy, or after the folder is there.
            (self.folder / "worktree").mkdir()
            left_out = shutil.ignore_patterns("locked", ".index.*")
            shutil.copytree(admin, self.folder / "worktree", ignore=left_out, dirs_exist_ok=True)
            # A user's `git pack-refs` takes empty folders away; ours has to be laid over one.
            (self.repository.common_dir / "refs" / "heads" / self.branch).parent.mkdir(parents=True, exist_ok=True)
            write_small(self._ref, f"{tip}\n")
            write_small(self.folder / "seen", tip)

    async def _take_over(self, ours: str, seen: str, tip: str, task_id: str, warnings: list[str]) -> str:
        """The tip that the branch has then."""
        if tip != seen:
            name = f"refs/goose/{task_id}/agent"
            await self._keep(ours, name, seen, warnings)
            warnings.append(f"{self.branch} was moved while the task committed to it: the task's commits are kept at {name}.")
            return tip
        try:
            await self._import(ours, seen)
            await update_ref(self.repository.bound, f"refs/heads/{self.branch}", ours, tip, "commit in the task")
            await self._show_user(ours)
        except GitError as error:
            warnings.append(f"A commit of the task could not be taken over into the repository: {error}")
        return await self.repository.branch_tip(self.branch) or tip

    async def _keep(self, oid: str, name: str, seen: str, warnings: list[str]) -> None:
        kept = await read_ref(self.repository.bound, name)
        if kept == oid:
            return
        try:
            await self._import(oid, seen)
            await update_ref(self.repository.bound, name, oid, kept)
        except GitError as error:
            warnings.append(f"A commit of the task could not be kept: {error}")

    async def _import(self, oid: str, known: str) -> None:
        """Copies what the commit needs into the user's object store, where git finds its content sound. Raises GitError."""
        with tempfile.TemporaryDirectory(prefix="commits-", dir=self.folder.parent) as scratch:
            objects = Path(scratch) / "objects"
            await asyncio.to_thread(_copy_objects, self.folder / "objects", objects)
            try:
                async with asyncio.timeout(_DEADLINE):
                    bound = self.repository.git.at(self.repository.git_dir, alternates=(objects,))
                    wanted = f"{oid}\n^{known}\n".encode()
                    pack = await bound.out("pack-objects", "--revs", "--stdout", "-q", stdin=wanted)
                    await self.repository.bound.run("unpack-objects", "--strict", "-q", stdin=pack)
            except TimeoutError:
                raise GitError(f"reading it took longer than {_DEADLINE:g} seconds.") from None

    async def _show_user(self, tip: str) -> None:
        """The index of the worktree as the user's own git sees it: nothing staged."""
        with tempfile.TemporaryDirectory(prefix="commits-", dir=self.folder.parent) as scratch:
            index = Path(scratch) / "index"
            await self.repository.git.at(self.repository.git_dir, index=index).run("read-tree", tip)
            await asyncio.to_thread(put_in_place, index, admin_dir(self.repository, self.where) / "index")

    def _show(self, tip: str) -> None:
        write_small(self._ref, f"{tip}\n")
        write_small(self.folder / "seen", tip)


def _read(path: Path) -> str | None:
    text = read_small(path)
    return text.strip() if text else None


def _oid(path: Path) -> str | None:
    text = _read(path)
    return text if text and _OID.fullmatch(text) else None


def _copy_objects(source: Path, target: Path) -> None:
    """The loose objects, each a small regular file with an object's name. Raises GitError for more than can be meant."""
    target.mkdir(parents=True)
    size = 0
    for folder in source.iterdir():
        if not re.fullmatch(r"[0-9a-f]{2}", folder.name) or folder.is_symlink() or not folder.is_dir():
            continue
        (target / folder.name).mkdir()
        for path in folder.iterdir():
            if not _OID.fullmatch(folder.name + path.name):
                continue
            size += _copy_file(path, target / folder.name / path.name, _AT_MOST - size)


def _copy_file(source: Path, target: Path, at_most: int) -> int:
    try:
        descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return 0
    with contextlib.closing(os.fdopen(descriptor, "rb")) as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return 0
        if found.st_size > at_most:
            raise GitError("it has more than a gigabyte of new objects.")
        with target.open("wb") as copy:
            shutil.copyfileobj(stream, copy)
    return found.st_size
