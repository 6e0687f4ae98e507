"""One line to write, over a screen whose letters are keys otherwise."""

from __future__ import annotations

from textual import events
from textual.widgets import Input

from goose_py.tui.appearance import Look
from goose_py.tui.input.pasted import pasted_text


class LineInput(Input):
    """Shown by `open`, hidden by `close`; whoever closes it says where the keys go then."""

    DEFAULT_CSS = """
    LineInput { border: round $accent; background: $background; height: 3; display: none; &:focus { border: round $accent; } }
    LineInput.-ascii { border: ascii $accent; &:focus { border: ascii $accent; } }
    """

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id, classes="-ascii" if look.ascii else None)
        self._look = look

    def open(self, title: str, text: str = "", *, selected: bool = True) -> None:
        """`selected`: what is typed takes the place of `text`."""
        self.border_title = self._look.glyph(title)
        self.value = text
        self.select_on_focus = selected
        self.cursor_position = len(text)
        self.display = True
        self.focus()

    def close(self) -> None:
        self.value = ""
        self.display = False

    def _on_paste(self, event: events.Paste) -> None:
        """All of it, in one line: Textual would leave out what follows the first."""
        event.stop()
        event.prevent_default()
        self.replace(" ".join(pasted_text(event.text).split("\n")).rstrip(), *self.selection)
