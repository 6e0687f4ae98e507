"""The lock of a checkout's index, taken as git takes it, with what is about to happen written in it.

Whoever creates `index.lock` may replace the index (git's own protocol, lockfile.h). Git never reads the file of somebody else:
ours holds a journal, and the kernel's lock on it for as long as its process lives. So one that a killed process has left
behind is told from one that is in use, and `review.recovery` can end what was begun.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from goose_py.git.errors import RepositoryBusy, from_os_error
from goose_py.review.temporary_names import LEFTOVER

PATIENCE = 30.0
"""Seconds to wait for another merge of ours: it moves files, and has run its checks before."""

FOREIGN_PATIENCE = 1.0
"""Seconds to wait for git: a `git status` holds the lock for a moment, an editor that waits for a message for long."""

LOCK = "index.lock"
_RETRY = 0.02
_MAGIC = b"goose-py "
_LARGEST = 65536
_OID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Journal(msgspec.Struct, frozen=True, kw_only=True):
    """What a landing is about to do to the checkout `root`: move `reference` from `tip` to `commit`, with files that are put in
    place by way of the folder `aside` and an index by way of `index` (`had_index`: there was one before). `task_id` and the
    rest say what of which task that is."""

    root: str
    reference: str
    tip: str
    commit: str
    aside: str
    index: str
    had_index: bool
    task_id: str = ""
    how: str = "squash"
    base_tree: str = ""
    result_tree: str = ""
    tree: str = ""
    files: list[str] = []

    @property
    def branch(self) -> str:
        return self.reference.removeprefix("refs/heads/")

    def is_about(self, root: Path, git_dir: Path) -> bool:
        """Whether it names this checkout and nothing outside it. One who can put a file into a git directory, such as whoever
        sent it, could otherwise have any folder removed."""
        aside = Path(self.aside)
        return (
            self.root == os.fspath(root)
            and aside.parent in (root, git_dir)
            and aside.name.startswith(LEFTOVER)
            and not aside.is_symlink()
            and self.index.startswith(LEFTOVER)
            and "/" not in self.index
            and self.reference.startswith("refs/heads/")
            and _OID.fullmatch(self.tip) is not None
            and _OID.fullmatch(self.commit) is not None
        )


@dataclass(frozen=True)
class Left:
    """A lock whose owner is gone. Whoever has this owns it now: until `release`, which removes it, or `keep`, which leaves it
    to the next."""

    path: Path
    journal: Journal
    descriptor: int

    def release(self) -> None:
        self.path.unlink(missing_ok=True)
        self.keep()

    def keep(self) -> None:
        os.close(self.descriptor)


class _InUse(Exception):
    def __init__(self, *, ours: bool) -> None:
        self.ours = ours


Recover = Callable[[], Awaitable[object]]
"""Ends what a killed owner of the lock had begun, where it is gone."""


@asynccontextmanager
async def index_locked(git_dir: Path, journal: Journal, recover: Recover) -> AsyncIterator[None]:
    """Holds the index lock of the checkout with this git directory. Waits for a merge of ours that has it, and a moment for
    git. Raises RepositoryBusy, and what `recover` raises."""
    lock = git_dir / LOCK
    descriptor = await _acquired(lock, journal, recover)
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


def journal_in(git_dir: Path) -> Journal | None:
    """Of whoever of us has the lock there, living or not."""
    if (descriptor := _opened(git_dir / LOCK, os.O_RDONLY)) is None:
        return None
    try:
        return _journal(descriptor)
    finally:
        os.close(descriptor)


def left_behind(git_dir: Path) -> Left | None:
    """The lock that a killed process of ours has left in a git directory, taken over; None where there is none."""
    lock = git_dir / LOCK
    if (descriptor := _opened(lock, os.O_RDWR)) is None:
        return None
    try:
        journal = _journal(descriptor)
        if journal is not None and _held(descriptor) and _still(lock, descriptor):
            return Left(lock, journal, descriptor)
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


async def _acquired(lock: Path, journal: Journal, recover: Recover) -> int:
    loop = asyncio.get_running_loop()
    started = loop.time()
    while True:
        try:
            return _created(lock, journal)
        except _InUse as use:
            if use.ours:
                await recover()
            if loop.time() - started < (PATIENCE if use.ours else FOREIGN_PATIENCE):
                await asyncio.sleep(_RETRY)
                continue
            if use.ours:
                who = f"another merge of goose-py is under way in {journal.root}; merge again when it has ended."
            else:
                who = f"another git process holds {lock}; wait for it, or remove that file if no git process is running."
            raise RepositoryBusy(f"{who} Nothing was changed.") from None
        except OSError as error:
            raise from_os_error(error) from None


def _created(lock: Path, journal: Journal) -> int:
    """Complete and locked before it has its name, so that nobody ever sees it otherwise."""
    made = lock.with_name(f".goose-lock-{os.getpid()}-{os.urandom(4).hex()}")
    descriptor = os.open(made, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.write(descriptor, _MAGIC + json.dumps(msgspec.structs.asdict(journal)).encode())
        _named(made, lock)
    except FileExistsError:
        os.close(descriptor)
        raise _InUse(ours=_is_ours(lock)) from None
    except BaseException:
        os.close(descriptor)
        raise
    finally:
        made.unlink(missing_ok=True)
    return descriptor


def _named(made: Path, lock: Path) -> None:
    try:
        os.link(made, lock)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links: between these two lines a git could slip in, and would fail for it.
        os.close(os.open(lock, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC))
        made.replace(lock)


def _is_ours(lock: Path) -> bool:
    if (descriptor := _opened(lock, os.O_RDONLY)) is None:
        return not os.path.lexists(lock)  # released this moment: try again
    try:
        return os.pread(descriptor, len(_MAGIC), 0) == _MAGIC
    finally:
        os.close(descriptor)


def _opened(lock: Path, flags: int) -> int | None:
    """None for what is no file of its own: a stranger's repository may bring a pipe or a link of that name."""
    try:
        descriptor = os.open(lock, flags | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _journal(descriptor: int) -> Journal | None:
    content = os.pread(descriptor, _LARGEST, 0)
    if not content.startswith(_MAGIC):
        return None
    try:
        # Not by msgspec: a path need not be UTF-8.
        return msgspec.convert(json.loads(content[len(_MAGIC) :]), Journal)
    except (ValueError, RecursionError):
        return None


def _held(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False  # its owner lives, or this file system cannot tell
    return True


def _still(lock: Path, descriptor: int) -> bool:
    """Whether the file that we hold is still the one of that name."""
    try:
        named = lock.stat()
    except OSError:
        return False
    opened = os.fstat(descriptor)
    return (named.st_dev, named.st_ino) == (opened.st_dev, opened.st_ino)
