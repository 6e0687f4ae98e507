"""Text files as they are on disk: bytes, their encoding, and splices that leave every other byte alone."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..display import printable
from ..refusal import Refused

# Longer marks first: the UTF-32 one begins with the UTF-16 one.
_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# PEP 263 cookies, XML and HTML declarations, Emacs and vim lines.
_DECLARED = re.compile(rb"(?:coding|encoding|charset)\s*[:=]\s*[\"']?\s*([-\w.]+)", re.IGNORECASE)
_DECLARATION_BYTES = 1024
_HIGH_RUN = re.compile(rb"[\x80-\xff]+")
# The bytes of 0x80-0x9F that Windows-1252 text really has: euro, ellipsis, dashes, quotes, bullet, trade mark.
_CP1252_MARKS = frozenset(b"\x80\x85\x8c\x91\x92\x93\x94\x95\x96\x97\x99\x9c")
_KANA = re.compile(r"[\u3040-\u30ff]")
_COMMON_HANZI = (0xB0A1, 0xD7F9)  # level 1 of GB 2312: the characters that make up nearly all of Chinese text
_SNIFFED = 8192


@dataclass(frozen=True)
class TextFile:
    """A decoded file. `mark + text.encode(encoding)` is `data`, byte for byte; `text` has the line ends of the file.

    `declared` is False when the encoding was guessed from the bytes (neither UTF-8, nor marked, nor declared).
    """

    data: bytes
    text: str
    encoding: str
    mark: bytes = b""
    declared: bool = True

    @property
    def note(self) -> str:
        """What a reader should know of the encoding; empty for plain UTF-8."""
        if self.encoding == "utf-8":
            return "UTF-8 with a byte order mark" if self.mark else ""
        return f"{self.encoding}{' with a byte order mark' if self.mark else ''}{'' if self.declared else ' (guessed)'}"

    def encode(self, text: str, path: str) -> bytes:
        """`text` in this file's encoding. Raises Refused naming the character that cannot be written in it."""
        try:
            return text.encode(self.encoding)
        except UnicodeEncodeError as error:
            char = text[error.start]
            raise Refused(
                f"{printable(path)} is in {self.note or 'UTF-8'}, which cannot hold the new text's character "
                f"{char.encode('ascii', 'backslashreplace').decode()} (U+{ord(char):04X}); nothing was written."
            ) from None

    def spliced(self, changes: Sequence[tuple[int, int, str]], path: str) -> bytes:
        """The file's bytes with each (start, end, replacement) applied.

        Offsets count characters of `text`, ascending and not overlapping. All bytes outside them are those of `data`.
        Raises Refused when a replacement cannot be written in the file's encoding.
        """
        pieces: list[bytes] = [self.mark]
        at = 0
        for start, end, replacement in changes:
            pieces += [self.text[at:start].encode(self.encoding), self.encode(replacement, path)]
            at = end
        pieces.append(self.text[at:].encode(self.encoding))
        return b"".join(pieces)


def is_binary(data: bytes) -> bool:
    """True for content that is no text in any encoding known here (it has a NUL and is not UTF-16 or UTF-32)."""
    return _wide_encoding(data) is None and b"\0" in data[:_SNIFFED] and not _marked(data)


def decode(data: bytes, path: str) -> TextFile:
    """Decodes strictly; never makes a replacement character. Raises Refused for binary content.

    In this order: byte order mark, UTF-8, UTF-16 without a mark, what the file declares in its first kilobyte, then
    what the bytes look like (Shift-JIS, GBK, Windows-1252), and Latin-1, in which every byte is a character.
    """
    mark, encoding = next(((m, e) for m, e in _MARKS if data.startswith(m)), (b"", ""))
    if mark and (text := _strictly(data[len(mark) :], encoding)) is not None:
        return TextFile(data, text, encoding, mark)
    if b"\0" not in data and (text := _strictly(data, "utf-8")) is not None:
        return TextFile(data, text, "utf-8")
    if (wide := _wide_encoding(data)) and (text := _strictly(data, wide)) is not None:
        return TextFile(data, text, wide, declared=False)
    if b"\0" in data[:_SNIFFED]:
        raise Refused(f"{printable(path)} is a binary file ({len(data):,} bytes), not text.")
    if (text := _strictly(data, "utf-8")) is not None:  # a stray NUL far into a text file
        return TextFile(data, text, "utf-8")
    if (declared := _declared(data)) and (text := _strictly(data, declared)) is not None:
        return TextFile(data, text, declared)
    guess = _guess(data)
    return TextFile(data, data.decode(guess), guess, declared=False)


def encode_new(text: str, path: str) -> bytes:
    """UTF-8 for a new file. Raises Refused for text that has no encoding (half of a surrogate pair)."""
    return TextFile(b"", "", "utf-8").encode(text, path)


def _marked(data: bytes) -> bool:
    return any(data.startswith(mark) for mark, _ in _MARKS)


def _strictly(data: bytes, encoding: str) -> str | None:
    """The text, or None unless it decodes without error and encodes back to the same bytes."""
    try:
        text = data.decode(encoding)
        return text if text.encode(encoding) == data else None
    except (UnicodeError, LookupError):
        return None


def _wide_encoding(data: bytes) -> str | None:
    """UTF-16 without a mark: mostly Latin text has a NUL in nearly every second byte, always on the same side."""
    sample = data[:_SNIFFED]
    if len(data) % 2 or len(sample) < 4:
        return None
    half = len(sample) // 2
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.6 * half and even == 0:
        return "utf-16-le"
    if even > 0.6 * half and odd == 0:
        return "utf-16-be"
    return None


def _declared(data: bytes) -> str | None:
    found = _DECLARED.search(data[:_DECLARATION_BYTES])
    if found is None:
        return None
    try:
        name = codecs.lookup(found[1].decode("ascii", "replace")).name
        return name if "a".encode(name) == b"a" and name != "utf-8" else None
    except (LookupError, UnicodeError, TypeError):
        return None


def _guess(data: bytes) -> str:
    runs = _HIGH_RUN.findall(data)
    high = b"".join(runs)
    # Western text has its accented letters one by one; East Asian encodings have bytes of 0x80 and above in rows.
    lonely = sum(len(run) == 1 for run in runs) >= 0.7 * len(runs)
    if (text := _strictly(data, "cp932")) is not None and _mostly_kana(text):
        return "cp932"
    if not lonely and (text := _strictly(data, "gbk")) is not None and _mostly_common_hanzi(high):
        return "gbk"
    controls = [byte for byte in high if byte < 0xA0]
    if controls and all(byte in _CP1252_MARKS for byte in controls) and _strictly(data, "cp1252") is not None:
        return "cp1252"
    return "latin-1"


def _mostly_kana(text: str) -> bool:
    foreign = [char for char in text if ord(char) > 0x7F]
    # Half-width katakana (U+FF61-FF9F) is how Latin-1 letters look in Shift-JIS: it is no evidence.
    return len(_KANA.findall(text)) >= 0.2 * len(foreign) > 0


def _mostly_common_hanzi(high: bytes) -> bool:
    pairs = [high[i] << 8 | high[i + 1] for i in range(0, len(high) - 1, 2)]
    return sum(_COMMON_HANZI[0] <= pair <= _COMMON_HANZI[1] for pair in pairs) >= 0.5 * max(len(pairs), 1)
