"""Patterns of .gitignore files, for a walk that leaves ignored folders unentered.

Written here because pathspec answers differently from git where ours does not (named sets, escapes in sets, `*` followed by
`!*/`, names that are not ASCII), and takes twice the time of the whole walk: it has no question for one entry alone.
"""

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from .wildmatch import expression, pieces


@dataclass(frozen=True)
class IgnoreFile:
    """The patterns of one file, as gitignore(5) describes them. Paths are relative to the folder of the file."""

    _for_files: re.Pattern[bytes]
    _for_folders: re.Pattern[bytes]

    def verdict(self, path: str, is_folder: bool) -> bool | None:
        """Whether the last pattern that matches this very entry ignores it; None when none matches."""
        found = (self._for_folders if is_folder else self._for_files).match(os.fsencode(path))
        return None if found is None or found.lastgroup is None else found.lastgroup.startswith("ignore")


@lru_cache(maxsize=256)
def parse(data: bytes) -> IgnoreFile:
    """Reads the content of a .gitignore file; a pattern that cannot be read matches nothing."""
    text = data.removeprefix(b"\xef\xbb\xbf").decode("latin-1")  # git compares bytes: `?` is one of the two of `é`
    patterns = [parsed for line in text.split("\n") if (parsed := _parsed(line.removesuffix("\r"))) is not None]
    return IgnoreFile(_joined(p for p in patterns if not p.folders_only), _joined(patterns))


@dataclass(frozen=True)
class _Pattern:
    regex: str
    negated: bool
    folders_only: bool


def _joined(patterns: Iterable[_Pattern]) -> re.Pattern[bytes]:
    """One expression of them all, the last first: the alternative that matches is the one that decides."""
    groups = [
        f"(?P<{'keep' if pattern.negated else 'ignore'}{number}>{pattern.regex})"
        for number, pattern in enumerate(patterns)
    ]
    return re.compile(("|".join(reversed(groups)) or "(?!)").encode("latin-1"), re.DOTALL)


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
    return _Pattern(("" if anchored else "(?>(?:.*/)?)") + expression(pieces(line)), negated, folders_only)


def _without_trailing_spaces(line: str) -> str:
    bare = line.rstrip(" ")
    backslashes = len(bare) - len(bare.rstrip("\\"))
    # `\ ` at the end is a space that counts.
    return bare + " " if backslashes % 2 and len(bare) < len(line) else bare
