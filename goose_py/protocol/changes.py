"""What a task changed: ChangeSet > FileChange > Hunk, as a diff of two git trees.

Bytes and text. A hunk carries the exact bytes of its lines as text plus the `encoding` that gives them back:
`line.encode(hunk.encoding)` is what git stored. It is "utf-8" where the bytes are valid UTF-8 and "latin-1" (which maps
every byte) where they are not, so that a changeset survives JSON whatever a file holds. Paths are `/`-separated and relative
to the root; a path that is not UTF-8 is written in git's quoted form (`"caf\\351"`), see `path_to_bytes`.

Nothing here can be forged by a file's content: lines end at `\\n` only.
"""

from typing import Literal

import msgspec

FileStatus = Literal["added", "modified", "deleted", "renamed", "type-changed", "mode"]
"""`mode`: only permission bits differ. `type-changed`: between file, symlink and submodule. `renamed` may carry hunks and a
new mode as well."""

Flag = Literal[
    "binary", "symlink", "submodule", "in_submodule", "executable", "generated", "minified", "lfs", "hidden_unicode",
    "encoding", "large",
]  # fmt: skip
"""What a reviewer should know before reading. `in_submodule`: a file of a submodule, which no commit of the superproject can
hold. `executable`: the file becomes one that runs. `hidden_unicode`: added lines
hold characters that do not show or that reorder text. `encoding`: not UTF-8. `large`: too large for hunks."""


class Hunk(msgspec.Struct, frozen=True, kw_only=True):
    """`lines` begin with " ", "-" or "+" and keep their own "\\n"; the last line of a file without a final newline has none.
    Line numbers count from 1; `old_start` is the line *before* the hunk where `old_lines` is 0 (unified diff convention).
    `id` names the content: equal path and lines give the same id in every re-diff, wherever the hunk has moved to; equal
    hunks of one file are told apart by their order."""

    id: str
    old_start: int
    old_lines: int
    new_start: int
    new_lines: int
    section: str = ""
    lines: tuple[str, ...]
    encoding: Literal["utf-8", "latin-1"] = "utf-8"


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One path that differs. Modes are git's six octal digits, "000000" where there is no file; oids are full, all zeros
    where there is none. `added` and `removed` count lines, None for binary files.

    `old_link` and `new_link` are where a symlink leads, loaded with the hunks; None on a side that is none.

    `hunks` is None while they have not been loaded (`changeset_summary`), and empty where there is nothing to choose from
    within the file (binary, symlink, submodule, mode, pure rename, empty file, `large`).
    `id` names the whole change, `attributes_id` what is not in the hunks: existence, name, mode, binary content."""

    id: str
    attributes_id: str
    path: str
    old_path: str | None = None
    status: FileStatus
    old_mode: str
    new_mode: str
    old_oid: str
    new_oid: str
    binary: bool = False
    old_link: str | None = None
    new_link: str | None = None
    hunks: tuple[Hunk, ...] | None = None
    flags: tuple[Flag, ...] = ()
    added: int | None = None
    removed: int | None = None


class ChangeSet(msgspec.Struct, frozen=True, kw_only=True):
    """`files` in git's path order (bytes of the new path)."""

    base_tree: str
    result_tree: str
    files: tuple[FileChange, ...] = ()

    @property
    def added(self) -> int:
        """Lines, of the files that have any."""
        return sum(file.added or 0 for file in self.files)

    @property
    def removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)

    def file(self, path: str) -> FileChange | None:
        return next((change for change in self.files if change.path == path), None)


_ESCAPES = {7: "\\a", 8: "\\b", 9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_UNESCAPES = {text[1]: byte for byte, text in _ESCAPES.items()}


def path_from_bytes(raw: bytes) -> str:
    """A path as text: itself where it is UTF-8, else quoted as git quotes (core.quotePath)."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = ""
    if text and not text.startswith('"'):
        return text
    return '"' + "".join(_quoted(byte) for byte in raw) + '"'


def path_to_bytes(path: str) -> bytes:
    """The exact inverse of `path_from_bytes`. A text that begins with a quote but is no quoted path stands for itself."""
    if not (path.startswith('"') and path.endswith('"') and len(path) > 1):
        return path.encode()
    out = bytearray()
    rest = path[1:-1]
    position = 0
    while position < len(rest):
        if rest[position] != "\\":
            out += rest[position].encode()
            position += 1
            continue
        octal = rest[position + 1 : position + 4]
        if len(octal) == 3 and set(octal) <= set("01234567") and octal[0] in "0123":
            out.append(int(octal, 8))
            position += 4
        elif rest[position + 1 : position + 2] in _UNESCAPES:
            out.append(_UNESCAPES[rest[position + 1]])
            position += 2
        else:
            return path.encode()
    return bytes(out)


def _quoted(byte: int) -> str:
    if byte in _ESCAPES:
        return _ESCAPES[byte]
    return chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}"
