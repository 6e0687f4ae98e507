"""A review while it is worked on: the files that are loaded, the marks of the log and those on their way to it, what `z` takes
back. Knows nothing of the screen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.commands import DecideChange
from goose_py.protocol.events import Verdict
from goose_py.review.feedback import feedback
from goose_py.review.verdicts import Comment, Decision, FileReview, HunkReview, fold, withdrawn
from goose_py.tui.review.diff_rows import FileDiff, Mark, Unit, UnitReview, file_diff
from goose_py.tui.review.outcome import (
    Tally,
    edit_unit,
    mark_file,
    mark_unit,
    marks_of,
    optimistic,
    restore_unit,
    review_of,
    tally_of,
)

PRELOAD = 400
"""Files that are loaded in the background, so that what is left to decide can be counted."""


class OpenReview:
    """`see` takes in what the log says; the `*ing` verbs return the commands to send, and count on them until `see` shows
    them or `refused` is called."""

    def __init__(self, changes: ChangeSet) -> None:
        self.changes = changes
        self.current = 0
        self._diffs: dict[str, FileDiff] = {}
        self._logged: Sequence[Decision] = ()
        self._by_path: dict[str, list[Decision]] = {}
        self._hoped: list[Decision] = []
        self._told = 0
        self._undone: list[tuple[str, tuple[DecideChange, ...]]] = []
        self._cache: dict[str, tuple[object, FileReview, dict[int, UnitReview]]] = {}

    # What is there.

    @property
    def file(self) -> FileChange | None:
        files = self.changes.files
        return files[self.current] if 0 <= self.current < len(files) else None

    @property
    def diff(self) -> FileDiff | None:
        return self._diffs.get(self.file.path) if self.file is not None else None

    @property
    def settled(self) -> bool:
        """Nothing is on its way to the log."""
        return not self._hoped

    @property
    def can_undo(self) -> bool:
        return bool(self._undone)

    def see(self, decisions: Sequence[Decision], told: int) -> None:
        """`told` of the decisions were sent to the agent already."""
        fresh = [decisions[number] for number in range(len(self._logged), len(decisions))]
        for decision in fresh:
            self._by_path.setdefault(decision.event.path, []).append(decision)
        del self._hoped[: len(fresh)]
        self._logged, self._told = decisions, told

    def follow(self, changes: ChangeSet) -> bool:
        """The task went on: files that are as they were keep their place, the others have to be loaded again. True where
        anything differs."""
        if changes is self.changes or changes == self.changes:
            return False
        before = self.file
        self._diffs = {
            file.path: self._diffs[file.path]
            for file in changes.files
            if file.path in self._diffs and self._diffs[file.path].file.id == file.id
        }
        self.changes = changes
        paths = [file.path for file in changes.files]
        self.current = paths.index(before.path) if before is not None and before.path in paths else 0
        return True

    def wanted(self) -> Iterator[str]:
        """The paths to load, the most urgent first: the file in view, those with decisions, the others in their order."""
        files = self.changes.files
        numbers = dict.fromkeys(
            (
                self.current,
                *(n for n, file in enumerate(files) if file.path in self._by_path),
                *range(min(PRELOAD, len(files))),
            )
        )
        yield from (files[n].path for n in numbers if n < len(files) and files[n].path not in self._diffs)

    def loaded(self, file: FileChange) -> None:
        self._diffs[file.path] = file_diff(file)

    # What it comes to.

    def review(self, path: str) -> FileReview | None:
        """None while the file is not loaded."""
        found = self._folded(path)
        return found[1] if found is not None else None

    def marks(self, path: str) -> dict[int, UnitReview] | None:
        found = self._folded(path)
        return found[2] if found is not None else None

    def _folded(self, path: str) -> tuple[object, FileReview, dict[int, UnitReview]] | None:
        diff = self._diffs.get(path)
        if diff is None:
            return None
        ours = [decision for decision in self._hoped if decision.event.path == path]
        logged = self._by_path.get(path, [])
        key = (id(diff), len(logged), tuple(id(decision) for decision in ours))
        cached = self._cache.get(path)
        if cached is None or cached[0] != key:
            review = review_of(diff.file, self.changes, [*logged, *ours])
            cached = self._cache[path] = (key, review, marks_of(diff, review))
        return cached

    def tally(self) -> Tally:
        total = Tally()
        for file in self.changes.files:
            marks = self.marks(file.path)
            total = total.plus(Tally(unread=1) if marks is None else tally_of(marks))
        return total

    def file_mark(self, path: str) -> tuple[Mark | str, Tally]:
        """(a mark, or "unread"; its units)"""
        marks = self.marks(path)
        if marks is None:
            return "unread", Tally()
        tally = tally_of(marks)
        for mark, count in (("undecided", tally.undecided), ("keep", tally.keep), ("drop", tally.drop)):
            if count == tally.total:
                return mark, tally
        return "some", tally

    def unsent(self) -> list[Decision]:
        """The decisions that the agent has not been told of."""
        return [*[self._logged[n] for n in range(self._told, len(self._logged))], *self._hoped]

    def feedback(self) -> str:
        """What `commands.SendFeedback` will say, as far as files are loaded; "" where there is nothing to say."""
        paths = {decision.event.path for decision in self.unsent()}
        files = tuple(self._diffs[file.path].file for file in self.changes.files if file.path in paths & self._diffs.keys())
        part = msgspec.structs.replace(self.changes, files=files)
        known = {file.path for file in files}
        return feedback(part, fold(part, [decision for decision in self.unsent() if decision.event.path in known]))

    def as_text(self) -> str:
        """The loaded changes as a unified diff."""
        parts: list[str] = []
        for file in self.changes.files:
            diff = self._diffs.get(file.path)
            if diff is None:
                continue
            parts.append(f"--- a/{file.old_path or file.path}\n+++ b/{file.path}\n")
            for hunk in diff.file.hunks or ():
                at = f"-{hunk.old_start},{hunk.old_lines} +{hunk.new_start},{hunk.new_lines}"
                parts.append(f"@@ {at} @@ {hunk.section}".rstrip() + "\n")
                parts += [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in hunk.lines]
        return "".join(parts)

    def unsent_comments(self) -> int:
        unsent = self.unsent()
        gone = withdrawn(unsent)
        return sum(bool(decision.event.comment) and decision.seq not in gone for decision in unsent)

    def open_comment(self, number: int, lines: tuple[int, ...] = ()) -> Comment | None:
        """The last comment on exactly this that can still be changed: the log has it, and the agent was not told."""
        found, file = self.unit(number), self.file
        review = self.review(file.path) if file is not None else None
        if found is None or review is None:
            return None
        hunk = found[1].hunk
        said = review.comments if hunk is None else review.hunks.get(hunk.id, HunkReview()).comments
        unsent = {decision.seq for decision in self.unsent() if decision.seq}
        return next((each for each in reversed(said) if each.seq in unsent and each.lines == lines), None)

    # Deciding.

    def unit(self, number: int) -> tuple[FileDiff, Unit] | None:
        diff = self.diff
        return (diff, diff.units[number]) if diff is not None and number < len(diff.units) else None

    def marking(self, number: int, verdict: Verdict, lines: tuple[int, ...] = ()) -> tuple[DecideChange, ...]:
        found = self.unit(number)
        if found is None:
            return ()
        diff, unit = found
        return self._deciding(diff, [unit], (mark_unit(diff.file, unit, verdict, lines=lines),))

    def marking_file(self, verdict: Verdict) -> tuple[DecideChange, ...]:
        diff = self.diff
        return self._deciding(diff, diff.units, mark_file(diff.file, verdict)) if diff is not None else ()

    def editing(self, number: int, text: str) -> tuple[DecideChange, ...]:
        found = self.unit(number)
        if found is None or found[1].hunk is None:
            return ()
        diff, unit = found
        return self._deciding(diff, [unit], (edit_unit(diff.file, unit.hunk, text),))  # type: ignore[arg-type]

    def commenting(
        self, number: int, text: str, lines: tuple[int, ...] = (), instead: Comment | None = None
    ) -> tuple[DecideChange, ...]:
        """`instead` of an earlier comment, which is taken back; without a text that is all."""
        found = self.unit(number)
        if found is None or not (text or instead):
            return ()
        command = mark_unit(found[0].file, found[1], "undecided", text, lines)
        return self._optimistically((msgspec.structs.replace(command, withdraws=instead.seq if instead else 0),))

    def undoing(self) -> tuple[DecideChange, ...]:
        """Takes the last mark back, and goes to the file that it was made in. Empty where there is none, or where its
        content is gone."""
        while self._undone:
            file_id, commands = self._undone.pop()
            for number, file in enumerate(self.changes.files):
                if file.path == commands[0].path and file.id == file_id:
                    self.current = number
                    return self._optimistically(commands)
        return ()

    def refused(self) -> None:
        self._hoped.clear()

    def _deciding(
        self, diff: FileDiff, units: Sequence[Unit], commands: tuple[DecideChange, ...]
    ) -> tuple[DecideChange, ...]:
        before = self.review(diff.file.path) or FileReview()
        back = tuple(command for unit in units for command in restore_unit(diff.file, unit, before))
        self._undone.append((diff.file.id, back))
        return self._optimistically(commands)

    def _optimistically(self, commands: tuple[DecideChange, ...]) -> tuple[DecideChange, ...]:
        self._hoped += [optimistic(command) for command in commands]
        return commands

    # Moving.

    def unfinished(self, unit: int, step: int, *, around: bool = True) -> tuple[int, int] | None:
        """(file, unit) of the next (1) or previous (-1) unit that has something undecided; past the end it goes on at the other
        one only with `around`."""
        count = len(self.changes.files)
        for distance in range(count + 1):
            if not around and not 0 <= self.current + step * distance < count:
                return None
            number = (self.current + step * distance) % count if count else 0
            marks = self.marks(self.changes.files[number].path) if count else None
            units = [at for at, mark in (marks or {}).items() if mark.unfinished]
            if distance == 0:
                units = [at for at in units if (at > unit if step > 0 else at < unit)]
            elif distance == count:
                units = [at for at in units if at != unit]
            if units:
                return number, units[0] if step > 0 else units[-1]
        return None
