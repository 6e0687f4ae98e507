"""Cut a server's byte stream into lines without ever holding more than a cap of it, and make sense of the too long ones."""

import json
import re
from collections.abc import Iterator

import msgspec

HEAD = 64 * 1024
TAIL = 1024

_TAIL_ID = re.compile(rb'"id"\s*:\s*(-?\d{1,18}|"[^"\\]{1,100}")\s*(?:,\s*"jsonrpc"\s*:\s*"2\.0"\s*)?\}\s*$')
_TEXT = re.compile(rb'"text"\s*:\s*"([^"\\]*(?:\\.[^"\\]*)*)', re.DOTALL)
_TOKEN = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*(?P<end>"?)|[{}\[\]]', re.DOTALL)
_ID_VALUE = re.compile(rb'\s*:\s*(-?\d{1,18}(?=\s*[,}])|"[^"\\]{1,100}")')


class TooLong(msgspec.Struct, frozen=True, kw_only=True):
    """A line beyond the cap: its first bytes, and `size` bytes of it so far. It is told twice: when the cap is passed,
    with `ended` false, and at its end, when the last bytes (`tail`) are known too."""

    head: bytes
    tail: bytes
    size: int
    ended: bool


class LineSplitter:
    """Feed it bytes, take lines without their newline. Memory: at most `cap` and one chunk."""

    def __init__(self, cap: int) -> None:
        self._cap = cap
        self._buffer = bytearray()
        self._head = b""
        self._size = 0

    def feed(self, data: bytes) -> Iterator[bytes | TooLong]:
        start = 0
        while (end := data.find(b"\n", start)) >= 0:
            yield from self._take(data[start:end])
            yield self._end()
            start = end + 1
        yield from self._take(data[start:])

    def rest(self) -> bytes:
        """What stands after the last newline; the stream has ended."""
        return bytes(self._buffer)

    def _take(self, part: bytes) -> Iterator[TooLong]:
        self._buffer += part
        if self._size:
            self._size += len(part)
        elif len(self._buffer) > self._cap:
            self._size = len(self._buffer)
            self._head = bytes(self._buffer[:HEAD])
            yield TooLong(head=self._head, tail=b"", size=self._size, ended=False)
        if self._size:
            del self._buffer[:-TAIL]

    def _end(self) -> bytes | TooLong:
        line = bytes(self._buffer)
        self._buffer.clear()
        if not self._size:
            return line
        long = TooLong(head=self._head, tail=line[-TAIL:], size=self._size, ended=True)
        self._head, self._size = b"", 0
        return long


def answered_id(line: TooLong) -> int | str | None:
    """The `id` of the JSON-RPC message that a too long line holds, where it can be seen: serialisers put it before the
    result (Python) or after it (TypeScript). None where the line is no such message, or its end has not come."""
    if b'"jsonrpc"' not in line.head and b'"jsonrpc"' not in line.tail:
        return None
    found = _head_id(line.head)
    if found is None and (match := _TAIL_ID.search(line.tail)):
        found = match[1]
    return None if found is None else json.loads(found)


def _head_id(head: bytes) -> bytes | None:
    """The value of a top-level "id" member that is whole in `head`: an "id" inside the result is another thing."""
    depth = position = 0
    while match := _TOKEN.search(head, position):
        position = match.end()
        if match[0] in (b"{", b"["):
            depth += 1
        elif match[0] in (b"}", b"]"):
            depth -= 1
        elif not match["end"]:
            return None  # the string that the cut went through
        elif depth == 1 and match[0] == b'"id"' and (value := _ID_VALUE.match(head, position)):
            return value[1]
    return None


def leading_text(head: bytes) -> str:
    """The text content that a cut tool result begins with, as far as it is there."""
    pieces = []
    for match in _TEXT.finditer(head):
        raw = match[1].decode("utf-8", "replace").rstrip("\ufffd")
        for cut in range(7):  # an escape that the cut went through has at most six characters
            try:
                pieces.append(json.loads(f'"{raw[: len(raw) - cut]}"', strict=False))
                break
            except ValueError:
                continue
    return "\n".join(pieces)
