"""Decisions folded over a changeset."""

from __future__ import annotations

import pytest
from changesets import ONE, TWO, change, changeset
from msgspec import structs

from goose_py.protocol.changes import FileChange, Hunk
from goose_py.protocol.events import ChangeDecided, Record, TitleSet
from goose_py.review.verdicts import (
    Decision,
    decide_file,
    decide_hunk,
    decisions_of,
    fold,
    has_attributes,
    keep_undecided,
    numbered_lines,
)


def folded(file: FileChange, *events: ChangeDecided):
    review = fold(changeset(file), [Decision(event, float(number)) for number, event in enumerate(events)])
    return review, review.of(file.path)


def test_without_decisions_everything_is_undecided():
    file = change()
    review, of_file = folded(file)
    assert of_file.summary(file) == "undecided" and not review.outdated


def test_a_file_is_decided_part_by_part():
    file = change()
    review, of_file = folded(file, *decide_file(file, "keep"))
    assert of_file.summary(file) == "keep" and of_file.attributes == "keep"
    assert {hunk: found.verdict for hunk, found in of_file.hunks.items()} == {"h1": "keep", "h2": "keep"}
    assert not review.outdated


def test_later_decisions_override_earlier_ones_within_their_reach():
    file = change()
    _, of_file = folded(
        file,
        *decide_file(file, "keep"),
        decide_hunk(file, ONE, "drop"),
        decide_hunk(file, ONE, "keep", lines=[2]),
    )
    assert of_file.hunks["h1"].of_line(1) == "drop" and of_file.hunks["h1"].of_line(2) == "keep"
    assert of_file.hunks["h2"].verdict == "keep"
    assert of_file.summary(file) == "mixed"
    _, of_file = folded(file, decide_hunk(file, ONE, "keep", lines=[2]), decide_hunk(file, ONE, "drop"))
    assert of_file.hunks["h1"].of_line(2) == "drop"


def test_undecided_takes_a_verdict_back_and_a_comment_does_not():
    file = change()
    _, of_file = folded(file, decide_hunk(file, ONE, "keep"), decide_hunk(file, ONE, "undecided", comment="why?"))
    assert of_file.hunks["h1"].verdict == "keep"
    assert [(comment.text, comment.by) for comment in of_file.hunks["h1"].comments] == [("why?", "user")]
    _, of_file = folded(file, decide_hunk(file, ONE, "keep"), decide_hunk(file, ONE, "undecided"))
    assert of_file.hunks["h1"].verdict == "undecided"


def test_an_edit_is_kept_until_the_hunk_is_decided_again():
    file = change()
    _, of_file = folded(file, decide_hunk(file, ONE, "keep", edit="a\nbetter\n"))
    assert of_file.hunks["h1"].edit == "a\nbetter\n"
    _, of_file = folded(file, decide_hunk(file, ONE, "keep", edit="a\nbetter\n"), decide_hunk(file, ONE, "keep"))
    assert of_file.hunks["h1"].edit is None


def test_marks_survive_a_revision_but_for_the_hunks_that_changed():
    before = change()
    decisions = [Decision(event) for event in (*decide_file(before, "keep"), decide_hunk(before, TWO, "drop"))]
    revised = Hunk(id="h1-revised", old_start=1, old_lines=2, new_start=1, new_lines=2, lines=(" a\n", "-b\n", "+BB\n"))
    after = change(hunks=(revised, TWO), id="another")
    review = fold(changeset(after), decisions)
    assert review.of("f.py").hunks["h2"].verdict == "drop"
    assert "h1-revised" not in review.of("f.py").hunks
    assert [decision.event.hunk for decision in review.outdated] == ["h1"]


def test_a_mark_on_a_whole_file_dies_with_any_change_of_it():
    unloaded = change(hunks=None)
    (event,) = decide_file(unloaded, "keep")
    assert event.content == unloaded.id
    review = fold(changeset(change(hunks=(ONE,), id="another")), [Decision(event)])
    assert review.outdated and review.of("f.py").attributes == "undecided"


def test_a_mark_on_a_whole_file_counts_for_all_its_hunks():
    unloaded = change(hunks=None)
    loaded = change(id=unloaded.id)
    review = fold(changeset(loaded), [Decision(event) for event in decide_file(unloaded, "drop")])
    assert review.of("f.py").hunks["h1"].verdict == "drop" and review.of("f.py").summary(loaded) == "drop"


def test_parts_of_a_file_whose_hunks_are_not_loaded_are_refused_not_guessed():
    file = change()
    with pytest.raises(ValueError, match=r"hunks of f\.py have to be loaded"):
        fold(changeset(change(hunks=None)), [Decision(decide_hunk(file, ONE, "keep"))])


def test_decisions_on_files_that_are_gone_are_outdated():
    file = change()
    review = fold(changeset(change("other.py")), [Decision(event) for event in decide_file(file, "keep")])
    assert len(review.outdated) == 3


def test_context_lines_and_edits_of_lines_cannot_be_decided():
    file = change()
    with pytest.raises(ValueError, match="no changed lines"):
        decide_hunk(file, ONE, "keep", lines=[0])
    with pytest.raises(ValueError, match="whole hunk"):
        decide_hunk(file, ONE, "keep", lines=[1], edit="x")
    with pytest.raises(ValueError, match="keeps the result"):
        decide_hunk(file, ONE, "drop", edit="x")


def test_keeping_the_undecided_leaves_what_was_dropped():
    file = change()
    review, _ = folded(file, decide_hunk(file, ONE, "drop", lines=[1]), decide_hunk(file, TWO, "drop"))
    kept = keep_undecided(changeset(file), review).of("f.py")
    assert (kept.hunks["h1"].of_line(1), kept.hunks["h1"].of_line(2)) == ("drop", "keep")
    assert kept.hunks["h2"].verdict == "drop" and kept.attributes == "keep"


def test_decisions_come_out_of_a_log_with_their_time_and_record():
    event = decide_hunk(change(), ONE, "keep", by="ada")
    records = [Record(seq=1, at=5.0, event=TitleSet(title="x")), Record(seq=2, at=7.5, event=event)]
    assert decisions_of(records) == (Decision(event, 7.5, 2),)


@pytest.mark.parametrize(
    ("values", "expected"),
    [({}, False), ({"new_mode": "100755"}, True), ({"status": "renamed", "old_path": "o"}, True),
     ({"status": "added", "old_mode": "000000"}, False),
     ({"status": "added", "old_mode": "000000", "new_mode": "100755"}, True), ({"hunks": (), "binary": True}, True)],
)  # fmt: skip
def test_attributes_are_asked_about_where_there_is_something_to_decide(values: dict, expected: bool):
    assert has_attributes(change(**values)) == expected


def at(file: FileChange, *events: ChangeDecided):
    """As the log has them: the first is record 1."""
    decisions = [Decision(event, float(seq), seq) for seq, event in enumerate(events, 1)]
    return fold(changeset(file), decisions).of(file.path).hunks["h1"]


def test_a_comment_is_taken_back_or_replaced_and_the_verdict_that_came_with_it_stays():
    file = change()
    rejected = decide_hunk(file, ONE, "drop", comment="no")
    taken = structs.replace(decide_hunk(file, ONE, "undecided"), withdraws=1)
    found = at(file, rejected, taken)
    assert found.verdict == "drop" and found.comments == ()
    other = structs.replace(taken, comment="not like this")
    found = at(file, rejected, other)
    assert [(comment.text, comment.seq) for comment in found.comments] == [("not like this", 2)]
    again = structs.replace(taken, withdraws=2)
    assert at(file, rejected, other, again).comments == () and at(file, rejected, other, again).verdict == "drop"


def test_a_comment_that_is_not_in_the_log_yet_is_never_the_one_that_was_taken_back():
    file = change()
    hoped = Decision(decide_hunk(file, ONE, "undecided", comment="new"))
    taken = Decision(structs.replace(decide_hunk(file, ONE, "undecided"), withdraws=1), 1.0, 2)
    (comment,) = fold(changeset(file), [taken, hoped]).of(file.path).hunks["h1"].comments
    assert comment.text == "new" and comment.seq == 0


def test_changed_lines_have_the_numbers_that_people_know_them_by():
    hunk = Hunk(
        id="x", old_start=10, old_lines=4, new_start=12, new_lines=4, lines=(" a\n", "-b\n", "-c\n", "+d\n", " e\n", "+f\n")
    )
    assert numbered_lines(hunk) == {-11: 1, -12: 2, 13: 3, 15: 5}
