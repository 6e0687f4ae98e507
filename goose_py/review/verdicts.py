"""Decisions folded over a changeset. Pure.

A decision names the content it was made on, so it survives restarts and re-diffs and dies with that content alone:
`content` is the id of the hunk for hunks and lines, and for a whole file `FileChange.id` (everything in it, as long as
nothing in it changes) or `FileChange.attributes_id` (existence, name, mode, binary content: what no hunk shows).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk
from goose_py.protocol.commands import DecideChange
from goose_py.protocol.events import ChangeDecided, Record, Verdict


@dataclass(frozen=True)
class Decision:
    """A `ChangeDecided`, when it was made (Unix time, seconds) and the number of its record. Verdict "undecided" with a comment
    only comments; without one it takes earlier verdicts back, unless all it does is to withdraw a comment. `edit` with "keep"
    replaces the hunk's new side, context included."""

    event: ChangeDecided
    at: float = 0.0
    seq: int = 0


@dataclass(frozen=True)
class Comment:
    """`seq` is the record that it was made in, 0 while that is on its way to the log: by it, it can be withdrawn."""

    text: str
    by: str
    at: float
    lines: tuple[int, ...] = ()
    seq: int = 0


@dataclass(frozen=True)
class HunkReview:
    """`lines` overrides `verdict` for single lines, by index into `Hunk.lines`. `edit` stands for the whole new side."""

    verdict: Verdict = "undecided"
    lines: Mapping[int, Verdict] = field(default_factory=dict)
    edit: str | None = None
    comments: tuple[Comment, ...] = ()

    def of_line(self, number: int) -> Verdict:
        return self.lines.get(number, self.verdict)


@dataclass(frozen=True)
class FileReview:
    """`attributes` is the verdict on what is not in the hunks; for a file whose hunks are not loaded, on all of it."""

    attributes: Verdict = "undecided"
    hunks: Mapping[str, HunkReview] = field(default_factory=dict)
    comments: tuple[Comment, ...] = ()

    def summary(self, file: FileChange) -> Verdict | Literal["mixed"]:
        """One word for a list of files. Attributes count where there is something in them to decide."""
        found: set[Verdict] = set()
        for hunk in file.hunks or ():
            review = self.hunks.get(hunk.id, HunkReview())
            found |= {review.of_line(number) for number in changed_lines(hunk)}
        if not file.hunks or has_attributes(file):
            found.add(self.attributes)
        return found.pop() if len(found) == 1 else "mixed"


@dataclass(frozen=True)
class Review:
    """By path. `outdated` are decisions whose content is no longer in the changeset: they count for nothing."""

    base_tree: str
    result_tree: str
    files: Mapping[str, FileReview]
    outdated: tuple[Decision, ...] = ()

    def of(self, path: str) -> FileReview:
        return self.files.get(path, FileReview())


def decisions_of(records: Iterable[Record]) -> tuple[Decision, ...]:
    """The decisions in a log, in their order."""
    return tuple(
        Decision(record.event, record.at, record.seq) for record in records if isinstance(record.event, ChangeDecided)
    )


def withdrawn(decisions: Iterable[Decision]) -> frozenset[int]:
    """The records whose comments no longer stand."""
    return frozenset(decision.event.withdraws for decision in decisions if decision.event.withdraws)


def fold(changeset: ChangeSet, decisions: Iterable[Decision]) -> Review:
    """Later decisions override earlier ones on the same lines; a decision on more overrides all within it. Raises
    ValueError where a decision is about a part of a file whose hunks are not loaded (see `selection.reviewed`)."""
    files = {file.path: file for file in changeset.files}
    reviews: dict[str, FileReview] = {}
    outdated: list[Decision] = []
    decisions = tuple(decisions)
    gone = withdrawn(decisions)
    for decision in decisions:
        file = files.get(decision.event.path)
        known = reviews.get(decision.event.path, FileReview())
        decided = _decided(file, known, decision, commented=decision.seq not in gone) if file else None
        if decided is None:
            outdated.append(decision)
        else:
            reviews[decision.event.path] = decided
    return Review(changeset.base_tree, changeset.result_tree, reviews, tuple(outdated))


def keep_undecided(changeset: ChangeSet, review: Review) -> Review:
    """Everything that nobody decided on is kept: "apply all" after single things were dropped."""

    def settled(file: FileChange) -> FileReview:
        before = review.of(file.path)
        hunks = {hunk.id: _settled(before.hunks.get(hunk.id, HunkReview())) for hunk in file.hunks or ()}
        return replace(before, attributes=_keep_if_open(before.attributes), hunks=hunks)

    return replace(review, files={file.path: settled(file) for file in changeset.files})


def decide_file(file: FileChange, verdict: Verdict, *, comment: str = "", by: str = "user") -> tuple[ChangeDecided, ...]:
    """A verdict on a whole file, as one decision for each part, so that after a revision it still holds for the parts
    that did not change. Where the hunks are not loaded it is one decision, bound to the whole content."""
    if file.hunks is None:
        return (ChangeDecided(path=file.path, verdict=verdict, comment=comment, content=file.id, by=by),)
    whole = ChangeDecided(path=file.path, verdict=verdict, comment=comment, content=file.attributes_id, by=by)
    return (whole, *(decide_hunk(file, hunk, verdict, by=by) for hunk in file.hunks))


def decide_hunk(
    file: FileChange,
    hunk: Hunk,
    verdict: Verdict,
    *,
    lines: Iterable[int] = (),
    comment: str = "",
    edit: str | None = None,
    by: str = "user",
) -> ChangeDecided:
    """A verdict on a hunk, on some of its lines (indices of "+" and "-" lines; others raise ValueError), or an edit."""
    chosen = tuple(sorted(set(lines)))
    if not set(chosen) <= set(changed_lines(hunk)):
        raise ValueError(f"hunk {hunk.id} of {file.path} has no changed lines at some of {list(chosen)}")
    if edit is not None and (chosen or verdict != "keep"):
        raise ValueError("an edit replaces a whole hunk and keeps the result")
    return ChangeDecided(
        path=file.path, hunk=hunk.id, lines=chosen, verdict=verdict, comment=comment, edit=edit, content=hunk.id, by=by
    )


def command_for(event: ChangeDecided) -> DecideChange:
    """The command that asks for exactly this decision."""
    return DecideChange(
        path=event.path,
        hunk=event.hunk,
        lines=event.lines,
        verdict=event.verdict,
        comment=event.comment,
        edit=event.edit,
        content=event.content,
        withdraws=event.withdraws,
    )


def changed_lines(hunk: Hunk) -> tuple[int, ...]:
    """Indices of the lines that a verdict can be about."""
    return tuple(number for number, line in enumerate(hunk.lines) if line[0] != " ")


def numbered_lines(hunk: Hunk) -> dict[int, int]:
    """The changed lines' indices by the numbers that people know them by: of an added line its number in the file as it is now;
    of a removed one its number in the old file, negative."""
    old, new = hunk.old_start, hunk.new_start
    found: dict[int, int] = {}
    for index, line in enumerate(hunk.lines):
        if line[0] == "+":
            found[new] = index
        elif line[0] == "-":
            found[-old] = index
        old += line[0] != "+"
        new += line[0] != "-"
    return found


def has_attributes(file: FileChange) -> bool:
    """Whether a text change carries something that no hunk shows: a new name, another mode."""
    if file.status in ("added", "deleted"):
        return file.new_mode == "100755"
    return file.status != "modified" or file.old_mode != file.new_mode or not file.hunks


def _decided(file: FileChange, review: FileReview, decision: Decision, *, commented: bool) -> FileReview | None:
    """`commented`: what it says, if anything, still stands."""
    event = decision.event
    said = Comment(event.comment, event.by, decision.at, event.lines, decision.seq)
    comment = (said,) if event.comment and (commented or not decision.seq) else ()
    comments_only = event.verdict == "undecided" and bool(event.comment or event.withdraws)
    if event.hunk is None:
        return _decided_whole(file, review, event, comment, comments_only)
    if file.hunks is None:
        raise ValueError(f"the hunks of {file.path} have to be loaded first")
    hunk = next((hunk for hunk in file.hunks if hunk.id == event.hunk), None)
    if hunk is None or event.content not in ("", hunk.id) or not set(event.lines) <= set(changed_lines(hunk)):
        return None
    before = review.hunks.get(hunk.id, HunkReview())
    after = replace(before, comments=before.comments + comment)
    if event.lines and not comments_only:
        after = replace(after, lines={**before.lines, **dict.fromkeys(event.lines, event.verdict)}, edit=None)
    elif not comments_only:
        edit = event.edit if event.verdict == "keep" else None
        after = replace(after, verdict=event.verdict, lines={}, edit=edit)
    return replace(review, hunks={**review.hunks, hunk.id: after})


def _decided_whole(
    file: FileChange, review: FileReview, event: ChangeDecided, comment: tuple[Comment, ...], comments_only: bool
) -> FileReview | None:
    if event.content != file.id and file.hunks is None:
        raise ValueError(f"the hunks of {file.path} have to be loaded first")
    if event.content not in (file.id, file.attributes_id):
        return None
    after = replace(review, comments=review.comments + comment)
    if comments_only:
        return after
    after = replace(after, attributes=event.verdict)
    if event.content != file.id:
        return after
    hunks = {
        hunk.id: replace(review.hunks.get(hunk.id, HunkReview()), verdict=event.verdict, lines={}, edit=None)
        for hunk in file.hunks or ()
    }
    return replace(after, hunks=hunks)


def _settled(review: HunkReview) -> HunkReview:
    lines = {number: _keep_if_open(verdict) for number, verdict in review.lines.items()}
    return replace(review, verdict=_keep_if_open(review.verdict), lines=lines)


def _keep_if_open(verdict: Verdict) -> Verdict:
    return "keep" if verdict == "undecided" else verdict
