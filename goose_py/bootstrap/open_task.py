"""One task put together from its parts, and taken apart again."""

import asyncio
import functools
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from goose_py import __version__
from goose_py.agent.conventions import Conventions, ConventionTools, conventions_in
from goose_py.bootstrap.check_runner import check_runner, set_up
from goose_py.bootstrap.confinement import Confinement, confine, probe_here, require, way_out
from goose_py.bootstrap.deferred_imports import Later
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.model_switch import check_switch
from goose_py.bootstrap.models import Answers, Models, chosen_model, default_model
from goose_py.bootstrap.settings import load_settings, secret_store, told_of
from goose_py.bootstrap.tools import ToolPorts, all_ours, extensions_of, prefix_of, start_tools
from goose_py.bootstrap.workspace.background_checkout import Checkout, checkout
from goose_py.bootstrap.workspace.conventions import conventions_of_base, global_conventions
from goose_py.bootstrap.workspace.orientation import describe
from goose_py.bootstrap.workspace.worktree import OpenWorkspace, open_workspace
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev
from goose_py.protocol.commands import AnyCommand, Continue, Prompt, SetModel
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.tools import ToolSpec
from goose_py.providers.fitness import window_warning
from goose_py.providers.profile import Profile
from goose_py.session.bus import Bus
from goose_py.session.log import LOG_NAME, Log, read_log
from goose_py.session.ports import SessionPorts, Workspace
from goose_py.session.session import Session
from goose_py.tasks.changes.workspace import workspace_of
from goose_py.tasks.checks import CheckRunner
from goose_py.tasks.spec import TaskSpec, read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.toolbox import StateChange, Toolbox
from goose_py.toolbox.spec import ExtensionSpec

if TYPE_CHECKING:
    from goose_py.bootstrap.permissions import Judge
    from goose_py.tasks.changes.task_changes import TaskChanges

SETTLE_SECONDS = 10.0
AT_ONCE = 0.02
FEW_FILES = 500
"""So many are there before anything else is ready."""

T = TypeVar("T")


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
    opening = _Opening(host, folder, answers, attended, files_first)
    try:
        async with opening.stack:
            task = await opening.open(watch)
            try:
                yield task
            finally:
                await task.session.interrupt()
    except BaseException:
        if not opening.began:
            _forget(folder)
        raise


def _forget(folder: TaskFolder) -> None:
    if folder.waiting.exists():
        (folder.path / LOG_NAME).unlink()  # what it was asked to do stays in the queue
    else:
        shutil.rmtree(folder.path, ignore_errors=True)


class _Place(msgspec.Struct, frozen=True):
    """Where a task works, what confines it there, and the files of its base."""

    workspace: OpenWorkspace
    files: tuple[str, ...]
    checkout: Checkout
    confinement: Confinement
    checks: CheckRunner
    extensions: Sequence[ExtensionSpec]


class _FirstWords(msgspec.Struct, frozen=True):
    """The conventions that apply from the start, and the reader of those to come."""

    conventions: Conventions
    text: str = ""
    warnings: tuple[str, ...] = ()


class _Early:
    """Says things in the session, as soon as there is one."""

    def __init__(self) -> None:
        self._session: Session | None = None
        self._kept: list[ev.DurableEvent] = []

    def begin(self, session: Session) -> None:
        self._session = session
        for event in self._kept:
            session.emit(event)

    def tell(self, event: ev.DurableEvent) -> None:
        if self._session is None:
            self._kept.append(event)
        else:
            self._session.emit(event)

    def warn(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self.tell(ev.Warned(text=warning))

    def changed(self, change: StateChange) -> None:
        """What has become of an extension."""
        self.tell(
            ev.ExtensionChanged(extension=change.extension, state=change.state, detail=change.detail, tools=change.tools)
        )
        self.warn(change.warnings)
        if change.late:
            text = f"The tools of the extension {change.extension} are there now: tool_search finds them."
            self.tell(ev.ContextAdded(source="extensions", text=text))

    def base_tree(self) -> str | None:
        return self._session.state.base_tree if self._session is not None else None

    def planning(self) -> bool:
        return self._session is not None and self._session.state.mode == "plan"


class _Opening:
    """The steps of opening a task, in the order in which they depend on each other. What has to be closed is on `stack`."""

    def __init__(
        self,
        host: Host,
        folder: TaskFolder,
        answers: Answers | None,
        attended: Callable[[], bool] | None,
        files_first: bool,
    ) -> None:
        self.stack = AsyncExitStack()
        self._host = host
        self._folder = folder
        self._answers = answers
        self._files_first = files_first
        self._early = _Early()
        self._later = Later()
        self._spec = read_spec(folder.path)
        self._attended = attended or (lambda: self._spec.interactive)
        self._secrets = secret_store(host)
        self._redact = redaction(host, self._secrets)
        self._log: Log | None = None
        self._records: tuple[ev.Record, ...] = ()
        self._checkout: Checkout | None = None

    @property
    def began(self) -> bool:
        """Whether there is something that must not be lost: a log that another process writes, or a session in a worktree with
        its files."""
        if self._log is None or self._records:
            return True
        failed = self._checkout is not None and self._checkout.failed is not None
        return not failed and bool(read_log(self._folder.path).records)

    async def open(self, watch: Callable[[Bus], None]) -> OpenTask:
        try:
            return await self._open(watch)
        except BaseException:
            self._give_up()
            raise

    async def _open(self, watch: Callable[[Bus], None]) -> OpenTask:
        spec = self._spec
        log = self._open_log()
        bus = Bus()
        self.stack.callback(bus.close)
        watch(bus)
        loaded = load_settings(self._host, spec)
        settings = loaded.settings
        begun = begun_here(self._records, spec.task_id)
        ref, profile, models = await self._who_answers(settings, self._records if begun else ())
        place = await self._place(settings)
        models.values["workspace"] = str(place.workspace.worktree.path)
        toolbox = await self._toolbox(place)
        words = await self._first_words(settings, place, begun)
        session = Session(log, bus, self._ports(settings, place, toolbox, models, words), self._records)
        if begun:
            await session.recover()
        else:
            session.emit(_started(spec, settings, ref, place.workspace))
        self._early.begin(session)
        self._early.warn((*told_of(loaded), *place.workspace.warnings, *models.warnings))
        await self._set_prefix(session, toolbox, settings, profile)
        if not begun:
            await self._begin(session, settings, place, words)
        if spec.interactive and (begun or not spec.prompt):
            self._later.now()  # nobody waits for an answer yet
        self.stack.callback(self._give_up)
        return OpenTask(spec, self._folder, session, bus, place.checks, models, self._changes_of(session, place))

    def _give_up(self) -> None:
        """Where no request is ever made, what waits for one must not keep the rest from being closed."""
        self._later.now()

    def _open_log(self) -> Log:
        """The log, which this process alone writes from here on. What a person should know of its damage is said."""
        folder = self._folder.path
        if (folder / LOG_NAME).exists():
            log, contents = Log.open(folder, self._host.now)
            self._records = contents.records
            self._early.warn(contents.warnings())
        else:
            log = Log.create(folder, self._spec.task_id, self._host.now)
        self._log = log
        self.stack.callback(log.close)
        return log

    async def _who_answers(self, settings: Settings, records: Sequence[ev.Record]) -> tuple[ModelRef, Profile, Answers]:
        """The model that the session used last, else the settings' choice. That a key is missing is found out here, before
        anything is made."""
        used = (r.event.model for r in reversed(records) if isinstance(r.event, (ev.ModelSet, ev.SessionStarted)))
        ref = next(used, None) or chosen_model(settings)
        default = default_model(settings, self._spec.overrides)
        models = self._answers or Models(self._host, settings, self._secrets, default)
        self.stack.push_async_callback(models.close)
        model = await models.open(ref)
        # What the first request needs is loaded while the worktree is made.
        self._meanwhile(self._later.alone(model.prepare))
        return ref, model.profile, models

    async def _place(self, settings: Settings) -> _Place:
        """The worktree and its sandbox. When this returns the files are there, unless nothing needs them yet."""
        host, folder = self._host, self._folder
        extensions, warnings = extensions_of(self._spec, settings)
        self._early.warn(warnings)
        probing = self._meanwhile(probe_here(host, none_chosen=settings.sandbox.level == "none"))
        workspace = await open_workspace(host, folder, self._spec, settings, self._records)
        worktree = workspace.worktree
        arriving = self._checkout = await self.stack.enter_async_context(checkout(workspace.fill))
        listing = self._meanwhile(worktree.base_files())
        confinement = await confine(host, settings, folder, worktree, await probing, workspace.copy_of)
        self._early.warn(confinement.warnings)
        require(confinement, settings, interactive=self._spec.interactive)
        opened = way_out(confinement, settings, folder, lambda text: self._early.warn((text,)))
        confinement = await self.stack.enter_async_context(opened)
        checks = check_runner(host, settings, folder, confinement, self._redact)
        place = _Place(workspace, await listing, arriving, confinement, checks, extensions)
        if not self._asks_early(settings, place):
            await arriving.done()
        return place

    def _asks_early(self, settings: Settings, place: _Place) -> bool:
        """Whether the first request may leave before the files are there: where they are many, and nothing reads them before.
        A setup command does; so may a server of somebody else when it starts. With submodules, or a sparse checkout, a
        worktree does not hold just what its base lists."""
        worktree = place.workspace.worktree
        wanted = not (self._files_first or place.workspace.filled) and len(place.files) > FEW_FILES
        as_listed = not (worktree.submodules or worktree.store.settings.sparse)
        return wanted and as_listed and settings.worktree.setup is None and all_ours(place.extensions)

    async def _toolbox(self, place: _Place) -> Toolbox:
        ports = ToolPorts(
            load=self._later.load, planning=self._early.planning, changed=self._early.changed, redact=self._redact
        )
        toolbox, warnings = await start_tools(
            self._host, self._folder, place.extensions, place.confinement, self._secrets, ports
        )
        self.stack.push_async_callback(toolbox.close)
        self._early.warn(warnings)
        return toolbox

    async def _first_words(self, settings: Settings, place: _Place, begun: bool) -> _FirstWords:
        worktree, tracked, names = place.workspace.worktree, frozenset(place.files), settings.context_files
        shared = global_conventions(self._host, settings)
        if not begun and self._asks_early(settings, place):
            conventions, text = await conventions_of_base(worktree, tracked, names, shared, self._folder.scratch)
            return _FirstWords(conventions, text, conventions.warnings())
        known = conventions_in(self._records)
        conventions = Conventions(worktree.path, names, lambda path: path not in tracked, known)
        if begun:
            return _FirstWords(conventions)
        text = conventions.initial(shared, worktree.path)
        return _FirstWords(conventions, text, conventions.warnings())

    def _ports(
        self, settings: Settings, place: _Place, toolbox: Toolbox, models: Answers, words: _FirstWords
    ) -> SessionPorts:
        host, spec, judge = self._host, self._spec, self._judge(settings, place)
        trees = workspace_of(place.workspace.worktree, self._early.base_tree)
        trees["snapshot"] = place.checkout.snapshot(trees["snapshot"])
        return SessionPorts(
            tools=place.checkout.tools(toolbox),
            workspace=Workspace(**trees, verify=place.checks.run),
            answering=self._later.asked(models.answering),
            judge=lambda call, tool, mode: judge().judge(call, tool, mode),
            keep=lambda answer, judgement, call: judge().keep(answer, judgement, call),
            changes=lambda call, tool: judge().changes(call, tool),
            attended=self._attended,
            now=host.now,
            monotonic=host.monotonic,
            new_id=host.new_id,
            around_tools=(lambda tools, emit: ConventionTools(tools, words.conventions, emit),),
            warn=settings.limits.soft(),
            redact=self._redact,
            check_unchanged=bool(spec.checks) or "checks" in spec.overrides,
            response_schema=spec.response_schema,
            planning=settings.plan_approval != "off",
            plan_needs_approval=settings.plan_approval == "ask",
        )

    def _judge(self, settings: Settings, place: _Place) -> Callable[[], "Judge"]:
        """The permission rules, loaded when they are first asked: nothing is judged before the model has answered."""

        @functools.cache
        def judge() -> "Judge":
            from goose_py.bootstrap.permissions import Judge

            checks = (*settings.checks, *self._spec.checks)
            worktree = place.workspace.worktree
            return Judge.create(self._host, settings, place.confinement, worktree, place.files, checks)

        if settings.rules:
            judge()  # one that is wrong is said before anything begins
        self._meanwhile(self._later.load(judge))
        return judge

    async def _set_prefix(self, session: Session, toolbox: Toolbox, settings: Settings, profile: Profile) -> None:
        """Once a session: what every request begins with. A resumed one keeps its bytes."""
        prefix = session.state.prefix
        if prefix is not None:
            await toolbox.settle(SETTLE_SECONDS, offered=[tool for tool in prefix.tools if tool.extension])
            return
        prefix = prefix_of(self._spec, settings, profile, await self._settled(toolbox))
        session.emit(prefix)
        if (warning := window_warning(prefix.system, prefix.tools, profile)) is not None:
            self._early.warn((warning,))

    async def _settled(self, toolbox: Toolbox) -> tuple[ToolSpec, ...]:
        """What is on offer. Tools that are not known from the bundle or from an earlier session have to be asked for, and then
        nothing can wait for the first request."""
        settling = self._meanwhile(toolbox.settle(SETTLE_SECONDS))
        await asyncio.wait({settling}, timeout=AT_ONCE)
        if not settling.done():
            self._later.now()
        return await settling

    async def _begin(self, session: Session, settings: Settings, place: _Place, words: _FirstWords) -> None:
        """What the model is told before the first prompt."""
        sandbox = place.confinement.found.sentence
        surroundings = describe(self._host, place.workspace.worktree, place.files, sandbox)
        if settings.worktree.setup is not None:
            runner = place.checks.with_timeout(settings.worktree.setup_timeout)
            went, failed = await set_up(settings.worktree.setup, runner)
            surroundings += f"\n{went}"
            self._early.warn(() if failed is None else (failed,))
        session.emit(ev.ContextAdded(source="environment", text=surroundings))
        if words.text:
            session.emit(ev.ContextAdded(source="conventions", text=words.text))
        self._early.warn(words.warnings)

    def _changes_of(self, session: Session, place: _Place) -> Callable[[], "TaskChanges"]:
        host, folder, worktree = self._host, self._folder, place.workspace.worktree

        @functools.cache
        def open_changes() -> "TaskChanges":
            from goose_py.tasks.changes.task_changes import ChangePorts, TaskChanges

            return TaskChanges(
                worktree,
                ChangePorts(
                    emit=session.emit,
                    history=lambda: read_log(folder.path).records,
                    check=session.check,
                    scratch=folder.scratch,
                    new_id=host.new_id,
                    prompt=session.perform,
                ),
            )

        return open_changes

    def _meanwhile(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts what need not be waited for yet, and does not outlive the task."""
        task = asyncio.create_task(work)
        self.stack.push_async_callback(_settled, task)
        return task


def begun_here(records: Iterable[ev.Record], task_id: str) -> bool:
    """Whether the session has started as this task. The log of an imported one begins with what was said elsewhere."""
    return any(isinstance(r.event, ev.SessionStarted) and r.event.session_id == task_id for r in records)


async def _settled(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})


def _started(spec: TaskSpec, settings: Settings, ref: ModelRef, workspace: OpenWorkspace) -> ev.SessionStarted:
    worktree = workspace.worktree
    return ev.SessionStarted(
        session_id=spec.task_id,
        title=spec.title,
        workspace=str(worktree.path),
        repository=str(worktree.repository.root),
        branch=worktree.branch,
        base=worktree.base.commit,
        base_tree=worktree.base.tree,
        base_branch=worktree.base.branch,
        includes_changes=worktree.base.includes_changes,
        model=ref,
        mode=settings.mode,
        interactive=spec.interactive,
        limits=settings.limits.hard(),
        checks=tuple(dict.fromkeys((*settings.checks, *spec.checks))),
        program=__version__,
        recipe=spec.recipe,
        copy_of=workspace.copy_of,
    )
