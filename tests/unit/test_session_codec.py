"""The codec: every event and every frame survives it, one line each, whatever text it carries."""

from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from goose_py.protocol import events as ev
from goose_py.protocol import frames, messages, plan, tools
from goose_py.protocol.codec import CodecError, decode, decode_frame, decode_record, decode_request, encode

EVENTS = get_args(ev.DurableEvent)
VALUES = [
    messages.ModelRef,
    messages.Text,
    messages.Thinking,
    messages.Image,
    messages.ToolCall,
    messages.ToolResult,
    messages.AssistantMessage,
    messages.Usage,
    plan.PlanStep,
    plan.Plan,
    tools.ToolAnnotations,
    tools.ToolSpec,
    ev.Limits,
]

hard_text = st.one_of(
    st.text(max_size=20),
    st.sampled_from(["\u2028", "\u2029", "\x85", "\r\n", "\n", "\0", '"\\', "\U0001f600", "\x1b[31m", "\\u2028", "e\u0301"]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | hard_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(hard_text, inner, max_size=3),
    max_leaves=5,
)


def strategy(kind: Any) -> st.SearchStrategy[Any]:
    fields = {field.name: values_of(field.type) for field in msgspec.structs.fields(kind)}
    return st.builds(kind, **fields)


def values_of(kind: Any) -> st.SearchStrategy[Any]:
    if kind is str:
        return hard_text
    if kind is Any:
        return json_values
    if kind is float:
        return st.floats(allow_nan=False, allow_infinity=False, width=32)
    if kind is int:
        return st.integers(-(2**53), 2**53)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        return st.deferred(lambda: strategy(kind))
    arguments = get_args(kind)
    if getattr(kind, "__origin__", None) is tuple:
        return st.lists(values_of(arguments[0]), max_size=2).map(tuple)
    if getattr(kind, "__origin__", None) is dict:
        return st.dictionaries(hard_text, hard_text if kind.__args__[1] is str else json_values, max_size=2)
    if arguments and not isinstance(arguments[0], str):
        return st.one_of([values_of(option) for option in arguments])
    return st.from_type(kind)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.__name__)
def test_every_event_survives_its_record(kind):
    @given(strategy(kind), st.integers(1, 2**40))
    @settings(max_examples=25, deadline=None, database=None)
    def survives(event, seq):
        record = ev.Record(seq=seq, at=1.5, event=event)
        line = encode(record)
        assert decode_record(line) == record
        assert not any(end in line.decode() for end in "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029")
        assert len(line.decode().splitlines()) == 1

    survives()


@given(st.sampled_from([*get_args(frames.ToWorker), *get_args(frames.FromWorker)]).flatmap(strategy))
@settings(max_examples=200, deadline=None)
def test_every_frame_of_the_socket_survives(frame):
    line = encode(frame)
    read = decode_request if type(frame) in get_args(frames.ToWorker) else decode_frame
    assert read(line) == frame
    assert b"\n" not in line


@pytest.mark.parametrize("bad", ["\ud800", "a\udcffb", "\udc80" * 3])
def test_text_that_json_cannot_carry_is_written_visibly(bad):
    event = ev.Warned(text=f"name {bad}")
    read = decode(encode(event), ev.Warned)
    assert read.text == "name " + bad.encode("utf-8", "backslashreplace").decode()


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b"null", b'{"seq":1}', b'{"seq":"1","at":0,"event":{"type":"warned","text":""}}', b"\xff\xfe"]
)
def test_what_is_no_record_is_refused_with_a_codec_error(line):
    with pytest.raises(CodecError):
        decode_record(line)


def test_an_event_of_a_later_version_is_refused_and_a_later_field_is_not():
    with pytest.raises(CodecError, match="hologram"):
        decode_record(b'{"seq":1,"at":0,"event":{"type":"hologram"}}')
    assert decode_record(b'{"seq":1,"at":0,"new":1,"event":{"type":"warned","text":"x","shade":2}}').event == ev.Warned(
        text="x"
    )


def test_tags_and_fields_have_not_moved():
    """The names on disk, as one list: a change here is a change of the format."""
    names = {kind.__struct_config__.tag: list(kind.__struct_encode_fields__) for kind in EVENTS}
    assert len(names) == len(EVENTS)
    assert names["prompt_received"] == ["prompt_id", "parts", "delivery"]
    assert names["tool_finished"] == ["result", "seconds"]
    assert names["context_compacted"][:3] == ["summary", "keep_from", "method"]
