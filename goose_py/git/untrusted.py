"""What lies in folders that an agent may write: read and replaced without following what was put in its place."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

_SMALL: Final = 4096
_READING: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_MAKING: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True)
class UntrustedFolder:
    """A folder that somebody may be changing now, held open: no step below it goes through a link, whenever that was made.
    What is not there, or not what is asked for, is None or nothing."""

    descriptor: int

    @classmethod
    @contextmanager
    def opened(cls, path: Path) -> Iterator[UntrustedFolder | None]:
        with _held(str(path), None) as folder:
            yield folder

    @contextmanager
    def within(self, *names: str) -> Iterator[UntrustedFolder | None]:
        """A folder below, name by name."""
        if not names:
            yield self
            return
        with _held(names[0], self.descriptor) as folder:
            if folder is None:
                yield None
                return
            with folder.within(*names[1:]) as inner:
                yield inner

    def names(self) -> list[str]:
        with suppress(OSError):
            return sorted(os.listdir(self.descriptor))  # noqa: PTH208  (of a descriptor)
        return []

    def status(self, name: str) -> os.stat_result | None:
        with suppress(OSError):
            return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)
        return None

    def read(self, name: str, limit: int = _SMALL) -> bytes | None:
        """A regular file of at most `limit` bytes."""
        with suppress(OSError), _regular(name, self.descriptor, limit) as stream:
            return None if stream is None else stream.read(limit)
        return None

    def copy(self, name: str, target: Path, limit: int) -> int | None:
        """Copies a regular file of at most `limit` bytes, and returns how many these were."""
        with suppress(OSError), _regular(name, self.descriptor, limit) as stream:
            if stream is None:
                return None
            with target.open("wb") as copy:
                size = os.fstat(stream.fileno()).st_size
                for _ in range(size // _CHUNK + 1):  # it may grow meanwhile
                    copy.write(stream.read(_CHUNK))
            return size
        return None

    def write(self, name: str, content: bytes) -> None:
        """The entry becomes a file with this content, whatever it was."""
        fresh = f".{name}.{os.urandom(6).hex()}"
        with suppress(OSError):
            descriptor = os.open(fresh, _MAKING, 0o600, dir_fd=self.descriptor)
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(content)
            if (status := self.status(name)) is not None and stat.S_ISDIR(status.st_mode):
                os.rename(name, f"{fresh}.aside", src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            os.replace(fresh, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)

    def move(self, name: str, target: Path) -> None:
        """The entry itself, whatever it is."""
        with suppress(OSError):
            os.rename(name, target, src_dir_fd=self.descriptor)


@contextmanager
def _held(name: str, above: int | None) -> Iterator[UntrustedFolder | None]:
    try:
        descriptor = os.open(name, _READING | os.O_DIRECTORY, dir_fd=above)
    except OSError:
        yield None
        return
    try:
        yield UntrustedFolder(descriptor)
    finally:
        os.close(descriptor)


_CHUNK: Final = 1 << 20


@contextmanager
def _regular(name: str, above: int | None, limit: int) -> Iterator[BinaryIO | None]:
    descriptor = os.open(name, _READING, dir_fd=above)
    try:
        found = os.fstat(descriptor)
        usable = stat.S_ISREG(found.st_mode) and found.st_size <= limit
        if not usable:
            yield None
            return
        with os.fdopen(os.dup(descriptor), "rb") as stream:
            yield stream
    finally:
        os.close(descriptor)


def put_in_place(source: Path, target: Path) -> None:
    """`target` becomes a copy of `source`, times included, whatever stood there: a link is replaced, not followed."""
    fresh = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    descriptor = os.open(fresh, _MAKING, 0o600)
    with os.fdopen(descriptor, "wb") as stream, source.open("rb") as content:
        shutil.copyfileobj(content, stream)
        stream.flush()
        times = os.fstat(content.fileno())
        os.utime(descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))
    _replace(fresh, target)


def read_small(path: Path, limit: int = _SMALL) -> str | None:
    """The text of a regular file of at most `limit` bytes, None for anything else: a link is not followed, a pipe not waited
    for."""
    with suppress(OSError), _regular(os.fspath(path), None, limit) as stream:
        return None if stream is None else stream.read(limit).decode("utf-8", "replace")
    return None


def write_small(path: Path, text: str) -> None:
    """`path` becomes a file with this text, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(fresh, _MAKING, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    _replace(fresh, path)


def _replace(fresh: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        target.rename(target.with_name(f".{target.name}.aside-{os.urandom(6).hex()}"))
    fresh.replace(target)
