"""The review: every change, hunk by hunk and line by line, with the evidence of the checks, and what becomes of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen

from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.commands import ApplyChanges, DecideChange, Rebase, RunChecks, SendFeedback
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import Verdict
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.review.verdicts import Comment, FileReview
from goose_py.tasks.history.causes import Cause
from goose_py.tui.chrome import WIDE, header_rows, hint_row
from goose_py.tui.context import AppContext
from goose_py.tui.review.diff_rows import annotated
from goose_py.tui.review.diff_view import DiffView
from goose_py.tui.review.open_review import OpenReview
from goose_py.tui.review.outcome import new_side
from goose_py.tui.review.questions import apply_command, apply_question, feedback_question
from goose_py.tui.review.rows import file_rows, file_strip, head_rows, keys, summary_row, why_rows
from goose_py.tui.widgets.line_input import LineInput
from goose_py.tui.widgets.question import Option, Question, QuestionPanel
from goose_py.tui.widgets.row_view import RowView, text_row
from goose_py.tui.widgets.text_layout import wrapped

LIST_WIDTH = 38


class ReviewScreen(Screen[None]):
    DEFAULT_CSS = """
    ReviewScreen { background: $background; color: $foreground; }
    ReviewScreen #review-header { height: 2; }
    ReviewScreen #files { width: 39; height: 1fr; padding: 0 0; border-right: solid $foreground 25%; }
    ReviewScreen #files.-ascii { border-right: ascii $foreground 25%; }
    ReviewScreen #right { width: 1fr; height: 1fr; }
    ReviewScreen DiffView { height: 1fr; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "back", "Back", show=False),
        Binding("space", "mark('keep')", "Keep", show=False),
        Binding("d", "mark('drop')", "Drop", show=False),
        Binding("u", "mark('undecided')", "Undecided", show=False),
        Binding("A", "mark_file('keep')", "Keep file", show=False),
        Binding("X", "mark_file('drop')", "Drop file", show=False),
        Binding("n", "undecided(1)", "Next undecided", show=False),
        Binding("N", "undecided(-1)", "Previous undecided", show=False),
        Binding("right_square_bracket", "file(1)", "Next file", show=False),
        Binding("left_square_bracket", "file(-1)", "Previous file", show=False),
        Binding("a", "by_line", "By line", show=False),
        Binding("v", "range", "Range", show=False),
        Binding("z", "undo", "Undo", show=False),
        Binding("c", "comment", "Comment", show=False),
        Binding("E", "edit", "Edit", show=False),
        Binding("w", "why", "Why", show=False),
        Binding("S", "send_back", "Send back", show=False),
        Binding("C", "checks", "Checks", show=False),
        Binding("M", "apply", "Apply", show=False),
        Binding("R", "rebase", "Rebase", show=False),
    ]

    def __init__(self, context: AppContext) -> None:
        super().__init__()
        self._goose = context
        look = context.look
        ascii_class = "-ascii" if look.ascii else None
        self.header = RowView(look, id="review-header")
        self.strip_row = RowView(look, id="strip")
        self.files = RowView(look, id="files", classes=ascii_class)
        self.head = RowView(look, id="head")
        self.view = DiffView(look, id="diff")
        self.why = RowView(look, id="why")
        # No grace: these questions come when the user asks for them, and never under their fingers.
        self.question = QuestionPanel(look, 0.0, id="apply")
        self.writing = LineInput(look, id="writing")
        self.told = RowView(look, id="told")
        self.summary = RowView(look, id="summary")
        self.hints = RowView(look, id="hints")
        self.review = context.reviewing or OpenReview(ChangeSet(base_tree="", result_tree=""))
        self._purpose = ""
        self._changing: Comment | None = None
        self._chosen_way: tuple[Option, int] | None = None
        self._refusal = ""
        self._why_open = False
        self._causes: dict[tuple[str, str], Mapping[str, tuple[Cause, ...]]] = {}
        self._annotated: tuple[object, object] = (None, None)

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.strip_row
        with Horizontal():
            yield self.files
            with Vertical(id="right"):
                yield self.head
                yield self.view
                yield self.why
                yield self.question
                yield self.writing
        yield self.told
        yield self.summary
        yield self.hints

    def on_mount(self) -> None:
        self.view.focus()
        self._goose.refresh_changes()
        self._load()
        self._show_file()

    # What is reviewed.

    def _load(self) -> None:
        self.run_worker(self._load_files, group="files", exclusive=True)

    async def _load_files(self) -> None:
        task = self._goose.task_id
        while task is not None and (path := next(self.review.wanted(), None)) is not None:
            try:
                loaded = await self._goose.services.load_file(task, path)
            except GooseError as error:
                self._goose.complain(error)
                return
            self.review.loaded(loaded)
            if self.review.file is not None and loaded.path == self.review.file.path:
                self._show_file()
            self.draw()

    def _show_file(self, unit: int = 0) -> None:
        self.view.show(self.review.diff, unit)
        self._annotated = (None, None)
        if self.review.file is not None and self.review.diff is None:
            self._load()
        self.draw()
        self._look_for_causes()

    def _catch_up(self) -> None:
        """What the log and the worktree say by now."""
        state = self._goose.state
        self.review.see(state.decisions, state.told)
        came = self._goose.changes
        if came is not None and self.review.follow(came):
            if self.review.diff is None:
                self.view.show(None)
            self._load()

    def _annotate(self) -> None:
        """The reviewer's words among the lines; laid out anew only where there are others."""
        diff = self.review.diff
        review = self.review.review(diff.file.path) if diff is not None else None
        if diff is None or review is None:
            return
        said = (review.comments, tuple((name, hunk.comments, hunk.edit) for name, hunk in review.hunks.items()))
        if (diff, said) != self._annotated:
            self._annotated = (diff, said)
            self.view.again(annotated(diff, review))

    # Drawing.

    def draw(self) -> None:
        if not self.is_mounted:
            return
        self._catch_up()
        width, height = self.app.size
        context, look, review = self._goose, self._goose.look, self.review
        state = context.state
        wide = width >= WIDE
        right = width - (LIST_WIDTH + 1 if wide else 0)
        self.header.show(header_rows(state, context.chrome("review"), width, look))
        self.files.display = wide
        self.strip_row.display = not wide
        self.files.show(file_rows(review, state, LIST_WIDTH, height - 6, look) if wide else [])
        self.strip_row.show([] if wide else [file_strip(review, width, look)])
        self._annotate()
        self.head.show(head_rows(review, state, self.view.unit, right, look))
        if review.file is not None:
            self.view.mark(review.marks(review.file.path) or {})
        self._draw_why(right)
        told = list(wrapped(safe_text(self._refusal), width - 4, look))[:4] if self._refusal else []
        self.told.show([[Segment((" ! " if not number else "   ") + line, look["bad"])] for number, line in enumerate(told)])
        self.summary.show([text_row("─" * width, look, "faint"), summary_row(review, state, width, look)])
        self.hints.show([self._hints(width)])

    def _draw_why(self, width: int) -> None:
        self.why.display = self._why_open
        if not self._why_open:
            return
        found = self.review.unit(self.view.unit)
        file = self.review.file
        causes = self._causes.get((file.path, file.id)) if file is not None else {}
        hunk = found[1].hunk.id if found is not None and found[1].hunk is not None else None
        look = self._goose.look
        lines = self.view.chosen_lines()
        self.why.show([text_row("─" * width, look, "faint"), *why_rows(causes, hunk, lines, width, look)])

    def _hints(self, width: int):  # type: ignore[no-untyped-def]
        look = self._goose.look
        if self.question.has_focus:
            varied = self.question.question is not None and any(len(o.variants) > 1 for o in self.question.question.options)
            ways = [("←→", "what goes in")] if varied else []
            return hint_row([("↑↓", "choose"), *ways, ("enter", "answer")], [("esc", "not now")], width, look)
        if self.writing.has_focus:
            return hint_row([("enter", "keep" if self._purpose == "comment" else "send"), ("esc", "back")], [], width, look)
        return hint_row(keys(self.review, self.view), [("F1", "help"), ("esc", "chat")], width, look)

    # Verdicts.

    def action_mark(self, verdict: Verdict) -> None:
        lines = self.view.chosen_lines() if self.view.by_line else ()
        commands = self.review.marking(self.view.unit, verdict, lines)
        if not commands:
            return
        self._decide(commands)
        if verdict != "undecided" and not (lines and self.view.next_line()):
            self._go_on()

    def action_mark_file(self, verdict: Verdict) -> None:
        commands = self.review.marking_file(verdict)
        if commands:
            self._decide(commands)
            self._go_on()

    def action_undo(self) -> None:
        before = self.review.current
        commands = self.review.undoing()
        if not commands:
            self._goose.say("There is no mark to undo.", 2)
            return
        diff = self.review.diff
        unit = 0
        if diff is not None:
            unit = next((n for n, u in enumerate(diff.units) if (u.hunk.id if u.hunk else None) == commands[0].hunk), 0)
        if self.review.current != before:
            self._show_file(unit)
        self._decide(commands)
        self.view.point(unit)

    def _decide(self, commands: tuple[DecideChange, ...]) -> None:
        self._refusal = ""
        self._goose.send(*commands, on_refused=self._mark_refused)
        self.draw()

    def _mark_refused(self, reason: str) -> None:
        self.review.refused()
        self._refused(reason)
        self._goose.refresh_changes()

    def _refused(self, reason: str) -> None:
        """What the worker said stays in view until the next thing is done."""
        self._refusal = reason
        self.draw()

    def action_by_line(self) -> None:
        self.view.choose_by(line=not self.view.by_line)

    def action_range(self) -> None:
        self.view.begin_range()

    def action_edit(self) -> None:
        found = self.review.unit(self.view.unit)
        file = self.review.file
        if found is None or file is None or found[1].hunk is None:
            self._goose.say("Only lines of text can be edited here.")
            return
        hunk = found[1].hunk
        review = self.review.review(file.path) or FileReview()
        known = review.hunks.get(hunk.id)
        before = known.edit if known is not None and known.edit is not None else new_side(hunk)
        try:
            after = self._goose.outside(lambda: self._goose.services.edit(before, file.path))
        except GooseError as error:
            self._refused(str(error))
            return
        if after == before:
            self._goose.say("Nothing was edited.", 2)
            return
        self._decide(self.review.editing(self.view.unit, after))
        self.view.point(self.view.unit)

    # Moving.

    def action_undecided(self, step: int) -> None:
        """The next (or previous) unit with something undecided, in this file and then in the others, round about."""
        found = self.review.unfinished(self.view.unit, step)
        if found is not None:
            self._point(*found)
        self.draw()

    def _go_on(self) -> None:
        """After a mark, and never back to the beginning: what was passed over was passed over on purpose, and the key that
        marked this would mark that."""
        found = self.review.unfinished(self.view.unit, 1, around=False)
        if found is not None:
            self._point(*found)
        elif self.review.unfinished(self.view.unit, 1) is not None:
            self._goose.say("That was the last one; n goes to those above that are undecided.", 4)
        self.draw()

    def _point(self, number: int, unit: int) -> None:
        if number == self.review.current:
            self.view.point(unit)
        else:
            self.review.current = number
            self._show_file(unit)

    def action_file(self, step: int) -> None:
        wanted = self.review.current + step
        if 0 <= wanted < len(self.review.changes.files):
            self.review.current = wanted
            self._show_file()
        elif self.review.changes.files:
            self._goose.say("That is the last file." if step > 0 else "That is the first file.", 3)

    def on_diff_view_pointed(self) -> None:
        self.draw()

    def on_row_view_clicked(self, event: RowView.Clicked) -> None:
        if event.rows is self.header:
            self._goose.open_tab(event.x, self.header.plain.split("\n")[0])
        elif event.rows is self.files:
            line = self.files.plain.split("\n")[event.y : event.y + 1]
            for number, file in enumerate(self.review.changes.files):
                if line and safe_line(file.path).rsplit("/", 1)[-1] in line[0]:
                    self.review.current = number
                    self._show_file()
                    return

    # Why.

    def action_why(self) -> None:
        self._why_open = not self._why_open
        self.draw()
        self._look_for_causes()

    def _look_for_causes(self) -> None:
        file, task = self.review.file, self._goose.task_id
        if self._why_open and file is not None and task is not None and (file.path, file.id) not in self._causes:
            self.run_worker(partial(self._load_causes, task, file.path, file.id), group="causes", exclusive=True)

    async def _load_causes(self, task: str, path: str, file_id: str) -> None:
        try:
            self._causes[path, file_id] = await self._goose.services.load_causes(task, path)
        except GooseError as error:
            self._causes[path, file_id] = {}
            self._goose.complain(error)
        self.draw()

    # Writing.

    def _write(self, purpose: str, title: str, text: str = "") -> None:
        self._purpose = purpose
        self.writing.open(title, text, selected=purpose != "comment")
        self.draw()

    def action_comment(self) -> None:
        if self.review.unit(self.view.unit) is not None:
            chosen = self.view.chosen_lines()
            lines = len(chosen)
            about = "this change" if not lines else "this line" if lines == 1 else f"these {lines} lines"
            self._changing = self.review.open_comment(self.view.unit, chosen)
            if self._changing is None:
                self._write("comment", f"comment on {about}")
            else:
                self._write("comment", f"your comment on {about}; empty takes it back", self._changing.text)

    def on_input_submitted(self, event: LineInput.Submitted) -> None:
        text, purpose = safe_text(event.value).strip(), self._purpose
        self._stop_writing()
        if purpose == "comment":
            changing, self._changing = self._changing, None
            if changing is None or text != changing.text:
                self._decide(self.review.commenting(self.view.unit, text, self.view.chosen_lines(), changing))
        elif purpose == "note":
            self._send_back(text)
        elif purpose == "message" and self._chosen_way is not None:
            self._apply(apply_command(self.review, *self._chosen_way, message=text))

    def _stop_writing(self) -> None:
        self.writing.close()
        self.view.focus()
        self.draw()

    # Sending back, checks, applying.

    def action_send_back(self) -> None:
        """What was dropped, edited or commented becomes the task's next prompt."""
        text = self.review.feedback()
        unread = [path for path in {d.event.path for d in self.review.unsent()} if self.review.marks(path) is None]
        if not text and not unread:
            self._goose.say("There is nothing to send back: drop, edit or comment something first.")
            return
        self._ask(feedback_question(text, self._goose.state.running, unread))

    def _send_back(self, note: str = "") -> None:
        self._refusal = ""
        self._goose.send(SendFeedback(note=note), on_refused=self._refused)
        self._goose.say("Sent to the agent.")

    def action_checks(self) -> None:
        self._goose.send(RunChecks(), on_refused=self._refused)
        self._goose.say("The checks run on the files as they are now.", 3)

    def action_rebase(self) -> None:
        self._refusal = ""
        self._goose.send(Rebase(), on_refused=self._refused)
        self.draw()

    def action_apply(self) -> None:
        state, tally = self._goose.state, self.review.tally()
        if state.running:
            self._goose.say("The task is still working; interrupt it first (esc in the conversation).")
            return
        if not (tally.keep or tally.some or tally.undecided or tally.unread):
            self._goose.say("Everything was dropped, so there is nothing to apply.")
            return
        self._ask(apply_question(self.review, state, len(state.decisions)))

    def _ask(self, question: Question) -> None:
        self._refusal = ""
        self.question.ask(question, max(10, self.app.size.height - 9))
        self.question.focus()
        self.draw()

    def on_question_panel_answered(self, event: QuestionPanel.Answered) -> None:
        event.stop()
        self.question.ask(None, 0)
        self.view.focus()
        option = event.option
        if option.key == "escape":
            pass
        elif event.question.id.startswith("feedback"):
            if option.key == "n":
                self._write("note", "what the agent should read first")
            else:
                self._send_back()
        elif option.key == "s":
            self._chosen_way = (option, event.variant)
            self._write("message", "message of the commit", self._goose.state.title)
        else:
            self._apply(apply_command(self.review, option, event.variant))
        self.draw()

    def _apply(self, command: ApplyChanges) -> None:
        self._goose.send(command, on_refused=self._apply_refused)

    def _apply_refused(self, reason: str) -> None:
        branch = self._goose.state.base_branch
        further = f" R brings the task onto {branch} and lets it resolve what conflicts." if branch else ""
        self._refused(reason + further)

    def on_question_panel_put_off(self, event: QuestionPanel.PutOff) -> None:
        event.stop()

    def action_back(self) -> None:
        if self.writing.has_focus:
            self._stop_writing()
        elif self._refusal:
            self._refused("")
        elif self.view.in_range:
            self.view.begin_range()
        elif self.view.by_line:
            self.view.choose_by(line=False)
        else:
            self.dismiss()

    def on_descendant_focus(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()
