"""Copy-on-write shares: overlays that are mounted once for a task, in namespaces that every command of it is started in.

No process has to live for them: this one holds the namespaces open, and when it ends, however it does, nothing of them is left.
Two overlays over one upper layer are what the kernel calls undefined; so another process that works on the same task enters
the namespaces that are there already.
"""

import asyncio
import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

import msgspec

from goose_py.sandbox.policy import Namespaces, Policy, Share

NSENTER: Final = Path("/usr/bin/nsenter")
"""Named by its place, as bwrap is."""

_PROGRAM: Final = Path(__file__).with_name("mount_shares.py")
_DEADLINE: Final = 20.0


class Mounted(msgspec.Struct, frozen=True):
    """The policy as it can be kept, and why shares that were to be copy-on-write are read-only (one clause), or ""."""

    policy: Policy
    reason: str = ""


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


@asynccontextmanager
async def mounted(policy: Policy, folder: Path, python: Path) -> AsyncIterator[Mounted]:
    """Mounts the policy's shares for as long as this lasts; `folder` keeps their upper layers for the next time. Where it
    cannot be done they are read-only. Raises nothing."""
    shares = [share for share in policy.shares if share.path.is_absolute() or mount_point(policy.workspace, share.path)]
    plain = msgspec.structs.replace(policy, shares=tuple(shares))
    if not shares:
        yield Mounted(plain)
        return
    with contextlib.ExitStack() as stack:
        try:
            held = await _hold(stack, policy.workspace, shares, folder, python)
            found = _layered(plain, held, folder)
        except _Impossible as error:
            found = Mounted(plain, str(error))
        except OSError as error:
            found = Mounted(plain, (error.strerror or str(error)).lower())
        yield found


def _layered(policy: Policy, held: "_Held", folder: Path) -> Mounted:
    shares = tuple(
        msgspec.structs.replace(share, upper=upper_layer(folder, share)) if os.fspath(share.path) in held.mounted else share
        for share in policy.shares
    )
    names = Namespaces(*(f"/proc/{held.pid}/fd/{number}" for number in (held.user, held.mount)))
    lacking = ", ".join(str(share.path) for share in shares if share.upper is None)
    reason = f"nothing can be mounted over {lacking}" if lacking else ""
    return Mounted(msgspec.structs.replace(policy, shares=shares, namespaces=names), reason)


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


def mount_point(workspace: Path, part: Path) -> bool:
    """Makes the empty folder that a mount at `part` of the workspace hangs on. False where something of the task's stands
    there, or something that it has put in the way."""
    place = workspace
    for name in part.parts:
        place /= name
        if place.is_symlink() or (place.exists() and not place.is_dir()):
            return False
    try:
        place.mkdir(parents=True, exist_ok=True)
        with os.scandir(place) as entries:
            return next(entries, None) is None
    except OSError:
        return False
