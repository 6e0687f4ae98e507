"""Shell patterns over relative paths: `*`, `?`, `[...]`, `**`, `{a,b}`."""

import re
from functools import lru_cache

from ..refusal import Refused

_MAX_ALTERNATIVES = 256


@lru_cache(maxsize=128)
def compile_glob(pattern: str) -> re.Pattern[str]:
    """A pattern to `fullmatch` relative paths with. One without `/` matches the last name at any depth.

    `*` and `?` do not cross a `/`; `**` does. `[!...]` negates. A leading `./` or `/` is taken off. Raises Refused.
    """
    trimmed = pattern.removeprefix("./").lstrip("/")
    if not trimmed:
        raise Refused("The glob pattern is empty.")
    alternatives = _expanded(trimmed)
    try:
        return re.compile("|".join(_translated(alternative) for alternative in alternatives), re.DOTALL)
    except re.error as error:
        raise Refused(f"The glob pattern {pattern!r} cannot be read: {error}.") from error


def _expanded(pattern: str) -> list[str]:
    """Brace alternatives written out. Braces without a comma, or unclosed, are themselves."""
    done: list[str] = []
    pending = [pattern]
    while pending:
        current = pending.pop(0)
        group = _innermost_group(current)
        if group is None:
            done.append(current.replace("\0{", "{").replace("\0}", "}"))
            continue
        start, end = group
        for choice in current[start + 1 : end].split(","):
            pending.append(current[:start] + choice + current[end + 1 :])
        if len(pending) + len(done) > _MAX_ALTERNATIVES:
            raise Refused(f"The glob pattern {pattern[:80]!r} has more than {_MAX_ALTERNATIVES} alternatives.")
    return list(dict.fromkeys(done))


def _innermost_group(pattern: str) -> tuple[int, int] | None:
    start = -1
    for at, char in enumerate(pattern):
        if char == "{":
            start = at
        elif char == "}" and start >= 0:
            if "," in pattern[start:at]:
                return start, at
            start = -1
    return None


def _translated(pattern: str) -> str:
    if "/" not in pattern.rstrip("/"):
        pattern = "**/" + pattern
    out: list[str] = []
    at = 0
    while at < len(pattern):
        rest = pattern[at:]
        if rest.startswith("**/") and (at == 0 or pattern[at - 1] == "/"):
            out.append("(?:[^/]+/)*")
            at += 3
        elif rest == "**" and (at == 0 or pattern[at - 1] == "/"):
            out.append(".+")
            at += 2
        elif rest[0] == "*":
            out.append("[^/]*")
            at += 2 if rest.startswith("**") else 1
        elif rest[0] == "?":
            out.append("[^/]")
            at += 1
        elif rest[0] == "[" and (end := rest.find("]", 3 if rest[1:2] in ("!", "^") else 2)) > 0:
            out.append(_character_class(rest[1:end]))
            at += end + 1
        else:
            out.append(re.escape(rest[0]))
            at += 1
    # `dir/` means what is in it.
    return "".join(out) + (".+" if pattern.endswith("/") else "")


def _character_class(body: str) -> str:
    negated = body[0] in "!^"
    inner = body[1:] if negated else body
    escaped = (
        inner.replace("\\", "\\\\").replace("[", "\\[").replace("]", "\\]").replace("^", "\\^").replace("&&", "&\\&")
    )
    return f"(?!/)[{'^' if negated else ''}{escaped}]"
