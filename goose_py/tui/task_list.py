"""Open tasks, grouped by what they need from the user."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen

from goose_py.protocol.safe_text import safe_line
from goose_py.tui.chrome import NEED_MARKS, WIDE, header_rows, hint_row
from goose_py.tui.context import AppContext
from goose_py.tui.lines import Row, ago_text, fitted, row_width, spread
from goose_py.tui.look import Look
from goose_py.tui.rows import Rows, text_row
from goose_py.tui.task_line import TaskLine

GROUPS = (
    ("you", "NEEDS YOU"),
    ("review", "READY FOR REVIEW"),
    ("running", "RUNNING"),
    ("waiting", "IDLE"),
    ("done", "DONE"),
)
REFRESH = 2.0


def grouped(tasks: tuple[TaskLine, ...]) -> list[TaskLine]:
    """In the order in which they are shown: by need, the latest first."""
    order = {need: number for number, (need, _) in enumerate(GROUPS)}
    return sorted(tasks, key=lambda task: (order[task.need], -task.updated_at))


def list_rows(
    tasks: list[TaskLine], chosen: int, width: int, look: Look, now: float, current: str | None
) -> tuple[list[Row], int]:
    """(rows, the row of the chosen task)"""
    rows: list[Row] = []
    at = 0
    for need, title in GROUPS:
        group = [(number, task) for number, task in enumerate(tasks) if task.need == need]
        if not group:
            continue
        head = f"── {title} {len(group)} "
        rows.append(
            [Segment(head + "─" * max(0, width - len(head)), look[NEED_MARKS[need][1] if need in ("you", "review") else "dim"])]
        )
        for number, task in group:
            if number == chosen:
                at = len(rows)
            rows.append(_task_row(task, number == chosen, width, look, now, current))
    return rows, at


def _task_row(task: TaskLine, chosen: bool, width: int, look: Look, now: float, current: str | None) -> Row:
    mark, role = NEED_MARKS[task.need]
    style = look["selected" if chosen else "text"]
    here = " (here)" if task.task_id == current else ""
    name_width = 34 if width >= WIDE else 24
    name = fitted(safe_line(task.title) or task.task_id, name_width - len(here)) + here
    left: Row = [
        Segment("› " if chosen else "  ", look["accent"]),
        Segment(f"{mark} ", look[role]),
        Segment(name + " " * max(1, name_width + 1 - row_width([Segment(name)])), style),
    ]
    right: Row = []
    if task.checks in ("passed",) or task.checks.startswith("failed"):
        good = task.checks == "passed"
        right.append(Segment("✓ checks  " if good else "✗ checks  ", look["ok" if good else "bad"]))
    if task.added or task.removed:
        right += [Segment(f"+{task.added} ", look["added"]), Segment(f"−{task.removed}  ", look["removed"])]
    if width >= WIDE:
        right.append(Segment(f"${task.cost:.2f}  ", look["dim"]))
    if task.updated_at:
        right.append(Segment(f"{ago_text(now - task.updated_at):>7} ", look["dim"]))
    room = width - row_width(left) - row_width(right) - 1
    left.append(Segment(fitted(safe_line(task.doing), room), look["dim"]))
    return spread(left, right, width)


class TasksScreen(Screen[None]):
    DEFAULT_CSS = """
    TasksScreen { background: $background; color: $foreground; }
    TasksScreen #tasks-header { height: 2; }
    TasksScreen #tasks { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Back", show=False),
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("g,home", "move(-9999)", "Top", show=False),
        Binding("G,end", "move(9999)", "Bottom", show=False),
        Binding("enter,right", "open", "Open", show=False),
        Binding("d", "review", "Review", show=False),
        Binding("n", "new", "New", show=False),
    ]

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._goose = context
        self.header = Rows(context.look, id="tasks-header")
        self.list = Rows(context.look, id="tasks")
        self.hints = Rows(context.look, id="hints")
        self._chosen: str | None = context.task_id
        self._first = 0
        self._tasks: list[TaskLine] = []

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.list
        yield self.hints

    def on_mount(self) -> None:
        self.set_interval(REFRESH, self._goose.refresh_tasks)
        self.draw()

    @property
    def _index(self) -> int:
        return next((number for number, task in enumerate(self._tasks) if task.task_id == self._chosen), 0)

    def draw(self) -> None:
        if not self.is_mounted:
            return
        width, height = self.app.size
        look = self._goose.look
        self._tasks = grouped(self._goose.tasks)
        self.header.show(header_rows(self._goose.state, self._goose.around("tasks"), width, look))
        rows, at = list_rows(self._tasks, self._index, width, look, self._goose.services.now(), self._goose.task_id)
        room = max(1, height - 3)
        self._first = max(0, min(max(self._first, at - room + 1), max(0, at - 1)))
        shown = rows[self._first : self._first + room] if len(rows) > room else rows
        self.list.show(shown or [[], text_row("  There are no tasks yet. n begins one.", look, "dim")])
        left = [("jk", "move"), ("enter", "open"), ("n", "new")] if self._tasks else [("n", "new")]
        if self._tasks and self._tasks[self._index].need == "review":
            left.insert(2, ("d", "review"))
        self.hints.show([hint_row(left, [("F1", "help"), ("esc", "chat")], width, look)])

    def action_move(self, step: int) -> None:
        if self._tasks:
            at = min(max(0, self._index + step), len(self._tasks) - 1)
            self._chosen = self._tasks[at].task_id
            self.draw()

    def action_open(self) -> None:
        if self._tasks:
            chosen = self._tasks[self._index].task_id
            self.dismiss()
            if chosen != self._goose.task_id:
                self._goose.attach(chosen)

    def action_review(self) -> None:
        if self._tasks:
            self.action_open()
            self._goose.review_when_loaded()

    def action_new(self) -> None:
        self.dismiss()
        self._goose.begin_another()

    def on_rows_clicked(self, event: Rows.Clicked) -> None:
        if event.rows is self.header:
            self._goose.open_tab(event.x, self.header.plain.split("\n")[0])
            return
        line = self.list.plain.split("\n")[event.y : event.y + 1]
        for task in self._tasks:
            if line and fitted(safe_line(task.title), 20)[:18] in line[0]:
                self._chosen = task.task_id
                self.draw()

    def on_resize(self) -> None:
        self.draw()
