"""The tasks as rows, grouped by what they need, and the task that is peeked at. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath

from rich.segment import Segment

from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.safe_text import safe_line
from goose_py.tui.appearance import Look
from goose_py.tui.chrome import NEED_MARKS, WIDE, activity
from goose_py.tui.conversation.blocks import TOOL_MARKS
from goose_py.tui.state.task_line import TaskLine
from goose_py.tui.state.view_state import TextItem, ToolItem, ViewState
from goose_py.tui.widgets.text_layout import Row, ago_text, fitted, row_width, spread

GROUPS = (
    ("you", "NEEDS YOU"),
    ("review", "READY FOR REVIEW"),
    ("running", "RUNNING"),
    ("waiting", "QUEUED AND IDLE"),
    ("done", "DONE"),
)
PEEKED = 3
"""Tool calls of a task that a peek shows."""


def belongs(task: TaskLine, here: str) -> bool:
    """Whether the task works on the repository that the user stands in."""
    if not here or not task.repository:
        return True
    return PurePosixPath(here).is_relative_to(task.repository)


def matching_tasks(tasks: Sequence[TaskLine], here: str, words: str) -> list[TaskLine]:
    """The tasks to show, in the order in which they are shown: by need, the latest first. `here` "": of all repositories.
    Every one of `words` has to occur in a task's title, id, branch or doing."""
    order = {need: number for number, (need, _) in enumerate(GROUPS)}
    wanted = words.lower().split()
    found = [
        task
        for task in tasks
        if belongs(task, here)
        and all(word in f"{task.title} {task.task_id} {task.branch} {task.doing}".lower() for word in wanted)
    ]
    return sorted(found, key=lambda task: (order[task.need], -task.updated_at))


def list_rows(
    tasks: Sequence[TaskLine], chosen: int, width: int, look: Look, now: float, current: str | None
) -> tuple[list[Row], int, dict[int, int]]:
    """(rows, the row of the chosen task, tasks by row)"""
    rows: list[Row] = []
    at = 0
    places: dict[int, int] = {}
    for need, title in GROUPS:
        group = [(number, task) for number, task in enumerate(tasks) if task.need == need]
        if not group:
            continue
        head = f"── {title} {len(group)} "
        role = NEED_MARKS[need][1] if need in ("you", "review") else "dim"
        rows.append([Segment(head + "─" * max(0, width - len(head)), look[role])])
        for number, task in group:
            if number == chosen:
                at = len(rows)
            places[len(rows)] = number
            rows.append(_task_row(task, number == chosen, width, look, now, current))
    return rows, at, places


def _task_row(task: TaskLine, chosen: bool, width: int, look: Look, now: float, current: str | None) -> Row:
    mark, role = NEED_MARKS[task.need]
    here = " (here)" if task.task_id == current else ""
    name_width = 34 if width >= WIDE else 24
    name = fitted(safe_line(task.title) or task.task_id, name_width - len(here)) + here
    left: Row = [
        Segment("› " if chosen else "  ", look["accent"]),
        Segment(f"{mark} ", look[role]),
        Segment(name + " " * max(1, name_width + 1 - row_width([Segment(name)])), look["selected" if chosen else "text"]),
    ]
    right: Row = []
    if task.failed_check or task.checks == "passed":
        good = not task.failed_check
        right.append(Segment("✓ checks  " if good else "✗ checks  ", look["ok" if good else "bad"]))
    elif task.checks not in ("", "not run"):
        right.append(Segment(f"! {task.checks}  ", look["warn"]))
    if task.added or task.removed:
        right += [Segment(f"+{task.added} ", look["added"]), Segment(f"−{task.removed}  ", look["removed"])]
    if width >= WIDE:
        right.append(Segment(f"${task.cost:.2f}  ", look["dim"]))
        right.append(Segment(f"{fitted(safe_line(task.branch), 18):<18} ", look["dim"]))
    if task.updated_at:
        right.append(Segment(f"{ago_text(now - task.updated_at):>7} ", look["dim"]))
    room = width - row_width(left) - row_width(right) - 1
    left.append(Segment(fitted(safe_line(task.doing), room), look["warn" if task.need == "you" else "dim"]))
    return spread(left, right, width)


def peek_rows(task: TaskLine, state: ViewState | None, problem: str, width: int, look: Look) -> list[Row]:
    """What a task did last. `state` None: it is not at work, or not reached yet."""
    facts = [safe_line(fact) for fact in (task.branch, f"${task.cost:.2f}") if fact]
    head = spread(
        [Segment(" PEEK ", look["title"]), Segment(safe_line(task.title), look["text"])],
        [Segment("  ".join(facts) + " ", look["dim"])],
        width,
    )
    rows: list[Row] = [[Segment("─" * width, look["faint"])], head]
    if problem:
        return [*rows, [Segment(f"  {fitted(safe_line(problem), width - 4)}", look["bad"])]]
    if state is None:
        return [*rows, [Segment(f"  {fitted(safe_line(task.doing) or 'reading…', width - 4)}", look["dim"])]]
    return rows + _last_items(state, width, look)


def _last_items(state: ViewState, width: int, look: Look) -> list[Row]:
    tools: list[Row] = []
    said = ""
    for number in range(len(state.items) - 1, max(-1, len(state.items) - 60), -1):
        item = state.items[number]
        if isinstance(item, ToolItem) and len(tools) < PEEKED:
            mark, role = TOOL_MARKS[item.state]
            summary = summarize_call(item.call)
            text = fitted(f"{safe_line(summary[0])} {safe_line(summary[1])}", width - 6)
            tools.insert(0, [Segment(f"  {mark} ", look[role]), Segment(text, look["text"])])
        elif isinstance(item, TextItem) and not said:
            said = safe_line(item.text.strip().split("\n")[0])
    rows = tools
    if said:
        rows = [*rows, [Segment(f"    {fitted(said, width - 6)}", look["dim"])]]
    doing = activity(state)
    return [*rows, [Segment(f"  {fitted(doing, width - 4)}", look["accent"])]] if doing else rows
