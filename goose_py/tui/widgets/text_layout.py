"""Laying text out in terminal cells: wrapping, cutting, padding. Input is safe text; output is rows of segments."""

from __future__ import annotations

from collections.abc import Iterator

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from rich.text import Text

from goose_py.tui.appearance import Look

Row = list[Segment]
TAB = 4


def wrapped(text: str, width: int, look: Look) -> Iterator[str]:
    """Lines of at most `width` cells, broken between words where that is possible. Empty lines are kept."""
    width = max(1, width)
    for line in text.split("\n"):
        line = line.expandtabs(TAB)
        if len(line) <= width and (line.isascii() or cell_len(line) <= width):
            yield line
            continue
        for part in Text(line).wrap(look.console, width, overflow="fold", no_wrap=False):
            yield part.plain.rstrip()


def chopped(text: str, width: int) -> Iterator[str]:
    """Lines of at most `width` cells, broken anywhere: for code and output, where spaces matter."""
    width = max(1, width)
    for line in text.split("\n"):
        line = line.expandtabs(TAB)
        if len(line) <= width and line.isascii():
            yield line
        else:
            yield from chop_cells(line, width) or [""]


def fitted(text: str, width: int) -> str:
    """`text` cut to `width` cells, with "…" where something is missing."""
    if width <= 0:
        return ""
    if cell_len(text) <= width:
        return text
    return set_cell_size(text, width - 1) + "…"


def fitted_start(text: str, width: int) -> str:
    """Like `fitted`, but it is the beginning that goes: for paths."""
    if width <= 0:
        return ""
    while cell_len(text) > width:
        text = "…" + text[2:] if text.startswith("…") else "…" + text[1:]
    return text


def row_width(row: Row) -> int:
    return sum(cell_len(segment.text) for segment in row)


def spread(left: Row, right: Row, width: int, fill: Style | None = None) -> Row:
    """`left` and `right` at the two ends of a row of `width` cells; `left` is cut where both do not fit."""
    room = width - row_width(right)
    used = row_width(left)
    most = room - 1 if right else room
    if used > most:
        left = cut_row(left, max(0, most))
        used = row_width(left)
    return [*left, Segment(" " * max(0, room - used), fill), *right]


def cut_row(row: Row, width: int) -> Row:
    """The row cut to `width` cells with "…" where something is missing."""
    if row_width(row) <= width:
        return row
    out: Row = []
    room = width
    for text, style, _ in row:
        size = cell_len(text)
        if size < room:
            out.append(Segment(text, style))
            room -= size
            continue
        out.append(Segment(fitted(text + "  ", room), style))
        break
    return out


def seconds_text(seconds: float) -> str:
    """0.4s, 41s, 3m12, 1h05."""
    if seconds < 10:
        return f"{seconds:.1f}s"
    if seconds < 60:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes}m{rest:02d}"
    return f"{minutes // 60}h{minutes % 60:02d}"


def ago_text(seconds: float) -> str:
    """8s ago, 3m ago, 5h ago, 2d ago."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= size:
            return f"{int(seconds // size)}{unit} ago"
    return f"{max(0, int(seconds))}s ago"


def clock_text(seconds: float) -> str:
    """0:42, 12:05, 1:00:09."""
    minutes, rest = divmod(max(0, int(seconds)), 60)
    if minutes < 60:
        return f"{minutes}:{rest:02d}"
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def count_text(number: int) -> str:
    """999, 2.1k, 84k, 1.2M."""
    if number < 1000:
        return str(number)
    if number < 10_000:
        return f"{number / 1000:.1f}k"
    if number < 1_000_000:
        return f"{number // 1000}k"
    return f"{number / 1_000_000:.1f}M"
