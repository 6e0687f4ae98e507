"""The `apply_patch` tool: all files of a patch or none."""

from dataclasses import dataclass, field

from ..display import plural, printable
from ..editing.encoding import TextFile, decode, encode_new
from ..editing.ledger import Ledger
from ..editing.lines import Lines
from ..editing.repeated_failure import with_fresh_content
from ..files import Change, Stored, commit, existing
from ..refusal import Refused
from ..workspace import Workspace
from .format import FilePatch, Hunk
from .parse import read_patch
from .placement import AlreadyApplied, Placed, place

_REPLACEMENT = "\ufffd"


@dataclass
class _File:
    """A file as it was, and as the patch has made it so far; `data` None: it is not there."""

    before: Stored | None
    data: bytes | None
    mode: int | None = None


@dataclass
class _Result:
    files: dict[str, _File] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


def apply_patch(workspace: Workspace, ledger: Ledger, patch: str) -> str:
    """Applies a patch in V4A or unified format and says what became of each file, one a line.

    Every path is checked and every new content made in memory before the first file is written. Raises Refused, with
    nothing written: the sentence names the file and the first line that does not fit. The second time in a row that the
    very same patch fails for a file, the refusal carries that file as it is now.
    """
    file_patches = read_patch(patch)
    for file_patch in file_patches:
        workspace.writable(file_patch.path)
        if file_patch.move_to is not None:
            workspace.writable(file_patch.move_to)
    result = _Result()
    for file_patch in file_patches:
        try:
            _prepare(workspace, result, file_patch)
        except Refused as refusal:
            name = workspace.writable(file_patch.path)
            raise with_fresh_content(workspace, ledger, name, patch, refusal) from refusal
    changes = [
        Change(path, file.before, file.data, file.mode)
        for path, file in result.files.items()
        if file.data != (file.before and file.before.data) or _new_mode(file)
    ]
    commit(workspace, changes)
    for change in changes:
        _note(ledger, change)
    if not changes:
        return "\n".join([*result.lines, "Nothing was written: the patch is already applied."])
    return "\n".join(result.lines)


def _note(ledger: Ledger, change: Change) -> None:
    ledger.succeeded(change.path)
    if change.data is None:
        ledger.forget(change.path)
    else:
        ledger.saw(change.path, change.data)


def _new_mode(file: _File) -> bool:
    return file.mode is not None and file.before is not None and file.data is not None and file.mode != file.before.mode


def _file(workspace: Workspace, result: _Result, path: str) -> tuple[str, _File]:
    name = workspace.writable(path)
    if name not in result.files:
        stored = existing(workspace, name)
        result.files[name] = _File(stored, stored.data if stored else None)
    return name, result.files[name]


def _prepare(workspace: Workspace, result: _Result, file_patch: FilePatch) -> None:
    name, file = _file(workspace, result, file_patch.path)
    if file_patch.action == "add":
        result.lines.append(_add(name, file, file_patch))
    elif file_patch.action == "delete":
        result.lines.append(_delete(name, file))
    else:
        _update(workspace, result, name, file, file_patch)


def _add(name: str, file: _File, file_patch: FilePatch) -> str:
    lines = [line for hunk in file_patch.hunks for line in hunk.lines if line.kind == "+"]
    text = "".join(line.text + ("\n" if line.end is None else line.end) for line in lines)
    _refuse_replacement_characters(name, text, "")
    data = encode_new(text, name)
    if file.data == data:
        return f"{printable(name)}: already there with this content"
    if file.data is not None:
        raise Refused(
            f"The patch adds {printable(name)}, but that file exists; nothing was written. Update it instead."
        )
    file.data = data
    # Only what git tells apart: whether it can be executed. The rest is the process's umask.
    file.mode = file_patch.mode if file_patch.mode == 0o755 else None
    return f"Added {printable(name)} ({plural(len(lines), 'line')})"


def _delete(name: str, file: _File) -> str:
    if file.data is None:
        raise Refused(f"The patch deletes {printable(name)}, but there is no such file; nothing was written.")
    file.data = None
    return f"Deleted {printable(name)}"


def _update(workspace: Workspace, result: _Result, name: str, file: _File, file_patch: FilePatch) -> None:
    if file.data is None:
        if file_patch.move_to is not None and _file(workspace, result, file_patch.move_to)[1].data is not None:
            raise Refused(
                f"The patch moves {printable(name)} to {printable(file_patch.move_to)}, which seems to be done already."
            )
        raise Refused(f"The patch updates {printable(name)}, but there is no such file; nothing was written.")
    report = ""
    if file_patch.hunks:
        file.data, report = _patched(name, decode(file.data, name), file_patch.hunks)
    if file_patch.mode is not None:
        executable = file_patch.mode & 0o111
        mode = file.before.mode if file.before else 0o644
        file.mode = mode | (mode & 0o444) >> 2 if executable else mode & ~0o111
    if file_patch.move_to is None or workspace.writable(file_patch.move_to) == name:
        result.lines.append(
            f"Updated {printable(name)}{report}" if "already" not in report else f"{printable(name)}{report}"
        )
        return
    target, moved = _file(workspace, result, file_patch.move_to)
    if moved.data is not None:
        raise Refused(
            f"The patch moves {printable(name)} to {printable(target)}, but that file exists; nothing was written."
        )
    moved.data, moved.mode = file.data, file.mode or (file.before.mode if file.before else None)
    file.data = None
    result.lines.append(f"Moved {printable(name)} to {printable(target)}{report}")


def _patched(name: str, file: TextFile, hunks: tuple[Hunk, ...]) -> tuple[bytes, str]:
    """The file's new bytes, and what to report: line counts and what had to be forgiven."""
    lines = Lines(file.text)
    splices: list[tuple[int, int, str]] = []
    added = removed = applied = 0
    notes: list[str] = []
    cursor = 0
    for number, hunk in enumerate(hunks, 1):
        placed = place(
            name, lines, hunk, cursor, f"Change {number} of {len(hunks)}" if len(hunks) > 1 else "The change"
        )
        cursor = placed.end
        if isinstance(placed, AlreadyApplied):
            applied += 1
            continue
        _refuse_replacement_characters(name, "".join(hunk.added), file.text)
        splices += placed.splices
        added += sum(line.kind == "+" for line in hunk.lines)
        removed += sum(line.kind == "-" for line in hunk.lines)
        notes += _notes(placed, number)
    if applied == len(hunks):
        return file.data, ": already applied"
    if applied:
        notes.append(f"{plural(applied, 'change')} of {len(hunks)} had been made before")
    return file.spliced(splices, name), f" (+{added}/-{removed})" + (f"; {'; '.join(notes)}" if notes else "")


def _notes(placed: Placed, number: int) -> list[str]:
    return [f"change {number} matched only with other whitespace and was fitted to the file"] if placed.loosely else []


def _refuse_replacement_characters(name: str, new: str, before: str) -> None:
    if _REPLACEMENT in new and _REPLACEMENT not in before:
        raise Refused(
            f"The patch puts U+FFFD, the sign for a character that could not be decoded, into {printable(name)}; "
            "nothing was written. Copy the real characters."
        )
