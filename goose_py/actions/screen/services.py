"""What the terminal interface is handed of the world: the tasks, their changes, and the user's own machine."""

import asyncio
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

from goose_py.actions.review.inspection import inspect_task
from goose_py.actions.screen.prompt_history import PromptHistory
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.workspace.base import CHANGES
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.config.settings import Settings
from goose_py.protocol.changes import ChangeSet, FileChange, path_from_bytes
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef
from goose_py.tasks.client import TaskClient
from goose_py.tasks.history.causes import Cause
from goose_py.tasks.spec import TaskSpec, write_spec
from goose_py.tasks.summaries import TaskListing
from goose_py.tui.services import Services
from goose_py.tui.state.task_line import TaskLine, task_line
from goose_py.workers.launch import connect
from goose_py.workers.queue_watch import start_next


def services(host: Host, settings: Settings, flags: Mapping[str, Any]) -> Services:
    """`flags` are what a conversation that is started on the screen is given."""
    from goose_py.bootstrap.models import window_of

    tasks, changes, machine = _Tasks(host, flags), _Changes(host), _Machine(host)
    redact = cache(lambda: _redaction(host))
    history = PromptHistory(host.paths.state / "prompts", lambda text: redact()(text))
    return Services(
        connect=tasks.connect,
        load_changes=changes.load,
        load_file=changes.load_file,
        start_task=tasks.start,
        list_tasks=tasks.list,
        now=host.now,
        monotonic=host.monotonic,
        new_id=host.new_id,
        window_of=lambda model: window_of(model, settings),
        history=history.recall,
        remember=history.remember,
        load_causes=changes.load_causes,
        discard=tasks.discard,
        list_files=machine.files,
        edit=machine.edit,
        shell=machine.shell,
        here=str(host.cwd),
        list_models=cache(lambda: _models(settings)),
    )


def _redaction(host: Host) -> Callable[[str], str]:
    """Made when something is first typed: the stored keys have to be read for it."""
    from goose_py.bootstrap.known_secrets import redaction

    return redaction(host)


class _Tasks:
    def __init__(self, host: Host, flags: Mapping[str, Any]) -> None:
        self._host = host
        self._flags = flags
        self._listing = TaskListing(host.tasks)
        self._reading = asyncio.Lock()
        self._starting: asyncio.Task[None] | None = None

    async def connect(self, task_id: str, after: int) -> TaskClient:
        folder = self._host.tasks.folder(task_id)
        if not folder.exists():
            raise UserError(f"There is no task {task_id} any more: F2 shows those that there are, and /new begins another.")
        with _as_sentence(f"Task {task_id} cannot be opened"):
            return await connect(self._host, folder, after)

    async def start(self) -> str:
        with _as_sentence("No task can be kept"):
            return self._new_task()

    def _new_task(self) -> str:
        folder = self._host.tasks.new(self._host.now)
        spec = TaskSpec(
            task_id=folder.task_id,
            folder=str(self._host.cwd),
            base=self._flags.get("base") or CHANGES,
            interactive=True,
            overrides={key: value for key, value in self._flags.items() if key != "base"},
        )
        write_spec(folder.path, spec)
        return folder.task_id

    async def list(self) -> tuple[TaskLine, ...]:
        async with self._reading:
            found = await asyncio.to_thread(self._listing.read)
        if self._starting is None or self._starting.done():
            # Beside the list, which does not wait for it.
            self._starting = asyncio.create_task(start_next(self._host))
        return tuple(task_line(summary) for summary in found)

    async def discard(self, task_id: str) -> str:
        from goose_py.actions.tasks.lifecycle import discard_task

        folder = self._host.tasks.folder(task_id)
        if folder.owned():
            raise UserError("The task is still at work: stop it first (x), and close what shows it.")
        await discard_task(self._host, folder)
        return f"The worktree is gone, its files are kept: `goose-py task restore {task_id}` brings them back."


@contextmanager
def _as_sentence(what: str) -> Iterator[None]:
    """A disk that is full or may not be written is nobody's bug."""
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise UserError(f"{what}: {error.strerror or error}{where}. `goose-py doctor` says what else is wrong here.") from None


class _Changes:
    """Reviews without the worker: what is read is in git and in the log."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def load(self, task_id: str) -> ChangeSet:
        return (await inspect_task(self._host, self._host.tasks.folder(task_id))).changes

    async def load_file(self, task_id: str, path: str) -> FileChange:
        from goose_py.git.trees.diff import file_change

        folder = self._host.tasks.folder(task_id)
        inspected = await inspect_task(self._host, folder)
        worktree = await open_worktree(self._host, folder, inspected.records)
        return await file_change(worktree.store, inspected.changes, path)

    async def load_causes(self, task_id: str, path: str) -> Mapping[str, tuple[Cause, ...]]:
        from goose_py.tasks.history.causes import causes

        folder = self._host.tasks.folder(task_id)
        inspected = await inspect_task(self._host, folder)
        worktree = await open_worktree(self._host, folder, inspected.records)
        try:
            return await causes(worktree.store, inspected.records, worktree.base.tree, inspected.changes.result_tree, path)
        except KeyError:
            return {}


class _Machine:
    """The checkout that the user is in, their editor and their shell."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def files(self) -> tuple[str, ...]:
        """Named from the folder that the user stands in, as a task takes them."""
        from goose_py.bootstrap.repository import open_repository

        repository = await open_repository(self._host, self._host.cwd)
        git = repository.git.at(repository.git_dir, work_tree=repository.root)
        listing = await git.out("ls-files", "-z", "--cached", "--others", "--exclude-standard")
        stands = "/" + os.path.relpath(os.path.realpath(self._host.cwd), repository.root)
        found = (path_from_bytes(name) for name in set(listing.split(b"\0")) if name)
        return tuple(sorted(os.path.relpath(f"/{name}", stands) if stands != "/." else name for name in found))

    def edit(self, text: str, name: str) -> str:
        from goose_py.actions.screen.user_programs import edited

        return edited(text, name, self._host.env)

    def shell(self, command: str) -> int:
        from goose_py.actions.screen.user_programs import run_command

        return run_command(command, self._host.cwd, self._host.env)


def _models(settings: Settings) -> tuple[ModelRef, ...]:
    from goose_py.providers.catalogue import model_names

    providers = dict.fromkeys((settings.provider, *settings.providers))
    return tuple(ModelRef(provider=each, model=name) for each in providers if each for name in model_names(each))
