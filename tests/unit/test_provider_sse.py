"""Bytes into events, however they are cut."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from goose_py.providers.sse import EventStream, Lines, ServerEvent

TEXT = "".join(
    (
        "\ufeff: hello\r\n\r\n",
        'event: a\ndata: {"x": "日本 🙂"}\n\n',
        "data: one\rdata:two\r\r",
        "event: only a name\n\n",
        "data\n\n",
        "id: 3\nretry: 5\nunknown\ndata:  kept space\r\n\r\n",
        "data: never finished",
    )
).encode()
EVENTS = [
    ServerEvent("", None),
    ServerEvent("a", '{"x": "日本 🙂"}'),
    ServerEvent("", "one\ntwo"),
    ServerEvent("", ""),
    ServerEvent("", " kept space"),
]


def read(*chunks: bytes) -> list[ServerEvent]:
    stream = EventStream()
    return [event for chunk in chunks for event in stream.feed(chunk)]


def test_every_form_that_the_specification_allows_is_read_and_a_half_event_is_not() -> None:
    assert read(TEXT) == EVENTS


@given(st.lists(st.integers(0, len(TEXT)), max_size=30))
def test_the_places_where_a_stream_is_cut_do_not_matter(places: list[int]) -> None:
    bounds = [0, *sorted(places), len(TEXT)]
    assert read(*(TEXT[start:end] for start, end in pairwise(bounds))) == EVENTS


@given(st.lists(st.text(alphabet="ab: \u2028\u0085é", max_size=5), max_size=8), st.sampled_from(["\n", "\r\n", "\r"]))
def test_only_line_feeds_and_carriage_returns_end_a_line(texts: list[str], end: str) -> None:
    """U+2028 and U+0085 are text here, unlike for `str.splitlines`."""
    found = read("".join(f"data: {text}{end}{end}" for text in texts).encode())
    assert [event.data for event in found] == texts


def test_lines_keep_their_unfinished_rest() -> None:
    lines = Lines()
    assert list(lines.feed(b"a\nb")) == [b"a"] and lines.rest() == b"b"
    assert list(lines.feed(b"c\r\n")) == [b"bc\r"] and lines.rest() == b""
