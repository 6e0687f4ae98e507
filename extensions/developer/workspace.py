"""The one folder this server works in: which paths are beneath it, and how they are opened."""

import errno
import os
import posixpath
import stat
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .beneath import Opener, best_opener
from .display import printable
from .refusal import Refused

_O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_F_GETPATH = 50  # macOS <sys/fcntl.h>: the path of an open descriptor
_PATH_MAX = 1024
_LINK_FAULTS = (errno.EXDEV, errno.ELOOP)

# Characters beside category Cf that file systems or eyes ignore in a name: Unicode's Default_Ignorable_Code_Point.
_IGNORABLE = frozenset(
    [0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)]
)


def canonical_name(name: str) -> str:
    """How a name compares on the most forgiving file systems: NFC, no ignorable characters, no case, no trailing
    dots or spaces, no NTFS stream or short name."""
    composed = unicodedata.normalize("NFC", name)
    visible = "".join(char for char in composed if unicodedata.category(char) != "Cf" and ord(char) not in _IGNORABLE)
    plain = unicodedata.normalize("NFC", visible).casefold().split(":", 1)[0].rstrip(". ")
    return ".git" if plain == "git~1" else plain


@dataclass(frozen=True)
class Workspace:
    """A folder and the names in it that no tool may write.

    `root` is absolute and free of symlinks; `given` is how it was spelled, and absolute paths below either are taken.
    Every path that leaves this class is relative to it, with `/`, and `.`
    for the root.
    """

    root: Path
    given: Path
    protected: frozenset[str] = frozenset([".git"])
    opener: Opener | None = None

    @classmethod
    def at(
        cls, folder: Path, protected: frozenset[str] = frozenset([".git"]), opener: Opener | None = None
    ) -> "Workspace":
        """Raises Refused when `folder` is not an existing folder."""
        root = Path(os.path.realpath(folder))
        if not root.is_dir():
            raise Refused(f"The workspace {printable(str(folder))} is not a folder.")
        return cls(root, Path(os.path.abspath(folder)), frozenset(map(canonical_name, protected)), opener)  # noqa: PTH100

    def relative(self, path: str) -> str:
        """The path below the root that `path` (relative, or absolute and inside) spells. Symlinks are not looked at.

        Raises Refused naming the resolved path and the workspace when it is outside.
        """
        if not path or "\0" in path:
            raise Refused("The path is empty." if not path else f"The path {printable(path)} contains a NUL character.")
        if path == "~" or path.startswith("~/"):
            raise Refused(
                f"{printable(path)} is in the home folder, which is outside the workspace {self.root}; "
                "give a path relative to the workspace."
            )
        resolved = os.path.normpath(self.root / path)
        absolute = "/" + resolved.lstrip("/")
        inside = self._inside(absolute)
        if inside is None:
            inside = _beneath(str(self.given), absolute)
        if inside is None:
            raise self._outside(path, resolved)
        return inside

    def _inside(self, absolute: str) -> str | None:
        return _beneath(str(self.root), absolute)

    def _outside(self, path: str, resolved: str) -> Refused:
        return Refused(
            f"{printable(path)} is outside the workspace: it resolves to {printable(resolved)}, "
            f"and only paths beneath {self.root} can be used."
        )

    def open(self, path: str, flags: int) -> tuple[int, str]:
        """An open descriptor, and the path relative to the root that was opened. `flags` must not create.

        A symlink is followed while it stays inside. Raises Refused when it leads out, OSError for the rest.
        """
        name = self.relative(path)
        try:
            return self._open(name, flags), name
        except OSError as error:
            if error.errno not in _LINK_FAULTS:
                raise
        # An absolute symlink that points back inside is fine, but the kernel's rule refuses it: resolve it here, then
        # open what it resolved to under the same rule, so that this look is no gap.
        return self._open_resolved(path, flags)

    def _open_resolved(self, path: str, flags: int) -> tuple[int, str]:
        resolved = self._real(path)
        try:
            return self._open(resolved, flags), resolved
        except OSError as error:
            if error.errno not in _LINK_FAULTS:
                raise
            raise self._unsettled(path) from error

    def _unsettled(self, path: str) -> Refused:
        return Refused(
            f"{printable(path)} could not be resolved beneath the workspace {self.root}: it is a loop of symbolic "
            "links, or it changed while it was opened."
        )

    def _real(self, path: str) -> str:
        try:
            real = os.path.realpath(self.root / self.relative(path))
        except OSError as error:  # a link became a folder between two of its steps
            raise self._unsettled(path) from error
        inside = self._inside(real)
        if inside is None:
            raise self._outside(path, real)
        return inside

    def _open(self, name: str, flags: int) -> int:
        root = os.open(self.root, _O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return (self.opener or best_opener())(root, name, flags)
        finally:
            os.close(root)

    def writable(self, path: str) -> str:
        """The relative path of the file that a write to `path` changes (the target of a symlink, existing or not).

        Raises Refused when it is outside or protected.
        """
        self._refuse_protected(path, self.relative(path))
        if path.endswith("/"):
            raise Refused(f"{printable(path)} ends with a slash: that names a folder, not a file.")
        target = self._real(path)
        self._refuse_protected(path, target)
        if target == ".":
            raise Refused(f"{printable(path)} is the workspace folder itself, not a file.")
        return target

    def _refuse_protected(self, path: str, name: str) -> None:
        for part in name.split("/"):
            if canonical_name(part) in self.protected:
                raise Refused(f"{printable(path)} is protected: nothing may be written at or below {printable(part)}.")

    @contextmanager
    def parent(self, name: str, made: list[str] | None = None) -> Iterator[tuple[int, str]]:
        """The open folder that holds `name` (a result of `writable`), and the last part of the name.

        What is then done relative to the descriptor stays in that very folder, whatever is renamed meanwhile.
        Given a list `made`, missing folders are made and appended to it, outermost first. Raises Refused or OSError.
        """
        folder, last = posixpath.split(name)
        descriptor = self._folder(folder or ".", made)
        try:
            actual = _path_of(descriptor)
            if actual is not None:
                inside = self._inside(actual)
                if inside is None:
                    raise self._outside(name, actual)
                self._refuse_protected(name, inside)
            yield descriptor, last
        finally:
            os.close(descriptor)

    def _folder(self, folder: str, made: list[str] | None) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            return self.open(folder, flags)[0]
        except FileNotFoundError:
            if made is None:
                raise
        above, last = posixpath.split(folder)
        descriptor = self._folder(above or ".", made)
        try:
            os.mkdir(last, dir_fd=descriptor)
            made.append(folder)
        except FileExistsError:
            pass  # made by somebody else since; opening it decides what it is
        finally:
            os.close(descriptor)
        return self.open(folder, flags)[0]


def _beneath(root: str, absolute: str) -> str | None:
    """`absolute` relative to `root`, by whole names; None when it is not in it."""
    if absolute == root:
        return "."
    prefix = root if root.endswith("/") else root + "/"
    return absolute[len(prefix) :] if absolute.startswith(prefix) else None


def _path_of(descriptor: int) -> str | None:
    """The path of an open folder as the kernel knows it; None where that cannot be told."""
    try:
        if sys.platform == "darwin":
            import fcntl

            return os.fsdecode(fcntl.fcntl(descriptor, _F_GETPATH, b"\0" * _PATH_MAX).rstrip(b"\0"))
        return os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115
    except OSError:
        return None


def kind_of(mode: int) -> str:
    """The word for what a mode (st_mode) is: "a folder", "a named pipe" ..."""
    for test, word in (
        (stat.S_ISREG, "a file"),
        (stat.S_ISDIR, "a folder"),
        (stat.S_ISFIFO, "a named pipe"),
        (stat.S_ISSOCK, "a socket"),
        (stat.S_ISCHR, "a device"),
        (stat.S_ISBLK, "a device"),
        (stat.S_ISLNK, "a symbolic link"),
    ):
        if test(mode):
            return word
    return "not a regular file"


_REASONS = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "a part of the path is a file, not a folder",
    errno.EISDIR: "it is a folder",
    errno.EACCES: "permission is denied",
    errno.EPERM: "the system does not permit it",
    errno.ENOSPC: "no space is left on the device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file would be larger than the system allows",
    errno.EROFS: "the file system is read-only",
    errno.ENAMETOOLONG: "the name is too long",
    errno.ENXIO: "it is a socket or a device that is not there",
    errno.ELOOP: "it is a loop of symbolic links",
    errno.EXDEV: "it leads outside the workspace",
}


def refusal_of(error: OSError, path: str, doing: str) -> Refused:
    """One sentence for an operating-system error: `doing` is "read", "write" ..."""
    reason = _REASONS.get(error.errno or 0, (error.strerror or str(error)).lower())
    return Refused(f"Cannot {doing} {printable(path)}: {reason}.")
