"""The worker process: one task, its socket, and nobody else."""

import asyncio
import logging
import shutil
import sys
from collections.abc import Callable

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.open_task import OpenTask, open_task
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import GooseError
from goose_py.session.log import LogBusy, LogWriteFailed
from goose_py.tasks.server import TaskServer
from goose_py.workers.event_loop import TURN_PATIENCE, Ending, run
from goose_py.workers.launch import Starter
from goose_py.workers.queue import start_waiting
from goose_py.workers.queue_watch import queue_kept_moving

LINGER = 60.0
"""Seconds that an idle worker without consumers stays, so that the next look at the task is quick."""


def work(task_id: str, ready_fd: int) -> int:
    """Runs until the task is idle and nobody looks, or `Shutdown` comes. What is expected to go wrong before the socket is
    open is reported to whoever started us."""
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING)
    for handler in logging.getLogger().handlers:
        handler.setFormatter(_WithoutSecrets(redaction(Host.here())))
    starter = Starter(ready_fd)
    try:
        run(lambda ending: _work(task_id, starter, ending))
    except LogBusy:
        starter.tell()  # another worker was faster: its socket is as good
    except GooseError as error:
        starter.tell(str(error))
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        starter.tell("The worker was ended before it had begun.")
    return 0


class _WithoutSecrets(logging.Formatter):
    """For what libraries and the event loop say, tracebacks included: it is kept in the worker's log."""

    def __init__(self, redact: Callable[[str], str]) -> None:
        super().__init__("%(levelname)s:%(name)s:%(message)s")
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        return self._redact(super().format(record))


async def _work(task_id: str, starter: Starter, ending: Ending) -> None:
    host = Host.here()
    folder = host.tasks.folder(task_id)
    stop = asyncio.Event()
    # A worker runs beside an inbox: whoever began the task, somebody can answer it there.
    async with open_task(host, folder, attended=lambda: True) as task:

        async def perform(command: cmd.AnyCommand) -> None:
            if isinstance(command, cmd.Shutdown):
                await task.session.interrupt()
                stop.set()
            elif isinstance(command, cmd.Deliver):
                from goose_py.workers.delivery import deliver_now

                await deliver_now(host, task, command)
            else:
                await task.perform(command)

        server = TaskServer(task_id, task.bus, task.history, perform)
        await server.listen(folder.socket)
        starter.tell()
        try:
            async with queue_kept_moving(host):
                await _begin(host, task)
                await _until_unneeded(host, task, server, stop)
        except asyncio.CancelledError:
            ending.taken()
            await task.session.end(TURN_PATIENCE)
            folder.socket.unlink(missing_ok=True)
            return
        finally:
            await task.session.interrupt()
            await server.close()
            folder.socket.unlink(missing_ok=True)
        untouched = await _untouched(task)
        worktree = task.changes.worktree
    if untouched:
        # A conversation that was opened and left without a word: there is nothing in it that could be lost.
        await worktree.remove()
        shutil.rmtree(folder.path, ignore_errors=True)
        return
    from goose_py.workers.release import release_unused

    await release_unused(host, folder)


async def _begin(host: Host, task: OpenTask) -> None:
    """The first prompt, once: a worker that was killed right after it has only to go on."""
    if task.session.state.turns == 0 and task.spec.prompt:
        said = any(isinstance(record.event, ev.PromptReceived) for record in task.history())
        prompt = cmd.Prompt(prompt_id=host.new_id(), parts=task.spec.prompt)
        await task.perform(cmd.Continue() if said else prompt)
    task.folder.waiting.unlink(missing_ok=True)


async def _untouched(task: OpenTask) -> bool:
    if any(isinstance(record.event, ev.PromptReceived) for record in task.history()):
        return False
    worktree = task.changes.worktree
    return worktree.intact and (await worktree.snapshot()).tree == worktree.base.tree


async def _until_unneeded(host: Host, task: OpenTask, server: TaskServer, stop: asyncio.Event) -> None:
    """Ends when asked to, or when nothing runs and nobody has looked for a while. Raises LogWriteFailed."""
    stopping = asyncio.ensure_future(stop.wait())
    turns = task.session.state.turns if not task.session.running() else -1
    try:
        while not stop.is_set():
            idle = asyncio.ensure_future(task.session.idle())
            await _either(stopping, idle)
            if stop.is_set():
                return
            failure = idle.exception()
            if isinstance(failure, LogWriteFailed) and not server.attached:
                raise failure  # with nobody to see it, a worker that stays would pass for one that works
            if task.spec.delivery is not None and task.session.state.turns != turns:
                from goose_py.workers.delivery import deliver_if_done

                turns = task.session.state.turns
                await deliver_if_done(host, task)
            await start_waiting(host)
            changed = asyncio.ensure_future(server.connections_changed())
            await _either(stopping, changed, timeout=None if server.attached else LINGER)
            if not changed.done() and not server.attached and not task.session.running():
                changed.cancel()
                return
            changed.cancel()
    finally:
        stopping.cancel()


async def _either(*waiting: "asyncio.Future[object]", timeout: float | None = None) -> None:
    await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
