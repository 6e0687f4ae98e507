"""Escapes values on their way through YAML.

A template is filled in as text, as Goose does, so that every construct of its language keeps its meaning; but what
a `{{ }}` prints is *sealed* first: each character that could mean anything to YAML becomes a
private one, and the whole stands between two marks. YAML sees an ordinary word. Once the text is parsed, the scalars are
unsealed. So no value can end a string, start a line, or add a key, whatever it holds.

The private characters are those of plane 15 (U+F0000 to U+FFFFD), which no recipe may use itself.
"""

import re
from collections.abc import Callable

_FIRST, _LAST = 0xF0000, 0xFFFFD
OPEN, CLOSE, SOFT = chr(_FIRST), chr(_FIRST + 1), chr(_FIRST + 2)
"""`OPEN` and `CLOSE` stand around a value. `SOFT` is a column that the `indent` filter added: in a block scalar, where such
columns are only there to satisfy YAML, those of the block are taken away again."""

RESERVED = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_MARKS = re.compile(f"([{OPEN}{CLOSE}])")
_SOFT_RUN = re.compile(f"{SOFT}+")


class Seal:
    """The seal of one rendering. `value` before the template, `apply` on what it prints, `text` and `pieces` after YAML.
    Raises `ValueError` once more than `most` characters were sealed."""

    def __init__(self, most: int = 8 << 20) -> None:
        self._plain: dict[str, str] = {}
        self._outside: dict[str, str] = {}
        self._alphabet = _Alphabet(self._allocate)
        self._left = most

    def value(self, value: str) -> str:
        """A value from outside. Only characters of the seal itself have to be told apart from ours."""
        return RESERVED.sub(lambda match: self._outside.get(match[0]) or self._own(match[0]), value)

    def _own(self, character: str) -> str:
        self._outside[character] = self._allocate(character)
        return self._outside[character]

    def _allocate(self, character: str) -> str:
        private = _FIRST + 3 + len(self._plain)
        if private > _LAST:
            raise ValueError("the values hold more different characters than can be told apart")
        self._plain[chr(private)] = character
        return chr(private)

    def apply(self, value: str) -> str:
        """What a template prints. It may hold pieces that are sealed already (a block that was captured): they become part
        of it."""
        self._left -= len(value)
        if self._left < 0:
            raise ValueError("the templates print too much text")
        inner = value.replace(OPEN, "").replace(CLOSE, "") if OPEN in value else value
        return OPEN + inner.translate(self._alphabet) + CLOSE

    def text(self, sealed: str, indent: int = 0) -> str:
        """The text of a scalar. `indent`: the columns that YAML took away from it."""
        return "".join(piece for _, piece in self.pieces(sealed, indent))

    def pieces(self, sealed: str, indent: int = 0) -> list[tuple[bool, str]]:
        """The scalar as pieces in order, each with whether it is a value. Together they are its text."""
        if not RESERVED.search(sealed):
            return [(False, sealed)] if sealed else []
        found: list[tuple[bool, str]] = []
        depth = 0
        for part in _MARKS.split(sealed):
            if part == OPEN:
                depth += 1
                if depth == 1:
                    found.append((True, ""))
            elif part == CLOSE:
                depth -= 1
            elif part:
                piece = self._open(part, indent)
                if depth and found:
                    found[-1] = (True, found[-1][1] + piece)
                else:
                    found.append((False, piece))
        return found

    def _open(self, part: str, indent: int) -> str:
        columns = _SOFT_RUN.sub(lambda run: " " * max(0, len(run[0]) - indent), part)
        return RESERVED.sub(lambda match: self._plain.get(match[0], match[0]), columns)


class _Alphabet(dict[int, str]):
    """Characters (by code point) to private ones, made as they are met. Letters, digits and what is private stay."""

    def __init__(self, allocate: Callable[[str], str]) -> None:
        super().__init__()
        self._allocate = allocate

    def __missing__(self, code: int) -> str:
        character = chr(code)
        self[code] = character if character.isalnum() or RESERVED.match(character) else self._allocate(character)
        return self[code]
