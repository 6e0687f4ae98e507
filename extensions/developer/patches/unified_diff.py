"""Reading unified diffs, with or without git's extended headers, and with the wrong line counts that models write."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from ..display import printable
from ..refusal import Refused
from .format import HUNK_HEADER, FilePatch, Hunk, Line, body_line, tells_line_ends

_NOWHERE = "/dev/null"
_SYMLINK_MODE = 0o120000
_FILE_MODE = 0o100000
_QUOTED = re.compile(r'\\([0-7]{3}|["\\abfnrtv])')
_ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, '"': 34, "\\": 92}
_GIT_LINES = (
    "diff --git ",
    "index ",
    "old mode ",
    "new mode ",
    "new file mode ",
    "deleted file mode ",
    "similarity index ",
    "dissimilarity index ",
    "rename ",
)


@dataclass
class _Section:
    """The headers of one file, as they come."""

    old: str | None = None
    new: str | None = None
    rename_from: str | None = None
    rename_to: str | None = None
    mode: int | None = None
    new_file: bool = False
    deleted: bool = False
    hunks: list[Hunk] = field(default_factory=list)

    def file_patch(self, at: int) -> FilePatch:
        old, new = _without_prefixes(self.old, self.new)
        old, new = self.rename_from or old, self.rename_to or new
        added = self.new_file or old == _NOWHERE
        deleted = self.deleted or new == _NOWHERE
        path = new if added else old
        if not path or path == _NOWHERE or not new:
            raise Refused(
                f"The patch names no file for the change before its line {at + 1}; give '--- a/PATH' and "
                "'+++ b/PATH' lines."
            )
        if added:
            return FilePatch(
                "add", path, (Hunk(tuple(line for hunk in self.hunks for line in hunk.lines)),), None, self.mode
            )
        if deleted:
            return FilePatch("delete", path, tuple(self.hunks))
        return FilePatch("update", path, tuple(self.hunks), new if new != path else None, self.mode)


def read_unified(lines: Sequence[str]) -> list[FilePatch]:
    """The files of a diff, in order; what stands before the first header is passed over. Raises Refused."""
    found: list[FilePatch] = []
    section: _Section | None = None
    exact = tells_line_ends(lines)
    at = 0
    while at < len(lines):
        line = lines[at]
        if line.startswith("diff --git "):
            if section is not None:
                found.append(section.file_patch(at))
            section = _Section(*_git_names(line))
        elif line.startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ "):
            if (
                section is None
                or section.hunks
                or (section.old is not None and not lines[at - 1].startswith(_GIT_LINES))
            ):
                if section is not None:
                    found.append(section.file_patch(at))
                section = _Section()
            section.old, section.new = _name(line), _name(lines[at + 1])
            at += 1
        elif line.startswith("@@") and section is not None:
            hunk, at = _hunk(lines, at, exact)
            section.hunks.append(hunk)
            continue
        elif section is not None:
            _extended_header(section, line, at)
        at += 1
    if section is not None:
        found.append(section.file_patch(at))
    if not found:
        raise Refused("The patch has no file in it: a unified diff needs '--- a/PATH' and '+++ b/PATH' lines.")
    return found


def _extended_header(section: _Section, line: str, at: int) -> None:
    if line.startswith(("GIT binary patch", "Binary files ")):
        raise Refused(f"Line {at + 1} of the patch is a binary change, which cannot be applied; nothing was written.")
    if line.startswith(("copy from ", "copy to ")):
        raise Refused(f"Line {at + 1} of the patch copies a file, which cannot be applied; add the copy as a new file.")
    if line.startswith("rename from "):
        section.rename_from = _unquoted(line[len("rename from ") :])
    elif line.startswith("rename to "):
        section.rename_to = _unquoted(line[len("rename to ") :])
    elif line.startswith(("new file mode ", "new mode ")):
        section.new_file = section.new_file or line.startswith("new file")
        section.mode = _mode(line, at)
    elif line.startswith("deleted file mode "):
        section.deleted = True


def _mode(line: str, at: int) -> int:
    try:
        mode = int(line.split()[-1], 8)
    except ValueError:
        raise Refused(f"Line {at + 1} of the patch has no file mode: {printable(line)!r}.") from None
    if mode & ~0o777 != _FILE_MODE:
        kind = "a symbolic link" if mode == _SYMLINK_MODE else "no regular file"
        raise Refused(
            f"Line {at + 1} of the patch makes {kind}; only regular files can be patched; nothing was written."
        )
    return 0o755 if mode & 0o100 else 0o644


def _git_names(line: str) -> tuple[str | None, str | None]:
    """The two names of `diff --git a/X b/X`; only needed where no other line has them, and then both are the same."""
    rest = line[len("diff --git ") :]
    old, new = rest[: len(rest) // 2], rest[len(rest) // 2 + 1 :]
    old, new = _unquoted(old), _unquoted(new)
    return (old, new) if old.removeprefix("a/") == new.removeprefix("b/") else (None, None)


def _name(line: str) -> str:
    # GNU diff writes a tab and a time stamp after the name.
    return _unquoted(line[4:].split("\t", 1)[0].rstrip())


def _unquoted(name: str) -> str:
    """A name as git quotes it (C style, bytes in octal)."""
    if len(name) < 2 or name[0] != '"' or name[-1] != '"':
        return name
    raw = bytearray()
    at = 1
    while at < len(name) - 1:
        escape = _QUOTED.match(name, at)
        if escape is None:
            raw += name[at].encode("utf-8", "surrogateescape")
            at += 1
        else:
            code = escape[1]
            raw.append(int(code, 8) & 0xFF if code.isdigit() else _ESCAPES[code])
            at = escape.end()
    return raw.decode("utf-8", "surrogateescape")


def _without_prefixes(old: str | None, new: str | None) -> tuple[str | None, str | None]:
    """Both names without git's `a/` and `b/`, which only count as prefixes when both have theirs."""

    def prefixed(name: str | None, prefix: str) -> bool:
        return name is None or name == _NOWHERE or name.startswith(prefix)

    if prefixed(old, "a/") and prefixed(new, "b/"):
        return old and old.removeprefix("a/"), new and new.removeprefix("b/")
    return old, new


def _hunk(lines: Sequence[str], at: int, exact: bool) -> tuple[Hunk, int]:
    """The hunk whose header is at index `at`, and the index after it.

    The header's counts are only believed where a line could be read in two ways: models often count wrong.
    """
    header = HUNK_HEADER.match(lines[at])
    start = int(header[1]) if header else None
    old_left = int(header[2] or 1) if header else 0
    new_left = int(header[4] or 1) if header else 0
    if start is not None and old_left == 0:
        start += 1  # of no old lines, the number is that of the line before
    anchor = "" if header else lines[at][2:].strip().removesuffix("@@").strip()
    body: list[Line] = []
    at += 1
    while at < len(lines):
        line = lines[at]
        if line.startswith("\\"):
            if body:
                body[-1] = Line(body[-1].kind, body[-1].text, (body[-1].end or "").removesuffix("\n"))
            at += 1
            continue
        if line[:1] in (" ", "+", "-") and (old_left > 0 or new_left > 0 or not _starts_file(lines, at)):
            body.append(body_line(line, exact))
        elif line in ("", "\r") and (_goes_on(lines, at) or 0 < old_left == new_left <= _empty_lines(lines, at)):
            body.append(body_line(" " + line, exact))
        else:
            break
        old_left -= body[-1].kind != "+"
        new_left -= body[-1].kind != "-"
        at += 1
    if not body:
        raise Refused(f"Line {at} of the patch begins a change that has no lines.")
    return Hunk(tuple(body), (anchor,) if anchor else (), start), at


def _starts_file(lines: Sequence[str], at: int) -> bool:
    return lines[at].startswith("--- ") and at + 1 < len(lines) and lines[at + 1].startswith("+++ ")


def _goes_on(lines: Sequence[str], at: int) -> bool:
    """Whether lines of the same hunk follow an empty line: then it is an empty context line that lost its space."""
    rest = next((i for i in range(at, len(lines)) if lines[i]), None)
    return rest is not None and lines[rest][:1] in (" ", "+", "-") and not _starts_file(lines, rest)


def _empty_lines(lines: Sequence[str], at: int) -> int:
    """How many empty lines follow, not counting what is after the patch's last line end."""
    return next((i for i in range(at, len(lines)) if lines[i].strip("\r")), len(lines) - 1) - at
