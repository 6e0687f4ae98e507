"""Text that somebody else wrote, made fit for a terminal: what would act or hide is shown instead.

A terminal obeys control characters wherever they come from, and people do not see characters without a shape. So model
text, tool output, file and branch names, server descriptions and error messages pass through `safe_text` (or `safe_line`)
exactly once, where they leave us for a screen, standard output or a log that people read.
"""

import functools
import re
from typing import Final

import msgspec

# Category Cf without the Arabic, Syriac and Kaithi number signs, which have a shape; U+2028 and U+2029, which some programs
# take for line ends; surrogates, which no terminal can encode; and the characters that Unicode calls
# Default_Ignorable_Code_Point (DerivedCoreProperties.txt, 15.1) though their category is another.
_HIDDEN: Final = (
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff"
)
_CONTROL_BUT_LAYOUT: Final = "\x00-\x08\x0b-\x1f\x7f-\x9f"
_CONTROL: Final = "\x00-\x1f\x7f-\x9f"
# A joiner between two pictographs makes one picture of them (family, professions), and one variation selector after a
# character chooses its style: both are what they seem. In any other place, or in a row, they can carry a hidden message.
_PICTOGRAPH: Final = "\u2190-\u21ff\u2600-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff"
_JOINER: Final = f"(?<=[{_PICTOGRAPH}\ufe0f])\u200d(?=[{_PICTOGRAPH}])"
_SECOND_SELECTOR: Final = "(?<=[\ufe00-\ufe0f])[\ufe0e\ufe0f]"

_UNSAFE_TEXT: Final = f"(?!{_JOINER})[{_CONTROL_BUT_LAYOUT}{_HIDDEN}]|{_SECOND_SELECTOR}"
_UNSAFE_LINE: Final = f"(?!{_JOINER})[{_CONTROL}{_HIDDEN}]|{_SECOND_SELECTOR}"
_HIDDEN_ONLY: Final = f"(?!{_JOINER})[{_HIDDEN}]|{_SECOND_SELECTOR}"

# Scanned first: a bare set of characters is found ten times as fast as the expressions above.
_SUSPECT_TEXT: Final = f"[{_CONTROL_BUT_LAYOUT}{_HIDDEN}\ufe0e\ufe0f]"
_SUSPECT_LINE: Final = f"[{_CONTROL}{_HIDDEN}\ufe0e\ufe0f]"

# Compiled when they are first needed, which most starts never do.
_compiled = functools.cache(re.compile)

_SHORT: Final = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}


class HiddenCharacter(msgspec.Struct, frozen=True):
    """A character without a shape: where it stands (both counted from 1) and how `safe_text` shows it."""

    line: int
    column: int
    shown: str


def safe_text(text: str) -> str:
    """`text` with every control character but newline and tab, and every invisible character, written as an escape:
    `\\x1b` and the like below U+0100, `\\u{202e}` above. Whatever has a shape is unchanged, so the result of most calls is
    `text` itself. Idempotent."""
    if (text.isascii() and text.isprintable()) or _compiled(_SUSPECT_TEXT).search(text) is None:
        return text
    return _compiled(_UNSAFE_TEXT).sub(_shown, text)


def safe_line(text: str) -> str:
    """Like `safe_text`, for what must stay on one line (names, paths, titles): newline and tab are escaped as well."""
    if (text.isascii() and text.isprintable()) or _compiled(_SUSPECT_LINE).search(text) is None:
        return text
    return _compiled(_UNSAFE_LINE).sub(_shown, text)


def find_hidden(text: str, limit: int = 20) -> tuple[HiddenCharacter, ...]:
    """The first `limit` invisible characters of `text` in order, to warn of a file that says more than it shows.

    A byte order mark at the very start is none."""
    if text.isascii():
        return ()
    found: list[HiddenCharacter] = []
    for match in _compiled(_HIDDEN_ONLY).finditer(text, 1 if text.startswith("\ufeff") else 0):
        start = match.start()
        line_start = text.rfind("\n", 0, start) + 1
        found.append(HiddenCharacter(text.count("\n", 0, start) + 1, start - line_start + 1, _shown(match)))
        if len(found) >= limit:
            break
    return tuple(found)


def _shown(match: re.Match[str]) -> str:
    char = match.group()
    code = ord(char)
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{{{code:x}}}")
