"""Commands on their way to a task: to its worker where one runs, else performed here, on its log."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

from goose_py.bootstrap.checks_at_rest import run_checks
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef
from goose_py.session.log import Log
from goose_py.session.redaction import redacted
from goose_py.session.state import SessionState
from goose_py.tasks.changes.task_changes import ChangePorts, TaskChanges
from goose_py.tasks.client import ONLY_NEW, TaskClient, WorkerGone
from goose_py.tasks.spec import read_spec
from goose_py.tasks.store import TaskFolder


class CommandChannel(Protocol):
    async def send(self, command: cmd.AnyCommand) -> None:
        """Raises GooseError with one sentence; then nothing was changed."""
        ...


@asynccontextmanager
async def command_channel(host: Host, folder: TaskFolder) -> AsyncIterator[CommandChannel]:
    """Where no worker owns the log, this process does for as long. Raises UserError where another one has it, and where the
    task was not made here."""
    folder.require_made_here()
    if folder.owned():
        try:
            client = await TaskClient.connect(folder.socket, after=ONLY_NEW)
        except WorkerGone:
            raise UserError(f"The task {folder.task_id} is in use by another process; try again in a moment.") from None
        async with client.sending() as worker:
            yield worker
        return
    log, contents = Log.open(folder.path, host.now)
    try:
        yield _TaskAtRest(host, folder, log, contents.records)
    finally:
        log.close()


async def send_command(host: Host, folder: TaskFolder, command: cmd.AnyCommand) -> None:
    """One command. Raises GooseError with one sentence; then nothing was changed."""
    async with command_channel(host, folder) as channel:
        await channel.send(command)


class _TaskAtRest:
    """No session runs: nothing can be said to the task, everything else goes as ever. What is about its settings needs no
    worktree: it goes also where the repository is gone."""

    def __init__(self, host: Host, folder: TaskFolder, log: Log, records: Sequence[ev.Record]) -> None:
        self._host = host
        self._folder = folder
        self._log = log
        self._records = list(records)
        self._redact = redaction(host)
        self._changes: TaskChanges | None = None

    async def send(self, command: cmd.AnyCommand) -> None:
        match command:
            case cmd.SetLimits(limits=limits):
                self._emit(ev.LimitsSet(limits=limits))
            case cmd.SetTitle(title=title):
                self._emit(ev.TitleSet(title=title))
            case cmd.SetModel(model=ref):
                await self._set_model(ref)
            case cmd.Deliver():
                await self._deliver(command)
            case _:
                if not await (await self._open_changes()).perform(command):
                    raise UserError("That needs a running task.")

    async def _set_model(self, ref: ModelRef) -> None:
        from goose_py.bootstrap.model_switch import check_switch
        from goose_py.bootstrap.models import Models
        from goose_py.bootstrap.settings import load_settings, secret_store

        settings = load_settings(self._host, read_spec(self._folder.path)).settings
        models = Models(self._host, settings, secret_store(self._host))
        try:
            warnings = await check_switch(models, SessionState(self._records), ref)
        finally:
            await models.close()
        for warning in warnings:
            self._emit(ev.Warned(text=warning))
        self._emit(ev.ModelSet(model=ref))

    async def _deliver(self, command: cmd.Deliver) -> None:
        from goose_py.workers.delivery import deliver, wanted_delivery

        worktree = (await self._open_changes()).worktree
        delivery = wanted_delivery(read_spec(self._folder.path), command)
        await deliver(self._host, self._folder, worktree, delivery, lambda: self._records, self._emit)

    async def _open_changes(self) -> TaskChanges:
        if self._changes is None:
            host, scratch = self._host, self._folder.scratch
            worktree = await open_worktree(host, self._folder, tuple(self._records))
            scratch.mkdir(mode=0o700, exist_ok=True)
            ports = ChangePorts(
                emit=self._emit, history=lambda: self._records, check=self._check, scratch=scratch, new_id=host.new_id
            )
            self._changes = TaskChanges(worktree, ports)
        return self._changes

    def _emit(self, event: ev.DurableEvent) -> None:
        self._records.append(self._log.append(redacted(event, self._redact)))

    async def _check(self) -> Sequence[ev.VerificationFinished]:
        worktree = (await self._open_changes()).worktree
        return await run_checks(self._host, self._folder, worktree, self._records, self._emit)
