"""A text with any line ends is edited through a view with one kind, and nothing else in it moves."""

import re

import pytest
from developer_extension import module
from hypothesis import assume, given
from hypothesis import strategies as st

lines_module = module("editing.lines")
Lines = lines_module.Lines

ENDS = st.sampled_from(["\n", "\r\n", "\r"])
WORDS = st.text(alphabet=" \tabcé漢", max_size=6)
RAW = st.lists(st.tuples(WORDS, ENDS), max_size=8).map(lambda parts: "".join(a + b for a, b in parts))
TEXTS = st.builds(lambda raw, last: raw + last, RAW, WORDS)


def applied(raw: str, splices: list[tuple[int, int, str]]) -> str:
    for start, end, new in reversed(splices):
        raw = raw[:start] + new + raw[end:]
    return raw


def test_line_ends_of_all_three_kinds_are_seen_as_one() -> None:
    lines = Lines("a\r\nb\rc\nd")
    assert lines.view == "a\nb\nc\nd"
    assert lines.ends == ("\r\n", "\r", "\n")
    assert lines.texts == ["a", "b", "c", "d"]


def test_a_text_that_ends_in_a_line_end_has_no_empty_last_line() -> None:
    assert Lines("a\r\n").texts == ["a"]
    assert Lines("").texts == []
    assert Lines("\n").texts == [""]


def test_separators_that_are_no_line_ends_of_editors_stay_inside_a_line() -> None:
    assert Lines("a\u2028b\x0cc\x85d\n").texts == ["a\u2028b\x0cc\x85d"]


@pytest.mark.parametrize(
    ("raw", "dominant"), [("", "\n"), ("a", "\n"), ("a\r\nb\r\nc\n", "\r\n"), ("a\rb\rc\n", "\r"), ("a\nb\r\n", "\n")]
)
def test_new_lines_take_the_line_end_that_occurs_most_and_the_first_of_equals(raw: str, dominant: str) -> None:
    assert Lines(raw).dominant_end == dominant


def test_context_around_a_change_keeps_its_own_line_ends() -> None:
    raw = "a\r\nb\nc\rd\r\n"
    lines = Lines(raw)
    assert applied(raw, lines.splices([(0, 6, "a\nB\nc\n")])) == "a\r\nB\nc\rd\r\n"


def test_inserted_lines_take_the_dominant_line_end() -> None:
    raw = "a\r\nb\r\nc\n"
    lines = Lines(raw)
    assert applied(raw, lines.splices([(4, 6, "c\nd\n")])) == "a\r\nb\r\nc\nd\r\n"


def test_a_line_end_that_is_replaced_by_one_keeps_its_kind() -> None:
    raw = "a\rb\nc\r\n"
    assert applied(raw, Lines(raw).splices([(0, 4, "x\ny\n")])) == "x\ry\nc\r\n"


@given(TEXTS, st.data())
def test_a_splice_changes_the_view_as_asked_and_no_byte_outside_of_it(raw: str, data: st.DataObject) -> None:
    lines = Lines(raw)
    start = data.draw(st.integers(0, len(lines.view)))
    end = data.draw(st.integers(start, len(lines.view)))
    new = lines_module.unified(data.draw(TEXTS))
    splices = lines.splices([(start, end, new)])
    after = applied(raw, splices)
    assert lines_module.unified(after) == lines.view[:start] + new + lines.view[end:]
    outside = raw[: lines.raw_offset(start)], raw[lines.raw_offset(end) :]
    assert after.startswith(outside[0]) and after.endswith(outside[1])


@given(TEXTS, st.data())
def test_whole_lines_are_replaced_and_every_other_line_keeps_its_bytes(raw: str, data: st.DataObject) -> None:
    lines = Lines(raw)
    first = data.draw(st.integers(0, len(lines.texts)))
    end = data.draw(st.integers(first, len(lines.texts)))
    new = data.draw(st.lists(WORDS, max_size=3))
    assume(new or end > first)
    start, stop, text = lines.replacement(first, end, [(line, None) for line in new])
    after = raw[:start] + text + raw[stop:]
    pieces = re.findall(r"[^\r\n]*(?:\r\n|\r|\n)|[^\r\n]+\Z", raw)
    assert after.startswith("".join(pieces[:first])) and after.endswith("".join(pieces[end:]))
    if all(new):
        assert Lines(after).texts == [*lines.texts[:first], *new, *lines.texts[end:]]


@pytest.mark.parametrize(
    ("raw", "first", "end", "new", "expected"),
    [
        ("a\nb", 1, 2, [("c", None)], "a\nc"),
        ("a\nb", 2, 2, [("c", None)], "a\nb\nc"),
        ("a\nb\n", 1, 2, [("c", "")], "a\nc"),
        ("a\r\nb\r\n", 1, 1, [("c", None)], "a\r\nc\r\nb\r\n"),
        ("", 0, 0, [("c", None)], "c\n"),
    ],
)
def test_the_end_of_a_file_stays_as_it_was(raw: str, first: int, end: int, new: list, expected: str) -> None:
    start, stop, text = Lines(raw).replacement(first, end, new)
    assert raw[:start] + text + raw[stop:] == expected


def test_a_missing_final_line_end_is_made_when_a_patch_says_so() -> None:
    start, stop, text = Lines("a\nb").replacement(1, 2, [("c", None)], ended=True)
    assert "a\nb"[:start] + text + "a\nb"[stop:] == "a\nc\n"


@pytest.mark.case("P29")
def test_a_line_end_that_would_join_its_neighbour_is_written_otherwise() -> None:
    lines = Lines("aaaaaa\raaaaaa\naaaaaa\n")
    splices = (*lines.splices([(0, len(lines.view), "\n\n\n")]), lines.replacement(0, 3, [("", None)] * 3))
    for start, end, text in splices:
        assert lines_module.unified(lines.raw[:start] + text + lines.raw[end:]) == "\n\n\n"
