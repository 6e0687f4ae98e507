"""A file's change as rows to show and units to judge. Pure.

A unit is what a verdict can be about: a hunk, or what no hunk shows (the file's existence, name, mode or binary content).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from goose_py.protocol.changes import FileChange, Hunk
from goose_py.protocol.events import Verdict
from goose_py.review.verdicts import FileReview, HunkReview, has_attributes

RowKind = Literal["note", "gap", "section", "line", "verdict"]


@dataclass(frozen=True, slots=True)
class DiffRow:
    """`unit` is an index into the file's units, None for what belongs to none. `text` is foreign and not yet safe.

    Line numbers count from 1. `partner` is the row that a changed line replaces or is replaced by."""

    kind: RowKind
    text: str = ""
    unit: int | None = None
    sign: str = " "
    old: int | None = None
    new: int | None = None
    partner: int | None = None
    ended: bool = True


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
    "lfs": "a Git LFS pointer: the content itself is not in this change",
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


def unit_verdict(unit: Unit, review: FileReview) -> Verdict:
    """Verdicts on single lines of a hunk count as "undecided" unless they all agree with one another."""
    if unit.hunk is None:
        return review.attributes
    hunk = review.hunks.get(unit.hunk.id, HunkReview())
    if not hunk.lines:
        return hunk.verdict
    found = {hunk.of_line(number) for number, line in enumerate(unit.hunk.lines) if not line.startswith(" ")}
    return found.pop() if len(found) == 1 else "undecided"
