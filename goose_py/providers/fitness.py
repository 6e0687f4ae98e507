"""What a model can do, asked of the model itself, and whether a request's fixed part fits its window. For `doctor model`
and for the warning before the first request."""

from collections.abc import Callable
from contextlib import aclosing
from typing import Literal

import msgspec

from goose_py.protocol.errors import ModelError
from goose_py.protocol.messages import Message, Text, ToolMessage, ToolResult, UserMessage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec
from goose_py.providers.model_port import OpenModel
from goose_py.providers.profile import Profile
from goose_py.providers.protocols.assembly import estimate_input

_SYSTEM = "You are being tested. Do exactly what is asked, with the tools where tools are asked for, and say nothing else."
_ADD = ToolSpec(
    name="add",
    description="Adds two whole numbers.",
    input_schema={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)
_WRITE = ToolSpec(
    name="write_file",
    description="Writes text to a file.",
    input_schema={
        "type": "object",
        "properties": {"path": {"type": "string"}, "content": {"type": "string"}},
        "required": ["path", "content"],
    },
)
_CODE = 'def greet(name):\n    print(f"Hello, {name}!")\n'


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One probe call. `ok`, or what was found instead, in one sentence."""

    name: Literal["answers", "calls a tool", "calls tools in parallel", "reads a result", "writes code exactly"]
    ok: bool
    said: str = ""


async def examine(model: OpenModel) -> tuple[Finding, ...]:
    """Five probe calls, one after another; costs some hundred tokens each. A call that fails is a finding, except that the
    first failure to reach the model at all is raised as it is (`ModelError`)."""
    findings = [await _answers(model)]
    for probe in (_calls, _parallel, _reads, _writes):
        try:
            findings.append(await probe(model))
        except ModelError as error:
            findings.append(Finding(name=_NAMES[probe], ok=False, said=str(error)))
    return tuple(findings)


async def _answers(model: OpenModel) -> Finding:
    reply = await _ask(model, "Answer with the single word: ready")
    ok = "ready" in reply.message.text().lower()
    return Finding(name="answers", ok=ok, said="" if ok else f"It was asked for one word and said: {_short(reply)}")


async def _calls(model: OpenModel) -> Finding:
    reply = await _ask(model, "Use the tool add to add 17 and 25.", tools=(_ADD,))
    calls = reply.message.tool_calls()
    ok = len(calls) == 1 and calls[0].name == "add" and calls[0].arguments == {"a": 17, "b": 25}
    return Finding(name="calls a tool", ok=ok, said="" if ok else _instead(reply))


async def _parallel(model: OpenModel) -> Finding:
    ask = "In one answer, call the tool add twice: once for 1 and 2, once for 3 and 4."
    reply = await _ask(model, ask, tools=(_ADD,))
    ok = [call.arguments for call in reply.message.tool_calls()] == [{"a": 1, "b": 2}, {"a": 3, "b": 4}]
    return Finding(name="calls tools in parallel", ok=ok, said="" if ok else _instead(reply))


async def _reads(model: OpenModel) -> Finding:
    question = UserMessage((Text("Use the tool add to add 17 and 25, then say only the sum."),))
    first = await _ask(model, "", tools=(_ADD,), messages=(question,))
    if not first.message.tool_calls():
        return Finding(name="reads a result", ok=False, said=_instead(first))
    results = tuple(ToolResult(call_id=call.id, content=(Text("4242"),)) for call in first.message.tool_calls())
    history = (question, first.message, ToolMessage(results))
    reply = await _ask(model, "", tools=(_ADD,), messages=history)
    ok = "4242" in reply.message.text().replace(",", "")
    said = "" if ok else f"The tool answered 4242 and the model made of it: {_short(reply)}"
    return Finding(name="reads a result", ok=ok, said=said)


async def _writes(model: OpenModel) -> Finding:
    ask = f"Use the tool write_file to write exactly this text to greet.py:\n```python\n{_CODE}```"
    reply = await _ask(model, ask, tools=(_WRITE,))
    written = [call.arguments.get("content") for call in reply.message.tool_calls()]
    ok = len(written) == 1 and isinstance(written[0], str) and written[0].rstrip("\n") == _CODE.rstrip("\n")
    return Finding(name="writes code exactly", ok=ok, said="" if ok else _instead(reply))


_NAMES: dict[Callable, str] = {
    _calls: "calls a tool",
    _parallel: "calls tools in parallel",
    _reads: "reads a result",
    _writes: "writes code exactly",
}


async def _ask(
    model: OpenModel, text: str, *, tools: tuple[ToolSpec, ...] = (), messages: tuple[Message, ...] = ()
) -> ModelReply:
    request = ModelRequest(
        model=model.profile.model,
        system=_SYSTEM,
        messages=messages or (UserMessage((Text(text),)),),
        tools=tools,
        max_output_tokens=4_096,
    )
    async with aclosing(model.stream(request)) as items:  # type: ignore[type-var]
        async for item in items:
            if isinstance(item, ModelReply):
                return item
    raise AssertionError("the Model port ends each stream with a reply")


def _instead(reply: ModelReply) -> str:
    calls = reply.message.tool_calls()
    if not calls:
        return f"It called no tool but said: {_short(reply)}"
    shown = ", ".join(f"{call.name}({call.malformed or msgspec.json.encode(call.arguments).decode()})" for call in calls)
    return f"It called {shown[:300]}"


def _short(reply: ModelReply) -> str:
    text = " ".join(reply.message.text().split())
    return repr(text[:200]) if text else "nothing"


def window_warning(system: str, tools: tuple[ToolSpec, ...], profile: Profile) -> str | None:
    """A sentence where system prompt and tools leave too little of the model's window (more than half is theirs), with the
    remedy; None where they fit."""
    fixed = estimate_input(ModelRequest(model=profile.model, system=system, messages=(), tools=tools))
    if fixed * 2 <= profile.context_window:
        return None
    where = f'models."{profile.provider}/{profile.model}".context_window'
    full = "do not fit" if fixed > profile.context_window else "take more than half of"
    return (
        f"System prompt and tools (about {fixed:,} tokens) {full} the window of {profile.model} "
        f"({profile.context_window:,} tokens). Set a larger window ({where}), or offer fewer extensions."
    )


def misfit(request: ModelRequest, profile: Profile) -> str | None:
    """A sentence where a conversation, as it would be sent next, is too large for the window of the model that is to take
    it over; None where it fits. The room that an answer needs counts too."""
    tokens = estimate_input(request)
    answer = min(profile.max_output_tokens, profile.context_window // 4)
    if tokens + answer <= profile.context_window:
        return None
    fixed = estimate_input(msgspec.structs.replace(request, messages=()))
    remedy = "compact it first" if fixed + answer <= profile.context_window else "its prompt and tools alone are too large"
    return (
        f"This conversation (about {tokens:,} tokens) does not fit the window of {profile.provider}/{profile.model} "
        f"({profile.context_window:,} tokens, {answer:,} of them for an answer): {remedy}, or choose a model with a larger one."
    )
