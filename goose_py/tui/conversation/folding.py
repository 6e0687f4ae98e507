"""Long pastes as chips: a label stands for the text in the prompt, and what is sent is the text. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import chain, count

LINES = 6
"""So many lines are still read at a glance in the prompt."""
CHARACTERS = 1_000

_LABEL = re.compile(r"\[pasted [\d,]+ (?:lines|characters)(?: #\d+)?\]")


def is_long(text: str) -> bool:
    return text.rstrip("\n").count("\n") >= LINES or len(text) > CHARACTERS


def label_for(text: str, pastes: Mapping[str, str]) -> str:
    """The label of `text` in `pastes`, or one that is free."""
    lines = text.rstrip("\n").count("\n") + 1
    size = f"{lines} lines" if lines > 1 else f"{len(text):,} characters"
    labels = chain([f"[pasted {size}]"], (f"[pasted {size} #{number}]" for number in count(2)))
    return next(label for label in labels if pastes.get(label, text) == text)


def chips(line: str, pastes: Mapping[str, str]) -> Iterator[tuple[int, int]]:
    """Where in `line` labels of `pastes` stand."""
    for found in _LABEL.finditer(line):
        if found[0] in pastes:
            yield found.span()


def unfolded(text: str, pastes: Mapping[str, str]) -> str:
    """`text` with each label of `pastes` replaced by what it stands for."""
    return _LABEL.sub(lambda found: pastes.get(found[0], found[0]), text)
