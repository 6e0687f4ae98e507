"""The review: every change, hunk by hunk, with the evidence of the checks, and what becomes of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import Screen
from textual.widgets import Input

from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.commands import ApplyChanges, DecideChange, Prompt, RunChecks
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import Verdict
from goose_py.protocol.messages import Text
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.review.verdicts import Decision
from goose_py.tui.chrome import STATUS_MARKS, WIDE, changed_lines, check_failure, header_rows, hint_row
from goose_py.tui.diff_rows import FileDiff, Unit, file_diff
from goose_py.tui.diff_view import DiffView
from goose_py.tui.lines import Row, fitted, fitted_start, row_width, seconds_text, spread
from goose_py.tui.question import Option, Question, QuestionPanel
from goose_py.tui.review_state import (
    Tally,
    comments_of,
    feedback,
    hoped,
    mark_file,
    mark_unit,
    review_of,
    tally_of,
    verdicts_of,
)
from goose_py.tui.rows import Rows, text_row

if TYPE_CHECKING:
    from goose_py.tui.app import GooseApp

LIST_WIDTH = 38
PRELOAD = 400
"""Files that are loaded in the background, so that what is left to decide can be counted."""
_MARKS = {
    "keep": ("✓", "ok"),
    "drop": ("✗", "bad"),
    "some": ("◐", "warn"),
    "undecided": ("●", "review"),
    "unread": ("·", "dim"),
}


class ReviewScreen(Screen[None]):
    DEFAULT_CSS = """
    ReviewScreen { background: $background; color: $foreground; }
    ReviewScreen #review-header { height: 2; }
    ReviewScreen #files { width: 39; height: 1fr; padding: 0 0; border-right: solid $foreground 25%; }
    ReviewScreen #files.-ascii { border-right: ascii $foreground 25%; }
    ReviewScreen #right { width: 1fr; height: 1fr; }
    ReviewScreen DiffView { height: 1fr; }
    ReviewScreen Input { border: round $accent; background: $background; height: 3; display: none; }
    ReviewScreen Input.-ascii { border: ascii $accent; }
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
        Binding("z", "undo", "Undo", show=False),
        Binding("c", "comment", "Comment", show=False),
        Binding("S", "send_back", "Send back", show=False),
        Binding("C", "checks", "Checks", show=False),
        Binding("M", "apply", "Apply", show=False),
    ]

    def __init__(self, app: GooseApp) -> None:
        super().__init__()
        self._goose = app
        look = app.look
        ascii_class = "-ascii" if look.ascii else None
        self.header = Rows(look, id="review-header")
        self.strip_row = Rows(look, id="strip")
        self.files = Rows(look, id="files", classes=ascii_class)
        self.head = Rows(look, id="head")
        self.view = DiffView(look, id="diff")
        # No grace: this question comes when the user asks for it, and never under their fingers.
        self.question = QuestionPanel(look, 0.0, id="apply")
        self.comment = Input(id="comment", classes=ascii_class)
        self.summary = Rows(look, id="summary")
        self.hints = Rows(look, id="hints")
        self._changes = app.changes or ChangeSet(base_tree="", result_tree="")
        self._diffs: dict[str, FileDiff] = {}
        self._current = 0
        self._hoped: list[Decision] = []
        self._known = len(app.state.decisions)
        self._undone: list[tuple[DecideChange, ...]] = []
        self._reviews: dict[str, tuple[object, dict[int, Verdict]]] = {}

    def compose(self) -> ComposeResult:
        yield self.header
        yield self.strip_row
        with Horizontal():
            yield self.files
            with Vertical(id="right"):
                yield self.head
                yield self.view
                yield self.question
                yield self.comment
        yield self.summary
        yield self.hints

    def on_mount(self) -> None:
        self.view.focus()
        self._load()
        self.draw()

    # What is reviewed.

    @property
    def file(self) -> FileChange | None:
        files = self._changes.files
        return files[self._current] if 0 <= self._current < len(files) else None

    @property
    def decisions(self) -> list[Decision]:
        return [*self._goose.state.decisions, *self._hoped]

    def _load(self) -> None:
        self.run_worker(self._load_files(), group="files", exclusive=True)

    async def _load_files(self) -> None:
        """The file in view first, then the others in their order."""
        order = [self._current, *(n for n in range(min(PRELOAD, len(self._changes.files))) if n != self._current)]
        task = self._goose.task_id
        for number in order:
            files = self._changes.files
            if task is None or number >= len(files) or files[number].path in self._diffs:
                continue
            try:
                loaded = await self._goose.services.load_file(task, files[number].path)
            except GooseError as error:
                self._goose.complain(error)
                return
            self._diffs[loaded.path] = file_diff(loaded)
            if number == self._current:
                self._show_file()
            self.draw()

    def _show_file(self, unit: int = 0) -> None:
        file = self.file
        diff = self._diffs.get(file.path) if file is not None else None
        self.view.show(diff, unit)
        if file is not None and diff is None:
            self._load()
        self.draw()

    def _verdicts(self, path: str) -> dict[int, Verdict] | None:
        diff = self._diffs.get(path)
        if diff is None:
            return None
        decisions = self.decisions
        key = (diff.file, len(self._goose.state.decisions), tuple(id(decision) for decision in self._hoped))
        cached = self._reviews.get(path)
        if cached is None or cached[0] != key:
            cached = (key, verdicts_of(diff, review_of(diff.file, self._changes, decisions)))
            self._reviews[path] = cached
        return cached[1]

    def tally(self) -> Tally:
        total = Tally()
        for file in self._changes.files:
            verdicts = self._verdicts(file.path)
            total = total.plus(Tally(unread=1) if verdicts is None else tally_of(verdicts))
        return total

    def _follow_changes(self) -> None:
        """The task went on: files that are as they were keep their place, the others are read again."""
        came = self._goose.changes
        if came is None or came is self._changes:
            return
        before = self.file
        self._changes = came
        self._diffs = {
            file.path: self._diffs[file.path]
            for file in came.files
            if file.path in self._diffs and self._diffs[file.path].file.id == file.id
        }
        paths = [file.path for file in came.files]
        self._current = paths.index(before.path) if before is not None and before.path in paths else 0
        if self.file is None or self.file.path not in self._diffs:
            self.view.show(None)
        self._load()

    # Drawing.

    def draw(self) -> None:
        if not self.is_mounted:
            return
        self._settle_hopes()
        self._follow_changes()
        width, height = self.app.size
        look = self._goose.look
        wide = width >= WIDE
        self.header.show(header_rows(self._goose.state, self._goose.around("review"), width, look))
        self.files.display = wide
        self.strip_row.display = not wide
        self.files.show(self._file_rows(LIST_WIDTH, height - 6) if wide else [])
        self.strip_row.show([] if wide else [self._file_strip(width)])
        self.head.show(self._head_rows(width - (LIST_WIDTH + 1 if wide else 0)))
        file = self.file
        if file is not None:
            self.view.mark(self._verdicts(file.path) or {})
        self.summary.show([text_row("─" * width, look, "faint"), self._summary_row(width)])
        self.hints.show([self._hint_row(width)])

    def _settle_hopes(self) -> None:
        """What the log says by now need not be hoped for any more."""
        known = len(self._goose.state.decisions)
        del self._hoped[: max(0, known - self._known)]
        self._known = known

    def _file_mark(self, path: str) -> tuple[str, Tally]:
        verdicts = self._verdicts(path)
        if verdicts is None:
            return "unread", Tally()
        tally = tally_of(verdicts)
        if tally.undecided == tally.total:
            return "undecided", tally
        if tally.keep == tally.total:
            return "keep", tally
        return ("drop" if tally.drop == tally.total else "some"), tally

    def _file_rows(self, width: int, height: int) -> list[Row]:
        look = self._goose.look
        added, removed = changed_lines(self._changes)
        count = len(self._changes.files)
        rows: list[Row] = [
            [
                Segment(f" {count} {'file' if count == 1 else 'files'}  ", look["title"]),
                Segment(f"+{added} ", look["added"]),
                Segment(f"−{removed}", look["removed"]),
            ],
            [],
        ]
        checks = self._check_rows(width)
        room = max(3, height - len(rows) - len(checks) - 3)
        first = max(0, min(self._current - room // 2, count - room))
        for number in range(first, min(count, first + room)):
            rows.append(self._file_row(number, width))
        if count > room:
            rows.append([Segment(f"   {first + 1}–{min(count, first + room)} of {count}", look["dim"])])
        rows += [[], [Segment(" ✓ kept ✗ dropped ◐ some ● undecided", look["dim"])], []]
        return rows + checks

    def _file_row(self, number: int, width: int) -> Row:
        look, file = self._goose.look, self._changes.files[number]
        word, tally = self._file_mark(file.path)
        glyph, role = _MARKS[word]
        status, status_role = STATUS_MARKS.get(file.status, ("M", "accent"))
        if file.binary:
            right = [Segment(" binary ", look["dim"])]
        else:
            right = [Segment(f" +{file.added or 0}", look["added"]), Segment(f" −{file.removed or 0} ", look["removed"])]
        right.append(Segment(f"{tally.keep + tally.drop}/{tally.total} " if tally.total else "    ", look["dim"]))
        here = number == self._current
        left = [
            Segment("▸" if here else " ", look["accent"]),
            Segment(f"{glyph} ", look[role]),
            Segment(f"{status} ", look[status_role]),
        ]
        room = width - row_width(left) - row_width(right) - 1
        left.append(Segment(fitted_start(safe_line(file.path), room), look["selected" if here else "text"]))
        return spread(left, right, width)

    def _file_strip(self, width: int) -> Row:
        look = self._goose.look
        row: Row = []
        for number, file in list(enumerate(self._changes.files))[self._current :]:
            word, tally = self._file_mark(file.path)
            glyph, role = _MARKS[word]
            name = safe_line(file.path.rsplit("/", 1)[-1])
            style = look["selected" if number == self._current else "dim"]
            row += [Segment(f" {glyph} ", look[role]), Segment(name, style)]
            if tally.total:
                row.append(Segment(f" {tally.keep + tally.drop}/{tally.total} ", look["dim"]))
            if row_width(row) > width:
                break
        return spread(row, [], width)

    def _check_rows(self, width: int) -> list[Row]:
        look, state = self._goose.look, self._goose.state
        commands = dict.fromkeys((*state.check_commands, *(check.command for check in state.checks)))
        rows: list[Row] = [
            spread([Segment(" CHECKS", look["title"])], [Segment("C run ", look["dim"])] if commands else [], width)
        ]
        if not commands:
            return [*rows, [Segment(" this task has none", look["dim"])]]
        done = {check.command: check for check in state.checks}
        for command in commands:
            check = done.get(command)
            if check is None:
                rows.append(
                    spread(
                        [Segment(" ○ ", look["dim"]), Segment(safe_line(command), look["text"])],
                        [Segment("not run ", look["dim"])],
                        width,
                    )
                )
                continue
            stale = check.tree is not None and check.tree != self._changes.result_tree
            glyph, role = ("✓", "ok") if check.passed else ("✗", "bad")
            fact = (
                "older content"
                if stale
                else f"passed {seconds_text(check.seconds)}"
                if check.passed
                else check_failure(check.exit_code)
            )
            left = [Segment(f" {glyph} ", look["warn" if stale else role]), Segment(safe_line(command), look["text"])]
            rows.append(spread(left, [Segment(f"{fact} ", look["warn" if stale else role])], width))
            if not check.passed:
                tail = [line for line in safe_text(check.output).split("\n") if line.strip()][-2:]
                rows += [[Segment(f"   {fitted(line.strip(), width - 4)}", look["dim"])] for line in tail]
        return rows

    def _head_rows(self, width: int) -> list[Row]:
        look, file = self._goose.look, self.file
        if file is None:
            return [text_row(" Nothing is changed.", look, "dim")]
        diff = self._diffs.get(file.path)
        where = ""
        if diff is None:
            where = "loading…"
        elif diff.units:
            hunks = [unit for unit in diff.units if unit.hunk is not None]
            unit = diff.units[self.view.unit] if self.view.unit < len(diff.units) else diff.units[0]
            where = f"hunk {hunks.index(unit) + 1} of {len(hunks)}" if unit.hunk is not None else "the file itself"
        right: Row = []
        if not file.binary:
            right = [Segment(f"+{file.added or 0} ", look["added"]), Segment(f"−{file.removed or 0} ", look["removed"])]
        room = width - row_width(right) - len(where) - 6
        left = [Segment(" " + fitted_start(safe_line(file.path), room), look["title"]), Segment(f"   {where}", look["dim"])]
        return [spread(left, right, width), text_row("─" * width, look, "faint")]

    def _summary_row(self, width: int) -> Row:
        look, state = self._goose.look, self._goose.state
        tally = self.tally()
        left: Row = [
            Segment(f" kept {tally.keep}", look["ok"]),
            Segment(f" · dropped {tally.drop}", look["bad" if tally.drop else "dim"]),
            Segment(f" · undecided {tally.undecided}", look["review" if tally.undecided else "dim"]),
        ]
        if tally.unread:
            left.append(Segment(f" · {tally.unread} files not read yet", look["dim"]))
        comments = len(comments_of(self.decisions))
        if comments:
            left.append(Segment(f"   {comments} {'comment' if comments == 1 else 'comments'}", look["accent"]))
        right: Row = []
        failing = [check for check in state.checks if not check.passed]
        if failing:
            right += [Segment(f"checks ✗ {len(failing)}  ", look["bad"])]
        if state.running:
            right += [Segment("the task is still working ", look["warn"])]
        elif state.applied:
            right += [Segment(fitted(safe_line(state.applied), 60) + " ", look["ok"])]
        else:
            right += [Segment("M ", look["key"]), Segment("apply what is kept ", look["dim"])]
        return spread(left, right, width)

    def _hint_row(self, width: int) -> Row:
        if self.question.has_focus:
            return hint_row([("↑↓", "choose"), ("enter", "answer")], [("esc", "not now")], width, self._goose.look)
        if self.comment.has_focus:
            return hint_row([("enter", "keep the comment"), ("esc", "back")], [], width, self._goose.look)
        left = [("space", "keep"), ("d", "drop"), ("n", "undecided"), ("JK", "hunk"), ("jk", "line")]
        if len(self._changes.files) > 1:
            left.append(("[ ]", "file"))
        left += [("AX", "whole file"), ("c", "comment")]
        if self._undone:
            left.insert(2, ("z", "undo"))
        if comments_of(self.decisions):
            left.append(("S", "send back"))
        return hint_row(left, [("F1", "help"), ("esc", "chat")], width, self._goose.look)

    # Verdicts.

    def _unit(self) -> tuple[FileDiff, Unit] | None:
        file = self.file
        diff = self._diffs.get(file.path) if file is not None else None
        if diff is None or self.view.unit >= len(diff.units):
            return None
        return diff, diff.units[self.view.unit]

    def action_mark(self, verdict: Verdict) -> None:
        found = self._unit()
        if found is None:
            return
        diff, unit = found
        before = (self._verdicts(diff.file.path) or {}).get(self.view.unit, "undecided")
        self._undone.append((mark_unit(diff.file, unit, before),))
        self._decide(mark_unit(diff.file, unit, verdict))
        if verdict != "undecided":
            self.action_undecided(1)

    def action_mark_file(self, verdict: Verdict) -> None:
        file = self.file
        diff = self._diffs.get(file.path) if file is not None else None
        if diff is None:
            return
        before = self._verdicts(diff.file.path) or {}
        self._undone.append(tuple(mark_unit(diff.file, unit, before[number]) for number, unit in enumerate(diff.units)))
        self._decide(*mark_file(diff.file, verdict))
        self.action_undecided(1)

    def action_undo(self) -> None:
        if not self._undone:
            self._goose.notify("There is no mark to undo.", markup=False, timeout=2)
            return
        commands = self._undone.pop()
        paths = [file.path for file in self._changes.files]
        if commands and commands[0].path in paths:
            self._current = paths.index(commands[0].path)
            diff = self._diffs.get(commands[0].path)
            unit = 0
            if diff is not None:
                unit = next((n for n, u in enumerate(diff.units) if (u.hunk.id if u.hunk else None) == commands[0].hunk), 0)
            self._show_file(unit)
        self._decide(*commands)

    def _decide(self, *commands: DecideChange) -> None:
        self._hoped += [hoped(command) for command in commands]
        self._goose.send(*commands, on_refused=self._refused)
        self.draw()

    def _refused(self) -> None:
        self._hoped.clear()
        self._known = len(self._goose.state.decisions)
        self.draw()

    # Moving.

    def action_undecided(self, step: int) -> None:
        """The next (or previous) unit without a verdict, in this file and then in the others, round about."""
        count = len(self._changes.files)
        for distance in range(count + 1):
            number = (self._current + step * distance) % count if count else 0
            path = self._changes.files[number].path
            verdicts = self._verdicts(path)
            if verdicts is None:
                continue
            units = [unit for unit, verdict in verdicts.items() if verdict == "undecided"]
            if distance == 0:
                units = [unit for unit in units if (unit > self.view.unit if step > 0 else unit < self.view.unit)]
            elif distance == count:
                units = [unit for unit in units if unit != self.view.unit]
            if units:
                unit = units[0] if step > 0 else units[-1]
                if number == self._current:
                    self.view.point(unit)
                else:
                    self._current = number
                    self._show_file(unit)
                self.draw()
                return
        self.draw()

    def action_file(self, step: int) -> None:
        if self._changes.files:
            self._current = (self._current + step) % len(self._changes.files)
            self._show_file()

    def on_diff_view_pointed(self) -> None:
        self.draw()

    def on_rows_clicked(self, event: Rows.Clicked) -> None:
        if event.rows is self.header:
            self._goose.open_tab(event.x, self.header.plain.split("\n")[0])
        elif event.rows is self.files:
            line = self.files.plain.split("\n")[event.y : event.y + 1]
            for number, file in enumerate(self._changes.files):
                if line and safe_line(file.path).rsplit("/", 1)[-1] in line[0]:
                    self._current = number
                    self._show_file()
                    return

    # Comments.

    def action_comment(self) -> None:
        if self._unit() is not None:
            self.comment.border_title = "comment on this change"
            self.comment.display = True
            self.comment.focus()
            self.draw()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        found = self._unit()
        text = safe_text(event.value).strip()
        self._close_comment()
        if found is not None and text:
            self._decide(mark_unit(found[0].file, found[1], "undecided", text))

    def _close_comment(self) -> None:
        self.comment.value = ""
        self.comment.display = False
        self.view.focus()
        self.draw()

    def action_send_back(self) -> None:
        """The comments and the dropped hunks become the task's next prompt."""
        dropped = [
            (diff, diff.units[number])
            for diff in self._diffs.values()
            for number, verdict in (self._verdicts(diff.file.path) or {}).items()
            if verdict == "drop"
        ]
        comments = comments_of(self.decisions)
        if not comments and not dropped:
            self._goose.notify("There is nothing to send back: drop or comment something first.", markup=False)
            return
        text = feedback(comments, dropped)
        self._goose.send(Prompt(prompt_id=self._goose.services.new_id(), parts=(Text(text),)))
        self.dismiss()

    # Checks and applying.

    def action_checks(self) -> None:
        self._goose.send(RunChecks())
        self._goose.notify("The checks run on the files as they are now.", markup=False, timeout=3)

    def action_apply(self) -> None:
        state, tally = self._goose.state, self.tally()
        if state.running:
            self._goose.notify("The task is still working; interrupt it first (esc in the conversation).", markup=False)
            return
        if not tally.keep and not tally.undecided and not tally.unread:
            self._goose.notify("Everything was dropped, so there is nothing to apply.", markup=False)
            return
        self.question.ask(self._apply_question(tally), max(10, self.app.size.height - 8))
        self.question.focus()
        self.draw()

    def _apply_question(self, tally: Tally) -> Question:
        state = self._goose.state
        target = state.repository or state.workspace
        facts = ["The files are changed in place. Nothing is staged or committed, and nothing else is touched."]
        facts.append("If your checkout has moved on so that this no longer fits, nothing is applied and you are told.")
        failing = [check.command for check in state.checks if not check.passed]
        if failing:
            facts.append(f"! The check {failing[0]} does not pass on the task's files.")
        elif not state.checks:
            facts.append("! No check ran on these changes.")
        if tally.drop or tally.undecided:
            facts.append("The checks ran on all of the changes together, not on this selection.")
        options = []
        left_out = tally.undecided + tally.unread
        if tally.keep:
            kept = f"Apply the {tally.keep} kept" + (f", leave {left_out} undecided out" if left_out else "")
            options.append(Option("y", kept, assent=True))
        if left_out:
            options.append(Option("a", "Apply everything that was not dropped", assent=True))
        options.append(Option("escape", "Not now"))
        return Question(
            id=f"apply {self._changes.result_tree} {len(self.decisions)}",
            title=f"Apply to {target}",
            body="\n".join(self._apply_line(file) for file in self._changes.files),
            facts=tuple(facts),
            options=tuple(options),
            code=False,
        )

    def _apply_line(self, file: FileChange) -> str:
        word, tally = self._file_mark(file.path)
        status = STATUS_MARKS.get(file.status, ("M", ""))[0]
        said = {
            "keep": "kept",
            "drop": "dropped: left as it is",
            "undecided": "undecided",
            "unread": "undecided",
            "some": f"{tally.keep} of {tally.total} kept, {tally.drop} dropped, {tally.undecided} undecided",
        }[word]
        return f"{status} {safe_line(file.path)}: {said}"

    def on_question_panel_answered(self, event: QuestionPanel.Answered) -> None:
        event.stop()
        self.question.ask(None, 0)
        self.view.focus()
        if event.option.key in ("y", "a"):
            command = ApplyChanges(
                base_tree=self._changes.base_tree,
                result_tree=self._changes.result_tree,
                how="worktree",
                all=event.option.key == "a",
            )
            self._goose.send(command)
        self.draw()

    def on_question_panel_put_off(self, event: QuestionPanel.PutOff) -> None:
        event.stop()

    def action_back(self) -> None:
        if self.comment.has_focus:
            self._close_comment()
        else:
            self.dismiss()

    def on_descendant_focus(self) -> None:
        self.draw()

    def on_resize(self) -> None:
        self.draw()
