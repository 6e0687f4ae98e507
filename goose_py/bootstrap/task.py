"""One task put together from its parts, and taken apart again."""

import asyncio
import functools
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from goose_py import __version__, bundled
from goose_py.agent.conventions import Conventions, ConventionTools, conventions_in
from goose_py.agent.final_output import final_output_spec
from goose_py.agent.planner import UPDATE_PLAN_SPEC
from goose_py.agent.prompts import system_prompt
from goose_py.bootstrap.confinement import Confinement, confine, probe_here, require, way_out
from goose_py.bootstrap.extensions import configured, of_recipe
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.later import Later
from goose_py.bootstrap.models import Answers, Models, chosen_model, default_model
from goose_py.bootstrap.orientation import describe
from goose_py.bootstrap.processes import ProcessList
from goose_py.bootstrap.settings import load_settings, secret_store, told_of
from goose_py.bootstrap.switching import check_switch
from goose_py.bootstrap.worktree import OpenWorkspace, open_workspace
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev
from goose_py.protocol.commands import AnyCommand, Continue, Prompt, SetModel
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.redact import RedactingStream
from goose_py.protocol.tools import ToolSpec
from goose_py.providers.fitness import window_warning
from goose_py.providers.profile import Profile
from goose_py.session.bus import Bus
from goose_py.session.log import LOG_NAME, Log, read_log
from goose_py.session.ports import SessionPorts, Workspace
from goose_py.session.session import Session
from goose_py.tasks.checks import CheckRunner
from goose_py.tasks.spec import TaskSpec, read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.workspace import workspace_of
from goose_py.toolbox import ExtensionHost, Places, StateChange, Toolbox

if TYPE_CHECKING:
    from goose_py.bootstrap.judging import Judge
    from goose_py.tasks.changes import TaskChanges

SETTLE_SECONDS = 10.0
AT_ONCE = 0.02
SHELL = "/bin/bash"

T = TypeVar("T")


@dataclass(frozen=True)
class OpenTask:
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
) -> AsyncIterator[OpenTask]:
    """Makes what is missing (worktree, log), opens what is there. `watch` gets the bus before the first event; `answers` stand
    in for the models of the settings; `attended` tells whether somebody can answer now (by default, where the task was made
    for somebody who can). Raises GooseError with one sentence; a task that could not begin leaves nothing
    behind."""
    async with AsyncExitStack() as stack:
        opening = _Opening(host, folder, stack, answers, attended)
        try:
            task = await opening.open(watch)
        except BaseException:
            opening.give_up()
            await stack.aclose()
            _forget_if_empty(folder)
            raise
        try:
            yield task
        finally:
            await task.session.interrupt()


def _forget_if_empty(folder: TaskFolder) -> None:
    if not (folder.path / LOG_NAME).exists() or read_log(folder.path).records:
        return
    if folder.waiting.exists():
        (folder.path / LOG_NAME).unlink()  # what it was asked to do stays in the queue
    else:
        shutil.rmtree(folder.path, ignore_errors=True)


class _Opening:
    """The steps of opening a task, in the order in which they depend on each other. What has to be closed is on `stack`."""

    def __init__(
        self,
        host: Host,
        folder: TaskFolder,
        stack: AsyncExitStack,
        answers: Answers | None,
        attended: Callable[[], bool] | None,
    ) -> None:
        self._host = host
        self._folder = folder
        self._stack = stack
        self._answers = answers
        self._session: Session | None = None
        self._early: list[ev.DurableEvent] = []
        self._later = Later()
        self._spec = read_spec(folder.path)
        self._attended = attended or (lambda: self._spec.interactive)
        self._secrets = secret_store(host)
        self._redact = redaction(host, self._secrets)

    async def open(self, watch: Callable[[Bus], None]) -> OpenTask:
        host, folder, spec = self._host, self._folder, self._spec
        log, records, problems = self._open_log()
        bus = Bus()
        self._stack.callback(bus.close)
        watch(bus)
        loaded = load_settings(host, spec)
        settings = loaded.settings
        begun = begun_here(records, spec.task_id)
        ref, profile, models = await self._who_answers(settings, records if begun else ())
        probing = self._meanwhile(probe_here(host, none_chosen=settings.sandbox.level == "none"))
        workspace = await open_workspace(host, folder, spec, settings, records)
        worktree = workspace.worktree
        models.values["workspace"] = str(worktree.path)
        listing = self._meanwhile(worktree.base_files())
        confinement = await confine(host, settings, folder, worktree, await probing)
        require(confinement, settings, interactive=spec.interactive)
        opening = way_out(confinement, settings, folder, lambda text: self._say((text,)))
        confinement = await self._stack.enter_async_context(opening)
        checks = CheckRunner(
            confinement.spawn(),
            worktree.path,
            confinement.env,
            folder.logs,
            SHELL,
            settings.check_timeout,
            host.monotonic,
            self._redact,
        )
        toolbox = await self._toolbox(settings, confinement)
        files = await listing
        tracked = frozenset(files)
        conventions = Conventions(
            worktree.path, settings.context_files, lambda path: path not in tracked, known=conventions_in(records)
        )

        @functools.cache
        def judge() -> "Judge":
            from goose_py.bootstrap.judging import Judge

            return Judge.create(host, settings, confinement, worktree, files, (*settings.checks, *spec.checks))

        if settings.rules:
            judge()  # one that is wrong is said before anything begins
        self._meanwhile(self._later.load(judge))
        session = Session(
            log,
            bus,
            SessionPorts(
                tools=toolbox,
                workspace=Workspace(**workspace_of(worktree, self._base_tree), verify=checks.run),
                answering=self._later.asked(models.answering),
                judge=lambda call, tool, mode: judge().judge(call, tool, mode),
                keep=lambda answer, judgement, call: judge().keep(answer, judgement, call),
                changes=lambda call, tool: judge().changes(call, tool),
                attended=self._attended,
                now=host.now,
                monotonic=host.monotonic,
                new_id=host.new_id,
                around_tools=(lambda tools, emit: ConventionTools(tools, conventions, emit),),
                warn=settings.limits.soft(),
                redact=self._redact,
                check_unchanged=bool(spec.checks) or "checks" in spec.overrides,
                response_schema=spec.response_schema,
                planning=settings.plan_approval != "off",
                plan_needs_approval=settings.plan_approval == "ask",
            ),
            records,
        )
        if begun:
            await session.recover()
        else:
            session.emit(_started(spec, settings, ref, workspace))
        self._session = session
        for event in self._early:
            session.emit(event)
        self._say((*problems, *told_of(loaded), *workspace.warnings, *models.warnings))
        await self._set_prefix(session, toolbox, settings, profile)
        if not begun:
            surroundings = describe(host, worktree, files, confinement.found.sentence)
            if settings.worktree.setup is not None:
                runner = checks.with_timeout(settings.worktree.setup_timeout)
                surroundings += f"\n{await self._set_up(settings.worktree.setup, runner)}"
            session.emit(ev.ContextAdded(source="environment", text=surroundings))
            if text := conventions.initial(_global_conventions(host, settings), worktree.path):
                session.emit(ev.ContextAdded(source="conventions", text=text))
            self._say(conventions.warnings())

        @functools.cache
        def open_changes() -> "TaskChanges":
            from goose_py.tasks.changes import ChangePorts, TaskChanges

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

        if spec.interactive and (begun or not spec.prompt):
            self._later.now()  # nobody waits for an answer yet
        self._stack.callback(self.give_up)
        return OpenTask(spec, folder, session, bus, checks, models, open_changes)

    def give_up(self) -> None:
        """Where no request is ever made, what waits for one must not keep the rest from being closed."""
        self._later.now()

    def _open_log(self) -> tuple[Log, tuple[ev.Record, ...], tuple[str, ...]]:
        """The log, what it holds, and what a person should know of its damage."""
        folder = self._folder.path
        if (folder / LOG_NAME).exists():
            log, contents = Log.open(folder, self._host.now)
            records, problems = contents.records, contents.warnings()
        else:
            log, records, problems = Log.create(folder, self._spec.task_id, self._host.now), (), ()
        self._stack.callback(log.close)
        return log, records, problems

    async def _who_answers(self, settings: Settings, records: Sequence[ev.Record]) -> tuple[ModelRef, Profile, Answers]:
        """The model that the session used last, else the settings' choice. That a key is missing is found out here, before
        anything is made."""
        used = (r.event.model for r in reversed(records) if isinstance(r.event, (ev.ModelSet, ev.SessionStarted)))
        ref = next(used, None) or chosen_model(settings)
        default = default_model(settings, self._spec.overrides)
        models = self._answers or Models(self._host, settings, self._secrets, default)
        self._stack.push_async_callback(models.close)
        model = await models.open(ref)
        # What the first request needs is loaded while the worktree is made.
        self._meanwhile(self._later.alone(model.prepare))
        return ref, model.profile, models

    def _meanwhile(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts what need not be waited for yet, and does not outlive the task."""
        task = asyncio.create_task(work)
        self._stack.push_async_callback(_settled, task)
        return task

    async def _toolbox(self, settings: Settings, confinement: Confinement) -> Toolbox:
        spec, folder = self._spec, self._folder
        extensions = [] if spec.own_extensions else configured(settings)
        added, warnings = of_recipe(spec.extensions)
        self._say(warnings)
        sandbox, policy = confinement.found.sandbox, confinement.policy

        def launch(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> tuple[Sequence[str], Mapping[str, str]]:
            wrapped = sandbox.wrap(argv, cwd, env, policy)
            return wrapped.argv, wrapped.env

        secrets = self._secrets
        granted = {
            name: await secrets.get(name) for extension in (*extensions, *added) for name in getattr(extension, "env_keys", ())
        }
        processes = ProcessList(folder.path / "processes.json")
        if count := processes.reap():
            self._say((f"{count} server processes that an earlier run had left behind were ended.",))
        toolbox = Toolbox(
            [*extensions, *added],
            host=ExtensionHost(
                workspace=policy.workspace,
                spawn=confinement.spawn_while(self._planning),
                state=folder.logs,
                env=confinement.env,
                environment=confinement.env,
                launch=launch,
                secret=granted.get,
                on_process=processes.note,
                redact=self._redact,
                cleaner=lambda: RedactingStream(self._redact),
            ),
            bundled=bundled.extensions(),
            on_change=self._extension_changed,
            places=Places(catalogue=self._host.paths.state / "tools", results=folder.logs, logs=folder.logs),
            version=__version__,
            load=self._later.load,
        )
        toolbox.start()
        self._stack.push_async_callback(toolbox.close)
        return toolbox

    async def _set_prefix(self, session: Session, toolbox: Toolbox, settings: Settings, profile: Profile) -> None:
        """Once a session: what every request begins with. A resumed one keeps its bytes."""
        prefix = session.state.prefix
        if prefix is not None:
            await toolbox.settle(SETTLE_SECONDS, offered=[tool for tool in prefix.tools if tool.extension])
            return
        planning = settings.plan_approval != "off"
        tools = _for_model(await self._settled(toolbox), profile)
        if planning:
            tools.append(UPDATE_PLAN_SPEC)
        if self._spec.response_schema is not None:
            tools.append(final_output_spec(self._spec.response_schema))
        system = system_prompt(interactive=self._spec.interactive, instructions=self._spec.instructions, planning=planning)
        offered = tuple(sorted(tools, key=lambda tool: tool.name))
        session.emit(ev.PrefixSet(system=system, tools=offered))
        if (warning := window_warning(system, offered, profile)) is not None:
            self._say((warning,))

    async def _settled(self, toolbox: Toolbox) -> tuple[ToolSpec, ...]:
        """What is on offer. Tools that are not known from the bundle or from an earlier session have to be asked for, and then
        nothing can wait for the first request."""
        settling = self._meanwhile(toolbox.settle(SETTLE_SECONDS))
        await asyncio.wait({settling}, timeout=AT_ONCE)
        if not settling.done():
            self._later.now()
        return await settling

    async def _set_up(self, command: str, runner: CheckRunner) -> str:
        """Runs what makes a new worktree ready, a second time where it failed (it may have been the network), and says how it
        went: to the model, and to the person where it failed."""
        result = await runner.run(command, None)
        if result.exit_code not in (0, None):
            result = await runner.run(command, None)
        if result.exit_code == 0:
            return f"Setup: `{command}` has run."
        how = f"exit code {result.exit_code}" if result.exit_code is not None else "it did not end"
        failed = f"The setup command `{command}` failed ({how}): {result.output.strip()[-400:]}"
        self._say((f"{failed} The full output is in {result.log}.",))
        return failed

    def _base_tree(self) -> str | None:
        return self._session.state.base_tree if self._session is not None else None

    def _planning(self) -> bool:
        return self._session is not None and self._session.state.mode == "plan"

    def _extension_changed(self, change: StateChange) -> None:
        self._tell(
            ev.ExtensionChanged(extension=change.extension, state=change.state, detail=change.detail, tools=change.tools)
        )
        for warning in change.warnings:
            self._tell(ev.Warned(text=warning))
        if change.late:
            text = f"The tools of the extension {change.extension} are there now: tool_search finds them."
            self._tell(ev.ContextAdded(source="extensions", text=text))

    def _say(self, warnings: Iterable[str]) -> None:
        for warning in warnings:
            self._tell(ev.Warned(text=warning))

    def _tell(self, event: ev.DurableEvent) -> None:
        """What happens before there is a session to log it waits until there is one."""
        if self._session is None:
            self._early.append(event)
        else:
            self._session.emit(event)


def begun_here(records: Iterable[ev.Record], task_id: str) -> bool:
    """Whether the session has started as this task. The log of an imported one begins with what was said elsewhere."""
    return any(isinstance(r.event, ev.SessionStarted) and r.event.session_id == task_id for r in records)


async def _settled(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})


def _for_model(tools: Sequence[ToolSpec], profile: Profile) -> list[ToolSpec]:
    """What this model is offered: the edit tool that it was trained on and, where it is small, few tools."""
    names = {tool.name for tool in tools}
    left_out = set()
    if {"edit", "apply_patch"} <= names:
        left_out.add("apply_patch" if profile.edit_format == "edit" else "edit")
    if profile.tool_set == "small":
        left_out |= {"job", "glob", "list"}
    return [tool for tool in tools if not (tool.trusted and tool.name in left_out)]


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
    )


def _global_conventions(host: Host, settings: Settings) -> list[Path]:
    return [host.paths.config / name for name in settings.context_files] + [host.home / ".agents" / "AGENTS.md"]
