"""The program's own files, written whole or not at all: a crash, a full disk or a second writer leaves the old one or the new
one, never half of one. Not for folders that an agent may write to: see `git.untrusted`."""

import contextlib
import errno
import fcntl
import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the writers' lock of `path` (a file `.<name>.lock` beside it). Waits for another writer."""
    lock = path.with_name(f".{path.name}.lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_atomic(path: Path, content: bytes, *, mode: int = 0o600, durable: bool = True) -> None:
    """Replace `path` with `content`: a temporary file in the same folder, synced where it is to be `durable`, then renamed
    over it. `mode` is the mode of the result whatever the umask is. A symbolic link is replaced, not followed: resolve what
    a user may have linked. Raises OSError, and leaves nothing behind."""
    fresh = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            os.fchmod(descriptor, mode)
            stream.write(content)
            stream.flush()
            if durable:
                synced(descriptor)
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    if durable:
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in a folder durable, as `fsync` of a file does its content."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        synced(descriptor)
    finally:
        os.close(descriptor)


def synced(descriptor: int, sync: Callable[[int], None] = os.fsync) -> None:
    """What was written is on disk afterwards, as far as the file system knows such a thing: some in user space, and some
    shared with a virtual machine, do not (EINVAL), and everything else works there. Raises OSError."""
    try:
        sync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP, errno.ENOSYS):
            raise


def delete_folder(folder: Path) -> None:
    """With whatever an agent left in it: folders that may not be read or written, and thousands within each other. Each is
    moved to the top before it is emptied, so that no path gets too long for the system. Raises OSError."""
    waiting, number = [folder], itertools.count()
    while waiting:
        current = waiting.pop()
        current.chmod(0o700)
        with os.scandir(current) as entries:
            listing = list(entries)
        for entry in listing:
            if not entry.is_dir(follow_symlinks=False):
                Path(entry.path).unlink()
                continue
            inner = Path(entry.path)
            inner.chmod(0o700)
            waiting.append(inner.rename(folder / f".{next(number)}-{os.urandom(6).hex()}"))
        if current != folder:
            current.rmdir()
    folder.rmdir()


def remember(file: Path, value: Any) -> None:
    """Keep as JSON what can be found out again; the folder is made where it is missing. Raises OSError."""
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_atomic(file, msgspec.json.encode(value), durable=False)


def recall(file: Path, kind: type[T]) -> T | None:
    """What `remember` kept; None where nothing of this kind is there. A file that others could have written does not
    count, nor what a link leads to."""
    try:
        with open(file, "rb", opener=_open_no_link) as stream:
            state = os.fstat(stream.fileno())
            if state.st_uid != os.getuid() or state.st_mode & 0o022:
                return None
            return msgspec.json.decode(stream.read(), type=kind)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def _open_no_link(path: str, flags: int) -> int:
    """Waits for no pipe either."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)
