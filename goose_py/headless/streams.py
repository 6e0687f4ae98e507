"""Writing to a stream that may be closed at any moment (`goose-py run … | head`)."""

from typing import TextIO

from goose_py.standard_streams import OutputLost


class QuietStream:
    """A text stream that goes silent, rather than failing, once its reader has gone or nothing can be written to it. The run
    goes on: what it does is in the log, and that output was lost is said at the end of the program."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.broken = False

    def write(self, text: str) -> int:
        if self.broken:
            return len(text)
        try:
            self._stream.write(text)
        except (BrokenPipeError, OutputLost, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        if self.broken:
            return
        try:
            self._stream.flush()
        except (BrokenPipeError, OutputLost, ValueError):
            self._give_up()

    def isatty(self) -> bool:
        return not self.broken and not self._stream.closed and self._stream.isatty()

    @property
    def encoding(self) -> str:
        return getattr(self._stream, "encoding", None) or "utf-8"

    def _give_up(self) -> None:
        self.broken = True
