"""The HTTP server: raw sockets of asyncio, so that an answer can be cut, held or torn at any byte."""

import asyncio
import socket
import ssl
import struct
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from types import ModuleType
from typing import Any

import msgspec

from goose_py.protocol.errors import RequestRejected
from goose_py.providers.scripted import Play, Script, ScriptedError, Turn
from wire import anthropic, chat, faults, ollama, responses
from wire.faults import Faults

PROTOCOLS: tuple[str, ...] = ("anthropic", "responses", "chat", "ollama")
_SPEAKERS: dict[str, ModuleType] = {"anthropic": anthropic, "responses": responses, "chat": chat, "ollama": ollama}
_BEDROCK = "/invoke-with-response-stream"
_BASES = {"anthropic": "", "responses": "/v1", "chat": "/v1", "ollama": ""}


class Recorded(msgspec.Struct, frozen=True, kw_only=True):
    """A request as it arrived. `headers` have names in lower case; `raw` is the body's bytes; `arrived` is when its last
    byte was read, on the clock of `time.perf_counter`."""

    method: str
    path: str
    protocol: str
    headers: dict[str, str]
    raw: bytes
    arrived: float

    @property
    def body(self) -> Any:
        return msgspec.json.decode(self.raw) if self.raw else None


class WireServer:
    """Answers each model request with the next turn of the script. `key`: requests without it get a 401. `strict`: requests
    that a real provider would refuse get a 400, and the refusal is kept in `objections`, so that a test can fail on it.
    `models` is what the listings show. `answered` holds when each whole answer had been sent."""

    def __init__(
        self,
        script: Script | list[Turn],
        *,
        values: Mapping[str, str] | None = None,
        key: str | None = None,
        strict: bool = True,
        models: Mapping[str, dict[str, Any]] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        script = script if isinstance(script, Script) else Script(turns=script)
        self._play = Play(script, values)
        self._key = key
        self._tls = tls
        self._strict = strict
        self._models = dict(models or {"test-model": {}})
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Condition()
        self._answers = 0
        self.port = 0
        self.requests: list[Recorded] = []
        self.objections: list[str] = []
        self.connections = 0
        self.closed_early = 0
        self.answered: list[float] = []

    async def start(self, port: int = 0) -> None:
        self._server = await asyncio.start_server(
            self._connected, "127.0.0.1", port, limit=64 * 1024 * 1024, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()
        running = tuple(self._connections)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def __aenter__(self) -> "WireServer":
        await self.start()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stop()

    @property
    def url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def base_url(self, protocol: str) -> str:
        return self.url + _BASES[protocol]

    async def received(self, count: int, within: float = 30.0) -> None:
        """Waits until so many requests have arrived; `TimeoutError` where they do not."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: len(self.requests) >= count)

    async def abandoned(self, count: int = 1, within: float = 30.0) -> None:
        """Waits until so many answers were given up by the client before their end."""
        async with asyncio.timeout(within), self._changed:
            await self._changed.wait_for(lambda: self.closed_early >= count)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The tasks are ours: those that asyncio makes of a coroutine complain when they are cancelled."""
        self.connections += 1
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            await self._note(closed_early=True)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    async def _note(self, *, closed_early: bool = False) -> None:
        async with self._changed:
            self.closed_early += closed_early
            self._changed.notify_all()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """One request and its answer; whether the connection can carry another."""
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError:
            return False
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        raw = await reader.readexactly(int(headers.get("content-length", "0")))
        protocol = _protocol(target)
        arrived = time.perf_counter()
        self.requests.append(Recorded(method=method, path=target, protocol=protocol, headers=headers, raw=raw, arrived=arrived))
        await self._note()
        if not protocol:
            return await _send_json(writer, *self._listing(method, target, raw))
        return await self._answer(reader, writer, _SPEAKERS[protocol], self.requests[-1])

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, speaker: ModuleType, request: Recorded
    ) -> bool:
        sent_key = request.headers.get("authorization", "").removeprefix("Bearer ")
        keys = {sent_key, request.headers.get("x-api-key", ""), request.headers.get("api-key", "")}
        if self._key is not None and self._key not in keys:
            return await _send_json(writer, 401, speaker.error(401, "", f"Incorrect API key provided: {sent_key}"))
        body = request.body
        if self._strict and (refusal := speaker.objection(body, request.headers)):
            self.objections.append(refusal)
            return await _send_json(writer, 400, speaker.error(400, "", refusal))
        try:
            turn = self._play.next(speaker.view(body))
        except RequestRejected as error:
            self.objections.append(str(error))
            return await _send_json(writer, 400, speaker.error(400, "", str(error)))
        self._answers += 1
        wire = faults.faults_of(turn.wire)
        if wire.drop:
            if wire.reset:
                _reset(writer)
            return False
        if wire.hang:
            await _until_gone(reader)
            return await self._gone()
        if wire.raw is not None:
            writer.write(wire.raw.encode("utf-8", "surrogateescape"))
            await writer.drain()
            return False
        if turn.error and turn.error.status is not None:
            return await self._send_error(writer, speaker, turn.error)
        return await self._stream(reader, writer, speaker, turn, wire, body)

    async def _send_error(self, writer: asyncio.StreamWriter, speaker: ModuleType, error: ScriptedError) -> bool:
        status = error.status or 500
        extra = dict(error.headers)
        if error.retry_after is not None:
            extra["Retry-After"] = f"{error.retry_after:g}"
        if error.body is not None:
            return await _send(writer, status, error.body.encode(), {"Content-Type": "text/html", **extra})
        return await _send_json(writer, status, speaker.error(status, error.code, error.message), extra)

    async def _stream(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        speaker: ModuleType,
        turn: Turn,
        wire: Faults,
        body: dict[str, Any],
    ) -> bool:
        events = speaker.events(turn, body, wire, self._answers)
        if turn.error:
            events = events[: -speaker.ENDING]
        if wire.insert is not None:
            events.insert(wire.insert_after, wire.insert)
        kind, pieces = _framed(self.requests[-1], speaker, events, wire)
        _head(writer, 200, {"Content-Type": wire.content_type or kind, "Transfer-Encoding": "chunked"})
        stall = wire.stall_events if wire.stall_events is not None else len(events) if turn.error and turn.error.stall else None
        left = wire.cut_bytes
        for number, piece in enumerate(pieces):
            if number == stall:
                await _stall(reader, writer, wire)
                return await self._gone()
            if number == wire.cut_events:
                return _cut(writer, wire)
            if left is not None and left < len(piece):
                await _write(writer, piece[:left], wire)
                return _cut(writer, wire)
            left = None if left is None else left - len(piece)
            if turn.delay:
                await asyncio.sleep(turn.delay)
            await _write(writer, piece, wire)
        if stall is not None:
            await _stall(reader, writer, wire)
            return await self._gone()
        if wire.cut_bytes is not None or wire.cut_events is not None or wire.abrupt:
            return _cut(writer, wire)
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        self.answered.append(time.perf_counter())
        return True

    async def _gone(self) -> bool:
        await self._note(closed_early=True)
        return False

    def _listing(self, method: str, target: str, raw: bytes) -> tuple[int, Any]:
        path = target.partition("?")[0]
        names = list(self._models)
        if path.endswith("/models"):
            return 200, {"object": "list", "data": [{"id": name, "object": "model", **self._models[name]} for name in names]}
        if path == "/api/tags":
            return 200, {"models": [{"name": name, "model": name} for name in names]}
        if path == "/api/show":
            asked = msgspec.json.decode(raw)["model"]
            if asked not in self._models:
                return 404, {"error": f"model '{asked}' not found"}
            return 200, self._models[asked]
        if path == "/props" and "props" in self._models:
            return 200, self._models["props"]
        return 404, {"error": {"message": f"no route {method} {path}", "type": "not_found_error"}}


def _framed(
    request: Recorded, speaker: ModuleType, events: list[dict[str, Any] | str], wire: Faults
) -> tuple[str, Iterator[bytes]]:
    """The content type of a stream, and its events as bytes."""
    if speaker is ollama:
        return "application/x-ndjson", faults.ndjson(events, wire)
    if request.path.endswith(_BEDROCK):
        return "application/vnd.amazon.eventstream", faults.aws(events)
    return "text/event-stream; charset=utf-8", faults.sse(events, wire, named=speaker.NAMED)


def _protocol(target: str) -> str:
    path = target.partition("?")[0]
    if path.endswith(("/v1/messages", ":streamRawPredict", _BEDROCK)):
        return "anthropic"
    for ending, protocol in (("/chat/completions", "chat"), ("/responses", "responses"), ("/api/chat", "ollama")):
        if path.endswith(ending):
            return protocol
    return ""


def _head(writer: asyncio.StreamWriter, status: int, headers: Mapping[str, str]) -> None:
    lines = [f"HTTP/1.1 {status} Scripted", *(f"{name}: {value}" for name, value in headers.items())]
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))


async def _send_json(writer: asyncio.StreamWriter, status: int, body: Any, extra: Mapping[str, str] | None = None) -> bool:
    return await _send(writer, status, msgspec.json.encode(body), {"Content-Type": "application/json", **(extra or {})})


async def _send(writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str]) -> bool:
    _head(writer, status, {**headers, "Content-Length": str(len(body))})
    writer.write(body)
    await writer.drain()
    return True


async def _write(writer: asyncio.StreamWriter, piece: bytes, wire: Faults) -> None:
    for part in _split(piece, 1 if wire.trickle else wire.split):
        writer.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        await writer.drain()
        if wire.trickle:
            await asyncio.sleep(wire.trickle)
        elif wire.split:
            await asyncio.sleep(0)


def _split(piece: bytes, size: int) -> Iterator[bytes]:
    if not size:
        yield piece
        return
    yield from (piece[start : start + size] for start in range(0, len(piece), size))


def _cut(writer: asyncio.StreamWriter, wire: Faults) -> bool:
    """A clean end of the body by default; without the last chunk where it is `abrupt`; a TCP reset where it is `reset`."""
    if wire.reset:
        _reset(writer)
    elif not wire.abrupt:
        writer.write(b"0\r\n\r\n")
    return False


def _reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, wire: Faults) -> None:
    if not wire.pings:
        await _until_gone(reader)
        return
    gone = asyncio.ensure_future(_until_gone(reader))
    try:
        while not gone.done():
            writer.write(b"d\r\n: keep-alive\n\r\n")
            await writer.drain()
            await asyncio.wait([gone], timeout=wire.pings)
    finally:
        gone.cancel()


async def _until_gone(reader: asyncio.StreamReader) -> None:
    with suppress(ConnectionError):
        while await reader.read(65536):
            pass


async def serve(server: WireServer, port: int, until: AsyncIterator[bytes]) -> None:
    """Runs the server until `until` ends."""
    await server.start(port)
    addresses = {"url": server.url, **{protocol: server.base_url(protocol) for protocol in PROTOCOLS}}
    print(msgspec.json.encode(addresses).decode(), flush=True)
    try:
        async for _ in until:
            pass
    finally:
        await server.stop()
