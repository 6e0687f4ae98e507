# ruff: noqa: PTH  (paths are bytes here, which pathlib does not take)
"""Write a set of paths into a working tree: everything or nothing.

Every new content is complete on disk beside its target before the first rename; old files are kept aside until the last one
is done. Applying the same change again after a crash goes on where it stopped, because a path that already holds the new
content is no obstacle.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from goose_py.git.errors import from_os_error
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.errors import CannotApply


@dataclass(frozen=True)
class Write:
    """What a path becomes: a file from `source` (a readable file), a symlink to `link`, or nothing where both are None.
    `seen` is what `lstat` said when the path was checked (`signature`)."""

    path: bytes
    seen: tuple[int, ...] | None
    source: bytes | None = None
    link: bytes | None = None
    executable: bool = False


@dataclass
class _Progress:
    made_folders: list[bytes] = field(default_factory=list)
    staged: list[bytes] = field(default_factory=list)
    # (target, where its old file is kept, or None where there was none)
    replaced: list[tuple[bytes, bytes | None]] = field(default_factory=list)


def signature(path: bytes) -> tuple[int, ...] | None:
    """What changes when a file does; None where there is none."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def write_all(root: bytes, writes: Sequence[Write], tag: str, then: Callable[[], None] | None = None) -> None:
    """Do all `writes` below `root`, then `then` (where that raises, the files go back too). `tag` marks temporary names.
    Raises CannotApply where a file changed since it was checked, GitError (NoSpace) where it cannot be written; either way
    the files are as they were."""
    progress = _Progress()
    try:
        _stage(root, writes, tag, progress)
        _replace(root, writes, tag, progress)
        if then is not None:
            then()
    except BaseException as error:
        _roll_back(progress)
        if isinstance(error, OSError):
            raise from_os_error(error) from None
        raise
    for _, kept in progress.replaced:
        if kept is not None:
            os.unlink(kept)
    _remove_empty_folders(root, [os.path.join(root, write.path) for write in writes])


def _stage(root: bytes, writes: Sequence[Write], tag: str, progress: _Progress) -> None:
    for write in writes:
        if write.source is None and write.link is None:
            continue
        target = os.path.join(root, write.path)
        folder = os.path.dirname(target)
        if _blocked_by(root, write.path, writes):
            # A folder has to come where a file still is: it can only be staged beside that file.
            folder = root
        else:
            _make_folders(folder, progress)
        temporary = os.path.join(folder, _temporary_name(write.path, tag, b"new"))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        progress.staged.append(temporary)
        if write.link is not None:
            os.symlink(write.link, temporary)
        else:
            _copy(write, target, temporary)


def _copy(write: Write, target: bytes, temporary: bytes) -> None:
    assert write.source is not None
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o777 if write.executable else 0o666)
    with os.fdopen(descriptor, "wb") as writing, open(write.source, "rb") as reading:
        while block := reading.read(1024 * 1024):
            writing.write(block)
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            old = os.lstat(target)
            if stat.S_ISREG(old.st_mode):
                os.fchmod(writing.fileno(), _mode(stat.S_IMODE(old.st_mode), write.executable))
        writing.flush()
        os.fsync(writing.fileno())


def _mode(old: int, executable: bool) -> int:
    """The user's own permission bits, but for whether it may be executed: by whoever may read it."""
    plain = old & 0o666
    return plain | (plain & 0o444) >> 2 if executable else plain


def _replace(root: bytes, writes: Sequence[Write], tag: str, progress: _Progress) -> None:
    # Deletions first, so that a file can become a folder.
    for write in sorted(writes, key=lambda write: write.source is not None or write.link is not None):
        target = os.path.join(root, write.path)
        if signature(target) != write.seen:
            raise CannotApply(
                f"{path_from_bytes(write.path)} changed while the change was being applied; nothing was changed. Try again.",
                (path_from_bytes(write.path),),
            )
        kept = None
        if write.seen is not None:
            kept = os.path.join(os.path.dirname(target), _temporary_name(write.path, tag, b"old"))
            os.rename(target, kept)
            progress.replaced.append((target, kept))
        if write.source is None and write.link is None:
            continue
        folder = os.path.dirname(target)
        staged = os.path.join(folder, _temporary_name(write.path, tag, b"new"))
        if staged not in progress.staged:
            staged = os.path.join(root, _temporary_name(write.path, tag, b"new"))
        _make_folders(folder, progress)
        if write.seen is None:
            progress.replaced.append((target, None))
        os.rename(staged, target)
        progress.staged.remove(staged)


def _roll_back(progress: _Progress) -> None:
    for target, kept in reversed(progress.replaced):
        with contextlib.suppress(OSError):
            if kept is None:
                os.unlink(target)
            else:
                os.rename(kept, target)
    for temporary in progress.staged:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
    for folder in reversed(progress.made_folders):
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def _make_folders(folder: bytes, progress: _Progress) -> None:
    missing = []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for path in reversed(missing):
        os.mkdir(path)
        progress.made_folders.append(path)


def _remove_empty_folders(root: bytes, targets: Sequence[bytes]) -> None:
    """As git does after deleting the last file of a folder."""
    for target in targets:
        folder = os.path.dirname(target)
        while not os.path.lexists(target) and len(folder) > len(root):
            try:
                os.rmdir(folder)
            except OSError:
                break
            folder = os.path.dirname(folder)


def _blocked_by(root: bytes, path: bytes, writes: Sequence[Write]) -> bool:
    parent = os.path.dirname(path)
    while parent:
        full = os.path.join(root, parent)
        if os.path.lexists(full):
            return os.path.islink(full) or not os.path.isdir(full)
        parent = os.path.dirname(parent)
    return False


def _temporary_name(path: bytes, tag: str, kind: bytes) -> bytes:
    # The path's hash, not its name: two paths may share a folder while staged, and names have a length limit.
    import hashlib

    return b".goose-" + tag.encode() + b"-" + hashlib.sha256(path).hexdigest()[:12].encode() + b"." + kind
