"""Which bytes result when some lines of a diff are kept."""

from __future__ import annotations

import difflib
import itertools

import pytest
from changesets import change
from hypothesis import given
from hypothesis import strategies as st

from goose_py.git.trees.patch import PatchSection, hunk_values
from goose_py.protocol.changes import Hunk
from goose_py.review.selection import SelectionImpossible, selected_bytes, selected_entries, split_lines
from goose_py.review.verdicts import FileReview, HunkReview, changed_lines


def hunks_between(old: bytes, new: bytes, context: int) -> tuple[Hunk, ...]:
    """A second way to make hunks than the one in the product."""
    a, b = split_lines(old), split_lines(new)
    hunks = []
    for group in difflib.SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(context):
        lines = []
        for tag, i, j, k, m in group:
            if tag == "equal":
                lines += [b" " + line for line in a[i:j]]
            else:
                lines += [b"-" + line for line in a[i:j]] + [b"+" + line for line in b[k:m]]
        first, last = group[0], group[-1]
        old_lines, new_lines = last[2] - first[1], last[4] - first[3]
        start = first[1] + 1 if old_lines else first[1]
        hunks.append((start, old_lines, first[3] + 1 if new_lines else first[3], new_lines, b"", tuple(lines)))
    return hunk_values(b"f", PatchSection(False, tuple(hunks)))


lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\n", b"caf\xe9\n", b"x\ry\n", "ü\u2028\n".encode()]), max_size=12)
contents = st.tuples(lines, st.sampled_from([b"", b"end", b"end\r"])).map(lambda parts: b"".join(parts[0]) + parts[1])


@given(contents, contents, st.integers(0, 3))
def test_keeping_everything_gives_the_new_content_and_nothing_the_old(old: bytes, new: bytes, context: int):
    hunks = hunks_between(old, new, context)
    assert selected_bytes(old, hunks, {}) == old
    assert selected_bytes(old, hunks, {hunk.id: HunkReview(verdict="drop") for hunk in hunks}) == old
    assert selected_bytes(old, hunks, {hunk.id: HunkReview(verdict="keep") for hunk in hunks}) == new


@given(contents, contents, st.data())
def test_any_choice_of_lines_applies_and_only_adds_and_removes_what_was_chosen(old: bytes, new: bytes, data: st.DataObject):
    hunks = hunks_between(old, new, data.draw(st.integers(0, 3)))
    reviews, expected_lines = {}, len(split_lines(old))
    for hunk in hunks:
        numbers = changed_lines(hunk)
        kept = data.draw(st.sets(st.sampled_from(numbers)))
        reviews[hunk.id] = HunkReview(lines=dict.fromkeys(kept, "keep"))
        expected_lines += sum(1 if hunk.lines[number][0] == "+" else -1 for number in kept)
    result = selected_bytes(old, hunks, reviews)
    assert len(split_lines(result)) == expected_lines
    assert {line.rstrip(b"\n") for line in split_lines(result)} <= {
        line.rstrip(b"\n") for line in itertools.chain(split_lines(old), split_lines(new))
    }


@given(contents, contents, st.data())
def test_choosing_hunks_one_after_the_other_ends_at_the_new_content(old: bytes, new: bytes, data: st.DataObject):
    current = old
    while hunks := hunks_between(current, new, 1):
        chosen = data.draw(st.sampled_from(hunks))
        current = selected_bytes(current, hunks, {chosen.id: HunkReview(verdict="keep")})
    assert current == new


def test_an_edit_replaces_the_new_side_of_its_hunk():
    hunks = hunks_between(b"1\n2\n3\n4\n", b"1\nTWO\n3\n4\n", 1)
    edited = {hunks[0].id: HunkReview(verdict="keep", edit="1\nzwei")}
    assert selected_bytes(b"1\n2\n3\n4\n", hunks, edited) == b"1\nzwei\n4\n"


def test_a_line_that_gets_a_successor_gets_a_line_feed():
    old, new = b"a\nb", b"a\nb\nc\n"
    (hunk,) = hunks_between(old, new, 3)
    plus_c = next(number for number, line in enumerate(hunk.lines) if line == "+c\n")
    assert selected_bytes(old, [hunk], {hunk.id: HunkReview(lines={plus_c: "keep"})}) == b"a\nb\nc\n"


def test_hunks_of_another_content_are_refused():
    hunks = hunks_between(b"a\n", b"b\n", 0)
    with pytest.raises(ValueError, match="does not belong to this content"):
        selected_bytes(b"z\n", hunks, {})


def test_an_edit_that_the_files_encoding_cannot_hold_is_refused():
    hunks = hunks_between(b"caf\xe9\n", b"th\xe9\n", 0)
    with pytest.raises(SelectionImpossible, match="Latin-1"):
        selected_bytes(b"caf\xe9\n", hunks, {hunks[0].id: HunkReview(verdict="keep", edit="\u65e5\u672c\n")})


HUNKS = hunks_between(b"1\n2\n3\n4\n5\n6\n7\n8\n9\n", b"ONE\n2\n3\n4\n5\n6\n7\n8\nNINE\n", 1)
ALL = {hunk.id: HunkReview(verdict="keep") for hunk in HUNKS}
SOME = {HUNKS[0].id: HunkReview(verdict="keep")}
OLD, NEW, PART = "1" * 40, "2" * 40, "3" * 40
GONE = ("000000", "")
added = {"status": "added", "old_mode": "000000", "new_mode": "100755", "old_oid": "0" * 40}
deleted = {"status": "deleted", "old_mode": "100755", "new_mode": "000000", "new_oid": "0" * 40}
renamed = {"status": "renamed", "old_path": "o", "new_mode": "100755"}


@pytest.mark.parametrize(
    ("values", "attributes", "hunks", "expected"),
    [
        ({}, "undecided", ALL, {b"f": ("100644", NEW)}),
        ({}, "undecided", SOME, {b"f": ("100644", PART)}),
        ({"new_mode": "100755"}, "undecided", ALL, {b"f": ("100644", NEW)}),
        ({"new_mode": "100755"}, "keep", {}, {b"f": ("100755", OLD)}),
        (added, "keep", {}, {}),
        (added, "undecided", ALL, {b"f": ("100644", NEW)}),
        (added, "keep", SOME, {b"f": ("100755", PART)}),
        (deleted, "undecided", ALL, {b"f": GONE}),
        (deleted, "drop", ALL, {b"f": ("100755", PART)}),
        (deleted, "keep", SOME, {b"f": ("100755", PART)}),
        (deleted, "keep", {}, {}),
        (renamed, "keep", {}, {b"o": GONE, b"f": ("100755", OLD)}),
        (renamed, "keep", SOME, {b"o": GONE, b"f": ("100755", PART)}),
        (renamed, "drop", ALL, {b"o": ("100644", NEW)}),
    ],
)
def test_what_becomes_of_a_files_paths(values: dict, attributes: str, hunks: dict, expected: dict):
    file = change("f", HUNKS, **{"old_oid": OLD, "new_oid": NEW, **values})
    own_content = PART if any(entry[1] == PART for entry in expected.values()) else None
    assert selected_entries(file, FileReview(attributes=attributes, hunks=hunks), own_content) == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"binary": True}, {b"f": ("100644", NEW)}),
        ({"status": "mode", "new_mode": "100755", "new_oid": OLD}, {b"f": ("100755", OLD)}),
        ({"status": "type-changed", "new_mode": "120000"}, {b"f": ("120000", NEW)}),
        ({"status": "renamed", "old_path": "o", "new_oid": OLD}, {b"o": GONE, b"f": ("100644", OLD)}),
        (deleted, {b"f": GONE}),
    ],
)
def test_what_has_no_hunks_is_kept_or_dropped_whole(values: dict, expected: dict):
    file = change("f", (), **{"old_oid": OLD, "new_oid": NEW, **values})
    assert selected_entries(file, FileReview(attributes="keep"), None) == expected
    assert selected_entries(file, FileReview(attributes="drop"), None) == {}
    assert selected_entries(file, FileReview(), None) == {}
