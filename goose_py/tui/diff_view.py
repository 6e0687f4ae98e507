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

from goose_py.protocol.events import Verdict
from goose_py.protocol.safe_text import safe_line
from goose_py.tui.diff_rows import DiffRow, FileDiff, changed_span
from goose_py.tui.look import Look

CHUNK = 40
GUTTER = 14
_VERDICTS: dict[Verdict, tuple[str, str, str]] = {
    "keep": ("✓", "ok", "kept"),
    "drop": ("✗", "bad", "dropped"),
    "undecided": ("●", "review", "undecided"),
}


class _Line(NamedTuple):
    """One row of the screen: a part of a diff row. `start` and `end` are characters of its text."""

    row: int
    start: int
    end: int


class DiffView(ScrollView, can_focus=True):
    """Shows a `FileDiff` with its verdicts; knows the unit under the cursor."""

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
        """The cursor stands on another unit."""

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.diff: FileDiff | None = None
        self.unit = 0
        self._verdicts: Mapping[int, Verdict] = {}
        self._lines: list[_Line] = []
        self._first_line: list[int] = []
        self._colored: dict[int, Text] = {}
        self._strips: dict[int, Strip] = {}
        self._lexer: str | None = None

    def show(self, diff: FileDiff | None, unit: int = 0) -> None:
        """Show another file, or the same one anew."""
        self.diff = diff
        self.unit = min(unit, max(0, len(diff.units) - 1)) if diff is not None else 0
        self._colored.clear()
        self._lexer = None
        self._lay_out()
        self.scroll_to(y=0, animate=False, force=True)
        if unit:
            self._reveal()

    def mark(self, verdicts: Mapping[int, Verdict]) -> None:
        if verdicts != self._verdicts:
            self._verdicts = dict(verdicts)
            self.refresh()

    def point(self, unit: int) -> None:
        if self.diff is None or not 0 <= unit < len(self.diff.units):
            return
        self.unit = unit
        self._reveal()
        self.refresh()
        self.post_message(self.Pointed())

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
        glyph, role, _ = _VERDICTS[self._verdicts.get(row.unit, "undecided")]
        here = row.unit == self.unit
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
            mark = {"gap": "⋯ ", "section": "", "note": ""}[row.kind]
            role = "warn" if row.text.startswith("!") else {"gap": "dim", "section": "heading", "note": "review"}[row.kind]
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
        from goose_py.tui.markdown import highlighted

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
        glyph, role, word = _VERDICTS[self._verdicts.get(row.unit, "undecided")]
        here = row.unit == self.unit
        bar = Segment("┃ " if here else "  ", look["accent"])
        state = [Segment(f"{glyph} {word} ", look[role])]
        if not here:
            return look.strip([bar, Segment(" " * 12), *state])
        keys = [("space", "keep"), ("d", "drop"), ("u", "undecided"), ("c", "comment")]
        actions: list[Segment] = []
        for key, meaning in keys:
            actions += [Segment(f" {key} ", look["key"]), Segment(f"{meaning} ", look["dim"])]
        return look.strip([bar, Segment("▸".ljust(11), look["accent"]), *state, Segment("  "), *actions])

    # Keys and mouse.

    def action_line(self, step: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + step, animate=False)
        self._point_into_view()

    def action_half(self, step: int) -> None:
        self.scroll_to(y=self.scroll_offset.y + step * max(1, self.size.height - 3), animate=False)
        self._point_into_view()

    def action_edge(self, step: int) -> None:
        self.scroll_to(y=0 if step < 0 else self.max_scroll_y, animate=False)
        if self.diff is not None and self.diff.units:
            self.unit = 0 if step < 0 else len(self.diff.units) - 1
            self.refresh()
            self.post_message(self.Pointed())

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
        self.refresh()
        self.post_message(self.Pointed())

    def on_click(self, event: events.Click) -> None:
        at = self.scroll_offset.y + event.y
        if self.diff is None or at >= len(self._lines):
            return
        unit = self.diff.rows[self._lines[at].row].unit
        if unit is not None:
            self.unit = unit
            self.refresh()
            self.post_message(self.Pointed())
