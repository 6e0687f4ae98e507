"""A patch as data, whatever it was written in."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

HUNK_HEADER = re.compile(r"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True)
class Line:
    """One line of a hunk, without its line end. `end` is that where the patch says it: `""` (or a lone `\\r`) for the
    last line of a file that has none, `\\r\\n` or `\\n` in a patch that tells the two apart. None leaves it to the
    file."""

    kind: Literal[" ", "-", "+"]
    text: str
    end: str | None = None


@dataclass(frozen=True)
class Hunk:
    """Lines to find and change. `anchors` are lines to find first, one after the other (V4A's `@@ line`); `start` is
    the line number, from 1, that a unified diff gives for the old lines; `at_end` says that the old lines end the
    file."""

    lines: tuple[Line, ...]
    anchors: tuple[str, ...] = ()
    start: int | None = None
    at_end: bool = False

    @property
    def old(self) -> list[str]:
        return [line.text for line in self.lines if line.kind != "+"]

    @property
    def new(self) -> list[str]:
        return [line.text for line in self.lines if line.kind != "-"]

    @property
    def added(self) -> list[str]:
        return [line.text for line in self.lines if line.kind == "+"]


@dataclass(frozen=True)
class FilePatch:
    """What a patch does to one file. `add` has its lines in a single hunk; `update` may also move it and change its
    mode."""

    action: Literal["add", "delete", "update"]
    path: str
    hunks: tuple[Hunk, ...] = ()
    move_to: str | None = None
    mode: int | None = None


def body_line(line: str, exact: bool) -> Line:
    """A line of a hunk that begins with its kind. `exact`: some lines of this patch end in `\\r\\n`, so all tell
    theirs."""
    kind: Literal[" ", "-", "+"] = line[0]  # type: ignore[assignment]
    if not exact:
        return Line(kind, line[1:])
    return Line(kind, line[1:].removesuffix("\r"), "\r\n" if line.endswith("\r") else "\n")


def tells_line_ends(lines: Sequence[str]) -> bool:
    """Whether lines of hunks carry a `\\r`: git's diffs of files with CRLF line ends do, a model's hardly ever."""
    return any(line.endswith("\r") and line[:1] in (" ", "-", "+") for line in lines)
