"""Worker processes: start one for a task, or find the one that runs.

A worker is a process of its own session, so that closing a terminal does not reach it. It says over a pipe when its socket can
be reached, or in one sentence why it never will be.
"""

import asyncio
import json
import os
from contextlib import suppress

from goose_py.bootstrap.host import Host
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import GooseError
from goose_py.tasks.client import ONLY_NEW, TaskClient, WorkerGone
from goose_py.tasks.store import TaskFolder
from goose_py.workers.detached_process import start_detached
from goose_py.workers.fork_client import fork_worker

START_TIMEOUT = 120.0


class WorkerFailed(GooseError):
    """The worker could not start its task."""


async def connect(host: Host, folder: TaskFolder, after: int) -> TaskClient:
    """A client of the task's worker, which is started when none runs. Raises WorkerFailed."""
    try:
        return await TaskClient.connect(folder.socket, after)
    except WorkerGone:
        await start_worker(host, folder)
        return await TaskClient.connect(folder.socket, after)


async def tell(host: Host, folder: TaskFolder, command: AnyCommand) -> None:
    """Sends one command to the task's worker, which is started where none runs. Raises UserError with its refusal."""
    async with (await connect(host, folder, after=ONLY_NEW)).sending() as worker:
        await worker.send(command)


async def start_worker(host: Host, folder: TaskFolder) -> None:
    """Starts a worker and returns when its socket is open. Where another one has won the race, that one is used."""
    reader, writer = os.pipe()
    log = os.open(folder.worker_log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        if not await fork_worker(host, folder.task_id, log, writer):
            # It shares nothing with others.
            start_detached("worker", folder.task_id, "--ready-fd", str(writer), env=host.env, pass_fds=(writer,), printed=log)
    finally:
        os.close(writer)
        os.close(log)
    answer = await _read_answer(reader)
    if answer is None:
        tail = folder.worker_log.read_text("utf-8", "replace").strip().splitlines()[-1:]
        raise WorkerFailed(f"The worker of task {folder.task_id} ended at once: {' '.join(tail) or 'it said nothing'}.")
    if error := answer.get("error"):
        raise WorkerFailed(error)


class Starter:
    """Whoever waits for a worker to be ready, at the other end of a pipe. It is told once; what comes later is for the worker's
    log alone."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor: int | None = descriptor

    def tell(self, error: str = "") -> None:
        """That the socket is open, or in a sentence why it never will be."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            os.write(self._descriptor, json.dumps({"error": error}).encode() + b"\n")
        os.close(self._descriptor)
        self._descriptor = None


async def _read_answer(fd: int) -> dict[str, str] | None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb"))
    try:
        async with asyncio.timeout(START_TIMEOUT):
            line = await reader.readline()
    except TimeoutError:
        return {"error": f"The worker did not start within {START_TIMEOUT:g} seconds."}
    finally:
        transport.close()
    return json.loads(line) if line else None
