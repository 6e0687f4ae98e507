"""Put a set of files into a working tree: everything or nothing.

Every new content is complete on disk beside its target before the first rename; old files are kept aside until the caller
says that all of it holds. Doing the same again after a crash goes on where it stopped, because a path that already has its
new content is no obstacle.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from goose_py.git.errors import from_os_error
from goose_py.git.paths import below_symlink, located, parents
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.review.errors import CannotApply
from goose_py.review.temporary_names import APPLY, abandoned

Signature = tuple[int, ...]

_MANIFEST = "manifest.json"


@dataclass(frozen=True)
class Write:
    """What a path becomes: a file from `source` (a readable file), a symlink to `link`, or nothing where both are None.
    `seen` is the signature of what was there when the path was checked."""

    path: bytes
    seen: Signature | None
    source: Path | None = None
    link: bytes | None = None
    executable: bool = False

    @property
    def deletes(self) -> bool:
        return self.source is None and self.link is None


@dataclass
class Placed:
    """Files that are in place, and how to take them back. Exactly one of `settle` and `take_back` is called."""

    root: Path
    aside: Path
    made_folders: list[Path] = field(default_factory=list)
    emptied_folders: list[Path] = field(default_factory=list)
    # (target, where its old file is kept, or None where there was none)
    replaced: list[tuple[Path, Path | None]] = field(default_factory=list)

    @classmethod
    def found(cls, root: Path, aside: Path) -> Placed:
        """What a process that is gone had in place when it ended. A file that somebody has touched since is not among it."""
        placed = cls(root, aside)
        manifest = _read_manifest(aside)
        if manifest is None:
            return placed  # it ended before the first file was put in place
        placed.made_folders = [located(root, path_to_bytes(name)) for name in manifest.folders if _is_within(root, name)]
        for number, (name, existed, staged) in enumerate(manifest.writes):
            if not _is_within(root, name):
                continue
            target, kept = located(root, path_to_bytes(name)), _aside_name(placed, number, "old")
            if _is_placed(signature(target), staged) and (not existed or os.path.lexists(kept)):
                placed.replaced.append((target, kept if existed else None))
        kept_in = {target.parent for target, kept in placed.replaced if kept is not None}
        placed.emptied_folders = sorted(folder for folder in kept_in if not folder.is_dir())
        return placed

    def settle(self) -> None:
        """It holds: drop the old files, and folders that lost their last file, as git does."""
        for target, _ in self.replaced:
            _remove_empty_folders(self.root, target)
        # From here on nothing is to be taken back, however far this comes.
        (self.aside / _MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self.aside, ignore_errors=True)

    def take_back(self) -> None:
        """Every path as it was."""
        for target, kept in reversed(self.replaced):
            if kept is None:
                with contextlib.suppress(OSError):
                    target.unlink()
        for folder in reversed(self.made_folders):
            with contextlib.suppress(OSError):
                folder.rmdir()
        for folder in reversed(self.emptied_folders):
            with contextlib.suppress(OSError):
                folder.mkdir(parents=True, exist_ok=True)
        for target, kept in reversed(self.replaced):
            if kept is not None and os.path.lexists(kept):
                # Where somebody has made a folder of it meanwhile, that stays: the old content is in the repository.
                with contextlib.suppress(IsADirectoryError, NotADirectoryError):
                    kept.replace(target)
        shutil.rmtree(self.aside, ignore_errors=True)


def take_back_abandoned(root: Path, home: Path) -> None:
    """What a process that is gone had applied to the files below `root`, by way of a folder in `home`, before it told anybody:
    nobody could take it back later. Blocking."""
    for left in abandoned(home):
        if left.name.startswith(APPLY) and left.is_dir() and not left.is_symlink():
            Placed.found(root, left).take_back()


def signature(place: Path) -> Signature | None:
    """What changes when a file does; None where there is none. The change time is left out: a rename there and back alters
    it and nothing else."""
    try:
        status = place.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return (status.st_mode, status.st_ino, status.st_size, status.st_mtime_ns)


def standing_at(root: Path, path: bytes) -> Signature | None:
    """The signature of what a tree could have there: None also for a folder, and for what a symlink leads to."""
    found = None if below_symlink(root, path) else signature(located(root, path))
    return None if found is None or stat.S_ISDIR(found[0]) else found


def place(root: Path, aside: Path, writes: Sequence[Write]) -> Placed:
    """Do all `writes` below `root`. `aside` names a folder on the same file system that does not exist; new files are made
    and old ones kept there meanwhile. Raises CannotApply where a file changed since it was checked, GitError (NoSpace)
    where one cannot be written; either way every file is as it was."""
    placed = Placed(root, aside)
    try:
        aside.mkdir(mode=0o700)
        for number, write in enumerate(writes):
            _stage(write, _aside_name(placed, number, "new"))
        _note(placed, writes)
        # Deletions first, so that a file can become a folder and the other way round.
        for number, write in sorted(enumerate(writes), key=lambda item: not item[1].deletes):
            _replace(placed, number, write)
    except BaseException as error:
        placed.take_back()
        if isinstance(error, OSError):
            raise from_os_error(error) from None
        raise
    return placed


def _aside_name(placed: Placed, number: int, kind: str) -> Path:
    return placed.aside / f"{number}.{kind}"


def _stage(write: Write, temporary: Path) -> None:
    if write.link is not None:
        temporary.symlink_to(os.fsdecode(write.link))
    elif write.source is not None:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(temporary, flags, 0o777 if write.executable else 0o666)
        with os.fdopen(descriptor, "wb") as writing, write.source.open("rb") as reading:
            shutil.copyfileobj(reading, writing, 1024 * 1024)
            if write.seen is not None and stat.S_ISREG(write.seen[0]):
                os.fchmod(writing.fileno(), _mode(stat.S_IMODE(write.seen[0]), write.executable))


def _note(placed: Placed, writes: Sequence[Write]) -> None:
    """What `Placed.found` needs, complete before the first file is in place. A staged file keeps its signature as it is put in
    place, by a link or a rename."""
    rows = []
    folders: dict[str, None] = {}
    for number, write in enumerate(writes):
        staged = None if write.deletes else signature(_aside_name(placed, number, "new"))
        rows.append((path_from_bytes(write.path), write.seen is not None, staged))
        if write.seen is None:
            folders |= {path_from_bytes(parent): None for parent in reversed(list(_missing_parents(placed.root, write.path)))}
    content = json.dumps({"folders": list(folders), "writes": rows})
    unfinished = placed.aside / f"{_MANIFEST}.new"
    unfinished.write_text(content)
    unfinished.replace(placed.aside / _MANIFEST)


class _Manifest(msgspec.Struct, frozen=True):
    folders: list[str]
    writes: list[tuple[str, bool, list[int] | None]]


def _read_manifest(aside: Path) -> _Manifest | None:
    try:
        # Not by msgspec: a path need not be UTF-8.
        return msgspec.convert(json.loads((aside / _MANIFEST).read_bytes()), _Manifest)
    except (OSError, ValueError, RecursionError):
        return None


def _is_within(root: Path, name: str) -> bool:
    """Whether a path of a manifest still leads to a place below `root`."""
    try:
        path = path_to_bytes(name)
    except ValueError:
        return False
    parts = {part.lower() for part in path.split(b"/")}
    return b"\0" not in path and not {b"", b".", b"..", b".git"} & parts and not below_symlink(root, path)


def _is_placed(here: Signature | None, staged: list[int] | None) -> bool:
    if staged is None:
        # Deleted, or a folder by now, for another file of the same change.
        return here is None or stat.S_ISDIR(here[0])
    return here is not None and list(here) == staged


def _missing_parents(root: Path, path: bytes) -> Iterator[bytes]:
    """Innermost first."""
    return (parent for parent in parents(path) if not located(root, parent).is_dir())


def _mode(old: int, executable: bool) -> int:
    """The user's own permission bits, but for whether it may be executed: by whoever may read it."""
    plain = old & 0o666
    return plain | (plain & 0o444) >> 2 if executable else plain


def _replace(placed: Placed, number: int, write: Write) -> None:
    target = located(placed.root, write.path)
    if write.seen is None and target.is_dir() and not target.is_symlink():
        # Its files have just been moved aside.
        _remove_folders_within(placed, target)
    if signature(target) != write.seen:
        name = path_from_bytes(write.path)
        raise CannotApply(f"{name} changed while the change was being applied; nothing was changed. Try again.", (name,))
    new, kept = _aside_name(placed, number, "new"), _aside_name(placed, number, "old")
    if write.seen is None:
        _make_folders(placed, target.parent)
        _put_new(new, target)
        placed.replaced.append((target, None))
    else:
        placed.replaced.append((target, kept))
        if write.deletes:
            target.rename(kept)
        else:
            _keep_copy(target, kept)
            # In one step: whoever looks sees the old file or the new one.
            new.replace(target)


def _put_new(new: Path, target: Path) -> None:
    """Where nothing is, and not over what has come there this moment."""
    try:
        os.link(new, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links.
        new.rename(target)


def _keep_copy(target: Path, kept: Path) -> None:
    try:
        os.link(target, kept, follow_symlinks=False)
    except OSError:
        shutil.copy2(target, kept, follow_symlinks=False)


def _make_folders(placed: Placed, folder: Path) -> None:
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for new in reversed(missing):
        new.mkdir()
        placed.made_folders.append(new)


def _remove_folders_within(placed: Placed, folder: Path) -> None:
    for current, _, _ in os.walk(folder, topdown=False):
        Path(current).rmdir()
        placed.emptied_folders.append(Path(current))


def _remove_empty_folders(root: Path, target: Path) -> None:
    folder = target.parent
    while not os.path.lexists(target) and folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent
