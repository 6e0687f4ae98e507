"""A byte stream cut into lines within a bound, and what can be said of a line beyond it."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from goose_py.toolbox.lines import HEAD, LineSplitter, TooLong, answered_id, leading_text


def split(cap: int, *chunks: bytes) -> list[bytes | TooLong]:
    splitter = LineSplitter(cap)
    return [item for chunk in chunks for item in splitter.feed(chunk)]


@given(st.lists(st.binary(max_size=8), max_size=12))
def test_lines_are_those_of_the_stream_however_it_is_cut_into_chunks(chunks: list[bytes]) -> None:
    splitter = LineSplitter(1000)
    lines = [line for chunk in chunks for line in splitter.feed(chunk)]
    assert b"\n".join([*lines, splitter.rest()]) == b"".join(chunks)


def test_a_line_beyond_the_cap_is_told_once_when_it_passes_and_once_at_its_end() -> None:
    first, second, after = split(10, b"0123456", b"789abc", b"def\nok\n")
    assert first == TooLong(head=b"0123456789abc", tail=b"", size=13, ended=False)
    assert second == TooLong(head=b"0123456789abc", tail=b"0123456789abcdef", size=16, ended=True)
    assert after == b"ok"


def test_a_line_of_exactly_the_cap_is_whole() -> None:
    assert split(4, b"abcd\n") == [b"abcd"]


def test_the_splitter_holds_no_more_than_its_cap_of_an_endless_line() -> None:
    splitter = LineSplitter(100_000)
    chunk = b"x" * 50_000
    tracemalloc.start()
    try:
        for _ in range(400):
            list(splitter.feed(chunk))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 500_000


def long_line(message: bytes) -> TooLong:
    return TooLong(head=message[:HEAD], tail=message[-1024:], size=len(message), ended=True)


BIG = {"content": [{"type": "text", "text": 'say "id":9 }' * 20_000, "id": 9}]}


@pytest.mark.parametrize("wanted", [7, 0, "seven", "a-1"])
def test_the_id_is_found_before_the_result(wanted: int | str) -> None:
    assert answered_id(long_line(json.dumps({"jsonrpc": "2.0", "id": wanted, "result": BIG}).encode())) == wanted


@pytest.mark.parametrize("wanted", [7, "seven"])
@pytest.mark.parametrize("order", [("result", "jsonrpc", "id"), ("jsonrpc", "result", "id"), ("result", "id", "jsonrpc")])
def test_the_id_is_found_after_the_result(wanted: int | str, order: tuple[str, ...]) -> None:
    values = {"jsonrpc": "2.0", "id": wanted, "result": BIG}
    message = json.dumps({key: values[key] for key in order}).encode()
    assert answered_id(long_line(message)) == wanted


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 100_000,
        b'{"jsonrpc":"2.0","result":{"id":4,"text":"' + b"x" * 100_000,
        b'{"id":4,"text":"' + b"x" * 100_000,
        b'{"jsonrpc":"2.0","id":{},"result":"' + b"x" * 100_000,
    ],
)
def test_where_there_is_no_id_none_is_made_up(line: bytes) -> None:
    assert answered_id(long_line(line)) is None


@pytest.mark.parametrize("cut", range(1, 40))
def test_text_is_read_up_to_the_cut_wherever_it_falls(cut: int) -> None:
    text = 'ab"\\ \n\té世\U0001f600 end'
    whole = json.dumps({"result": {"content": [{"type": "text", "text": text}]}}).encode()
    start = whole.index(b'"text": "') + len(b'"text": "')
    read = leading_text(whole[: start + cut])
    assert text.startswith(read) or text.startswith(read.rstrip("\ud83d"))
    assert len(read) >= (cut - 12) // 12


def test_texts_of_several_blocks_are_joined() -> None:
    head = b'{"result":{"content":[{"type":"text","text":"one"},{"type":"text","text":"tw'
    assert leading_text(head) == "one\ntw"
