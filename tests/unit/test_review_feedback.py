"""What a review says to the agent."""

from __future__ import annotations

from changesets import ONE, TWO, change, changeset

from goose_py.review.feedback import feedback, remarks
from goose_py.review.verdicts import Decision, decide_file, decide_hunk, fold


def said(file, *events) -> str:
    return feedback(changeset(file), fold(changeset(file), [Decision(event) for event in events]))


def test_what_is_kept_or_undecided_is_not_mentioned():
    file = change()
    assert said(file) == ""
    assert said(file, *decide_file(file, "keep"), decide_hunk(file, ONE, "undecided")) == ""


def test_rejections_edits_and_comments_come_with_their_lines():
    file = change(status="renamed", old_path="old.py")
    text = said(
        file,
        decide_hunk(file, ONE, "drop", comment="keep b"),
        decide_hunk(file, TWO, "keep", edit="x\nz\n"),
        *decide_file(change(hunks=None, id=file.attributes_id), "drop", comment="do not rename"),
    )
    assert text.splitlines()[2:] == [
        "## f.py",
        "rejected: the rename from old.py",
        "comment: do not rename",
        "rejected, near line 1:",
        "-b",
        "+B",
        "comment: keep b",
        "edited by the reviewer, near line 9; it now reads:",
        "x",
        "z",
    ]


def test_single_rejected_lines_and_comments_on_lines_are_told():
    file = change()
    text = said(
        file,
        decide_hunk(file, ONE, "drop", lines=[2]),
        decide_hunk(file, TWO, "undecided", lines=[1], comment="why y?"),
    )
    assert text.splitlines()[3:] == [
        "rejected lines, near line 1:",
        "+B",
        "about the change near line 9:",
        "+y",
        "on these lines:",
        "+y",
        "comment: why y?",
    ]


def test_whole_files_are_named_for_what_was_rejected():
    binary = change("logo.png", (), binary=True)
    assert "## logo.png\nrejected: the change of its content\n" in said(binary, *decide_file(binary, "drop"))
    empty = change("empty", (), status="added", old_mode="000000")
    assert "rejected: that it was added" in said(empty, *decide_file(empty, "drop"))
    mode = change("run", (), status="mode", new_mode="100755")
    assert "rejected: the mode change from 100644 to 100755" in said(mode, *decide_file(mode, "drop"))


def test_of_what_is_applied_the_comments_on_what_is_not_left_are_told():
    file = change()
    events = [
        decide_hunk(file, ONE, "undecided", comment="say uno"),
        decide_hunk(file, TWO, "drop", comment="no y"),
    ]
    review = fold(changeset(file), [Decision(event) for event in events])
    text = remarks(changeset(file), review, changeset(change(hunks=(TWO,))))
    assert text.splitlines()[2:] == ["## f.py", "about the change near line 1:", "-b", "+B", "comment: say uno"]
    assert remarks(changeset(file), review, changeset(file)) == ""
    assert remarks(changeset(file), fold(changeset(file), []), changeset()) == ""
