"""The conversation, in one widget on Textual's line API.

A block (one item) is rendered when it comes into view, and kept; what nobody looks at costs a guess of its height. Only the
block that is still growing is rendered again, and of that only its open end. The virtual size is set without a layout pass,
and where the number of rows stays the same only the rows that changed are painted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Offset, Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.selection import Selection
from textual.strip import Strip
from textual.widget import Widget

from goose_py.protocol.safe_text import safe_text
from goose_py.tui.appearance import Look
from goose_py.tui.conversation.block_heights import Heights
from goose_py.tui.conversation.blocks import expandable, gap_before, guess_height, hidden, item_rows
from goose_py.tui.state.persistent_vector import Vector
from goose_py.tui.state.view_state import AnyItem, CheckItem, NoticeItem, TextItem, ThinkingItem, ToolItem, UserItem
from goose_py.tui.widgets.text_layout import Row

if TYPE_CHECKING:
    from goose_py.tui.widgets.markdown import StreamedMarkdown

KEPT_BLOCKS = 1_500
"""Rendered blocks that are kept in memory around the ones in view."""
_BLOCK = 1 << 24
"""Selections name a row as block * _BLOCK + row: a name that stays when blocks above it turn out taller than guessed."""


class Block:
    """One item and, once it was looked at, its strips. `exact`: the height is known, not guessed."""

    __slots__ = ("_stream", "_taken", "exact", "expanded", "gap", "item", "strips")

    def __init__(self, item: AnyItem, gap: bool) -> None:
        self.item = item
        self.gap = gap
        self.expanded: bool | None = None
        self.strips: list[Strip] | None = None
        self.exact = False
        self._stream: StreamedMarkdown | None = None
        self._taken = 0

    def set_item(self, item: AnyItem) -> None:
        if not self._continues(item):
            self._stream = None
            self._taken = 0
        self.item = item
        if not isinstance(item, TextItem) or self._stream is None:
            self.strips = None
        self.exact = False

    def _continues(self, item: AnyItem) -> bool:
        return isinstance(item, TextItem) and isinstance(self.item, TextItem) and item.text.startswith(self.item.text)

    def takes(self, item: AnyItem) -> bool:
        """True where this block, which drew a reply while it came in, goes on as the block of `item`."""
        if isinstance(item, TextItem):
            return self._continues(item)
        return isinstance(item, ThinkingItem) and isinstance(self.item, ThinkingItem)

    def forget(self) -> None:
        self.strips = None
        self._stream = None
        self._taken = 0

    def invalidate(self) -> None:
        self.forget()
        self.exact = False

    def render(self, width: int, look: Look, expand_all: bool) -> list[Strip]:
        if self.exact and self.strips is not None:
            return self.strips
        if isinstance(self.item, TextItem):
            self.strips = self._text_strips(self.item, width, look)
        else:
            expanded = self.expanded if self.expanded is not None else expand_all
            rows = item_rows(self.item, width, look, expanded)
            self.strips = [look.strip(row) for row in ([[], *rows] if self.gap and rows else rows)]
        self.exact = True
        return self.strips

    def _text_strips(self, item: TextItem, width: int, look: Look) -> list[Strip]:
        if self._stream is None:
            from goose_py.tui.widgets.markdown import StreamedMarkdown  # with the first text, not before the first frame

            self._stream = StreamedMarkdown(look, width)
            self._taken = 0
        stream = self._stream
        stream.update(item.text)
        lead = int(self.gap)
        kept = self.strips[: lead + self._taken] if self.strips is not None and self._taken else [look.strip([])] * lead
        fresh: list[Row] = [list(row) for row in stream.rows[self._taken :]]
        self._taken = stream.settled
        if item.open:
            if not fresh:
                fresh.append([Segment("  ")])
            fresh[-1].append(Segment("▌", look["accent"]))
        elif item.cut:
            fresh.append([Segment("  (broken off here; no part of the conversation)", look["warn"])])
        return [*kept, *(look.strip(row) for row in fresh)]


class LogView(ScrollView, can_focus=True):
    """Shows `items` and, after them, what is `live`. Follows its end only while it stands there."""

    ALLOW_SELECT = True
    DEFAULT_CSS = """
    LogView {
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("alt+up,up,k", "cursor(-1)", "Block up", show=False),
        Binding("alt+down,down,j", "cursor(1)", "Block down", show=False),
        Binding("space,enter", "open_block", "Expand", show=False),
        Binding("c,y", "copy_block", "Copy block", show=False),
        Binding("g,home", "scroll_home", "Top", show=False),
        Binding("G,end", "scroll_end", "Bottom", show=False),
    ]

    class Copied(Message):
        """Text for the clipboard."""

        def __init__(self, text: str) -> None:
            super().__init__()
            self.text = text

    class Moved(Message):
        """The log began or ceased to follow its end."""

        def __init__(self, following: bool) -> None:
            super().__init__()
            self.following = following

    def __init__(self, look: Look, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.look = look
        self.following = True
        self.cursor: int | None = None
        self.expand_all = False
        self._items: Vector[AnyItem] = Vector()
        self._blocks: list[Block] = []
        self._heights = Heights()
        self._placing = False
        self._rendered = 0
        self._welcome: list[Strip] = []

    # Content.

    def set_welcome(self, rows: list[Row]) -> None:
        """What stands here while there is no conversation yet."""
        self._welcome = [self.look.strip(row) for row in rows]
        if not self._blocks:
            self.refresh()

    def sync(self, items: Vector[AnyItem], live: tuple[AnyItem, ...]) -> None:
        """Show this. Cheap where little differs from what is shown now."""
        if len(items) < len(self._items):
            self.clear()
        before = self._heights.total
        anchor = self._anchor()
        loose = self._take_live()
        changed = before
        for index in items.differences(self._items):
            if index < len(self._blocks):
                self._replace(index, items[index])
            else:
                self._add(items[index], loose)
                index = len(self._blocks) - 1
            changed = min(changed, self._heights.before(index))
        self._items = items
        changed = min(changed, self._heights.total) if live or loose else changed
        for item in live:
            self._add(item, loose)
        self._place(anchor, before, changed)

    def clear(self) -> None:
        self._items = Vector()
        self._blocks = []
        self._heights = Heights()
        self._rendered = 0
        self.cursor = None
        self.following = True

    def set_look(self, look: Look) -> None:
        self.look = look
        self._invalidate()

    def _take_live(self) -> list[Block]:
        loose = self._blocks[len(self._items) :]
        del self._blocks[len(self._items) :]
        for _ in loose:
            self._heights.pop()
        return loose

    def _add(self, item: AnyItem, loose: list[Block]) -> None:
        previous = next((block.item for block in reversed(self._blocks) if not hidden(block.item)), None)
        gap = gap_before(item, previous)
        block = loose.pop(0) if loose and loose[0].takes(item) and loose[0].gap == gap else Block(item, gap)
        if block.item is not item:
            block.set_item(item)
        self._blocks.append(block)
        self._heights.append(self._guess(block))

    def _guess(self, block: Block) -> int:
        if block.strips is not None:
            return len(block.strips)
        return guess_height(block.item, self._wide) + block.gap

    def _replace(self, index: int, item: AnyItem) -> None:
        self._blocks[index].set_item(item)

    # Layout.

    @property
    def _wide(self) -> int:
        return max(10, self.size.width - self.scrollbar_size_vertical - 1)

    def _exact(self, index: int) -> int:
        """Render one block; the change of its height is returned."""
        block = self._blocks[index]
        if not block.exact or block.strips is None:
            self._rendered += block.strips is None
            block.render(self._wide, self.look, self.expand_all)
        assert block.strips is not None
        return self._heights.set(index, len(block.strips))

    def _anchor(self) -> tuple[int, int]:
        return self._heights.find(self.scroll_offset.y)

    def _place(self, anchor: tuple[int, int] | None, before: int, changed: int) -> None:
        """Render what is in view, keep the view where it was (at the end, or at `anchor`), and paint what differs."""
        height = self.size.height
        if not height:
            return
        if self.following:
            top = self._fill_up(len(self._blocks) - 1, height)
            target = max(0, self._heights.total - height)
            changed = min(changed, self._heights.before(top)) if top is not None else changed
        else:
            block, row = anchor if anchor is not None else self._anchor()
            block = min(block, len(self._blocks) - 1)
            if block >= 0:
                self._exact(block)
                self._fill_down(block, row + height)
                row = min(row, max(0, self._heights[block] - 1))
            target = min(self._heights.before(max(0, block)) + row, max(0, self._heights.total - height))
        same = self._heights.total == before and target == self.scroll_offset.y
        self._set_virtual_height(self._heights.total)
        self._placing = True
        self.scroll_to(y=target, animate=False, force=True)
        self._placing = False
        if same:
            top_row = max(0, changed - target)
            if top_row < height:
                self.refresh(Region(0, top_row, self.size.width, height - top_row))
        else:
            self.refresh()
        self._evict()

    def _fill_up(self, index: int, height: int) -> int | None:
        """Make blocks from `index` upwards exact until they fill `height`; the first that was not is returned."""
        first = None
        rows = 0
        while index >= 0 and rows < height:
            if not self._blocks[index].exact or self._blocks[index].strips is None:
                first = index
            self._exact(index)
            rows += self._heights[index]
            index -= 1
        return first

    def _fill_down(self, index: int, height: int) -> None:
        rows = 0
        while index < len(self._blocks) and rows < height:
            self._exact(index)
            rows += self._heights[index]
            index += 1

    def _set_virtual_height(self, height: int) -> None:
        size = Size(self.size.width, height)
        if size == self.virtual_size:
            return
        self.set_reactive(Widget.virtual_size, size)
        if self.show_vertical_scrollbar:
            self.vertical_scrollbar.window_virtual_size = height
            self.vertical_scrollbar.window_size = self.size.height

    def _evict(self) -> None:
        if self._rendered <= 2 * KEPT_BLOCKS:
            return
        centre = self._anchor()[0]
        for index, block in enumerate(self._blocks):
            if block.strips is not None and abs(index - centre) > KEPT_BLOCKS // 2:
                block.forget()
        self._rendered = sum(block.strips is not None for block in self._blocks)

    def watch_scroll_y(self, old_value: float, new_value: float) -> None:
        if not self._placing and self._blocks:
            self._scrolled(round(old_value), round(new_value))
        super().watch_scroll_y(old_value, new_value)

    def _scrolled(self, old: int, new: int) -> None:
        """Make exact what came into view. A guess that was wrong above the view moves the view with it."""
        block, row = self._heights.find(new)
        if block < len(self._blocks):
            grown = self._exact(block)
            if grown and new < old:
                row = max(0, row + grown)
            self._fill_down(block, row + self.size.height)
            self._set_virtual_height(self._heights.total)
            target = min(self._heights.before(block) + row, self.max_scroll_y)
            if target != new:
                self._placing = True
                self.set_reactive(Widget.scroll_y, float(target))
                self.set_reactive(Widget.scroll_target_y, float(target))
                self.vertical_scrollbar.position = target
                self._placing = False
        following = self.scroll_offset.y >= self.max_scroll_y
        if following != self.following:
            self.following = following
            self.post_message(self.Moved(following))
        self._evict()

    def on_resize(self, event: events.Resize) -> None:
        self._invalidate()

    def _invalidate(self) -> None:
        anchor = self._anchor()
        for block in self._blocks:
            block.invalidate()
        self._rendered = 0
        for index, block in enumerate(self._blocks):
            self._heights.set(index, self._guess(block))
        self._place(anchor, -1, 0)

    def follow(self) -> None:
        """Go to the end and stay there."""
        self.following = True
        self._place(None, -1, 0)
        self.post_message(self.Moved(True))

    def action_scroll_end(self) -> None:
        self.follow()

    # Painting.

    def render_line(self, y: int) -> Strip:
        width = self.size.width
        block, row = self._heights.find(self.scroll_offset.y + y)
        if not self._blocks and y < len(self._welcome):
            return self._welcome[y].adjust_cell_length(width, self.look["base"])
        if block >= len(self._blocks):
            return Strip.blank(width, self.look["base"])
        strips = self._blocks[block].strips
        if strips is None or row >= len(strips):
            return Strip.blank(width, self.look["base"])
        strip = strips[row]
        name = block * _BLOCK + row
        selection = self.text_selection
        if selection is not None and (span := selection.get_span(name)) is not None:
            strip = _highlighted(strip, *span, self.screen.get_component_rich_style("screen--selection"))
        strip = strip.apply_offsets(0, name).adjust_cell_length(width, self.look["base"])
        if block != self.cursor or not self.has_focus:
            return strip
        return Strip([Segment(text, (style or Style.null()) + self.look["cursor"]) for text, style, _ in strip], width)

    # Selecting and copying.

    @property
    def allow_select(self) -> bool:
        return True

    def selection_updated(self, selection: Selection | None) -> None:
        self.refresh()

    def get_selection(self, selection: Selection) -> tuple[str, str] | None:
        if not self._blocks:
            return None
        start = selection.start or Offset(0, 0)
        end = selection.end or Offset(-1, len(self._blocks) * _BLOCK)
        lines: list[str] = []
        for index in range(start.y // _BLOCK, min(end.y // _BLOCK, len(self._blocks) - 1) + 1):
            for row, strip in enumerate(self._blocks[index].render(self._wide, self.look, self.expand_all)):
                name = index * _BLOCK + row
                if not start.y <= name <= end.y:
                    continue
                text = strip.text
                last = end.x if name == end.y and end.x >= 0 else len(text)
                first = start.x if name == start.y else 0
                lines.append(text[first:last].rstrip())
        return "\n".join(lines), "\n"

    def action_copy_block(self) -> None:
        if self.cursor is not None:
            self.post_message(self.Copied(block_text(self._blocks[self.cursor].item)))

    def current_text(self) -> str:
        """The text of the block under the cursor, else of the last one."""
        at = self.cursor if self.cursor is not None else len(self._blocks) - 1
        return block_text(self._blocks[at].item) if 0 <= at < len(self._blocks) else ""

    def last_reply(self) -> str:
        """The newest text by the model, or "" where there is none."""
        for block in reversed(self._blocks):
            if isinstance(block.item, TextItem):
                return block_text(block.item)
        return ""

    # The block cursor, and what it opens.

    def action_cursor(self, step: int) -> None:
        """Move the block cursor; from nowhere it begins at the last block."""
        if not self._blocks:
            return
        at = len(self._blocks) if self.cursor is None else self.cursor
        while 0 <= (at := at + step) < len(self._blocks):
            self._exact(at)
            if self._heights[at]:
                break
        else:
            return
        self.cursor = at
        self._reveal(self.cursor)
        self.refresh()

    def action_open_block(self) -> None:
        if self.cursor is not None:
            self.toggle(self.cursor)

    def toggle(self, index: int) -> None:
        block = self._blocks[index]
        if not expandable(block.item):
            return
        block.expanded = not (self.expand_all if block.expanded is None else block.expanded)
        block.invalidate()
        self._settle_at(index)

    def toggle_all(self) -> bool:
        """Expand everything that can be, or nothing again; True where it is expanded now."""
        self.expand_all = not self.expand_all
        for block in self._blocks:
            block.expanded = None
        self._invalidate()
        return self.expand_all

    def _settle_at(self, index: int) -> None:
        """After its height changed: the view stays, but for showing as much of this block as fits."""
        anchor = self._anchor()
        self.following = False
        self._exact(index)
        self._place(anchor, -1, 0)
        self._reveal(index)
        self.following = self.scroll_offset.y >= self.max_scroll_y
        self.post_message(self.Moved(self.following))

    def _reveal(self, index: int) -> None:
        top = self._heights.before(index)
        bottom = top + self._heights[index]
        if top < self.scroll_offset.y:
            self.scroll_to(y=top, animate=False)
        elif bottom > self.scroll_offset.y + self.size.height:
            self.scroll_to(y=min(top, bottom - self.size.height), animate=False)

    def on_click(self, event: events.Click) -> None:
        if self.text_selection is not None:
            return
        block, _ = self._heights.find(self.scroll_offset.y + event.y)
        if block < len(self._blocks):
            self.cursor = block
            self.toggle(block)

    def on_blur(self) -> None:
        self.cursor = None
        self.refresh()


def block_text(item: AnyItem) -> str:
    """The item's own text, safe to paste."""
    match item:
        case TextItem() | UserItem() | ThinkingItem():
            return safe_text(item.text)
        case ToolItem():
            return safe_text(item.result if item.result is not None else item.output)
        case CheckItem():
            return safe_text(item.output or item.command)
        case NoticeItem():
            return safe_text(item.detail or item.text)
    return ""


def _highlighted(strip: Strip, start: int, end: int, style: Style) -> Strip:
    """The strip with `style` on the characters from `start` to `end` (-1: all the rest)."""
    out: list[Segment] = []
    position = 0
    for text, old, _ in strip:
        stop = len(text) if end == -1 else max(0, min(len(text), end - position))
        begin = max(0, min(len(text), start - position))
        if begin < stop:
            parts = ((text[:begin], old), (text[begin:stop], (old or Style.null()) + style), (text[stop:], old))
            out += [Segment(part, look) for part, look in parts if part]
        else:
            out.append(Segment(text, old))
        position += len(text)
    return Strip(out, strip.cell_length)
