"""What a session's log begins with: its start, the prefix of every request, the context of the first prompt."""

import asyncio
from collections.abc import Iterable

from goose_py import __version__
from goose_py.bootstrap.check_runner import set_up
from goose_py.bootstrap.opening.conventions import InitialConventions
from goose_py.bootstrap.opening.environment import Environment
from goose_py.bootstrap.opening.opening import Opening
from goose_py.bootstrap.tools import prefix_of
from goose_py.bootstrap.workspace.orientation import describe
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.tools import ToolSpec
from goose_py.providers.fitness import window_warning
from goose_py.providers.profile import Profile
from goose_py.session.session import Session
from goose_py.tasks.spec import TaskSpec
from goose_py.toolbox import Toolbox

SETTLE_SECONDS = 10.0
AT_ONCE = 0.02
WORKSPACE = "workspace"
"""The source of what the model is told of a path that has changed."""


def session_started(spec: TaskSpec, settings: Settings, ref: ModelRef, environment: Environment) -> ev.SessionStarted:
    workspace, worktree = environment.workspace, environment.workspace.worktree
    policy = environment.confinement.policy
    return ev.SessionStarted(
        session_id=spec.task_id,
        title=spec.title,
        workspace=str(policy.seen_at),
        repository=str(worktree.repository.root),
        branch=worktree.branch,
        base=worktree.base.commit,
        base_tree=worktree.base.tree,
        base_branch=worktree.base.branch,
        includes_changes=worktree.base.includes_changes,
        uncommitted=worktree.base.uncommitted,
        model=ref,
        mode=settings.mode,
        interactive=spec.interactive,
        limits=settings.limits.hard(),
        checks=tuple(dict.fromkeys((*settings.checks, *spec.checks, *environment.found_checks))),
        found_checks=dict(environment.found_checks),
        program=__version__,
        recipe=spec.recipe,
        copy_of=workspace.copy_of,
        variables=environment.confinement.granted.names,
        worktree=str(worktree.path),
        folder="" if environment.start == "." else environment.start,
        shared=tuple(str(share.path) for share in policy.shares),
    )


def tell_where(session: Session, environment: Environment, records: Iterable[ev.Record]) -> None:
    """Tells the model of a session that goes on where its files are now, where it was told another path: how much the sandbox
    can do may have changed."""
    started, seen = session.state.started, str(environment.confinement.policy.seen_at)
    context = (r.event for r in records if isinstance(r.event, ev.ContextAdded) and r.event.source == WORKSPACE)
    told, text = [event.text for event in context], f"From here on the workspace is {seen}: what was in it before is there."
    if text != (told[-1] if told else "") and (told or (started is not None and started.workspace != seen)):
        session.emit(ev.ContextAdded(source=WORKSPACE, text=text))


async def fix_prefix(
    opening: Opening, session: Session, toolbox: Toolbox, settings: Settings, profile: Profile
) -> None:
    """Once a session: what every request begins with. A resumed one keeps its bytes."""
    prefix = session.state.prefix
    if prefix is not None:
        await toolbox.settle(SETTLE_SECONDS, offered=[tool for tool in prefix.tools if tool.extension])
        return
    prefix = prefix_of(opening.spec, settings, profile, await _settled(opening, toolbox))
    session.emit(prefix)
    if (warning := window_warning(prefix.system, prefix.tools, profile)) is not None:
        opening.coming.warn((warning,))


async def _settled(opening: Opening, toolbox: Toolbox) -> tuple[ToolSpec, ...]:
    """What is on offer. Tools that are not known from the bundle or from an earlier session have to be asked for, and then
    nothing can wait for the first request."""
    settling = opening.meanwhile(toolbox.settle(SETTLE_SECONDS))
    await asyncio.wait({settling}, timeout=AT_ONCE)
    if not settling.done():
        opening.later.now()
    return await settling


async def add_context(
    opening: Opening, session: Session, settings: Settings, environment: Environment, conventions: InitialConventions
) -> None:
    """What the model is told before the first prompt. A setup command runs here."""
    sandbox = environment.confinement.said(opening.host.home, opening.folder.logs)
    seen = environment.confinement.policy.seen_at
    surroundings = describe(opening.host, environment.workspace.worktree, environment.files, sandbox, seen, environment.start)
    if settings.worktree.setup is not None:
        runner = environment.checks.commands.with_timeout(settings.worktree.setup_timeout, start=".")
        went, failed = await set_up(settings.worktree.setup, runner)
        surroundings += f"\n{went}"
        opening.coming.warn(() if failed is None else (failed,))
    session.emit(ev.ContextAdded(source="environment", text=surroundings))
    if conventions.text:
        session.emit(ev.ContextAdded(source="conventions", text=conventions.text))
    opening.coming.warn(conventions.warnings)
