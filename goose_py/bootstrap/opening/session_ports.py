"""What a session works through: each of its ports, from the parts of an opened task."""

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING

from goose_py.agent.conventions import Conventions, ConventionTools
from goose_py.bootstrap.models import Answers
from goose_py.bootstrap.opening.environment import Environment
from goose_py.bootstrap.opening.opening import Opening
from goose_py.config.settings import Settings
from goose_py.session.ports import SessionPorts, Workspace
from goose_py.tasks.changes.workspace import workspace_of
from goose_py.toolbox import Toolbox

if TYPE_CHECKING:
    from goose_py.bootstrap.permissions import Judge


def session_ports(
    opening: Opening,
    settings: Settings,
    environment: Environment,
    toolbox: Toolbox,
    models: Answers,
    conventions: Conventions,
    attended: Callable[[], bool],
) -> SessionPorts:
    host, spec, judge = opening.host, opening.spec, _judge(opening, settings, environment)
    trees = workspace_of(environment.workspace.worktree, opening.coming.base_tree)
    trees["snapshot"] = environment.checkout.arrived(trees["snapshot"])
    trees["record"] = environment.checkout.arrived(trees["record"])
    return SessionPorts(
        tools=environment.checkout.tools(toolbox),
        workspace=Workspace(**trees, verify=environment.checks.run),
        answering=opening.later.asked(models.answering),
        judge=lambda call, tool, mode, writes, recorded: judge().judge(call, tool, mode, writes, recorded),
        keep=lambda answer, judgement, call: judge().keep(answer, judgement, call),
        changes=lambda call, tool: judge().changes(call, tool),
        touched=lambda call, tool: [environment.on_host(path) for path in paths]
        if (paths := judge().touched(call, tool)) is not None
        else None,
        attended=attended,
        now=host.now,
        monotonic=host.monotonic,
        new_id=host.new_id,
        around_tools=(lambda tools, emit: ConventionTools(tools, conventions, emit),),
        warn=settings.limits.soft(),
        redact=opening.redact,
        variables=environment.confinement.granted.names,
        network=environment.confinement.policy.network or environment.confinement.policy.proxy is not None,
        check_unchanged=bool(spec.checks) or "checks" in spec.overrides,
        response_schema=spec.response_schema,
        planning=settings.plan_approval != "off",
        plan_needs_approval=settings.plan_approval == "ask",
    )


def _judge(opening: Opening, settings: Settings, environment: Environment) -> Callable[[], "Judge"]:
    """The permission rules, loaded when they are first asked: nothing is judged before the model has answered."""

    @functools.cache
    def judge() -> "Judge":
        from goose_py.bootstrap.permissions import Judge

        checks = (*settings.checks, *opening.spec.checks, *environment.found_checks)
        worktree, start = environment.workspace.worktree, environment.start
        return Judge.create(opening.host, settings, environment.confinement, worktree, environment.files, checks, start)

    if settings.rules:
        judge()  # one that is wrong is said before anything begins
    opening.meanwhile(opening.later.load(judge))
    return judge
