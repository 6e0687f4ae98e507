'''The scripted provider: a model whose replies are read from a file. It is part of the product (`goose-py demo`, recipes
tried without a key, bug reports that replay) and what the tests run on; the loopback server of the tests speaks the same
files over the real wire protocols.

Format: YAML 1.2 or JSON, one mapping.

    version: 1
    by: order                    # or `replies`, see below
    values: {greeting: hello}    # placeholders, beside those that the program hands in (`workspace`, ...)
    turns:
      - text: I read the test first.        # what it answers; a list of strings gives the deltas exactly
        thinking: The assertion names add().
        signature: opaque                    # of the thinking
        calls:
          - name: read
            arguments: {path: src/calc.py}
            id: call_1                       # default: made up, unique; "" is sent as it stands
          - name: shell
            arguments_text: '{"a":1,}'       # raw text in place of `arguments`, for calls that are malformed
        stop: end                            # end | tool_calls | length | refusal | content_filter | pause
        usage: {input_tokens: 900, output_tokens: 60, cache_read_tokens: 0, cache_write_tokens: 0}
        chunk: 12                            # characters in a delta
        delay: 0.02                          # seconds before each delta
        capture: {test: "FAILED (\\S+)"}     # placeholder ${test}: first group (else the whole) of the newest match
        when: {last_contains: FAILED}        # the turn is only taken where this holds
        expect: {tools_include: [shell]}     # the run fails with a clear error where this does not hold
        repeat: 1                            # how often the turn may be taken; 0: without limit
      - error: {status: 429, message: slow down, retry_after: 2}
      - text: half an ans
        error: {cut: true}                   # the stream ends after what was said above
      - error: {stall: true}                 # silence after what was said above

Which turn answers: the first one that is not used up and whose `when` holds (a turn without `when` always does). So a list of
plain turns is a conversation in order, and turns with `when` are rules that may stand before it. With `by: replies` the turns
that a run has used are not counted; the n-th turn answers the request whose history holds n-1 replies, so that a resumed
session continues where it stood.

`when` and `expect` (all that are given must hold; a list means each of its items):
    last_contains, last_matches    text of the last message or, where tools have answered, their results
    any_contains                   text of some message      none_contains  of no message
    system_contains                the system prompt         tools_include, tools_exclude  names on offer
    replies                        number of replies in the history           results  of tool results in the last message
    last_is_error                  whether a result of the last message is an error
    model, effort                  who is asked

Placeholders `${name}` are replaced in texts, thinking and arguments (also within longer strings, and in keys); `$${` writes
`${`. Known are `values`, those handed in, `capture`s of this turn and of earlier ones, and `last` (the last message's text).

`error`: `status` with `message`, `code` and `retry_after` becomes the error that such an answer of a real provider becomes;
`cut` and `stall` break the stream after the turn's own words. Only the loopback server of the tests reads `wire`, faults
below the protocol.
'''

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from goose_py.protocol.deltas import ModelDelta, TextDelta, ThinkingDelta, ToolCallDelta
from goose_py.protocol.errors import RequestRejected, UserError
from goose_py.protocol.messages import AssistantMessage, StopReason, Text, Thinking, ToolCall, ToolMessage, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers import errors
from goose_py.providers.profile import Profile
from goose_py.providers.protocols import assembly

Strings = str | list[str]


class ScriptedCall(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    arguments: dict[str, Any] = {}
    arguments_text: str | None = None
    id: str | None = None


class Match(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A condition on a request; see the module's text."""

    last_contains: Strings = []
    last_matches: str | None = None
    any_contains: Strings = []
    none_contains: Strings = []
    system_contains: Strings = []
    tools_include: list[str] = []
    tools_exclude: list[str] = []
    replies: int | None = None
    results: int | None = None
    last_is_error: bool | None = None
    model: str | None = None
    effort: str | None = None


class ScriptedError(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: int | None = None
    message: str = ""
    code: str = ""
    retry_after: float | None = None
    headers: dict[str, str] = {}
    body: str | None = None
    cut: bool = False
    stall: bool = False


class Turn(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reply, or one failure; see the module's text."""

    text: Strings = ""
    thinking: Strings = ""
    signature: str | None = None
    calls: list[ScriptedCall] = []
    stop: StopReason | None = None
    usage: Usage | None = None
    chunk: int = 16
    delay: float = 0.0
    capture: dict[str, str] = {}
    when: Match | None = None
    expect: Match | None = None
    repeat: int = 1
    error: ScriptedError | None = None
    wire: dict[str, Any] = {}


class Script(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    turns: list[Turn]
    version: int = 1
    by: str = "order"
    values: dict[str, str] = {}
    title: str = "script"


class RequestView(msgspec.Struct, frozen=True, kw_only=True):
    """A request as conditions see it, whichever protocol it came in."""

    system: str
    texts: tuple[str, ...]
    last: str
    tools: frozenset[str]
    replies: int
    results: int
    last_is_error: bool
    model: str
    effort: str | None


def load_script(path: Path) -> Script:
    """Raises `UserError` naming file, place and cause where the file cannot be read or used."""
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise UserError(f"The script {path} cannot be read: {error.strerror}.") from None
    return parse_script(raw, str(path), json=path.suffix == ".json")


def parse_script(raw: bytes, name: str, *, json: bool = False) -> Script:
    try:
        script = msgspec.convert(_read(raw, json=json), Script)
    except msgspec.ValidationError as error:
        raise UserError(f"The script {name} is not a valid one: {error}.") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"The script {name} cannot be parsed: {error}.") from None
    if script.version != 1:
        raise UserError(f"The script {name} has version {script.version}; this program reads version 1.")
    if script.by not in ("order", "replies"):
        raise UserError(f"The script {name} says `by: {script.by}`; it must be `order` or `replies`.")
    for number, turn in enumerate(script.turns, 1):
        _check(turn, f"turn {number} of the script {name}")
    return msgspec.structs.replace(script, title=name)


def _check(turn: Turn, where: str) -> None:
    patterns = list(turn.capture.items())
    patterns += [("last_matches", match.last_matches or "") for match in (turn.when, turn.expect) if match]
    for name, pattern in patterns:
        try:
            re.compile(pattern)
        except re.error as error:
            raise UserError(f"In {where}, {name} is no regular expression: {error}.") from None
    if turn.chunk < 1:
        raise UserError(f"In {where}, chunk must be 1 or more.")
    if turn.error and turn.error.status is None and not (turn.error.cut or turn.error.stall):
        raise UserError(f"In {where}, error needs `status`, `cut` or `stall`.")


def _read(raw: bytes, *, json: bool) -> Any:
    if json:
        return msgspec.json.decode(raw)
    from ruamel.yaml import YAML, YAMLError

    try:
        return YAML(typ="safe", pure=True).load(raw.decode("utf-8"))
    except YAMLError as error:
        raise msgspec.DecodeError(errors.one_line(str(error))) from None


class Play:
    """A script in the course of being played: which turns are used up, what was captured."""

    def __init__(self, script: Script, values: Mapping[str, str] | None = None) -> None:
        self._script = script
        self._used = [0] * len(script.turns)
        self._values = {**script.values, **(values or {})}
        self._answered = 0

    def next(self, view: RequestView) -> Turn:
        """The turn that answers this request, its placeholders filled. Raises `RequestRejected` where none is left or an
        expectation does not hold."""
        number = self._choose(view)
        turn = self._script.turns[number]
        self._used[number] += 1
        self._answered += 1
        if turn.expect and (missed := mismatch(turn.expect, view)):
            raise self._rejected(f"turn {number + 1} expected {missed}", view)
        self._values["last"] = view.last
        for name, pattern in turn.capture.items():
            self._values[name] = self._capture(name, pattern, view)
        return self._filled(turn, view)

    def _choose(self, view: RequestView) -> int:
        if self._script.by == "replies":
            if view.replies < len(self._script.turns):
                return view.replies
        else:
            for number, turn in enumerate(self._script.turns):
                free = turn.repeat == 0 or self._used[number] < turn.repeat
                if free and (turn.when is None or mismatch(turn.when, view) is None):
                    return number
        used = sum(1 for count in self._used if count)
        raise self._rejected(f"it has no turn for request {self._answered + 1} ({used} of {len(self._used)} turns used)", view)

    def _capture(self, name: str, pattern: str, view: RequestView) -> str:
        for text in (view.last, *reversed(view.texts)):
            if found := re.search(pattern, text):
                return found.group(1) if found.re.groups else found.group()
        raise self._rejected(f"nothing matches the capture {name!r} ({pattern})", view)

    def _filled(self, turn: Turn, view: RequestView) -> Turn:
        def fill(value: Any) -> Any:
            if isinstance(value, str):
                return re.sub(r"\$?\$\{([^{}]*)\}", replace, value)
            if isinstance(value, dict):
                return {fill(key): fill(item) for key, item in value.items()}
            if isinstance(value, list):
                return [fill(item) for item in value]
            return value

        def replace(found: re.Match[str]) -> str:
            if found.group().startswith("$$"):
                return found.group()[1:]
            if found.group(1) not in self._values:
                known = ", ".join(sorted(self._values))
                raise self._rejected(f"no value is known for the placeholder {found.group()} (known: {known})", view)
            return self._values[found.group(1)]

        calls = [
            msgspec.structs.replace(call, arguments=fill(call.arguments), arguments_text=fill(call.arguments_text))
            for call in turn.calls
        ]
        return msgspec.structs.replace(turn, text=fill(turn.text), thinking=fill(turn.thinking), calls=calls)

    def _rejected(self, what: str, view: RequestView) -> RequestRejected:
        asked = errors.one_line(view.last)[:200]
        return RequestRejected(
            f"The script {self._script.title} cannot go on: {what}. The last message was: {asked!r}", provider="scripted"
        )


def mismatch(match: Match, view: RequestView) -> str | None:
    """What does not hold, in words; None where everything does."""
    for name, texts in (
        ("last_contains", (view.last,)),
        ("any_contains", view.texts),
        ("system_contains", (view.system,)),
    ):
        for wanted in _strings(getattr(match, name)):
            if not any(wanted in text for text in texts):
                return f"{name}: {wanted!r}"
    for unwanted in _strings(match.none_contains):
        if any(unwanted in text for text in view.texts):
            return f"none_contains: {unwanted!r}"
    if match.last_matches is not None and not re.search(match.last_matches, view.last):
        return f"last_matches: {match.last_matches!r}"
    for tool in match.tools_include:
        if tool not in view.tools:
            return f"the tool {tool!r} on offer (there are: {', '.join(sorted(view.tools)) or 'none'})"
    for tool in match.tools_exclude:
        if tool in view.tools:
            return f"the tool {tool!r} not to be on offer"
    for name in ("replies", "results", "last_is_error", "model", "effort"):
        wanted, found = getattr(match, name), getattr(view, name)
        if wanted is not None and wanted != found:
            return f"{name}: {wanted!r} (it is {found!r})"
    return None


def view_of(request: ModelRequest) -> RequestView:
    texts = tuple(_message_text(message) for message in request.messages)
    last = request.messages[-1] if request.messages else None
    results = last.results if isinstance(last, ToolMessage) else ()
    return RequestView(
        system=request.system,
        texts=texts,
        last=texts[-1] if texts else "",
        tools=frozenset(tool.name for tool in request.tools),
        replies=sum(isinstance(message, AssistantMessage) for message in request.messages),
        results=len(results),
        last_is_error=any(result.is_error for result in results),
        model=request.model,
        effort=request.effort,
    )


class ScriptedModel:
    """Implements the Model port. `values` are placeholders that the program knows (`workspace`); `sleep` waits out the
    delays and stalls of the script."""

    def __init__(
        self,
        script: Script,
        profile: Profile,
        *,
        values: Mapping[str, str] | None = None,
        now: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.profile = profile
        self._play = Play(script, values)
        self._now = now
        self._sleep = sleep

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        turn = self._play.next(view_of(request))
        if turn.error and turn.error.status is not None:
            raise self._error(turn.error)
        size, emitted = 0, False
        for delta in _deltas(turn):
            await self._sleep(turn.delay)
            size += len(delta.text) if not isinstance(delta, ToolCallDelta) else 0
            emitted = True
            yield delta
        if turn.error:
            await self._break(turn.error, emitted=emitted)
        size += sum(len(_arguments_text(call)) for call in turn.calls)
        yield assembly.finish(
            self._parts(turn, request),
            turn.stop or "end",
            request=request,
            profile=self.profile,
            usage=turn.usage,
            output_size=size,
        )

    def prepare(self) -> None:
        pass

    async def close(self) -> None:
        pass

    async def _break(self, error: ScriptedError, *, emitted: bool) -> None:
        """A stall ends as it would behind a real server: when the idle limit has passed."""
        limit = self.profile.timeouts.idle
        if error.stall:
            await self._sleep(limit)
        cause = f"nothing came for {limit:g} s" if error.stall else "the script cuts it here"
        raise assembly.interrupted(self.profile, cause, emitted=emitted)

    def _error(self, error: ScriptedError) -> Exception:
        headers = {name.lower(): value for name, value in error.headers.items()}
        if error.retry_after is not None:
            headers["retry-after"] = str(error.retry_after)
        return errors.from_response(
            error.status or 500,
            headers,
            error_body(error),
            provider=self.profile.provider,
            secret="",
            now=self._now,
        )

    def _parts(self, turn: Turn, request: ModelRequest) -> Iterator[assembly.Part]:
        ids = assembly.CallIds(request)
        if thinking := "".join(_strings(turn.thinking)):
            yield Thinking(text=thinking, signature=turn.signature)
        if text := "".join(_strings(turn.text)):
            yield Text(text)
        for call in turn.calls:
            arguments, malformed = assembly.parse_arguments(_arguments_text(call))
            yield ToolCall(id=ids.take(call.id), name=call.name, arguments=arguments, malformed=malformed)


def error_body(error: ScriptedError) -> bytes:
    """The body of a failed answer, in the shape that OpenAI and Anthropic share."""
    if error.body is not None:
        return error.body.encode()
    return msgspec.json.encode({"error": {"type": error.code, "code": error.code, "message": error.message}})


def pieces(text: Strings, chunk: int) -> Iterator[str]:
    """A text as it is streamed: a list as it stands, a string cut every `chunk` characters."""
    if isinstance(text, list):
        yield from text
    else:
        yield from (text[start : start + chunk] for start in range(0, len(text), chunk))


def _deltas(turn: Turn) -> Iterator[ModelDelta]:
    yield from (ThinkingDelta(piece) for piece in pieces(turn.thinking, turn.chunk))
    yield from (TextDelta(piece) for piece in pieces(turn.text, turn.chunk))
    for call in turn.calls:
        yield ToolCallDelta(name=call.name)
        yield ToolCallDelta(name=call.name, size=len(_arguments_text(call)))


def _arguments_text(call: ScriptedCall) -> str:
    return call.arguments_text if call.arguments_text is not None else msgspec.json.encode(call.arguments).decode()


def _message_text(message: Any) -> str:
    if isinstance(message, ToolMessage):
        return "\n".join(result.text() for result in message.results)
    return "\n".join(part.text for part in message.parts if isinstance(part, Text))


def _strings(value: Strings) -> list[str]:
    return [value] if isinstance(value, str) else value
