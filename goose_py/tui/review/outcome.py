"""What a review comes to, and the commands that change it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk
from goose_py.protocol.commands import DecideChange
from goose_py.protocol.events import ChangeDecided, Verdict
from goose_py.review.verdicts import Decision, FileReview, HunkReview, command_for, decide_file, decide_hunk, fold
from goose_py.tui.review.diff_rows import FileDiff, Unit, UnitReview, unit_review


@dataclass(frozen=True)
class Tally:
    """Units by what their lines come to; `some`: its lines differ. `unfinished`: those in which anything is undecided.
    `unread` files are not loaded yet, so that their units are not counted."""

    keep: int = 0
    drop: int = 0
    undecided: int = 0
    some: int = 0
    unfinished: int = 0
    unread: int = 0

    @property
    def total(self) -> int:
        return self.keep + self.drop + self.undecided + self.some

    @property
    def decided(self) -> int:
        return self.total - self.unfinished

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.keep + other.keep,
            self.drop + other.drop,
            self.undecided + other.undecided,
            self.some + other.some,
            self.unfinished + other.unfinished,
            self.unread + other.unread,
        )


def review_of(file: FileChange, changes: ChangeSet, decisions: Iterable[Decision]) -> FileReview:
    """The fold over one loaded file of decisions on it."""
    alone = ChangeSet(base_tree=changes.base_tree, result_tree=changes.result_tree, files=(file,))
    return fold(alone, decisions).of(file.path)


def marks_of(diff: FileDiff, review: FileReview) -> dict[int, UnitReview]:
    return {number: unit_review(unit, review) for number, unit in enumerate(diff.units)}


def tally_of(marks: Mapping[int, UnitReview]) -> Tally:
    words = [unit.mark for unit in marks.values()]
    unfinished = sum(unit.unfinished for unit in marks.values())
    return Tally(words.count("keep"), words.count("drop"), words.count("undecided"), words.count("some"), unfinished)


def mark_unit(
    file: FileChange, unit: Unit, verdict: Verdict, comment: str = "", lines: tuple[int, ...] = ()
) -> DecideChange:
    """The command that gives this verdict to a hunk, to `lines` of it, or to what no hunk shows."""
    if unit.hunk is not None:
        return command_for(decide_hunk(file, unit.hunk, verdict, comment=comment, lines=lines))
    content = file.attributes_id if file.hunks else file.id
    return DecideChange(path=file.path, verdict=verdict, comment=comment, content=content)


def edit_unit(file: FileChange, hunk: Hunk, text: str) -> DecideChange:
    """Keep `text` in place of the hunk's new side."""
    return command_for(decide_hunk(file, hunk, "keep", edit=text))


def new_side(hunk: Hunk) -> str:
    """What a hunk leads to, context included: what an edit replaces."""
    return "".join(line[1:] for line in hunk.lines if not line.startswith("-"))


def mark_file(file: FileChange, verdict: Verdict) -> tuple[DecideChange, ...]:
    return tuple(command_for(event) for event in decide_file(file, verdict))


def restore_unit(file: FileChange, unit: Unit, before: FileReview) -> tuple[DecideChange, ...]:
    """The commands that bring a unit back to what was decided of it `before`."""
    if unit.hunk is None:
        return (mark_unit(file, unit, before.attributes),)
    review = before.hunks.get(unit.hunk.id, HunkReview())
    found = [decide_hunk(file, unit.hunk, review.verdict, edit=review.edit)]
    for verdict in ("keep", "drop", "undecided"):
        lines = [number for number, of_line in review.lines.items() if of_line == verdict != review.verdict]
        if lines:
            found.append(decide_hunk(file, unit.hunk, verdict, lines=lines))  # type: ignore[arg-type]
    return tuple(command_for(event) for event in found)


def optimistic(command: DecideChange) -> Decision:
    """What the log will say once the worker has taken the command."""
    return Decision(
        ChangeDecided(
            path=command.path,
            hunk=command.hunk,
            lines=command.lines,
            verdict=command.verdict,
            comment=command.comment,
            edit=command.edit,
            content=command.content,
            withdraws=command.withdraws,
        )
    )
