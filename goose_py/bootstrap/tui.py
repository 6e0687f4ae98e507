"""The terminal interface, with everything it needs of the world handed in."""

import asyncio
import os
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from goose_py import __version__
from goose_py.bootstrap.desk import look, open_worktree
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.launch import connect
from goose_py.bootstrap.settings import load_settings
from goose_py.config.settings import Settings
from goose_py.protocol.changes import ChangeSet, FileChange, path_from_bytes
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef
from goose_py.tasks.causes import Cause
from goose_py.tasks.client import TaskClient
from goose_py.tasks.listing import TaskListing
from goose_py.tasks.spec import TaskSpec, write_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import list_tasks
from goose_py.tui.task_line import TaskLine, task_line

ATTACHABLE = ("awaiting approval", "awaiting plan approval", "running", "planning", "verifying")


def conversation(*, new: bool, flags: Mapping[str, Any]) -> int:
    """Opens the task of this repository that works or waits for a person, else a new conversation."""
    host = Host.here()
    settings = _check(host, flags)
    task = None if new else _open_task(host)
    return _run(host, settings, task, flags)


def attach(task_id: str) -> int:
    host = Host.here()
    return _run(host, _check(host, {}), host.tasks.find(task_id).task_id, {})


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
    for summary in list_tasks(host.tasks):
        here = any(place and host.cwd.is_relative_to(place) for place in (summary.repository, summary.workspace))
        if here and summary.alive and summary.state in ATTACHABLE:
            return summary.task_id
    return None


def _run(host: Host, settings: Settings, task: str | None, flags: Mapping[str, Any]) -> int:
    from goose_py.tui.run import run_app
    from goose_py.tui.services import Options
    from goose_py.tui.terminal import is_slow_link, needs_ascii, palette_of

    options = Options(
        palette=palette_of(host.env, settings.ui.theme or "auto"),
        ascii=settings.ui.ascii or needs_ascii(host.env, sys.stdout.encoding),
        slow_link=is_slow_link(host.env),
        tmux=bool(host.env.get("TMUX")),
        place=host.cwd.name or str(host.cwd),
        program=__version__,
    )
    left = run_app(_services(host, flags), options, os.environ, task)
    for text in (left.transcript, left.sentence()):
        if text:
            print(f"{text}\n" if text == left.transcript else text)
    return 0


def _services(host: Host, flags: Mapping[str, Any]):  # type: ignore[no-untyped-def]
    from goose_py.bootstrap.models import window_of
    from goose_py.tui.services import Services

    settings = load_settings(host, flags={key: value for key, value in flags.items() if key != "base"}).settings
    prompts = host.paths.state / "prompts"
    listing, reading = TaskListing(host.tasks), asyncio.Lock()

    async def reach(task_id: str, after: int) -> TaskClient:
        return await connect(host, host.tasks.folder(task_id), after)

    async def changes(task_id: str) -> ChangeSet:
        return (await look(host, host.tasks.folder(task_id))).changes

    async def file(task_id: str, path: str) -> FileChange:
        from goose_py.git.diff import file_change

        folder = host.tasks.folder(task_id)
        looked = await look(host, folder)
        worktree = await open_worktree(host, folder, looked.records)
        return await file_change(worktree.store, looked.changes, path)

    async def why(task_id: str, path: str) -> Mapping[str, tuple[Cause, ...]]:
        from goose_py.tasks.causes import causes

        folder = host.tasks.folder(task_id)
        looked = await look(host, folder)
        worktree = await open_worktree(host, folder, looked.records)
        base = worktree.base.tree
        try:
            return await causes(worktree.store, looked.records, base, looked.changes.result_tree, path)
        except KeyError:
            return {}

    async def remove(task_id: str) -> str:
        from goose_py.bootstrap.commands import discard_task

        folder = host.tasks.folder(task_id)
        if folder.owned():
            raise UserError("The task is still at work: stop it first (x), and close what shows it.")
        await discard_task(host, folder)
        return f"The worktree is gone, its files are kept: `goose-py task restore {task_id}` brings them back."

    async def files() -> tuple[str, ...]:
        from goose_py.git.repository import Repository
        from goose_py.git.runner import Git

        repository = await Repository.open(Git.create(host.which("git"), host.env), host.cwd)
        git = repository.git.at(repository.git_dir, work_tree=repository.root)
        listing = await git.out("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        return tuple(sorted(path_from_bytes(name) for name in set(listing.split(b"\0")) if name))

    def write(text: str, name: str) -> str:
        from goose_py.bootstrap.terminal import edited

        return edited(text, name, host.env)

    def shell(command: str) -> int:
        from goose_py.bootstrap.terminal import run_command

        return run_command(command, host.cwd, host.env)

    async def start() -> str:
        folder = await _new_task(host, flags)
        return folder.task_id

    async def tasks() -> tuple[TaskLine, ...]:
        async with reading:
            found = await asyncio.to_thread(listing.read)
        return tuple(task_line(summary) for summary in found)

    @cache
    def models() -> tuple[ModelRef, ...]:
        from goose_py.providers.catalogue import model_names

        providers = dict.fromkeys((settings.provider, *settings.providers))
        return tuple(ModelRef(provider=each, model=name) for each in providers if each for name in model_names(each))

    def window(ref: ModelRef) -> int | None:
        return window_of(ref, settings)

    return Services(
        connect=reach,
        load_changes=changes,
        load_file=file,
        start_task=start,
        list_tasks=tasks,
        now=host.now,
        monotonic=host.monotonic,
        new_id=host.new_id,
        window_of=window,
        history=lambda: _history(prompts),
        remember=lambda text: _remember(prompts, text),
        load_causes=why,
        discard=remove,
        list_files=files,
        edit=write,
        shell=shell,
        here=str(host.cwd),
        list_models=models,
    )


async def _new_task(host: Host, flags: Mapping[str, Any]) -> TaskFolder:
    folder = host.tasks.new(host.now)
    spec = TaskSpec(
        task_id=folder.task_id,
        folder=str(host.cwd),
        base=flags.get("base") or "head",
        interactive=True,
        overrides={key: value for key, value in flags.items() if key != "base"},
    )
    write_spec(folder.path, spec)
    return folder


def _history(file: Path) -> tuple[str, ...]:
    """The last prompts, oldest first. One JSON text a line."""
    import json

    try:
        lines = file.read_bytes().split(b"\n")[-500:]
    except OSError:
        return ()
    found: list[str] = []
    for line in lines:
        try:
            found.append(str(json.loads(line)))
        except ValueError:
            continue
    return tuple(found)


def _remember(file: Path, text: str) -> None:
    import json

    file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as stream:
        stream.write(json.dumps(text).encode() + b"\n")
