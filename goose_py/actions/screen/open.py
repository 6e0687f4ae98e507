"""The terminal interface, opened and left again."""

import os
import sys
from collections.abc import Mapping
from typing import Any

from goose_py import __version__
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.scope import project_at
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import load_settings
from goose_py.config.settings import Settings
from goose_py.protocol.errors import UserError
from goose_py.tasks.summaries import list_tasks

ATTACHABLE = ("awaiting approval", "awaiting plan approval", "running", "planning", "verifying")


def conversation(*, new: bool, inline: bool, flags: Mapping[str, Any]) -> int:
    """Opens the task of this repository that works or waits for a person, else a new conversation."""
    host = host_with_tasks()
    settings = _check(host, flags)
    task = None if new else _open_task(host)
    return _run(host, settings, task, flags, inline=inline)


def attach(task_id: str, *, inline: bool = False) -> int:
    host = host_with_tasks()
    return _run(host, _check(host, {}), host.task(task_id).task_id, {}, inline=inline)


def _check(host: Host, flags: Mapping[str, Any]) -> Settings:
    """What can be said in a sentence is said before a screen is drawn."""
    from goose_py.tui.terminal import refusal

    reason = refusal(
        host.env,
        stdin_is_terminal=host.stdin_is_terminal,
        stdout_is_terminal=host.stdout_is_terminal,
        stderr_is_terminal=sys.stderr.isatty(),
    )
    if reason is not None:
        raise UserError(reason)
    overrides = {key: value for key, value in flags.items() if key != "base"}
    return load_settings(host, flags=overrides).settings


def _open_task(host: Host) -> str | None:
    tasks = list_tasks(host.tasks)
    here = project_at(host.cwd, tasks)
    for summary in tasks:
        if summary.place == here and summary.alive and summary.state in ATTACHABLE:
            return summary.task_id
    return None


def _run(host: Host, settings: Settings, task: str | None, flags: Mapping[str, Any], *, inline: bool) -> int:
    from goose_py.actions.screen.services import services
    from goose_py.tui.run import run_app
    from goose_py.tui.services import Options
    from goose_py.tui.terminal import is_slow_link, needs_ascii, palette_of

    options = Options(
        palette=palette_of(host.env, settings.ui.theme or "auto"),
        ascii=settings.ui.ascii or needs_ascii(host.env, sys.stdout.encoding),
        slow_link=is_slow_link(host.env),
        tmux=bool(host.env.get("TMUX")),
        inline=inline,
        place=host.cwd.name or str(host.cwd),
        program=__version__,
    )
    left = run_app(services(host, settings, flags), options, os.environ, task)
    for text in (left.transcript, left.sentence()):
        if text:
            print(f"{text}\n" if text == left.transcript else text)
    return 0
