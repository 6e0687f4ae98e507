"""Tool calls that a model writes into its text, recognised and made real calls.

Small and local models, and servers without a template for their model's calls, print what they mean: bare JSON, JSON in a
fence, `<tool_call>` tags (Qwen, Hermes), `<function=...>` forms (Qwen Coder, Llama), `[TOOL_CALLS]` (Mistral), `<|python_tag|>`
(Llama 3), `<tool_name>{...}</tool_name>`. What is taken must name a tool that is on offer and be complete; anything else is
prose and stays text. A profile with `tool_calls = "text"` asks for it; calls that the server recognised itself pass untouched.

Where a server offers the model no tools at all (`tool_calls = "prompt"`), they are described at the end of the system prompt,
in the form that Hermes and Qwen models were trained on, and the history's calls and results are written in the same form.
"""

import re
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import msgspec

from goose_py.protocol.deltas import ModelDelta, TextDelta
from goose_py.protocol.messages import Image, Message, Text, Thinking, ToolCall, ToolMessage, UserMessage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers.profile import Profile
from goose_py.providers.protocols.assembly import CallIds, user_text

if TYPE_CHECKING:
    from goose_py.providers.model_port import OpenModel

_NAMES = ("name", "tool", "tool_name", "function", "function_name")
_ARGUMENTS = ("arguments", "parameters", "args", "input", "tool_input")
_OPENERS = (
    "<tool_call",
    "<function=",
    "<invoke name",
    "[TOOL_CALLS]",
    "<|python_tag|>",
    "<|tool_call",
    "```json\n",
    "```tool",
)
_LONGEST_OPENER = max(map(len, _OPENERS))
_LINE_OPENER = r"^[ \t]*(?:\{|\[\s*\{|<tools?>)"
_OPENER = re.compile("|".join((*map(re.escape, _OPENERS), _LINE_OPENER)), re.MULTILINE)
_FENCE = re.compile(r"```(?:json|tool_call|tool_code|tool)?[ \t]*\n(.*?)\n?[ \t]*```", re.DOTALL)
_TAGGED = re.compile(r"<(tool_call|tool_calls|tools|function_call)>\s*(.*?)\s*</\1>", re.DOTALL)
_FUNCTION = re.compile(r"<function=([\w.\-/]+)>\s*(.*?)\s*</function>", re.DOTALL)
_INVOKE = re.compile(r'<invoke name="([\w.\-/]+)">\s*(.*?)\s*</invoke>', re.DOTALL)
_PARAMETER = re.compile(r"<parameter=([\w.\-]+)>\n?(.*?)\n?</parameter>", re.DOTALL)
_NAMED_PARAMETER = re.compile(r'<parameter name="([\w.\-]+)">\n?(.*?)\n?</parameter>', re.DOTALL)
_MARKED = re.compile(r"(?:\[TOOL_CALLS\]|<\|python_tag\|>|<\|tool_call\|?>)\s*", re.DOTALL)

_HOW_TO_CALL = """# Tools
You may call these functions. Each line is one, with the JSON Schema of its parameters:
<tools>
{tools}
</tools>
To call one, write nothing but this, once for each call, and wait for the result:
<tool_call>
{{"name": "the function's name", "arguments": {{"parameter": "value"}}}}
</tool_call>"""

Found = tuple[str, dict[str, Any]]
Span = tuple[int, int, list[Found]]


class TextCalls:
    """A wrapper of the Model port. Text that may be the beginning of a call is held back until it is known what it is."""

    def __init__(self, inner: "OpenModel") -> None:
        self._inner = inner

    @property
    def profile(self) -> Profile:
        return self._inner.profile

    def prepare(self) -> None:
        self._inner.prepare()

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        held = Held()
        sent = prompted(request) if self.profile.tool_calls == "prompt" else request
        async with aclosing(self._inner.stream(sent)) as items:  # type: ignore[type-var]
            async for item in items:
                if isinstance(item, ModelReply):
                    reply = promote(item, request)
                    if reply is item and (rest := held.rest()):
                        yield TextDelta(rest)
                    yield reply
                elif isinstance(item, TextDelta) and request.tools:
                    if shown := held.feed(item.text):
                        yield TextDelta(shown)
                else:
                    yield item


def prompted(request: ModelRequest) -> ModelRequest:
    """The same request for a model that knows of no tools. Stable from turn to turn, as the original is."""
    if not request.tools:
        return request
    lines = [_encode({"name": t.name, "description": t.description, "parameters": t.input_schema}) for t in request.tools]
    system = f"{request.system}\n\n{_HOW_TO_CALL.format(tools=chr(10).join(sorted(lines)))}".lstrip()
    messages = tuple(_written(message) for message in request.messages)
    return msgspec.structs.replace(request, system=system, messages=messages, tools=())


def _written(message: Message) -> Message:
    if isinstance(message, ToolMessage):
        parts: list[Text | Image] = []
        for result in message.results:
            parts.append(Text(f"<tool_response>\n{user_text(result)}\n</tool_response>"))
            parts += [part for part in result.content if isinstance(part, Image)]
        return UserMessage(tuple(parts))
    if isinstance(message, UserMessage) or not message.tool_calls():
        return message
    calls = [f"<tool_call>\n{_encode({'name': c.name, 'arguments': c.arguments})}\n</tool_call>" for c in message.tool_calls()]
    said = "\n".join(filter(None, (message.text().strip(), *calls)))
    thoughts = tuple(part for part in message.parts if isinstance(part, Thinking))
    return msgspec.structs.replace(message, parts=(*thoughts, Text(said)))


def _encode(value: Any) -> str:
    return msgspec.json.encode(value).decode()


class Held:
    """Lets text through up to where a call may begin, and keeps back what may be the first half of an opener."""

    def __init__(self) -> None:
        self._shown = 0
        self._text = ""
        self._holding = False

    def feed(self, piece: str) -> str:
        """What may be shown now."""
        self._text += piece
        if self._holding:
            return ""
        if opener := _OPENER.search(self._text, max(0, self._shown - 64)):
            self._holding = True
            end = opener.start()
        else:
            end = len(self._text) - self._half_opener()
        start, self._shown = self._shown, max(self._shown, end)
        return self._text[start : self._shown]

    def rest(self) -> str:
        return self._text[self._shown :]

    def _half_opener(self) -> int:
        tail = self._text[-_LONGEST_OPENER:]
        halves = (at for at in range(len(tail)) if any(word.startswith(tail[at:]) for word in _OPENERS))
        return len(tail) - next(halves, len(tail))


def promote(reply: ModelReply, request: ModelRequest) -> ModelReply:
    """The reply with its written calls made real, or the same reply where there is none. A reply that already holds calls,
    or that was cut, is left as it is."""
    message = reply.message
    names = {tool.name for tool in request.tools}
    if not names or message.tool_calls() or message.stop_reason != "end":
        return reply
    text = message.text()
    found, rest = extract(text, names)
    if not found:
        return reply
    ids = CallIds(request)
    parts: list[Text | Thinking | ToolCall] = [part for part in message.parts if isinstance(part, Thinking)]
    if rest:
        parts.append(Text(rest))
    parts += [ToolCall(id=ids.take(None), name=name, arguments=arguments) for name, arguments in found]
    changed = msgspec.structs.replace(message, parts=tuple(parts), stop_reason="tool_calls")
    return msgspec.structs.replace(reply, message=changed)


def extract(text: str, names: set[str]) -> tuple[list[Found], str]:
    """The calls that stand in a text, in order, and the text without them."""
    spans: list[Span] = []
    for start, end, found in _marked(text, names):
        if found and not _overlaps(start, end, spans):
            spans.append((start, end, found))
    for start, end, found in sorted(_plain(text, names), key=lambda span: span[0], reverse=True):
        if found and not _overlaps(start, end, spans) and not _prose_after(text, end, spans):
            spans.append((start, end, found))
    spans.sort(key=lambda span: span[0])
    rest, position = [], 0
    for start, end, _ in spans:
        rest.append(text[position:start])
        position = end
    rest.append(text[position:])
    kept = "\n".join(piece.strip() for piece in rest if piece.strip())
    return [found for span in spans for found in span[2]], kept if spans else text


def _overlaps(start: int, end: int, spans: list[Span]) -> bool:
    return any(start < taken_end and taken_start < end for taken_start, taken_end, _ in spans)


def _prose_after(text: str, end: int, spans: list[Span]) -> bool:
    """Whether anything but calls follows. JSON that the model goes on to talk about is an example, not a call."""
    for start, stop, _ in sorted(spans, key=lambda span: span[0]):
        if start >= end:
            if text[end:start].strip():
                return True
            end = stop
    return bool(text[end:].strip())


def _marked(text: str, names: set[str]) -> Iterator[Span]:
    """What stands between marks that mean a call and nothing else."""
    for match in _TAGGED.finditer(text):
        yield match.start(), match.end(), _from_json_lines(match.group(2), names) or _from_forms(match.group(2), names)
    for pattern, parameters in ((_FUNCTION, _PARAMETER), (_INVOKE, _NAMED_PARAMETER)):
        for match in pattern.finditer(text):
            yield match.start(), match.end(), _from_form(match.group(1), match.group(2), parameters, names)
    for name in sorted(names):
        for match in re.finditer(rf"<({re.escape(name)})>\s*(\{{.*?\}})\s*</\1>", text, re.DOTALL):
            arguments = _decode(match.group(2))
            yield match.start(), match.end(), [(name, arguments)] if isinstance(arguments, dict) else []
    for match in _MARKED.finditer(text):
        value, end = _first_value(text, match.end())
        yield match.start(), end, _calls_in(value, names)


def _plain(text: str, names: set[str]) -> Iterator[Span]:
    """JSON without marks, or in a fence: a call only where nothing but calls follows it."""
    for match in _FENCE.finditer(text):
        yield match.start(), match.end(), _from_json_lines(match.group(1), names)
    for match in re.finditer(r"^[ \t]*(?=\{|\[\s*\{)", text, re.MULTILINE):
        value, end = _first_value(text, match.end())
        if end > match.end():
            yield match.start(), end, _calls_in(value, names)


def _from_json_lines(text: str, names: set[str]) -> list[Found]:
    """One call, a list of calls, or one call on each line; nothing at all where any of it is something else."""
    whole = _decode(text)
    if whole is not None:
        return _calls_in(whole, names)
    found: list[Found] = []
    for line in text.splitlines():
        if line.strip():
            calls = _calls_in(_decode(line), names)
            if not calls:
                return []
            found += calls
    return found


def _from_forms(text: str, names: set[str]) -> list[Found]:
    found: list[Found] = []
    for match in _FUNCTION.finditer(text):
        found += _from_form(match.group(1), match.group(2), _PARAMETER, names)
    return found


def _from_form(name: str, body: str, parameters: re.Pattern[str], names: set[str]) -> list[Found]:
    if name not in names:
        return []
    if not body:
        return [(name, {})]
    value = _decode(body)
    if isinstance(value, dict):
        return [(name, value)]
    pairs = parameters.findall(body)
    return [(name, {key: _scalar(text) for key, text in pairs})] if pairs else []


def _calls_in(value: Any, names: set[str]) -> list[Found]:
    if isinstance(value, list):
        calls = [_calls_in(item, names) for item in value]
        return [call for found in calls for call in found] if calls and all(calls) else []
    if not isinstance(value, dict):
        return []
    inner = value.get("function")
    if isinstance(inner, dict):
        return _calls_in(inner, names)
    name = next((value[key] for key in _NAMES if isinstance(value.get(key), str)), None)
    if name not in names:
        return []
    arguments = next((value[key] for key in _ARGUMENTS if key in value), None)
    if isinstance(arguments, str):
        arguments = _decode(arguments)
    if arguments is None and not any(key in value for key in _ARGUMENTS) and set(value) <= {"name", "tool", "id", "type"}:
        arguments = {}
    return [(name, arguments)] if isinstance(arguments, dict) else []


def _scalar(text: str) -> Any:
    """A form's values are text; numbers, booleans, lists and objects are written as JSON in it. Quoted text stays quoted:
    it may be code."""
    value = _decode(text)
    return text if value is None or isinstance(value, str) else value


def _decode(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None


def _first_value(text: str, start: int) -> tuple[Any, int]:
    """The JSON value that begins at a place, and where it ends."""
    import json

    try:
        value, end = json.JSONDecoder().raw_decode(text, start)
    except (ValueError, RecursionError):
        return None, start
    return value, end
