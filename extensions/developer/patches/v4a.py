"""Reading the V4A format: `*** Begin Patch`, file sections, `@@` anchors, ` `/`-`/`+` lines, `*** End Patch`."""

from collections.abc import Sequence

from ..display import printable
from ..refusal import Refused
from .format import HUNK_HEADER, FilePatch, Hunk, Line, body_line, tells_line_ends

_END = "*** End Patch"
_END_OF_FILE = "*** End of File"
_SECTIONS = {"*** Add File: ": "add", "*** Delete File: ": "delete", "*** Update File: ": "update"}
_MOVE = "*** Move to: "


def read_v4a(lines: Sequence[str], first: int) -> list[FilePatch]:
    """The sections between the Begin line at index `first` and the End line. Raises Refused."""
    last = next((i for i in range(first + 1, len(lines)) if lines[i].strip() == _END), None)
    if last is None:
        raise Refused(f"The patch has no '{_END}' line: it may have been cut off; nothing was written.")
    found: list[FilePatch] = []
    at = first + 1
    while at < last:
        if not lines[at].strip():
            at += 1
            continue
        action, path = _section(lines[at], at)
        end = next((i for i in range(at + 1, last) if _is_section(lines[i])), last)
        found.append(_file_patch(action, path, lines, at + 1, end))
        at = end
    if not found:
        raise Refused(
            "The patch has no file in it: give '*** Update File: PATH', '*** Add File: PATH' or "
            "'*** Delete File: PATH'."
        )
    return found


def _is_section(line: str) -> bool:
    return line.startswith(tuple(_SECTIONS))


def _section(line: str, at: int) -> tuple[str, str]:
    for prefix, action in _SECTIONS.items():
        if line.startswith(prefix):
            return action, line[len(prefix) :].strip()
    raise Refused(
        f"Line {at + 1} of the patch is {printable(line)!r}, where '*** Update File: PATH', '*** Add File: PATH' or "
        "'*** Delete File: PATH' is expected."
    )


def _file_patch(action: str, path: str, lines: Sequence[str], start: int, end: int) -> FilePatch:
    if not path:
        raise Refused(f"Line {start} of the patch names no file.")
    if action == "delete":
        return FilePatch("delete", path)
    if action == "add":
        return FilePatch("add", path, (_added(path, lines, start, end),))
    move_to = None
    if start < end and lines[start].startswith(_MOVE):
        move_to = lines[start][len(_MOVE) :].strip()
        start += 1
    hunks = _hunks(lines, start, end)
    if not hunks and move_to is None:
        raise Refused(f"The patch says to update {printable(path)} but has no changes for it.")
    return FilePatch("update", path, tuple(hunks), move_to)


def _added(path: str, lines: Sequence[str], start: int, end: int) -> Hunk:
    body: list[Line] = []
    exact = tells_line_ends(lines[start:end])
    for at in range(start, end):
        if lines[at].startswith("+"):
            body.append(body_line(lines[at], exact))
        elif lines[at].strip() and lines[at].strip() != _END_OF_FILE:
            raise Refused(
                f"Line {at + 1} of the patch, in the new file {printable(path)}, does not begin with '+'; every line "
                "of it must."
            )
        elif not lines[at].strip() and any(line.startswith("+") for line in lines[at:end]):
            body.append(Line("+", ""))  # the + of an empty line is what models forget
    return Hunk(tuple(body))


def _hunks(lines: Sequence[str], start: int, end: int) -> list[Hunk]:
    hunks: list[Hunk] = []
    anchors: list[str] = []
    body: list[Line] = []
    at_end = False
    start_line: int | None = None
    exact = tells_line_ends(lines[start:end])

    def close() -> None:
        nonlocal anchors, body, at_end, start_line
        if body:
            hunks.append(Hunk(tuple(_without_stray_blanks(body)), tuple(anchors), start_line, at_end))
            anchors, body, at_end, start_line = [], [], False, None

    for at in range(start, end):
        line = lines[at]
        if line.startswith("@@"):
            close()
            header = HUNK_HEADER.match(line)
            start_line = int(header[1]) if header else None  # of a unified diff, which models mix in
            anchor = "" if header else line[2:].strip().removesuffix("@@").strip()
            if anchor:
                anchors.append(line[3:] if line.startswith("@@ ") else anchor)
        elif line.strip() == _END_OF_FILE:
            at_end = True
            close()
        elif line[:1] in ("+", "-", " "):
            body.append(body_line(line, exact))
        elif not line:
            body.append(Line(" ", ""))  # an empty context line whose space was lost
        else:
            raise Refused(
                f"Line {at + 1} of the patch is {printable(line)!r}; lines of a change begin with a space, '+', '-' "
                "or '@@'."
            )
    close()
    if anchors:
        raise Refused(f"The patch ends with the anchor {printable(anchors[-1])!r} and no changes after it.")
    return hunks


def _without_stray_blanks(body: list[Line]) -> list[Line]:
    """Without the blank lines between this hunk and what follows it in the patch, which are no context."""
    while len(body) > 1 and body[-1] == Line(" ", "") and any(line.kind != " " for line in body[:-1]):
        body = body[:-1]
    return body
