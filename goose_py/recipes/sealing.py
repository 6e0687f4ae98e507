"""Values on their way through YAML. A template is filled in as text, as Goose does, so that every construct of its language
keeps its meaning; but what a `{{ }}` prints is *sealed* first: each character that could mean anything to YAML becomes a
private one, and the whole stands between two marks. YAML sees an ordinary word. Once the text is parsed, the scalars are
unsealed. So no value can end a string, start a line, or add a key, whatever it holds.

The private characters are those of plane 15 (U+F0000 to U+FFFFD), which no recipe may use itself.
"""

import re

_FIRST, _LAST = 0xF0000, 0xFFFFD
OPEN, CLOSE, SOFT = chr(_FIRST), chr(_FIRST + 1), chr(_FIRST + 2)
"""`OPEN` and `CLOSE` stand around a value. `SOFT` is a column that the `indent` filter added: in a block scalar, where such
columns are only there to satisfy YAML, those of the block are taken away again."""

RESERVED = re.compile(f"[{chr(_FIRST)}-{chr(_LAST)}]")
_MARKS = re.compile(f"([{OPEN}{CLOSE}])")
_SOFT_RUN = re.compile(f"{SOFT}+")


class Seal:
    """The seal of one rendering. `apply` before YAML, `text` and `pieces` after."""

    def __init__(self) -> None:
        self._sealed: dict[str, str] = {}
        self._plain: dict[str, str] = {}

    def apply(self, value: str) -> str:
        """`value` may hold pieces that are sealed already (the output of a block that was captured): they become part of it."""
        inner = value.replace(OPEN, "").replace(CLOSE, "") if OPEN in value else value
        return OPEN + "".join(self._character(character) for character in inner) + CLOSE

    def value(self, value: str) -> str:
        """A value that comes from outside, on its way into the template. Only characters of the seal itself have to be
        told apart from ours."""
        return RESERVED.sub(lambda match: self._allocate(match[0]), value) if RESERVED.search(value) else value

    def _character(self, character: str) -> str:
        if character.isalnum() or character == SOFT or character in self._plain:
            return character
        return self._sealed.get(character) or self._allocate(character)

    def _allocate(self, character: str) -> str:
        sealed = self._sealed.get(character)
        if sealed is None:
            sealed = chr(_FIRST + 3 + len(self._sealed))
            if sealed > chr(_LAST):
                raise ValueError("more different characters than can be sealed")
            self._sealed[character] = sealed
            self._plain[sealed] = character
        return sealed

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
