"""The warm parent of workers: it imports once what every worker needs and is copied for each (fork(2)), so that many tasks
share the memory of it and none waits for the imports.

It is a process of its own that runs no task, no event loop and no thread, since only such a process can be copied safely. It
holds the lock beside its socket for as long as it lives, and ends by itself when nothing came out of it for a while.
"""

import gc
import os
import select
import signal
import socket
import sys
import time
from contextlib import suppress
from importlib import import_module
from pathlib import Path

import msgspec

from goose_py import bundled
from goose_py.protocol.errors import GooseError
from goose_py.toolbox.manifest import Manifest
from goose_py.workers.fork_client import MADE, WorkerRequest

LINGER = 60.0
"""Seconds without a worker and without a request after which it ends."""
PATIENCE = 5.0
"""Seconds that a client may take to say what it wants: the others wait meanwhile."""
SHARED = (
    "asyncio",
    "concurrent.futures.thread",
    "goose_py.workers.worker",
    "goose_py.bootstrap.permissions",
    "goose_py.workers.delivery",
    "goose_py.tasks.changes.task_changes",
    "goose_py.toolbox.direct_session",
    "goose_py.providers.model",
    "goose_py.providers.transport",
    "goose_py.providers.protocols.anthropic",
    "goose_py.providers.protocols.chat",
    "goose_py.providers.protocols.responses",
    "httpcore2",
    "truststore",
    "tree_sitter_bash",
)
"""What a worker loads sooner or later. The SDKs are not among it: few providers and no bundled extension need them."""


def serve(descriptor: int, lock: int, linger: float = LINGER) -> int:
    """Answers on the listening socket until nobody needs it, and keeps the locked file `lock`, which names this process,
    until then. Returns in each worker too, when its task ends: the number is the exit code of whichever process it is."""
    os.truncate(lock, os.pwrite(lock, f"{os.getpid()}\n".encode(), 0))
    with socket.socket(fileno=descriptor) as listening:
        load_shared()
        ready, wakes = _awake_for_children()
        found = _next_worker(listening, ready, linger)
        if found is None:
            with suppress(OSError):
                Path(listening.getsockname()).unlink()
            return 0
    for ours in (ready, wakes):
        ours.close()
    os.close(lock)
    request, printed, reported = found
    _become(request, printed)
    from goose_py.workers.worker import work

    return work(request.task_id, reported)


def load_shared() -> None:
    """Imports `SHARED` and the bundled extensions. What cannot be imported says so in the worker that needs it."""
    for name in SHARED:
        import_module(name)
    for folder in bundled.extensions().values():
        with suppress(GooseError, ImportError):
            Manifest.load(folder).load_in_process()
    gc.collect()
    gc.freeze()  # a look for cycles would write to every object, and a page that is written to is shared no longer


def _next_worker(listening: socket.socket, children: socket.socket, linger: float) -> tuple[WorkerRequest, int, int] | None:
    """In the server: None, when it is to end. In each process copied from it: what that worker is to do."""
    workers: set[int] = set()
    while True:
        waiting, _, _ = select.select([listening, children], [], [], linger)
        workers -= _ended(children)
        if not waiting and not workers:
            return None
        if listening not in waiting:
            continue
        with listening.accept()[0] as client, suppress(OSError, ValueError):
            request, descriptors = _read(client)
            try:
                pid = os.fork()
            except OSError:
                pid = -1  # no room for another process: without an answer, the client sees to it
            if pid == 0:
                return request, *descriptors
            for descriptor in descriptors:
                os.close(descriptor)
            if pid > 0:
                workers.add(pid)
                client.sendall(MADE)


def _read(client: socket.socket) -> tuple[WorkerRequest, tuple[int, int]]:
    """Raises OSError and ValueError for what is no request."""
    client.settimeout(PATIENCE)
    text, descriptors, _, _ = socket.recv_fds(client, 1 << 16, 2)
    try:
        while not text.endswith(b"\n"):
            more = client.recv(1 << 16)
            if not more:
                raise ValueError("half a request")
            text += more
        request = msgspec.json.decode(text, type=WorkerRequest)
        printed, reported = descriptors
    except (OSError, ValueError):
        for descriptor in descriptors:
            os.close(descriptor)
        raise
    return request, (printed, reported)


def _awake_for_children() -> tuple[socket.socket, socket.socket]:
    """A socket that can be read whenever a child has ended, and its other end, to be kept open."""
    ready, wakes = socket.socketpair()
    ready.setblocking(False)
    wakes.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)  # a signal that nobody handles wakes nobody
    signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    return ready, wakes


def _ended(children: socket.socket) -> set[int]:
    with suppress(BlockingIOError):
        while children.recv(4096):
            pass
    ended: set[int] = set()
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            ended.add(pid)
    return ended


def _become(request: WorkerRequest, printed: int) -> None:
    """Turns a copy of the server into what a process started for this worker would be."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    for standard in (1, 2):
        os.dup2(printed, standard)
    os.close(printed)
    os.environ.clear()
    os.environb.update(request.env)
    time.tzset()
    sys.argv[1:] = ["worker", request.task_id]
    with suppress(OSError):
        Path("/proc/self/comm").write_text(request.task_id)  # what `top` and `ps -o comm` show
