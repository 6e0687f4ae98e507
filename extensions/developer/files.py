"""Reading regular files and replacing them whole, beneath the workspace and through open folders only."""

import hashlib
import os
import secrets
import stat
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass

from .display import printable, size
from .refusal import Refused
from .workspace import Workspace, kind_of, refusal_of

MAX_TEXT_BYTES = 16_000_000
_CHUNK = 1 << 20


def digest(data: bytes) -> str:
    """The name of a content: staleness is decided by it, never by a time stamp."""
    return hashlib.blake2b(data, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Stored:
    """A regular file's content and permission bits as they were at one moment. `path` is relative to the workspace."""

    path: str
    data: bytes
    mode: int


@dataclass(frozen=True)
class Change:
    """What is to become of one file: `data` None deletes it. `before` is what it must still be when that happens."""

    path: str
    before: Stored | None
    data: bytes | None
    mode: int | None = None


def read_file(workspace: Workspace, path: str, limit: int = MAX_TEXT_BYTES) -> Stored:
    """The whole of a regular file. Never blocks on a pipe or device; refuses more than `limit` bytes before reading.

    Raises Refused.
    """
    stored, size_ = _read(workspace, path, limit + 1, limit)
    if len(stored.data) > limit:  # it grew, or its size cannot be known beforehand (files of /proc)
        raise too_large(path, max(size_, len(stored.data)), limit)
    return stored


def read_head(workspace: Workspace, path: str, count: int) -> bytes:
    """The first `count` bytes of a regular file of any size. Raises Refused."""
    return _read(workspace, path, count, None)[0].data


def _read(workspace: Workspace, path: str, count: int, limit: int | None) -> tuple[Stored, int]:
    """At most `count` bytes, and the size that the system tells. More than `limit` of it is refused unread."""
    try:
        # O_NONBLOCK: opening a pipe nobody writes to would wait for a writer.
        descriptor, name = workspace.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        raise refusal_of(error, path, "read") from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            hint = "; use list to see what is in it" if stat.S_ISDIR(status.st_mode) else ""
            raise Refused(f"{printable(path)} is {kind_of(status.st_mode)}, not a file{hint}.")
        if limit is not None and status.st_size > limit:
            raise too_large(path, status.st_size, limit)
        return Stored(name, _read_up_to(descriptor, count), stat.S_IMODE(status.st_mode)), status.st_size
    except OSError as error:
        raise refusal_of(error, path, "read") from error
    finally:
        os.close(descriptor)


def too_large(path: str, bytes_: int, limit: int) -> Refused:
    return Refused(
        f"{printable(path)} has {size(bytes_)}, more than the {size(limit)} this tool takes; "
        "use grep to find the place, or shell (head, tail, sed -n) to look at a part."
    )


def _read_up_to(descriptor: int, left: int) -> bytes:
    pieces: list[bytes] = []
    while left > 0 and (piece := os.read(descriptor, min(_CHUNK, left))):
        pieces.append(piece)
        left -= len(piece)
    return b"".join(pieces)


def existing(workspace: Workspace, name: str) -> Stored | None:
    """The file at `name` (a result of `Workspace.writable`), None when there is nothing. Raises Refused for what is no
    regular file, is read-only, or lies in a read-only folder."""
    try:
        with workspace.parent(name) as (folder, last):
            status = os.stat(last, dir_fd=folder, follow_symlinks=False)
            if not stat.S_ISREG(status.st_mode):
                raise Refused(f"{printable(name)} is {kind_of(status.st_mode)}, not a file; nothing was written.")
            _refuse_read_only(name, stat.S_IMODE(status.st_mode), folder, last)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise refusal_of(error, name, "write") from error
    return read_file(workspace, name)


def _refuse_read_only(name: str, mode: int, folder: int, last: str) -> None:
    # The bits are looked at beside access(2), because root may write anything, and the bits still say what is wanted.
    if not mode & 0o222 or not os.access(last, os.W_OK, dir_fd=folder):
        raise Refused(f"{printable(name)} is read-only (mode {mode:04o}); nothing was written.")
    _refuse_read_only_folder(name, folder)


def _refuse_read_only_folder(name: str, folder: int) -> None:
    mode = stat.S_IMODE(os.fstat(folder).st_mode)
    if not mode & 0o222:
        raise Refused(f"The folder of {printable(name)} is read-only (mode {mode:04o}); nothing was written.")


@dataclass
class _Staged:
    """A change whose new content lies beside its target, as the file `temporary` of the open `folder`.

    All steps go through that descriptor: whatever is renamed meanwhile, they stay in the folder that was checked.
    """

    change: Change
    folder: int
    last: str
    temporary: str | None = None

    def refuse_if_changed(self) -> None:
        before = self.change.before
        if not _holds(self.folder, self.last, before and before.data):
            raise Refused(
                f"{printable(self.change.path)} was changed by somebody else just now; nothing was written. Read it "
                "again."
            )

    def place(self) -> None:
        if self.temporary is None:
            os.unlink(self.last, dir_fd=self.folder)
        else:
            os.rename(self.temporary, self.last, src_dir_fd=self.folder, dst_dir_fd=self.folder)
            self.temporary = None

    def put_back(self) -> None:
        before = self.change.before
        if before is None:
            os.unlink(self.last, dir_fd=self.folder)
            return
        self.temporary = _temporary_name(self.last)
        _write_new(self.folder, self.temporary, before.data, before.mode, self.last)
        os.rename(self.temporary, self.last, src_dir_fd=self.folder, dst_dir_fd=self.folder)
        self.temporary = None

    def discard(self) -> None:
        if self.temporary is not None:
            with suppress(OSError):
                os.unlink(self.temporary, dir_fd=self.folder)


def commit(workspace: Workspace, changes: Sequence[Change]) -> None:
    """Makes all the changes or none. Raises Refused, with every file as it was, or naming those that are not.

    New contents are first written whole beside their targets; then each target is compared with `before` once more, and
    the files are renamed into place. When a step fails, those already in place are put back. No fsync: what must
    outlive a power cut is the host's history of the workspace, and a rename alone never shows a half-written file.
    """
    staged: list[_Staged] = []
    made: list[str] = []
    done = 0
    with ExitStack() as held:
        try:
            for change in changes:
                _stage(workspace, change, held, staged, made)
            for one in staged:
                one.refuse_if_changed()
            for one in staged:
                _place(one)
                done += 1
        except BaseException as error:
            lost = [one.change.path for one in reversed(staged[:done]) if not _put_back(one)]
            for one in staged:
                one.discard()
            for folder in reversed(made):
                _remove_empty(workspace, folder)
            if lost:
                raise Refused(
                    f"{error} And {', '.join(map(printable, lost))} could not be put back as before."
                ) from error
            raise


def _stage(workspace: Workspace, change: Change, held: ExitStack, staged: list[_Staged], made: list[str]) -> None:
    """Opens the target's folder, for as long as `held` lasts, and writes the new content to a temporary file in it.

    Folders that had to be made are appended to `made`, outermost first.
    """
    try:
        folder, last = held.enter_context(workspace.parent(change.path, made if change.data is not None else None))
        _refuse_read_only_folder(change.path, folder)
        one = _Staged(change, folder, last)
        staged.append(one)
        if change.data is not None:
            one.temporary = _temporary_name(last)
            mode = change.mode if change.mode is not None else change.before.mode if change.before else None
            _write_new(folder, one.temporary, change.data, mode, last if change.before else None)
    except OSError as error:
        raise refusal_of(error, change.path, "write") from error


def _place(one: _Staged) -> None:
    try:
        one.place()
    except OSError as error:
        raise refusal_of(error, one.change.path, "write") from error


def _put_back(one: _Staged) -> bool:
    try:
        one.put_back()
    except OSError:
        return False
    return True


def _temporary_name(last: str) -> str:
    return f".{last[:60]}.{secrets.token_hex(6)}.tmp"


def _write_new(folder: int, name: str, data: bytes, mode: int | None, owner_of: str | None) -> None:
    """A new file with this content. `mode` None leaves it to the umask; `owner_of` names a file whose owner it gets."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(name, flags, 0o666, dir_fd=folder)
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
        if owner_of is not None:
            _keep_owner(folder, owner_of, descriptor)
        if mode is not None:
            os.fchmod(descriptor, mode)  # after the owner: changing that may clear bits
    finally:
        os.close(descriptor)


def _keep_owner(folder: int, last: str, descriptor: int) -> None:
    with suppress(OSError):  # only root may give files away; for all others the owner is the same anyway
        was, now = os.stat(last, dir_fd=folder, follow_symlinks=False), os.fstat(descriptor)
        if (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
            os.fchown(descriptor, was.st_uid, was.st_gid)


def _holds(folder: int, last: str, data: bytes | None) -> bool:
    """Whether there is a regular file with this very content at the name, or, for None, nothing at all."""
    try:
        descriptor = os.open(last, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except FileNotFoundError:
        return data is None
    except OSError:
        return False
    try:
        regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return data is not None and regular and _read_up_to(descriptor, len(data) + 1) == data
    finally:
        os.close(descriptor)


def _remove_empty(workspace: Workspace, name: str) -> None:
    with suppress(OSError, Refused), workspace.parent(name) as (folder, last):
        os.rmdir(last, dir_fd=folder)
