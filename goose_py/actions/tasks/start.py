"""`goose-py task start`: new tasks, begun at once or when their turn comes."""

import asyncio
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import without_secrets
from goose_py.bootstrap.settings import load_settings
from goose_py.bootstrap.workspace.base import CHANGES, recorded_base, repository_of
from goose_py.bootstrap.workspace.removal import withdraw_worktree
from goose_py.git.repository import Repository
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import pin_base
from goose_py.protocol.decoding import decoded
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.spec import TaskSpec, write_spec
from goose_py.tasks.store import TaskFolder
from goose_py.workers.launch import WorkerFailed
from goose_py.workers.queue import QueueOutcome, start_waiting

DASHES = "---"


@dataclass(frozen=True)
class TaskRequest:
    """What a new background task is asked to be. `base` as in `TaskSpec`, by default the checkout as it is. `spec` are further
    fields of the `TaskSpec`."""

    text: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    base: str | None = None
    as_copy: bool = False
    after: tuple[str, ...] = ()
    touches: tuple[str, ...] = ()
    together: bool = False
    spec: Mapping[str, Any] = field(default_factory=dict)


async def submit(host: Host, requests: Sequence[TaskRequest]) -> tuple[list[TaskFolder], QueueOutcome]:
    """Puts tasks into the queue, all or none, and starts what may begin. Raises GooseError where one of them is refused; then
    there is no new task."""
    folders: list[TaskFolder] = []
    starts = _Starts(host)
    try:
        for request in requests:
            folders.append(await _written(host, request, starts))
        await starts.pin()
    except BaseException:
        for folder in folders:
            shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return folders, await start_waiting(host)


async def submit_one(host: Host, request: TaskRequest) -> tuple[TaskFolder, QueueOutcome]:
    """As `submit`; a task that could not be started at all is no task. Raises WorkerFailed."""
    (folder,), queue = await submit(host, [request])
    if (problem := queue.failed.get(folder.task_id)) is not None:
        await withdraw_worktree(host, folder)
        shutil.rmtree(folder.path, ignore_errors=True)
        raise WorkerFailed(problem)
    return folder, queue


class _Starts:
    """What the tasks of one command start from: the same for all that ask for the same, and kept until they begin."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._repository: Repository | None = None
        self._recorded: dict[str, Base] = {}
        self._tasks: dict[str, list[str]] = {}

    async def root(self, request: TaskRequest) -> str:
        repository = await self._opened(request)
        return str(self._host.cwd if repository is None else repository.root)

    async def of(self, request: TaskRequest) -> Base | None:
        """None where it is to be seen when the task begins: that comes after others, whose work may be merged by then."""
        wanted, repository = request.base or CHANGES, await self._opened(request)
        if repository is None or (request.after and wanted in (CHANGES, "head")):
            return None
        if wanted not in self._recorded:
            self._recorded[wanted] = await recorded_base(self._host, repository, wanted)
        return self._recorded[wanted]

    def begun_by(self, task_id: str, base: Base | None) -> None:
        if base is not None:
            self._tasks.setdefault(base.standing, []).append(task_id)

    async def pin(self) -> None:
        for base in self._recorded.values():
            if self._repository is not None and (tasks := self._tasks.get(base.standing)):
                await pin_base(self._repository, tasks, base)

    async def _opened(self, request: TaskRequest) -> Repository | None:
        if self._repository is None:
            self._repository = await repository_of(self._host, self._host.cwd, as_copy=request.as_copy)
        return self._repository


async def _written(host: Host, request: TaskRequest, starts: _Starts) -> TaskFolder:
    if not request.text.strip():
        raise UserError("There is nothing to do: the text is empty.")
    load_settings(host, flags=request.overrides)
    after = tuple(host.task(task).task_id for task in request.after)
    start = await starts.of(request)
    folder = host.tasks.new(host.now)
    starts.begun_by(folder.task_id, start)
    spec = TaskSpec(
        task_id=folder.task_id,
        folder=str(host.cwd),
        title=" ".join(request.text.split())[:80],
        prompt=(Text(request.text),),
        base=request.base or CHANGES,
        start=None if start is None else start.record,
        isolation="copy" if request.as_copy else "worktree",
        overrides=dict(request.overrides),
        repository=await starts.root(request),
        created_at=host.now(),
        after=after,
        touches=request.touches,
        together=request.together,
        **request.spec,
    )
    # The place in the queue first: a task that is written is never one that nobody will start.
    folder.waiting.touch(mode=0o600)
    write_spec(folder.path, without_secrets(host, spec))
    return folder


def start_task(request: TaskRequest, *, attach: bool) -> int:
    host = Host.here()
    folder, queue = asyncio.run(submit_one(host, request))
    if attach:
        from goose_py.actions.screen.open import attach as show

        return show(folder.task_id)
    print(folder.task_id)
    if folder.task_id in queue.waiting:
        print(f"Queued: {queue.waiting[folder.task_id]}.", file=sys.stderr)
    else:
        print(f"Started. `goose-py task attach {folder.task_id}` shows it, `goose-py task list` all.", file=sys.stderr)
    return 0


def start_each(file: str, request: TaskRequest) -> int:
    """One task for each that the file names, otherwise as `request`. Their ids go to standard output, one a line."""
    host = Host.here()
    requests = [replace(request, text=text) for text in tasks_of_text(_read(file))]
    if not requests:
        raise UserError(f"{file} names no task.")
    folders, queue = asyncio.run(submit(host, requests))
    for folder, each in zip(folders, requests, strict=True):
        print(folder.task_id, flush=True)
        print(safe_text(f"  {each.text.splitlines()[0]}"), file=sys.stderr, flush=True)
    for task, problem in queue.failed.items():
        print(f"{task} could not start: {problem}", file=sys.stderr)
    print(f"{len(queue.started)} started, {len(queue.waiting)} queued. `goose-py task list` shows them.", file=sys.stderr)
    return 2 if queue.failed else 0


def tasks_of_text(text: str) -> list[str]:
    """One task a line or, where there is a line of three dashes, one between each two of these. A line that begins with # is a
    comment."""
    lines = [line.rstrip() for line in text.splitlines() if not line.lstrip().startswith("#")]
    if DASHES not in lines:
        return [line.strip() for line in lines if line.strip()]
    tasks: list[list[str]] = [[]]
    for line in lines:
        if line == DASHES:
            tasks.append([])
        else:
            tasks[-1].append(line)
    return [task for part in tasks if (task := "\n".join(part).strip())]


def _read(file: str) -> str:
    if file == "-":
        return decoded(sys.stdin.buffer.read())
    try:
        return decoded(Path(file).expanduser().read_bytes())
    except OSError as error:
        raise UserError(f"Cannot read {file}: {error.strerror}.") from None
