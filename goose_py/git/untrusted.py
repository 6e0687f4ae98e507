"""Single files in folders that an agent may write: read and replaced without following what was put in their place."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Final

_SMALL: Final = 4096


def put_in_place(source: Path, target: Path) -> None:
    """`target` becomes a copy of `source`, times included, whatever stood there: a link is replaced, not followed."""
    fresh = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "wb") as stream, source.open("rb") as content:
        shutil.copyfileobj(content, stream)
        stream.flush()
        times = os.fstat(content.fileno())
        os.utime(descriptor, ns=(times.st_atime_ns, times.st_mtime_ns))
    _replace(fresh, target)


def read_small(path: Path, limit: int = _SMALL) -> str | None:
    """The text of a regular file of at most `limit` bytes, None for anything else: a link is not followed, a pipe not waited
    for."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode) or found.st_size > limit:
            return None
        return stream.read(limit).decode("utf-8", "replace")


def write_small(path: Path, text: str) -> None:
    """`path` becomes a file with this text, readable by its owner only."""
    fresh = path.with_name(f".{path.name}.{os.urandom(6).hex()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w") as stream:
        stream.write(text)
    _replace(fresh, path)


def _replace(fresh: Path, target: Path) -> None:
    if target.is_dir() and not target.is_symlink():
        target.rename(target.with_name(f".{target.name}.aside-{os.urandom(6).hex()}"))
    fresh.replace(target)
