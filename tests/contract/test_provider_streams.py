"""What comes back: each protocol, through plain HTTP and through the official SDK, against the loopback server."""

import asyncio
import json

import pytest
from wire import WireServer
from wire.client import ALL_ROADS, ROADS, answering, ask, ask_once, asking, connect

from goose_py.protocol.deltas import TextDelta, ThinkingDelta, ToolCallDelta
from goose_py.protocol.errors import EndpointUnreachable, StreamInterrupted
from goose_py.protocol.messages import Text, Thinking, ToolCall, ToolMessage, ToolResult, Usage
from goose_py.providers.scripted import ScriptedCall, ScriptedError, Turn

roads = pytest.mark.parametrize(("protocol", "transport"), ROADS)
all_roads = pytest.mark.parametrize(("protocol", "transport"), ALL_ROADS)

LS = ScriptedCall(name="shell", arguments={"command": "ls -la"})
CAT = ScriptedCall(name="read", arguments={"path": "café/ü.py"})


@all_roads
async def test_text_thinking_and_parallel_calls_arrive_whole_and_in_order(protocol: str, transport: str) -> None:
    turn = Turn(text="Ich prüfe das: 日本語 🙂.", thinking="First, look.", signature="opaque", calls=[LS, CAT], chunk=3)
    async with WireServer([turn]) as server:
        model = connect(server, protocol, transport)
        deltas, reply = await ask(model, asking())
        await model.close()
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "Ich prüfe das: 日本語 🙂."
    assert "".join(delta.text for delta in deltas if isinstance(delta, ThinkingDelta)) == "First, look."
    assert {delta.name for delta in deltas if isinstance(delta, ToolCallDelta)} == {"shell", "read"}
    thinking, text, *calls = reply.message.parts
    assert isinstance(thinking, Thinking) and thinking.text == "First, look."
    assert text == Text("Ich prüfe das: 日本語 🙂.")
    assert [(call.name, call.arguments) for call in calls if isinstance(call, ToolCall)] == [
        ("shell", {"command": "ls -la"}),
        ("read", {"path": "café/ü.py"}),
    ]
    assert reply.message.stop_reason == "tool_calls"
    assert server.objections == []


@pytest.mark.parametrize(("protocol", "transport"), [road for road in ROADS if road[0] != "chat"])
async def test_signed_thinking_comes_back_to_the_provider_as_it_was(protocol: str, transport: str) -> None:
    async with WireServer([Turn(thinking="Deep.", signature="proof==", calls=[LS]), Turn(text="done")]) as server:
        model = connect(server, protocol, transport)
        request = asking()
        _, reply = await ask(model, request)
        await ask(model, answering(request, reply))
        await model.close()
        second = server.requests[1].body
    if protocol == "anthropic":
        assert second["messages"][1]["content"][0] == {"type": "thinking", "thinking": "Deep.", "signature": "proof=="}
    else:
        summary = [{"type": "summary_text", "text": "Deep."}]
        item = {"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "proof=="}
        assert second["input"][1] == item and second["store"] is False
    assert server.objections == []


@roads
async def test_cached_tokens_are_counted_apart_from_those_at_full_price(protocol: str, transport: str) -> None:
    usage = Usage(input_tokens=120, output_tokens=30, cache_read_tokens=900, cache_write_tokens=40)
    async with WireServer([Turn(text="ok", usage=usage)]) as server:
        reply = await ask_once(server, protocol, transport, asking())
    assert reply.usage == usage
    assert reply.usage.context_tokens == 1_090


@all_roads
@pytest.mark.parametrize(
    "reported",
    [
        None,
        {},
        {"input_tokens": 0, "output_tokens": 0, "prompt_tokens": 0, "completion_tokens": 0, "eval_count": 0},
        {"input_tokens": -5, "output_tokens": -1, "prompt_tokens": -5, "completion_tokens": -1, "prompt_eval_count": -5},
        {"input_tokens": 10**15, "output_tokens": 3, "prompt_tokens": 10**15, "prompt_eval_count": 10**15},
        {"input_tokens": "many", "output_tokens": 3, "prompt_tokens": "many", "prompt_eval_count": "many"},
    ],
    ids=["none", "empty", "zeros", "negative", "absurd", "text"],
)
async def test_missing_or_absurd_usage_becomes_an_estimate_that_says_so(
    protocol: str, transport: str, reported: object
) -> None:
    async with WireServer([Turn(text="x" * 400, wire={"usage": reported})]) as server:
        reply = await ask_once(server, protocol, transport, asking("y" * 4_000))
    assert reply.usage.estimated
    assert 1_000 < reply.usage.input_tokens < 1_500 and reply.usage.output_tokens == 100


@all_roads
@pytest.mark.parametrize(
    "wire",
    [{}, {"abrupt": True, "cut_events": 5}, {"reset": True, "cut_events": 5}],
    ids=["clean end", "torn body", "tcp reset"],
)
async def test_a_stream_cut_in_the_text_is_interrupted_and_never_a_reply(protocol: str, transport: str, wire: dict) -> None:
    turn = Turn(text="one two three four five six seven eight", chunk=4, error=ScriptedError(cut=True), wire=wire)
    async with WireServer([turn]) as server:
        model = connect(server, protocol, transport)
        with pytest.raises(StreamInterrupted) as caught:
            await ask(model, asking())
        await model.close()
    assert caught.value.emitted or wire.get("reset")  # a reset may overtake what was sent before it
    assert "stopped before its end" in str(caught.value) or "broke off" in str(caught.value)


@pytest.mark.parametrize(("protocol", "transport"), ROADS)
async def test_a_stream_that_ends_cleanly_within_arguments_gives_no_call(protocol: str, transport: str) -> None:
    call = ScriptedCall(name="read", arguments_text='{"path": "a')
    async with WireServer([Turn(calls=[call], error=ScriptedError(cut=True))]) as server:
        model = connect(server, protocol, transport)
        with pytest.raises(StreamInterrupted):
            await ask(model, asking())
        await model.close()
    assert len(server.requests) == 1


@roads
async def test_no_byte_at_which_a_stream_is_cut_gives_a_call_that_was_not_received(protocol: str, transport: str) -> None:
    """Every hundredth byte of the stream, up to its end."""
    whole = Turn(text="I look.", calls=[ScriptedCall(name="read", arguments={"path": "a" * 60})], chunk=9)
    outcomes: set[str] = set()
    turns = [Turn(text=whole.text, calls=whole.calls, chunk=9, wire={"cut_bytes": size}) for size in range(0, 2_600, 100)]
    async with WireServer(turns) as server:
        model = connect(server, protocol, transport)
        for _ in turns:
            try:
                _, reply = await ask(model, asking())
            except StreamInterrupted:
                outcomes.add("interrupted")
            else:
                outcomes.add("whole")
                assert [call.arguments for call in reply.message.tool_calls()] == [{"path": "a" * 60}]
        await model.close()
    assert "interrupted" in outcomes


@pytest.mark.case("R07")
@roads
@pytest.mark.parametrize(
    "wire",
    [
        {"newline": "\r\n"},
        {"newline": "\r"},
        {"comments": True},
        {"multiline": True},
        {"unknown": True},
        {"bom": True},
        {"split": 1},
        {"split": 1, "newline": "\r\n", "bom": True, "comments": True, "multiline": True},
    ],
    ids=["crlf", "cr", "comments", "multi-line", "unknown event", "bom", "split utf-8", "all of them"],
)
async def test_whatever_the_sse_specification_allows_is_understood(protocol: str, transport: str, wire: dict) -> None:
    async with WireServer([Turn(text="naïve — 日本 🙂", calls=[LS], wire=wire)]) as server:
        reply = await ask_once(server, protocol, transport, asking())
    assert reply.message.text() == "naïve — 日本 🙂"
    assert [call.arguments for call in reply.message.tool_calls()] == [{"command": "ls -la"}]


@pytest.mark.case("R07")
@roads
async def test_a_line_of_five_megabytes_is_one_event(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text=["a" * 5_000_000])]) as server:
        reply = await ask_once(server, protocol, transport, asking())
    assert len(reply.message.text()) == 5_000_000


@pytest.mark.case("R07")
@roads
@pytest.mark.parametrize("broken", ['{"type": "content_block_del', "[1, 2]", "not json", "the protocol's own event, misshapen"])
async def test_an_event_that_is_no_event_of_the_protocol_interrupts_the_stream(
    protocol: str, transport: str, broken: str
) -> None:
    misshapen = {
        "anthropic": '{"type": "content_block_delta", "index": 0, "delta": 7}',
        "responses": '{"type": "response.output_text.delta"}',
        "chat": '{"choices": 7}',
    }
    if broken.startswith("the protocol"):
        broken = misshapen[protocol]
    async with WireServer([Turn(text="hello", wire={"insert": broken, "insert_after": 1})]) as server:
        model = connect(server, protocol, transport)
        with pytest.raises(StreamInterrupted):
            await ask(model, asking())
        await model.close()


@all_roads
@pytest.mark.parametrize("raw", ['{"a":1,}', '{"a":1} and more', "{'a': 1}", '{"a":', "null", "[1]", '"text"', "7"])
async def test_arguments_that_are_no_json_object_are_kept_as_they_were_and_never_guessed(
    protocol: str, transport: str, raw: str
) -> None:
    async with WireServer([Turn(calls=[ScriptedCall(name="shell", arguments_text=raw)]), Turn(text="again")]) as server:
        model = connect(server, protocol, transport)
        request = asking()
        _, reply = await ask(model, request)
        (call,) = reply.message.tool_calls()
        assert call.arguments == {} and reply.message.stop_reason == "tool_calls"
        if not (protocol == "ollama" and raw in ("null",)):
            assert call.malformed is not None
        error = ToolResult(call_id=call.id, content=(Text("the arguments were no JSON object"),), is_error=True)
        await ask(model, answering(request, reply, error))
        await model.close()
    assert server.objections == []


@roads
async def test_no_arguments_at_all_are_an_empty_object(protocol: str, transport: str) -> None:
    async with WireServer([Turn(calls=[ScriptedCall(name="shell", arguments_text="")])]) as server:
        reply = await ask_once(server, protocol, transport, asking())
    (call,) = reply.message.tool_calls()
    assert (call.arguments, call.malformed) == ({}, None)


@roads
async def test_ids_that_are_empty_repeated_or_used_before_become_unique_and_results_find_their_calls(
    protocol: str, transport: str
) -> None:
    same = [
        ScriptedCall(name="shell", arguments={"command": str(number)}, id=call_id)
        for number, call_id in enumerate(("dup", "dup", "", "we ird/id"))
    ]
    async with WireServer([Turn(calls=same), Turn(calls=same), Turn(text="done")]) as server:
        model = connect(server, protocol, transport)
        request = asking()
        seen: list[str] = []
        for turn in range(2):
            _, reply = await ask(model, request)
            calls = reply.message.tool_calls()
            assert [call.arguments["command"] for call in calls] == ["0", "1", "2", "3"]
            seen += [call.id for call in calls]
            results = [ToolResult(call_id=call.id, content=(Text(f"{turn} {call.arguments['command']}"),)) for call in calls]
            request = answering(request, reply, *results)
        await ask(model, request)
        await model.close()
        last = server.requests[2].body
    assert len(set(seen)) == 8 and "" not in seen
    assert server.objections == []
    assert _pairs(protocol, last) == [(str(number), f"{turn} {number}") for turn in range(2) for number in range(4)]


def _pairs(protocol: str, body: dict) -> list[tuple[str, str]]:
    """The command of each call, and the text of the result that bears its id."""
    calls: dict[str, str] = {}
    found: list[tuple[str, str]] = []
    if protocol == "anthropic":
        for message in body["messages"]:
            for block in message["content"]:
                if block["type"] == "tool_use":
                    calls[block["id"]] = block["input"]["command"]
                elif block["type"] == "tool_result":
                    found.append((calls[block["tool_use_id"]], block["content"][0]["text"]))
    elif protocol == "responses":
        for item in body["input"]:
            if item["type"] == "function_call":
                calls[item["call_id"]] = item["arguments"].split('"')[3]
            elif item["type"] == "function_call_output":
                found.append((calls[item["call_id"]], item["output"]))
    else:
        for message in body["messages"]:
            for call in message.get("tool_calls") or ():
                calls[call["id"]] = call["function"]["arguments"].split('"')[3]
            if message["role"] == "tool":
                found.append((calls[message["tool_call_id"]], message["content"]))
    return found


@pytest.mark.parametrize("wire", [{"index_zero": True}, {"no_index": True}])
async def test_a_chat_server_that_does_not_number_its_calls_is_understood(wire: dict) -> None:
    async with WireServer([Turn(calls=[LS, CAT], chunk=4, wire=wire)]) as server:
        reply = await ask_once(server, "chat", "http", asking())
    assert [call.arguments for call in reply.message.tool_calls()] == [{"command": "ls -la"}, {"path": "café/ü.py"}]


@all_roads
@pytest.mark.parametrize(
    "turn", [Turn(), Turn(text="  \n "), Turn(thinking="only thought")], ids=["none", "blank", "thought"]
)
async def test_an_empty_reply_is_a_reply_after_which_the_conversation_can_go_on(
    protocol: str, transport: str, turn: Turn
) -> None:
    async with WireServer([turn, Turn(text="here I am")]) as server:
        model = connect(server, protocol, transport)
        first = asking()
        _, reply = await ask(model, first)
        assert reply.message.stop_reason == "end" and not reply.message.text().strip()
        _, reply = await ask(model, asking("Please answer.", history=(*first.messages, reply.message)))
        await model.close()
    assert reply.message.text() == "here I am"
    assert server.objections == []


@pytest.mark.parametrize(
    ("protocol", "transport", "stop"),
    [(*road, "refusal") for road in ROADS] + [(*road, "content_filter") for road in ROADS if road[0] != "anthropic"],
)
async def test_a_refusal_and_a_content_filter_are_said_as_such_and_leave_a_valid_history(
    protocol: str, transport: str, stop: str
) -> None:
    text = "" if protocol == "chat" and stop == "refusal" else "I will not."
    async with WireServer([Turn(text=text, stop=stop), Turn(text="fine")]) as server:
        model = connect(server, protocol, transport)
        first = asking()
        _, reply = await ask(model, first)
        assert reply.message.stop_reason == stop
        await ask(model, asking("Then do this.", history=(*first.messages, reply.message)))
        await model.close()
    assert len(server.requests) == 2 and server.objections == []


@all_roads
async def test_the_output_limit_in_the_text_is_said(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="half a sen", stop="length")]) as server:
        reply = await ask_once(server, protocol, transport, asking())
    assert reply.message.stop_reason == "length" and reply.message.text() == "half a sen"


@roads
@pytest.mark.parametrize("raw", ['{"command": "rm -rf /tm', "", '{"command": "rm -rf /tmp"}'])
async def test_a_call_that_the_output_limit_cut_is_dropped_even_where_it_looks_complete(
    protocol: str, transport: str, raw: str
) -> None:
    turn = Turn(text="I clean up.", calls=[LS, ScriptedCall(name="shell", arguments_text=raw)], stop="length")
    async with WireServer([turn, Turn(text="ok")]) as server:
        model = connect(server, protocol, transport)
        request = asking()
        _, reply = await ask(model, request)
        assert reply.message.stop_reason == "length"
        assert [call.arguments for call in reply.message.tool_calls()] == [{"command": "ls -la"}]
        await ask(model, answering(request, reply))
        await model.close()
    assert server.objections == []


@pytest.mark.case("R16")
@all_roads
@pytest.mark.parametrize(
    ("wire", "timeouts", "said"),
    [
        ({"hang": True}, {"first_byte": 0.3}, "no answer began within 0.3 s"),
        ({"stall_events": 0}, {"first_byte": 0.3}, "no answer began within 0.3 s"),
        ({"stall_events": 3}, {"idle": 0.3}, "nothing came for 0.3 s"),
        ({"trickle": 0.1}, {"first_byte": 0.5}, "no answer began within 0.5 s"),
    ],
    ids=["silence", "head then silence", "silence in the answer", "a byte now and then"],
)
async def test_a_stalled_stream_is_given_up(protocol: str, transport: str, wire: dict, timeouts: dict, said: str) -> None:
    async with WireServer([Turn(text="never to be completed, never", chunk=4, wire=wire)]) as server:
        model = connect(server, protocol, transport, timeouts=timeouts)
        with pytest.raises(StreamInterrupted, match=said):
            await ask(model, asking())
        await server.abandoned()
        await model.close()


@pytest.mark.case("R16")
@roads
async def test_keep_alives_alone_do_not_keep_a_request_alive_for_ever(protocol: str, transport: str) -> None:
    turn = Turn(text="never", chunk=1, wire={"stall_events": 3, "pings": 0.05})
    async with WireServer([turn]) as server:
        model = connect(server, protocol, transport, timeouts={"idle": 5, "stall": 0.5})
        with pytest.raises(StreamInterrupted, match=r"nothing but keep-alives came for 0.5 s"):
            await ask(model, asking())
        await model.close()


@pytest.mark.case("R16")
@roads
async def test_a_slow_answer_that_goes_on_is_not_given_up(protocol: str, transport: str) -> None:
    turn = Turn(text="slow but steady", chunk=1, delay=0.05)
    async with WireServer([turn]) as server:
        reply = await ask_once(server, protocol, transport, asking(), timeouts={"idle": 0.5, "first_byte": 0.7})
    assert reply.message.text() == "slow but steady"


@pytest.mark.parametrize(("protocol", "transport"), [road for road in ROADS if road[0] != "responses"])
@pytest.mark.parametrize("wire", [{"cut_events": -1}, {"stall_events": -1}])
async def test_an_answer_that_is_whole_is_not_thrown_away_because_its_last_line_is_missing(
    protocol: str, transport: str, wire: dict
) -> None:
    """The text, its end reason and (chat) the figures were received; `[DONE]` or `message_stop` was not."""
    turn = Turn(text="whole")
    async with WireServer([turn]) as probe:
        await ask_once(probe, protocol, transport, asking())
    count = {"anthropic": 6, "chat": 4}[protocol]
    turn = Turn(text="whole", wire={key: count for key in wire})
    async with WireServer([turn]) as server:
        reply = await ask_once(server, protocol, transport, asking(), timeouts={"idle": 0.3})
    assert reply.message.text() == "whole"


@all_roads
async def test_an_abandoned_stream_closes_its_connection(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="a" * 2_000, chunk=1, delay=0.01)]) as server:
        model = connect(server, protocol, transport)
        stream = model.stream(asking())
        await anext(stream)
        await stream.aclose()
        await server.abandoned()
        await model.close()


@roads
async def test_requests_one_after_another_use_one_connection(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="a"), Turn(text="b"), Turn(text="c")]) as server:
        model = connect(server, protocol, transport)
        for _ in range(3):
            await ask(model, asking())
        await model.close()
    assert server.connections == 1


async def test_a_prompt_that_ollama_cut_is_detected_and_the_remedy_named() -> None:
    """What the server read is less than the words that were sent."""
    from goose_py.protocol.errors import ContextOverflow

    usage = {"prompt_eval_count": 900, "eval_count": 3}
    async with WireServer([Turn(text="what?", wire={"usage": usage})]) as server:
        model = connect(server, "ollama", profile={"context_window": 32_768})
        with pytest.raises(ContextOverflow, match=r"read only 900 of about [\d,]+ tokens.*context_window"):
            await ask(model, asking("some words " * 4_000))
        await model.close()


async def test_a_prompt_of_long_runs_is_not_taken_for_a_cut_one() -> None:
    """Tokenizers make one token of many dashes: few tokens are no proof."""
    async with WireServer([Turn(text="a line", wire={"usage": {"prompt_eval_count": 300, "eval_count": 3}})]) as server:
        reply = await ask_once(server, "ollama", "http", asking("-" * 40_000))
    assert reply.message.text() == "a line"


async def test_results_with_pictures_reach_every_protocol() -> None:
    from goose_py.protocol.messages import Image

    picture = Image(media_type="image/png", data="aGVsbG8=")
    for protocol in ("anthropic", "responses", "chat", "ollama"):
        async with WireServer([Turn(calls=[LS]), Turn(text="I see")]) as server:
            model = connect(server, protocol)
            request = asking()
            _, reply = await ask(model, request)
            (call,) = reply.message.tool_calls()
            shown = ToolResult(call_id=call.id, content=(Text("a plot"), picture))
            await ask(model, answering(request, reply, shown))
            await model.close()
            assert server.requests[1].raw.count(b"aGVsbG8=") == 1, protocol
            assert server.objections == [], protocol


def test_tool_messages_keep_the_order_of_the_calls() -> None:
    """`answering`, which these tests rely on, keeps it."""
    from goose_py.protocol.messages import AssistantMessage, ModelRef
    from goose_py.protocol.model_io import ModelReply

    calls = tuple(ToolCall(id=str(number), name="shell") for number in range(3))
    message = AssistantMessage(parts=calls, origin=ModelRef(provider="p", model="m"))
    after = answering(asking(), ModelReply(message=message, usage=Usage())).messages[-1]
    assert isinstance(after, ToolMessage) and [result.call_id for result in after.results] == ["0", "1", "2"]


@roads
async def test_a_server_that_does_not_stream_is_understood_where_its_protocol_allows(protocol: str, transport: str) -> None:
    """Chat and Responses carry the whole answer in one object; Anthropic's is another shape, which is an interruption."""
    call = {"id": "c", "type": "function", "function": {"name": "shell", "arguments": '{"command": "ls"}'}}
    message = {"role": "assistant", "content": "whole", "tool_calls": [call]}
    item = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "whole"}]}
    called = {"type": "function_call", "call_id": "c", "name": "shell", "arguments": '{"command": "ls"}'}
    bodies = {
        "chat": {"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]},
        "responses": {"type": "response.completed", "response": {"status": "completed", "output": [item, called]}},
        "anthropic": {"type": "message", "content": [{"type": "text", "text": "whole"}]},
    }
    body = json.dumps(bodies[protocol])
    raw = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    async with WireServer([Turn(wire={"raw": raw})]) as server:
        model = connect(server, protocol, transport)
        if protocol == "anthropic":
            with pytest.raises(StreamInterrupted):
                await ask(model, asking())
        else:
            _, reply = await ask(model, asking())
            assert reply.message.text() == "whole" and reply.message.tool_calls()[0].arguments == {"command": "ls"}
        await model.close()


@all_roads
async def test_a_web_page_is_no_model(protocol: str, transport: str) -> None:
    raw = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 19\r\n\r\n<html>Login</html>\n"
    async with WireServer([Turn(wire={"raw": raw})]) as server:
        model = connect(server, protocol, transport)
        with pytest.raises(EndpointUnreachable, match=r"a web page.*is the base URL right"):
            await ask(model, asking())
        await model.close()


@all_roads
async def test_preparing_a_model_in_a_thread_changes_nothing_but_the_time(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="a"), Turn(text="b")]) as server:
        model = connect(server, protocol, transport)
        await asyncio.to_thread(model.prepare)
        for text in ("a", "b"):
            assert (await ask(model, asking()))[1].message.text() == text
        await model.close()
    assert server.connections == 1


@all_roads
async def test_a_server_without_keys_is_sent_none(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="a")]) as server:
        await ask_once(server, protocol, transport, asking(), api_key=None)
        headers = server.requests[0].headers
    assert "authorization" not in headers and "x-api-key" not in headers


@pytest.mark.parametrize("protocol", ["anthropic", "ollama"])
async def test_a_consumer_that_takes_its_time_is_not_taken_for_a_silent_server(protocol: str) -> None:
    words = "".join(f"{number} " for number in range(40))
    async with WireServer([Turn(text=words, chunk=2)]) as server:
        model = connect(server, protocol, timeouts={"idle": 0.2, "stall": 0.2, "first_byte": 0.2})
        heard, reply = "", None
        async for item in model.stream(asking()):
            if not heard:
                await asyncio.sleep(0.5)  # longer than any of the limits
            heard += getattr(item, "text", "") if isinstance(item, TextDelta) else ""
            reply = item
        await model.close()
    assert heard == words and reply.message.text() == words
