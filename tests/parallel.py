"""Several tasks of one user: where they are, and what state they are in."""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable

from command import User

from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary, summary_of


def fork_servers(user: User) -> list[int]:
    """The processes that live and that workers are copied from."""
    found = []
    for lock in user.sockets.glob("*.lock"):
        with lock.open() as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                found += [int(pid) for pid in stream.read().split()]
    return found


def folder_of(user: User, task_id: str) -> TaskFolder:
    return TaskFolder(user.state / "tasks" / task_id, user.sockets)


def pid_of(folder: TaskFolder) -> int | None:
    """The process that owns the task's log, None where none lives."""
    if not folder.owned():
        return None
    words = (folder.path / "log.lock").read_text().split()
    return int(words[1]) if len(words) > 1 else None


def kill_worker(folder: TaskFolder) -> None:
    pid = pid_of(folder)
    if pid is not None:
        os.kill(pid, signal.SIGKILL)


async def ended(user: User, task_id: str, *states: str, seconds: float = 40) -> TaskSummary:
    """Waits for one of `states`."""
    folder = folder_of(user, task_id)
    try:
        async with asyncio.timeout(seconds):
            while (summary := summary_of(folder)).state not in states:
                await asyncio.sleep(0.03)
    except TimeoutError:
        raise AssertionError(f"{task_id} is {summary_of(folder)}") from None
    return summary


async def until(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Waits for what another process makes true."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.03)


def git_that_kills(user: User, command: str) -> None:
    """A git on the PATH that kills whoever has run this command (a pattern of the shell), once it is done."""
    folder = user.root / "programs"
    folder.mkdir(exist_ok=True)
    program = folder / "git"
    program.write_text(
        f'#!/bin/sh\n/usr/bin/git "$@"; code=$?\ncase "$*" in {command}) kill -9 $PPID;; esac\nexit $code\n'
    )
    program.chmod(0o755)
    user.env["PATH"] = f"{folder}:{user.environment()['PATH']}"
