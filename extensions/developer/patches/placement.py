"""Where in a file a hunk of a patch goes, and the splices that apply it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..display import printable, visible
from ..editing.indentation import Reindent
from ..editing.lines import Lines
from ..editing.matching import nearest, without_line_numbers
from ..refusal import Refused
from .format import Hunk, Line

_TELLING = 4  # letters or digits an added line needs for its presence to mean that the hunk was applied
_SHOWN_PLACES = 10


@dataclass(frozen=True)
class Placed:
    """`splices` change the raw text (ascending); `end` is the index of the line after the hunk; `loosely`: other
    whitespace."""

    splices: tuple[tuple[int, int, str], ...]
    end: int
    loosely: bool


@dataclass(frozen=True)
class AlreadyApplied:
    end: int


def _bare(line: str) -> str:
    return line.strip()


def _trimmed(line: str) -> str:
    return line.rstrip()


def _same(line: str) -> str:
    return line


# From strict to lenient; the last one compares without indentation, and then added lines are re-indented.
_LEVELS: tuple[Callable[[str], str], ...] = (_same, _trimmed, _bare)


def place(name: str, lines: Lines, hunk: Hunk, cursor: int, what: str) -> Placed | AlreadyApplied:
    """Finds the one place for a hunk at or after the line index `cursor`. `what` names the hunk in errors. Raises
    Refused."""
    texts = lines.texts
    start, anchored = _after_anchors(name, texts, hunk, cursor, what)
    if not hunk.old:
        return _insertion(lines, hunk, start, anchored)
    for candidate in _readings(hunk):
        for key in _LEVELS:
            places = _places(texts, candidate.old, start, key)
            if not places:
                continue
            at = _chosen(name, candidate, places, anchored, what, len(texts))
            if (done := _applied_around(texts, candidate, at, key)) is not None:
                return done
            return Placed(
                tuple(_splices(lines, candidate, at)),
                at + len(candidate.old),
                key is _bare and _differs(texts, candidate, at),
            )
    done = _applied_elsewhere(texts, hunk, start)
    if done is not None:
        return done
    raise _not_found(name, texts, hunk, start, what)


def _readings(hunk: Hunk) -> list[Hunk]:
    """The hunk as it is, and, where every old line carries the number of a listing, without these."""
    bare = without_line_numbers("\n".join(hunk.old))
    if bare is None:
        return [hunk]
    stripped = []
    for line in hunk.lines:
        text = without_line_numbers(line.text) if line.text.strip() else line.text
        stripped.append(Line(line.kind, line.text if text is None else text, line.end))
    return [hunk, Hunk(tuple(stripped), hunk.anchors, hunk.start, hunk.at_end)]


def _after_anchors(name: str, texts: Sequence[str], hunk: Hunk, cursor: int, what: str) -> tuple[int, bool]:
    """The index from which the hunk's lines are looked for, and whether an anchor led there."""
    at = cursor
    for anchor in hunk.anchors:
        found = next((places[0] for key in _LEVELS if (places := _places(texts, [anchor], at, key))), None)
        if found is None:
            earlier = next((places[0] for key in _LEVELS if (places := _places(texts, [anchor], 0, key))), None)
            if earlier is None or len(hunk.anchors) > 1:
                near = nearest(texts, [anchor])
                hint = f" The nearest line is {near.first}: {printable(near.lines[0])}" if near else ""
                raise Refused(
                    f"{what} to {printable(name)}: there is no line {printable(anchor.strip())!r} "
                    f"(its @@ anchor) from line {at + 1} on; nothing was written.{hint}"
                )
            raise Refused(
                f"{what} to {printable(name)}: its @@ anchor {printable(anchor.strip())!r} is at line "
                f"{earlier + 1}, before the place of the previous change; nothing was written. Put the changes in the "
                "file's order."
            )
        at = found + 1
    # The anchor may also be the first line of what follows.
    repeats = bool(hunk.anchors and hunk.old and _bare(hunk.old[0]) == _bare(hunk.anchors[-1]))
    return (at - 1 if repeats else at), bool(hunk.anchors)


def _places(texts: Sequence[str], wanted: Sequence[str], start: int, key: Callable[[str], str]) -> list[int]:
    keyed = [key(line) for line in wanted]
    last = len(texts) - len(keyed)
    if last < start:
        return []
    first = keyed[0]
    return [
        at
        for at in range(start, last + 1)
        if key(texts[at]) == first and all(key(texts[at + i]) == keyed[i] for i in range(1, len(keyed)))
    ]


def _chosen(name: str, hunk: Hunk, places: list[int], anchored: bool, what: str, total: int) -> int:
    if hunk.at_end and places[-1] + len(hunk.old) == total:
        return places[-1]
    if len(places) == 1 or anchored:
        return places[0]
    if hunk.start is not None:
        by_distance = sorted(places, key=lambda at: abs(at + 1 - (hunk.start or 0)))
        if abs(by_distance[0] + 1 - hunk.start) < abs(by_distance[1] + 1 - hunk.start):
            return by_distance[0]
    shown = ", ".join(str(at + 1) for at in places[:_SHOWN_PLACES]) + (", …" if len(places) > _SHOWN_PLACES else "")
    raise Refused(
        f"{what} to {printable(name)} fits in {len(places)} places, at lines {shown}; nothing was "
        "written. Add context lines, or an '@@ line' that stands before the right one."
    )


def _insertion(lines: Lines, hunk: Hunk, start: int, anchored: bool) -> Placed | AlreadyApplied:
    """A hunk of nothing but new lines: after its anchor, else at the line a unified diff gives, else at the end."""
    texts = lines.texts
    at = start
    if not anchored:
        at = min(max(hunk.start - 1, start), len(texts)) if hunk.start is not None and not hunk.at_end else len(texts)
    if hunk.at_end:
        at = len(texts)
    added = hunk.added
    for there in (at, at - len(added)):
        if there >= 0 and texts[there : there + len(added)] == added and _telling(added):
            return AlreadyApplied(there + len(added))
    return Placed(tuple(_splices(lines, hunk, at)), at, False)


def _applied_around(texts: Sequence[str], hunk: Hunk, at: int, key: Callable[[str], str]) -> AlreadyApplied | None:
    """The hunk removes nothing, and its new lines already stand around the context that was found."""
    if any(line.kind == "-" for line in hunk.lines) or not _telling(hunk.added):
        return None
    new = [key(line) for line in hunk.new]
    for lead in range(len(hunk.new) - len(hunk.old) + 1):
        there = at - lead
        if there >= 0 and [key(line) for line in texts[there : there + len(new)]] == new:
            return AlreadyApplied(there + len(new))
    return None


def _applied_elsewhere(texts: Sequence[str], hunk: Hunk, start: int) -> AlreadyApplied | None:
    """The old lines are gone and the new ones are there, once."""
    if not hunk.new or not _telling(hunk.new):
        return None
    for key in _LEVELS:
        if places := _places(texts, hunk.new, start, key):
            return AlreadyApplied(places[0] + len(hunk.new)) if len(places) == 1 else None
    return None


def _telling(lines: Sequence[str]) -> bool:
    return sum(char.isalnum() for line in lines for char in line) >= _TELLING


def _differs(texts: Sequence[str], hunk: Hunk, at: int) -> bool:
    return any(_trimmed(texts[at + i]) != _trimmed(old) for i, old in enumerate(hunk.old))


def _splices(lines: Lines, hunk: Hunk, at: int) -> list[tuple[int, int, str]]:
    """The changes of the raw text: context keeps its bytes, each run of removed and added lines is one replacement."""
    old = hunk.old
    there = lines.texts[at : at + len(old)]
    reindent = Reindent.learned(list(zip(old, there, strict=True)), hunk.added, lines.texts)
    exact = [_trimmed(a) for a in old] == [_trimmed(b) for b in there]
    splices: list[tuple[int, int, str]] = []
    removed: list[Line] = []
    added: list[Line] = []

    def close() -> None:
        nonlocal removed, added
        if removed or added:
            new = [(line.text if exact else reindent(line.text), line.end) for line in added]
            ended = bool(removed and removed[-1].end == "")
            splices.append(lines.replacement(position - len(removed), position, new, ended))
        removed, added = [], []

    position = at
    for line in hunk.lines:
        if line.kind == " ":
            close()
            position += 1
        elif line.kind == "-":
            removed.append(line)
            position += 1
        else:
            added.append(line)
    close()
    return splices


def _not_found(name: str, texts: Sequence[str], hunk: Hunk, start: int, what: str) -> Refused:
    near = nearest(texts, hunk.old)
    begin = f"{what} to {printable(name)} does not fit; nothing was written."
    if near is None:
        return Refused(f"{begin} No line of the file is like its first one: {visible(hunk.old[0])}")
    before = f" Its lines are before line {start + 1}, where the previous change ended." if near.first <= start else ""
    return Refused(f"{begin}{before} {near}")
