"""The app: what is shared by its screens. It draws, it sends commands, and it owns nothing that a worker does."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from functools import partial
from typing import Any, ClassVar, TypeVar

from textual import events
from textual.app import App, SuspendNotSupported
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.timer import Timer
from textual.worker import Worker, WorkerCancelled

from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.commands import (
    AnyCommand,
    Compact,
    Continue,
    Interrupt,
    Prompt,
    Reject,
    RunChecks,
    SetMode,
    SetModel,
    SetTitle,
    WithdrawPrompt,
)
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.messages import Text
from goose_py.protocol.modes import Mode
from goose_py.protocol.safe_text import safe_text
from goose_py.tui.appearance import Look
from goose_py.tui.chrome import Chrome
from goose_py.tui.conversation.screen import ConversationScreen
from goose_py.tui.conversation.transcript import short_transcript
from goose_py.tui.input.driver import InlineDriver, ScreenDriver
from goose_py.tui.notifications import Notifications, escape_sequence, tmux_passthrough
from goose_py.tui.questions import commands_for, question_of
from goose_py.tui.review.open_review import OpenReview
from goose_py.tui.services import AppExit, Options, Services
from goose_py.tui.slash import COMMANDS, parse, parse_model
from goose_py.tui.state.attachment import Attachment
from goose_py.tui.state.task_line import TaskLine
from goose_py.tui.state.view_state import Queued, ViewState
from goose_py.tui.theme import DARK, LIGHT, NAMES
from goose_py.tui.widgets.question import Option, Question

T = TypeVar("T")
LEAVE_TWICE = 2.0
"""Seconds in which Ctrl+C has to be pressed again."""
TASKS_EVERY = 10.0


class GooseApp(App[AppExit]):
    """`task` None: a new one is started. The first frame is painted before any worker is reached."""

    TITLE = "goose-py"
    ENABLE_COMMAND_PALETTE = False
    CSS = """
    Toast { background: $panel; }
    Screen:inline { height: 75vh; min-height: 12; border: none; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+c", "cancel", "Cancel", show=False, priority=True),
        Binding("ctrl+q", "leave", "Leave", show=False, priority=True),
        Binding("ctrl+l", "redraw", "Redraw", show=False, priority=True),
        Binding("f1", "help", "Help", show=False, priority=True),
        Binding("f2", "tasks", "Tasks", show=False, priority=True),
        Binding("f3", "review", "Review", show=False, priority=True),
    ]

    def __init__(self, services: Services, options: Options = Options(), task: str | None = None) -> None:  # noqa: B008
        # Said here and not only by the theme: Textual decides on NO_COLOR while it is being made.
        super().__init__(
            driver_class=InlineDriver if options.inline else ScreenDriver,
            ansi_color=True if options.palette in ("ansi", "mono") else None,
        )
        self.services = services
        self.options = options
        self.look = Look(options.palette, options.ascii)
        self.task_id = task
        self.attachment: Attachment | None = None
        self.changes: ChangeSet | None = None
        self.reviewing: OpenReview | None = None
        self.tasks: tuple[TaskLine, ...] = ()
        self.answered = ""
        self._problem = ""
        self._starter: Worker[None] | None = None
        self._drawn = -1
        self._pending: Timer | None = None
        self._clock: Timer | None = None
        self._reader: Worker[None] | None = None
        self._changes_of: Any = None
        self._left_asked = float("-inf")
        self._away = False
        self._review_wanted = False
        self._desktop = Notifications()
        self.conversation = ConversationScreen(self)
        self.animation_level = "none"
        for theme in (DARK, LIGHT):
            self.register_theme(theme)
        self.theme = NAMES[options.palette]

    def _build_driver(self, headless: bool, inline: bool, mouse: bool, size: tuple[int, int] | None) -> Driver:
        """The driver is ours also where Textual would take its own inline one."""
        return super()._build_driver(headless, False, mouse, size)

    def _handle_exception(self, error: Exception) -> None:
        """A bug of ours ends the app, and `run.run_app` raises it. Textual would print it with the values of all variables,
        in which prompts and keys may be."""
        self._return_code = 1
        if self._exception is None:
            self._exception = error
            self._exception_event.set()
        self._close_messages_no_wait()

    @property
    def bug(self) -> Exception | None:
        """What ended the app, if it was not the person."""
        return self._exception

    # Life.

    def on_mount(self) -> None:
        self.push_screen(self.conversation)
        for text in self.services.history():
            self.conversation.prompt.remember(text)
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        self._clock = self.set_interval(0.5 if self.options.slow_link else 0.25, self._tick, pause=True)
        if self.task_id is not None:
            self.attach(self.task_id)
        else:
            self.begin_another()
        self.run_worker(self._look_at_tasks, group="tasks", exclusive=True)
        self.set_interval(TASKS_EVERY, self.refresh_tasks)

    def begin_another(self) -> None:
        """Show a new task in the place of this one. Where none can be started, this one stays, and it is said why."""
        if self._starter is None or self._starter.is_finished:
            self._starter = self.run_worker(self._start, group="start")

    async def _start(self) -> None:
        self._problem = ""
        self.draw()
        before = self.task_id
        try:
            task = await self.services.start_task()
            self.task_id = before or task
            attachment = Attachment(task, self.services.connect, self._changed)
            await attachment.connect()
        except GooseError as error:
            self.task_id = before
            if before is not None:
                self.complain(error)
            else:
                self._problem = safe_text(str(error))
            self.refresh_tasks()
            self.draw()
            return
        self._show(attachment)

    def attach(self, task: str) -> None:
        """Show this task from now on. The one before goes on as it was."""
        self._show(Attachment(task, self.services.connect, self._changed))

    def _show(self, attachment: Attachment) -> None:
        if self._reader is not None:
            self._reader.cancel()
        self.task_id = attachment.task_id
        self.changes, self._changes_of, self.answered, self._problem = None, None, "", ""
        self.reviewing = None
        self.attachment = attachment
        self.conversation.log_view.clear()
        self._reader = self.run_worker(attachment.run, group="reader", exclusive=True)
        self.draw()

    @property
    def state(self) -> ViewState:
        return self.attachment.state if self.attachment is not None else _NOTHING

    def chrome(self, tab: str = "chat") -> Chrome:
        model = self.state.model
        return Chrome(
            tab=tab,
            window=self.services.window_of(model) if model is not None else None,
            place=self.options.place,
            connection=self._connection_text(),
            problem=self._problem or (safe_text(self.attachment.problem) if self.attachment is not None else ""),
            changes=self.changes,
            tasks=tuple(task for task in self.tasks if task.task_id != self.task_id),
        )

    def _connection_text(self) -> str:
        if self._problem:
            return "not started"
        if self.attachment is None:
            return "starting…"
        return {
            "connecting": "connecting…",
            "attached": "",
            "gone": "not running; your next message starts it again",
            "failed": "cannot be reached",
        }[self.attachment.status]

    # Drawing: what comes in is taken in at once and drawn a few times a second.

    def _changed(self) -> None:
        if self._pending is None:
            self._pending = self.set_timer(self.options.flush, self._catch_up)

    def _catch_up(self) -> None:
        self._pending = None
        attachment = self.attachment
        if attachment is not None and attachment.problem and attachment.version != self._drawn:
            self.complain(GooseError(attachment.problem))
        self.draw()

    def draw(self) -> None:
        attachment = self.attachment
        self._drawn = attachment.version if attachment is not None else -1
        self._follow_up()
        screen = self.screen if self.screen_stack else None
        if screen is not None and hasattr(screen, "draw"):
            screen.draw()

    def _follow_up(self) -> None:
        state = self.state
        if self._clock is not None:
            if state.running:
                self._clock.resume()
            else:
                self._clock.pause()
        marker = (state.changes, state.applied, state.base_tree, len(state.items) if state.ended else 0)
        if self.attachment is not None and state.base_tree is not None and marker != self._changes_of:
            self._changes_of = marker
            self.run_worker(partial(self._load_changes, self.attachment.task_id), group="changes", exclusive=True)
        question = question_of(state)
        if question is None or question.id != self.answered:
            self.answered = self.answered if question is not None and question.id == self.answered else ""
        self._tell_the_absent(question)

    def _tell_the_absent(self, question: Question | None) -> None:
        """Once for each thing, when somebody who looks elsewhere is needed or work is done."""
        others = [task for task in self.tasks if task.task_id != self.task_id]
        asked = question.id if question is not None else ""
        news = self._desktop.news(self.state.title, asked, self.state.running, others)
        if news and self._away:
            self.bell()
            if self._driver is not None:
                self._driver.write(escape_sequence("goose-py: " + ", ".join(news), self.options.tmux))

    def on_app_blur(self) -> None:
        self._away = True

    def on_app_focus(self) -> None:
        self._away = False
        self.refresh_changes()

    async def _load_changes(self, task: str) -> None:
        try:
            changes = await self.services.load_changes(task)
        except GooseError as error:
            self.complain(error)
            return
        if task == self.task_id:
            self.changes = changes
            if self.reviewing is None:
                self.reviewing = OpenReview(changes)
            self.draw()
            if self._review_wanted:
                self._review_wanted = False
                self.action_review()

    def refresh_changes(self) -> None:
        """Look at the files again: they may have been changed by hand."""
        if self.attachment is not None and self.state.base_tree is not None:
            self.run_worker(partial(self._load_changes, self.attachment.task_id), group="changes", exclusive=True)

    def refresh_tasks(self) -> None:
        self.run_worker(self._look_at_tasks, group="tasks", exclusive=True)

    async def _look_at_tasks(self) -> None:
        try:
            self.tasks = await self.services.list_tasks()
        except GooseError as error:
            self.complain(error)
            return
        self.draw()

    def _tick(self) -> None:
        if self.screen is self.conversation:
            self.conversation.tick()

    # Saying something to the task.

    def submit(self, text: str, *, queue: bool) -> None:
        """A prompt, or a command of this program."""
        prompt = self.conversation.prompt
        if not text.strip():
            return
        command = parse(text)
        if command is not None:
            prompt.take()
            self._run_slash(*command)
            return
        prompt.take()
        prompt.remember(text)
        self.services.remember(text)
        if text.startswith("!") and text[1:].strip() and "\n" not in text.strip():
            self.run_outside(text[1:].strip())
            return
        self.conversation.log_view.following = True
        message = Prompt(prompt_id=self.services.new_id(), parts=(Text(text),), delivery="queue" if queue else "steer")
        self.send(message, on_refused=lambda reason: self._give_back(text, reason))

    def _give_back(self, text: str, reason: str) -> None:
        self.conversation.prompt.give_back(text)
        if safe_text(reason) != self.chrome().problem:  # which is on the screen already
            self.complain(GooseError(reason))

    def send(self, *commands: AnyCommand, on_refused: Callable[[str], None] | None = None) -> None:
        """Send in order. A refusal is shown, by `on_refused` where it is given, and what follows is not sent."""
        self.run_worker(partial(self._send, commands, on_refused), group="send")

    async def _send(self, commands: tuple[AnyCommand, ...], on_refused: Callable[[str], None] | None) -> None:
        try:
            attachment = await self._reached()
            for command in commands:
                await attachment.send(command)
        except GooseError as error:
            if on_refused is None:
                self.complain(error)
            else:
                on_refused(str(error))

    async def _reached(self) -> Attachment:
        """The attachment, with its worker started again where it had ended, and with a new task where there is none yet."""
        if self.attachment is None:
            self.begin_another()
            assert self._starter is not None
            try:
                await self._starter.wait()
            except WorkerCancelled:
                raise asyncio.CancelledError from None  # the app is being left
        if self.attachment is None:
            raise UserError(self._problem)
        if self.attachment.status in ("gone", "failed"):
            self._reader = self.run_worker(self.attachment.run, group="reader", exclusive=True)
            self.attachment.restarting()
        return self.attachment

    def answer(self, question: Question, option: Option, variant: int, note: str = "") -> None:
        commands = commands_for(question, option, variant, note)
        if commands:
            self.answered = question.id
            self.send(*commands, on_refused=self._forget_answer)

    def _forget_answer(self, reason: str) -> None:
        self.complain(GooseError(reason))
        self.answered = ""
        self.draw()

    def interrupt(self) -> None:
        self.send(Interrupt())

    def take_back(self, queued: Queued) -> None:
        """A prompt that waits comes back to be edited."""
        self.conversation.prompt.put(queued.text)
        self.send(WithdrawPrompt(prompt_id=queued.prompt_id), on_refused=lambda reason: self._drop_draft(queued.text, reason))

    def _drop_draft(self, text: str, reason: str) -> None:
        self.complain(GooseError(reason))
        if self.conversation.prompt.text == text:
            self.conversation.prompt.take()

    def next_mode(self) -> None:
        modes = self.options.modes
        at = modes.index(self.state.mode) if self.state.mode in modes else -1
        self.send(SetMode(mode=modes[(at + 1) % len(modes)]))

    # Commands by name.

    def _run_slash(self, name: str, argument: str) -> None:
        try:
            self._slash(name, argument)
        except UserError as error:
            self.complain(error)

    def _slash(self, name: str, argument: str) -> None:
        simple: dict[str, Callable[[], None]] = {
            "help": self.action_help,
            "review": self.action_review,
            "tasks": self.action_tasks,
            "new": self.begin_another,
            "plan": self.show_plan,
            "checks": lambda: self.send(RunChecks()),
            "continue": lambda: self.send(Continue()),
            "interrupt": self.interrupt,
            "expand": self.conversation.action_expand,
            "quit": self.action_leave,
        }
        if name in simple:
            simple[name]()
        elif name == "copy":
            self.copy(self._to_copy(argument))
        elif name == "compact":
            self.send(Compact(undo=argument == "undo"))
        elif name == "mode":
            self.send(SetMode(mode=_mode(argument)))
        elif name == "model":
            self.send(SetModel(model=parse_model(argument, self.state.model)))
        elif name == "title":
            if not argument:
                raise UserError("Say the title: /title TEXT.")
            self.send(SetTitle(title=argument))
        elif name == "reject":
            self.send(Reject(reason=argument))
        else:
            from difflib import get_close_matches

            near = get_close_matches(name, [command.name for command in COMMANDS], n=1)
            hint = f" Did you mean /{near[0]}?" if near else " /help lists them."
            raise UserError(f"There is no command /{name}.{hint}")

    def _to_copy(self, what: str) -> str:
        log = self.conversation.log_view
        if what in ("", "reply"):
            return log.last_reply()
        if what == "block":
            return log.current_text()
        if what == "diff":
            return self.reviewing.as_text() if self.reviewing is not None else ""
        raise UserError("Say what to copy: /copy, /copy block or /copy diff.")

    def run_outside(self, command: str) -> None:
        """The user's own command, in their own terminal. The agent hears nothing of it."""
        try:
            self.outside(lambda: self.services.shell(command))
        except GooseError as error:
            self.complain(error)
        self.refresh_changes()

    def show_plan(self) -> None:
        plan = self.state.plan
        if plan is None:
            self.notify("There is no plan yet.", markup=False)
        elif not self.conversation.panel.display:
            from goose_py.tui.help import PlanScreen

            self.push_screen(PlanScreen(self))
        else:
            self.conversation.action_plan()

    # Screens.

    def action_help(self) -> None:
        from goose_py.tui.help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen(self))

    def action_tasks(self) -> None:
        from goose_py.tui.board.screen import TasksScreen

        self._home()
        self.refresh_tasks()
        self.push_screen(TasksScreen(self))

    def action_review(self) -> None:
        from goose_py.tui.review.screen import ReviewScreen

        self._home()
        if self.changes is None or not self.changes.files:
            self.notify("Nothing has been changed yet.", markup=False)
            return
        self.push_screen(ReviewScreen(self))

    def review_when_loaded(self) -> None:
        """Open the review of a task that is only just being attached."""
        if self.changes is not None:
            self.action_review()
        else:
            self._review_wanted = True

    def _home(self) -> None:
        while self.screen is not self.conversation and len(self.screen_stack) > 2:
            self.pop_screen()

    def open_tab(self, x: int, header: str) -> None:
        """The tab that was clicked in the header."""
        for name, action in (("1", self._home), ("2", self.action_tasks), ("3", self.action_review)):
            for tab in (f"{name} ", name):
                start = header.find(f"{tab}{ {'1': 'Chat', '2': 'Tasks', '3': 'Review'}[name] }")
                if 0 <= start - 1 <= x <= start + len(tab) + 10:
                    action()
                    return

    # Leaving.

    def action_cancel(self) -> None:
        """Ctrl+C: copy what is selected, else clear the prompt, else interrupt, else leave when it is pressed twice."""
        if self.screen.get_selected_text():
            self.copy(self.screen.get_selected_text() or "")
            self.screen.clear_selection()
            return
        prompt = self.conversation.prompt
        if self.screen is self.conversation and prompt.text:
            prompt.remember(prompt.take())
            return
        now = self.services.monotonic()
        again = now - self._left_asked <= LEAVE_TWICE
        if again:
            self.action_leave()
            return
        self._left_asked = now
        if self.state.running:
            self.interrupt()
            self.notify("Interrupting. Ctrl+C again leaves.", timeout=LEAVE_TWICE, markup=False)
        else:
            self.notify("Ctrl+C again leaves; the task stays.", timeout=LEAVE_TWICE, markup=False)

    def action_leave(self) -> None:
        self.exit(self.left())

    def left(self) -> AppExit:
        shown = self.attachment.task_id if self.attachment is not None else None
        return AppExit(shown, self.state.running, self.state.title, short_transcript(self.state))

    def action_redraw(self) -> None:
        self.screen.refresh(layout=True)

    # Telling.

    def say(self, text: str, seconds: float = 4) -> None:
        self.notify(safe_text(text), timeout=seconds, markup=False)

    def outside(self, work: Callable[[], T]) -> T:
        try:
            with self.suspend():
                return work()
        except SuspendNotSupported:
            raise UserError("This needs a terminal of its own, and here is none to give.") from None

    def complain(self, error: GooseError) -> None:
        self.notify(safe_text(str(error)), severity="error", timeout=8, markup=False)

    def copy(self, text: str) -> None:
        if not text:
            self.notify("There is nothing to copy.", markup=False)
            return
        self.copy_to_clipboard(text)
        if self.options.tmux and self._driver is not None:
            data = base64.b64encode(text.encode("utf-8", "replace")).decode()
            self._driver.write(tmux_passthrough(f"\x1b]52;c;{data}\x07", tmux=True))
        lines = text.count("\n") + 1
        self.notify(f"Copied {lines} {'line' if lines == 1 else 'lines'}.", timeout=2, markup=False)

    def on_resize(self, event: events.Resize) -> None:
        self.draw()


_NOTHING = ViewState()


def _mode(text: str) -> Mode:
    for mode in ("plan", "ask", "auto", "chat"):
        if text == mode:
            return mode
    raise UserError("Say which mode: /mode plan, ask, auto or chat.")
