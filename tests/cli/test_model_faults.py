"""What models and their servers do wrong, met by the real command over the real wire protocols: the session survives, nothing
is run that was not completely received, and the person is told."""

import json

import pytest
from command import PLAN, PLAN_DONE, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

PROTOCOLS = ["anthropic", "responses", "chat"]
over_every_protocol = pytest.mark.parametrize("protocol", PROTOCOLS)
DONE = [{"text": "Done."}] * 6


async def run(user, turns, protocol="anthropic", *flags, text="Do it", config=""):
    """(how it ended, its events, the server)"""
    async with answered(user, turns, protocol, config=config) as server:
        ended = await user.goose("run", "-t", text, "--output-format", "json", *flags)
    assert "Traceback" not in ended.err, ended
    assert server.objections == []
    records = read_log(user.state / "tasks" / ended.json["session_id"]).records
    return ended, [record.event for record in records], server


def results(events):
    return [event.result for event in events if isinstance(event, ev.ToolFinished)]


def started(events):
    return [event.call.name for event in events if isinstance(event, ev.ToolStarted)]


def outcomes(events):
    return [event.outcome for event in events if isinstance(event, ev.TurnEnded)]


def asked(server):
    return [request for request in server.requests if request.protocol]


def broken(raw, name="write"):
    return {"calls": [{"name": name, "arguments_text": raw}]}


@pytest.mark.case("R05")
@over_every_protocol
async def test_text_that_was_cut_is_asked_for_again_and_never_stands_twice_in_the_history(user, protocol):
    turns = [{"text": "Half an answer and", "error": {"cut": True}}, {"text": "The whole answer."}, {"text": "Second."}]
    async with answered(user, turns, protocol) as server:
        ended = await user.goose("run", "-t", "Ask", "--output-format", "json")
        await user.goose("run", "--resume", ended.json["session_id"], "-t", "More")
    assert ended.json["result"] == "The whole answer." and server.objections == []
    history = json.dumps(asked(server)[-1].body)
    assert history.count("The whole answer.") == 1 and "Half an answer" not in history
    events = [record.event for record in read_log(user.state / "tasks" / ended.json["session_id"]).records]
    assert [event.attempt for event in events if isinstance(event, ev.ModelRetried)] == [1]


@pytest.mark.case("R06")
@over_every_protocol
async def test_a_call_whose_reply_never_came_to_its_end_is_not_run_but_asked_for_again(user, protocol):
    write = ("write", {"path": "once.txt", "content": "1\n"})
    turns = [{**calls(PLAN, write), "error": {"cut": True}}, {"text": "I did not write anything."}]
    ended, events, server = await run(user, turns, protocol)
    assert ended.code == 0 and started(events) == [] and len(asked(server)) == 2
    assert ended.json["changes"] is None or not ended.json["changes"]["files"]


@pytest.mark.case("R08")
@over_every_protocol
@pytest.mark.parametrize("raw", ['{"path":"a.txt","content":"x",}', '{"path":"a.txt"} and more', "{'path': 'a.txt'}"])
async def test_arguments_that_are_no_json_are_never_run_and_the_model_is_told_what_is_wrong(user, protocol, raw):
    turns = [broken(raw), calls(PLAN, ("write", {"path": "b.txt", "content": "x\n"}), PLAN_DONE), *DONE]
    ended, events, _ = await run(user, turns, protocol)
    first = results(events)[0]
    assert first.is_error and "JSON" in first.text() and "write" not in started(events)[:1]
    written = [event.call.arguments.get("path") for event in events if isinstance(event, ev.ToolStarted)]
    written = [path for path in written if path]
    assert ended.code == 0 and written == ["b.txt"]


@pytest.mark.case("R08")
@over_every_protocol
async def test_three_replies_in_a_row_with_broken_calls_end_the_turn(user, protocol):
    ended, events, server = await run(user, [broken('{"path":')] * 5, protocol)
    assert ended.code == 1 and outcomes(events) == ["stuck"] and len(asked(server)) == 3
    assert started(events) == [] and ended.json["detail"]


@pytest.mark.case("R09")
async def test_an_argument_that_the_tool_does_not_know_is_named_with_those_it_does(user):
    ended, events, _ = await run(user, [calls(("read", {"path": "cart.py", "colour": "red"})), *DONE])
    (result,) = results(events)
    assert ended.code == 0 and result.is_error and "colour" in result.text() and "path" in result.text()


@pytest.mark.case("R09")
@over_every_protocol
async def test_arguments_of_the_wrong_shape_are_answered_with_what_is_wrong_and_only_plain_coercions_are_made(user, protocol):
    wrong = [
        broken("null", "read"),
        calls(("shell", {"command": "true"})),
        broken("[1]", "read"),
        calls(("read", {})),
        calls(("shell", {"command": "true; true"})),
        calls(("read", {"path": ["cart.py"]})),
        calls(("read", {"path": "x" * 300_000})),
        calls(("shell", {"command": "echo fine", "timeout": "5"})),
    ]
    ended, events, _ = await run(user, [*wrong, *DONE], protocol)
    assert ended.code == 0, ended
    null, _, listed, missing, _, kind, huge, coerced = results(events)
    for result in (null, listed, missing, kind, huge):
        assert result.is_error, result
        assert len(result.text()) < 20_000
    assert "path" in missing.text() and "path" in kind.text()
    assert not coerced.is_error and "fine" in coerced.text()
    call = [event.call for event in events if isinstance(event, ev.ToolStarted)][-1]
    assert call.arguments["timeout"] == 5


@pytest.mark.case("R10")
@over_every_protocol
async def test_ids_that_come_twice_or_not_at_all_are_made_unique_and_each_call_gets_its_own_result(user, protocol):
    def named(call_id, word):
        return {"name": "shell", "arguments": {"command": f"echo {word}"}, "id": call_id}

    turns = [
        {"calls": [named("same", "one"), named("same", "two")]},
        {"calls": [named("same", "three"), named("", "four")]},
        *DONE,
    ]
    ended, events, _ = await run(user, turns, protocol)
    assert ended.code == 0
    answers = {result.call_id: result.text() for result in results(events)}
    made = [event.call for event in events if isinstance(event, ev.ToolStarted)]
    assert len({call.id for call in made}) == 4 and all(call.id for call in made)
    for call, word in zip(made, ("one", "two", "three", "four"), strict=True):
        assert word in answers[call.id]


@pytest.mark.case("R11")
@over_every_protocol
async def test_a_tool_that_does_not_exist_is_answered_with_those_that_do(user, protocol):
    turns = [calls(("shel", {"command": "true"})), calls(("shell", {"command": "true"})), *DONE]
    ended, events, _ = await run(user, turns, protocol)
    assert ended.code == 0 and results(events)[0].is_error and "shell" in results(events)[0].text()
    assert started(events) == ["shell"]


@pytest.mark.case("R11")
async def test_no_name_and_the_name_of_an_extension_that_is_off_are_answered_and_not_for_ever(user):
    turns = [calls(("", {"x": 1})), calls(("memory__remember", {"x": 2})), calls(("shel", {"command": "x"})), *DONE]
    ended, events, server = await run(user, turns)
    assert [result.is_error for result in results(events)] == [True] * 3 and started(events) == []
    assert ended.code == 1 and outcomes(events) == ["stuck"] and len(asked(server)) == 3


@pytest.mark.case("R12")
@over_every_protocol
@pytest.mark.parametrize("turn", [{}, {"text": " \n "}, {"thinking": "Hm."}], ids=["nothing", "blank", "only thought"])
async def test_an_empty_reply_is_asked_about_twice_and_then_the_turn_ends_with_a_message(user, protocol, turn):
    ended, events, server = await run(user, [turn] * 5, protocol)
    assert ended.code == 1 and outcomes(events) == ["failed"] and len(asked(server)) == 3
    assert "no usable reply" in ended.json["detail"]


@pytest.mark.case("R13")
@pytest.mark.parametrize(
    ("protocol", "stop"),
    [*((protocol, "refusal") for protocol in PROTOCOLS), ("responses", "content_filter"), ("chat", "content_filter")],
)
async def test_a_refusal_is_shown_as_one_and_not_asked_again_and_the_session_goes_on(user, protocol, stop):
    said = {} if (protocol, stop) == ("chat", "refusal") else {"text": "I will not."}  # chat has a field of its own for it
    async with answered(user, [{**said, "stop": stop}, {"text": "That I can do."}], protocol) as server:
        ended = await user.goose("run", "-t", "Do harm", "--output-format", "json")
        assert len(asked(server)) == 1 and ended.code in (1, 5), ended
        assert ("The model refused" if stop == "refusal" else "content filter") in ended.json["detail"]
        after = await user.goose("run", "--resume", ended.json["session_id"], "-t", "Be kind", "--output-format", "json")
    assert after.json["result"] == "That I can do." and server.objections == []


@pytest.mark.case("R14")
@over_every_protocol
async def test_a_text_that_the_output_limit_cut_goes_on_and_a_cut_call_is_never_run(user, protocol):
    turns = [
        {"text": "Part one", "stop": "length"},
        {**calls(("write", {"path": "big.txt", "content": "half"}), text="Now I write"), "stop": "length"},
        calls(PLAN, ("write", {"path": "big.txt", "content": "whole\n"}), PLAN_DONE),
        *DONE,
    ]
    ended, events, server = await run(user, turns, protocol)
    assert ended.code == 0
    assert [event.call.arguments.get("content") for event in events if isinstance(event, ev.ToolStarted)][1] == "whole\n"
    told = [event.text for event in events if isinstance(event, ev.ContextAdded) and "output limit" in event.text]
    assert len(told) == 2 and "smaller pieces" in told[0]
    assert "output limit" in json.dumps(asked(server)[2].body)


VENDORS = [
    ("anthropic", 400, "", "prompt is too long: 213462 tokens > 200000 maximum"),
    ("chat", 400, "context_length_exceeded", "This model's maximum context length is 128000 tokens, yours have 140000."),
    ("responses", 400, "", "Your input exceeds the context window of this model. Please adjust your input and try again."),
    ("chat", 400, "", "The input token count (1200000) exceeds the maximum number of tokens allowed (1048576)."),
    ("chat", 400, "", "Prompt contains 40000 tokens and 0 draft tokens, too large for model with 32768 maximum context length"),
    ("chat", 400, "", "This endpoint's maximum context length is 32768 tokens, but you requested about 40000."),
    ("chat", 400, "", "the request exceeds the available context size. try increasing the context size"),
    ("anthropic", 413, "request_too_large", "Request exceeds the maximum size"),
]  # fmt: skip


@pytest.mark.case("R15")
@pytest.mark.parametrize(("protocol", "status", "code", "message"), VENDORS)
async def test_a_conversation_that_is_too_long_is_compacted_once_and_sent_again(user, protocol, status, code, message):
    (user.repository / "long.txt").write_text("".join(f"line {number} of many\n" for number in range(1500)))
    user.commit("A long file")
    reading = [calls(("read", {"path": "long.txt", "offset": 1 + 200 * number, "limit": 200})) for number in range(6)]
    summary = {"text": "The file is long and dull.", "when": {"tools_exclude": ["read"]}, "repeat": 0}
    turns = [summary, *reading, {"error": {"status": status, "code": code, "message": message}}, {"text": "It is a long file."}]
    ended, events, server = await run(user, turns, protocol)
    assert ended.code == 0 and ended.json["result"] == "It is a long file."
    assert len([event for event in events if isinstance(event, ev.ContextCompacted)]) == 1
    with_tools = [request for request in asked(server) if request.body.get("tools")]
    assert len(with_tools) == len(reading) + 2
    assert len(with_tools[-1].raw) < len(with_tools[-2].raw)


@pytest.mark.case("R15")
async def test_a_message_of_two_megabytes_that_fits_nowhere_fails_at_once_and_can_be_taken_back(user):
    file = user.root / "prompt.txt"
    file.write_text("why " * 500_000)
    refusal = {"error": {"status": 400, "message": "prompt is too long: 500000 tokens > 200000 maximum"}, "repeat": 0}
    turns = [{**refusal, "when": {"any_contains": "why why"}}, *DONE]
    async with answered(user, turns) as server:
        ended = await user.goose("run", "-i", str(file), "--output-format", "json")
    assert ended.code == 5 and "too long" in ended.json["detail"] and "Traceback" not in ended.err
    assert len(asked(server)) <= 4


@pytest.mark.case("R18")
async def test_the_same_call_over_and_over_is_warned_about_and_then_ends_the_turn(user):
    ended, events, server = await run(user, [calls(("read", {"path": "cart.py"}))] * 10)
    assert ended.code == 1 and outcomes(events) == ["stuck"] and len(asked(server)) < 10
    assert any("exact call had this exact result" in result.text() for result in results(events))
    assert "same arguments" in ended.json["detail"]


@pytest.mark.case("R18")
async def test_a_model_that_never_stops_is_stopped_by_the_usual_limit_with_the_reason(user):
    turns = [calls(("read", {"path": "cart.py", "limit": 1 + number})) for number in range(500)]
    async with answered(user, turns) as server:
        ended = await user.goose("run", "-t", "Read on", "--output-format", "json", seconds=120)
    assert ended.code == 4 and ended.json["outcome"] == "limit" and "200 model turns" in ended.json["detail"]
    assert len(asked(server)) == 200


@pytest.mark.case("R17")
@over_every_protocol
@pytest.mark.parametrize("usage", [None, "absurd"])
async def test_where_a_provider_does_not_count_the_budget_holds_by_estimate_and_says_so(user, protocol, usage):
    below = dict.fromkeys(("input_tokens", "prompt_tokens", "output_tokens", "completion_tokens"), -5)
    wire = {"usage": None if usage is None else below}
    turns = [{**calls(("read", {"path": "cart.py", "limit": number + 1})), "wire": wire} for number in range(9)]
    ended, events, server = await run(user, turns, protocol, "--max-tokens", "3000")
    assert ended.code == 4 and len(asked(server)) < 4
    counted = [event.usage.estimated for event in events if isinstance(event, ev.UsageRecorded)]
    assert counted == [True] * len(asked(server))
    cost = await user.goose("cost", ended.json["session_id"])
    assert "~" in cost.out and "estimates" in cost.out
