"""Which path a word means, and whether it is inside. No disk is touched here: `Place` carries the functions that do."""

import posixpath
import re
import unicodedata
from functools import lru_cache
from typing import Final

from goose_py.permissions.decision import Place

STREAMS: Final = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/stdin", "/dev/zero", "/dev/tty", "/dev/full"})
"""Files that are no files: writing to them changes nothing."""

NOWHERE: Final = "/<no file name>"

# Beside category Cf, what some file systems and most eyes ignore in a name (Unicode's Default_Ignorable_Code_Point).
_IGNORABLE: Final = frozenset(
    {0x034F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x3164, 0xFFA0, *range(0x180B, 0x1810), *range(0xFE00, 0xFE10)}
    | set(range(0xE0000, 0xE1000))
)


def resolve(place: Place, cwd: str, path: str) -> str:
    """The absolute path, free of symlinks, that `path` means in `cwd`. `~` and `~/...` are the home folder. What cannot be
    the name of a file leads to NOWHERE, which is inside of nothing."""
    try:
        if b"\0" in path.encode("utf-8", "surrogateescape"):
            return NOWHERE
    except UnicodeEncodeError:
        return NOWHERE
    if path == "~" or path.startswith("~/"):
        path = place.home + path[1:]
    # POSIX leaves the meaning of exactly two leading slashes open, and normpath keeps them.
    joined = posixpath.join(cwd, path)
    return place.realpath("/" + joined.lstrip("/"))


def named(place: Place, path: str) -> str:
    """The resolved path that one of our own tools takes `path` for: relative to where the user stands, or below any of the
    names of the workspace."""
    absolute = posixpath.normpath(posixpath.join(place.start, path))
    for name in place.names:
        if is_inside(absolute, name):
            return resolve(place, place.workspace, f"{place.workspace}{absolute[len(name) :]}")
    return resolve(place, place.start, path)


def misnamed_in(place: Place, command: str) -> str | None:
    """The first other name of the workspace that a command says, to which it would be another folder."""
    for name in place.names:
        elsewhere = not (is_inside(place.workspace, name) or is_inside(name, place.workspace))
        if elsewhere and re.search(rf"(?<![\w./-]){re.escape(name)}(?![\w.-])", command):
            return name
    return None


def is_inside(path: str, folder: str) -> bool:
    """Whether `path` is `folder` or beneath it; both absolute and normal. `/w/proj-evil` is not inside `/w/proj`."""
    return path == folder or folder == "/" or path.startswith(folder + "/")


def in_workspace(place: Place, path: str) -> bool:
    return is_inside(path, place.workspace)


def is_shared(place: Place, path: str) -> bool:
    """Whether the resolved `path` is in a folder outside the workspace that the task works with."""
    return any(is_inside(path, folder) for folder in place.shared)


def may_read(place: Place, path: str) -> bool:
    """Whether reading the resolved `path` shows nothing of the user's beyond the workspace and the system."""
    return path in STREAMS or any(is_inside(path, folder) for folder in (place.workspace, *place.readable, *place.writable))


def may_write(place: Place, path: str) -> bool:
    """Whether the resolved `path` is the task's own to write."""
    return path in STREAMS or any(is_inside(path, folder) for folder in (place.workspace, *place.writable))


def protected_name(place: Place, path: str) -> str | None:
    """The first component of `path` that is, to any file system or eye, one of the protected names."""
    for part in path.split("/"):
        if canonical_name(part) in place.protected:
            return part
    return None


@lru_cache(maxsize=4096)
def canonical_name(name: str) -> str:
    """How a file name compares on the most forgiving file systems: composed, without characters that are ignored, without
    case, and without what Windows drops (trailing dots and spaces, streams, the short name of `.git`)."""
    if name.isascii():
        plain = name.lower()
    else:
        composed = unicodedata.normalize("NFC", name)
        visible = "".join(char for char in composed if unicodedata.category(char) != "Cf" and ord(char) not in _IGNORABLE)
        plain = unicodedata.normalize("NFC", unicodedata.normalize("NFC", visible).casefold())
    plain = plain.split(":", 1)[0].rstrip(". ")
    return ".git" if plain == "git~1" else plain


@lru_cache(maxsize=512)
def glob_pattern(pattern: str) -> re.Pattern[str]:
    """`pattern` as a regular expression over a whole path: `*` and `?` stay within one component, `**` crosses them, and
    a pattern that ends in `/**` matches the folder itself as well. Everything else is literal."""
    expression = ""
    position = 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest == "/**":
            expression, position = expression + "(?:/.*)?", position + 3
        elif rest.startswith("**/"):
            expression, position = expression + "(?:.*/)?", position + 3
        elif rest.startswith("**"):
            expression, position = expression + ".*", position + 2
        else:
            one = {"*": "[^/]*", "?": "[^/]"}.get(pattern[position], re.escape(pattern[position]))
            expression, position = expression + one, position + 1
    return re.compile(expression, re.DOTALL)


def beneath_workspace(place: Place, path: str) -> str:
    """What of `path` lies beneath the workspace, all of it when it is elsewhere: the workspace's own place may well have a
    protected name in it."""
    return path[len(place.workspace) :] if in_workspace(place, path) else path
