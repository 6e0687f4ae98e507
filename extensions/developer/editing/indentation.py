"""Carrying the indentation of a model's text over to the style of the file it goes into."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise
from math import gcd

_GUESSED_UNIT = 4


def indent_of(line: str) -> str:
    """The leading spaces and tabs of a line."""
    return line[: len(line) - len(line.lstrip(" \t"))]


@dataclass(frozen=True)
class Reindent:
    """A mapping of indentations learned from lines that are the same but for their indentation.

    `known` pairs each indentation of the model's text with the file's; `step` is how deep one column (or one tab) of
    the model's text is in the file's columns (or tabs); `tabs` says that the file indents with tabs.
    """

    known: dict[str, str]
    step: float
    tabs: bool

    @classmethod
    def learned(
        cls, pairs: Sequence[tuple[str, str]], new_lines: Iterable[str], file_lines: Iterable[str]
    ) -> "Reindent":
        """`pairs` are (line of the model's old text, line of the file) that match; blank lines teach nothing.

        `new_lines` is the text to carry over and `file_lines` the file: they tell the unit of each where the pairs
        cannot.
        """
        known: dict[str, str] = {}
        for old, there in pairs:
            if old.strip():
                known.setdefault(indent_of(old), indent_of(there))
        tabs = _uses_tabs(known.values(), file_lines)
        return cls(known, _step(known, tabs, [*(old for old, _ in pairs), *new_lines], file_lines), tabs)

    @property
    def identical(self) -> bool:
        return all(old == there for old, there in self.known.items())

    def __call__(self, line: str) -> str:
        """`line` with the file's indentation; a line of nothing but whitespace becomes empty."""
        body = line.lstrip(" \t")
        if not body:
            return ""
        indent = indent_of(line)
        if not self.known or self.identical:
            return line
        return self.known.get(indent, self._computed(indent)) + body

    def _computed(self, indent: str) -> str:
        """From the nearest known indentation that is not deeper, else from the least deep one that is known."""
        width = _width(indent)
        ordered = sorted(self.known, key=_width)
        base = next((known for known in reversed(ordered) if _width(known) <= width), ordered[0])
        there = self.known[base]
        depth = _width(there) + (width - _width(base)) * self.step
        whole = max(int(depth), 0)
        if self.tabs:
            # What is no whole tab is alignment: it stays as spaces.
            return "\t" * whole + " " * round((depth - whole) / self.step if depth > whole else 0)
        return " " * max(round(depth), 0)


def _width(indent: str) -> int:
    """Tabs where there are tabs, columns elsewhere: the natural unit of either style."""
    return indent.count("\t") or len(indent)


def _uses_tabs(indents: Iterable[str], file_lines: Iterable[str]) -> bool:
    found = [indent for indent in indents if indent]
    if not found:
        found = [indent for line in file_lines if (indent := indent_of(line)) and line.strip()]
    return sum("\t" in indent for indent in found) * 2 > len(found)


def _step(known: dict[str, str], tabs: bool, model_lines: Iterable[str], file_lines: Iterable[str]) -> float:
    points = sorted({_width(old): _width(there) for old, there in known.items()}.items())
    slopes = [(f2 - f1) / (o2 - o1) for (o1, f1), (o2, f2) in pairwise(points) if o2 > o1]
    if slopes and slopes[0] > 0:
        return slopes[0]
    model_tabs = any("\t" in indent_of(line) for line in model_lines)
    if model_tabs == tabs:
        return 1.0
    if tabs:
        return 1 / _unit(model_lines)
    return float(_unit(file_lines))


def _unit(lines: Iterable[str]) -> int:
    """The number of spaces by which these lines indent."""
    widths = Counter(
        len(indent) for line in lines if line.strip() and (indent := indent_of(line)) and "\t" not in indent
    )
    if not widths:
        return _GUESSED_UNIT
    unit = reduce(gcd, widths)
    return unit if unit > 1 else _GUESSED_UNIT
