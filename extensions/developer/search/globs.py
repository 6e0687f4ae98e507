"""Shell patterns over relative paths, as people write them: those of wildmatch, and `{a,b}`."""

import re
from functools import lru_cache

from ..refusal import Refused
from .wildmatch import Piece, expression, pieces

_MAX_ALTERNATIVES = 1000
_GROUP = re.compile(r"(?<!\\)\{((?:\\.|[^\\{}])*)\}", re.DOTALL)  # the first that has no other one in it
_COMMA = re.compile(r"(?<!\\),")


@lru_cache(maxsize=128)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A pattern to `fullmatch` relative paths with. One without `/` matches the last name at any depth.

    `*` and `?` do not cross a `/`; `**` does. `[!...]` negates. `[...]` and `{...,...}` are also the name that is spelled
    so, such as the folder `[id]` of a route. A leading `./` or `/` is taken off, and `dir/` means what is in it. Raises
    Refused.
    """
    trimmed = pattern.removeprefix("./").lstrip("/")
    if not trimmed:
        raise Refused("The glob pattern is empty.")
    return re.compile("|".join(_translated(alternative) for alternative in _expanded(trimmed)), re.DOTALL)


def _expanded(pattern: str) -> list[str]:
    """Brace alternatives written out, the group as it is written among them. Braces without a comma are themselves."""
    done: list[str] = []
    pending = [pattern]
    while pending:
        current = pending.pop()
        group = next((group for group in _GROUP.finditer(current) if _COMMA.search(group[1])), None)
        if group is None:
            done.append(current)
            continue
        for choice in (*_COMMA.split(group[1]), re.sub(r"(?<!\\)([{,}])", r"\\\1", group[0])):
            pending.append(current[: group.start()] + choice + current[group.end() :])
        if len(pending) + len(done) > _MAX_ALTERNATIVES:
            raise Refused(f"The glob pattern {pattern[:80]!r} has more than {_MAX_ALTERNATIVES} alternatives.")
    return list(dict.fromkeys(done))


def _translated(pattern: str) -> str:
    anywhere = "" if "/" in pattern.rstrip("/") else "**/"
    below = "**" if pattern.endswith("/") else ""
    return expression(map(_or_itself, pieces(anywhere + pattern + below)))


def _or_itself(piece: Piece) -> Piece:
    if piece.kind not in ("set", "broken"):
        return piece
    return piece._replace(regex=f"(?:{piece.regex}|{re.escape(piece.text)})")
