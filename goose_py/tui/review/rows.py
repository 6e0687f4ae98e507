"""The review as rows: files, checks, what is shown, what it comes to. Pure functions of a review and a state."""

from __future__ import annotations

from collections.abc import Mapping

from rich.segment import Segment

from goose_py.protocol.amounts import counted
from goose_py.protocol.safe_text import safe_line, safe_text
from goose_py.review.evidence import WORST_FIRST
from goose_py.tasks.history.causes import Cause
from goose_py.tui.appearance import Look
from goose_py.tui.chrome import STANDINGS, STATUS_MARKS, WIDE, changed_lines, check_failure, evidence_of
from goose_py.tui.review.diff_view import MARKS, DiffView
from goose_py.tui.review.open_review import OpenReview
from goose_py.tui.state.view_state import ViewState
from goose_py.tui.widgets.row_view import text_row
from goose_py.tui.widgets.text_layout import Row, fitted, fitted_start, row_width, seconds_text, spread, wrapped


def file_rows(review: OpenReview, state: ViewState, width: int, height: int, look: Look) -> list[Row]:
    """The list of files, and below it the checks."""
    added, removed = changed_lines(review.changes)
    count = len(review.changes.files)
    rows: list[Row] = [
        [
            Segment(f" {counted(count, 'file')}  ", look["title"]),
            Segment(f"+{added} ", look["added"]),
            Segment(f"−{removed}", look["removed"]),
        ],
        [],
    ]
    checks = check_rows(review, state, width, look)
    room = max(3, height - len(rows) - len(checks) - 3)
    first = max(0, min(review.current - room // 2, count - room))
    for number in range(first, min(count, first + room)):
        rows.append(_file_row(review, number, width, look))
    if count > room:
        rows.append([Segment(f"   {first + 1}–{min(count, first + room)} of {count}", look["dim"])])
    rows += [[], [Segment(" ✓ kept ✗ dropped ◐ some ● undecided", look["dim"])], []]
    return rows + checks


def _file_row(review: OpenReview, number: int, width: int, look: Look) -> Row:
    file = review.changes.files[number]
    word, tally = review.file_mark(file.path)
    glyph, role, _ = MARKS[word]
    status, status_role = STATUS_MARKS.get(file.status, ("M", "accent"))
    if file.binary:
        right = [Segment(" binary ", look["dim"])]
    else:
        right = [Segment(f" +{file.added or 0}", look["added"]), Segment(f" −{file.removed or 0} ", look["removed"])]
    right.append(Segment(f"{tally.decided}/{tally.total} " if tally.total else "    ", look["dim"]))
    here = number == review.current
    left = [
        Segment("▸" if here else " ", look["accent"]),
        Segment(f"{glyph} ", look[role]),
        Segment(f"{status} ", look[status_role]),
    ]
    room = width - row_width(left) - row_width(right) - 1
    left.append(Segment(fitted_start(safe_line(file.path), room), look["selected" if here else "text"]))
    return spread(left, right, width)


def file_strip(review: OpenReview, width: int, look: Look) -> Row:
    """The files in one row, from the one in view on."""
    row: Row = []
    for number, file in list(enumerate(review.changes.files))[review.current :]:
        word, tally = review.file_mark(file.path)
        glyph, role, _ = MARKS[word]
        name = safe_line(file.path.rsplit("/", 1)[-1])
        style = look["selected" if number == review.current else "dim"]
        row += [Segment(f" {glyph} ", look[role]), Segment(name, style)]
        if tally.total:
            row.append(Segment(f" {tally.decided}/{tally.total} ", look["dim"]))
        if row_width(row) > width:
            break
    return spread(row, [], width)


def check_rows(review: OpenReview, state: ViewState, width: int, look: Look) -> list[Row]:
    found = evidence_of(state, review.changes.result_tree)
    right = [Segment("C run ", look["dim"])] if found else []
    rows: list[Row] = [spread([Segment(" CHECKS", look["title"])], right, width)]
    if not found:
        return [*rows, [Segment(" this task has none", look["dim"])]]
    last = {check.command: check for check in state.checks}
    for each in found:
        glyph, role = STANDINGS[each.standing]
        run = last.get(each.command)
        fact = each.standing
        if each.standing == "passed" and run is not None:
            fact = f"passed {seconds_text(run.seconds)}"
        elif each.standing == "failed":
            fact = check_failure(each.exit_code)
        elif each.standing == "stale":
            fact = f"stale, had {each.last}"
        left = [Segment(f" {glyph} ", look[role]), Segment(safe_line(each.command), look["text"])]
        rows.append(spread(left, [Segment(f"{fact} ", look[role])], width))
        if each.standing == "failed" and run is not None:
            tail = [line for line in safe_text(run.output).split("\n") if line.strip()][-2:]
            rows += [[Segment(f"   {fitted(line.strip(), width - 4)}", look["dim"])] for line in tail]
    return rows


def head_rows(review: OpenReview, state: ViewState, unit: int, width: int, look: Look) -> list[Row]:
    """The file in view, which of its hunks, and what was proved of it."""
    file, diff = review.file, review.diff
    if file is None:
        return [text_row(" Nothing is changed.", look, "dim")]
    where = ""
    if diff is None:
        where = "loading…"
    elif diff.units:
        hunks = [each for each in diff.units if each.hunk is not None]
        at = diff.units[unit] if unit < len(diff.units) else diff.units[0]
        where = f"hunk {hunks.index(at) + 1} of {len(hunks)}" if at.hunk is not None else "the file itself"
    right: Row = []
    if not file.binary:
        right = [Segment(f"+{file.added or 0} ", look["added"]), Segment(f"−{file.removed or 0} ", look["removed"])]
    room = width - row_width(right) - len(where) - 6
    left = [Segment(" " + fitted_start(safe_line(file.path), room), look["title"]), Segment(f"   {where}", look["dim"])]
    return [spread(left, right, width), evidence_row(review, state, width, look), text_row("─" * width, look, "faint")]


def evidence_row(review: OpenReview, state: ViewState, width: int, look: Look) -> Row:
    """The worst that the checks say of these files: command, exit code and tree."""
    found = evidence_of(state, review.changes.result_tree)
    worst = min(found, key=lambda each: WORST_FIRST.index(each.standing), default=None)
    if worst is None:
        return [Segment(" ○ not run: this task has no checks", look["dim"])]
    glyph, role = STANDINGS[worst.standing]
    more = f"  · {len(found)} checks" if len(found) > 1 else ""
    return [
        Segment(f" {glyph} ", look[role]),
        Segment(fitted(safe_line(worst.sentence()), width - 4 - len(more)), look[role]),
        Segment(more, look["dim"]),
    ]


def summary_row(review: OpenReview, state: ViewState, width: int, look: Look) -> Row:
    tally = review.tally()
    left: Row = [
        Segment(f" kept {tally.keep}", look["ok"]),
        Segment(f" · dropped {tally.drop}", look["bad" if tally.drop else "dim"]),
    ]
    if tally.some:
        left.append(Segment(f" · by line {tally.some}", look["warn"]))
    left.append(Segment(f" · undecided {tally.undecided}", look["review" if tally.undecided else "dim"]))
    if tally.unread:
        left.append(Segment(f" · {tally.unread} files not read yet", look["dim"]))
    comments = review.unsent_comments()
    if comments:
        left.append(Segment(f"   {comments} {'comment' if comments == 1 else 'comments'} not sent", look["accent"]))
    right: Row = []
    if state.running:
        right += [Segment("the task is still working ", look["warn"])]
    elif state.applied:
        right += [Segment(fitted(safe_line(state.applied), 60) + " ", look["ok"])]
    else:
        right += [Segment("M ", look["key"]), Segment("apply what is kept " if width >= WIDE else "apply ", look["dim"])]
    return spread(left, right, width)


def keys(review: OpenReview, view: DiffView) -> list[tuple[str, str]]:
    """The keys that do something now, the most useful first."""
    found = [("space", "keep"), ("d", "drop"), ("n", "undecided")]
    if review.can_undo:
        found.append(("z", "undo"))
    if view.by_line:
        found += [("jk", "line"), ("v", "one line" if view.in_range else "range"), ("a", "hunks")]
    else:
        found += [("JK", "hunk"), ("a", "by line")]
    found += [("c", "comment"), ("E", "edit"), ("w", "why")]
    if review.unsent():
        found.append(("S", "send back"))
    if len(review.changes.files) > 1:
        found.append(("[ ]", "file"))
    return [*found, ("AX", "whole file")]


def why_rows(
    causes: Mapping[str, tuple[Cause, ...]] | None, hunk: str | None, lines: tuple[int, ...], width: int, look: Look
) -> list[Row]:
    """`causes` None: they are being looked for. `lines`: only what made these, where lines are looked at."""
    head: Row = [Segment(" WHY ", look["title"])]
    if causes is None:
        return [[*head, Segment("looking through the log…", look["dim"])]]
    found = causes.get(hunk, ()) if hunk is not None else ()
    found = tuple(cause for cause in found if not lines or not cause.lines or set(cause.lines) & set(lines)) or found
    if not found:
        return [[*head, Segment("nothing is recorded of what made this", look["dim"])]]
    rows: list[Row] = []
    for cause in found[:3]:
        if not cause.turn:
            rows.append([*(head if not rows else [Segment("     ")]), Segment("changed by hand, in no turn", look["dim"])])
            continue
        step = f" · step: {safe_line(cause.step)}" if cause.step else ""
        said = f"turn {cause.turn}{step}" + (f" · {safe_line(cause.call)}" if cause.call else "")
        said += " · or something in the background" if cause.during else ""
        rows.append([*(head if not rows else [Segment("     ")]), Segment(fitted(said, width - 7), look["text"])])
        for label, text in (("asked", cause.prompt), ("said", cause.said)):
            if text:
                line = next(iter(wrapped(safe_line(text), max(10, width - 12), look)), "")
                rows.append([Segment("     "), Segment(f"{label}: ", look["dim"]), Segment(line, look["dim"])])
    return rows
