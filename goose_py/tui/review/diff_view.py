"""One file's diff on the line API: laid out at once, coloured only where it comes into view."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar, NamedTuple

from rich.cells import cell_len, chop_cells
from rich.segment import Segment
from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip
from textual.widget import Widget

from goose_py.protocol.safe_text import safe_line
from goose_py.tui.appearance import Look
from goose_py.tui.review.diff_rows import DiffRow, FileDiff, Mark, UnitReview, changed_span

CHUNK = 40
GUTTER = 14
MARKS: dict[Mark | str, tuple[str, str, str]] = {
    "keep": ("✓", "ok", "kept"),
    "drop": ("✗", "bad", "dropped"),
    "some": ("◐", "warn", "some lines"),
    "undecided": ("●", "review", "undecided"),
    "unread": ("·", "dim", "not read"),
}
_PLAIN = {
    "gap": ("⋯ ", "dim"),
    "section": ("", "heading"),
    "note": ("", "review"),
    "comment": ("  » ", "accent"),
    "edit": ("  ", "ok"),
}
"""What stands before a row that is no line of the diff, and its role."""


class _Line(NamedTuple):
    """One row of the screen: a part of a diff row. `start` and `end` are characters of its text."""

    row: int
    start: int
    end: int


class DiffView(ScrollView, can_focus=True):
    """Shows a `FileDiff` with its verdicts; knows what is under the cursor: a unit or, by line, one changed line of it or a
    range of them."""

    DEFAULT_CSS = """
    DiffView { overflow-x: hidden; overflow-y: scroll; scrollbar-size-vertical: 1; background: $background; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j,down", "line(1)", show=False),
        Binding("k,up", "line(-1)", show=False),
        Binding("J,right", "unit(1)", show=False),
        Binding("K,left", "unit(-1)", show=False),
        Binding("g,home", "edge(-1)", show=False),
        Binding("G,end", "edge(1)", show=False),
        Binding("pageup,ctrl+u", "half(-1)", show=False),
        Binding("pagedown,ctrl+d", "half(1)", show=False),
    ]

    class Pointed(Message):
        """The cursor stands on something else."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.diff: FileDiff | None = None
        self.unit = 0
        self.by_line = False
        self._line: int | None = None
        self._anchor: int | None = None
        self._marks: Mapping[int, UnitReview] = {}
        self._lines: list[_Line] = []
        self._first_line: list[int] = []
        self._colored: dict[int, Text] = {}
        self._strips: dict[int, Strip] = {}
        self._lexer: str | None = None

    def show(self, diff: FileDiff | None, unit: int = 0) -> None:
        """Show another file."""
        self.diff = diff
        self.unit = min(unit, max(0, len(diff.units) - 1)) if diff is not None else 0
        self._line = self._anchor = None
        self._forget_colors()
        self._lay_out()
        self.scroll_to(y=0, animate=False, force=True)
        self._settle_line()
        if unit:
            self._reveal()

    def again(self, diff: FileDiff) -> None:
        """Show the same file with other notes in it; the cursor stays."""
        if diff is self.diff:
            return
        self.diff = diff
        self.unit = min(self.unit, max(0, len(diff.units) - 1))
        self._forget_colors()
        self._lay_out()
        self._settle_line()

    def mark(self, marks: Mapping[int, UnitReview]) -> None:
        if marks != self._marks:
            self._marks = dict(marks)
            self.refresh()

    def point(self, unit: int) -> None:
        if self.diff is None or not 0 <= unit < len(self.diff.units):
            return
        self.unit = unit
        self._line = self._anchor = None
        self._settle_line(unfinished=True)
        self._reveal()
        self.refresh()
        self.post_message(self.Pointed())

    # Lines.

    def choose_by(self, *, line: bool) -> None:
        """Walk and judge single lines from now on, or whole hunks again."""
        self.by_line = line
        self._line = self._anchor = None
        self._settle_line()
        self._pointed()

    def begin_range(self) -> None:
        """The lines from here on are chosen together; asked again, only the one under the cursor."""
        if not self.by_line:
            self.choose_by(line=True)
        self._anchor = self._line if self._anchor is None else None
        self._pointed()

    @property
    def in_range(self) -> bool:
        return self._anchor is not None

    def chosen_lines(self) -> tuple[int, ...]:
        """Indices into the hunk's lines; empty where the whole unit is meant."""
        if self._line is None:
            return ()
        first, last = sorted((self._line, self._line if self._anchor is None else self._anchor))
        return tuple(line for line in self._changed_lines() if first <= line <= last)

    def next_line(self) -> bool:
        """After a verdict: the next undecided line of the same hunk. False where there is none."""
        self._anchor = None
        lines = self._marks[self.unit].lines if self.unit in self._marks else {}
        waiting = [line for line, verdict in lines.items() if verdict == "undecided"]
        later = [line for line in waiting if self._line is None or line > self._line]
        if not waiting:
            self.refresh()
            return False
        self._line = (later or waiting)[0]
        self._reveal_line()
        self._pointed()
        return True

    def _changed_lines(self) -> list[int]:
        if self.diff is None or self.unit >= len(self.diff.units):
            return []
        hunk = self.diff.units[self.unit].hunk
        return [number for number, line in enumerate(hunk.lines) if line[0] != " "] if hunk is not None else []

    def _settle_line(self, *, unfinished: bool = False) -> None:
        """The cursor of the lines stands on a line that can be judged."""
        lines = self._changed_lines() if self.by_line else []
        if self._line in lines:
            return
        self._anchor = None
        of_lines = self._marks[self.unit].lines if unfinished and self.unit in self._marks else {}
        open_ones = [line for line in lines if of_lines.get(line) == "undecided"]
        self._line = next(iter(open_ones or lines), None)

    def _step_line(self, step: int) -> None:
        lines = self._changed_lines()
        at = lines.index(self._line) + step if self._line in lines else 0
        if 0 <= at < len(lines):
            self._line = lines[at]
            self._reveal_line()
            self._pointed()
        elif self._anchor is None and self.diff is not None and 0 <= self.unit + step < len(self.diff.units):
            self.unit += step
            lines = self._changed_lines()
            self._line = (lines[0] if step > 0 else lines[-1]) if lines else None
            self._reveal()
            self._reveal_line()
            self._pointed()

    def _reveal_line(self) -> None:
        if self.diff is None or self._line is None:
            return
        unit = self.diff.units[self.unit]
        rows = range(unit.first, unit.last + 1)
        at = self._first_line[next((row for row in rows if self.diff.rows[row].line == self._line), unit.first)]
        top, height = self.scroll_offset.y, self.size.height
        if at < top + 1:
            self.scroll_to(y=max(0, at - 1), animate=False)
        elif at > top + height - 3:
            self.scroll_to(y=at - height + 3, animate=False)

    def _pointed(self) -> None:
        self.refresh()
        self.post_message(self.Pointed())

    def _forget_colors(self) -> None:
        self._colored.clear()
        self._lexer = None

    # Layout.

    @property
    def _room(self) -> int:
        return max(10, self.size.width - GUTTER - 2)

    def _lay_out(self) -> None:
        room = self._room
        lines: list[_Line] = []
        firsts: list[int] = []
        for number, row in enumerate(self.diff.rows if self.diff is not None else ()):
            firsts.append(len(lines))
            text = row.text
            if len(text) <= room and text.isascii() and text.isprintable():
                lines.append(_Line(number, 0, len(text)))
                continue
            start = 0
            for part in chop_cells(self._shown(row), room) or [""]:
                lines.append(_Line(number, start, start + len(part)))
                start += len(part)
        self._lines, self._first_line = lines, firsts
        self._strips.clear()
        size = Size(self.size.width, len(lines))
        self.set_reactive(Widget.virtual_size, size)
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = size.height
            self.vertical_scrollbar.window_size = self.size.height
        self.scroll_to(y=min(self.scroll_offset.y, self.max_scroll_y), animate=False, force=True)
        self.refresh()

    @staticmethod
    def _shown(row: DiffRow) -> str:
        text = row.text.expandtabs(4)
        return safe_line(text) + ("" if row.ended else "  (no line end)")

    def on_resize(self) -> None:
        self._lay_out()

    def _reveal(self) -> None:
        """Bring the unit under the cursor into view, with its last line where it fits."""
        if self.diff is None or not self.diff.units or not self.size.height:
            return
        unit = self.diff.units[self.unit]
        first = self._first_line[unit.first]
        last = self._first_line[unit.last]
        top, height = self.scroll_offset.y, self.size.height
        if first < top or last >= top + height:
            fits = last - first < height - 2
            self.scroll_to(y=max(0, first - 2 if not fits else first - (height - (last - first)) // 3), animate=False)

    # Painting.

    def render_line(self, y: int) -> Strip:
        at = self.scroll_offset.y + y
        width = self.size.width
        if self.diff is None or at >= len(self._lines):
            return Strip.blank(width, self.look["base"])
        line = self._lines[at]
        row = self.diff.rows[line.row]
        if row.kind == "verdict":
            strip = self._verdict_strip(row)
        else:
            strip = Strip([*self._mark(row, line.start == 0), *self._content(at)])
        return strip.apply_offsets(0, at).adjust_cell_length(width, self.look["base"])

    def _mark(self, row: DiffRow, first: bool) -> list[Segment]:
        look = self.look
        ground = look["base"]
        if row.unit is None:
            return [Segment("  ", ground)]
        unit = self._marks.get(row.unit, UnitReview())
        glyph, role, _ = MARKS[unit.lines.get(row.line, "undecided") if row.line is not None else unit.mark]
        here = row.unit == self.unit
        if here and self._line is not None:
            here = row.line in self.chosen_lines() if row.line is not None else False
        bar = look.glyph("┃") if here else " "
        shown = look.glyph(glyph) if first and row.kind == "line" and row.sign != " " and role != "review" else " "
        return [Segment(bar, ground + look["accent"]), Segment(shown, ground + look[role])]

    def _content(self, at: int) -> Strip:
        strip = self._strips.get(at)
        if strip is None:
            line = self._lines[at]
            assert self.diff is not None
            strip = self._strips[at] = self._render_row(self.diff.rows[line.row], line)
        return strip

    def _render_row(self, row: DiffRow, line: _Line) -> Strip:
        look = self.look
        if row.kind != "line":
            mark, role = _PLAIN[row.kind]
            if row.kind == "note" and row.text.startswith("!"):
                role = "warn"
            text = self._shown(row)[line.start : line.end]
            return look.strip([Segment(mark + text, look[role])])
        ground = look[{"+": "added_line", "-": "removed_line"}.get(row.sign, "base")]
        sign_role = {"+": "added", "-": "removed"}.get(row.sign, "dim")
        if line.start == 0:
            old = str(row.old) if row.old is not None else ""
            new = str(row.new) if row.new is not None else ""
            gutter = [Segment(f"{old:>4} {new:>4} ", look["number"]), Segment(f"{row.sign} ", ground + look[sign_role])]
        else:
            gutter = [Segment(" " * 10), Segment("  ", ground)]
        text = self._text(line.row)
        part = text.divide([line.start, line.end])[1] if line.start or line.end < len(text.plain) else text
        body = [Segment(t, ground + s if s else ground) for t, s, _ in part.render(look.console, end="")]
        used = cell_len(part.plain)
        fill = [Segment(" " * max(0, self._room - used + 2), ground)] if row.sign != " " else []
        return look.strip([*gutter, *body, *fill])

    def _text(self, number: int) -> Text:
        text = self._colored.get(number)
        if text is None:
            self._color_chunk(number)
            text = self._colored[number]
        return text

    def _color_chunk(self, number: int) -> None:
        """Colour the rows around one: each side of the diff is read as the code that it is."""
        assert self.diff is not None
        rows = self.diff.rows
        start = number - number % CHUNK
        chunk = [at for at in range(start, min(start + CHUNK, len(rows))) if rows[at].kind == "line"]
        for signs in (" -", " +"):
            side = [at for at in chunk if rows[at].sign in signs]
            shown = [self._shown(rows[at]) for at in side]
            for at, text in zip(side, self._highlight(shown), strict=True):
                self._colored[at] = text
        for at in chunk:
            self._emphasize(at)

    def _highlight(self, lines: list[str]) -> list[Text]:
        from goose_py.tui.widgets.markdown import highlighted

        plain = [Text(line, self.look["text"]) for line in lines]
        lexer = self._language()
        if not lexer or not lines:
            return plain
        colored = highlighted("\n".join(lines), lexer, self.look.code_theme).split("\n", allow_blank=True)
        if [text.plain for text in colored] != lines:
            return plain
        return list(colored)

    def _language(self) -> str:
        if self._lexer is None:
            from rich.syntax import Syntax

            assert self.diff is not None
            usable = self.look.colored and not {"minified", "large"} & set(self.diff.file.flags)
            self._lexer = Syntax.guess_lexer(self.diff.file.path) if usable else ""
            if self._lexer == "default":
                self._lexer = ""
        return self._lexer

    def _emphasize(self, number: int) -> None:
        """What differs within a line that was replaced, and what would not show."""
        assert self.diff is not None
        row, text = self.diff.rows[number], self._colored[number]
        if row.partner is not None:
            partner = self._shown(self.diff.rows[row.partner])
            old, new = (text.plain, partner) if row.sign == "-" else (partner, text.plain)
            start, old_end, new_end = changed_span(old, new)
            end = old_end if row.sign == "-" else new_end
            if end > start:
                text.stylize(self.look["removed_word" if row.sign == "-" else "added_word"], start, end)
        if row.text.isascii() and row.text.isprintable():
            return
        at = 0
        for char in row.text.expandtabs(4):
            shown = safe_line(char)
            if shown != char:
                text.stylize(self.look["hidden"], at, at + len(shown))
            at += len(shown)

    def _verdict_strip(self, row: DiffRow) -> Strip:
        look = self.look
        assert row.unit is not None
        unit = self._marks.get(row.unit, UnitReview())
        glyph, role, word = MARKS[unit.mark]
        if unit.edited:
            word = "kept as you edited it"
        elif unit.mark == "some":
            count = {verdict: list(unit.lines.values()).count(verdict) for verdict in ("keep", "drop", "undecided")}
            word = f"by line: {count['keep']} kept, {count['drop']} dropped, {count['undecided']} undecided"
        here = row.unit == self.unit
        bar = Segment("┃ " if here and self._line is None else "  ", look["accent"])
        state = [Segment(f"{glyph} {word} ", look[role])]
        if not here:
            return look.strip([bar, Segment(" " * 12), *state])
        chosen = len(self.chosen_lines())
        if self._line is not None:
            state.append(Segment(f" {chosen} {'lines' if chosen > 1 else 'line'}:", look["dim"]))
        keys = [("space", "keep"), ("d", "drop"), ("c", "comment"), ("E", "edit")]
        actions: list[Segment] = []
        for key, meaning in keys:
            actions += [Segment(f" {key} ", look["key"]), Segment(f"{meaning} ", look["dim"])]
        return look.strip([bar, Segment("▸".ljust(11), look["accent"]), *state, Segment("  "), *actions])

    # Keys and mouse.

    def action_line(self, step: int) -> None:
        if self.by_line:
            self._step_line(step)
            return
        self.scroll_to(y=self.scroll_offset.y + step, animate=False)
        self._point_into_view()

    def action_half(self, step: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + step * max(1, self.size.height - 3), animate=False)
        self._point_into_view()

    def action_edge(self, step: int) -> None:
        self.scroll_to(y=0 if step < 0 else self.max_scroll_y, animate=False)
        if self.diff is not None and self.diff.units:
            self.unit = 0 if step < 0 else len(self.diff.units) - 1
            self._line = self._anchor = None
            self._settle_line()
            self._pointed()

    def action_unit(self, step: int) -> None:
        self.point(self.unit + step)

    def _point_into_view(self) -> None:
        """Scrolling takes the cursor along, to the unit nearest to the middle of the screen."""
        if self.diff is None or not self.diff.units:
            return
        top, height = self.scroll_offset.y, self.size.height
        unit = self.diff.units[self.unit]
        if self._first_line[unit.last] >= top and self._first_line[unit.first] < top + height:
            return
        middle = top + height // 2

        def distance(number: int) -> int:
            unit = self.diff.units[number]  # type: ignore[union-attr]
            first, last = self._first_line[unit.first], self._first_line[unit.last]
            return 0 if first <= middle <= last else min(abs(first - middle), abs(last - middle))

        self.unit = min(range(len(self.diff.units)), key=distance)
        self._settle_line()
        self._pointed()

    def on_click(self, event: events.Click) -> None:
        at = self.scroll_offset.y + event.y
        if self.diff is None or at >= len(self._lines):
            return
        row = self.diff.rows[self._lines[at].row]
        if row.unit is not None:
            self.unit = row.unit
            if self.by_line and row.line in self._changed_lines():
                self._line = row.line
            self._settle_line()
            self._pointed()
