"""A widget that shows rows made elsewhere, and paints only when they differ."""

from __future__ import annotations

from rich.segment import Segment
from textual.message import Message
from textual.strip import Strip
from textual.widget import Widget

from goose_py.tui.appearance import Look
from goose_py.tui.widgets.text_layout import Row


class RowView(Widget):
    """As tall as its rows unless CSS says otherwise. Its text can be selected."""

    DEFAULT_CSS = "RowView { height: auto; width: 1fr; }"

    class Clicked(Message):
        """A click on a row; `text` is what the row says, `x` and `y` where in the widget."""

        def __init__(self, rows: RowView, x: int, y: int) -> None:
            super().__init__()
            self.rows = rows
            self.x = x
            self.y = y

        @property
        def control(self) -> RowView:
            return self.rows

    def __init__(self, look: Look, *, base: str = "base", id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._look = look
        self._base = base
        self._rows: list[Row] = []
        self._strips: list[Strip] = []

    def show(self, rows: list[Row]) -> None:
        if rows == self._rows:
            return
        grown = len(rows) != len(self._rows)
        self._rows = rows
        self._strips = [self._look.strip(row, self._base) for row in rows]
        self.refresh(layout=grown and self.styles.height is not None and self.styles.height.is_auto)

    @property
    def plain(self) -> str:
        return "\n".join(strip.text.rstrip() for strip in self._strips)

    def get_content_height(self, container: object, viewport: object, width: int) -> int:
        return len(self._rows)

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        if y >= len(self._strips):
            return Strip.blank(width, self._look[self._base])
        return self._strips[y].apply_offsets(0, y).adjust_cell_length(width, self._look[self._base])

    def render(self) -> str:
        return ""

    def get_selection(self, selection) -> tuple[str, str] | None:  # type: ignore[no-untyped-def]
        return selection.extract(self.plain), "\n"

    def on_click(self, event) -> None:  # type: ignore[no-untyped-def]
        self.post_message(self.Clicked(self, event.x, event.y))


def text_row(text: str, look: Look, role: str = "text") -> Row:
    return [Segment(text, look[role])]
