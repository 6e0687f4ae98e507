"""What somebody who looks elsewhere is told of: each thing once, by a bell and OSC 9."""

from __future__ import annotations

from collections.abc import Iterable

from goose_py.protocol.safe_text import safe_line
from goose_py.tui.state.task_line import TaskLine

CALLS = {"you": "needs you", "review": "is ready for review", "done": "is done"}


class Notifications:
    """`news` returns what happened since it was asked last. The first look at anything is no news."""

    def __init__(self) -> None:
        self._needs: dict[str, tuple[str, str]] = {}
        self._question: str | None = None
        self._running = False

    def news(self, title: str, question: str, running: bool, tasks: Iterable[TaskLine]) -> list[str]:
        """`question` is the id of the one that the attached task asks, "" where there is none; `tasks` are the others."""
        told: list[str] = []
        if self._question is not None and question and question != self._question:
            told.append(f"{safe_line(title)} {CALLS['you']}".strip())
        elif self._running and not running:
            told.append(f"{safe_line(title)} has stopped working".strip())
        self._question, self._running = question, running
        for task in tasks:
            now = (task.need, task.doing if task.need == "you" else "")
            before = self._needs.get(task.task_id)
            self._needs[task.task_id] = now
            if before is not None and before != now and task.need in CALLS:
                told.append(f"{safe_line(task.title)} {CALLS[task.need]}")
        return told


def escape_sequence(text: str, tmux: bool) -> str:
    """OSC 9 (iTerm2's, which kitty, WezTerm, Ghostty and Windows Terminal took over): a notification of the desktop."""
    plain = "".join(char for char in safe_line(text) if char.isprintable())[:200]
    return tmux_passthrough(f"\x1b]9;{plain}\x07", tmux)


def tmux_passthrough(sequence: str, tmux: bool) -> str:
    """For the terminal that tmux runs in (its option `allow-passthrough` has to be on)."""
    if not tmux:
        return sequence
    doubled = sequence.replace("\x1b", "\x1b\x1b")
    return f"\x1bPtmux;{doubled}\x1b\\"
