"""Calls that a model writes as text: what is taken for one, what is not, and what is shown meanwhile."""

from collections.abc import AsyncIterator

import msgspec
import pytest

from goose_py.protocol.deltas import TextDelta
from goose_py.protocol.messages import (
    AssistantMessage,
    Image,
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
from goose_py.providers import ProviderSettings, resolve
from goose_py.providers.protocols.text_calls import TextCalls, extract, prompted

NAMES = {"shell", "read_file"}
LS = ("shell", {"command": "ls"})
READ = ("read_file", {"path": "a.py"})

WRITTEN = {
    "bare JSON": ('{"name": "shell", "arguments": {"command": "ls"}}', [LS], ""),
    "other keys": ('{"tool": "shell", "parameters": {"command": "ls"}}', [LS], ""),
    "OpenAI's form": (
        '{"type": "function", "function": {"name": "shell", "arguments": "{\\"command\\": \\"ls\\"}"}}',
        [LS],
        "",
    ),
    "a list": ('[{"name": "shell", "arguments": {"command": "ls"}}]', [LS], ""),
    "one a line": (
        '{"name": "shell", "arguments": {"command": "ls"}}\n{"name": "read_file", "arguments": {"path": "a.py"}}',
        [LS, READ],
        "",
    ),
    "after words": ('I will look.\n{"name": "shell", "arguments": {"command": "ls"}}', [LS], "I will look."),
    "pretty printed": ('Look:\n{\n  "name": "shell",\n  "arguments": {\n    "command": "ls"\n  }\n}\n', [LS], "Look:"),
    "a fence": ('Let me see.\n```json\n{"name": "shell", "arguments": {"command": "ls"}}\n```', [LS], "Let me see."),
    "two fences": (
        '```json\n{"name": "shell", "arguments": {"command": "ls"}}\n```\n```json\n'
        '{"name": "read_file", "arguments": {"path": "a.py"}}\n```',
        [LS, READ],
        "",
    ),
    "Hermes tags": (
        'So:\n<tool_call>\n{"name": "shell", "arguments": {"command": "ls"}}\n</tool_call>\n'
        '<tool_call>{"name": "read_file", "arguments": {"path": "a.py"}}</tool_call>',
        [LS, READ],
        "So:",
    ),
    "tags amid words": (
        'First <tool_call>{"name": "shell", "arguments": {"command": "ls"}}</tool_call> and then I will see.',
        [LS],
        "First\nand then I will see.",
    ),
    "Qwen Coder": (
        "<tool_call>\n<function=shell>\n<parameter=command>\nls\n</parameter>\n</function>\n</tool_call>",
        [LS],
        "",
    ),
    "Llama's form": ('<function=shell>{"command": "ls"}</function>', [LS], ""),
    "Anthropic's form": (
        '<function_calls><invoke name="shell"><parameter name="command">ls</parameter></invoke></function_calls>',
        [LS],
        "<function_calls>\n</function_calls>",
    ),
    "Mistral": ('[TOOL_CALLS][{"name": "shell", "arguments": {"command": "ls"}}]', [LS], ""),
    "Llama 3": ('<|python_tag|>{"name": "shell", "parameters": {"command": "ls"}}', [LS], ""),
    "the tool's own tag": ('<shell>{"command": "ls"}</shell>', [LS], ""),
    "values of other types": (
        "<function=shell>\n<parameter=timeout>\n30\n</parameter>\n<parameter=command>\necho \"30\"\n</parameter>\n</function>",
        [("shell", {"timeout": 30, "command": 'echo "30"'})],
        "",
    ),
}

PROSE = {
    "no such tool": '{"name": "format_disk", "arguments": {}}',
    "JSON that is data": '{"name": "goose", "version": "1.0"}',
    "an example that is talked about": 'So:\n```json\n{"name": "shell", "arguments": {"command": "rm -rf /"}}\n```\nDo not.',
    "within a sentence": 'The entry {"name": "shell", "arguments": {"command": "ls"}} is wrong.',
    "incomplete": '{"name": "shell", "arguments": {"command": "ls"',
    "an open tag": '<tool_call>{"name": "shell", "arguments": {"command": "ls"}}',
    "a list with something else": '[{"name": "shell", "arguments": {"command": "ls"}}, 3]',
    "arguments that are no object": '{"name": "shell", "arguments": ["ls"]}',
    "a word": "shell",
    "a command in a fence": "```sh\nls\n```",
    "a tag that names no tool": "<function=format_disk></function>",
    "half JSON in tags": '<tool_call>{"name": "shell", "arguments": {"command": </tool_call>',
}  # fmt: skip


@pytest.mark.parametrize("name", WRITTEN)
def test_a_written_call_is_recognised(name: str) -> None:
    text, calls, rest = WRITTEN[name]
    assert extract(text, NAMES) == (calls, rest)


@pytest.mark.parametrize("name", PROSE)
def test_prose_is_left_alone(name: str) -> None:
    assert extract(PROSE[name], NAMES) == ([], PROSE[name])


class Says:
    """A model that says these pieces."""

    profile = resolve(ModelRef(provider="ollama", model="qwen3:8b"))

    def __init__(self, *pieces: str, parts: tuple = (), stop: str = "end") -> None:
        self._pieces = pieces
        self._parts = parts or (Text("".join(pieces)),)
        self._stop = stop

    async def stream(self, request: ModelRequest) -> AsyncIterator[TextDelta | ModelReply]:
        for piece in self._pieces:
            yield TextDelta(piece)
        origin = ModelRef(provider="p", model="m")
        message = AssistantMessage(parts=self._parts, origin=origin, stop_reason=self._stop)
        yield ModelReply(message=message, usage=Usage(input_tokens=1))

    async def close(self) -> None: ...


TOOLS = tuple(ToolSpec(name=name, description="", input_schema={"type": "object"}) for name in sorted(NAMES))
REQUEST = ModelRequest(model="m", system="", messages=(UserMessage((Text("go"),)),), tools=TOOLS)


async def heard(model: Says, request: ModelRequest = REQUEST) -> tuple[str, AssistantMessage]:
    shown, reply = "", None
    async for item in TextCalls(model).stream(request):
        if isinstance(item, ModelReply):
            reply = item
        else:
            shown += item.text
    assert reply is not None
    return shown, reply.message


@pytest.mark.parametrize("name", WRITTEN)
async def test_a_written_call_becomes_a_real_one_and_its_text_is_not_shown(name: str) -> None:
    text, calls, rest = WRITTEN[name]
    shown, message = await heard(Says(*text))
    assert [(call.name, call.arguments) for call in message.tool_calls()] == calls
    assert message.stop_reason == "tool_calls" and message.text() == rest
    assert len({call.id for call in message.tool_calls()}) == len(calls)
    assert "arguments" not in shown and "parameter" not in shown


@pytest.mark.parametrize("name", PROSE)
async def test_prose_is_shown_whole_and_runs_nothing(name: str) -> None:
    shown, message = await heard(Says(*PROSE[name]))
    assert shown == PROSE[name] == message.text()
    assert message.tool_calls() == () and message.stop_reason == "end"


async def test_ordinary_text_is_shown_at_once() -> None:
    seen: list[str] = []
    async for item in TextCalls(Says("Hello ", "there. ", "How <are> you?")).stream(REQUEST):
        seen.append(item.text if isinstance(item, TextDelta) else "END")
    assert seen == ["Hello ", "there. ", "How <are> you?", "END"]


async def test_calls_that_the_server_recognised_pass_untouched() -> None:
    native = ToolCall(id="1", name="shell", arguments={"command": "ls"})
    parts = (Text('{"name": "shell", "arguments": {"command": "rm"}}'), native)
    _, message = await heard(Says(parts=parts, stop="tool_calls"))
    assert message.parts == parts


async def test_a_reply_that_was_cut_is_left_as_it_is() -> None:
    text = '{"name": "shell", "arguments": {"command": "ls"}}'
    shown, message = await heard(Says(text, stop="length"))
    assert shown == text == message.text() and message.tool_calls() == ()


async def test_without_tools_nothing_is_recognised_or_held_back() -> None:
    text = '{"name": "shell", "arguments": {"command": "ls"}}'
    shown, message = await heard(Says(text), ModelRequest(model="m", system="", messages=()))
    assert shown == text and message.tool_calls() == ()


async def test_thinking_stays_in_front_of_the_calls() -> None:
    parts = (Thinking(text="hm"), Text('<tool_call>{"name": "shell", "arguments": {}}</tool_call>'))
    _, message = await heard(Says(parts=parts))
    assert [type(part) for part in message.parts] == [Thinking, ToolCall]


def test_a_model_without_tools_is_told_of_them_in_words_and_its_history_is_written_alike() -> None:
    call = ToolCall(id="1", name="shell", arguments={"command": "ls"})
    origin = ModelRef(provider="p", model="m")
    picture = Image(media_type="image/png", data="aA==")
    asked = ModelRequest(
        model="m",
        system="Be good.",
        tools=TOOLS,
        messages=(
            UserMessage((Text("go"),)),
            AssistantMessage(parts=(Thinking(text="hm"), Text("I look."), call), origin=origin),
            ToolMessage((ToolResult(call_id="1", content=(Text("a.py"), picture)),)),
        ),
    )
    sent = prompted(asked)
    assert sent.tools == () and sent.system.startswith("Be good.\n\n# Tools") and '{"name":"shell",' in sent.system
    _, assistant, results = sent.messages
    assert isinstance(assistant, AssistantMessage) and assistant.tool_calls() == ()
    assert extract(assistant.text(), NAMES) == ([LS], "I look.")
    assert results == UserMessage((Text("<tool_response>\na.py\n</tool_response>"), picture))
    longer = prompted(msgspec.structs.replace(asked, messages=(*asked.messages, UserMessage((Text("and?"),)))))
    assert longer.system == sent.system and longer.messages[:3] == sent.messages


async def test_a_prompted_model_calls_tools_through_a_server_that_knows_none() -> None:
    class Prompted(Says):
        profile = resolve(ModelRef(provider="ollama", model="tiny"), ProviderSettings(profile={"tool_calls": "prompt"}))
        asked: ModelRequest | None = None

        def stream(self, request: ModelRequest) -> AsyncIterator[TextDelta | ModelReply]:
            self.asked = request
            return super().stream(request)

    model = Prompted('<tool_call>\n{"name": "shell", "arguments": {"command": "ls"}}\n</tool_call>')
    shown, message = await heard(model)
    assert model.asked is not None and model.asked.tools == () and "read_file" in model.asked.system
    assert [call.name for call in message.tool_calls()] == ["shell"] and shown == ""
