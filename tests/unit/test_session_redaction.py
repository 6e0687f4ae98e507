"""Secrets in events: all texts of one are looked at together first, and none may hide in that."""

import pytest

from goose_py.protocol import events as ev
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.redact import redactor
from goose_py.session.redaction import redacted

KEY = "sk-ant-" + "a" * 40


@pytest.mark.parametrize("texts", [(KEY, "after"), ("before", KEY), ("x", f"two\nlines {KEY}"), ("://user:", "pass://u:secret@h")])
def test_a_secret_is_found_wherever_in_an_event_it_stands(texts: tuple[str, ...]) -> None:
    event = ev.ToolFinished(result=ToolResult(call_id="1", content=tuple(Text(text) for text in texts)))
    clean = redacted(event, redactor())
    assert isinstance(clean, ev.ToolFinished)
    assert "[redacted" in clean.result.text()
    assert KEY not in clean.result.text()
    assert ":secret@" not in clean.result.text()


def test_a_secret_is_found_in_nested_arguments_and_their_names() -> None:
    call = ToolCall(id="1", name="t", arguments={"deep": [{"er": "known-to-us"}], "known-to-us": "x"})
    clean = redacted(ev.ToolStarted(call=call), redactor(["known-to-us"]))
    assert isinstance(clean, ev.ToolStarted)
    assert clean.call.arguments == {"deep": [{"er": "[redacted]"}], "[redacted]": "x"}


def test_what_spans_two_texts_is_no_secret_and_changes_neither() -> None:
    event = ev.ToolFinished(result=ToolResult(call_id="1", content=(Text(KEY[:10]), Text(KEY[10:]))))
    assert redacted(event, redactor()) == event


def test_an_event_without_a_secret_stays_the_same_object() -> None:
    event = ev.Warned(text="nothing to see: https://host/?a=b&c=d")
    assert redacted(event, redactor(["known-to-us"])) is event
