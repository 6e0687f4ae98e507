"""The `edit` and `write` tools: one file, changed exactly where asked."""

from dataclasses import dataclass

from ..display import numbered, plural, printable, size
from ..files import MAX_TEXT_BYTES, Change, Stored, commit, existing
from ..refusal import Refused
from ..workspace import Workspace
from .encoding import TextFile, decode, encode_new
from .ledger import Drift, Ledger
from .lines import Lines, unified
from .matching import AlreadyDone, Ambiguous, Found, Missing, locate
from .repeated_failure import listing, with_fresh_content

_SHOWN_PLACES = 20
_REPLACEMENT = "\ufffd"


@dataclass(frozen=True)
class EditRequest:
    path: str
    old: str
    new: str
    every: bool = False

    @property
    def key(self) -> str:
        return repr((self.old, self.new, self.every))


def edit_file(workspace: Workspace, ledger: Ledger, request: EditRequest) -> str:
    """Applies one replacement and says what was done, in one or two lines.

    Raises Refused, with the file untouched. The second time in a row that the very same request fails, the refusal
    carries the file as it is now.
    """
    name = workspace.writable(request.path)
    try:
        done = _edit(workspace, ledger, name, request)
    except Refused as refusal:
        raise with_fresh_content(workspace, ledger, name, request.key, refusal) from refusal
    ledger.succeeded(name)
    return done


def _edit(workspace: Workspace, ledger: Ledger, name: str, request: EditRequest) -> str:
    stored = _existing_file(workspace, ledger, name)
    file = decode(stored.data, name)
    lines = Lines(file.text)
    old, new = unified(request.old), unified(request.new)
    _refuse_senseless(name, old, new, file)
    if not old:
        changes: tuple[tuple[int, int, str], ...] = ((0, 0, new),)
        found = Found(changes)
    else:
        located = locate(lines.view, old, new, request.every)
        if isinstance(located, AlreadyDone):
            ledger.saw(name, stored.data)
            return (
                f"{printable(name)} already reads as new_string at {_range(located.first, located.last)}; "
                "nothing was written."
            )
        found = _found(name, located)
    drift = ledger.drift(name, stored.data)
    if drift is not None:
        _refuse_overlap(ledger, name, stored, lines, found, drift)
    data = file.spliced(lines.splices(list(found.changes)), name)
    if data == stored.data:
        return f"{printable(name)} already reads that way; nothing was written."
    commit(workspace, [Change(name, stored, data)])
    ledger.saw(name, data)
    return _report(name, lines, found, drift)


def _existing_file(workspace: Workspace, ledger: Ledger, name: str) -> Stored:
    stored = existing(workspace, name)
    if stored is None:
        gone = " any more: it was deleted or renamed since you read it" if ledger.knows(name) else ""
        raise Refused(f"There is no file {printable(name)}{gone}; nothing was written. Use write to make a new file.")
    return stored


def _refuse_senseless(name: str, old: str, new: str, file: TextFile) -> None:
    if old == new:
        raise Refused(f"old_string and new_string are the same; nothing to change in {printable(name)}.")
    if not old and file.text:
        raise Refused(f"old_string is empty, but {printable(name)} is not; give the text to replace.")
    if _REPLACEMENT in new and _REPLACEMENT not in file.text:
        raise Refused(_no_replacement_characters(name))


def _no_replacement_characters(name: str) -> str:
    return (
        f"The new text for {printable(name)} contains U+FFFD, the sign for a character that could not be decoded, "
        "which the file does not have; nothing was written. Copy the real characters, or write it as an escape."
    )


def _found(name: str, located: Found | Ambiguous | Missing) -> Found:
    if isinstance(located, Found):
        return located
    if isinstance(located, Ambiguous):
        places = ", ".join(map(str, located.lines[:_SHOWN_PLACES])) + (
            ", …" if len(located.lines) > _SHOWN_PLACES else ""
        )
        loosely = "" if located.how == "exact" else " (whitespace aside)" if located.how == "whitespace" else ""
        every = ", or set replace_all" if located.how != "whitespace" else ""
        raise Refused(
            f"old_string is in {printable(name)} {len(located.lines)} times{loosely}, at lines {places}; nothing was "
            f"written. Add lines around it until it is unique{every}."
        )
    near = f"\n{located.nearest}" if located.nearest else " Nothing in the file is similar to it."
    raise Refused(
        f"old_string is not in {printable(name)}, neither exactly nor with other whitespace; nothing was written.{near}"
    )


def _refuse_overlap(ledger: Ledger, name: str, stored: Stored, lines: Lines, found: Found, drift: Drift) -> None:
    """The file is not as the model last saw it: only an edit that is exact and away from the changes goes on."""
    spans = [(lines.line_at(start) - 1, lines.line_at(max(end - 1, start))) for start, end, _ in found.changes]
    if found.how != "whitespace" and not any(drift.touches(first, end) for first, end in spans):
        return
    ledger.saw(name, stored.data)
    first = max(min(first for first, _ in spans) - 10, 0)
    last = max(end for _, end in spans) + 10
    raise Refused(
        f"{printable(name)} was changed since you last read it ({drift}), right where this edit applies; "
        f"nothing was written. The region is now:\n{listing(lines, first, last)}"
    )


def _range(first: int, last: int) -> str:
    return f"line {first}" if first == last else f"lines {first}-{last}"


def _report(name: str, lines: Lines, found: Found, drift: Drift | None) -> str:
    start, end, new = found.changes[0]
    first = lines.line_at(start)
    last = lines.line_at(max(end - 1, start))
    added = new.count("\n") + (not new.endswith("\n")) if new else 0
    where = (
        _range(first, last) if len(found.changes) == 1 else f"{len(found.changes)} places, the first at line {first}"
    )
    notes = ""
    if found.how == "whitespace":
        shown = new.removesuffix("\n").split("\n")[:_SHOWN_PLACES]
        notes += (
            "\nold_string matched only with other whitespace, so new_string was fitted to the file's; it now reads:\n"
            f"{numbered(shown, first)}"
        )
    if found.how == "line numbers":
        notes += "\nThe line numbers in old_string were taken off: they are not part of the file."
    if drift is not None:
        notes += f"\nNote: the file was changed elsewhere since you last read it ({drift}); those changes are kept."
    size_of_new = (
        "" if len(found.changes) > 1 else f" ({plural(last - first + 1, 'line')} became {plural(added, 'line')})"
    )
    return f"Edited {printable(name)}: {where}{size_of_new}.{notes}"


def write_file(workspace: Workspace, ledger: Ledger, path: str, content: str) -> str:
    """Makes or replaces a whole file. Raises Refused, with nothing written.

    A file that exists keeps its mode, its encoding and byte order mark, and, when all its lines end in the same other
    way than `\\n`, its line ends. One that changed since the model last saw it is not replaced the first time.
    """
    name = workspace.writable(path)
    stored = existing(workspace, name)
    if stored is None:
        data, kept = _refusing_replacement(name, content, ""), ""
    else:
        _refuse_unseen_changes(ledger, name, stored)
        data, kept = _in_the_style_of(stored, name, content)
    if len(data) > MAX_TEXT_BYTES:
        raise Refused(
            f"The content for {printable(name)} has {size(len(data))}; more than {size(MAX_TEXT_BYTES)} is not written."
        )
    if stored is not None and stored.data == data:
        ledger.saw(name, data)
        return f"{printable(name)} already has exactly this content; nothing was written."
    commit(workspace, [Change(name, stored, data)])
    ledger.saw(name, data)
    ledger.succeeded(name)
    verb = "Wrote" if stored is None else "Replaced"
    return f"{verb} {printable(name)} ({plural(len(Lines(content).texts), 'line')}, {size(len(data))}){kept}."


def _refusing_replacement(name: str, content: str, before: str) -> bytes:
    if _REPLACEMENT in content and _REPLACEMENT not in before:
        raise Refused(_no_replacement_characters(name))
    return encode_new(content, name)


def _refuse_unseen_changes(ledger: Ledger, name: str, stored: Stored) -> None:
    drift = ledger.drift(name, stored.data)
    if drift is None:
        return
    ledger.saw(name, stored.data)
    raise Refused(
        f"{printable(name)} was changed since you last read it ({drift}); nothing was written, so that those changes "
        "are not lost. Read it again, then write it with them, or make the change with edit."
    )


def _in_the_style_of(stored: Stored, name: str, content: str) -> tuple[bytes, str]:
    """The content as bytes in the file's own style, and what of it was kept, for the report."""
    try:
        file = decode(stored.data, name)
    except Refused:  # a binary file becomes text
        return _refusing_replacement(name, content, ""), ""
    if not file.text:
        return file.mark + file.encode(content, name), ""
    if _REPLACEMENT in content and _REPLACEMENT not in file.text:
        raise Refused(_no_replacement_characters(name))
    lines = Lines(file.text)
    kept = [file.note] if file.note else []
    if set(lines.ends) in ({"\r\n"}, {"\r"}) and "\r" not in content:
        content = content.replace("\n", lines.dominant_end)
        kept.append(lines.style)
    return file.mark + file.encode(content, name), f", keeping its {' and '.join(kept)}" if kept else ""
