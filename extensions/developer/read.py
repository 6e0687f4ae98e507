"""The `read` tool: a range of a text file's lines, or a picture."""

import difflib
import os
from pathlib import Path

from .display import numbered, plural, printable, size
from .editing.encoding import decode
from .editing.ledger import Ledger
from .editing.lines import Lines
from .files import MAX_TEXT_BYTES, Stored, read_file
from .images import MAX_FILE_BYTES, Picture, is_picture, picture
from .refusal import Refused
from .workspace import Workspace

DEFAULT_LINES = 2000
_MAX_CHARS = 60_000
_MAX_LINE = 2000
_MAX_LOG_BYTES = 70_000_000
_NAMES_LOOKED_AT = 2000


def read_path(
    workspace: Workspace, logs: Workspace, ledger: Ledger, path: str, offset: int, limit: int
) -> str | Picture:
    """Lines `offset` (from 1) and following, at most `limit`, each as `NUMBER<tab>LINE`, or a picture.

    `logs` is the folder of full command logs, which may be read by absolute path beside the workspace. Raises Refused.
    """
    if offset < 1:
        raise Refused(f"offset counts lines from 1; {offset} is none.")
    if limit < 1:
        raise Refused(f"limit is a number of lines, at least 1; {limit} is none.")
    if path.startswith("/") and Path(os.path.realpath(path)).is_relative_to(logs.root):
        stored = read_file(logs, path, _MAX_LOG_BYTES)
        return _shown(path, stored.data.decode("utf-8", "replace"), [], offset, limit)
    stored = _read(workspace, path)
    if is_picture(stored.data):
        return picture(stored.data, stored.path)
    if len(stored.data) > MAX_TEXT_BYTES:
        raise Refused(
            f"{printable(path)} has {size(len(stored.data))}, more than the {size(MAX_TEXT_BYTES)} this tool takes; "
            "use grep to find the place, or shell (head, tail, sed -n) to look at a part."
        )
    file = decode(stored.data, stored.path)
    ledger.saw(stored.path, stored.data)
    return _shown(stored.path, file.text, [file.note] if file.note else [], offset, limit)


def _read(workspace: Workspace, path: str) -> Stored:
    try:
        return read_file(workspace, path, MAX_FILE_BYTES)
    except Refused as refusal:
        if not isinstance(refusal.__cause__, FileNotFoundError):
            raise
        near = _similar_names(workspace, workspace.relative(path))
        raise Refused(f"There is no file {printable(path)}." + (f" Did you mean {near}?" if near else "")) from refusal


def _similar_names(workspace: Workspace, name: str) -> str:
    folder, _, last = name.rpartition("/")
    try:
        descriptor, _ = workspace.open(folder or ".", os.O_RDONLY | os.O_DIRECTORY)
    except (OSError, Refused):
        return ""
    try:
        names = os.listdir(descriptor)[:_NAMES_LOOKED_AT]  # noqa: PTH208
    finally:
        os.close(descriptor)
    lowered = {other.casefold(): other for other in sorted(names, reverse=True)}
    close = [lowered[match] for match in difflib.get_close_matches(last.casefold(), lowered, n=3, cutoff=0.6)]
    return " or ".join(printable(f"{folder}/{other}" if folder else other) for other in close)


def _shown(path: str, text: str, notes: list[str], offset: int, limit: int) -> str:
    lines = Lines(text)
    total = len(lines.texts)
    if lines.style:
        notes.append(lines.style)
    if not text:
        return f"[{printable(path)} is empty]"
    if offset > total:
        raise Refused(f"{printable(path)} has only {plural(total, 'line')}; offset {offset} is past its end.")
    if not text.endswith(("\n", "\r")):
        notes.append("no line end after the last line")
    shown: list[str] = []
    room = _MAX_CHARS
    for line in lines.texts[offset - 1 : offset - 1 + limit]:
        room -= min(len(line), _MAX_LINE) + 8
        if room < 0 and shown:
            break
        shown.append(line)
    last = offset + len(shown) - 1
    if offset > 1 or last < total:
        rest = f"; read on with offset={last + 1}" if last < total else ""
        notes.insert(0, f"lines {offset}-{last} of {total:,}{rest}")
    footer = f"\n[{'; '.join(notes)}]" if notes else ""
    return numbered(shown, offset, _MAX_LINE) + footer
