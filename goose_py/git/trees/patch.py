"""Parse what `git diff-tree` writes, byte for byte. Pure.

Formats: `-z --raw` and `--numstat` (git-diff-tree(1), "Raw output format", "Other diff formats") and the unified patch of
`-p` ("Generating patch text with -p"). Line counts in the hunk headers drive the parser, so that no content of a file can
pass for the structure of the patch.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from goose_py.protocol.changes import Hunk

_HUNK_HEADER = re.compile(rb"@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)")


@dataclass(frozen=True)
class RawChange:
    """One record of the raw format; `letter` is one of A D M R T."""

    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    letter: str
    old_path: bytes
    path: bytes


def parse_raw(fields: Iterator[bytes]) -> Iterator[RawChange]:
    """Records from NUL-separated fields, as long as they begin with a colon."""
    for field in fields:
        if not field.startswith(b":"):
            return
        old_mode, new_mode, old_oid, new_oid, letter = field[1:].decode().split(" ")
        old_path = next(fields)
        path = next(fields) if letter[0] in "RC" else old_path
        yield RawChange(old_mode, new_mode, old_oid, new_oid, letter[0], old_path, path)


def parse_numstat(fields: Iterator[bytes]) -> dict[bytes, tuple[int | None, int | None]]:
    """(added, removed) by new path; None for binary content."""
    counts: dict[bytes, tuple[int | None, int | None]] = {}
    for field in fields:
        if not field:
            continue
        added, removed, path = field.split(b"\t", 2)
        if not path:
            next(fields)
            path = next(fields)
        counts[path] = (None, None) if added == b"-" else (int(added), int(removed))
    return counts


@dataclass(frozen=True)
class PatchSection:
    """What stands below one `diff --git` line. `hunks`: (old_start, old_lines, new_start, new_lines, section, lines), the
    lines with their sign and their own line feed."""

    binary: bool
    hunks: tuple[tuple[int, int, int, int, bytes, tuple[bytes, ...]], ...]

    @property
    def counts(self) -> tuple[int, int]:
        """Lines that were added, and removed."""
        signs = Counter(line[:1] for hunk in self.hunks for line in hunk[-1])
        return signs[b"+"], signs[b"-"]


def parse_patch(data: bytes) -> Iterator[PatchSection]:
    """The sections of a patch in their order. There is one for every raw record, but two (a deletion, then an addition) for
    a change of type."""
    position = 0
    while position < len(data):
        position, section = _section(data, position)
        yield section


def _line(data: bytes, position: int) -> tuple[int, bytes]:
    end = data.find(b"\n", position)
    end = len(data) if end < 0 else end + 1
    return end, data[position:end]


def _section(data: bytes, position: int) -> tuple[int, PatchSection]:
    position, line = _line(data, position)
    if not line.startswith(b"diff --git "):
        raise ValueError(f"no patch section at byte {position - len(line)}")
    binary = False
    hunks = []
    while position < len(data):
        after, line = _line(data, position)
        if line.startswith(b"diff --git "):
            break
        position = after
        if line.startswith(b"@@ "):
            position, hunk = _hunk(data, position, line)
            hunks.append(hunk)
        elif line.startswith((b"Binary files ", b"GIT binary patch")):
            binary = True
    return position, PatchSection(binary, tuple(hunks))


def _hunk(data: bytes, position: int, header: bytes) -> tuple[int, tuple]:
    found = _HUNK_HEADER.match(header)
    if found is None:
        raise ValueError(f"malformed hunk header {header!r}")
    old_start, new_start = int(found[1]), int(found[3])
    old_lines, new_lines = (int(found[number]) if found[number] else 1 for number in (2, 4))
    old_left, new_left = old_lines, new_lines
    lines: list[bytes] = []
    while old_left or new_left:
        position, line = _line(data, position)
        if line.startswith(b"\\"):
            lines[-1] = lines[-1][:-1]
            continue
        sign = line[:1]
        old_left -= sign in (b" ", b"-")
        new_left -= sign in (b" ", b"+")
        lines.append(line)
    if data.startswith(b"\\", position):
        position, _ = _line(data, position)
        lines[-1] = lines[-1][:-1]
    return position, (old_start, old_lines, new_start, new_lines, found[5], tuple(lines))


def hunk_values(path: bytes, section: PatchSection) -> tuple[Hunk, ...]:
    """The hunks as protocol values, with their ids."""
    seen: Counter[str] = Counter()
    values = []
    for old_start, old_lines, new_start, new_lines, heading, lines in section.hunks:
        content = b"".join(line if line.endswith(b"\n") else line + b"\n\\\n" for line in lines)
        digest = hashlib.sha256(b"hunk\0" + path + b"\0" + content).hexdigest()[:16]
        seen[digest] += 1
        encoding = "utf-8" if _is_utf8(content) else "latin-1"
        values.append(
            Hunk(
                id=digest if seen[digest] == 1 else f"{digest}.{seen[digest]}",
                old_start=old_start,
                old_lines=old_lines,
                new_start=new_start,
                new_lines=new_lines,
                section=heading.decode("utf-8", "replace").rstrip("\r"),
                lines=tuple(line.decode(encoding) for line in lines),
                encoding=encoding,
            )
        )
    return tuple(values)


def _is_utf8(content: bytes) -> bool:
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True
