"""A model behind one of the wire protocols: adapter and transport joined into the Model port, with the watch over silence."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import Any, Protocol, TypeVar

import msgspec

from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import EndpointUnreachable, ModelError, StreamInterrupted
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers import errors
from goose_py.providers.catalogue import unknown_model_hint
from goose_py.providers.profile import Profile, Timeouts
from goose_py.providers.protocols.assembly import Reader, interrupted
from goose_py.providers.sse import EventStream, Lines, LineTooLong
from goose_py.providers.transport import Response, Transport, network_errors

_TAIL = 5.0
"""Seconds to wait, once the answer itself is whole, for the figures that may follow it."""
_DRAIN = 0.05
"""Seconds to wait for the end of the body, so that the connection can be used again."""
_KEEPALIVES = frozenset({"ping", "keepalive"})

Read = TypeVar("Read")


class Adapter(Protocol):
    """The pure mappings of one protocol; the modules anthropic, responses, chat and ollama are its implementations."""

    FRAMING: str
    PATH: str
    HEADERS: dict[str, str]

    def to_request(self, request: ModelRequest, profile: Profile) -> dict[str, Any]: ...

    def Reader(self, request: ModelRequest, profile: Profile) -> Reader: ...


class ProtocolModel:
    """Implements the Model port.

    `secret` is blotted out of whatever the provider says; `now` (seconds since the epoch) reads `Retry-After` dates.
    Silence is measured by the event loop's clock: see `Timeouts`. A stream that breaks when the answer itself is already
    whole is no failure."""

    def __init__(
        self, profile: Profile, adapter: Adapter, transport: Transport, *, secret: str, now: Callable[[], float]
    ) -> None:
        self.profile = profile
        self._adapter = adapter
        self._transport = transport
        self._secret = secret
        self._now = now

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        body = self._adapter.to_request(request, self.profile)
        reader = self._adapter.Reader(request, self.profile)
        watch = Watch(self.profile.timeouts, asyncio.get_running_loop().time)
        emitted = False
        response = await self._send(body, watch)
        try:
            async with aclosing(self._events(response, watch, reader)) as events:
                async for event in events:
                    for delta in self._read(reader.feed, event):
                        emitted = True
                        yield delta
            yield self._read(reader.finish)
            await _drain(response)
        except StreamInterrupted as error:
            error.emitted = emitted
            raise
        finally:
            await response.close()

    def prepare(self) -> None:
        """Loads what the first request needs (an HTTP client or an SDK, the system's certificates). Blocks for 0.1 to 2 s:
        call it in a thread while something else is going on. Not needed, only faster."""
        self._transport.prepare()

    async def close(self) -> None:
        await self._transport.close()

    async def _send(self, body: dict[str, Any], watch: "Watch") -> Response:
        """The head of a successful answer; the failure, translated, where there is none."""
        with self._translating(watch):
            async with asyncio.timeout_at(watch.deadline()):
                response = await self._transport.post(self._adapter.PATH, body)
                if 200 <= response.status < 300:
                    return response
                try:
                    said = await response.read()
                finally:
                    await response.close()
        error = errors.from_response(
            response.status, response.headers, said, provider=self.profile.provider, secret=self._secret, now=self._now
        )
        if error.status == 404:
            error.args = (f"{error}{unknown_model_hint(self.profile)}",)
        raise error

    async def _events(self, response: Response, watch: "Watch", reader: Reader) -> AsyncIterator[dict[str, Any]]:
        """The stream's events, decoded. Ends where the server says so or closes; what breaks it is raised only while
        the answer is not whole."""
        framing = _framing(response, self._adapter.FRAMING)
        if framing == "page":
            raise EndpointUnreachable(
                f"{self.profile.base_url} answered with a web page and not with a model's words: is the base URL right?",
                provider=self.profile.provider,
            )
        decode = _DECODERS[framing]()
        chunks = response.chunks()
        chunk: bytes | None = None
        try:
            with self._translating(watch, answered=True):
                while not reader.done and chunk != b"":
                    async with asyncio.timeout_at(watch.deadline(ended=reader.ended)):
                        chunk = await anext(chunks, b"")
                    for event in decode(chunk):
                        if event is _END:
                            return
                        if event is not None:
                            yield event
                        watch.saw(event)  # after the yield: a consumer that takes its time is no silence of the server
        except ModelError:
            if not reader.ended:
                raise

    def _read(self, step: Callable[..., Read], *event: dict[str, Any]) -> Read:
        """A step of the reader, which believes that the server keeps to its protocol."""
        try:
            return step(*event)
        except (KeyError, TypeError, AttributeError) as error:  # what a stranger sent is not what the protocol says
            raise self._interrupted(f"an event does not have the shape of its protocol ({error!r})") from error
        except ModelError as error:
            error.args = (errors.redact(str(error), self._secret),)
            raise

    @contextmanager
    def _translating(self, watch: "Watch", *, answered: bool = False) -> Iterator[None]:
        try:
            yield
        except TimeoutError as error:
            raise self._interrupted(watch.silence()) from error
        except network_errors() as error:
            raise errors.from_network(
                error, provider=self.profile.provider, url=self.profile.base_url, answered=answered
            ) from error
        except (UnicodeDecodeError, msgspec.DecodeError, RecursionError, LineTooLong) as error:
            raise self._interrupted(f"its bytes are no valid stream ({error})") from error

    def _interrupted(self, what: str) -> StreamInterrupted:
        return interrupted(self.profile, errors.one_line(what))


class Watch:
    """When to give up waiting. Times are those of `clock`, in seconds."""

    def __init__(self, timeouts: Timeouts, clock: Callable[[], float]) -> None:
        self._timeouts = timeouts
        self._clock = clock
        self._last_content = self._started = clock()
        self._last_event: float | None = None

    def saw(self, event: dict[str, Any] | None) -> None:
        self._last_event = self._clock()
        if event is not None and event.get("type") not in _KEEPALIVES:
            self._last_content = self._last_event

    def deadline(self, *, ended: bool = False) -> float:
        if self._last_event is None:
            return self._started + self._timeouts.first_byte
        if ended:
            return self._last_event + min(_TAIL, self._timeouts.idle)
        return min(self._last_event + self._timeouts.idle, self._last_content + self._timeouts.stall)

    def silence(self) -> str:
        if self._last_event is None:
            return f"no answer began within {self._timeouts.first_byte:g} s"
        if self._last_event + self._timeouts.idle <= self._last_content + self._timeouts.stall:
            return f"nothing came for {self._timeouts.idle:g} s"
        return f"nothing but keep-alives came for {self._timeouts.stall:g} s"


_END: dict[str, Any] = {"type": "[DONE]"}


def _sse_decoder() -> Callable[[bytes], Iterator[dict[str, Any] | None]]:
    """None stands for a sign of life without content. An empty chunk is the end of the body."""
    stream = EventStream()

    def decode(chunk: bytes) -> Iterator[dict[str, Any] | None]:
        for event in stream.feed(chunk):
            if event.data is None or not event.data.strip():
                yield None
            elif event.data.strip() == "[DONE]":
                yield _END
            else:
                value = _object(event.data)
                value.setdefault("type", event.name)
                yield value

    return decode


def _lines_decoder() -> Callable[[bytes], Iterator[dict[str, Any] | None]]:
    lines = Lines()

    def decode(chunk: bytes) -> Iterator[dict[str, Any] | None]:
        for line in lines.feed(chunk):
            yield _object(line.decode("utf-8")) if line.strip() else None
        if not chunk and lines.rest().strip():
            yield _object(lines.rest().decode("utf-8"))

    return decode


def _object(text: str) -> dict[str, Any]:
    return msgspec.json.decode(text, type=dict[str, Any])


def _json_decoder() -> Callable[[bytes], Iterator[dict[str, Any] | None]]:
    """A server that does not stream answers with one object, whole."""
    pieces: list[bytes] = []

    def decode(chunk: bytes) -> Iterator[dict[str, Any] | None]:
        pieces.append(chunk)
        yield None if chunk else _object(b"".join(pieces).decode("utf-8"))

    return decode


_DECODERS = {"sse": _sse_decoder, "ndjson": _lines_decoder, "json": _json_decoder}


def _framing(response: Response, expected: str) -> str:
    kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "text/html":
        return "page"
    return "json" if kind == "application/json" and expected == "sse" else expected


async def _drain(response: Response) -> None:
    """Reads what is left of the body, if it is already there: only then can the connection carry the next request."""
    import httpx2

    try:
        async with asyncio.timeout(_DRAIN):
            async for _ in response.chunks():
                pass
    except (TimeoutError, OSError, httpx2.HTTPError, httpx2.StreamError):
        pass
