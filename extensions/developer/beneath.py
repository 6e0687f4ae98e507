"""Opening files beneath a folder, so that no symlink, `..` or race can lead outside of it.

Linux 5.6 resolves a path and enforces the boundary in one system call (openat2(2), RESOLVE_BENEATH). Where it is
missing (older kernels, macOS, a seccomp filter that knows it not) the same is done component by component with
O_NOFOLLOW, each folder held open while the next name is looked up in it, so that a swap between two steps makes the
open fail and never escape.
"""

import ctypes
import errno
import os
from collections import deque
from collections.abc import Callable
from functools import lru_cache

# (folder's descriptor, relative path, flags) -> descriptor. Raises OSError: EXDEV when the path leads outside.
Opener = Callable[[int, str, int], int]

_SYS_OPENAT2 = 437  # the same number on every Linux architecture: include/uapi/asm-generic/unistd.h
_RESOLVE_NO_MAGICLINKS = 0x02  # include/uapi/linux/openat2.h
_RESOLVE_BENEATH = 0x08
_RACES_FORGIVEN = 32
_MAX_LINKS = 40  # what Linux itself allows in one resolution
_O_PATH = getattr(os, "O_PATH", os.O_RDONLY)


class _OpenHow(ctypes.Structure):
    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


@lru_cache(maxsize=1)
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def open_by_kernel(folder: int, path: str, flags: int) -> int:
    """Opens by openat2. EAGAIN (something was renamed while `..` was resolved) is tried again a few times."""
    how = _OpenHow(flags | os.O_CLOEXEC, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS)
    encoded = os.fsencode(path or ".")
    for _ in range(_RACES_FORGIVEN):
        opened = _libc().syscall(_SYS_OPENAT2, folder, encoded, ctypes.byref(how), ctypes.sizeof(how))
        if opened >= 0:
            return opened
        if ctypes.get_errno() != errno.EAGAIN:
            break
    code = ctypes.get_errno()
    raise OSError(code, os.strerror(code), path)


def open_by_walking(folder: int, path: str, flags: int) -> int:
    """Opens component by component; symlinks are read and resolved here, and absolute ones refused with EXDEV."""
    held = [os.dup(folder)]
    pending = deque(path.split("/"))
    links = 0
    try:
        while pending:
            name = pending.popleft()
            if name in ("", "."):
                continue
            if name == "..":
                if len(held) == 1:
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
                os.close(held.pop())
                continue
            target = _link_target(held[-1], name)
            if target is not None:
                links += 1
                if links > _MAX_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
                if target.startswith("/"):
                    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), path)
                pending.extendleft(reversed(target.split("/")))
            elif any(rest not in ("", ".") for rest in pending):
                held.append(_open_unfollowed(held[-1], name, _O_PATH | os.O_DIRECTORY))
            else:
                return _open_unfollowed(held[-1], name, flags)
        return os.open(".", flags | os.O_CLOEXEC, dir_fd=held[-1])
    finally:
        for descriptor in held:
            os.close(descriptor)


def _link_target(folder: int, name: str) -> str | None:
    try:
        return os.readlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno == errno.EINVAL:
            return None
        raise


def _open_unfollowed(folder: int, name: str, flags: int) -> int:
    """`name` was no symlink a moment ago: O_NOFOLLOW turns a swap since then into an error."""
    return os.open(name, flags | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


@lru_cache(maxsize=1)
def best_opener() -> Opener:
    """The kernel's own resolution where it works here, else the walking one. Decided by really trying it."""
    if not hasattr(os, "O_PATH"):
        return open_by_walking
    root = os.open("/", _O_PATH | os.O_DIRECTORY)
    try:
        os.close(open_by_kernel(root, ".", _O_PATH | os.O_DIRECTORY))
    except OSError:
        return open_by_walking
    finally:
        os.close(root)
    return open_by_kernel
