"""What the app is handed: everything it needs of the world, and everything that a user may choose about the screen."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.errors import UserError
from goose_py.protocol.frames import Ephemeral, Recorded
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.modes import Mode
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.history.causes import Cause
from goose_py.tui.state.task_line import TaskLine


class Connection(Protocol):
    """A consumer's end of a task's socket (`tasks.client.TaskClient`)."""

    async def send(self, command: AnyCommand) -> None: ...

    def frames(self) -> AsyncIterator[Recorded | Ephemeral]: ...

    async def close(self) -> None: ...


async def _nothing_known(task: str, path: str) -> Mapping[str, tuple[Cause, ...]]:
    return {}


async def _no_discard(task: str) -> str:
    raise UserError("Tasks cannot be discarded from here.")


async def _no_files() -> tuple[str, ...]:
    return ()


def _no_editor(text: str, name: str) -> str:
    raise UserError("There is no editor here.")


def _no_shell(command: str) -> int:
    raise UserError("There is no shell here.")


@dataclass(frozen=True)
class Services:
    """`connect(task, after)` reaches the task's worker, and starts one where none runs. `start_task()` makes a new task and
    returns its id. `load_changes(task)` has no hunks, `load_file(task, path)` has one file's. `now` is Unix time, `monotonic`
    a clock that only goes forward. `load_causes(task, path)` says by hunk id what made it. `discard(task)` returns a sentence.
    `edit(text, name)` and `shell(command)` block and use the terminal, which the app has left to them: what the user made of
    a text, and a command's exit code. `list_files` are paths to complete, `here` is the repository that tasks are listed of.
    All raise GooseError with one sentence where they cannot."""

    connect: Callable[[str, int], Awaitable[Connection]]
    load_changes: Callable[[str], Awaitable[ChangeSet]]
    load_file: Callable[[str, str], Awaitable[FileChange]]
    start_task: Callable[[], Awaitable[str]]
    list_tasks: Callable[[], Awaitable[tuple[TaskLine, ...]]]
    now: Callable[[], float]
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    window_of: Callable[[ModelRef], int | None] = lambda model: None
    history: Callable[[], tuple[str, ...]] = tuple
    remember: Callable[[str], None] = lambda text: None
    load_causes: Callable[[str, str], Awaitable[Mapping[str, tuple[Cause, ...]]]] = _nothing_known
    discard: Callable[[str], Awaitable[str]] = _no_discard
    list_files: Callable[[], Awaitable[tuple[str, ...]]] = _no_files
    edit: Callable[[str, str], str] = _no_editor
    shell: Callable[[str], int] = _no_shell
    list_models: Callable[[], tuple[ModelRef, ...]] = tuple
    here: str = ""


@dataclass(frozen=True)
class Options:
    """`palette` is one of `appearance.PALETTES`. `slow_link`: flush less often and draw no spinner. `tmux`: copies go through
    its passthrough too. `inline`: below the prompt of the shell, in the terminal's own scrollback. `grace` and `typing_pause`
    are seconds: how long a question takes no answer after it was drawn, and how long after the last key it takes the keys
    away from the prompt."""

    palette: str = "dark"
    ascii: bool = False
    slow_link: bool = False
    tmux: bool = False
    inline: bool = False
    grace: float = 0.5
    typing_pause: float = 1.0
    modes: tuple[Mode, ...] = ("ask", "plan", "auto")
    place: str = ""
    program: str = ""

    @property
    def flush(self) -> float:
        return 0.15 if self.slow_link else 0.05


@dataclass(frozen=True)
class AppExit:
    """How the app was left: which task was open, whether it still works, and the end of what was said, as safe text."""

    task_id: str | None
    running: bool = False
    title: str = ""
    transcript: str = ""

    def sentence(self) -> str:
        """For the terminal that comes back."""
        if self.task_id is None:
            return ""
        name = f"Task {self.task_id}" + (f" ({safe_text(self.title)})" if self.title else "")
        state = "goes on working without a screen" if self.running else "is kept"
        return f"{name} {state}. `goose-py task attach {self.task_id}` opens it again, `goose-py task list` shows all."
