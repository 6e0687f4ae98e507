"""What is given up when the window is full, and what never is."""

import pytest
from event_logs import MINE, PICTURE, finished, logs, numbered, prompt, replied
from hypothesis import given, settings
from hypothesis import strategies as st
from session_rig import strict_complaint, text_of

from goose_py.agent import compaction
from goose_py.agent.compaction import boundary, room_of
from goose_py.agent.context import fold, project
from goose_py.agent.history import CLEARED, shortened, view
from goose_py.protocol import events as ev
from goose_py.protocol.messages import Text, ToolCall, ToolMessage, ToolResult
from goose_py.protocol.plan import Plan, PlanStep

BIG = "x" * 5000


def work(steps, size=5000):
    """A turn of so many calls, each with a result of so many characters."""
    events = [ev.ContextAdded(source="environment", text="Linux"), prompt("build it, and never touch the tests", "p1")]
    for number in range(steps):
        made = ToolCall(id=f"c{number}", name="write", arguments={"path": f"f{number}.py", "content": "y"})
        events += [replied(f"step {number}", made), ev.ToolStarted(call=made), finished(made.id, f"{number}" + "x" * size)]
    return events


def entries_of(events):
    return fold(numbered(events)).entries()


def shown(events):
    return "\n".join(text_of(message) for message in fold(numbered(events)).messages())


@pytest.mark.parametrize(
    ("window", "output", "limit"),
    [(100_000, 8_000, 92_000), (100_000, None, 84_000), (16_000, 32_000, 12_000), (4_000, 4_000, 3_000), (1, 1, 1)],
)
def test_the_reserve_for_the_answer_never_takes_more_than_a_quarter(window, output, limit):
    room = room_of(window, output)
    assert room.limit == limit
    assert room.roomy <= room.full <= room.limit


def test_old_results_are_cleared_and_the_newest_three_kept():
    entries = entries_of(work(6))
    event = compaction.clear_old_results(entries, [])
    results = [r.text() for m in view(entries, [event]) if isinstance(m, ToolMessage) for r in m.results]
    assert [text == CLEARED for text in results] == [True] * 3 + [False] * 3
    assert event.tokens_after < event.tokens_before / 1.5
    assert compaction.clear_old_results(entries, [event]) is None


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_with_few_results_there_is_nothing_to_clear(steps):
    assert compaction.clear_old_results(entries_of(work(steps)), []) is None


def test_small_old_results_are_not_worth_a_new_cache():
    assert compaction.clear_old_results(entries_of(work(9, size=20)), []) is None


def test_the_largest_result_is_cut_wherever_it_stands_until_none_is_large():
    events = [*work(2), replied(ToolCall(id="huge", name="read")), finished("huge", "z" * 90_000)]
    entries, compactions = entries_of(events), []
    while (event := compaction.cut_largest_result(entries, compactions)) is not None:
        compactions.append(event)
    assert [event.results for event in compactions] == [("huge",), ("c0",), ("c1",)]
    assert all(len(text_of(message)) < 2200 for message in view(entries, compactions))


@pytest.mark.parametrize(
    ("content", "limit", "expected"),
    [
        ((Text("short"),), 0, "short"),
        ((Text(BIG),), 0, CLEARED),
        ((Text(BIG),), 9000, BIG),
        ((Text("short"), PICTURE), 0, CLEARED),
        ((Text("short"), PICTURE), 100, "short\n[A picture was left out to make room.]"),
        ((), 0, ""),
    ],
)
def test_a_result_is_shortened_without_its_pictures(content, limit, expected):
    assert shortened(ToolResult(call_id="a", content=content), limit).text() == expected


def test_a_cut_result_keeps_head_and_tail_and_says_how_much_is_gone():
    cut = shortened(ToolResult(call_id="a", content=(Text("head" + BIG + "tail"),), is_error=True), 300)
    assert cut.text().startswith("head") and cut.text().endswith("tail") and cut.is_error
    assert "[4708 characters were cut here to make room]" in cut.text()


@given(logs(), st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
def test_no_boundary_parts_a_call_from_its_result(records, tokens):
    conversation = fold(records)
    entries = conversation.entries()
    keep_from = boundary(entries, tokens)
    event = ev.ContextCompacted(summary="so far", keep_from=keep_from, method="window")
    history = project(view(entries, [event]), MINE)
    assert strict_complaint(history, whole=False) == ""


def test_a_boundary_keeps_the_last_reply_however_large_and_more_where_it_fits():
    entries = entries_of(work(6))
    replies = [entry.seq for entry in entries if text_of(entry.message).startswith("step")]
    assert boundary(entries, 0) == replies[-1]
    assert boundary(entries, 3500) == replies[-2]
    assert boundary(entries, 10**9) == replies[0]


def summary(events, plan=None, method="summary", text="We built it.", limit=4000):
    entries = entries_of(events)
    keep_from = boundary(entries, 0)
    hidden = compaction.hidden_before(entries, keep_from)
    kept = compaction.kept_word_for_word(hidden, plan, limit)
    return ev.ContextCompacted(summary=f"{text}\n\n{kept}", keep_from=keep_from, method=method)


@pytest.mark.case("U14")
def test_after_a_summary_prompt_plan_environment_conventions_files_and_rules_stand_word_for_word():
    events = [
        ev.ContextAdded(source="environment", text="Linux, bash"),
        ev.ContextAdded(source="conventions", text="Use tabs.\nNo new dependencies."),
        prompt("Always answer in German. Here is a lot of talk.", "p1"),
        replied("verstanden"),
        prompt("Now build the parser\nwith all its\n  odd spacing.", "p2"),
        *work(5)[2:],
    ]
    steps = Plan(steps=(PlanStep(title="write the parser", status="in_progress"), PlanStep(title="test it")))
    seen = shown([*events, summary(events, steps)])
    for text in (
        "Linux, bash",
        "Use tabs.\nNo new dependencies.",
        "Always answer in German. Here is a lot of talk.",
        "Now build the parser\nwith all its\n  odd spacing.",
        "[>] write the parser\n[ ] test it",
        "Files you changed: f0.py, f1.py, f2.py, f3.py",
        "We built it.",
        "step 4",
    ):
        assert text in seen
    assert "verstanden" not in seen and "step 0" not in seen


def test_a_compaction_is_undone_to_exactly_what_was_there():
    events = work(5)
    undo = ev.ContextCompacted(summary="", keep_from=0, method="undo")
    assert shown([*events, summary(events), undo]) == shown(events)
    twice = [*events, summary(events, text="first"), summary(events, text="second")]
    assert "first" in shown([*twice, undo]) and "second" not in shown([*twice, undo])
    assert shown([*twice, undo, undo, undo]) == shown(events)


def test_what_follows_an_undone_compaction_stays():
    events = work(5)
    undo = ev.ContextCompacted(summary="", keep_from=0, method="undo")
    more = [prompt("and more", "p9"), replied("of course")]
    assert shown([*events, summary(events), *more, undo]) == shown([*events, *more])


def test_a_second_summary_stands_in_place_of_the_first():
    events = work(5)
    first = [*events, summary(events, text="first")]
    second = [*first, prompt("go on", "p2"), *work(3)[2:]]
    seen = shown([*second, summary(second, text="second")])
    assert "second" in seen and "first" not in seen and "go on" in seen and "never touch the tests" in seen


def test_of_many_prompts_the_newest_stay_whole_and_the_rules_of_the_older_ones():
    prompts = [f"Talk {n}. Never use feature{n}. " + "blah " * 60 for n in range(10)]
    events = [event for n, text in enumerate(prompts) for event in (prompt(text, f"p{n}"), replied("ok"))]
    kept = compaction.kept_word_for_word(compaction.hidden_before(entries_of(events), 10**6), None, limit=2000)
    assert prompts[8].strip() in kept and prompts[0].strip() not in kept
    assert all(f"Never use feature{n}." in kept for n in range(2, 9))
    assert len(kept) < 3000


def test_the_digest_without_a_model_names_the_last_words_and_calls_with_their_outcome():
    events = [*work(30, size=10), replied(ToolCall(id="e", name="shell", arguments={"command": "make"}))]
    events += [finished("e", "no such file", is_error=True)]
    said = compaction.digest(entries_of(events))
    assert "step 29" in said and "step 2\n" not in said
    assert "The last of 31 calls" in said and said.count("\n- ") == 20
    assert said.endswith("- Shell make (failed)")


@pytest.mark.parametrize("limit", [2_000, 20_000])
def test_a_transcript_fits_however_long_the_conversation_is(limit):
    messages = fold(numbered(work(60))).messages()
    text = compaction.transcript(messages, limit)
    assert len(text) <= limit + 60
    assert text.startswith("USER:") and "characters left out" in text and text.rstrip().endswith("x")


def test_patches_and_moved_names_count_as_files_changed():
    patch = "*** Begin Patch\n*** Update File: a.py\n*** Add File: b.py\n*** End Patch"
    events = [
        prompt(),
        replied(
            ToolCall(id="1", name="read", arguments={"path": "a.py"}),
            ToolCall(id="2", name="read", arguments={"path": "c.py"}),
            ToolCall(id="3", name="developer__apply_patch", arguments={"patch": patch}),
            ToolCall(id="4", name="shell", arguments={"command": "ls"}),
        ),
    ]
    assert compaction.touched(entries_of(events)) == (["a.py", "b.py"], ["c.py"])


def test_the_estimate_counts_pictures_arguments_and_thinking():
    plain = compaction.estimate(fold(numbered([prompt("x" * 350)])).messages())
    assert 100 <= plain <= 110
    pictured = compaction.estimate(fold(numbered([prompt("x" * 350, "p", "now", PICTURE)])).messages())
    assert pictured == plain + compaction.IMAGE_TOKENS
    made = ToolCall(id="c", name="write", arguments={"content": "y" * 3500, "list": [1, {"deep": "z" * 350}]})
    assert 1100 <= compaction.estimate(fold(numbered([replied(made)])).messages()[:1]) <= 1160
