"""The three outputs. Each consumes records and deltas in order and is finished once.

All take their streams, so that a test, a file or a pipe serves as well as a terminal.
"""

import re
from collections.abc import Iterable
from typing import Any, Protocol, TextIO

from goose_py.headless.result import RunResult, ending_code, envelope, fold
from goose_py.headless.streams import QuietStream
from goose_py.protocol import codec
from goose_py.protocol.codec import Header
from goose_py.protocol.deltas import Delta
from goose_py.protocol.events import Record, SessionStarted


class Output(Protocol):
    def recall(self, records: Iterable[Record]) -> None:
        """What happened before this run, where it goes on with a session: counted, not written."""
        ...

    def consume(self, item: Record | Delta) -> None: ...

    def finish(self, *, timed_out: bool = False, error: str = "", code: int | None = None) -> int:
        """Write what is written at the end and return the process's exit code. `error` is a sentence about an end that
        no record tells of (the worker died, bad usage) and `code` the exit code that goes with it."""
        ...


class JsonOutput:
    """One JSON document on `out` at the end, and nothing before: see `result.envelope`."""

    def __init__(self, out: TextIO, *, raw: bool = False) -> None:
        self._out = QuietStream(out)
        self._raw = raw
        self._run = RunResult()

    def recall(self, records: Iterable[Record]) -> None:
        for record in records:
            self._run = fold(self._run, record)

    def consume(self, item: Record | Delta) -> None:
        self._run = fold(self._run, item)

    def finish(self, *, timed_out: bool = False, error: str = "", code: int | None = None) -> int:
        ending = ending_code(self._run, timed_out=timed_out, error=error, code=code)
        self._out.write(json_line(envelope(self._run, code=ending, error=error), raw=self._raw))
        self._out.flush()
        return ending


class StreamJsonOutput:
    """JSON lines on `out`: the log's header, each record as the log has it, and last the result. Without its last line it
    is a log. With `deltas`, ephemeral deltas come in between as they happen."""

    def __init__(self, out: TextIO, *, raw: bool = False, deltas: bool = False) -> None:
        self._out = QuietStream(out)
        self._raw = raw
        self._deltas = deltas
        self._begun = False
        self._run = RunResult()

    def recall(self, records: Iterable[Record]) -> None:
        for record in records:
            self._run = fold(self._run, record)

    def consume(self, item: Record | Delta) -> None:
        self._run = fold(self._run, item)
        if not isinstance(item, Record) and not self._deltas:
            return
        session = item.event.session_id if isinstance(item, Record) and isinstance(item.event, SessionStarted) else ""
        self._begin(session)
        self._line(item)

    def finish(self, *, timed_out: bool = False, error: str = "", code: int | None = None) -> int:
        ending = ending_code(self._run, timed_out=timed_out, error=error, code=code)
        self._begin("")
        self._line(envelope(self._run, code=ending, error=error))
        return ending

    def _begin(self, session_id: str) -> None:
        if not self._begun:
            self._begun = True
            self._line(Header(session_id=session_id))

    def _line(self, value: Any) -> None:
        self._out.write(json_line(value, raw=self._raw))
        self._out.flush()


def json_line(value: Any, *, raw: bool = False) -> str:
    """`value` as the codec writes it, with a line feed. Unless `raw`, characters that a terminal obeys or does not show are
    escaped as JSON escapes them: the document says the same, and printing it does nothing."""
    text = codec.encode(value).decode()
    return (text if raw else _UNSAFE.sub(_escaped, text)) + "\n"


_UNSAFE = re.compile(
    "[\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U0001d173-\U0001d17a\U000e0000-\U000e01ef]"
)


def _escaped(match: re.Match[str]) -> str:
    units = match[0].encode("utf-16-be")
    return "".join(f"\\u{units[index]:02x}{units[index + 1]:02x}" for index in range(0, len(units), 2))
