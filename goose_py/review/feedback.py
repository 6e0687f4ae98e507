"""What a reviewer's decisions say to the agent that made the change. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from goose_py.protocol.changes import ChangeSet, FileChange, Hunk
from goose_py.review.verdicts import Comment, FileReview, HunkReview, Review, changed_lines


def feedback(changeset: ChangeSet, review: Review) -> str:
    """Everything that was rejected, edited or commented, with the lines it is about, as text for the next prompt; empty where
    there is nothing to say. Kept and undecided parts without a comment are not mentioned. Files that carry decisions on
    their parts must have their hunks loaded."""
    sections = [text for file in changeset.files if (text := _of_file(file, review.of(file.path)))]
    if not sections:
        return ""
    opening = "The reviewer looked at your changes. What is listed here was not accepted as it is, or was commented on:"
    return "\n\n".join([opening, *sections]) + "\n"


def remarks(changeset: ChangeSet, review: Review, left: ChangeSet) -> str:
    """The comments on changes that have been applied; empty where there are none. What of them is still `left` to be reviewed
    is said by `feedback`. Both changesets have the hunks of what was commented on."""
    sections = []
    for file in changeset.files:
        found, rest = review.of(file.path), left.file(file.path)
        lines = _comments(found.comments) if rest is None else []
        waiting = {hunk.id for hunk in rest.hunks or ()} if rest is not None else set()
        for hunk in file.hunks or ():
            of_hunk = found.hunks.get(hunk.id, HunkReview())
            if of_hunk.comments and hunk.id not in waiting:
                lines += _of_hunk(hunk, of_hunk)
        if lines:
            sections.append("\n".join([f"## {file.path}", *lines]))
    opening = "The reviewer commented on these changes, which are applied by now:"
    return "\n\n".join([opening, *sections]) + "\n" if sections else ""


def _of_file(file: FileChange, review: FileReview) -> str:
    lines: list[str] = []
    if review.attributes == "drop" and (not file.hunks or file.status in ("renamed", "mode")):
        lines.append(f"rejected: {_named(file)}")
    lines += _comments(review.comments)
    for hunk in file.hunks or ():
        lines += _of_hunk(hunk, review.hunks.get(hunk.id, HunkReview()))
    return "\n".join([f"## {file.path}", *lines]) if lines else ""


def _of_hunk(hunk: Hunk, review: HunkReview) -> list[str]:
    numbers = changed_lines(hunk)
    dropped = [number for number in numbers if review.of_line(number) == "drop"]
    lines: list[str] = []
    if review.edit is not None:
        lines += [f"edited by the reviewer, near line {hunk.new_start}; it now reads:", *review.edit.splitlines()]
    elif dropped and len(dropped) == len(numbers):
        lines += [f"rejected, near line {hunk.new_start}:", *_shown(hunk, numbers)]
    elif dropped:
        lines += [f"rejected lines, near line {hunk.new_start}:", *_shown(hunk, dropped)]
    elif review.comments:
        lines += [f"about the change near line {hunk.new_start}:", *_shown(hunk, numbers)]
    for comment in review.comments:
        if comment.lines:
            lines += ["on these lines:", *_shown(hunk, comment.lines)]
        lines += _comments([comment])
    return lines


def _comments(comments: Iterable[Comment]) -> list[str]:
    return [f"comment: {comment.text}" for comment in comments]


def _shown(hunk: Hunk, numbers: Iterable[int]) -> list[str]:
    return [hunk.lines[number].removesuffix("\n") for number in numbers if number < len(hunk.lines)]


def _named(file: FileChange) -> str:
    match file.status:
        case "renamed":
            return f"the rename from {file.old_path}"
        case "mode":
            return f"the mode change from {file.old_mode} to {file.new_mode}"
        case "type-changed":
            return "the change of what kind of file it is"
        case "added" | "deleted":
            return f"that it was {file.status}"
        case _:
            return "the change of its content"
