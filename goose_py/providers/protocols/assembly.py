"""What the wire protocols share: of a request its schemas, texts and limits; of a reply its reader, arguments, call ids and
usage."""

import re
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Literal

import msgspec

from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import ModelError, StreamInterrupted
from goose_py.protocol.messages import (
    AssistantMessage,
    Message,
    ModelRef,
    StopReason,
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
from goose_py.providers import errors
from goose_py.providers.profile import Profile

_ABSURD = 1_000_000_000
_IMAGE_TOKENS = 1_600  # Anthropic's figure for a picture of full size
NO_IMAGES = "(An image stood here; this model takes none.)"
_PLAIN_KEYWORDS = frozenset(
    ("type", "properties", "required", "items", "enum", "description", "minimum", "maximum", "minItems", "maxItems")
)
NO_TEXT = "(empty)"
NO_OUTPUT = "(no output)"

Part = Text | Thinking | ToolCall

DEEPEST = 100
"""Lists and objects within each other that the arguments of a call may have."""


def parse_arguments(raw: str) -> tuple[dict[str, Any], str | None]:
    """The arguments of a call that was received completely, and the raw text where they are not one JSON object.

    Nothing is guessed, and what is nested deeper than `DEEPEST` is text to us. Two things that are no guess are done: no
    text at all means no arguments, and a JSON string that is itself one JSON object (GLM and Qwen encode twice) is decoded
    once more."""
    if not raw.strip():
        return {}, None
    try:
        value = msgspec.json.decode(raw)
        if isinstance(value, str):
            value = msgspec.json.decode(value)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return {}, raw
    return (value, None) if isinstance(value, dict) and not _too_deep(value) else ({}, raw)


def _too_deep(value: Any) -> bool:
    """Whether what walks through arguments later (schemas, secrets, the log) might not come back."""
    level = [value]
    for _ in range(DEEPEST):
        level = [inner for each in level for inner in (each.values() if isinstance(each, dict) else each)
                 if isinstance(inner, (dict, list))]  # fmt: skip
        if not level:
            return False
    return True


class CallIds:
    """Gives each call of a reply an id that no other call of the history has.

    A provider's own id is kept where it is new and legal. Otherwise the id is made from a digest of the request and the
    call's place in the reply: the same request and reply give the same ids (a replay is identical), and another request
    gives others, also after compaction has shortened the history."""

    def __init__(self, request: ModelRequest) -> None:
        self._request = request
        self._taken = {part.id for message in request.messages for part in calls_of(message)}
        self._prefix = ""
        self._count = 0

    def take(self, offered: str | None) -> str:
        self._count += 1
        if offered and offered not in self._taken and re.fullmatch(r"[\x21-\x7e]{1,256}", offered):
            self._taken.add(offered)
            return offered
        if not self._prefix:
            self._prefix = blake2b(_stable_bytes(self._request), digest_size=6).hexdigest()
        number = self._count
        while (made := f"call_{self._prefix}_{number}") in self._taken:
            number += 1
        self._taken.add(made)
        return made


def calls_of(message: Message) -> tuple[ToolCall, ...]:
    return message.tool_calls() if isinstance(message, AssistantMessage) else ()


def legal_id(call_id: str, alphabet: Literal["any", "anthropic", "nine"]) -> str:
    """An id in the alphabet that the provider accepts: kept where it is legal, else a digest of itself, so that a call and
    its result still agree. Anthropic: letters, digits, `_`, `-`; OpenAI: at most 64; Mistral: nine letters or digits."""
    if alphabet == "nine":
        legal = re.fullmatch(r"[A-Za-z0-9]{9}", call_id)
        return call_id if legal else blake2b(call_id.encode("utf-8", "replace"), digest_size=8).hexdigest()[:9]
    legal = re.fullmatch(r"[A-Za-z0-9_-]{1,64}", call_id)
    return call_id if legal else "call_" + blake2b(call_id.encode("utf-8", "replace"), digest_size=12).hexdigest()


class Reader:
    """The state machine of one stream. `feed` takes its decoded events in order; `done` once nothing can follow; `finish`
    gives the reply, or raises `StreamInterrupted` where the end never came."""

    def __init__(self, request: ModelRequest, profile: Profile) -> None:
        self._request = request
        self._profile = profile
        self._ids = CallIds(request)
        self._size = 0
        self.done = False

    @property
    def ended(self) -> bool:
        """Whether the answer itself is whole; only figures may still follow."""
        return self.done

    def feed(self, event: dict[str, Any]) -> list[ModelDelta]:
        raise NotImplementedError

    def finish(self) -> ModelReply:
        raise NotImplementedError

    def _reply(self, parts: Iterable[Part], stop: StopReason, usage: Usage | None) -> ModelReply:
        return finish(parts, stop, request=self._request, profile=self._profile, usage=usage, output_size=self._size)

    def _interrupted(self, what: str) -> StreamInterrupted:
        return interrupted(self._profile, what)

    def _failed(self, event: dict[str, Any]) -> ModelError:
        return errors.from_event(event, provider=self._profile.provider)


def finish(
    parts: Iterable[Part],
    stop: StopReason,
    *,
    request: ModelRequest,
    profile: Profile,
    usage: Usage | None,
    output_size: int,
) -> ModelReply:
    """The reply, once its end was received. A reply that the output limit cut loses the call it was writing, one that was
    refused or filtered all of its calls: what was not completely received is never run. `output_size`: characters that the
    model wrote, for an estimate of its tokens."""
    kept = [part for part in parts if not (isinstance(part, Text) and not part.text)]
    if stop == "length":
        kept = _without_cut_calls(kept)
    elif stop in ("refusal", "content_filter"):
        kept = [part for part in kept if not isinstance(part, ToolCall)]
    has_calls = any(isinstance(part, ToolCall) for part in kept)
    if stop in ("end", "tool_calls"):
        stop = "tool_calls" if has_calls else "end"
    origin = ModelRef(provider=profile.provider, model=profile.model, effort=request.effort)
    return ModelReply(
        message=AssistantMessage(parts=tuple(kept), origin=origin, stop_reason=stop),
        usage=usage or estimate(request, output_size),
    )


def interrupted(profile: Profile, what: str, *, emitted: bool = False) -> StreamInterrupted:
    said = f"The answer of {profile.provider} stopped before its end: {what}."
    return StreamInterrupted(said, provider=profile.provider, emitted=emitted)


def checked_usage(*, total_input: Any, cached: Any = 0, written: Any = 0, output: Any) -> Usage | None:
    """Usage where the provider counts cached tokens within its input tokens; None where the figures cannot be true."""
    counts = [_count(value) for value in (total_input, cached, written, output)]
    if any(count is None for count in counts):
        return None
    whole, read, wrote, out = (count or 0 for count in counts)
    if whole == 0 or read > whole:  # no request is empty
        return None
    return Usage(
        input_tokens=max(0, whole - read - wrote), output_tokens=out, cache_read_tokens=read, cache_write_tokens=wrote
    )


def estimate(request: ModelRequest, output_size: int) -> Usage:
    """Our own count, labelled so."""
    return Usage(input_tokens=estimate_input(request), output_tokens=-(-output_size // 4), estimated=True)


def estimate_input(request: ModelRequest, *, image: int = _IMAGE_TOKENS) -> int:
    """Tokens of a request at four bytes a token and `image` tokens a picture."""
    size = _length(request.system)
    for tool in request.tools:
        size += _length(tool.name) + _length(tool.description) + len(msgspec.json.encode(tool.input_schema)) + 20
    images = 0
    for message in request.messages:
        for part in _flat(message):
            if isinstance(part, Text | Thinking):
                size += _length(part.text)
            elif isinstance(part, ToolCall):
                size += _length(part.name) + len(msgspec.json.encode(part.arguments)) + 20
            else:
                images += 1
        size += 12
    return -(-size // 4) + image * images


def least_tokens(request: ModelRequest) -> int:
    """A number of tokens that no tokenizer stays below: none joins two words into one token. Counts prompt and messages,
    not what a server's template may leave out (tools, earlier thinking)."""
    texts = [request.system]
    texts += [part.text for message in request.messages for part in _flat(message) if isinstance(part, Text)]
    return sum(1 for text in texts for _ in re.finditer(r"\w+", text))


def output_limit(request: ModelRequest, profile: Profile) -> int:
    return min(request.max_output_tokens or profile.max_output_tokens, profile.max_output_tokens)


def temperature(request: ModelRequest, profile: Profile) -> dict[str, float]:
    """As a field of the body, where it was chosen and the model takes one."""
    return {"temperature": request.temperature} if request.temperature is not None and profile.temperature else {}


def described(tools: Iterable[ToolSpec], profile: Profile, *, schema: str) -> list[dict[str, Any]]:
    """Tools sorted by name, each as name, description and, under the protocol's own word for it, its schema."""
    by_name = sorted(tools, key=lambda tool: tool.name)
    return [{"name": tool.name, "description": tool.description, schema: input_schema(tool, profile)} for tool in by_name]


def input_schema(tool: ToolSpec, profile: Profile) -> dict[str, Any]:
    """A tool's schema as every provider takes it: OpenAI wants `properties` even where there are none. With `plain`
    schemas (Gemini) only the keywords of OpenAPI 3.0 are left."""
    schema = {"type": "object", "properties": {}} | tool.input_schema
    return _plain_schema(schema) if profile.schemas == "plain" else schema


def _plain_schema(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return {}
    plain = {key: value for key, value in schema.items() if key in _PLAIN_KEYWORDS}
    if "const" in schema:
        plain["enum"] = [schema["const"]]
    if isinstance(kinds := plain.get("type"), list):
        plain["type"] = next((kind for kind in kinds if kind != "null"), "string")
    if "properties" in plain:
        plain["properties"] = {name: _plain_schema(value) for name, value in plain["properties"].items()}
    if "items" in plain:
        plain["items"] = _plain_schema(plain["items"])
    for key in ("anyOf", "oneOf"):
        if key in schema:
            plain["anyOf"] = [_plain_schema(option) for option in schema[key] if option != {"type": "null"}]
    return plain


def _flat(message: Message) -> Iterable[Any]:
    if isinstance(message, ToolMessage):
        return (part for result in message.results for part in result.content)
    return message.parts


def _without_cut_calls(parts: list[Part]) -> list[Part]:
    if parts and isinstance(parts[-1], ToolCall):
        parts = parts[:-1]
    return [part for part in parts if not (isinstance(part, ToolCall) and part.malformed is not None)]


def _count(value: Any) -> int | None:
    if value is None:
        return 0
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < _ABSURD:
        return None
    return int(value)


def _length(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "replace"))


def _stable_bytes(request: ModelRequest) -> bytes:
    try:
        return msgspec.json.encode([request.model, request.messages])
    except UnicodeEncodeError:
        return repr((request.model, request.messages)).encode("utf-8", "replace")


def user_text(result: ToolResult) -> str:
    """A tool result for a protocol that has neither an error flag nor pictures in results."""
    text = result.text()
    if result.is_error and not text.lower().startswith("error"):
        text = f"Error: {text}"
    return text or NO_OUTPUT


def merged_users(messages: Iterable[Message]) -> list[Message]:
    """Neighbouring user messages become one: strict servers want roles to alternate."""
    merged: list[Message] = []
    for message in messages:
        last = merged[-1] if merged else None
        if isinstance(message, UserMessage) and isinstance(last, UserMessage):
            merged[-1] = UserMessage(parts=last.parts + message.parts)
        else:
            merged.append(message)
    return merged
