"""The queue of tasks: whoever works, or looks at a task, starts what may begin by then. Any of them may die at any moment, so
nobody relies on another."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import load_settings
from goose_py.protocol.errors import GooseError, UserError
from goose_py.tasks.schedule import Known, Schedule, schedule
from goose_py.tasks.spec import read_spec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of
from goose_py.workers.fork_client import warm
from goose_py.workers.launch import start_worker


@dataclass(frozen=True)
class QueueOutcome:
    """`started` and, with a sentence each, `failed` tasks; `waiting` ones with the reason."""

    started: tuple[str, ...]
    failed: dict[str, str]
    waiting: dict[str, str]


async def start_waiting(host: Host) -> QueueOutcome:
    """Starts workers for all waiting tasks that may begin. A task that cannot be started keeps its place, with the reason in
    its summary. Raises nothing that is about one task alone."""
    started: list[str] = []
    failed: dict[str, str] = {}
    if not waiting_folders(host):
        return QueueOutcome((), {}, {})
    async with _locked(host):
        plan = plan_queue(host)
        folders = [host.tasks.folder(task) for task in plan.start]
        if len(folders) > 1 or (folders and plan.working):
            warm(host)
        results = await asyncio.gather(*(start_worker(host, folder) for folder in folders), return_exceptions=True)
        for folder, result in zip(folders, results, strict=True):
            if isinstance(result, GooseError):
                failed[folder.task_id] = str(result)
                folder.path.mkdir(mode=0o700, exist_ok=True)
                folder.waiting.write_text(str(result), "utf-8")
            elif isinstance(result, BaseException):
                raise result
            else:
                started.append(folder.task_id)
    return QueueOutcome(tuple(started), failed, dict(plan.reasons))


def advance_queue(host: Host) -> None:
    """Starts what may begin by now, before something is shown. What cannot be started says so in its own summary."""
    if waiting_folders(host):
        asyncio.run(start_waiting(host))


def plan_queue(host: Host) -> Schedule:
    """What would begin now, and why the rest waits. Reads; changes nothing."""
    waiting, working = [], []
    entries = {folder.task_id for folder in waiting_folders(host)}
    for folder in host.tasks.all():
        owned = folder.owned()
        if not owned and folder.task_id not in entries:
            continue
        known = _known(folder)
        if known is None:
            continue
        if owned:
            working.append(known)
        elif known.summary.state == "queued":
            waiting.append(known)
    wanted = {task for known in waiting for task in known.spec.after}
    others = {task: summary_of(host.tasks.folder(task)) for task in wanted if host.tasks.folder(task).exists()}
    limit = load_settings(host).settings.tasks.parallel
    return schedule(waiting, working, others, limit)


def waiting_folders(host: Host) -> list[TaskFolder]:
    found = (host.tasks.folder(path.parent.name) for path in host.tasks.root.glob("*/waiting"))
    return [folder for folder in found if folder.exists() and folder.made_here()]


def queue_reasons(host: Host) -> Mapping[str, str]:
    """Why each task that waits does, by id."""
    return plan_queue(host).reasons if waiting_folders(host) else {}


def stuck_tasks(host: Host) -> Mapping[str, str]:
    """Those of them that wait until a person does something, and why."""
    plan = plan_queue(host) if waiting_folders(host) else Schedule((), {})
    return {task: plan.reasons[task] for task in plan.reasons if task in plan.stuck}


def _known(folder: TaskFolder) -> Known | None:
    try:
        return Known(read_spec(folder.path), summary_of(folder))
    except UserError:
        return None


@asynccontextmanager
async def _locked(host: Host) -> AsyncIterator[None]:
    """One starter at a time; the kernel drops the lock of one that dies."""
    host.paths.state.mkdir(parents=True, exist_ok=True, mode=0o700)
    descriptor = os.open(host.paths.state / "queue.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                await asyncio.sleep(0.02)
        yield
    finally:
        os.close(descriptor)
