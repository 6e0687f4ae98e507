"""How a program reads its words: the options it is described with and their values, and what is left as operands.

A description is a line of options as a manual spells them. `-ab` are two flags, `-n=` takes a value (joined or in the next
word), `-L~` one in the next word only, `-M?` one that is joined or missing, `--arg==` two words; `-#` stands for a number
(`-5`), and `+` says that words beginning with a plus are more than operands. Long options stand alike: `--lines=`, `--color?`.

Whatever is not described is not read: neither an abbreviation, nor a value that another program might take for an option.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Arity = Literal["", "=", "~", "?", "=="]

VERBATIM: Final = frozenset({"-e", "--regexp"})
"""Options of the greps whose value is the next word whatever it looks like, `--` too (POSIX grep, git-grep, rg)."""

_OPTION: Final = re.compile(r"(?P<name>--[a-z0-9-]+|-[A-Za-z0-9]+)(?P<arity>==|[=~?]?)")
_NUMBER: Final = re.compile(r"-\d+")


@dataclass(frozen=True, slots=True)
class Syntax:
    """`arities` are the options with their dashes. `permutes`: options may follow operands, as GNU programs have it."""

    arities: Mapping[str, Arity]
    numbers: bool = False
    plus: bool = True
    permutes: bool = True


@dataclass(frozen=True, slots=True)
class Arguments:
    """`values` are those of options, in order; `given` the options themselves."""

    operands: tuple[str, ...]
    values: tuple[str, ...] = ()
    given: tuple[str, ...] = ()


def syntax(*lines: str, permutes: bool = True) -> Syntax:
    words = [word for line in lines for word in line.split()]
    return Syntax(dict(_described(words)), "-#" in words, "+" not in words, permutes)


def _described(words: list[str]) -> Iterator[tuple[str, Arity]]:
    for word in words:
        if word in ("-#", "+"):
            continue
        found = _OPTION.fullmatch(word)
        assert found is not None, word
        name: str = found["name"]
        arity: Arity = found["arity"]  # type: ignore[assignment]
        if name.startswith("--"):
            yield name, arity
        else:
            yield from ((f"-{letter}", arity) for letter in name[1:])


def read(known: Syntax, words: tuple[str, ...]) -> Arguments | str:
    """The words taken apart, or the first that is not described."""
    return _Reading(known, words).read()


class _Reading:
    def __init__(self, known: Syntax, words: tuple[str, ...]) -> None:
        self._known = known
        self._words = words
        self._next = 0
        self._operands: list[str] = []
        self._values: list[str] = []
        self._given: list[str] = []

    def read(self) -> Arguments | str:
        while self._next < len(self._words):
            word = self._words[self._next]
            self._next += 1
            if word == "--":
                break
            if word == "-" or not word.startswith("-"):
                if word.startswith("+") and not self._known.plus:
                    return word
                self._operands.append(word)
                if not self._known.permutes:
                    break
            elif not (self._known.numbers and _NUMBER.fullmatch(word)):
                understood = self._long(word) if word.startswith("--") else self._short(word)
                if not understood:
                    return word
        self._operands += self._words[self._next :]
        return Arguments(tuple(self._operands), tuple(self._values), tuple(self._given))

    def _long(self, word: str) -> bool:
        name, joined, value = word.partition("=")
        arity = self._known.arities.get(name)
        self._given.append(name)
        if arity is None or (joined and arity in ("", "~", "==")):
            return False
        if joined:
            self._values.append(value)
            return True
        return arity in ("", "?") or self._take(name, arity)

    def _short(self, word: str) -> bool:
        for position, letter in enumerate(word[1:], 2):
            name, rest = f"-{letter}", word[position:]
            arity = self._known.arities.get(name)
            self._given.append(name)
            if arity == "":
                continue
            if arity is None or (rest and arity in ("~", "==")):
                return False
            if rest or arity == "?":
                self._values += [rest] if rest else []
                return True
            return self._take(name, arity)
        return True

    def _take(self, name: str, arity: Arity) -> bool:
        """The next words as values. One that looks like an option is none, since programs differ in what they make of it."""
        count = 2 if arity == "==" else 1
        taken = self._words[self._next : self._next + count]
        self._next += count
        self._values += taken
        return len(taken) == count and all(_is_value(name, word) for word in taken)


def _is_value(name: str, word: str) -> bool:
    return name in VERBATIM or word == "-" or not word.startswith("-") or _NUMBER.fullmatch(word) is not None
