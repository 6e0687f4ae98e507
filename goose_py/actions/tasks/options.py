"""Changing what holds for a task from the command line: its limits, its model, its name, whether or not it runs."""

import asyncio
from collections.abc import Mapping
from typing import Any

import msgspec

from goose_py.actions.command_channel import send_command
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.agent.limits import amount, limit_text, used
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import load_settings
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Effort, ModelRef
from goose_py.protocol.modes import Mode
from goose_py.protocol.safe_text import safe_line
from goose_py.providers.catalogue import provider_names
from goose_py.session.log import read_log
from goose_py.session.state import SessionState
from goose_py.tasks.store import TaskFolder

LIMITS = ("max_turns", "max_seconds", "max_cost", "max_tokens")
NONE = "none"


def set_limits(task_id: str, given: Mapping[str, Any]) -> int:
    """`given` holds the limits that change, "none" for one that goes. Prints what holds now and what is used."""
    host = host_with_tasks()
    folder = host.task(task_id)
    state = _state(folder)
    limits = merged_limits(state.limits, given)
    if limits != state.limits:
        asyncio.run(send_command(host, folder, cmd.SetLimits(limits=limits)))
    for item in used(state.spending, limits, host.now()):
        print(f"{item.unit:<12} {amount(item):>12} used, {'no limit' if item.limit is None else f'limit {item.limit:g}'}")
    return 0


def require_room(host: Host, folder: TaskFolder) -> None:
    """Raises UserError where a limit that ended the task's work would end it again at once."""
    state = SessionState(read_log(folder.path).records if folder.began() else ())
    for name, item in zip(LIMITS, used(state.spending, state.limits, host.now()), strict=True):
        if item.reached:
            option = f"--{name.replace('_', '-')}"
            raise UserError(
                f"The limit of {limit_text(item)} is used up: `goose-py task limit {folder.task_id} {option} AMOUNT` "
                "(or `none`) gives it more room; then resume it."
            )


def merged_limits(limits: ev.Limits, given: Mapping[str, Any]) -> ev.Limits:
    """Raises UserError for an amount that is no limit."""
    changed = {name: None if value == NONE else value for name, value in given.items() if name in LIMITS and value is not None}
    for name, value in changed.items():
        if value is not None and value <= 0:
            raise UserError(f"--{name.replace('_', '-')} must be more than 0, or `none`.")
    return msgspec.structs.replace(limits, **changed)


def set_model(task_id: str, name: str | None, effort: Effort | None) -> int:
    """`name` is MODEL or PROVIDER/MODEL. Prints who answers from now on."""
    host = host_with_tasks()
    folder = host.task(task_id)
    ref = _model_named(host, _state(folder).model, name, effort)
    asyncio.run(send_command(host, folder, cmd.SetModel(model=ref)))
    print(f"{ref} answers from now on.")
    return 0


def rename(task_id: str, title: str) -> int:
    host = host_with_tasks()
    folder = host.task(task_id)
    title = " ".join(title.split())
    if not title:
        raise UserError("The name is empty.")
    asyncio.run(send_command(host, folder, cmd.SetTitle(title=title)))
    print(safe_line(f"{folder.task_id} is called {title!r} now."))
    return 0


def on_resume(host: Host, folder: TaskFolder, overrides: Mapping[str, Any]) -> tuple[cmd.AnyCommand, ...]:
    """What the flags of a resume change about a session that exists. Raises UserError for those that only a new task can
    take."""
    fixed = [key for key in overrides if key not in _RESUMABLE and not key.startswith("limits.")]
    if fixed:
        raise UserError(f"A task that exists keeps its {' and '.join(fixed)}: only a new one can be given others.")
    if not overrides:
        return ()
    state = _state(folder)
    found: list[cmd.AnyCommand] = []
    limits = {key.removeprefix("limits."): value for key, value in overrides.items() if key.startswith("limits.")}
    if limits and (merged := merged_limits(state.limits, limits)) != state.limits:
        found.append(cmd.SetLimits(limits=merged))
    if {"provider", "model", "effort"} & overrides.keys():
        named = overrides.get("model")
        if (provider := overrides.get("provider")) is not None:
            if named is None:
                raise UserError(f"Say which model of {provider} is to answer: --model NAME.")
            named = f"{provider}/{named}"
        ref = _model_named(host, state.model, named, overrides.get("effort"))
        found += [cmd.SetModel(model=ref)] if ref != state.model else []
    if "mode" in overrides:
        mode: Mode = overrides["mode"]
        found += [cmd.SetMode(mode=mode)] if mode != state.mode else []
    return tuple(found)


_RESUMABLE = ("provider", "model", "effort", "mode")


def _state(folder: TaskFolder) -> SessionState:
    state = SessionState(read_log(folder.path).records)
    if state.started is None:
        raise UserError(f"The task {folder.task_id} has not begun yet.")
    return state


def _model_named(host: Host, current: ModelRef, name: str | None, effort: Effort | None) -> ModelRef:
    """A name may begin with a provider; what is not said stays."""
    provider, model = current.provider, current.model
    if name is not None:
        first, separator, rest = name.partition("/")
        known = {*provider_names(), *load_settings(host).settings.providers, current.provider}
        provider, model = (first, rest) if separator and first in known else (provider, name)
    return ModelRef(provider=provider, model=model, effort=effort or current.effort)
