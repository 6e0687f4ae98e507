"""One task put together from its parts, and taken apart again.

Opening is a sequence of steps, each on what those before it have made. The **log** is opened: this process alone writes it from
here on, and what it holds says whether the task has begun. The **settings** are read, and the **model** is opened that answers,
so that a missing key is found out before anything is made. The **environment** is prepared: the worktree, its sandbox, its
checks; where a new worktree has many files they may still be on their way. The **tools** are started, and connect while the
**conventions** are read. On all of these as its ports the **session** is started, or goes on where it was left; what the steps
so far had to say is recorded in it. Its **prefix** is fixed, and a new session is given its **context**. What is slow to import
is loaded meanwhile, and what need not be known for a first request only after that.
"""

import functools
import shutil
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.model_switch import check_switch
from goose_py.bootstrap.models import Answers, Models, chosen_model, default_model
from goose_py.bootstrap.opening.conventions import read_conventions
from goose_py.bootstrap.opening.environment import Environment, prepare_environment
from goose_py.bootstrap.opening.first_records import add_context, fix_prefix, session_started, tell_where
from goose_py.bootstrap.opening.opening import Opening
from goose_py.bootstrap.opening.session_ports import session_ports
from goose_py.bootstrap.settings import load_settings, told_of
from goose_py.bootstrap.tools import ToolPorts, start_tools
from goose_py.config.settings import Settings
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol import events as ev
from goose_py.protocol.commands import AnyCommand, Continue, Prompt, SetModel
from goose_py.protocol.messages import ModelRef
from goose_py.providers.profile import Profile
from goose_py.session.bus import Bus
from goose_py.session.log import LOG_NAME, Log, read_log
from goose_py.session.session import Session
from goose_py.tasks.checks import CheckRunner
from goose_py.tasks.spec import TaskSpec
from goose_py.tasks.store import TaskFolder
from goose_py.toolbox import Toolbox

if TYPE_CHECKING:
    from goose_py.tasks.changes.task_changes import TaskChanges


class OpenTask(msgspec.Struct, frozen=True):
    """A task that can be worked on. `perform` takes every command."""

    spec: TaskSpec
    folder: TaskFolder
    session: Session
    bus: Bus
    checks: CheckRunner
    models: Answers
    open_changes: Callable[[], "TaskChanges"]

    @property
    def changes(self) -> "TaskChanges":
        """Loaded when it is first used: nothing can be reviewed before the model has answered."""
        return self.open_changes()

    async def perform(self, command: AnyCommand) -> None:
        if isinstance(command, SetModel):
            for warning in await check_switch(self.models, self.session.state, command.model):
                self.session.emit(ev.Warned(text=warning))
        if isinstance(command, (Prompt, Continue)):
            await self.session.perform(command)
        elif isinstance(command, self.changes.EXCLUSIVE):
            await self.session.aside(self.changes.perform(command))
        elif not await self.changes.perform(command):
            await self.session.perform(command)

    def history(self) -> Iterable[ev.Record]:
        return read_log(self.folder.path).records


@asynccontextmanager
async def open_task(
    host: Host,
    folder: TaskFolder,
    *,
    watch: Callable[[Bus], None] = lambda bus: None,
    answers: Answers | None = None,
    attended: Callable[[], bool] | None = None,
    files_first: bool = True,
) -> AsyncIterator[OpenTask]:
    """Makes what is missing (worktree, log), opens what is there. `watch` gets the bus before the first event; `answers` stand
    in for the models of the settings; `attended` tells whether somebody can answer now (by default, where the task was made
    for somebody who can). Without `files_first` the model can be asked while the files of a new worktree are still on their
    way: where they never come, the block is cancelled and ends with the GooseError that says why. Raises GooseError with one
    sentence; a task that could not begin leaves nothing behind."""
    opening = Opening.of(host, folder)
    steps = _Steps(opening, answers, attended or (lambda: opening.spec.interactive), files_first)
    try:
        async with opening.stack:
            # Where no request is ever made, what waits for one must not keep the rest from being closed.
            try:
                task = await steps.take(watch)
            except BaseException:
                opening.later.now()
                raise
            opening.stack.callback(opening.later.now)
            try:
                yield task
            finally:
                await task.session.interrupt()
    except BaseException:
        if not steps.began:
            _forget(folder)
        raise


def _forget(folder: TaskFolder) -> None:
    if folder.waiting.exists():
        (folder.path / LOG_NAME).unlink()  # what it was asked to do stays in the queue
    else:
        shutil.rmtree(folder.path, ignore_errors=True)


class _Steps:
    """The steps of opening a task, in the order in which they depend on each other."""

    def __init__(
        self, opening: Opening, answers: Answers | None, attended: Callable[[], bool], files_first: bool
    ) -> None:
        self._opening = opening
        self._answers = answers
        self._attended = attended
        self._files_first = files_first
        self._log: Log | None = None
        self._records: tuple[ev.Record, ...] = ()
        self._environment: Environment | None = None

    @property
    def began(self) -> bool:
        """Whether there is something that must not be lost: a log that another process writes, or a session in a worktree with
        its files."""
        if self._log is None or self._records:
            return True
        failed = self._environment is not None and self._environment.checkout.failed is not None
        return not failed and bool(read_log(self._opening.folder.path).records)

    async def take(self, watch: Callable[[Bus], None]) -> OpenTask:
        opening, spec = self._opening, self._opening.spec
        log = self._open_log()
        bus = self._open_bus(watch)
        loaded = load_settings(opening.host, spec)
        settings = loaded.settings
        begun = _begun_here(self._records, spec.task_id)
        ref, profile, models = await self._open_model(settings, self._records if begun else ())
        environment = await prepare_environment(opening, loaded, self._records, files_first=self._files_first)
        self._environment = environment
        worktree = environment.workspace.worktree
        models.values["workspace"] = str(environment.confinement.policy.seen_at)
        toolbox = await self._start_tools(environment)
        conventions = await read_conventions(opening, settings, environment, self._records, begun=begun)
        ports = session_ports(opening, settings, environment, toolbox, models, conventions.reader, self._attended)
        session = Session(log, bus, ports, self._records)
        if begun:
            await session.recover()
            tell_where(session, environment, self._records)
        else:
            session.emit(session_started(spec, settings, ref, environment))
        opening.coming.begin(session)
        opening.coming.warn((*told_of(loaded), *environment.workspace.warnings, *models.warnings))
        await fix_prefix(opening, session, toolbox, settings, profile)
        if not begun:
            await add_context(opening, session, settings, environment, conventions)
        if spec.interactive and (begun or not spec.prompt):
            opening.later.now()  # nobody waits for an answer yet
        changes = _open_changes(opening, session, worktree)
        return OpenTask(spec, opening.folder, session, bus, environment.checks.commands, models, changes)

    def _open_log(self) -> Log:
        """The log, which this process alone writes from here on. What a person should know of its damage is said."""
        opening, folder = self._opening, self._opening.folder.path
        if (folder / LOG_NAME).exists():
            log, contents = Log.open(folder, opening.host.now)
            self._records = contents.records
            opening.coming.warn(contents.warnings())
        else:
            log = Log.create(folder, opening.spec.task_id, opening.host.now)
        self._log = log
        opening.stack.callback(log.close)
        return log

    def _open_bus(self, watch: Callable[[Bus], None]) -> Bus:
        bus = Bus()
        self._opening.stack.callback(bus.close)
        watch(bus)
        return bus

    async def _open_model(self, settings: Settings, records: Sequence[ev.Record]) -> tuple[ModelRef, Profile, Answers]:
        """The model that the session used last, else the settings' choice. That a key is missing is found out here, before
        anything is made."""
        opening = self._opening
        used = (r.event.model for r in reversed(records) if isinstance(r.event, (ev.ModelSet, ev.SessionStarted)))
        ref = next(used, None) or chosen_model(settings)
        default = default_model(settings, opening.spec.overrides)
        models = self._answers or Models(opening.host, settings, opening.secrets, default)
        opening.stack.push_async_callback(models.close)
        model = await models.open(ref)
        # What the first request needs is loaded while the worktree is made.
        opening.meanwhile(opening.later.alone(model.prepare))
        return ref, model.profile, models

    async def _start_tools(self, environment: Environment) -> Toolbox:
        opening, coming = self._opening, self._opening.coming
        ports = ToolPorts(
            load=opening.later.load, planning=coming.planning, changed=coming.extension_changed, redact=opening.redact
        )
        toolbox, warnings = await start_tools(
            opening.host, opening.folder, environment, opening.secrets, ports
        )
        opening.stack.push_async_callback(toolbox.close)
        coming.warn(warnings)
        return toolbox


def _begun_here(records: Iterable[ev.Record], task_id: str) -> bool:
    """Whether the session has started as this task. The log of an imported one begins with what was said elsewhere."""
    return any(isinstance(r.event, ev.SessionStarted) and r.event.session_id == task_id for r in records)


def _open_changes(opening: Opening, session: Session, worktree: TaskWorktree) -> Callable[[], "TaskChanges"]:
    @functools.cache
    def open_changes() -> "TaskChanges":
        from goose_py.tasks.changes.task_changes import ChangePorts, TaskChanges

        return TaskChanges(
            worktree,
            ChangePorts(
                emit=session.emit,
                history=lambda: read_log(opening.folder.path).records,
                check=session.check,
                scratch=opening.folder.scratch,
                new_id=opening.host.new_id,
                prompt=session.perform,
            ),
        )

    return open_changes
