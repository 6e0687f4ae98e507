"""Values in shell commands. A value is data wherever it stands: it never becomes a word of the shell's language.

A value of harmless characters is written where it stands, so that what a person approves is the command they would type.
Any other is assigned to a variable in front of the command, quoted whole, and the command refers to the variable: whatever
the quoting around it, the shell expands a variable without reading its value as code. Where even that would evaluate it
(inside single quotes, or in the argument of another interpreter), the command is refused.

A command that is nothing but one value (`command: "{{ test_command }}"`) is that value: the recipe says that whoever gives
the parameter gives the command. It is listed and approved like any other.
"""

import re
import shlex
from collections.abc import Sequence

HARMLESS = re.compile(r"[A-Za-z0-9_@%+=:,./-]+\Z")
_VARIABLE = "GOOSE_PY_VALUE_"
_INTERPRETER = re.compile(
    r"(?<![\w./-])(?:\S*/)?(?:(?:ba|da|z|k|a|fi|c|tc)?sh|python[\d.]*|perl|ruby|node|php|lua|pwsh|su|env\s+-S)"
    r"\s+(?:\S+\s+)*?-{1,2}[a-zA-Z-]*(?:c|e|r|command|eval|S)\b"
)
_EVALUATES = re.compile(r"\beval\b|\blet\b|\btrap\b|\bsource\b|\(\(|\[\[|\$\[|<<|\$'|\bssh\b|\bxargs\b|\bwatch\b|-exec\b|-ok\b")


class Unsafe(ValueError):
    """A value that cannot be placed without the shell reading it as code. The text says where it stands."""


def place(pieces: Sequence[tuple[bool, str]]) -> str:
    """One shell command from pieces of the recipe's text and values (True). Raises `Unsafe`."""
    if [is_value for is_value, piece in pieces if is_value or piece.strip()] == [True]:
        return "".join(piece for _, piece in pieces)
    literal = "".join(piece for is_value, piece in pieces if not is_value)
    command, assignments = "", []
    quote = _Quotes()
    for is_value, piece in pieces:
        if not is_value:
            quote.read(piece)
            command += piece
        elif HARMLESS.match(piece):
            command += piece
        elif not piece:
            command += "" if quote.open else "''"
        else:
            _refuse_evaluation(quote, literal)
            name = f"{_VARIABLE}{len(assignments) + 1}"
            assignments.append(f"{name}={shlex.quote(piece)}")
            command += f"${{{name}}}" if quote.open else f'"${{{name}}}"'
    return "\n".join((*assignments, command)) if assignments else command


def _refuse_evaluation(quote: "_Quotes", literal: str) -> None:
    allowed = "only letters, digits and _ @ % + = : , . / - may stand there"
    if quote.open == "'":
        raise Unsafe(f"the value stands inside single quotes, where {allowed}; use double quotes, or none")
    if quote.escaped:
        raise Unsafe(f"the value stands behind a backslash, where {allowed}")
    if _INTERPRETER.search(literal) or _EVALUATES.search(literal):
        raise Unsafe(f"the command hands the value on to be evaluated again, so {allowed}")


class _Quotes:
    """Which quotes are open after the text read so far, through substitutions. It only chooses how a variable is written, and
    errs harmlessly: a variable is never code."""

    def __init__(self) -> None:
        self._open: list[str] = []
        self.escaped = False
        self._after_dollar = False

    @property
    def open(self) -> str:
        """`'` or `"`, or nothing."""
        return self._open[-1] if self._open and self._open[-1] in "'\"" else ""

    def read(self, text: str) -> None:
        for character in text:
            if self.escaped:
                self.escaped = False
            elif character == "\\" and self.open != "'":
                self.escaped = True
            else:
                self._step(character)
            self._after_dollar = character == "$"

    def _step(self, character: str) -> None:
        """What is open is named by the character that closes it."""
        if self._open and character == self._open[-1]:
            self._open.pop()
        elif self.open == "'":
            return
        elif character == "`" or (character == '"' and not self.open) or (character == "'" and not self.open):
            self._open.append(character)
        elif character == "(" and (not self.open or self._after_dollar):
            self._open.append(")")
