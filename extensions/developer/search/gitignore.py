"""Patterns of .gitignore files, for a walk that leaves ignored folders unentered.

Written here because the walk asks about one entry at a time, which pathspec's matchers do not: they also match what is
below an entry, and with that the common `*` followed by `!*/` comes out wrong.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

_POSIX = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "digit": "0-9",
    "lower": "a-z",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


@dataclass(frozen=True)
class IgnoreFile:
    """The patterns of one file, as gitignore(5) describes them. Paths are relative to the folder of the file."""

    _for_files: re.Pattern[str]
    _for_folders: re.Pattern[str]

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether the last pattern that matches this very entry ignores it; None when none matches."""
        found = (self._for_folders if is_folder else self._for_files).fullmatch(path)
        return None if found is None or found.lastgroup is None else found.lastgroup.startswith("ignore")


@lru_cache(maxsize=256)
def parse(data: bytes) -> IgnoreFile:
    """Reads the content of a .gitignore file; a pattern that cannot be read matches nothing."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
    patterns = [parsed for line in text.split("\n") if (parsed := _parsed(line.removesuffix("\r"))) is not None]
    return IgnoreFile(_joined(p for p in patterns if not p.folders_only), _joined(patterns))


@dataclass(frozen=True)
class _Pattern:
    regex: str
    negated: bool
    folders_only: bool


def _joined(patterns: Iterable[_Pattern]) -> re.Pattern[str]:
    """One expression of them all, the last first: the alternative that matches is the one that decides."""
    groups = [
        f"(?P<{'keep' if pattern.negated else 'ignore'}{number}>{pattern.regex})"
        for number, pattern in enumerate(patterns)
    ]
    return re.compile("|".join(reversed(groups)) or r"(?!)", re.DOTALL)


def _parsed(line: str) -> _Pattern | None:
    if line.startswith("#"):
        return None
    line = _without_trailing_spaces(line)
    negated = line.startswith("!")
    line = line[1:] if negated else line
    folders_only = line.endswith("/")
    line = line[:-1] if folders_only else line
    anchored = "/" in line
    line = line.removeprefix("/")
    if not line:
        return None
    regex = _translated(line)
    if regex is None:
        return None
    return _Pattern(regex if anchored else f"(?:.*/)?{regex}", negated, folders_only)


def _without_trailing_spaces(line: str) -> str:
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    # `\ ` at the end is a space that counts.
    return bare + " " if backslashes % 2 and len(bare) < len(line) else bare


def _translated(pattern: str) -> str | None:
    out: list[str] = []
    at = 0
    while at < len(pattern):
        at_start = at == 0 or pattern[at - 1] == "/"
        if at_start and pattern.startswith("**/", at):
            out.append("(?:.*/)?")
            at += 3
        elif at_start and pattern[at:] == "**":
            out.append(".+")
            at += 2
        elif pattern[at] == "*":
            out.append("[^/]*")
            at += len(pattern) - at - len(pattern[at:].lstrip("*"))
        elif pattern[at] == "?":
            out.append("[^/]")
            at += 1
        elif pattern[at] == "[":
            found = _character_class(pattern, at)
            if found is None:
                return None
            out.append(found[0])
            at = found[1]
        else:
            at += pattern[at] == "\\"
            if at == len(pattern):
                return None
            out.append(re.escape(pattern[at]))
            at += 1
    return "".join(out)


def _character_class(pattern: str, at: int) -> tuple[str, int] | None:
    """The class that begins at index `at` and the index after it; None when it has no end or makes no sense."""
    at += 1
    negated = pattern[at : at + 1] in ("!", "^")
    at += negated
    parts: list[str] = []
    first = True
    while at < len(pattern) and (first or pattern[at] != "]"):
        first = False
        posix = re.compile(r"\[:(\w+):\]").match(pattern, at)
        if posix is not None:
            if posix[1] not in _POSIX:
                return None
            parts.append(_POSIX[posix[1]])
            at = posix.end()
            continue
        if pattern[at] == "-" and parts and pattern[at + 1 : at + 2] not in ("", "]"):
            parts.append("-")
        else:
            at += pattern[at] == "\\" and at + 1 < len(pattern)
            parts.append(re.escape(pattern[at]))
        at += 1
    if at >= len(pattern):
        return None
    regex = f"(?!/)[{'^' if negated else ''}{''.join(parts)}]"
    try:
        re.compile(regex)
    except re.error:  # a range the wrong way round
        return None
    return regex, at + 1
