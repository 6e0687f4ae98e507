"""The versioned JSON codec: one value a line, which no reader splits where we did not.

The log's first line is its `Header`; each further line is a `Record`. `RECORD_VERSION` grows only when a reader of the old
version would misread a new log; fields that are merely new do not count.
"""

from typing import Any, TypeVar

import msgspec

from goose_py.protocol.events import Record
from goose_py.protocol.frames import FromWorker, ToWorker

RECORD_VERSION = 1
T = TypeVar("T")

_encoder = msgspec.json.Encoder()
_decoders: dict[Any, msgspec.json.Decoder[Any]] = {}


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """`format` is always "goose-py session". A fork names the session that it goes on from, which lies in the folder beside
    its own, and the last of its records that is part of the fork; its own records count on from there."""

    format: str = "goose-py session"
    version: int = RECORD_VERSION
    session_id: str = ""
    parent: str = ""
    parent_seq: int = 0


class CodecError(ValueError):
    """The bytes are not one value of the wanted type; the message says where they differ."""


def encode(value: Any) -> bytes:
    """One line of UTF-8 JSON without the line feed, fields in the order of their definition. U+2028, U+2029 and U+0085 are
    escaped, because readers exist that end a line there. JSON in UTF-8 has no lone surrogates, with which Python marks
    undecodable bytes: they are written as the visible text `\\udcXX` (what must be byte-exact lives in git trees)."""
    try:
        data = _encoder.encode(value)
    except UnicodeEncodeError:
        data = _encoder.encode(_without_surrogates(msgspec.to_builtins(value)))
    if b"\xc2\x85" in data or b"\xe2\x80" in data:
        for raw, escaped in _LINE_ENDS:
            data = data.replace(raw, escaped)
    return data


_LINE_ENDS = ((b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"), (b"\xc2\x85", b"\\u0085"))


def _without_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_without_surrogates(key): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_surrogates(item) for item in value]
    return value


def decode(data: bytes | str, kind: type[T] | Any) -> T:
    """Raises CodecError."""
    decoder = _decoders.get(kind)
    if decoder is None:
        decoder = _decoders[kind] = msgspec.json.Decoder(kind)
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CodecError(str(error)) from None


def decode_record(line: bytes) -> Record:
    return decode(line, Record)


def decode_frame(line: bytes) -> FromWorker:
    return decode(line, FromWorker)


def decode_request(line: bytes) -> ToWorker:
    return decode(line, ToWorker)
