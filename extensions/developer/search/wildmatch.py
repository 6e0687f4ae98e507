"""Shell patterns as regular expressions, by the rules of git's wildmatch: `*`, `?`, `[...]`, `**`, `\\` before a literal."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

_NAMED = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": " -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\s",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
# Only the first member of a set may be a `]`.
_FIRST, _LATER = (
    rf"\[:[^\]]*:\]|(?:\\.|{one})-(?:\\.|[^\\\]])|\\.|{one}" for one in (r"[^\\]", r"[^\\\]]")
)
_MEMBERS = re.compile(r"\[:([^\]]*):\]|\\?+(.)-\\?+(.)|\\?+(.)", re.DOTALL)
_TOKEN = re.compile(
    r"(?P<folders>(?<![^/])\*{2,}/)|(?P<below>(?<![^/])\*{2,}\Z)|(?P<stars>\*+)|(?P<slash>/)|(?P<any>\?)"
    rf"|\[(?P<negated>[!^]?)(?P<set>(?>{_FIRST})(?:{_LATER})*+)\]"
    r"|\\(?P<escaped>.)|(?P<broken>[\[\\])|(?P<literal>.)",
    re.DOTALL,
)
_NOTHING = "(?!)"
_FIXED = {"any": "[^/]", "below": ".+", "broken": _NOTHING}


class Piece(NamedTuple):
    """A part of a pattern: its text, and the expression for it where it stands for itself alone (stars do not)."""

    kind: str
    text: str
    regex: str


def pieces(pattern: str) -> Iterator[Piece]:
    """The parts of a pattern. A `[` that is never closed, an unknown `[:name:]` and a `\\` at the end match nothing."""
    for token in _TOKEN.finditer(pattern):
        kind = str(token.lastgroup)
        regex = _set(token["negated"], token["set"]) if kind == "set" else _FIXED.get(kind) or re.escape(token[kind])
        yield Piece(kind, token[0], regex)


def expression(parts: Iterable[Piece]) -> str:
    """The regular expression of all parts, for a whole path with `/` between its names.

    The first place where the parts up to the next star fit is as good as any other, so it is never given up (`(?>...)`):
    trying the others as well would let a hostile pattern hold up the process.
    """
    out: list[str] = []
    after_name = after_folders = ""
    for part in parts:
        if part.kind == "folders":
            out.append(f"{after_folders}(?>(?:[^/]+/)*?")
            after_folders = ")"
        elif part.kind == "stars":
            out.append(f"{after_name}(?>[^/]*?")
            after_name = ")"
        elif part.kind == "slash":
            out.append(f"/{after_name}")
            after_name = ""
        else:
            out.append(part.regex)
    return "".join([*out, r"\Z", after_name, after_folders])


def _set(negated: str, body: str) -> str:
    members: list[str] = []
    for name, first, last, single in _MEMBERS.findall(body):
        if single:
            members.append(re.escape(single))
        elif first:  # a range the wrong way round is its beginning
            members.append(re.escape(first) + (f"-{re.escape(last)}" if first <= last else ""))
        elif name in _NAMED:
            members.append(_NAMED[name])
        else:
            return _NOTHING
    return f"(?!/)[{negated and '^'}{''.join(members)}]"
