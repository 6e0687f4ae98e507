"""What goes out: one request, whichever road it takes; stable from turn to turn; acceptable to a strict provider."""

import re
from itertools import pairwise

import msgspec
import pytest
from wire import WireServer
from wire.client import ALL_ROADS, KEY, READ, ROADS, SHELL, answering, ask, ask_once, asking, connect

from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
    Message,
    ModelRef,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolResult,
    UserMessage,
)
from goose_py.protocol.model_io import ModelRequest
from goose_py.providers import ProviderSettings, open_model
from goose_py.providers.scripted import ScriptedCall, Turn

FOREIGN = ModelRef(provider="elsewhere", model="other")
PICTURE = Image(media_type="image/png", data="aGVsbG8=")


def rich_history() -> tuple[Message, ...]:
    """All that a history may hold: pictures, signed, unsigned and redacted thinking, odd ids, malformed and failed calls."""
    calls = (
        ToolCall(id="we ird/id", name="shell", arguments={"command": "ls", "nested": {"a": [1, None, True]}}),
        ToolCall(id="x" * 200, name="read", malformed='{"path": '),
    )
    results = (
        ToolResult(call_id="we ird/id", content=(Text("a\nb"), PICTURE)),
        ToolResult(call_id="x" * 200, content=(Text("the arguments were no JSON object"),), is_error=True),
    )
    return (
        UserMessage((Text("Look at this."), PICTURE)),
        UserMessage((Text("And quickly."),)),
        AssistantMessage(
            parts=(
                Thinking(text="I see.", signature="sig", item_id="rs_9"),
                Thinking(redacted=True, signature="opaque"),
                Text("I look. "),
                *calls,
            ),
            origin=FOREIGN,
            stop_reason="tool_calls",
        ),
        ToolMessage(results),
        AssistantMessage(parts=(Text("Done."), Thinking(text="unsigned")), origin=FOREIGN),
        AssistantMessage(parts=(), origin=FOREIGN),
        UserMessage((Text("Half a \ud83d character."), Text("  "))),
        AssistantMessage(parts=(ToolCall(id="quiet", name="shell"),), origin=FOREIGN),
        ToolMessage((ToolResult(call_id="quiet"),)),
    )


@pytest.mark.parametrize("protocol", ["anthropic", "responses", "chat"])
async def test_both_transports_send_the_same_request(protocol: str) -> None:
    """Method, path, body and every header that a provider looks at."""
    async with WireServer([Turn(text="a"), Turn(text="b")], key=KEY) as server:
        for transport in ("http", "sdk"):
            request = asking(history=rich_history(), effort="high", cache_key="session-1", max_output_tokens=30_000)
            await ask_once(server, protocol, transport, request, headers={"x-team": "blue"})
        plain, official = server.requests
    assert server.objections == []
    assert (plain.method, plain.path) == (official.method, official.path)
    assert plain.body == official.body
    assert list(plain.body) == list(official.body), "the order of the keys is part of the prefix"
    for name in ("authorization", "anthropic-version", "content-type", "x-team", "x-api-key"):
        assert plain.headers.get(name) == official.headers.get(name), name
    assert plain.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("transport", ["http", "sdk"])
async def test_a_compatible_anthropic_server_gets_the_key_in_both_places_and_the_older_version(transport: str) -> None:
    async with WireServer([Turn(text="a")], key=KEY) as server:
        settings = ProviderSettings(
            preset="anthropic-compatible", base_url=server.url + "/v1/", api_key=KEY, transport=transport
        )
        model = open_model(ModelRef(provider="mine", model="glm-9"), settings, now=lambda: 0.0)
        await ask(model, asking())
        await model.close()
        (request,) = server.requests
    assert request.path == "/v1/messages"
    assert request.headers["x-api-key"] == KEY and request.headers["authorization"] == f"Bearer {KEY}"
    assert request.headers["anthropic-version"] == "2023-06-01"


@pytest.mark.parametrize(("protocol", "transport"), ALL_ROADS)
async def test_any_history_is_acceptable_to_a_strict_provider(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="fine")]) as server:
        reply = await ask_once(server, protocol, transport, asking(history=rich_history()))
        assert server.objections == []
    assert reply.message.text() == "fine"


@pytest.mark.parametrize(("protocol", "transport"), ALL_ROADS)
async def test_each_request_begins_with_the_bytes_of_the_one_before(protocol: str, transport: str) -> None:
    """Only what closes the list of messages differs. Anthropic's cache markers, which move and are not hashed, are left
    out of the comparison. A third request comes from another process: opened anew, from a history that was written down."""
    turns = [
        Turn(thinking="t", signature="s", text="a", calls=[ScriptedCall(name="shell", arguments={"command": "ls"})]),
        Turn(text="b", calls=[ScriptedCall(name="read", arguments={"path": "p"}, id="")]),
        Turn(text="c"),
    ]
    async with WireServer(turns) as server:
        model = connect(server, protocol, transport)
        request = asking(cache_key="k", effort="medium", tools=(SHELL, READ))
        for _ in range(2):
            _, reply = await ask(model, request)
            request = answering(request, reply)
        await model.close()
        resumed = msgspec.json.decode(msgspec.json.encode(request), type=ModelRequest)
        model = connect(server, protocol, transport)
        await ask(model, msgspec.structs.replace(resumed, tools=(READ, SHELL)))
        await model.close()
        bodies = [re.sub(rb',"cache_control":\{"type":"ephemeral"\}', b"", request.raw) for request in server.requests]
    for earlier, later in pairwise(bodies):
        stable = earlier.removesuffix(b"]}")
        assert len(stable) == len(earlier) - 2
        assert later.startswith(stable)
        assert len(later) > len(earlier)


async def test_anthropic_cache_markers_stand_behind_tools_system_and_the_last_two_inputs() -> None:
    turns = [Turn(calls=[ScriptedCall(name="shell")]) for _ in range(3)] + [Turn(text="end")]
    async with WireServer(turns) as server:
        model = connect(server, "anthropic")
        request = asking()
        for _ in turns:
            _, reply = await ask(model, request)
            request = answering(request, reply)
        await model.close()
        body = server.requests[-1].body
    assert [("cache_control" in tool) for tool in body["tools"]] == [False, True]
    assert "cache_control" in body["system"][-1]
    marked = [place for place, message in enumerate(body["messages"]) if "cache_control" in str(message)]
    assert marked == [len(body["messages"]) - 3, len(body["messages"]) - 1]
    assert server.objections == []


async def test_the_cache_key_reaches_openai_only() -> None:
    async with WireServer([Turn(text="a"), Turn(text="b")]) as server:
        await ask_once(server, "responses", "http", asking(cache_key="session-7"))
        await ask_once(server, "anthropic", "http", asking(cache_key="session-7"))
        first, second = (request.body for request in server.requests)
    assert first["prompt_cache_key"] == "session-7" and "prompt_cache_key" not in second


@pytest.mark.parametrize(
    ("protocol", "effort", "sent"),
    [
        ("anthropic", None, {}),
        (
            "anthropic",
            "high",
            {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "high"}},
        ),
        ("anthropic", "off", {"thinking": {"type": "disabled"}}),
        ("anthropic", "minimal", {"output_config": {"effort": "low"}}),
        ("responses", "max", {"reasoning": {"effort": "xhigh", "summary": "auto"}}),
        ("responses", None, {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}),
        ("responses", "minimal", {"reasoning": {"effort": "low", "summary": "auto"}}),
    ],
)
async def test_effort_is_said_in_the_words_of_the_provider(protocol: str, effort: str | None, sent: dict) -> None:
    async with WireServer([Turn(text="a")]) as server:
        await ask_once(server, protocol, "http", asking(effort=effort))
        body = server.requests[0].body
    assert {key: body.get(key) for key in sent} == sent
    if not sent:
        assert "thinking" not in body and "output_config" not in body


@pytest.mark.parametrize(
    ("provider", "model", "effort", "sent"),
    [
        ("deepseek", "deepseek-v4-pro", "off", {"thinking": {"type": "disabled"}}),
        ("deepseek", "deepseek-v4-pro", "max", {"thinking": {"type": "enabled"}, "reasoning_effort": "max"}),
        ("zhipu", "glm-5.2", "low", {"thinking": {"type": "enabled"}}),
        ("dashscope", "qwen3.7-max", "high", {"enable_thinking": True}),
        ("openrouter", "anthropic/claude-sonnet-5", "high", {"reasoning": {"effort": "high"}}),
        ("gemini", "gemini-3.5-flash", "medium", {"reasoning_effort": "medium"}),
        ("vllm", "qwen3-8b", "off", {"chat_template_kwargs": {"enable_thinking": False}}),
        ("mistral", "devstral-latest", "high", {}),
    ],
)
async def test_presets_say_effort_as_their_servers_want_it(provider: str, model: str, effort: str, sent: dict) -> None:
    async with WireServer([Turn(text="a")]) as server:
        settings = ProviderSettings(base_url=server.base_url("chat"), api_key=KEY)
        opened = open_model(ModelRef(provider=provider, model=model), settings, now=lambda: 0.0)
        await ask(opened, asking(effort=effort))
        await opened.close()
        body = server.requests[0].body
    assert server.objections == []
    words = {"thinking", "reasoning_effort", "enable_thinking", "reasoning", "chat_template_kwargs"}
    assert {key: value for key, value in body.items() if key in words} == sent


async def test_a_thinking_budget_stays_below_the_output_limit() -> None:
    async with WireServer([Turn(text="a"), Turn(text="b")]) as server:
        for limit in (64_000, 6_000):
            settings = ProviderSettings(base_url=server.url, api_key=KEY)
            model = open_model(ModelRef(provider="anthropic", model="claude-haiku-4-5"), settings, now=lambda: 0.0)
            await ask(model, asking(effort="high", max_output_tokens=limit))
            await model.close()
        budgets = [request.body["thinking"]["budget_tokens"] for request in server.requests]
    assert budgets == [16_384, 4_976]
    assert server.objections == []


async def test_mistral_gets_ids_of_nine_characters_and_no_user_message_behind_results() -> None:
    async with WireServer([Turn(text="a")]) as server:
        settings = ProviderSettings(base_url=server.base_url("chat"), api_key=KEY)
        model = open_model(ModelRef(provider="mistral", model="devstral-latest"), settings, now=lambda: 0.0)
        call = ToolCall(id="toolu_01ABCDEFGHIJKLMNOP", name="shell", arguments={"command": "ls"})
        history = (
            UserMessage((Text("go"),)),
            AssistantMessage(parts=(call,), origin=FOREIGN),
            ToolMessage((ToolResult(call_id=call.id, content=(Text("ok"),)),)),
        )
        await ask(model, asking("stop", history=history))
        await model.close()
        messages = server.requests[0].body["messages"]
    call_id = messages[2]["tool_calls"][0]["id"]
    assert re.fullmatch(r"[A-Za-z0-9]{9}", call_id) and messages[3]["tool_call_id"] == call_id
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "assistant", "user"]


async def test_a_server_that_wants_its_reasoning_back_gets_it() -> None:
    """DeepSeek and Moonshot refuse a turn with tools whose reasoning is missing."""
    async with WireServer([Turn(thinking="hm", calls=[ScriptedCall(name="shell")]), Turn(text="ok")], strict=False) as server:
        settings = ProviderSettings(base_url=server.base_url("chat"), api_key=KEY)
        model = open_model(ModelRef(provider="deepseek", model="deepseek-v4-pro"), settings, now=lambda: 0.0)
        request = asking()
        _, reply = await ask(model, request)
        await ask(model, answering(request, reply))
        await model.close()
        assistant = server.requests[1].body["messages"][2]
    assert assistant["reasoning_content"] == "hm"


def test_geminis_thought_signature_returns_on_the_call_that_it_came_with() -> None:
    from goose_py.providers import resolve
    from goose_py.providers.protocols import chat

    profile = resolve(ModelRef(provider="gemini", model="gemini-3.5-flash"))
    request = asking()
    reader = chat.Reader(request, profile)
    google = {"google": {"thought_signature": "c2ln"}}
    function = {"name": "shell", "arguments": "{}"}
    call = {"index": 0, "id": "c1", "type": "function", "extra_content": google, "function": function}
    reader.feed({"choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}]})
    reply = reader.finish()
    sent = chat.to_request(answering(request, reply), profile)["messages"][2]["tool_calls"]
    assert sent == [{"id": "c1", "type": "function", "function": function, "extra_content": google}]


def test_openrouters_reasoning_details_return_as_they_came() -> None:
    from goose_py.providers import resolve
    from goose_py.providers.protocols import chat

    profile = resolve(ModelRef(provider="openrouter", model="anthropic/claude-sonnet-5"))
    request = asking()
    reader = chat.Reader(request, profile)
    detail = {"type": "reasoning.text", "text": "hm", "signature": "sig", "index": 0}
    reader.feed({"choices": [{"index": 0, "delta": {"reasoning": "hm", "reasoning_details": [detail]}}]})
    reader.feed({"choices": [{"index": 0, "delta": {"content": "x"}, "finish_reason": "stop"}]})
    follow = asking(history=(*request.messages, reader.finish().message))
    assert chat.to_request(follow, profile)["messages"][2]["reasoning_details"] == [detail]


async def test_ollama_is_always_told_its_window_and_never_sent_more_than_fits() -> None:
    from goose_py.protocol.errors import ContextOverflow

    async with WireServer([Turn(text="a")]) as server:
        model = connect(server, "ollama", profile={"context_window": 8_192})
        await ask(model, asking())
        with pytest.raises(ContextOverflow, match=r"larger than the window.*8,192.*context_window.*fewer tools"):
            await ask(model, asking("x" * 40_000))
        await model.close()
    assert len(server.requests) == 1, "what does not fit is not sent"
    assert server.requests[0].body["options"]["num_ctx"] == 8_192


@pytest.mark.parametrize(("protocol", "transport"), ROADS)
async def test_pictures_become_words_for_a_model_that_takes_none(protocol: str, transport: str) -> None:
    async with WireServer([Turn(text="a")]) as server:
        await ask_once(server, protocol, transport, asking(history=rich_history()), profile={"images": False})
        raw = server.requests[0].raw
    assert b"aGVsbG8=" not in raw and raw.count(b"this model takes none") == 2
    assert server.objections == []
