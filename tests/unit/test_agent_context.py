"""The fold of the log into what a model sees, and its projection onto the model that answers."""

import pytest
from event_logs import MINE, OTHER, PICTURE, damaged_logs, finished, logs, numbered, prompt, replied
from hypothesis import given, settings
from session_rig import strict_complaint, text_of

from goose_py.agent.context import LOST_BEGINNING, NEVER_STARTED, UNKNOWN_OUTCOME, Conversation, fold, project
from goose_py.protocol import events as ev
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    ModelRef,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)

A, B = ToolCall(id="a", name="read"), ToolCall(id="b", name="read")


def messages(*events):
    return fold(numbered(list(events))).messages()


def texts(*events):
    return [text_of(message) for message in messages(*events)]


def pieces(history):
    """A history as the parts that are serialised one after the other."""
    return [
        (type(message).__name__, part)
        for message in history
        for part in (message.results if isinstance(message, ToolMessage) else message.parts)
    ]


@given(logs())
@settings(max_examples=150, deadline=None)
def test_every_prefix_of_every_log_is_accepted_by_a_strict_provider(records):
    conversation = Conversation()
    for record in records:
        conversation.feed(record)
        history = project(conversation.messages(), MINE)
        assert not history or strict_complaint(history, whole=False) == ""


@given(damaged_logs())
@settings(max_examples=150, deadline=None)
def test_a_log_of_which_any_records_are_lost_is_accepted_too(records):
    history = project(fold(records).messages(), OTHER, images=False)
    assert not history or strict_complaint(history, whole=False) == ""


@given(logs())
@settings(max_examples=150, deadline=None)
def test_what_was_said_only_grows_at_its_end_until_it_is_compacted(records):
    conversation, before, open_calls = Conversation(), [], False
    for record in records:
        conversation.feed(record)
        now = pieces(conversation.messages())
        if not open_calls and not isinstance(record.event, ev.ContextCompacted):
            assert now[: len(before)] == before
        before, open_calls = now, bool(conversation.unanswered())


@given(logs())
@settings(max_examples=100, deadline=None)
def test_a_fold_that_is_fed_in_two_halves_is_the_fold_of_the_whole(records):
    half = fold(records[: len(records) // 2])
    for record in records[len(records) // 2 :]:
        half.feed(record)
    assert half.messages() == fold(records).messages()


def test_a_call_that_had_started_is_closed_as_unknown_and_one_that_had_not_as_never_run():
    history = messages(prompt(), replied(A, B), ev.ToolStarted(call=A))
    assert history[-1] == ToolMessage(
        (
            ToolResult(call_id="a", content=(Text(UNKNOWN_OUTCOME),), is_error=True),
            ToolResult(call_id="b", content=(Text(NEVER_STARTED),), is_error=True),
        )
    )


def test_results_stand_in_the_order_of_the_calls_whatever_the_order_in_which_they_came():
    history = messages(prompt(), replied(A, B), finished("b", "second"), finished("a", "first"))
    assert [result.text() for result in history[-1].results] == ["first", "second"]


def test_a_result_that_comes_after_its_turn_was_closed_changes_nothing():
    before = messages(prompt(), replied(A), ev.TurnEnded(outcome="interrupted"))
    assert messages(prompt(), replied(A), ev.TurnEnded(outcome="interrupted"), finished("a", "late")) == before


def test_a_result_without_a_call_is_dropped():
    assert messages(prompt(), finished("x"), replied("hello")) == messages(prompt(), replied("hello"))


def test_what_the_harness_says_while_calls_are_open_comes_after_their_results():
    assert texts(prompt(), replied(A), ev.ContextAdded(source="conventions", text="use tabs"), finished("a", "out")) == [
        "do it",
        "",
        "out",
        "<harness source='conventions'>\nuse tabs\n</harness>",
    ]


@pytest.mark.parametrize("delivery", ["steer", "queue"])
def test_a_prompt_that_waits_is_not_seen_before_it_is_delivered(delivery):
    waiting = (prompt(), prompt("later", "q", delivery), replied("done"))
    assert texts(*waiting) == ["do it", "done"]
    assert texts(*waiting, ev.PromptDelivered(prompt_id="q")) == ["do it", "done", "later"]
    assert texts(*waiting, ev.PromptWithdrawn(prompt_id="q"), ev.PromptDelivered(prompt_id="q")) == ["do it", "done"]


def test_an_id_used_again_in_a_later_turn_is_paired_by_position():
    history = messages(
        prompt(), replied(A), finished("a", "one"), replied("ok"), prompt("again"), replied(A), finished("a", "two")
    )
    assert [text_of(message) for message in history if isinstance(message, ToolMessage)] == ["one", "two"]


def test_an_id_used_twice_in_one_reply_gives_one_answer_to_each_call():
    history = messages(prompt(), replied(A, A), finished("a", "one"))
    assert [result.call_id for result in history[-1].results] == ["a", "a"]
    assert strict_complaint(history) == ""


@pytest.mark.parametrize("scope", ["conversation", "both"])
@pytest.mark.parametrize(
    ("to_seq", "left"), [(0, []), (1, ["do it"]), (3, ["do it", "", "out"]), (9, ["do it", "", "out", "hi"])]
)
def test_a_conversation_that_is_rewound_forgets_what_came_after(scope, to_seq, left):
    rewound = ev.Rewound(tree="t", undo="u", scope=scope, to_seq=to_seq)
    said = [prompt(), replied(A), finished("a", "out"), replied("hi")]
    assert texts(*said, rewound) == left
    assert texts(*said, ev.Rewound(tree="t", undo="u")) == texts(*said)


def test_a_compaction_that_is_rewound_is_no_more():
    said = [prompt(), replied("hi"), ev.ContextCompacted(summary="short", keep_from=2, method="window")]
    assert "short" in texts(*said)[0]
    assert texts(*said, ev.Rewound(tree="t", undo="u", scope="both", to_seq=2)) == ["do it", "hi"]


SIGNED = Thinking(text="because", signature="sig")


@pytest.mark.parametrize(
    ("model", "kept"),
    [
        (MINE, True),
        (ModelRef(provider="test", model="tester", effort="high"), True),
        (ModelRef(provider="test", model="other"), False),
        (OTHER, False),
    ],
)
def test_signed_thinking_goes_only_to_the_model_that_made_it(model, kept):
    projected = project(messages(prompt(), replied(SIGNED, "so", A)), model)
    assert (SIGNED in projected[1].parts) is kept
    assert projected[1].parts[-2:] == (Text("so"), A)


def test_switching_there_and_back_gives_the_first_model_its_own_history_again():
    history = messages(prompt(), replied(SIGNED, "so"), prompt("go on"), replied("mine", origin=OTHER), prompt("and"))
    assert project(history, MINE) == history
    assert project(history, OTHER)[1] == AssistantMessage(parts=(Text("so"),), origin=MINE)


def test_a_model_without_eyes_reads_that_there_was_a_picture():
    history = messages(
        prompt("look", "p", "now", PICTURE),
        replied(A),
        ev.ToolFinished(result=ToolResult(call_id="a", content=(Text("shot"), PICTURE))),
    )
    projected = project(history, MINE, images=False)
    shown = [part for part in (*projected[0].parts, *projected[2].results[0].content)]
    assert not any(isinstance(part, Image) for part in shown)
    assert shown[1] == Text("[an image (image/png), which this model cannot see]")
    assert project(history, MINE) == history


@pytest.mark.parametrize("parts", [(), ("",), (" \n",), (SIGNED,)])
def test_a_reply_without_content_is_left_out_and_its_neighbours_are_merged(parts):
    projected = project(messages(prompt("one"), replied(*parts), prompt("two"), replied("ok")), MINE)
    assert [text_of(message) for message in projected] == ["one\ntwo", "ok"]


def test_blank_text_is_left_out_of_a_reply_that_says_something():
    assert project(messages(prompt(), replied("", "word", " ")), MINE)[1].parts == (Text("word"),)


def test_a_history_that_lost_its_first_message_says_so():
    projected = project(messages(replied("hello"), prompt("and")), MINE)
    assert LOST_BEGINNING in text_of(projected[0])
    assert strict_complaint(projected) == ""


def test_two_replies_in_a_row_are_one_message():
    projected = project(messages(prompt(), replied("first"), replied("second", A), finished("a")), MINE)
    assert [type(message) for message in projected] == [UserMessage, AssistantMessage, ToolMessage]
    assert projected[1].text() == "firstsecond"
