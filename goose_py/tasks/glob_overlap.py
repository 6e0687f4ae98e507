"""Whether two file patterns can mean the same file. Pure.

`*` and `?` stay within a name, `**` spans folders, and a folder stands for all that is below it. `[ab]` and `{a,b}` may each be
meant as a pattern or as the name that is spelled so."""

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import islice, product

_CHOICE = re.compile(r"(\{[^{}]*,[^{}]*\}|\[[^]/]+\])")
_MAX_READINGS = 100


def may_overlap(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, str] | None:
    """The first pair of patterns that some path could match both, or None."""
    for one in ours:
        for other in theirs:
            if any(_paths(_parts(a), _parts(b)) for a, b in product(_readings(one), _readings(other))):
                return one, other
    return None


def _readings(pattern: str) -> Iterator[str]:
    """What a pattern can mean, without sets and braces; no more than _MAX_READINGS, as spelled first."""
    choices = [
        (part, *(part[1:-1].split(",") if part[0] == "{" else "?")) if number % 2 else (part,)
        for number, part in enumerate(_CHOICE.split(pattern))
    ]
    return map("".join, islice(product(*choices), _MAX_READINGS))


def _parts(pattern: str) -> tuple[str, ...]:
    """The names of a pattern. One that does not look like a file stands for a folder as well."""
    names = tuple(name for name in pattern.strip().removeprefix("./").split("/") if name not in ("", "."))
    is_file = bool(names) and "." in names[-1][1:] and not pattern.rstrip().endswith("/")
    return names if is_file or names[-1:] == ("**",) else (*names, "**")


def _paths(one: Sequence[str], other: Sequence[str]) -> bool:
    return _meet(one, other, "**", _names)


def _names(one: str, other: str) -> bool:
    return _meet(one, other, "*", lambda a, b: a == b or "?" in (a, b))


def _meet(one: Sequence[str], other: Sequence[str], star: str, same: Callable[[str, str], bool]) -> bool:
    """Whether some sequence fits both, by walking the pairs of places that can be reached in the two patterns."""
    seen = {(0, 0)}
    todo = [(0, 0)]
    while todo:
        i, j = todo.pop()
        if (i, j) == (len(one), len(other)):
            return True
        a, b = one[i : i + 1], other[j : j + 1]
        steps = []
        if a and a[0] == star:
            steps += [(i + 1, j), (i, j + 1)]
        if b and b[0] == star:
            steps += [(i, j + 1), (i + 1, j)]
        if a and b and star not in (a[0], b[0]) and same(a[0], b[0]):
            steps.append((i + 1, j + 1))
        for step in steps:
            if step not in seen and step[0] <= len(one) and step[1] <= len(other):
                seen.add(step)
                todo.append(step)
    return False
