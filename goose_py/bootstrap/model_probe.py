"""Five calls that tell what a model can do: answer, call a tool, call two at once, use a result, keep to what was asked."""

from collections.abc import AsyncIterator
from contextlib import aclosing

from goose_py.bootstrap.models import Models
from goose_py.protocol.errors import ModelError
from goose_py.protocol.messages import AssistantMessage, Message, ModelRef, Text, ToolMessage, ToolResult, UserMessage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec

WEATHER = ToolSpec(
    name="get_weather",
    description="The weather of a city.",
    input_schema={
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
)
SYSTEM = "You test tool calling. Use the tools you are given; do not guess what they would say."


async def probe(models: Models, ref: ModelRef) -> AsyncIterator[tuple[bool, str]]:
    """(passed, what was found), in order; ends after the first call where the provider cannot be reached at all."""
    try:
        plain = await _ask(models, ref, (_user("Answer with the single word: ready"),), ())
    except ModelError as error:
        yield False, f"it does not answer: {error}"
        return
    yield bool(plain.text().strip()), f"text: {plain.text().strip()[:60]!r}"
    for check in (_one_call, _two_calls, _uses_result, _leaves_tools):
        try:
            yield await check(models, ref)
        except ModelError as error:
            yield False, str(error)


async def _one_call(models: Models, ref: ModelRef) -> tuple[bool, str]:
    calls = (await _ask(models, ref, (_user("What is the weather in Paris? Use the tool."),), (WEATHER,))).tool_calls()
    right = len(calls) == 1 and calls[0].malformed is None and calls[0].arguments.get("city", "").lower() == "paris"
    return right, "one tool call: " + ("right" if right else f"got {[call.name for call in calls] or 'text only'}")


async def _two_calls(models: Models, ref: ModelRef) -> tuple[bool, str]:
    prompt = _user("Get the weather of Paris and of Rome, with two tool calls in one answer.")
    calls = (await _ask(models, ref, (prompt,), (WEATHER,))).tool_calls()
    return len(calls) >= 2, f"calls side by side: {len(calls)}" + ("" if len(calls) >= 2 else "; it works one by one")


async def _uses_result(models: Models, ref: ModelRef) -> tuple[bool, str]:
    question = _user("What is the weather in Paris? Use the tool, then answer in one sentence.")
    first = await _ask(models, ref, (question,), (WEATHER,))
    calls = first.tool_calls()
    if not calls:
        return False, "use of a result: it called no tool"
    results = ToolMessage(
        tuple(ToolResult(call_id=call.id, content=(Text("17 degrees and hail"),)) for call in calls)
    )
    second = await _ask(models, ref, (question, first, results), (WEATHER,))
    used = "hail" in second.text().lower() or "17" in second.text()
    return used, "use of a result: " + ("right" if used else f"it answered {second.text().strip()[:60]!r}")


async def _leaves_tools(models: Models, ref: ModelRef) -> tuple[bool, str]:
    reply = await _ask(models, ref, (_user("What is 2 + 3? Answer with the number; no tool is needed."),), (WEATHER,))
    right = not reply.tool_calls() and "5" in reply.text()
    return right, "leaving tools alone: " + ("right" if right else "it called a tool that was not needed")


async def _ask(
    models: Models, ref: ModelRef, messages: tuple[Message, ...], tools: tuple[ToolSpec, ...]
) -> AssistantMessage:
    answering = await models.answering(ref, "execute", lambda attempt, delay, reason: None)
    request = ModelRequest(
        model=answering.ref.model,
        system=SYSTEM,
        messages=messages,
        tools=tools,
        effort=answering.ref.effort,
        max_output_tokens=answering.max_output_tokens,
    )
    async with aclosing(answering.model.stream(request)) as stream:
        async for item in stream:
            if isinstance(item, ModelReply):
                return item.message
    raise AssertionError("a model stream ended without a reply and without an error")


def _user(text: str) -> UserMessage:
    return UserMessage((Text(text),))
