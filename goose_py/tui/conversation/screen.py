"""The conversation: the log, the plan beside it, the prompt, and whatever question waits."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import ClassVar

from textual import events
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from goose_py.protocol.errors import GooseError
from goose_py.protocol.safe_text import safe_text
from goose_py.tui.chrome import IN_PANEL, WIDE, header_rows, hint_row, panel_rows, plan_line, status_rows, welcome_rows
from goose_py.tui.context import AppContext
from goose_py.tui.conversation.completions import (
    Completion,
    command_completions,
    completion_rows,
    earlier_completions,
    fragment_at,
    matching_files,
    model_completions,
)
from goose_py.tui.conversation.log_view import LogView
from goose_py.tui.conversation.prompt import PromptArea
from goose_py.tui.questions import question_of, wants_text
from goose_py.tui.state.view_state import ViewState
from goose_py.tui.widgets.question import Option, Question, QuestionPanel, event_time
from goose_py.tui.widgets.row_view import RowView, text_row
from goose_py.tui.widgets.text_layout import count_text

PANEL_WIDTH = 41
LONG = 3_000
"""Characters that fit into any model's window."""
SMALL = (60, 15)
"""Below this, only the log and the prompt are left."""


class ConversationScreen(Screen[None]):
    AUTO_FOCUS = "#prompt"
    DEFAULT_CSS = """
    ConversationScreen { background: $background; color: $foreground; layout: vertical; }
    ConversationScreen #body { height: 1fr; }
    ConversationScreen LogView { width: 1fr; height: 1fr; background: $background; padding: 0 0 0 0; }
    ConversationScreen #panel { width: 41; height: 1fr; padding: 0 1; border-left: solid $foreground 25%; }
    ConversationScreen #panel.-ascii { border-left: ascii $foreground 25%; }
    ConversationScreen #rule { height: 1; }
    ConversationScreen #header { height: 2; }
    ConversationScreen #hints { height: 1; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "escape", "Interrupt", show=False),
        Binding("ctrl+o", "expand", "Expand", show=False, priority=True),
        Binding("ctrl+r", "search", "Search earlier prompts", show=False, priority=True),
        Binding("ctrl+g", "editor", "Editor", show=False, priority=True),
        Binding("ctrl+t", "plan", "Plan", show=False, priority=True),
        Binding("shift+tab", "mode", "Mode", show=False, priority=True),
        Binding("pageup", "page(-1)", "Page up", show=False, priority=True),
        Binding("pagedown", "page(1)", "Page down", show=False, priority=True),
        Binding("ctrl+home", "top", "Top", show=False, priority=True),
        Binding("ctrl+end", "bottom", "Bottom", show=False, priority=True),
        Binding("alt+up", "block(-1)", "Block up", show=False, priority=True),
        Binding("alt+down", "block(1)", "Block down", show=False, priority=True),
    ]

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._goose = context
        look = context.look
        ascii_class = "-ascii" if look.ascii else None
        self.header = RowView(look, id="header")
        self.log_view = LogView(look, id="log")
        self.panel = RowView(look, id="panel", classes=ascii_class)
        self.rule = RowView(look, id="rule")
        self.plan_row = RowView(look, id="plan")
        self.status = RowView(look, id="status")
        self.menu = RowView(look, id="menu")
        self.question = QuestionPanel(look, context.options.grace, id="question")
        self.prompt = PromptArea(look, id="prompt")
        self.hints = RowView(look, id="hints")
        self._panel_wanted = True
        self._note_for: tuple[Question, Option, int] | None = None
        self._draft = ""
        self._put_off = ""
        self._chosen = 0
        self._completions: tuple[Completion, ...] = ()
        self._searching = False
        self._closed = ""
        self._completed = ""
        self._withheld = ""
        self._files: tuple[str, ...] | None = None
        self._found_files: tuple[str, tuple[str, ...]] = ("", ())
        self._frame = 0

    def compose(self) -> ComposeResult:
        yield self.header
        with Horizontal(id="body"):
            yield self.log_view
            yield self.panel
        with Vertical(id="dock") as dock:
            dock.styles.height = "auto"
            yield self.rule
            yield self.plan_row
            yield self.status
            yield self.question
            yield self.menu
            yield self.prompt
            yield self.hints

    def on_mount(self) -> None:
        self.prompt.placeholder = "Say what should be done. / lists commands."
        self._focus_prompt()
        self.draw()

    @property
    def state(self) -> ViewState:
        return self._goose.state

    # Drawing.

    def draw(self) -> None:
        """Show the state as it is now. Cheap where nothing changed."""
        if not self.is_mounted:
            return
        width, height = self.app.size
        self._fit(width, height)
        if not self.state.items:
            room = width - (PANEL_WIDTH + 1 if self.panel.display else 0)
            program = self._goose.options.program
            self.log_view.set_welcome(welcome_rows(self.state, self._goose.chrome(), program, room, self._goose.look))
        self.log_view.sync(self.state.items, self.state.live)
        self.draw_chrome()
        self._ask()

    def draw_chrome(self) -> None:
        """All but the log."""
        width, height = self.app.size
        look, chrome = self._goose.look, self._goose.chrome()
        self.header.show(header_rows(self.state, chrome, width, look))
        self.rule.show([text_row("─" * width, look, "faint")])
        if self.panel.display:
            self.panel.show(panel_rows(self.state, chrome, PANEL_WIDTH - 3, max(3, height - 9), look))
        self.plan_row.show([] if self.panel.display else plan_line(self.state, chrome, width, look))
        frame = None if self._goose.options.slow_link else self._frame
        self.status.show(status_rows(self.state, chrome, width, look, self._goose.services.now(), frame))
        self._draw_prompt(width)

    def tick(self) -> None:
        """Once in a while, while something runs."""
        self._frame += 1
        self.draw_chrome()

    def _fit(self, width: int, height: int) -> None:
        small = width < SMALL[0] or height < SMALL[1]
        self.panel.display = width >= WIDE and not small and self._panel_wanted and self._has_panel()
        for part in (self.header, self.rule, self.plan_row, self.status, self.hints):
            part.display = not small
        self.prompt.styles.min_height = 1 if small else 3
        self.prompt.styles.border = ("none", "transparent") if small else None

    def _has_panel(self) -> bool:
        state, chrome = self.state, self._goose.chrome()
        changed = chrome.changes is not None and bool(chrome.changes.files)
        others = any(task.need in IN_PANEL for task in chrome.tasks)
        return bool(state.plan or state.checks or state.context_tokens or others or changed)

    def _draw_prompt(self, width: int) -> None:
        look = self._goose.look
        if self._note_for is not None:
            question, option, _ = self._note_for
            self.prompt.border_title = look.glyph(wants_text(question, option))
            self.prompt.border_subtitle = ""
        else:
            self.prompt.border_title = look.glyph(self._overflow())
            self.prompt.set_class(bool(self.prompt.border_title), "-too-long")
            modes = " → ".join(self._goose.options.modes)
            text = f"{self.state.mode} · shift+tab: {modes}" if width >= WIDE else f"{self.state.mode} (shift+tab)"
            self.prompt.border_subtitle = look.glyph(text)
        found = self._find_completions()
        # What stands around the menu (header, plan, status, prompt, hints) and two rows of the log stay in view.
        room = max(2, min(8, self.app.size.height - 11))
        self.menu.show(completion_rows(found, self._chosen, width, look, limit=room))
        self.menu.display = bool(found)
        squeezed = self.question.question is not None and self.app.size.height < 30
        self.prompt.display = not squeezed or self.prompt.has_focus or bool(self.prompt.text)
        left, right = self._keys(width)
        self.hints.show([hint_row(left, right, width, look)])

    def _keys(self, width: int) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
        """Only keys that do something now."""
        state = self.state
        if self.question.has_focus:
            return [("↑↓", "choose"), ("enter", "answer"), ("tab", "write a message first")], [("ctrl+c", "interrupt")]
        if self._note_for is not None:
            return [("enter", "send"), ("esc", "back")], []
        if self.log_view.has_focus:
            return [("↑↓", "block"), ("space", "expand"), ("c", "copy"), ("g G", "top, end"), ("esc", "prompt")], [
                ("F1", "help")
            ]
        if self.prompt.menu_open:
            enter = "run" if self._completions[0].kind in ("command", "model") else "take"
            return [("↑↓", "choose"), ("tab", "complete"), ("enter", enter), ("esc", "close")], []
        left = [("enter", "steer" if state.running else "send")]
        if state.running:
            left += [("tab", "queue"), ("esc", "interrupt")]
        if self.question.question is not None:
            left.insert(0, ("esc", "answer the question"))
        if state.queued and not self.prompt.text:
            left.append(("↑", "edit queued"))
        elif self.prompt.earlier.entries and not self.prompt.text:
            left.append(("↑", "history"))
        opens = "open the paste" if self.prompt.folded else "fold" if self.log_view.expand_all else "expand"
        left += [("/", "commands"), ("ctrl+o", opens)]
        if not self.log_view.following:
            left.insert(0, ("ctrl+end", "newest"))
        right = [("F1", "help"), ("F2", "tasks")]
        if self._goose.chrome().changes is not None and self._goose.chrome().changes.files:  # type: ignore[union-attr]
            right.append(("F3", "review"))
        return left, right

    # Questions.

    def _ask(self) -> None:
        question = question_of(self.state)
        if question is not None and question.id == self._goose.answered:
            question = None
        if question is None:
            self._put_off = ""
            if self._note_for is not None:
                self.cancel_note()
        held = self.question.has_focus
        self.question.ask(question if self._note_for is None else None, max(10, self.app.size.height - 8))
        if self.question.question is None:
            if held:
                self._focus_prompt()
            return
        self.call_after_refresh(self._take_keys)

    def _take_keys(self) -> None:
        """Give the question the keys, unless the user is typing or has put it off."""
        question = self.question.question
        if question is None or self.question.has_focus or question.id == self._put_off or self.app.screen is not self:
            return
        idle = event_time() - self.prompt.last_key
        wait = self._goose.options.typing_pause - idle
        if wait > 0 and self.prompt.last_key:
            self.set_timer(wait + 0.01, self._take_keys)
            return
        self.question.focus()
        self.question.focused_now()

    def on_question_panel_answered(self, event: QuestionPanel.Answered) -> None:
        event.stop()
        if wants_text(event.question, event.option):
            self._note_for = (event.question, event.option, event.variant)
            self._draft = self.prompt.take()
            self.question.ask(None, 0)
            self._focus_prompt()
            self.draw_chrome()
            return
        self._goose.answer(event.question, event.option, event.variant)
        if not event.option.assent and event.option.key == "escape":
            self._put_off = event.question.id
        self._focus_prompt()
        self.draw()

    def on_question_panel_put_off(self, event: QuestionPanel.PutOff) -> None:
        event.stop()
        self._put_off = event.question.id
        self._focus_prompt()
        self.prompt.insert(event.typed)
        self.draw_chrome()

    def _focus_prompt(self) -> None:
        self.prompt.display = True
        self.prompt.focus()

    def cancel_note(self) -> None:
        self._note_for = None
        self.prompt.put(self._draft)
        self._draft = ""

    # The prompt.

    def action_submit(self) -> None:
        """Enter: what is written is sent, unless it answers something or is only being completed."""
        if self._note_for is not None:
            question, option, variant = self._note_for
            note = self.prompt.take().strip()
            self.cancel_note()
            self._goose.answer(question, option, variant, note)
            self.draw()
            return
        self._find_completions()
        if self._completions and not self._take_completion().complete:
            return
        self._submit(queue=False)

    def _submit(self, *, queue: bool) -> None:
        written = self.prompt.written
        if self._overflow() and written != self._withheld:
            self._withheld = written
            self.draw_chrome()
        else:
            self._goose.submit(written, queue=queue)

    def _overflow(self) -> str:
        """Says so where the model's window cannot hold what is written. It is sent the second time."""
        written, model = self.prompt.written, self.state.model
        if model is None or len(written) < LONG:
            return ""
        from goose_py.agent.compaction import estimate_text

        tokens, window = estimate_text(len(written)), self._goose.services.window_of(model)
        if window is None or tokens <= window:
            return ""
        again = "enter again sends it" if written == self._withheld else "shorten it"
        return f"about {count_text(tokens)} tokens, the model's window is {count_text(window)}: {again}"

    def action_queue(self) -> None:
        self._find_completions()
        if self._completions:
            completion = self._take_completion()
            if completion.kind == "command" and completion.complete:
                self.prompt.put(f"{completion.text} ")
        elif self._note_for is None:
            self._submit(queue=True)

    def on_paste(self, event: events.Paste) -> None:
        """What is pasted is written, wherever the keys go; a question waits until that is sent."""
        if self.question.has_focus and self.question.question is not None:
            self._put_off = self.question.question.id
        self._focus_prompt()
        self.prompt.last_key = event.time
        self.prompt.paste(event.text)

    # What is offered while something is typed.

    def _find_completions(self) -> tuple[Completion, ...]:
        """For what is written at this moment: a key may be faster than the message that something was written."""
        if self.prompt.text != self._completed:
            self._completed, self._chosen = self.prompt.text, 0
        self._completions = self._completions_for(self.prompt.text) if self._note_for is None else ()
        self.prompt.menu_open = bool(self._completions)
        self._chosen = min(self._chosen, max(0, len(self._completions) - 1))
        return self._completions

    def _completions_for(self, text: str) -> tuple[Completion, ...]:
        if self._searching:
            return earlier_completions(text, self.prompt.earlier.entries)
        if text and text == self._closed:
            return ()
        fragment = self._fragment()
        if fragment is not None:
            if self._found_files[0] != fragment or self._files is None:
                self.run_worker(partial(self._find_files, fragment), group="completion", exclusive=True)
            return tuple(Completion("file", path, "", path) for path in self._found_files[1] if path != fragment)
        return command_completions(text) or model_completions(text, self._goose.services.list_models())

    def _fragment(self) -> str | None:
        row, column = self.prompt.cursor_location
        return fragment_at(self.prompt.document.get_line(row), column)

    async def _find_files(self, fragment: str) -> None:
        """Off the thread that draws: there may be hundreds of thousands."""
        if self._files is None:
            try:
                self._files = await self._goose.services.list_files()
            except GooseError:
                self._files = ()
        found = await asyncio.to_thread(matching_files, self._files, fragment)
        self._found_files = (fragment, found)
        self.draw_chrome()

    def _take_completion(self) -> Completion:
        completion = self._completions[self._chosen]
        self._searching = False
        if completion.kind == "file":
            row, column = self.prompt.cursor_location
            start = column - len(self._fragment() or "")
            self.prompt.replace(f"{completion.text} ", (row, start), (row, column))
        else:
            self.prompt.put(completion.text)
        return completion

    def action_search(self) -> None:
        """Earlier prompts by the words in them."""
        self._searching = not self._searching
        self._chosen = 0
        self.draw_chrome()

    def action_editor(self) -> None:
        text = self.prompt.written
        try:
            written = self._goose.outside(lambda: self._goose.services.edit(text, "prompt.md"))
        except GooseError as error:
            self._goose.complain(error)
            return
        self.prompt.put(safe_text(written.removesuffix("\n")))

    def action_edit_queued(self) -> None:
        if self.state.queued:
            self._goose.take_back(self.state.queued[-1])
        else:
            self.prompt.action_older()

    def on_text_area_changed(self) -> None:
        if self.is_mounted:
            self._draw_prompt(self.app.size.width)

    def action_choose(self, step: int) -> None:
        if self._find_completions():
            self._chosen = (self._chosen + step) % len(self._completions)
            self._draw_prompt(self.app.size.width)

    def on_key(self, event: events.Key) -> None:
        if self.log_view.has_focus and event.is_printable and event.character and event.character not in "jkgGcy /":
            self._focus_prompt()
            self.prompt.insert(event.character)
            event.stop()

    # Keys.

    def action_escape(self) -> None:
        if self._searching:
            self._searching = False
            self.draw_chrome()
        elif self.prompt.menu_open and self._completions[0].kind == "command":
            self.prompt.take()
        elif self.prompt.menu_open:
            self._closed = self.prompt.text
            self.draw_chrome()
        elif self._note_for is not None:
            self.cancel_note()
            self.draw()
        elif self.log_view.has_focus:
            self._focus_prompt()
        elif self.question.question is not None:
            self._put_off = ""
            self.prompt.last_key = 0.0
            self._take_keys()
        elif self.state.running:
            self._goose.interrupt()

    def action_expand(self) -> None:
        """A paste in the prompt is what somebody wants to see who is writing; else the log."""
        if self.prompt.has_focus and self.prompt.folded:
            self.prompt.unfold()
            return
        self.log_view.toggle_all()
        self.draw_chrome()

    def action_plan(self) -> None:
        self._panel_wanted = not self._panel_wanted
        if self.app.size.width < WIDE:
            self._goose.show_plan()
            return
        self.draw()

    def action_mode(self) -> None:
        self._goose.next_mode()

    def action_page(self, step: int) -> None:
        if self.question.has_focus:
            self.question.page(step)
            return
        if step < 0:
            self.log_view.scroll_page_up(animate=False)
        else:
            self.log_view.scroll_page_down(animate=False)

    def action_top(self) -> None:
        self.log_view.scroll_home(animate=False)

    def action_bottom(self) -> None:
        self.log_view.follow()

    def action_block(self, step: int) -> None:
        self.log_view.focus()
        self.log_view.action_cursor(step)
        self.draw_chrome()

    def on_descendant_focus(self) -> None:
        if self.is_mounted:
            self.draw_chrome()

    def on_log_view_moved(self, event: LogView.Moved) -> None:
        event.stop()
        self.draw_chrome()

    def on_log_view_copied(self, event: LogView.Copied) -> None:
        event.stop()
        self._goose.copy(event.text)

    def on_resize(self) -> None:
        self.draw()

    def on_row_view_clicked(self, event: RowView.Clicked) -> None:
        if event.rows is self.header:
            self._goose.open_tab(event.x, self.header.plain.split("\n")[0])

    def on_screen_resume(self) -> None:
        self.draw()
