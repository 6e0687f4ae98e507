"""Copy-on-write shares: overlays that are mounted once for a task, in namespaces that every command of it is started in.

No process has to live for them: this one holds the namespaces open, and when it ends, however it does, nothing of them is left.
Two overlays over one upper layer are what the kernel calls undefined; so another process that works on the same task enters
the namespaces that are there already.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import itertools
import json
import os
import shutil
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from goose_py.sandbox.mounts.mount_points import mount_point
from goose_py.sandbox.policy import Namespaces, Policy, Share

NSENTER: Final = Path("/usr/bin/nsenter")
"""Named by its place, as bwrap is."""

_PROGRAM: Final = Path(__file__).with_name("mount_shares.py")
_DEADLINE: Final = 20.0
_WATCHED: Final = 64


class Mounted(msgspec.Struct, frozen=True):
    """The shares as they can be had, where those with an upper layer are mounted, and why others that are seen in the workspace
    are read-only (one clause), or ""."""

    shares: tuple[Share, ...] = ()
    namespaces: Namespaces | None = None
    reason: str = ""

    def seen_by(self, policy: Policy) -> Policy:
        return msgspec.structs.replace(policy, shares=self.shares, namespaces=self.namespaces)


class _Held(msgspec.Struct, frozen=True):
    """What stands in the task's folder about the namespaces that `pid` holds open as descriptors `user` and `mount`."""

    pid: int
    user: int
    mount: int
    inodes: tuple[int, int]
    mounted: tuple[str, ...]


def upper_layer(folder: Path, share: Share) -> Path:
    """Where in the task's `folder` for them the changes of one share are."""
    return folder / hashlib.sha256(os.fsencode(share.path)).hexdigest()[:16] / "upper"


def changed_layers(folder: Path) -> tuple[str, ...]:
    """The paths of those shares that a task with this `folder` has put something into, also when nothing is mounted."""
    names = []
    for name in sorted(folder.glob("*/name")):
        if any(any(map(_is_content, entries)) for entries in _listings(name.with_name("upper"))):
            names.append(os.fsdecode(name.read_bytes()))
    return tuple(names)


def _listings(folder: Path) -> Iterator[list["os.DirEntry[str]"]]:
    waiting = [folder]
    while waiting:
        try:
            with os.scandir(waiting.pop()) as entries:
                found = list(entries)
        except OSError:
            continue
        waiting += [Path(entry.path) for entry in found if entry.is_dir(follow_symlinks=False)]
        yield found


def _is_content(entry: "os.DirEntry[str]") -> bool:
    """Not what only says that something is hidden."""
    return entry.is_symlink() or entry.is_file(follow_symlinks=False)


@asynccontextmanager
async def mounted(workspace: Path, shares: Sequence[Share], folder: Path, python: Path) -> AsyncIterator[Mounted]:
    """Mounts the shares for as long as this lasts; `folder` keeps their upper layers for the next time. Where it cannot be done
    they are read-only. Shares in whose place the workspace has something are none. Raises nothing."""
    shares = tuple(share for share in shares if share.path.is_absolute() or mount_point(workspace, share.path))
    if not shares:
        yield Mounted()
        return
    with contextlib.ExitStack() as stack:
        try:
            held = await _hold(stack, workspace, shares, folder, python)
            found = _layered(shares, held, folder)
        except _Impossible as error:
            found = Mounted(shares, None, str(error))
        except OSError as error:
            found = Mounted(shares, None, (error.strerror or str(error)).lower())
        yield found


def _layered(shares: Sequence[Share], held: "_Held", folder: Path) -> Mounted:
    layered = tuple(
        msgspec.structs.replace(share, upper=upper_layer(folder, share)) if os.fspath(share.path) in held.mounted else share
        for share in shares
    )
    names = Namespaces(*(f"/proc/{held.pid}/fd/{number}" for number in (held.user, held.mount)))
    lacking = ", ".join(str(share.path) for share in layered if share.upper is None)
    return Mounted(layered, names, f"nothing can be mounted over {lacking}" if lacking else "")


class ShareWatch:
    """Notices that the user has changed what a task shares, which no overlay shows in one piece: by the times of the folder, of
    what is directly in it, and of the packages of a virtual environment. And that the task has moved or removed the folder
    that a share hangs on, with which it goes."""

    def __init__(self, workspace: Path, shares: Sequence[Share], say: Callable[[str], None]) -> None:
        self._say = say
        self._known = {share.path: (share.source, _times(share.source)) for share in shares}
        hung = (workspace / share.path for share in shares if share.upper is not None and not share.path.is_absolute())
        self._hung = {place: _inode_at(place) for place in hung}
        self._workspace = workspace

    def look(self) -> None:
        """Says what is different; of each share once."""
        for place, inode in tuple(self._hung.items()):
            if _inode_at(place) != inode:
                del self._hung[place]
                name = place.relative_to(self._workspace)
                self._say(
                    f"The task has moved or removed the folder that {name} of your checkout hangs on, so commands do not see "
                    "it there any more; when the task is resumed it is shared anew."
                )
        for path, (source, known) in tuple(self._known.items()):
            if _times(source) != known:
                del self._known[path]
                state = "were changed" if source.is_dir() else "are gone"
                self._say(f"The contents of {path} {state} in your checkout while the task works with them: it may see both.")


def _times(folder: Path) -> tuple[tuple[str, int], ...]:
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.path for entry in itertools.islice(entries, _WATCHED))
    except OSError:
        return ()
    packages = sorted(map(str, folder.glob("lib/python*/site-packages"))) if (folder / "pyvenv.cfg").is_file() else []
    found = []
    for name in (str(folder), *names, *packages):
        with contextlib.suppress(OSError):
            found.append((name, os.lstat(name).st_mtime_ns))
    return tuple(found)


class _Impossible(Exception):
    """No overlays here; the text is one clause."""


async def _hold(stack: contextlib.ExitStack, workspace: Path, shares: Sequence[Share], folder: Path, python: Path) -> _Held:
    """Namespaces with the shares mounted, held open by this process until the stack is closed."""
    if not NSENTER.is_file():
        raise _Impossible(f"{NSENTER} is missing (install util-linux)")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    ours = stack.enter_context(_locked(folder / "lock", fcntl.LOCK_EX))
    if ours and not stack.enter_context(_locked(folder / "joined", fcntl.LOCK_EX)):
        raise _Impossible("another process still uses the layers of an earlier one")
    if not ours:
        stack.enter_context(_locked(folder / "joined", fcntl.LOCK_SH))
        return _join(stack, folder / "held")
    (folder / "held").unlink(missing_ok=True)
    held = await _make(stack, workspace, shares, folder, python)
    fresh = folder / "held.new"
    fresh.write_bytes(msgspec.json.encode(held))
    fresh.replace(folder / "held")
    return held


async def _make(stack: contextlib.ExitStack, workspace: Path, shares: Sequence[Share], folder: Path, python: Path) -> _Held:
    wanted = []
    for share in shares:
        upper = upper_layer(folder, share)
        work = upper.with_name("work")
        if not upper.is_dir():
            upper.mkdir(parents=True, mode=0o700)
            upper.with_name("name").write_bytes(os.fsencode(share.path))
            with contextlib.suppress(OSError):
                shutil.copystat(share.source, upper)  # the merged folder has the mode and the times of this one
        work.mkdir(exist_ok=True, mode=0o700)
        paths = {"source": share.source, "target": share.path, "upper": upper, "work": work}
        wanted.append({**{name: os.fspath(path) for name, path in paths.items()}, "hidden": share.hidden})
    process = await asyncio.create_subprocess_exec(
        str(python), "-I", "-S", str(_PROGRAM),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL, env={}, cwd="/",
    )  # fmt: skip
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(json.dumps({"workspace": os.fspath(workspace), "shares": wanted}).encode() + b"\n")
        said = await asyncio.wait_for(process.stdout.readline(), _DEADLINE)
        reasons = json.loads(said or b"[]")
        if not any(reason == "" for reason in reasons):
            raise _Impossible(reasons[0] if reasons else "the mounts could not be made")
        numbers = [_opened(stack, f"/proc/{process.pid}/ns/{kind}") for kind in ("user", "mnt")]
    except (OSError, TimeoutError, ValueError) as error:
        raise _Impossible(str(error) or "the mounts were not made in time") from None
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    done = tuple(os.fspath(share.path) for share, reason in zip(shares, reasons, strict=True) if not reason)
    return _Held(os.getpid(), numbers[0], numbers[1], (_inode(numbers[0]), _inode(numbers[1])), done)


def _join(stack: contextlib.ExitStack, file: Path) -> _Held:
    """The namespaces of the process that has them, held by this one too."""
    try:
        held = msgspec.json.decode(file.read_bytes(), type=_Held)
        numbers = [_opened(stack, f"/proc/{held.pid}/fd/{number}") for number in (held.user, held.mount)]
    except (OSError, msgspec.DecodeError):
        raise _Impossible("another process is just making or leaving them") from None
    if (_inode(numbers[0]), _inode(numbers[1])) != held.inodes:
        raise _Impossible("the process that held them has ended")
    return msgspec.structs.replace(held, pid=os.getpid(), user=numbers[0], mount=numbers[1])


def _opened(stack: contextlib.ExitStack, path: str) -> int:
    number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    stack.callback(os.close, number)
    return number


def _inode_at(place: Path) -> int | None:
    try:
        return place.lstat().st_ino
    except OSError:
        return None


def _inode(number: int) -> int:
    return os.fstat(number).st_ino


@contextmanager
def _locked(file: Path, how: int) -> Iterator[bool]:
    """Whether the lock could be had. It goes with this process."""
    number = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(number, how | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(number)
