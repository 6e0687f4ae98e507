"""Screens that only say something: help, and the plan where there is no panel for it."""

from __future__ import annotations

from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from goose_py.protocol.safe_text import safe_line
from goose_py.tui.context import AppContext
from goose_py.tui.conversation.blocks import STEP_MARKS
from goose_py.tui.slash import COMMANDS
from goose_py.tui.widgets.row_view import RowView
from goose_py.tui.widgets.text_layout import Row, wrapped

KEYS: tuple[tuple[str, tuple[tuple[str, str], ...]], ...] = (
    (
        "Anywhere",
        (
            ("F1", "this help"),
            ("F2", "open tasks"),
            ("F3", "review the changes"),
            ("ctrl+c", "copy the selection, clear the prompt, interrupt; twice leaves"),
            ("ctrl+d", "leave, on an empty prompt"),
            ("ctrl+l", "draw everything again"),
        ),
    ),
    (
        "Prompt",
        (
            ("enter", "send; while it works, steer it at its next step"),
            ("tab", "queue for after the turn"),
            ("shift+enter, ctrl+j", "new line; so do alt+enter, and \\ before enter"),
            ("paste", "is text and sends nothing; a long one is a chip that ctrl+o opens, and is sent in full"),
            ("↑ ↓", "history; ↑ first takes back a queued message"),
            ("/", "commands"),
            ("@", "a file of the repository"),
            ("!", "run a command of your own in your terminal; the agent hears nothing of it"),
            ("ctrl+r", "search earlier prompts"),
            ("ctrl+g", "write in your editor"),
            ("shift+tab", "next mode"),
            ("esc", "interrupt the running turn"),
        ),
    ),
    (
        "Conversation",
        (
            ("PgUp PgDn", "scroll"),
            ("ctrl+home ctrl+end", "beginning, end"),
            ("alt+↑ alt+↓", "move from block to block; then space expands, c copies"),
            ("ctrl+o", "expand or fold everything"),
            ("ctrl+t", "show or hide the plan"),
            ("mouse", "wheel scrolls, click expands, drag selects"),
        ),
    ),
    (
        "Questions",
        (
            ("1 2 3 or y s p a n", "answer"),
            ("← →", "choose the pattern that a lasting answer is for"),
            ("PgUp PgDn", "read all of what would run"),
            ("tab", "write a message first"),
            ("esc", "deny and stop the turn"),
        ),
    ),
    (
        "Tasks",
        (
            ("j k", "move"),
            ("space", "peek, and answer what is asked from here"),
            ("enter", "open the task"),
            ("n r", "begin another, say something to one"),
            ("d m", "review it, and apply from there"),
            ("x", "interrupt, when pressed twice"),
            ("D", "remove its worktree, once the word is typed; its files stay restorable"),
            ("/ a", "filter by words; tasks of all repositories"),
        ),
    ),
    (
        "Review",
        (
            ("j k  ↑ ↓", "line"),
            ("J K  ← →", "hunk"),
            ("a", "judge line by line, or hunk by hunk again"),
            ("v", "begin a range of lines; v again ends it"),
            ("[ ]", "file"),
            ("n N", "next, previous undecided"),
            ("space", "keep"),
            ("d", "drop"),
            ("u", "undecided again"),
            ("A X", "keep, drop the whole file"),
            ("z", "undo the last mark"),
            ("c", "comment on the hunk or the chosen lines; again, change it until it is sent, or empty it"),
            ("E", "edit the hunk in your editor: it is kept as you leave it"),
            ("w", "why it is there: turn, plan step, tool call"),
            ("S", "send to the agent what was dropped, edited or commented"),
            ("R", "bring the task onto the tip of its branch; it resolves what conflicts"),
            ("C", "run the checks"),
            ("M", "apply what was kept, after a question that says what will happen"),
            ("esc", "back to the conversation"),
        ),
    ),
)


class TextScreen(ModalScreen[None]):
    """Rows over the rest, closed by Esc, q or the key that opened it."""

    DEFAULT_CSS = """
    TextScreen { align: center middle; background: $background 60%; }
    TextScreen #box { width: 92%; max-width: 96; height: auto; max-height: 90%; border: round $accent; padding: 0 2;
        background: $surface; scrollbar-size-vertical: 1; }
    TextScreen #box.-ascii { border: ascii $accent; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,f1,ctrl+t", "dismiss", "Close", show=False, priority=True),
        Binding("down,j", "scroll(1)", "Down", show=False),
        Binding("up,k", "scroll(-1)", "Up", show=False),
    ]

    def __init__(self, context: AppContext, title: str) -> None:
        super().__init__()
        self._goose = context
        self._heading = title
        self._text = RowView(context.look, base="surface")
        self._box = VerticalScroll(self._text, id="box", classes="-ascii" if context.look.ascii else None)

    def compose(self) -> ComposeResult:
        yield self._box

    def on_mount(self) -> None:
        self._box.border_title = self._heading
        self._box.border_subtitle = "esc closes"
        self._box.focus()

    def on_resize(self) -> None:
        width = min(96, int(self.app.size.width * 0.92)) - 8
        self._text.show(self.rows(max(20, width)))

    def rows(self, width: int) -> list[Row]:
        raise NotImplementedError

    def action_scroll(self, step: int) -> None:
        self._box.scroll_relative(y=step, animate=False)


class HelpScreen(TextScreen):
    def __init__(self, context: AppContext) -> None:
        super().__init__(context, "goose-py: keys and commands")

    def rows(self, width: int) -> list[Row]:
        look = self._goose.look
        rows: list[Row] = []
        for title, keys in KEYS:
            rows += [[], [Segment(title.upper(), look["title"])]]
            rows += [row for key, meaning in keys for row in _pair(key, meaning, width, look)]
        rows += [[], [Segment("COMMANDS", look["title"])]]
        for command in COMMANDS:
            rows += _pair(f"/{command.name} {command.argument}".rstrip(), command.meaning, width, look)
        closing = "Leaving stops nothing: the work goes on, and `goose-py` opens it again."
        return [*rows[1:], [], *([Segment(line, look["dim"])] for line in wrapped(closing, width, look))]


def _pair(key: str, meaning: str, width: int, look) -> list[Row]:  # type: ignore[no-untyped-def]
    column = 32 if width >= 70 else 24
    lines = list(wrapped(meaning, max(10, width - column - 2), look))
    return [
        [Segment(f"  {key if number == 0 else '':<{column}}", look["key"]), Segment(line, look["text"])]
        for number, line in enumerate(lines)
    ]


class PlanScreen(TextScreen):
    def __init__(self, context: AppContext) -> None:
        super().__init__(context, "plan")

    def rows(self, width: int) -> list[Row]:
        look, plan = self._goose.look, self._goose.state.plan
        rows: list[Row] = []
        for step in plan.steps if plan is not None else ():
            mark, role = STEP_MARKS[step.status]
            for number, line in enumerate(wrapped(safe_line(step.title), width - 2, look)):
                rows.append([Segment(f"{mark} " if number == 0 else "  ", look[role]), Segment(line, look["text"])])
            if step.acceptance:
                for line in wrapped(safe_line(f"done when: {step.acceptance}"), width - 4, look):
                    rows.append([Segment("    " + line, look["dim"])])
        return rows
