"""Where in a text an edit applies: exactly, or in one place but for whitespace, or not at all and what comes nearest.

Pure functions over texts with `\\n` line ends; a change is (start, end, new text) in characters of that text.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ..display import numbered, visible
from .indentation import Reindent

Changes = tuple[tuple[int, int, str], ...]

_LINE_NUMBER = re.compile(r"^[ \t]*\d+(?:\t|→|\| ?|: )")
# What models write for what keyboards do not have, and the other way round.
_LOOKALIKES = str.maketrans(
    {"“": '"', "”": '"', "‘": "'", "’": "'", "–": "-", "—": "-", "‑": "-", "\u00a0": " ", "\u202f": " "}
)
_TELLING = 8  # characters a text needs for "it is already there" to mean anything
_NEAR_ENOUGH = 45.0  # of 100, rapidfuzz's ratio
_COMPARED_LINES = 80
_CANDIDATES = 12
_SHOWN_LINES = 30


@dataclass(frozen=True)
class Found:
    """`how` tells what had to be forgiven; `whitespace` means that the new text was re-indented to the file."""

    changes: Changes
    how: Literal["exact", "line numbers", "whitespace"] = "exact"


@dataclass(frozen=True)
class Ambiguous:
    """The old text is in several places: the first line (from 1) of each."""

    lines: tuple[int, ...]
    how: Literal["exact", "line numbers", "whitespace"] = "exact"


@dataclass(frozen=True)
class AlreadyDone:
    """The new text is there, at these lines (from 1, inclusive), and the old one nowhere but perhaps in it."""

    first: int
    last: int


@dataclass(frozen=True)
class Missing:
    """The old text is nowhere. `nearest` is the most similar region, None when nothing is similar."""

    nearest: "Nearest | None"


@dataclass(frozen=True)
class Nearest:
    """A region of the file (`lines`, the first of which has the number `first`) and the first line that differs.

    `line` is that line's number in the file; `wanted` what the caller had there; `there` what the file has, None at
    its end.
    """

    first: int
    lines: tuple[str, ...]
    line: int
    wanted: str
    there: str | None

    def __str__(self) -> str:
        shown = list(self.lines[:_SHOWN_LINES])
        more = len(self.lines) - len(shown)
        cut = f"\n[{more} more lines of it not shown]" if more else ""
        there = "(the file ends here)" if self.there is None else visible(self.there)
        return (
            f"The nearest text is at line {self.first}:\n{numbered(shown, self.first)}{cut}\n"
            f"First difference, line {self.line} (· is a space, → a tab):\n"
            f"  file: {there}\n  yours: {visible(self.wanted)}"
        )


def locate(text: str, old: str, new: str, every: bool = False) -> Found | Ambiguous | AlreadyDone | Missing:
    """Where `old` is to be replaced by `new` in `text`. With `every`, all exact places are taken and none is ambiguous.

    `old` is not empty and differs from `new`. Forgiven, in this order, and only for one place in the whole text: line
    numbers copied from a listing, then whitespace at the ends of lines, indentation, and typographic quotes and
    dashes.
    """
    exact = _occurrences(text, old)
    if len(exact) == 1 and (done := _within_new(text, exact[0], old, new)) is not None:
        return done
    if exact:
        return _chosen(text, exact, len(old), new, every, "exact")
    bare_old = without_line_numbers(old)
    bare_new = without_line_numbers(new) or new
    if bare_old and (places := _occurrences(text, bare_old)):
        return _chosen(text, places, len(bare_old), bare_new, every, "line numbers")
    if bare_old:
        old, new = bare_old, bare_new
    tolerant = _tolerant(text, old, new)
    done = _already(text, new)
    if done is not None and (not isinstance(tolerant, Found) or _changes_nothing(text, tolerant)):
        return done
    return tolerant or Missing(nearest(text.split("\n"), old.strip("\n").split("\n")))


def without_line_numbers(text: str) -> str | None:
    """`text` without the line numbers of a listing (`12<tab>`, `12→`, `12|`), when every line that is not blank has
    one."""
    lines = text.split("\n")
    bare = [_LINE_NUMBER.sub("", line, count=1) for line in lines]
    if not any(line.strip() for line in lines):
        return None
    numbered_all = all(changed != line or not line.strip() for changed, line in zip(bare, lines, strict=True))
    return "\n".join(bare) if numbered_all else None


def nearest(lines: Sequence[str], wanted: Sequence[str]) -> Nearest | None:
    """The run of lines most similar to `wanted`; None when none comes near."""
    from rapidfuzz import fuzz

    if not any(line.strip() for line in wanted):
        return None
    have = [_squeezed(line) for line in lines]
    want = [_squeezed(line) for line in wanted[:_COMPARED_LINES]]
    target = "\n".join(want)
    scored = [(fuzz.ratio("\n".join(have[at : at + len(want)]), target), -at) for at in _candidates(have, want)]
    score, negative = max(scored, default=(0.0, 0))
    if score < _NEAR_ENOUGH:
        return None
    return _first_difference(lines, wanted, -negative)


def _candidates(have: Sequence[str], want: Sequence[str]) -> list[int]:
    """The few starts worth a close look: those where most lines agree, and those that the longest line is most like.

    Comparing every window whole would hold the interpreter for seconds in a long file.
    """
    from rapidfuzz import fuzz, process

    votes: Counter[int] = Counter()
    at_in_wanted = {line: i for i, line in reversed(list(enumerate(want))) if line}
    for number, line in enumerate(have):
        if line in at_in_wanted:
            votes[max(number - at_in_wanted[line], 0)] += 1
    longest = max(range(len(want)), key=lambda i: len(want[i]))
    alike = process.extract(want[longest], have, scorer=fuzz.ratio, limit=_CANDIDATES, score_cutoff=_NEAR_ENOUGH)
    for _, _, number in alike:
        votes[max(number - longest, 0)] += 1
    return [start for start, _ in votes.most_common(2 * _CANDIDATES)]


def _first_difference(lines: Sequence[str], wanted: Sequence[str], first: int) -> Nearest:
    region = tuple(lines[first : first + len(wanted)])
    last = len(wanted) - 1
    at = 0
    # The first and the last line of an old text may be parts of lines.
    while (
        at <= last
        and at < len(region)
        and (
            region[at] == wanted[at]
            or (at == 0 and last > 0 and region[at].endswith(wanted[at]))
            or (at == last and last > 0 and region[at].startswith(wanted[at]))
        )
    ):
        at += 1
    at = min(at, last)
    return Nearest(first + 1, region, first + 1 + at, wanted[at], region[at] if at < len(region) else None)


def _squeezed(line: str) -> str:
    return " ".join(line.split())


def _occurrences(text: str, part: str) -> list[int]:
    places = []
    at = text.find(part)
    while at >= 0:
        places.append(at)
        at = text.find(part, at + len(part))
    return places


def _line(text: str, offset: int) -> int:
    return text.count("\n", 0, offset) + 1


def _chosen(
    text: str, places: list[int], length: int, new: str, every: bool, how: Literal["exact", "line numbers"]
) -> Found | Ambiguous:
    if len(places) > 1 and not every:
        return Ambiguous(tuple(_line(text, place) for place in places), how)
    return Found(tuple((place, place + length, new) for place in places), how)


def _within_new(text: str, place: int, old: str, new: str) -> AlreadyDone | None:
    """The only place of the old text is part of the new one, which is there already: applied again, it would double."""
    at = new.find(old)
    while at >= 0:
        start = place - at
        if start >= 0 and text.startswith(new, start):
            return AlreadyDone(*_span_of_lines(text, start, new))
        at = new.find(old, at + 1)
    return None


def _already(text: str, new: str) -> AlreadyDone | None:
    places = _occurrences(text, new) if new else []
    if len(places) != 1 or len(new.strip()) < _TELLING:
        return None
    return AlreadyDone(*_span_of_lines(text, places[0], new))


def _span_of_lines(text: str, start: int, part: str) -> tuple[int, int]:
    """The lines of `part`, which is at `start`, without empty ones at its ends."""
    first = _line(text, start + len(part) - len(part.lstrip("\n")))
    return first, max(first, _line(text, start + max(len(part.rstrip("\n")) - 1, 0)))


def _changes_nothing(text: str, found: Found) -> bool:
    return all(text[start:end] == new for start, end, new in found.changes)


def _tolerant(text: str, old: str, new: str) -> Found | Ambiguous | None:
    old, new = _without_shared_edges(old, new)
    pattern = _loose_pattern(old)
    if pattern is None:
        return None
    places = list(pattern.finditer(text.translate(_LOOKALIKES)))
    if not places:
        return None
    if len(places) > 1:
        return Ambiguous(tuple(_line(text, place.start()) for place in places), "whitespace")
    return Found((_reindented(text, places[0].span(), old, new),), "whitespace")


def _without_shared_edges(old: str, new: str) -> tuple[str, str]:
    """Both without the line breaks they both begin with: what is before them in the file stays untouched."""
    while old.startswith("\n") and new.startswith("\n"):
        old, new = old[1:], new[1:]
    return old, new


def _loose_pattern(old: str) -> re.Pattern[str] | None:
    """`old` with any blanks where it has some and at both ends of its lines; line breaks stay where they are.

    Blanks are matched possessively: they can be taken in one way only, so that no text makes this slow.
    """
    lines = old.translate(_LOOKALIKES).split("\n")
    if not any(line.strip() for line in lines):
        return None
    loose = [r"[ \t]++".join(re.escape(word) for word in line.split()) for line in lines]
    before = r"(?<!\S)" if old[:1].isspace() else r"(?<!\w)" if old[:1].isalnum() else ""
    if lines[-1].strip():
        after = r"(?!\w)" if old[-1:].isalnum() else ""
        return re.compile(before + r"[ \t]*+\n[ \t]*+".join(loose) + after)
    # The old text ends with a line break: it ends there, and the next line's indentation is none of its business.
    return re.compile(before + r"[ \t]*+\n[ \t]*+".join(loose[:-1]) + r"[ \t]*+(?:\n|\Z)")


def _reindented(text: str, span: tuple[int, int], old: str, new: str) -> tuple[int, int, str]:
    """The change that puts `new` in place of the matched span, with its lines indented as the file's are."""
    start, end = span
    matched = text[start:end]
    line_start = text.rfind("\n", 0, start) + 1
    whole = not text[line_start:start].strip()
    if whole:  # nothing but indentation before it: that belongs to the first line
        start = line_start
    ends_line = not old.rpartition("\n")[2].strip() and "\n" in old
    old_lines = old.split("\n")[: -1 if ends_line else None]
    new_lines = new.split("\n")
    tail = [""] if ends_line and not new_lines[-1].strip() else []
    new_lines = new_lines[: -1 if tail else None]
    there = text[start:end].split("\n")
    reindent = Reindent.learned(
        list(zip(old_lines, there, strict=False))[0 if whole else 1 :], new_lines, text.split("\n")
    )
    carried = [reindent(line) for line in new_lines]
    if not whole:
        carried[0] = new_lines[0].lstrip(" \t") if old_lines[0][:1].isspace() else new_lines[0]
    if tail and matched.endswith("\n"):
        carried += tail
    return start, end, "\n".join(carried)
