"""Where the user writes: Enter sends, pasting never does, nothing that was written is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.message import Message
from textual.widgets import TextArea

from goose_py.protocol.safe_text import safe_text


@dataclass(frozen=True)
class History:
    """Earlier prompts, oldest first, and where the user is among them. `draft` is what stood there before."""

    entries: tuple[str, ...] = ()
    at: int | None = None
    draft: str = ""

    def added(self, text: str) -> History:
        if not text.strip() or (self.entries and self.entries[-1] == text):
            return History(self.entries)
        return History((*(entry for entry in self.entries if entry != text), text))

    def older(self, text: str) -> tuple[History, str] | None:
        at = len(self.entries) if self.at is None else self.at
        if at == 0:
            return None
        draft = text if self.at is None else self.draft
        return replace(self, at=at - 1, draft=draft), self.entries[at - 1]

    def newer(self) -> tuple[History, str] | None:
        if self.at is None:
            return None
        if self.at + 1 >= len(self.entries):
            return replace(self, at=None, draft=""), self.draft
        return replace(self, at=self.at + 1), self.entries[self.at + 1]


class PromptArea(TextArea):
    """Posts `Submitted` on Enter and `Queued` on Tab; ↑ in an empty prompt posts `EditQueued` first."""

    DEFAULT_CSS = """
    PromptArea {
        height: auto; min-height: 3; max-height: 10; padding: 0 1; border: round $foreground 30%;
        background: $background; scrollbar-size-vertical: 1;
        &:focus { border: round $accent; background: $background; background-tint: $background 0%; }
        & .text-area--cursor-line { background: transparent; }
        & .text-area--placeholder { color: $foreground 45%; }
    }
    PromptArea.-ascii { border: ascii $foreground 30%; &:focus { border: ascii $accent; } }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("shift+enter,ctrl+j,alt+enter", "newline", "New line", show=False),
        Binding("tab", "queue", "Queue", show=False),
    ]

    class Submitted(Message):
        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Queued(Submitted):
        pass

    class EditQueued(Message):
        pass

    class MenuMoved(Message):
        """An arrow, while a menu is open below what is typed."""

        def __init__(self, step: int) -> None:
            super().__init__()
            self.step = step

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(
            id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus", highlight_cursor_line=False, compact=False
        )
        self.earlier = History()
        self.last_key = 0.0
        self.menu_open = False

    def take(self) -> str:
        """The text, which is then gone from here."""
        text = self.text
        self.load_text("")
        self.earlier = replace(self.earlier, at=None, draft="")
        return text

    def put(self, text: str) -> None:
        self.load_text(text)
        self.move_cursor(self.document.end)

    def remember(self, text: str) -> None:
        self.earlier = self.earlier.added(text)

    def action_newline(self) -> None:
        self.insert("\n")

    def action_queue(self) -> None:
        self.post_message(self.Queued(self.text))

    async def _on_key(self, event: events.Key) -> None:
        self.last_key = event.time
        if event.key == "enter":
            event.stop()
            event.prevent_default()
            self._enter()
            return
        if event.key == "ctrl+d" and not self.text:
            event.stop()
            event.prevent_default()
            await self.run_action("app.leave")
        elif event.key in ("up", "down") and self.menu_open:
            event.stop()
            event.prevent_default()
            self.post_message(self.MenuMoved(1 if event.key == "down" else -1))
        elif event.key in ("up", "down") and self._walk(event.key):
            event.stop()
            event.prevent_default()
            return
        await self._edit_at_once(event)

    async def _edit_at_once(self, event: events.Key) -> None:
        """Bound keys (backspace, arrows) take effect here and not after they have bubbled to the app, where the letters of a
        burst would overtake them (Textual issue 6605)."""
        bound = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if bound is not None and bound.node is self and bound.enabled:
            event.stop()
            event.prevent_default()
            await self.app.run_action(bound.binding.action, self)

    def _enter(self) -> None:
        row, column = self.cursor_location
        if self.document.get_line(row)[:column].endswith("\\"):
            self.replace("\n", (row, column - 1), (row, column))
            return
        self.post_message(self.Submitted(self.text))

    def _walk(self, key: str) -> bool:
        """↑ on the first line and ↓ on the last one go through the history; True where they did."""
        row, _ = self.cursor_location
        if key == "up" and row == 0:
            if not self.text:
                self.post_message(self.EditQueued())
                return True
            return self._older()
        if key == "down" and row == self.document.line_count - 1:
            step = self.earlier.newer()
            if step is not None:
                self.earlier, text = step
                self.put(text)
                return True
        return False

    def _older(self) -> bool:
        if self.text and self.earlier.at is None and self.cursor_location != (0, 0):
            self.move_cursor((0, 0))
            return True
        step = self.earlier.older(self.text)
        if step is None:
            return False
        self.earlier, text = step
        self.put(text)
        return True

    def older(self) -> None:
        """What ↑ does where no queued prompt is there to be edited."""
        self._older()

    async def _on_paste(self, event: events.Paste) -> None:
        """Pasted text is text: line ends are unified, what would not show is shown, and nothing is sent."""
        event.stop()
        event.prevent_default()
        if self.read_only:
            return
        text = safe_text(event.text.replace("\r\n", "\n").replace("\r", "\n"))
        self.move_cursor(self.replace(text, *self.selection, maintain_selection_offset=False).end_location)
        self.last_key = event.time
