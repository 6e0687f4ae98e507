"""The tools of one task: its extensions started, and what of them the model is offered."""

from collections.abc import Awaitable, Callable, Mapping, Sequence

import msgspec

from goose_py import __version__, bundled
from goose_py.agent.final_output import final_output_spec
from goose_py.agent.planner import UPDATE_PLAN_SPEC
from goose_py.agent.prompts import system_prompt
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.opening.environment import Environment
from goose_py.bootstrap.server_processes import ProcessList
from goose_py.config.secrets import SecretStore
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev
from goose_py.protocol.redact import RedactingStream
from goose_py.protocol.tools import ToolSpec
from goose_py.providers.profile import Profile
from goose_py.sandbox.policy import Policy
from goose_py.tasks.spec import TaskSpec
from goose_py.tasks.store import TaskFolder
from goose_py.toolbox import ExtensionHost, Places, StateChange, Toolbox


class ToolPorts(msgspec.Struct, frozen=True, kw_only=True):
    """`load` runs a slow import when its time has come; `planning` says that commands may write nothing now; `changed` hears of
    what becomes of an extension."""

    load: Callable[[Callable[[], object]], Awaitable[object]]
    planning: Callable[[], bool]
    changed: Callable[[StateChange], None]
    redact: Callable[[str], str]


async def start_tools(
    host: Host,
    folder: TaskFolder,
    environment: Environment,
    secrets: SecretStore,
    ports: ToolPorts,
) -> tuple[Toolbox, tuple[str, ...]]:
    """The open connections, to be closed by the caller, and what a person should know of how it went."""
    confinement, extensions = environment.confinement, environment.extensions
    sandbox, policy = confinement.found.sandbox, confinement.policy

    def launch(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> tuple[Sequence[str], Mapping[str, str]]:
        wrapped = sandbox.wrap(argv, cwd, env, policy)
        return wrapped.argv, wrapped.env

    names = {name for extension in extensions for name in getattr(extension, "env_keys", ())}
    granted = {name: await secrets.get(name) for name in sorted(names)}
    processes = ProcessList(folder.path / "processes.json")
    count = processes.reap()
    warnings = (f"{count} server processes that an earlier run had left behind were ended.",) if count else ()
    toolbox = Toolbox(
        extensions,
        host=ExtensionHost(
            workspace=policy.workspace,
            shown=policy.seen_at,
            standing=_standing(policy, environment.start),
            spawn=confinement.spawn_while(ports.planning),
            state=folder.logs,
            env=confinement.env_of_commands,
            environment=confinement.env,
            launch=launch,
            secret=granted.get,
            on_process=processes.note,
            redact=ports.redact,
            cleaner=lambda: RedactingStream(ports.redact),
        ),
        bundled=bundled.extensions(),
        on_change=ports.changed,
        places=Places(approved_tools=host.paths.state / "tools", results=folder.logs, logs=folder.logs),
        version=__version__,
        load=ports.load,
    )
    toolbox.start()
    return toolbox, warnings


def _standing(policy: Policy, start: str) -> dict[str, object]:
    """How our own tools know the workspace, and what is shared with it."""
    layers = [tuple(layer for layer in (share.upper, share.source) if layer is not None) for share in policy.shares]
    return {
        "shown": policy.seen_at,
        "aliases": policy.names,
        "start": start,
        "shared": [(str(share.path), found, share.hidden) for share, found in zip(policy.shares, layers, strict=True)],
    }


def prefix_of(spec: TaskSpec, settings: Settings, profile: Profile, tools: Sequence[ToolSpec]) -> ev.PrefixSet:
    """What every request of the session begins with, given the tools that the extensions have."""
    planning = settings.plan_approval != "off"
    offered = _for_model(tools, profile)
    if planning:
        offered.append(UPDATE_PLAN_SPEC)
    if spec.response_schema is not None:
        offered.append(final_output_spec(spec.response_schema))
    system = system_prompt(interactive=spec.interactive, instructions=spec.instructions, planning=planning)
    return ev.PrefixSet(system=system, tools=tuple(sorted(offered, key=lambda tool: tool.name)))


def _for_model(tools: Sequence[ToolSpec], profile: Profile) -> list[ToolSpec]:
    """What this model is offered: the edit tool that it was trained on and, where it is small, few tools."""
    names = {tool.name for tool in tools}
    left_out = set()
    if {"edit", "apply_patch"} <= names:
        left_out.add("apply_patch" if profile.edit_format == "edit" else "edit")
    if profile.tool_set == "small":
        left_out |= {"job", "glob", "list"}
    return [tool for tool in tools if not (tool.trusted and tool.name in left_out)]
