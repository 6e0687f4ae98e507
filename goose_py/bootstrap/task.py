"""One task put together from its parts, and taken apart again."""

from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from goose_py import __version__, bundled
from goose_py.agent.conventions import Conventions, ConventionTools
from goose_py.agent.planner import UPDATE_PLAN_SPEC
from goose_py.agent.prompts import system_prompt
from goose_py.bootstrap.confinement import Confinement, confine, require
from goose_py.bootstrap.extensions import configured, of_recipe
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.judging import Judge
from goose_py.bootstrap.models import Models, chosen_model
from goose_py.bootstrap.orientation import base_files, describe
from goose_py.bootstrap.settings import load_settings, secret_store
from goose_py.bootstrap.worktree import open_workspace
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.messages import ModelRef
from goose_py.providers.profile import Profile
from goose_py.session.bus import Bus
from goose_py.session.log import Log, read_log
from goose_py.session.ports import SessionPorts, Workspace
from goose_py.session.session import Session
from goose_py.tasks.changes import TaskChanges
from goose_py.tasks.checks import CheckRunner
from goose_py.tasks.spec import TaskSpec, read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.workspace import workspace_of
from goose_py.toolbox import ExtensionHost, Places, StateChange, Toolbox

SETTLE_SECONDS = 10.0


@dataclass(frozen=True)
class OpenTask:
    """A task that can be worked on. `perform` takes every command."""

    spec: TaskSpec
    folder: TaskFolder
    settings: Settings
    session: Session
    changes: TaskChanges
    bus: Bus
    confinement: Confinement
    checks: CheckRunner

    async def perform(self, command: AnyCommand) -> None:
        if not await self.changes.perform(command):
            await self.session.perform(command)

    def history(self) -> Iterable[ev.Record]:
        return read_log(self.folder.path).records


@asynccontextmanager
async def open_task(
    host: Host, folder: TaskFolder, *, watch: "Callable[[Bus], None]" = lambda bus: None
) -> AsyncIterator[OpenTask]:
    """Makes what is missing (worktree, log), opens what is there. `watch` gets the bus before the first event. Raises
    GooseError with one sentence, and leaves nothing behind that was not there before but the task's own folder."""
    spec = read_spec(folder.path)
    async with AsyncExitStack() as stack:
        settings = load_settings(host, spec).settings
        resumed = (folder.path / "log.jsonl").exists() and bool(read_log(folder.path).records)
        log, records = _open_log(host, folder, spec)
        stack.callback(log.close)
        bus = Bus()
        stack.callback(bus.close)
        watch(bus)
        workspace = await open_workspace(host, folder, spec, settings, records)
        worktree = workspace.worktree
        confinement = await confine(host, settings, folder, worktree)
        require(confinement, settings, interactive=spec.interactive)
        secrets = secret_store(host)
        models = Models(host, settings, secrets, values={"workspace": str(worktree.path)})
        stack.push_async_callback(models.close)
        ref = _model(settings, records)
        profile = await models.profile(ref)
        checks = CheckRunner(
            confinement.spawn(), worktree.path, confinement.env, folder.logs, "/bin/bash", settings.check_timeout, host.monotonic
        )
        opened: list[Session] = []
        early: list[ev.DurableEvent] = []

        def tell(event: ev.DurableEvent) -> None:
            """Extensions start before there is a session to log what becomes of them."""
            if opened:
                opened[0].emit(event)
            else:
                early.append(event)

        def planning() -> bool:
            return bool(opened) and opened[0].state.mode == "plan"

        toolbox = await _toolbox(host, spec, settings, folder, confinement, tell, planning)
        stack.push_async_callback(toolbox.close)
        files = await base_files(worktree)
        judge = Judge.create(host, settings, confinement, worktree, files, (*settings.checks, *spec.checks))
        conventions = Conventions(worktree.path, settings.context_files)
        ports = SessionPorts(
            tools=toolbox,
            workspace=Workspace(
                **workspace_of(worktree),
                verify=checks.run,
            ),
            answering=models.answering,
            judge=judge.judge,
            keep=judge.keep,
            changes=judge.changes,
            attended=lambda: spec.interactive,
            now=host.now,
            monotonic=host.monotonic,
            new_id=host.new_id,
            around_tools=(lambda tools, emit: ConventionTools(tools, conventions, emit),),
            planning=settings.plan_approval != "off",
            plan_needs_approval=settings.plan_approval == "ask",
        )
        session = Session(log, bus, ports, records)
        opened.append(session)
        if not resumed:
            session.emit(_started(spec, settings, ref, workspace))
            for warning in workspace.warnings:
                session.emit(ev.Warned(text=warning))
        else:
            session.recover()
        for event in early:
            session.emit(event)
        await _set_prefix(session, toolbox, spec, profile, planning=ports.planning)
        if not resumed:
            environment = describe(host, worktree, files, confinement.found.sentence)
            session.emit(ev.ContextAdded(source="environment", text=environment))
            if text := conventions.initial(_global_conventions(host, settings), worktree.path):
                session.emit(ev.ContextAdded(source="conventions", text=text))
        changes = TaskChanges(
            worktree, session.emit, lambda: read_log(folder.path).records, session.running, folder.scratch
        )
        yield OpenTask(spec, folder, settings, session, changes, bus, confinement, checks)
        await session.interrupt()


def _open_log(host: Host, folder: TaskFolder, spec: TaskSpec) -> tuple[Log, tuple[ev.Record, ...]]:
    if not (folder.path / "log.jsonl").exists():
        return Log.create(folder.path, spec.task_id, host.now), ()
    log, contents = Log.open(folder.path, host.now)
    return log, contents.records


def _model(settings: Settings, records: Iterable[ev.Record]) -> ModelRef:
    """The one that the session used last, else the settings' choice."""
    for record in reversed(tuple(records)):
        if isinstance(record.event, (ev.ModelSet, ev.SessionStarted)):
            return record.event.model
    return chosen_model(settings)


async def _toolbox(
    host: Host,
    spec: TaskSpec,
    settings: Settings,
    folder: TaskFolder,
    confinement: Confinement,
    tell: Callable[[ev.DurableEvent], None],
    planning: Callable[[], bool],
) -> Toolbox:
    extensions = [] if spec.own_extensions else configured(settings)
    added, warnings = of_recipe(spec.extensions)
    for warning in warnings:
        tell(ev.Warned(text=warning))

    def on_change(change: StateChange) -> None:
        tell(ev.ExtensionChanged(extension=change.extension, state=change.state, detail=change.detail, tools=change.tools))
        for warning in change.warnings:
            tell(ev.Warned(text=warning))

    sandbox, policy = confinement.found.sandbox, confinement.policy

    def launch(argv, env, cwd):  # type: ignore[no-untyped-def]
        started = sandbox.wrap(argv, cwd, env, policy)
        return started.argv, started.env

    toolbox = Toolbox(
        [*extensions, *added],
        host=ExtensionHost(
            workspace=policy.workspace,
            spawn=confinement.spawn_while(planning),
            state=folder.logs,
            env=confinement.env,
            environment=confinement.env,
            launch=launch,
        ),
        bundled=bundled.extensions(),
        on_change=on_change,
        places=Places(catalogue=host.paths.cache / "tools", results=folder.logs, logs=folder.logs),
        version=__version__,
    )
    toolbox.start()
    return toolbox


async def _set_prefix(session: Session, toolbox: Toolbox, spec: TaskSpec, profile: Profile, *, planning: bool) -> None:
    """Once a session: what every request begins with. A resumed one keeps its bytes."""
    prefix = session.state.prefix
    if prefix is not None:
        await toolbox.settle(SETTLE_SECONDS, offered=[tool for tool in prefix.tools if tool.extension])
        return
    tools = list(await toolbox.settle(SETTLE_SECONDS))
    unused = {"edit": "apply_patch", "apply_patch": "edit"}[profile.edit_format]
    names = {tool.name for tool in tools}
    if {"edit", "apply_patch"} <= names:
        tools = [tool for tool in tools if tool.name != unused]
    if planning:
        tools.append(UPDATE_PLAN_SPEC)
    session.emit(
        ev.PrefixSet(
            system=system_prompt(interactive=spec.interactive, instructions=spec.instructions),
            tools=tuple(sorted(tools, key=lambda tool: tool.name)),
        )
    )


def _started(spec: TaskSpec, settings: Settings, ref: ModelRef, workspace) -> ev.SessionStarted:  # type: ignore[no-untyped-def]
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
        checks=(*settings.checks, *spec.checks),
        program=__version__,
        recipe=spec.recipe,
    )


def _global_conventions(host: Host, settings: Settings) -> list[Path]:
    return [host.paths.config / name for name in settings.context_files] + [host.home / ".agents" / "AGENTS.md"]
