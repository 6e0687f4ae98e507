"""A file's change as rows to show and units to judge. Pure.

A unit is what a verdict can be about: a hunk, or what no hunk shows (the file's existence, name, mode or binary content).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from goose_py.protocol.changes import FileChange, Hunk
from goose_py.protocol.events import Verdict
from goose_py.review.verdicts import FileReview, HunkReview, changed_lines, has_attributes

RowKind = Literal["note", "gap", "section", "line", "comment", "edit", "verdict"]
Mark = Literal["keep", "drop", "undecided", "some"]
"""What a unit's lines come to: one verdict, or `some` of each."""


@dataclass(frozen=True, slots=True)
class DiffRow:
    """`unit` is an index into the file's units, None for what belongs to none. `text` is foreign and not yet safe.

    Line numbers count from 1. `partner` is the row that a changed line replaces or is replaced by; `line` is the index into the
    hunk's lines. `comment` and `edit` rows are the reviewer's own words."""

    kind: RowKind
    text: str = ""
    unit: int | None = None
    sign: str = " "
    old: int | None = None
    new: int | None = None
    partner: int | None = None
    ended: bool = True
    line: int | None = None


@dataclass(frozen=True, slots=True)
class Unit:
    """`hunk` None: the file's attributes, or, where hunks do not exist, all of it. Rows from `first` to `last`."""

    hunk: Hunk | None
    first: int
    last: int


@dataclass(frozen=True)
class FileDiff:
    file: FileChange
    rows: tuple[DiffRow, ...]
    units: tuple[Unit, ...]


_NULL = "0" * 6
_TYPES = {"100644": "file", "100755": "executable file", "120000": "symbolic link", "160000": "submodule", "040000": "folder"}


def notes_of(file: FileChange) -> list[str]:
    """What the change is, beside its lines, in plain words."""
    notes = []
    if file.status == "renamed" and file.old_path:
        notes.append(f"renamed from {file.old_path}")
    if file.status == "added":
        notes.append(f"new {_TYPES.get(file.new_mode, file.new_mode)}")
    elif file.status == "deleted":
        notes.append(f"{_TYPES.get(file.old_mode, file.old_mode)} deleted")
    elif file.status == "type-changed":
        notes.append(f"{_TYPES.get(file.old_mode, file.old_mode)} becomes a {_TYPES.get(file.new_mode, file.new_mode)}")
    elif file.old_mode != file.new_mode:
        notes.append(f"mode {file.old_mode} → {file.new_mode}")
    if file.new_mode == "160000" or file.old_mode == "160000":
        notes.append(f"submodule commit {file.old_oid[:10]} → {file.new_oid[:10]}")
    elif file.binary:
        notes.append(
            f"binary content {_oid(file.old_mode, file.old_oid)} → {_oid(file.new_mode, file.new_oid)}, cannot be shown"
        )
    notes += [_FLAGS[flag] for flag in file.flags if flag in _FLAGS]
    if file.hunks == () and not notes:
        notes.append("no lines differ")
    return notes


def _oid(mode: str, oid: str) -> str:
    return "(none)" if mode == _NULL else oid[:10]


_FLAGS = {
    "executable": "! becomes a program that can be run",
    "hidden_unicode": "! has characters that do not show, or that reorder text",
    "encoding": "not UTF-8: shown byte by byte as Latin-1",
    "large": "too large to be shown line by line; it is kept or dropped whole",
    "minified": "looks minified",
    "generated": "looks generated",
    "in_submodule": "inside a submodule: it can be left in your checkout of it, and is committed there",
    "lfs": "a file of Git LFS: a commit has a pointer to its content",
}


def file_diff(file: FileChange) -> FileDiff:
    rows: list[DiffRow] = []
    units: list[Unit] = []
    notes = notes_of(file)
    if not file.hunks or has_attributes(file):
        rows += [DiffRow("note", note, unit=0) for note in notes]
        rows.append(DiffRow("verdict", unit=0))
        units.append(Unit(None, 0, len(rows) - 1))
    else:
        rows += [DiffRow("note", note) for note in notes]
    end = 1
    for hunk in file.hunks or ():
        between = hunk.old_start - end + (0 if hunk.old_lines else 1)
        if between > 0:
            rows.append(DiffRow("gap", f"{between} {'line' if between == 1 else 'lines'} not changed"))
        end = hunk.old_start + hunk.old_lines + (0 if hunk.old_lines else 1)
        first = len(rows)
        number = len(units)
        if hunk.section:
            rows.append(DiffRow("section", hunk.section, unit=number))
        rows += _lines(hunk, number, len(rows))
        rows.append(DiffRow("verdict", unit=number))
        units.append(Unit(hunk, first, len(rows) - 1))
    return FileDiff(file, tuple(rows), tuple(units))


def _lines(hunk: Hunk, unit: int, offset: int) -> list[DiffRow]:
    old = hunk.old_start + (0 if hunk.old_lines else 1)
    new = hunk.new_start + (0 if hunk.new_lines else 1)
    partners = _partners(hunk)
    rows = []
    for number, line in enumerate(hunk.lines):
        sign, ended = line[:1], line.endswith("\n")
        text = line[1:-1] if ended else line[1:]
        partner = partners.get(number)
        rows.append(
            DiffRow(
                "line",
                text,
                unit,
                sign,
                old if sign != "+" else None,
                new if sign != "-" else None,
                offset + partner if partner is not None else None,
                ended,
                number,
            )
        )
        old += sign != "+"
        new += sign != "-"
    return rows


def _partners(hunk: Hunk) -> dict[int, int]:
    """Lines of a run of "-" and the equally long run of "+" after it, one to one."""
    found: dict[int, int] = {}
    number = 0
    while number < len(hunk.lines):
        removed = _run(hunk, number, "-")
        added = _run(hunk, number + removed, "+")
        if removed and removed == added:
            for step in range(removed):
                found[number + step] = number + removed + step
                found[number + removed + step] = number + step
        number += max(1, removed + added)
    return found


def _run(hunk: Hunk, start: int, sign: str) -> int:
    end = start
    while end < len(hunk.lines) and hunk.lines[end].startswith(sign):
        end += 1
    return end - start


def changed_span(old: str, new: str) -> tuple[int, int, int]:
    """(first differing character, its end in `old`, its end in `new`); all zero where the lines have too little in common for
    a part to stand out."""
    start = 0
    limit = min(len(old), len(new))
    while start < limit and old[start] == new[start]:
        start += 1
    tail = 0
    while tail < limit - start and old[-1 - tail] == new[-1 - tail]:
        tail += 1
    common = len(old[:start].strip()) + len(old[len(old) - tail :].strip()) if tail else len(old[:start].strip())
    if common * 3 < max(len(old.strip()), len(new.strip())):
        return 0, 0, 0
    return start, len(old) - tail, len(new) - tail


@dataclass(frozen=True, slots=True)
class UnitReview:
    """What the decisions come to for a unit. `lines` has a verdict for every changed line of a hunk, by index into
    `Hunk.lines`. `unfinished`: something in it is undecided."""

    mark: Mark = "undecided"
    lines: Mapping[int, Verdict] = field(default_factory=dict)
    edited: bool = False
    unfinished: bool = True


def unit_review(unit: Unit, review: FileReview) -> UnitReview:
    if unit.hunk is None:
        return UnitReview(review.attributes, unfinished=review.attributes == "undecided")
    hunk = review.hunks.get(unit.hunk.id, HunkReview())
    lines = {number: hunk.of_line(number) for number in changed_lines(unit.hunk)}
    found = set(lines.values())
    mark: Mark = found.pop() if len(found) == 1 else "some" if found else hunk.verdict
    return UnitReview(mark, lines, hunk.edit is not None, "undecided" in lines.values())


def annotated(diff: FileDiff, review: FileReview) -> FileDiff:
    """The same units, with what the reviewer wrote below the lines that it is about."""
    notes = {number: _notes(unit, review) for number, unit in enumerate(diff.units)}
    if not any(notes.values()):
        return diff
    after: dict[int, list[DiffRow]] = {}
    for number, unit in enumerate(diff.units):
        for line, row in notes[number]:
            place = next((at for at in range(unit.first, unit.last) if line is not None and diff.rows[at].line == line), None)
            after.setdefault(unit.last - 1 if place is None else place, []).append(replace(row, unit=number))
    moved: list[int] = []
    rows: list[DiffRow] = []
    # What is said of a unit without any rows of its own comes before its verdict, also where that is the first row.
    rows += after.get(-1, [])
    for at, row in enumerate(diff.rows):
        moved.append(len(rows))
        rows += [row, *after.get(at, [])]
    rows = [replace(row, partner=moved[row.partner]) if row.partner is not None else row for row in rows]
    units = tuple(Unit(unit.hunk, moved[unit.first], moved[unit.last]) for unit in diff.units)
    return FileDiff(diff.file, tuple(rows), units)


def _notes(unit: Unit, review: FileReview) -> list[tuple[int | None, DiffRow]]:
    """(the last line that it is about, the row)"""
    if unit.hunk is None:
        return [(None, DiffRow("comment", comment.text)) for comment in review.comments]
    hunk = review.hunks.get(unit.hunk.id, HunkReview())
    found: list[tuple[int | None, DiffRow]] = []
    for comment in hunk.comments:
        found += [(max(comment.lines, default=None), DiffRow("comment", text)) for text in comment.text.split("\n")]
    if hunk.edit is not None:
        found.append((None, DiffRow("edit", "as you edited it, this part will read:")))
        found += [(None, DiffRow("edit", line, sign="+")) for line in hunk.edit.removesuffix("\n").split("\n")]
    return found
