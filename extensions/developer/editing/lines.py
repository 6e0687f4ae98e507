"""A text as lines that end in `\\n`, and the way back to the offsets of the text as it is on disk."""

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

_LINE_END = re.compile(r"\r\n|\r|\n")


def unified(text: str) -> str:
    """`text` with every line end (`\\r\\n`, `\\r`, `\\n`) as `\\n`."""
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


@dataclass(frozen=True)
class Lines:
    """`raw` seen with `\\n` line ends (`view`). Offsets into `view` translate to offsets into `raw`."""

    raw: str

    @cached_property
    def view(self) -> str:
        return unified(self.raw)

    @cached_property
    def ends(self) -> tuple[str, ...]:
        """The line end of each line that has one, in order."""
        return tuple(_LINE_END.findall(self.raw)) if "\r" in self.raw else ("\n",) * self.raw.count("\n")

    @cached_property
    def dominant_end(self) -> str:
        """The line end that occurs most often (the earliest of equals); `\\n` in a text of one line."""
        return Counter(self.ends).most_common(1)[0][0] if self.ends else "\n"

    @property
    def style(self) -> str:
        """What a reader should know of the line ends; empty for `\\n` throughout."""
        kinds = set(self.ends)
        if len(kinds) > 1:
            return "mixed line ends"
        return {"\r\n": "CRLF line ends", "\r": "CR line ends"}.get(next(iter(kinds), "\n"), "")

    @cached_property
    def texts(self) -> list[str]:
        """The lines without their ends; a text that ends in a line end has no empty last line."""
        lines = self.view.split("\n")
        return lines[:-1] if lines[-1] == "" else lines

    @cached_property
    def _starts(self) -> tuple[list[int], list[int]]:
        raw_starts, view_starts, lost = [0], [0], 0
        for found in _LINE_END.finditer(self.raw):
            lost += len(found[0]) - 1
            raw_starts.append(found.end())
            view_starts.append(found.end() - lost)
        return raw_starts, view_starts

    def raw_offset(self, offset: int) -> int:
        """Where `view[offset]` begins in `raw`; the middle of a `\\r\\n` is never given."""
        if "\r\n" not in self.raw:
            return offset
        raw_starts, view_starts = self._starts
        line = bisect_right(view_starts, offset) - 1
        return raw_starts[line] + offset - view_starts[line]

    def line_at(self, offset: int) -> int:
        """The number, from 1, of the line that holds `view[offset]`."""
        return self.view.count("\n", 0, offset) + 1

    def splices(self, changes: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
        """Changes of `view` (start, end, new text with `\\n`) as the smallest changes of `raw`.

        What old and new text have in common at both ends is not part of the change, so context keeps its own line
        ends. New line ends are those they replace where their number is the same, and the dominant one of the file
        elsewhere.
        """
        return [splice for change in changes if (splice := self._splice(*change)) is not None]

    def replacement(
        self, first: int, end: int, new: list[tuple[str, str | None]], ended: bool = False
    ) -> tuple[int, int, str]:
        """The change of `raw` that puts whole lines in place of the lines [first, end).

        `new` gives each line's text and its line end, None for the file's own: where as many lines come as go, each
        takes that of the one it replaces; else they take the dominant one. A text whose last line has none keeps that,
        unless `ended` says that the new last line is to have one; `""` is heeded there only.
        """
        at_end = end == len(self.texts)
        unfinished = at_end and len(self.ends) < end
        replaced = [*self.ends[first:end], *([""] if unfinished and first < end else [])]
        own = [line_end or self.dominant_end for line_end in replaced]
        if len(own) != len(new):
            own = [self.dominant_end] * len(new)
        ends = [told or line_end for (_, told), line_end in zip(new, own, strict=True)]
        if new and at_end and (new[-1][1] == "" or (unfinished and not ended)):
            ends[-1] = ""
        text = _joined([line for line, _ in new], ends)
        if new and unfinished and first == end > 0:
            text = self.dominant_end + text
        raw_start, raw_end = self._raw_line(first), self._raw_line(end)
        return raw_start, raw_end, self._kept_apart(raw_start, text, raw_end)

    def _raw_line(self, line: int) -> int:
        starts = self._starts[0]
        return starts[line] if line < len(starts) else len(self.raw)

    def _splice(self, start: int, end: int, new: str) -> tuple[int, int, str] | None:
        old = self.view[start:end]
        head = _common_prefix(old, new)
        tail = _common_prefix(old[head:][::-1], new[head:][::-1])
        old, new = old[head : len(old) - tail], new[head : len(new) - tail]
        if not old and not new:
            return None
        raw_start, raw_end = self.raw_offset(start + head), self.raw_offset(end - tail)
        replaced = _LINE_END.findall(self.raw[raw_start:raw_end])
        pieces = new.split("\n")
        same_number = len(replaced) == len(pieces) - 1
        ends = replaced if same_number else [self.dominant_end] * (len(pieces) - 1)
        text = _joined(pieces, [*ends, ""])
        return raw_start, raw_end, self._kept_apart(raw_start, text, raw_end)

    def _kept_apart(self, raw_start: int, text: str, raw_end: int) -> str:
        """`text`, with what it takes that a lone `\\r` and a `\\n` that now meet stay two line ends."""
        if text.endswith("\r") and self.raw.startswith("\n", raw_end):
            text += "\n"
        before = self.raw[raw_start - 1] if raw_start else ""
        meets = text[:1] or self.raw[raw_end : raw_end + 1]
        return "\r" + text if before == "\r" and meets == "\n" else text


def _joined(lines: Sequence[str], ends: Sequence[str]) -> str:
    """The lines with their ends. A lone `\\r` that would meet a `\\n` becomes `\\r\\n`, so that the two stay two line ends."""
    text = ""
    for line, end in zip(lines, ends, strict=True):
        text += "\n" if text.endswith("\r") and not line and end == "\n" else ""
        text += line + end
    return text


def _common_prefix(a: str, b: str) -> int:
    limit = min(len(a), len(b))
    if a[:limit] == b[:limit]:
        return limit
    low, high = 0, limit  # invariant: the first `low` are equal, the first `high` are not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if a[:middle] == b[:middle] else (low, middle)
    return low
