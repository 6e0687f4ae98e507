"""What a review comes to: the verdicts of the log over the files that are loaded. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.commands import DecideChange
from goose_py.protocol.events import ChangeDecided, Verdict
from goose_py.review.verdicts import Decision, FileReview, decide_file, decide_hunk, fold
from goose_py.tui.diff_rows import FileDiff, Unit, unit_verdict


@dataclass(frozen=True)
class Tally:
    """Units by verdict. `unread` files are not loaded yet, so that their units are not counted."""

    keep: int = 0
    drop: int = 0
    undecided: int = 0
    unread: int = 0

    @property
    def total(self) -> int:
        return self.keep + self.drop + self.undecided

    def plus(self, other: Tally) -> Tally:
        return Tally(
            self.keep + other.keep, self.drop + other.drop, self.undecided + other.undecided, self.unread + other.unread
        )


def review_of(file: FileChange, changes: ChangeSet, decisions: Iterable[Decision]) -> FileReview:
    """The fold over one loaded file."""
    alone = ChangeSet(base_tree=changes.base_tree, result_tree=changes.result_tree, files=(file,))
    return fold(alone, [decision for decision in decisions if decision.event.path == file.path]).of(file.path)


def verdicts_of(diff: FileDiff, review: FileReview) -> dict[int, Verdict]:
    return {number: unit_verdict(unit, review) for number, unit in enumerate(diff.units)}


def tally_of(verdicts: Mapping[int, Verdict]) -> Tally:
    words = list(verdicts.values())
    return Tally(words.count("keep"), words.count("drop"), words.count("undecided"))


def mark_unit(file: FileChange, unit: Unit, verdict: Verdict, comment: str = "") -> DecideChange:
    """The command that gives this verdict to a hunk, or to what no hunk shows."""
    if unit.hunk is not None:
        return command_for(decide_hunk(file, unit.hunk, verdict, comment=comment))
    content = file.attributes_id if file.hunks else file.id
    return DecideChange(path=file.path, verdict=verdict, comment=comment, content=content)


def mark_file(file: FileChange, verdict: Verdict) -> tuple[DecideChange, ...]:
    return tuple(command_for(event) for event in decide_file(file, verdict))


def command_for(event: ChangeDecided) -> DecideChange:
    return DecideChange(
        path=event.path,
        hunk=event.hunk,
        lines=event.lines,
        verdict=event.verdict,
        comment=event.comment,
        edit=event.edit,
        content=event.content,
    )


def hoped(command: DecideChange) -> Decision:
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
        )
    )


def comments_of(decisions: Iterable[Decision]) -> tuple[ChangeDecided, ...]:
    return tuple(decision.event for decision in decisions if decision.event.comment)


def feedback(comments: Iterable[ChangeDecided], dropped: Iterable[tuple[FileDiff, Unit]]) -> str:
    """What the agent is told of a review: the comments where they were made, and the hunks that were dropped."""
    lines = ["I have reviewed your changes."]
    for event in comments:
        lines.append(f"- {event.path}: {event.comment}")
    gone = [f"- {diff.file.path}{_place(unit)}" for diff, unit in dropped]
    if gone:
        lines += ["I do not want these parts of them:", *gone]
    return "\n".join(lines)


def _place(unit: Unit) -> str:
    return f", the change at line {unit.hunk.new_start}" if unit.hunk is not None else ""
