"""The standard streams as this program needs them: always there, in an encoding that can write every character, and with one
sentence for a failure. Whatever is printed goes through here."""

import codecs
import io
import locale
import os
import sys


class OutputLost(Exception):
    """Standard output does not take what is written to it. No OSError: it is about no file that anybody asked for."""


def open_standard_streams() -> None:
    """Replaces `sys.stdin`, `stdout` and `stderr`. A stream that was closed is replaced by nothing, so that no file that is
    opened later takes its place and is written to by a child."""
    codecs.register_error("escaped", _escaped)
    for descriptor, flags in enumerate((os.O_RDONLY, os.O_RDONLY, os.O_WRONLY)):
        _occupied(descriptor, flags)  # writing to standard output that is not there fails, as it should
    sys.stdin = io.TextIOWrapper(io.BufferedReader(io.FileIO(0, "rb", closefd=False)), _encoding(sys.stdin), "surrogateescape")
    sys.stdout = _writing(_Output(1, "wb", closefd=False), _encoding(sys.stdout))
    sys.stderr = _writing(_Errors(2, "wb", closefd=False), _encoding(sys.stderr))


def flush_output() -> None:
    """Writes what is still held back. Raises OutputLost, BrokenPipeError; there is no standard output any more then."""
    stream = sys.stdout
    try:
        if stream is not None:
            stream.flush()
    except BaseException:
        sys.stdout = None  # the interpreter would try once more when it ends, and complain
        raise


def argument(text: str) -> str:
    """An argument of the command line as it was typed. Python takes it for UTF-8; in a locale of another encoding that leaves
    half characters behind."""
    if text.isascii() or not any("\udc80" <= char <= "\udcff" for char in text):
        return text
    try:
        return os.fsencode(text).decode(_of_locale())
    except (UnicodeError, LookupError):
        return text


class _Output(io.FileIO):
    def write(self, data) -> int | None:  # type: ignore[no-untyped-def, override]
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise OutputLost(f"Nothing more could be written to standard output: {error.strerror}.") from None


class _Errors(io.FileIO):
    def write(self, data) -> int | None:  # type: ignore[no-untyped-def, override]
        try:
            return super().write(data)
        except OSError:  # there is nobody left to be told
            return len(data)


def _writing(raw: io.FileIO, encoding: str) -> io.TextIOWrapper:
    by_line = raw.isatty() or raw.fileno() == 2
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, "escaped", line_buffering=by_line)


def _occupied(descriptor: int, flags: int) -> None:
    try:
        os.fstat(descriptor)
    except OSError:
        found = os.open(os.devnull, flags)
        if found != descriptor:
            os.dup2(found, descriptor)
            os.close(found)


def _encoding(stream: io.TextIOBase | None) -> str:
    """PYTHONIOENCODING is a person's word; else it is what the terminal shows, also where Python itself runs in UTF-8."""
    said = os.environ.get("PYTHONIOENCODING", "").partition(":")[0]
    return (said and stream is not None and stream.encoding) or _of_locale()


def _of_locale() -> str:
    try:
        return codecs.lookup(locale.nl_langinfo(locale.CODESET)).name.replace("ascii", "utf-8")
    except LookupError:
        return "utf-8"


def _escaped(error: UnicodeError) -> tuple[str, int]:
    """What an encoding does not have, as JSON writes it: documents stay what they are."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    units = error.object[error.start : error.end].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[i]:02x}{units[i + 1]:02x}" for i in range(0, len(units), 2)), error.end
