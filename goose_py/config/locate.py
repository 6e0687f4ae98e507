"""Where in a TOML file a key stands. Used only once something has to be said about it: `tomllib`, which reads the file on
every start, keeps no positions, and a parser that does would cost each start more than all of our parsing."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any

Path = tuple[str, ...]

_HEADER = re.compile(r"\s*\[")
_BLANK = re.compile(r"\s*(#|$)")


def line_of(text: str, path: Path) -> int:
    """The line, from 1, on which `path` is set; else of the nearest table above it; else 1. An array of tables counts its
    elements: `("rules", "1", "tool")`."""
    best, best_length = 1, 0
    for line, found in statements(text):
        shared = _shared(found, path)
        if shared > best_length and (shared == len(found) or shared == len(path)):
            best, best_length = line, shared
            if shared == len(path):
                break
    return best


def statements(text: str) -> Iterator[tuple[int, Path]]:
    """Each header and each assignment with its line, in the order of the file. `text` must be valid TOML."""
    table: Path = ()
    counts: dict[Path, int] = {}
    for line, statement in _split(text):
        if _HEADER.match(statement):
            table = _header(statement, counts)
            yield line, table
        else:
            yield line, table + _path(tomllib.loads(statement))


def _split(text: str) -> Iterator[tuple[int, str]]:
    """Statements may span lines: one is complete as soon as it parses on its own."""
    pending, start = "", 0
    for number, line in enumerate(text.split("\n"), 1):
        if not pending and _BLANK.match(line):
            continue
        start = start if pending else number
        pending = f"{pending}\n{line}" if pending else line
        try:
            tomllib.loads(pending)
        except tomllib.TOMLDecodeError:
            continue
        yield start, pending
        pending = ""


def _header(statement: str, counts: dict[Path, int]) -> Path:
    path = _path(tomllib.loads(statement))
    resolved: Path = ()
    for part in path[:-1]:
        resolved += (part,)
        if resolved in counts:
            resolved += (str(counts[resolved] - 1),)
    resolved += path[-1:]
    if statement.lstrip().startswith("[["):
        counts[resolved] = counts.get(resolved, 0) + 1
        return (*resolved, str(counts[resolved] - 1))
    return resolved


def _path(value: Any) -> Path:
    """The one path that a statement on its own opens. A value that is a table is not entered unless it was dotted."""
    path: Path = ()
    while isinstance(value, dict) and len(value) == 1:
        name, value = next(iter(value.items()))
        path += (name,)
    return path


def _shared(first: Path, second: Path) -> int:
    length = 0
    for one, other in zip(first, second, strict=False):
        if one != other:
            break
        length += 1
    return length
