"""The way to the fork server: start one, and ask it for a worker."""

import asyncio
import fcntl
import functools
import hashlib
import os
import resource
import socket
import sys
from contextlib import suppress
from pathlib import Path

import msgspec

from goose_py import __version__, bundled
from goose_py.bootstrap.host import Host
from goose_py.workers.detached_process import start_detached

MADE = b"made\n"
"""What the server says when a worker has been made."""
PATIENCE = 30.0
"""Seconds that a fork server may take to answer; it imports for one of them when it has just been started."""


class WorkerRequest(msgspec.Struct, frozen=True):
    """One worker to be made. With it come two descriptors: where the worker prints, and the pipe on which it says that it is
    ready. `env` is its whole environment, which need not be UTF-8."""

    task_id: str
    env: list[tuple[bytes, bytes]]


def warm(host: Host) -> None:
    """Starts a fork server where processes can be copied safely and none runs. Returns at once: what the server is asked
    while it imports waits for it."""
    if (place := _place(host)) is None:
        return
    host.paths.runtime.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listening:
            listening.bind(str(place))
            listening.listen(128)
            _launch(host, listening.fileno(), lock)
    except BlockingIOError:
        pass  # one runs
    finally:
        os.close(lock)


async def fork_worker(host: Host, task_id: str, printed: int, reported: int) -> bool:
    """Asks a warm fork server for a worker with these descriptors. False where there is none or it does not answer. Should
    it answer too late, its worker finds the task taken and ends."""
    if not any(host.paths.runtime.glob(f"*{SUFFIX}")) or (place := _place(host)) is None:
        return False
    env = [(os.fsencode(name), os.fsencode(value)) for name, value in host.env.items()]
    request = msgspec.json.encode(WorkerRequest(task_id=task_id, env=env)) + b"\n"
    loop = asyncio.get_running_loop()
    with suppress(OSError, TimeoutError), socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.connect(str(place))
        client.setblocking(False)
        sent = socket.send_fds(client, [request], [printed, reported])
        async with asyncio.timeout(PATIENCE):
            await loop.sock_sendall(client, request[sent:])
            return await loop.sock_recv(client, len(MADE)) == MADE
    return False


SUFFIX = ".fork"
INHERITED = (
    "Uid", "Gid", "Groups", "Umask", "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "Seccomp", "Cpus_allowed",
    "Mems_allowed", "SigBlk", "SigIgn",
)  # fmt: skip
"""Lines of /proc/self/status (proc(5))."""
GROUPED = ("cgroup", "attr/current", "oom_score_adj")
"""Files of /proc/self: whose limits count for a process and with whom it ends, and what a security module holds it to."""
DECIDES_AT_START = ("PYTHON", "LD_", "LC_", "LANG", "MALLOC_", "GLIBC_")
"""Beginnings of the variables that the interpreter and the loader read when a process begins."""


def _place(host: Host) -> Path | None:
    """The socket of the fork server whose copies are what a process that we start ourselves would be; None where there can be
    none. A change to anything that is inherited, or to the program's files, leads to another server."""
    if sys.platform != "linux":
        return None  # macOS: frameworks that the interpreter loads do not survive a fork
    try:
        status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":" in line)
        spaces = sorted((path.name, str(path.readlink())) for path in Path("/proc/self/ns").iterdir())
    except OSError:
        return None
    if status.get("NoNewPrivs", "1").strip() != "0":
        return None  # somebody confines us: a copy of another process would not be confined
    limits = [resource.getrlimit(getattr(resource, name)) for name in sorted(vars(resource)) if name.startswith("RLIMIT_")]
    grouped = [_content(Path("/proc/self", name)) for name in GROUPED]
    variables = sorted(item for item in host.env.items() if item[0].startswith(DECIDES_AT_START))
    priority = os.getpriority(os.PRIO_PROCESS, 0)
    inherited = [status.get(name) for name in INHERITED]
    identity = repr((_program(), inherited, grouped, spaces, limits, priority, variables)).encode()
    # As long as a task's id: the address of a socket has room for no more (see `Host`).
    return host.paths.runtime / f"{hashlib.sha256(identity).hexdigest()[:11]}{SUFFIX}"


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except OSError:
        return None  # a kernel without it


@functools.cache
def _program() -> tuple[object, ...]:
    """This program as it is on disk."""
    roots = (Path(__file__).resolve().parent.parent, bundled.folder("extensions"))
    newest = max(path.stat().st_mtime_ns for root in roots for path in root.rglob("*.py"))
    return __version__, sys.version, sys.executable, str(roots[0]), newest


def _launch(host: Host, listening: int, lock: int) -> None:
    # It takes no key and no token from us: each worker brings the environment of whoever asked for it.
    env = {name: value for name, value in host.env.items() if name in ("PATH", "HOME") or name.startswith(DECIDES_AT_START)}
    arguments = ("fork-server", "--socket-fd", str(listening), "--lock-fd", str(lock))
    start_detached(*arguments, env=env, pass_fds=(listening, lock))
