"""Bytes of a stream into events: server-sent events and JSON lines.

Source: WHATWG HTML, section 9.2.6 "Interpreting an event stream". Tolerant where it allows: LF, CR and CRLF, a byte order
mark, comments, fields of several lines, unknown fields, UTF-8 split anywhere. An event that the end of the stream leaves
without its blank line is discarded, as the specification asks: it may be a half.
"""

from collections.abc import Iterator

import msgspec

_LONGEST_LINE = 64 * 1024 * 1024


class ServerEvent(msgspec.Struct, frozen=True):
    """One dispatched event. `name` is "" where the stream gave none. A comment arrives as an event with `data` None: it
    carries nothing but proof of life."""

    name: str
    data: str | None


class LineTooLong(ValueError):
    """One line of a stream exceeded 64 MiB: this is no answer of a model."""


class Lines:
    """Splits a byte stream at LF, and with `carriage_returns` at CR and CRLF too. Keeps the unfinished rest; a line's
    bytes are joined once, so that a line of many megabytes costs linear time."""

    def __init__(self, *, carriage_returns: bool = False) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._cr = carriage_returns
        self._after_cr = False

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        if self._cr:
            chunk = self._unify(chunk)
        start = 0
        while (end := chunk.find(b"\n", start)) >= 0:
            self._pieces.append(chunk[start:end])
            line = b"".join(self._pieces)
            self._pieces.clear()
            self._size = 0
            start = end + 1
            yield line
        if start < len(chunk):
            self._pieces.append(chunk[start:] if start else chunk)
            self._size += len(chunk) - start
            if self._size > _LONGEST_LINE:
                raise LineTooLong("a line of the stream is longer than 64 MiB")

    def rest(self) -> bytes:
        return b"".join(self._pieces)

    def _unify(self, chunk: bytes) -> bytes:
        """CR and CRLF become LF, also where the pair is split between chunks."""
        if self._after_cr and chunk.startswith(b"\n"):
            chunk = chunk[1:]
            self._after_cr = False
        if chunk:
            self._after_cr = chunk.endswith(b"\r")
        if b"\r" not in chunk:
            return chunk
        return chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


class EventStream:
    """Feed it chunks; it yields the events that are complete. Raises `UnicodeDecodeError` where a line is not UTF-8."""

    def __init__(self) -> None:
        self._lines = Lines(carriage_returns=True)
        self._first = True
        self._name = ""
        self._data: list[str] = []

    def feed(self, chunk: bytes) -> Iterator[ServerEvent]:
        for raw in self._lines.feed(chunk):
            if self._first:
                self._first = False
                raw = raw.removeprefix(b"\xef\xbb\xbf")
            event = self._line(raw)
            if event is not None:
                yield event

    def _line(self, raw: bytes) -> ServerEvent | None:
        if not raw:
            return self._dispatch()
        if raw.startswith(b":"):
            return ServerEvent("", None)
        field, _, value = raw.decode("utf-8").partition(":")
        value = value.removeprefix(" ")
        if field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        return None

    def _dispatch(self) -> ServerEvent | None:
        name, data = self._name, self._data
        self._name, self._data = "", []
        return ServerEvent(name, "\n".join(data)) if data else None
