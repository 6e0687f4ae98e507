"""Where the user writes: Enter sends, pasting never does, nothing that was written is lost."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from rich.text import Text
from textual import events
from textual.binding import Binding, BindingType
from textual.document._document import EditResult
from textual.document._edit import Edit
from textual.widgets import TextArea

from goose_py.tui.appearance import Look
from goose_py.tui.conversation.folding import chips, is_long, label_for, unfolded
from goose_py.tui.input.entered_line import EnteredLine
from goose_py.tui.input.pasted import pasted_text


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
    """Runs actions of its screen: `submit` for Enter, `queue` for Tab, `edit_queued` for ↑ where nothing is written, `choose`
    for the arrows while a menu is open. They are run at once and not told by a message, so that the next key finds the prompt
    as they left it.

    A long paste stands here as a chip. `text` is what is shown, `written` what it stands for."""

    DEFAULT_CSS = """
    PromptArea {
        height: auto; min-height: 3; max-height: 10; padding: 0 1; border: round $foreground 30%;
        background: $background; scrollbar-size-vertical: 1;
        &:focus { border: round $accent; background: $background; background-tint: $background 0%; }
        &.-too-long { border-title-color: $warning; }
        & .text-area--cursor-line { background: transparent; }
        & .text-area--placeholder { color: $foreground 45%; }
    }
    PromptArea.-ascii { border: ascii $foreground 30%; &:focus { border: ascii $accent; } }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("shift+enter,ctrl+j,alt+enter", "newline", "New line", show=False),
        Binding("tab", "screen.queue", "Queue", show=False),
    ]

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(
            id=id, soft_wrap=True, show_line_numbers=False, tab_behavior="focus", highlight_cursor_line=False, compact=False
        )
        self._chip = look["badge"]
        self._pastes: dict[str, str] = {}
        self.earlier = History()
        self.last_key = 0.0
        self.menu_open = False
        if look.ascii:
            self.add_class("-ascii")

    @property
    def written(self) -> str:
        return unfolded(self.text, self._pastes)

    @property
    def folded(self) -> bool:
        """Whether something is shown as a chip."""
        return any(label in self.text for label in self._pastes)

    def take(self) -> str:
        """What is written, which is then gone from here."""
        written = self.written
        self.put("")
        self.earlier = replace(self.earlier, at=None, draft="")
        return written

    def put(self, text: str) -> None:
        """Write `text` and nothing else; pastes in it that were chips are chips again."""
        for label, pasted in self._pastes.items():
            text = text.replace(pasted, label)
        self.load_text(text)
        self.move_cursor(self.document.end)

    def give_back(self, text: str) -> None:
        """What was taken comes back, before what has been written since."""
        since = self.written
        self.put(f"{text}\n{since}" if since else text)

    def unfold(self) -> None:
        """Show all that was pasted, to be read and edited."""
        self.load_text(self.written)
        self.move_cursor(self.document.end)

    def remember(self, text: str) -> None:
        self.earlier = self.earlier.added(text)

    def action_newline(self) -> None:
        self.insert("\n")

    def paste(self, text: str) -> None:
        text = pasted_text(text)
        if is_long(text):
            label = label_for(text, self._pastes)
            self._pastes[label] = text
            text = label
        self.move_cursor(self.replace(text, *self.selection, maintain_selection_offset=False).end_location)

    # A chip is one thing: it is not written into, and deleted whole.

    def edit(self, edit: Edit) -> EditResult:
        (first, _), (_, last) = self._chip_at(edit.top), self._chip_at(edit.bottom)
        return super().edit(replace(edit, from_location=last if edit.top == edit.bottom else first, to_location=last))

    def _chip_at(self, place: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
        """Where the chip begins and ends within which `place` is; the place itself where it is within none."""
        row, column = place
        for start, end in chips(self.document.get_line(row), self._pastes):
            if start < column < end:
                return (row, start), (row, end)
        return place, place

    def get_line(self, line_index: int) -> Text:
        line = super().get_line(line_index)
        for start, end in chips(line.plain, self._pastes):
            line.stylize(self._chip, start, end)
        return line

    # Keys.

    async def _on_key(self, event: events.Key) -> None:
        self.last_key = event.time
        action = self._action_for(event.key)
        if action:
            event.stop()
            event.prevent_default()
            await self.run_action(action)
        else:
            await self._edit_at_once(event)

    def _action_for(self, key: str) -> str:
        """What a key does that does not just write; "" for all others."""
        row, column = self.cursor_location
        if key == "enter":
            return "continue_line" if self.document.get_line(row)[:column].endswith("\\") else "screen.submit"
        if key == "ctrl+d" and not self.text:
            return "app.leave"
        if key in ("up", "down") and self.menu_open:
            return f"screen.choose({1 if key == 'down' else -1})"
        if key == "up" and row == 0:
            return "older" if self.text else "screen.edit_queued"
        if key == "down" and row == self.document.line_count - 1 and self.earlier.at is not None:
            return "newer"
        return ""

    async def _edit_at_once(self, event: events.Key) -> None:
        """Bound keys (backspace, arrows) take effect here and not after they have bubbled to the app, where the letters of a
        burst would overtake them (Textual issue 6605)."""
        bound = None if event.is_printable else self.screen.active_bindings.get(event.key)
        if bound is not None and bound.node is self and bound.enabled:
            event.stop()
            event.prevent_default()
            await self.app.run_action(bound.binding.action, self)

    def action_continue_line(self) -> None:
        row, column = self.cursor_location
        self.replace("\n", (row, column - 1), (row, column))

    def action_older(self) -> None:
        """The prompt before this one; a text that is being written is first gone to the beginning of."""
        if self.text and self.earlier.at is None and self.cursor_location != (0, 0):
            self.move_cursor((0, 0))
        elif (step := self.earlier.older(self.written)) is not None:
            self.earlier, text = step
            self.put(text)

    def action_newer(self) -> None:
        if (step := self.earlier.newer()) is not None:
            self.earlier, text = step
            self.put(text)

    async def _on_paste(self, event: events.Paste) -> None:
        event.stop()
        event.prevent_default()
        self.last_key = event.time
        self.paste(event.text)
        # What runs a command on the user's own machine waits for an Enter that came alone.
        if isinstance(event, EnteredLine) and not self.written.lstrip().startswith("!"):
            await self.run_action("screen.submit")
