"""What a review asks before it does something that goes further than a mark. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from goose_py.protocol.changes import FileChange
from goose_py.protocol.commands import ApplyChanges
from goose_py.protocol.safe_text import safe_line
from goose_py.tui.chrome import STATUS_MARKS, evidence_of
from goose_py.tui.review.open_review import OpenReview
from goose_py.tui.state.view_state import ViewState
from goose_py.tui.widgets.question import Option, Question
from goose_py.tui.widgets.text_layout import fitted

How = Literal["worktree", "squash", "commits"]
KEPT, ALL = "only what is kept", "all but what is dropped"
HOWS: dict[str, How] = {"y": "worktree", "s": "squash", "c": "commits"}


def apply_question(review: OpenReview, state: ViewState, decisions: int) -> Question:
    """Ways to apply, each with what it does. The variants of an option are what goes in: see `apply_command`."""
    tally = review.tally()
    left_out = tally.undecided + tally.unread
    what = []
    if tally.keep or tally.some:
        what.append(KEPT)
    if left_out or tally.unfinished:
        what.append(ALL)
    branch = fitted(safe_line(state.base_branch or ""), 20)
    facts = ["If your work has moved on so that this no longer fits, nothing is applied."]
    if left_out and KEPT in what:
        facts.append(f"{left_out} undecided are left out of what is kept.")
    facts += _doubts(review, state)
    options = [Option("y", "In your files, nothing staged or committed", assent=True, variants=tuple(what))]
    if branch:
        options += [
            Option("s", f"One commit on the tip of {branch}, once checked", assent=True, variants=tuple(what)),
            Option("c", f"Its commits on the tip of {branch}, once checked", assent=True, variants=tuple(what)),
        ]
    options.append(Option("escape", "Not now"))
    return Question(
        id=f"apply {review.changes.result_tree} {decisions}",
        title=f"Apply to {state.repository or state.workspace}",
        body="\n".join(_apply_line(review, file) for file in review.changes.files),
        facts=tuple(facts),
        options=tuple(options),
        code=False,
    )


def _doubts(review: OpenReview, state: ViewState) -> list[str]:
    found = evidence_of(state, review.changes.result_tree)
    doubts = [f"! {each.sentence()}" for each in found if each.standing != "passed"]
    if not found:
        doubts.append("! No check ran on these changes.")
    tally = review.tally()
    if found and not doubts and (tally.drop or tally.undecided or tally.some):
        doubts.append("The checks ran on all of the changes together, not on this selection.")
    return doubts


def _apply_line(review: OpenReview, file: FileChange) -> str:
    word, tally = review.file_mark(file.path)
    status = STATUS_MARKS.get(file.status, ("M", ""))[0]
    by_line = f", {tally.some} by line" if tally.some else ""
    said = {
        "keep": "kept",
        "drop": "dropped: left as it is",
        "undecided": "undecided",
        "unread": "undecided",
        "some": f"{tally.keep} of {tally.total} kept{by_line}, {tally.drop} dropped, {tally.undecided} undecided",
    }[word]
    return f"{status} {safe_line(file.path)}: {said}"


def apply_command(review: OpenReview, option: Option, variant: int, message: str = "") -> ApplyChanges:
    return ApplyChanges(
        base_tree=review.changes.base_tree,
        result_tree=review.changes.result_tree,
        how=HOWS[option.key],
        all=bool(option.variants) and option.variants[variant] == ALL,
        message=message,
    )


def feedback_question(text: str, running: bool, unread: Sequence[str]) -> Question:
    when = "It goes in at the next safe boundary of the turn that runs." if running else "It starts the next turn."
    facts = [when]
    if unread:
        facts.append(f"Decisions on {len(unread)} files that are not loaded yet go with it.")
    return Question(
        id=f"feedback {hash(text)}",
        title="Send this to the agent",
        body=text,
        facts=tuple(facts),
        options=(
            Option("y", "Send it"),
            Option("n", "Add a note first"),
            Option("escape", "Not now"),
        ),
        code=False,
    )
