"""Faults below the protocol, as a turn's `wire` mapping names them, and the bytes that they make of a stream."""

import base64
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import msgspec


class Faults(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`drop`: the connection closes before any answer. `raw`: these bytes are the whole answer, head included.
    `split`: bytes in a write. `newline`, `bom`, `comments`, `multiline`, `unknown`: forms that the SSE specification allows.
    `insert`: raw text put into the stream after so many events. `cut_events`, `cut_bytes`: the stream ends after so much of
    it, cleanly or, with `reset`, by a TCP reset; `abrupt`: the chunked body is left without its end. `stall_events`: silence
    after so many events. `pings`: seconds between keep-alives during a stall. `trickle`: seconds between single bytes.
    `usage`: replaces the reported usage; null leaves it out. `finish`: the raw finish reason. `no_done`: no `[DONE]`.
    `index_zero`: every call of a chat answer is numbered 0. `no_index`: none is."""

    drop: bool = False
    raw: str | None = None
    split: int = 0
    newline: str = "\n"
    bom: bool = False
    comments: bool = False
    multiline: bool = False
    unknown: bool = False
    insert: str | None = None
    insert_after: int = 1
    cut_events: int | None = None
    cut_bytes: int | None = None
    reset: bool = False
    abrupt: bool = False
    stall_events: int | None = None
    pings: float = 0.0
    trickle: float = 0.0
    usage: Any = msgspec.UNSET
    finish: str | None = None
    no_done: bool = False
    index_zero: bool = False
    no_index: bool = False
    hang: bool = False
    content_type: str = ""


def faults_of(wire: dict[str, Any]) -> Faults:
    return msgspec.convert(wire, Faults)


def sse(events: list[dict[str, Any] | str], faults: Faults, *, named: bool) -> Iterator[bytes]:
    """One piece of bytes for each event; a string is an event's data as it stands."""
    end = faults.newline
    for number, event in enumerate(events):
        lines: list[str] = []
        if faults.comments:
            lines.append(": keep-alive")
        if isinstance(event, str):
            lines.append(f"data: {event}")
        else:
            if named:
                lines.append(f"event: {event['type']}")
            text = msgspec.json.encode(event)
            if faults.multiline:
                text = msgspec.json.format(text, indent=1)
            lines += [f"data: {line}" for line in text.decode().split("\n")]
        piece = end.join(lines) + end + end
        if faults.unknown:
            piece += end.join(["event: hologram", "id: 7", "retry: 10", "novel: field", 'data: {"type": "hologram"}', "", ""])
        if number == 0 and faults.bom:
            piece = "\ufeff" + piece
        yield piece.encode()


def aws(events: list[dict[str, Any] | str]) -> Iterator[bytes]:
    """Amazon's `application/vnd.amazon.eventstream`: each event in base64 within a frame with two checksums. A string is the
    type of an exception that ends the stream."""
    for event in events:
        if isinstance(event, str):
            kind = {":message-type": "exception", ":exception-type": event}
            payload = msgspec.json.encode({"message": "The service is busy."})
        else:
            kind = {":message-type": "event", ":event-type": "chunk"}
            payload = msgspec.json.encode({"bytes": base64.b64encode(msgspec.json.encode(event)).decode()})
        pairs = {**kind, ":content-type": "application/json"}.items()
        headers = b"".join(
            struct.pack(">B", len(name)) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
            for name, value in pairs
        )
        prelude = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
        frame = prelude + struct.pack(">I", zlib.crc32(prelude)) + headers + payload
        yield frame + struct.pack(">I", zlib.crc32(frame))


def ndjson(events: list[dict[str, Any] | str], faults: Faults) -> Iterator[bytes]:
    for event in events:
        yield (event.encode() if isinstance(event, str) else msgspec.json.encode(event)) + b"\n"
