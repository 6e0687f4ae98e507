"""The scripted provider: what a file may say, and how it is played."""

from pathlib import Path

import pytest

from goose_py.protocol.deltas import TextDelta, ThinkingDelta
from goose_py.protocol.errors import ContextOverflow, GooseError, RateLimited, RequestRejected, StreamInterrupted, UserError
from goose_py.protocol.messages import (
    AssistantMessage,
    Message,
    ModelRef,
    Text,
    Thinking,
    ToolCall,
    ToolMessage,
    ToolResult,
    Usage,
    UserMessage,
)
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec
from goose_py.providers import OpenModel, ProviderSettings, open_model

ORIGIN = ModelRef(provider="scripted", model="script")
TOOLS = tuple(ToolSpec(name=name, description="", input_schema={"type": "object"}) for name in ("read", "shell"))


async def no_wait(seconds: float) -> None: ...


def opened(folder: Path, text: str, name: str = "script.yaml", **settings: object) -> OpenModel:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    chosen = ProviderSettings(script=str(path), **settings)
    return open_model(ORIGIN, chosen, now=lambda: 0.0, sleep=no_wait)


def request(*messages: Message, system: str = "sys", tools: tuple = TOOLS) -> ModelRequest:
    return ModelRequest(model="script", system=system, messages=messages or (UserMessage((Text("go"),)),), tools=tools)


async def play(model: OpenModel, asked: ModelRequest | None = None) -> tuple[list, ModelReply]:
    items = [item async for item in model.stream(asked or request())]
    return items[:-1], items[-1]


def results(*texts: str, error: bool = False) -> ToolMessage:
    return ToolMessage(tuple(ToolResult(call_id=str(n), content=(Text(text),), is_error=error) for n, text in enumerate(texts)))


async def test_a_turn_says_all_that_a_model_can_say(tmp_path: Path) -> None:
    model = opened(
        tmp_path,
        """
        version: 1
        turns:
          - text: I read the test first.
            thinking: The assertion names add().
            signature: opaque
            chunk: 5
            usage: {input_tokens: 900, output_tokens: 60, cache_read_tokens: 5}
            calls:
              - {name: read, arguments: {path: src/calc.py}, id: mine}
              - {name: shell, arguments_text: '{"a":1,}'}
        """,
    )
    deltas, reply = await play(model)
    assert "".join(delta.text for delta in deltas if isinstance(delta, TextDelta)) == "I read the test first."
    assert all(len(delta.text) <= 5 for delta in deltas if isinstance(delta, TextDelta | ThinkingDelta))
    thinking, text, first, second = reply.message.parts
    assert thinking == Thinking(text="The assertion names add().", signature="opaque")
    assert text == Text("I read the test first.")
    assert first == ToolCall(id="mine", name="read", arguments={"path": "src/calc.py"})
    assert isinstance(second, ToolCall) and second.malformed == '{"a":1,}' and second.id not in ("", "mine")
    assert reply.usage == Usage(input_tokens=900, output_tokens=60, cache_read_tokens=5)
    assert reply.message.stop_reason == "tool_calls" and reply.message.origin.provider == "scripted"


async def test_turns_are_taken_in_order_and_rules_when_they_hold(tmp_path: Path) -> None:
    model = opened(
        tmp_path,
        """
        turns:
          - {text: it failed, when: {last_contains: FAILED}, repeat: 2}
          - {text: always, when: {system_contains: SUMMARISE}, repeat: 0}
          - {text: first}
          - {text: second}
        """,
    )
    failed = request(UserMessage((Text("go"),)), results("1 FAILED"))
    said = []
    for asked in (request(), failed, request(system="SUMMARISE this"), failed, request(system="SUMMARISE this"), failed):
        said.append((await play(model, asked))[1].message.text())
    assert said == ["first", "it failed", "always", "it failed", "always", "second"]


async def test_placeholders_carry_what_was_seen_into_what_is_done(tmp_path: Path) -> None:
    model = opened(
        tmp_path,
        """
        values: {greeting: hello}
        turns:
          - capture: {test: 'FAILED (\\S+)', line: 'line \\d+'}
            text: "${greeting}, ${test} fails at ${line}; $${kept}"
            calls: [{name: shell, arguments: {command: "cd ${workspace} && pytest ${test}", env: {"${greeting}": ["${line}"]}}}]
          - {text: "again ${test}; ${last}"}
        """,
        values={"workspace": "/tmp/w"},
    )
    asked = request(UserMessage((Text("go"),)), results("x\nFAILED tests/test_a.py::test_b - oh", "at line 7"))
    _, reply = await play(model, asked)
    assert reply.message.text() == "hello, tests/test_a.py::test_b fails at line 7; ${kept}"
    (call,) = reply.message.tool_calls()
    assert call.arguments == {"command": "cd /tmp/w && pytest tests/test_a.py::test_b", "env": {"hello": ["line 7"]}}
    _, reply = await play(model, request(UserMessage((Text("what now?"),))))
    assert reply.message.text() == "again tests/test_a.py::test_b; what now?"


async def test_by_replies_the_history_says_which_turn_it_is(tmp_path: Path) -> None:
    text = "by: replies\nturns: [{text: one}, {text: two}, {text: three}]"
    history: list[Message] = [UserMessage((Text("go"),))]
    for expected in ("one", "two", "three"):
        _, reply = await play(opened(tmp_path, text), request(*history))  # opened anew: a process that was killed
        assert reply.message.text() == expected
        history += [reply.message, UserMessage((Text("and?"),))]
    with pytest.raises(RequestRejected, match="has no turn for request 1"):
        await play(opened(tmp_path, text), request(*history))


@pytest.mark.parametrize(
    ("expect", "said"),
    [
        ("{last_contains: [go, gone]}", "last_contains: 'gone'"),
        ("{last_matches: '^stop$'}", "last_matches"),
        ("{none_contains: go}", "none_contains: 'go'"),
        ("{system_contains: polite}", "system_contains: 'polite'"),
        ("{tools_include: [write]}", "the tool 'write' on offer .there are: read, shell."),
        ("{tools_exclude: [shell]}", "the tool 'shell' not to be on offer"),
        ("{replies: 2}", "replies: 2 .it is 0."),
        ("{results: 1}", "results: 1"),
        ("{model: other}", "model: 'other'"),
        ("{effort: high}", "effort: 'high'"),
        ("{last_is_error: true}", "last_is_error: True"),
    ],
)
async def test_an_expectation_that_fails_says_which_and_where(tmp_path: Path, expect: str, said: str) -> None:
    model = opened(tmp_path, f"turns: [{{text: x, expect: {expect}}}]")
    with pytest.raises(RequestRejected, match=said) as caught:
        await play(model)
    assert "turn 1 expected" in str(caught.value) and "The last message was: 'go'" in str(caught.value)


async def test_expectations_that_hold_let_the_turn_pass(tmp_path: Path) -> None:
    expect = "{last_contains: FAILED, any_contains: [go, FAILED], tools_include: [shell], results: 2, last_is_error: true}"
    model = opened(tmp_path, f"turns: [{{text: fine, expect: {expect}}}]")
    _, reply = await play(model, request(UserMessage((Text("go"),)), results("FAILED", "x", error=True)))
    assert reply.message.text() == "fine"


async def test_a_script_that_runs_out_says_so(tmp_path: Path) -> None:
    model = opened(tmp_path, "turns: [{text: only}]")
    await play(model)
    with pytest.raises(RequestRejected, match=r"script\.yaml cannot go on: it has no turn for request 2 \(1 of 1 turns used\)"):
        await play(model)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("{status: 429, message: slow down, retry_after: 2}", RateLimited),
        ("{status: 400, code: context_length_exceeded, message: too long}", ContextOverflow),
        ("{cut: true}", StreamInterrupted),
        ("{stall: true}", StreamInterrupted),
    ],
)
async def test_errors_are_scriptable_and_the_next_turn_answers_the_retry(tmp_path: Path, error: str, kind: type) -> None:
    model = opened(tmp_path, f"turns: [{{text: half, error: {error}}}, {{text: whole}}]")
    with pytest.raises(kind) as caught:
        await play(model)
    if kind is RateLimited:
        assert caught.value.retry_after == 2
    if kind is StreamInterrupted:
        assert caught.value.emitted
    assert (await play(model))[1].message.text() == "whole"


async def test_the_output_limit_drops_the_call_that_it_cut(tmp_path: Path) -> None:
    model = opened(tmp_path, "turns: [{text: x, stop: length, calls: [{name: shell, arguments: {command: ls}}]}]")
    _, reply = await play(model)
    assert reply.message.tool_calls() == () and reply.message.stop_reason == "length"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("turns: [{txt: x}]", r"unknown field `txt`.*turns"),
        ("turns: 7", "not a valid one"),
        ("{}", "missing required field `turns`"),
        ("turns: [", "cannot be parsed"),
        ("version: 2\nturns: []", "has version 2"),
        ("by: magic\nturns: []", "must be `order` or `replies`"),
        ("turns: [{capture: {a: '('}}]", r"turn 1 of the script .* a is no regular expression"),
        ("turns: [{error: {message: x}}]", "error needs `status`, `cut` or `stall`"),
        ("turns: [{chunk: 0}]", "chunk must be 1 or more"),
        ("turns: [{text: '${nobody}'}]", r"no value is known for the placeholder \$\{nobody\} \(known: last\)"),
        ("turns: [{capture: {a: nothing}, text: x}]", "nothing matches the capture 'a'"),
    ],
)
async def test_a_script_that_cannot_be_used_is_one_clear_sentence(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(GooseError, match=said) as caught:
        await play(opened(tmp_path, text))
    assert "script.yaml" in str(caught.value) and "\n" not in str(caught.value)


def test_a_script_that_is_not_there_is_one_clear_sentence(tmp_path: Path) -> None:
    settings = ProviderSettings(script=str(tmp_path / "none.yaml"))
    with pytest.raises(UserError, match=r"none\.yaml cannot be read: No such file"):
        open_model(ORIGIN, settings, now=lambda: 0.0)


async def test_json_scripts_need_no_yaml(tmp_path: Path) -> None:
    model = opened(tmp_path, '{"turns": [{"text": ["a", "bc"]}]}', "script.json")
    deltas, reply = await play(model)
    assert deltas == [TextDelta("a"), TextDelta("bc")] and reply.message.text() == "abc"


async def test_delays_are_waited_before_each_delta(tmp_path: Path) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    path = tmp_path / "s.json"
    path.write_text('{"turns": [{"text": "abcd", "chunk": 2, "delay": 0.5}]}')
    await play(open_model(ORIGIN, ProviderSettings(script=str(path)), now=lambda: 0.0, sleep=sleep))
    assert slept == [0.5, 0.5]


def test_history_holds_what_the_script_needs() -> None:
    """`AssistantMessage` counts as a reply, whatever it holds."""
    from goose_py.providers.scripted import view_of

    asked = request(UserMessage((Text("a"),)), AssistantMessage(parts=(), origin=ORIGIN), results("r"))
    view = view_of(asked)
    assert (view.replies, view.results, view.last, view.tools) == (1, 1, "r", frozenset({"read", "shell"}))
