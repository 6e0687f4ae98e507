"""The one folder this server works in: which paths are beneath it, and how they are opened."""

import errno
import os
import posixpath
import stat
import sys
import unicodedata
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from .beneath import Opener, best_opener
from .display import printable
from .refusal import Refused
from .shared import SharedFolder

_O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_F_GETPATH = 50  # macOS <sys/fcntl.h>: the path of an open descriptor
_PATH_MAX = 1024
_MAX_LINKS = 40  # what Linux itself allows in one resolution
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
    """A folder, the names by which it is known, and the names in it that no tool may write.

    `root` is absolute and free of symlinks; `shown` is the path that a model is told. Absolute paths below either, or below
    one of `aliases`, mean the same files. Relative ones begin in the folder `start`, which is relative to the root. Every
    path that leaves this class is relative to it too, with `/`, `.` for itself and `..` for what is above it, so that it can
    be handed back as it is. What lies in a folder of `shared` is read from there, and not written; one of these whose path is
    absolute lies elsewhere, and so do the paths in it, which stay absolute.
    """

    root: Path
    shown: str
    aliases: tuple[str, ...] = ()
    start: str = "."
    protected: frozenset[str] = frozenset([".git"])
    shared: tuple[SharedFolder, ...] = ()
    opener: Opener | None = None

    @classmethod
    def at(
        cls,
        folder: Path,
        protected: frozenset[str] = frozenset([".git"]),
        opener: Opener | None = None,
        *,
        shown: Path | None = None,
        aliases: Iterable[Path] = (),
        start: str = ".",
        shared: Iterable[SharedFolder] = (),
    ) -> "Workspace":
        """Raises Refused when `folder` is not an existing folder, or `start` leads out of it."""
        root = Path(os.path.realpath(folder))
        if not root.is_dir():
            raise Refused(f"The workspace {printable(str(folder))} is not a folder.")
        start = posixpath.normpath(start)
        if start.startswith(("/", "../")) or start == "..":
            raise Refused(f"{printable(start)} is no folder of the workspace {printable(str(folder))}.")
        spelled = {name: None for path in (folder, *aliases) for name in (os.path.abspath(path), os.path.realpath(path))}  # noqa: PTH100
        names = frozenset(map(canonical_name, protected))
        return cls(root, str(shown or root), tuple(spelled), start, names, tuple(shared), opener)

    @property
    def whole(self) -> "Workspace":
        """The same one with relative paths that begin in its root."""
        return replace(self, start=".")

    def below_root(self, name: str) -> str:
        """What a result of this class is called from the root."""
        return posixpath.normpath(posixpath.join(self.start, name))

    def named(self, below_root: str) -> str:
        """The inverse of `below_root`."""
        if self.start == "." or below_root.startswith("/"):
            return below_root
        return posixpath.relpath(f"/{below_root}", f"/{self.start}")

    def relative(self, path: str) -> str:
        """The path from the start folder that `path` (relative, or absolute and inside) spells, absolute where it is in a
        folder that is shared from elsewhere. Symlinks are not looked at.

        Raises Refused naming the resolved path and the workspace when it is outside.
        """
        if not path or "\0" in path:
            raise Refused("The path is empty." if not path else f"The path {printable(path)} contains a NUL character.")
        if path == "~" or path.startswith("~/"):
            raise Refused(
                f"{printable(path)} is in the home folder, which is outside the workspace {self.shown}; "
                "give a path relative to the workspace."
            )
        resolved = os.path.normpath(Path(self.shown, self.start) / path)
        inside = self._inside("/" + resolved.lstrip("/"))
        if inside is None:  # it may be one of its names, spelled through a symlink
            inside = self._inside(os.path.realpath(resolved))
        if inside is None:
            raise self._outside(path, resolved)
        return self.named(inside)

    def _inside(self, absolute: str) -> str | None:
        """From the root; itself in a folder that is shared from elsewhere, None for what is in none of the names of the
        workspace. The root's own name goes first: it may lie in a folder that is another one."""
        names = (str(self.root), self.shown, *self.aliases)
        inside = next((found for name in names if (found := _beneath(name, absolute)) is not None), None)
        return absolute if inside is None and self._shared_at(absolute) is not None else inside

    def _outside(self, path: str, resolved: str) -> Refused:
        return Refused(
            f"{printable(path)} is outside the workspace: it resolves to {printable(resolved)}, "
            f"and only paths beneath {self.shown} can be used."
        )

    def working_folder(self) -> tuple[Path, bool]:
        """Where commands begin: the start folder or, where that is gone, the nearest one above it; and whether it is gone."""
        folder = wanted = self.root / self.start
        while folder != self.root and not folder.is_dir():
            folder = folder.parent
        return folder, folder != wanted

    def open(self, path: str, flags: int) -> tuple[int, str]:
        """An open descriptor, and the path that was opened, from the start folder. `flags` must not create.

        A symlink is followed while it stays inside. Raises Refused when it leads out, OSError for the rest.
        """
        name = self.relative(path)
        try:
            return self._open(self.below_root(name), flags), name
        except OSError as error:
            if error.errno not in _LINK_FAULTS and not (self.shared and error.errno == errno.ENOENT):
                raise
        # An absolute symlink that points back inside is fine, but the kernel's rule refuses it, and one into a shared folder
        # leads to nothing: resolve it here, then open what it resolved to under the same rule, so that this look is no gap.
        resolved = self._real(path)
        try:
            return self._open(resolved, flags), self.named(resolved)
        except OSError as error:
            if error.errno not in _LINK_FAULTS:
                raise
            raise self._unsettled(path) from error

    def folders(self, path: str) -> list[int]:
        """Open descriptors of a folder, whose entries together are what is in it: the first that has a name counts. To be
        closed by the caller. Raises Refused and OSError."""
        flags = os.O_RDONLY | os.O_DIRECTORY
        descriptor, name = self.open(path, flags)
        found = self._shared_at(self.below_root(name))
        if found is None:
            return [descriptor]
        os.close(descriptor)
        folder, rest = found
        return folder.open_all(self.opener or best_opener(), rest, flags)

    def shared_in(self, folder: str) -> Iterator[str]:
        """The names in a folder that are shared folders."""
        below = self.below_root(folder)
        return (name for shared in self.shared for above, name in [posixpath.split(shared.path)] if (above or ".") == below)

    def hides(self, path: str) -> bool:
        """Whether a shared folder has it and does not show it."""
        found = self._shared_at(self.below_root(path))
        return found is not None and found[0].hides(found[1])

    def _shared_at(self, below: str) -> tuple[SharedFolder, str] | None:
        for shared in self.shared:
            if (rest := _beneath(shared.path, below)) is not None:
                return shared, rest
        return None

    def _unsettled(self, path: str) -> Refused:
        return Refused(
            f"{printable(path)} could not be resolved beneath the workspace {self.shown}: it is a loop of symbolic "
            "links, or it changed while it was opened."
        )

    def _real(self, path: str) -> str:
        """From the root, free of symlinks. Where one names the workspace by another of its names, the workspace is meant."""
        top, pending = self._divided(self.below_root(self.relative(path)))
        done = [*top]
        links = 0
        while pending:
            part = pending.popleft()
            if part in ("", "."):
                continue
            target = ".." if part == ".." else self._link_at("/".join([*done, part]))
            if target is None:
                done.append(part)
                continue
            links += 1
            if links > _MAX_LINKS:
                raise self._unsettled(path)
            if target == ".." and len(done) > len(top):
                done.pop()
            elif target == ".." or target.startswith("/"):
                start = target if target.startswith("/") else posixpath.dirname("/".join(top) or str(self.root))
                top, pending = self._divided(self._inside_again(path, "/".join([start, *pending])))
                done = [*top]
            else:
                pending.extendleft(reversed(target.split("/")))
        return "/".join(done) or "."

    def _divided(self, below: str) -> tuple[list[str], deque[str]]:
        """The folder from elsewhere that a path is in, and what of it symlinks are looked for in."""
        shared = self._shared_at(below) if below.startswith("/") else None
        return (shared[0].path.split("/"), deque(shared[1].split("/"))) if shared else ([], deque(below.split("/")))

    def _inside_again(self, path: str, absolute: str) -> str:
        """What a symlink that leads out of the root, by whatever way, means in it. Raises Refused."""
        real = os.path.realpath(absolute)
        for place in (os.path.normpath("/" + absolute.lstrip("/")), real):
            if (inside := self._inside(place)) is not None:
                return inside
        raise self._outside(path, real)

    def _link_at(self, below: str) -> str | None:
        found = self._shared_at(below)
        if found is not None:
            return found[0].link_at(found[1])
        try:
            return os.readlink(self.root / below)  # noqa: PTH115
        except OSError:
            return None

    def _open(self, below: str, flags: int) -> int:
        opener = self.opener or best_opener()
        found = self._shared_at(below)
        if found is not None:
            return found[0].open(opener, found[1], flags)
        root = os.open(self.root, _O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            return opener(root, below, flags)
        finally:
            os.close(root)

    def writable(self, path: str) -> str:
        """The relative path of the file that a write to `path` changes (the target of a symlink, existing or not).

        Raises Refused when it is outside, shared or protected.
        """
        self._refuse_protected(path, self.relative(path))
        if path.endswith("/"):
            raise Refused(f"{printable(path)} ends with a slash: that names a folder, not a file.")
        target = self._real(path)
        self._refuse_protected(path, target)
        if target == ".":
            raise Refused(f"{printable(path)} is the workspace folder itself, not a file.")
        if (found := self._shared_at(target)) is not None:
            raise Refused(
                f"{printable(path)} is in {printable(found[0].path)}, which the user shares with the task and this tool only "
                "reads; nothing was written."
            )
        return self.named(target)

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
        folder, last = posixpath.split(self.below_root(name))
        descriptor = self.whole._folder(folder or ".", self, made)
        try:
            actual = _path_of(descriptor)
            if actual is not None:
                inside = _beneath(str(self.root), actual)
                if inside is None:
                    raise self._outside(name, actual)
                self._refuse_protected(name, inside)
            yield descriptor, last
        finally:
            os.close(descriptor)

    def _folder(self, folder: str, namer: "Workspace", made: list[str] | None) -> int:
        flags = os.O_RDONLY | os.O_DIRECTORY
        try:
            return self.open(folder, flags)[0]
        except FileNotFoundError:
            if made is None:
                raise
        above, last = posixpath.split(folder)
        descriptor = self._folder(above or ".", namer, made)
        try:
            os.mkdir(last, dir_fd=descriptor)
            made.append(namer.named(folder))
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
