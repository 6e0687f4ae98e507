"""The inbox: every task, grouped by what it needs, and what can be answered from here without leaving."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.worker import Worker

from goose_py.protocol.commands import AnyCommand, Interrupt, Prompt
from goose_py.protocol.errors import GooseError
from goose_py.protocol.messages import Text
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.tui.board.rows import list_rows, matching_tasks, peek_rows
from goose_py.tui.chrome import header_rows, hint_row
from goose_py.tui.context import AppContext
from goose_py.tui.questions import commands_for, question_of, wants_text
from goose_py.tui.state.attachment import Attachment
from goose_py.tui.state.task_line import TaskLine
from goose_py.tui.widgets.line_input import LineInput
from goose_py.tui.widgets.question import Option, Question, QuestionPanel
from goose_py.tui.widgets.row_view import RowView, text_row

REFRESH = 2.0
STOP_TWICE = 2.0
"""Seconds in which x has to be pressed again."""
DISCARD = "discard"
"""What has to be typed."""


class TasksScreen(Screen[None]):
    DEFAULT_CSS = """
    TasksScreen { background: $background; color: $foreground; }
    TasksScreen #tasks-header { height: 2; }
    TasksScreen #tasks { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", show=False),
        Binding("j,down", "move(1)", "Down", show=False),
        Binding("k,up", "move(-1)", "Up", show=False),
        Binding("g,home", "move(-9999)", "Top", show=False),
        Binding("G,end", "move(9999)", "Bottom", show=False),
        Binding("enter,right", "open", "Open", show=False),
        Binding("space", "peek", "Peek", show=False),
        Binding("d", "review", "Review", show=False),
        Binding("m", "review", "Review and merge", show=False),
        Binding("n", "new", "New", show=False),
        Binding("r", "reply", "Reply", show=False),
        Binding("x", "stop", "Stop", show=False),
        Binding("D", "discard", "Discard", show=False),
        Binding("slash", "filter", "Filter", show=False),
        Binding("a", "everywhere", "All repositories", show=False),
    ]

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._goose = context
        look = context.look
        self.header = RowView(look, id="tasks-header")
        self.list = RowView(look, id="tasks")
        self.peek = RowView(look, id="peek")
        # As in the conversation: what comes while somebody moves about is not answered by the key they were about to press.
        self.question = QuestionPanel(look, context.options.grace, id="question")
        self.question.passes = frozenset({"j", "k", "space"})
        self.writing = LineInput(look, id="writing")
        self.hints = RowView(look, id="hints")
        self._chosen: str | None = context.task_id
        self._first = 0
        self._tasks: list[TaskLine] = []
        self._places: dict[int, int] = {}
        self._peeked: Attachment | None = None
        self._reader: Worker[None] | None = None
        self._answered = ""
        self._peeking = False
        self._words = ""
        self._everywhere = False
        self._written: Callable[[str], None] | None = None
        self._stop_asked: tuple[str, float] = ("", 0.0)

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.list
        yield self.peek
        yield self.question
        yield self.writing
        yield self.hints

    def on_mount(self) -> None:
        self.set_interval(REFRESH, self._goose.refresh_tasks)
        self.draw()

    @property
    def _index(self) -> int:
        return next((number for number, task in enumerate(self._tasks) if task.task_id == self._chosen), 0)

    @property
    def task(self) -> TaskLine | None:
        return self._tasks[self._index] if self._tasks else None

    # Drawing.

    def draw(self) -> None:
        if not self.is_mounted:
            return
        width, height = self.app.size
        context, look = self._goose, self._goose.look
        here = "" if self._everywhere else context.services.here
        self._tasks = matching_tasks(context.tasks, here, self._words)
        if self.task is not None:
            self._chosen = self.task.task_id
        self._follow_peek()
        self.header.show(header_rows(context.state, context.chrome("tasks"), width, look))
        below = self._draw_peek(width)
        rows, at, self._places = list_rows(self._tasks, self._index, width, look, context.services.now(), context.task_id)
        room = max(1, height - 3 - below - (3 if self.writing.display else 0))
        self._first = max(0, min(max(self._first, at - room + 1), max(0, at - 1))) if len(rows) > room else 0
        self.list.show(rows[self._first : self._first + room] or self._nothing(look))
        self.hints.show([self._hints(width)])

    def _nothing(self, look):  # type: ignore[no-untyped-def]
        if self._words:
            return [[], text_row(f"  No task fits {safe_line(self._words)!r}.", look, "dim")]
        where = "" if self._everywhere else " of this repository (a shows those of all)"
        return [[], text_row(f"  There are no tasks{where} yet. n begins one.", look, "dim")]

    def _hints(self, width: int):  # type: ignore[no-untyped-def]
        look, task = self._goose.look, self.task
        if self.writing.has_focus:
            return hint_row([("enter", "go"), ("esc", "back")], [], width, look)
        if self.question.has_focus:
            return hint_row([("1-9", "answer"), ("jk", "move"), ("space", "close")], [("esc", "later")], width, look)
        keys = [("jk", "move"), ("enter", "open"), ("space", "peek"), ("n", "new")]
        if task is not None:
            keys.append(("r", "reply"))
            if task.need == "review" or task.files:
                keys.append(("d", "review"))
            keys.append(("x", "stop") if task.need in ("running", "you") and task.alive else ("D", "discard"))
        keys += [("/", "filter"), ("a", "this repository" if self._everywhere else "all repositories")]
        return hint_row(keys, [("F1", "help"), ("esc", "chat")], width, look)

    def _draw_peek(self, width: int) -> int:
        """Returns how many rows it takes, with the question below it."""
        task = self.task
        self.peek.display = self._peeking and task is not None
        question = None
        if self._peeking and task is not None:
            attachment = self._peeked
            problem = safe_text(attachment.problem) if attachment is not None else ""
            state = attachment.state if attachment is not None and attachment.state.seq else None
            rows = peek_rows(task, state, problem, width, self._goose.look)
            self.peek.show(rows)
            question = self._question()
        held = self.question.has_focus
        room = max(8, self.app.size.height // 2)
        self.question.ask(question if not self.writing.display else None, room)
        if self.question.question is None:
            if held:
                self.set_focus(None)
            return len(self.peek.plain.split("\n")) if self.peek.display else 0
        if not held and not self.writing.display:
            self.call_after_refresh(self._take_keys)
        return len(self.peek.plain.split("\n")) + int(self.question.styles.height.value if self.question.styles.height else 0)

    def _take_keys(self) -> None:
        if self.question.question is not None and not self.writing.display and not self.question.has_focus:
            # Nothing is drawn here: drawing asks for the keys, and where the focus comes late the two would never end.
            self.question.focus()
            self.question.focused_now()

    def _question(self) -> Question | None:
        if self._peeked is None:
            return None
        found = question_of(self._peeked.state)
        if found is None or found.id == self._answered:
            return None
        # Escape closes the peek here; only in the conversation does it stop the turn.
        options = tuple(option for option in found.options if option.key != "escape")
        return replace(found, options=(*options, Option("escape", "Decide later")))

    # Peeking.

    def action_peek(self) -> None:
        self._peeking = not self._peeking
        self.draw()

    def _follow_peek(self) -> None:
        """One connection, to the task under the cursor, while it is peeked at and a worker is there to connect to."""
        task = self.task if self._peeking else None
        wanted = task.task_id if task is not None and task.alive else None
        if wanted == (self._peeked.task_id if self._peeked is not None else None):
            return
        if self._reader is not None:
            self._reader.cancel()
        self._peeked, self._reader, self._answered = None, None, ""
        if wanted is not None:
            self._peeked = Attachment(wanted, self._goose.services.connect, self._soon)
            self._reader = self.run_worker(self._peeked.run, group="peek", exclusive=True)

    def _soon(self) -> None:
        self.call_later(self.draw)

    def on_question_panel_answered(self, event: QuestionPanel.Answered) -> None:
        event.stop()
        if event.option.key == "escape":
            self.action_back()
            return
        if wants_text(event.question, event.option):
            self._write(wants_text(event.question, event.option), partial(self._answer, event))
            return
        self._answer(event, "")

    def _answer(self, event: QuestionPanel.Answered, note: str) -> None:
        attachment = self._peeked
        if attachment is None:
            return
        self._answered = event.question.id
        self._send(attachment, *commands_for(event.question, event.option, event.variant, note))
        self.draw()
        self._goose.refresh_tasks()

    def on_question_panel_put_off(self, event: QuestionPanel.PutOff) -> None:
        event.stop()
        self.action_back()

    # Saying something to a task.

    def _send(self, attachment: Attachment, *commands: AnyCommand) -> None:
        self.run_worker(partial(self._sending, attachment, commands), group="send")

    async def _sending(self, attachment: Attachment, commands: tuple[AnyCommand, ...]) -> None:
        try:
            for command in commands:
                await attachment.send(command)
        except GooseError as error:
            self._answered = ""
            self._goose.complain(error)
        self.draw()

    def _tell(self, task_id: str | None, command: AnyCommand, told: str, on_refused: Callable[[], None] = lambda: None) -> None:
        """Through a connection that is made for it; the task's worker is started where none runs. None: a new task."""
        self.run_worker(partial(self._telling, task_id, command, told, on_refused), group="tell")

    async def _telling(self, task_id: str | None, command: AnyCommand, told: str, on_refused: Callable[[], None]) -> None:
        try:
            task_id = task_id if task_id is not None else await self._goose.services.start_task()
            connection = await self._goose.services.connect(task_id, 1 << 62)
            reading = self.run_worker(partial(_drain, connection), group="drain")
            try:
                await connection.send(command)
            finally:
                await connection.close()
                await reading.wait()
        except GooseError as error:
            self._goose.complain(error)
            on_refused()
            return
        self._goose.say(told)
        self._goose.refresh_tasks()

    def _prompt(self, text: str) -> Prompt:
        return Prompt(prompt_id=self._goose.services.new_id(), parts=(Text(text),))

    def action_new(self) -> None:
        self._write_to(None, "describe a task: it starts in its own worktree", "It has begun, in a worktree of its own.")

    def action_reply(self) -> None:
        task = self.task
        if task is not None:
            name = safe_line(task.title)
            self._write_to(task.task_id, f"say to {name}", f"{name} was told.")

    def _write_to(self, task_id: str | None, title: str, told: str, text: str = "") -> None:
        """What is written becomes a prompt; where it is refused, it is there to be sent again."""

        def send(text: str) -> None:
            self._tell(task_id, self._prompt(text), told, partial(self._write_to, task_id, title, told, text))

        self._write(title, send, text)

    def action_stop(self) -> None:
        task = self.task
        if task is None or not task.alive or task.need not in ("running", "you"):
            self._goose.say("That task does not run.", 2)
            return
        now = self._goose.services.monotonic()
        asked, at = self._stop_asked
        if asked != task.task_id or now - at > STOP_TWICE:
            self._stop_asked = (task.task_id, now)
            self._goose.say("x again interrupts it. Nothing is lost.", STOP_TWICE)
            return
        self._stop_asked = ("", 0.0)
        self._tell(task.task_id, Interrupt(), f"{safe_line(task.title)} was interrupted.")

    def action_discard(self) -> None:
        task = self.task
        if task is None:
            return

        def confirmed(text: str) -> None:
            if text != DISCARD:
                self._goose.say("Nothing was discarded.", 2)
                return
            self.run_worker(partial(self._discard, task.task_id), group="discard")

        self._write(f"type {DISCARD} to remove the worktree of {safe_line(task.title)}; its files stay restorable", confirmed)

    async def _discard(self, task_id: str) -> None:
        try:
            self._goose.say(await self._goose.services.discard(task_id), 8)
        except GooseError as error:
            self._goose.complain(error)
        self._goose.refresh_tasks()

    # Which tasks.

    def action_filter(self) -> None:
        self._write("show tasks with these words", self._filter, self._words)

    def _filter(self, text: str) -> None:
        self._words = text
        self.draw()

    def on_input_changed(self, event: LineInput.Changed) -> None:
        if self._written == self._filter:
            self._words = event.value
            self.draw()

    def action_everywhere(self) -> None:
        self._everywhere = not self._everywhere
        self.draw()

    def action_move(self, step: int) -> None:
        if self._tasks:
            at = min(max(0, self._index + step), len(self._tasks) - 1)
            self._chosen = self._tasks[at].task_id
            self.draw()

    # Writing.

    def _write(self, title: str, written: Callable[[str], None], text: str = "") -> None:
        self._written = written
        self.writing.open(title, text)
        self.draw()

    def on_input_submitted(self, event: LineInput.Submitted) -> None:
        written, text = self._written, safe_text(event.value).strip()
        self._stop_writing()
        if written is not None and (text or written == self._filter):
            written(text)

    def _stop_writing(self) -> None:
        self._written = None
        self.writing.close()
        self.set_focus(None)
        self.draw()

    # Going elsewhere.

    def action_back(self) -> None:
        if self.writing.display:
            if self._written == self._filter:
                self._words = ""
            self._stop_writing()
        elif self._peeking:
            self._peeking = False
            self.draw()
        elif self._words:
            self._filter("")
        else:
            self.dismiss()

    def action_open(self) -> None:
        task = self.task
        if task is not None:
            self.dismiss()
            if task.task_id != self._goose.task_id:
                self._goose.attach(task.task_id)

    def action_review(self) -> None:
        if self.task is not None:
            self.action_open()
            self._goose.review_when_loaded()

    def on_row_view_clicked(self, event: RowView.Clicked) -> None:
        if event.rows is self.header:
            self._goose.open_tab(event.x, self.header.plain.split("\n")[0])
        elif event.rows is self.list and (number := self._places.get(self._first + event.y)) is not None:
            self._chosen = self._tasks[number].task_id
            self.draw()

    def on_descendant_focus(self) -> None:
        if self.is_mounted:
            self.hints.show([self._hints(self.app.size.width)])

    def on_resize(self) -> None:
        self.draw()


async def _drain(connection) -> None:  # type: ignore[no-untyped-def]
    """Replies arrive among the frames; the frames themselves are not needed here."""
    async for _ in connection.frames():
        pass
