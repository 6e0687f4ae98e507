"""Folders that the workspace has from elsewhere: read through their layers, as an overlay of Linux shows them.

Source: Documentation/filesystems/overlayfs.rst of Linux 6.15 ("whiteouts and opaque directories", "userxattr").
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from .beneath import Opener

_O_PATH = getattr(os, "O_PATH", os.O_RDONLY)
_OPAQUE = "user.overlay.opaque"


@dataclass(frozen=True)
class SharedFolder:
    """Seen at `path`, relative to the workspace's root, or absolute where it lies elsewhere. Of `layers` the first that has a
    name counts; one may also say that a name is gone. `hidden` are paths below it that are not seen. Nothing is written
    here."""

    path: str
    layers: tuple[Path, ...]
    hidden: tuple[str, ...] = ()

    def hides(self, rest: str) -> bool:
        return any(rest == name or rest.startswith(f"{name}/") for name in self.hidden)

    def open(self, opener: Opener, rest: str, flags: int) -> int:
        """What is seen at `rest`, which is relative to `path`. Raises OSError: ELOOP where a symlink is on the way."""
        return self._opened(opener, self._layers_with(rest)[0], rest, flags)

    def open_all(self, opener: Opener, rest: str, flags: int) -> list[int]:
        """The folders whose entries together are what is seen in `rest`, topmost first. Raises OSError as `open` does."""
        opened: list[int] = []
        try:
            for layer in self._layers_with(rest):
                opened.append(self._opened(opener, layer, rest, flags))
        except OSError:
            for descriptor in opened:
                os.close(descriptor)
            raise
        return opened

    def link_at(self, rest: str) -> str | None:
        """The target of the symlink at `rest`, whose folder is reached without one; None where there is none."""
        try:
            self._layers_with(rest)
        except OSError as error:
            if error.errno == errno.ELOOP and isinstance(error.filename, str):
                return os.readlink(error.filename)  # noqa: PTH115
        return None

    def _opened(self, opener: Opener, layer: Path, rest: str, flags: int) -> int:
        folder = os.open(layer, _O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return opener(folder, rest, flags)
        finally:
            os.close(folder)

    def _layers_with(self, rest: str) -> list[Path]:
        """The layers, topmost first, that have what is seen at `rest`: one, or those of a folder. Raises OSError where there
        is nothing, or where a symlink is on the way."""
        found: list[Path] = []
        for layer in () if self.hides(rest) else self.layers:
            there, covers = _look(layer, rest)
            if there:
                found.append(layer)
            if covers:
                break
        if not found:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), rest)
        return found


def _look(layer: Path, rest: str) -> tuple[bool, bool]:
    """Whether a layer has something at `rest`, and whether the layers below it do not count there. Raises ELOOP naming the
    first symlink on the way."""
    covers = False
    place = str(layer)
    for part in rest.split("/") if rest != "." else []:
        place = f"{place}/{part}"
        try:
            status = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            return False, covers
        if is_whiteout(status):
            return False, True
        if stat.S_ISLNK(status.st_mode):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), place)
        covers = covers or not stat.S_ISDIR(status.st_mode) or _is_opaque(place)
    return True, covers


def is_whiteout(status: os.stat_result) -> bool:
    """Whether an entry says that the name is gone."""
    return stat.S_ISCHR(status.st_mode) and status.st_rdev == 0


def _is_opaque(folder: str) -> bool:
    try:
        return os.getxattr(folder, _OPAQUE) == b"y"
    except (OSError, AttributeError):
        return False
