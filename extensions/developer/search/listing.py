"""The `list` and `glob` tools, and the files that `grep` looks through."""

import os
import stat

import anyio

from ..display import plural, printable
from ..refusal import Refused
from ..workspace import Workspace, kind_of, refusal_of
from .globs import compile_glob
from .ripgrep import Failed, Ripgrep
from .walk import Entry, Rules, entries_of, path_order, rules_at, walked_files

MAX_DEPTH = 10
_MAX_LISTED = 400
_MAX_GLOBBED = 500
_MAX_CHARS = 20_000


def kind_at(workspace: Workspace, path: str) -> tuple[str, bool]:
    """The path that was opened, and whether it is a folder. Raises Refused for what is neither a folder nor a regular file."""
    try:
        descriptor, name = workspace.open(path, getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK))
    except OSError as error:
        raise refusal_of(error, path, "look into") from error
    try:
        mode = os.fstat(descriptor).st_mode
    finally:
        os.close(descriptor)
    if not (stat.S_ISDIR(mode) or stat.S_ISREG(mode)):
        raise Refused(f"{printable(path)} is {kind_of(mode)}, neither a folder nor a file.")
    return name, stat.S_ISDIR(mode)


async def files_at(
    workspace: Workspace, ripgrep: Ripgrep | None, path: str, glob: str | None, max_bytes: int | None = None
) -> list[str]:
    """The files at and beneath `path` that are not ignored, match `glob` (relative to `path`) and have no more than
    `max_bytes`, in `path_order`. A file that `path` itself names is given as it is.

    Both engines give the same, and paths as `Workspace` does. Raises Refused.
    """
    name, is_folder = await anyio.to_thread.run_sync(kind_at, workspace, path)
    matcher = compile_glob(glob) if glob else None
    if not is_folder:
        return [name]
    folder = workspace.below_root(name)
    found = await _all_files(workspace.whole, ripgrep, folder, max_bytes)
    start = 0 if folder == "." else len(folder) + 1
    return [workspace.named(file) for file in found if matcher is None or matcher.fullmatch(file[start:])]


async def _all_files(workspace: Workspace, ripgrep: Ripgrep | None, folder: str, max_bytes: int | None) -> list[str]:
    if ripgrep is not None:
        try:
            return await _by_ripgrep(workspace, ripgrep, folder, max_bytes)
        except Failed:
            pass  # it does not run here (a sandbox without it); the walk below needs no program
    return await anyio.to_thread.run_sync(lambda: list(walked_files(workspace, folder, max_bytes)))


async def _by_ripgrep(workspace: Workspace, ripgrep: Ripgrep, folder: str, max_bytes: int | None) -> list[str]:
    ignored = await anyio.to_thread.run_sync(rules_at, workspace, folder) is None
    # From the top, so that the rules of the folders above count; but not for a folder that they would hide.
    shared = () if ignored else tuple(one.path for one in workspace.shared)
    found = await ripgrep.files(folder if ignored else ".", max_bytes, shared)
    beneath = "" if folder == "." else folder + "/"
    return sorted((file for file in found if file.startswith(beneath)), key=path_order)


async def glob(workspace: Workspace, ripgrep: Ripgrep | None, pattern: str, path: str) -> str:
    """The matching files, one a line, with a count of those beyond the bound. Raises Refused."""
    name, is_folder = await anyio.to_thread.run_sync(kind_at, workspace, path)
    if not is_folder:
        raise Refused(f"{printable(name)} is a file; path is the folder to look in.")
    found = await files_at(workspace, ripgrep, path, pattern)
    if not found:
        return f"No files match {pattern!r}."
    shown: list[str] = []
    room = _MAX_CHARS
    for file in found[:_MAX_GLOBBED]:
        line = printable(file)
        room -= len(line) + 1
        if room < 0:
            break
        shown.append(line)
    left = len(found) - len(shown)
    more = [f"[{len(shown)} of {plural(len(found), 'file')} shown; narrow it with path or pattern]"] if left else []
    return "\n".join([*shown, *more])


def list_folder(workspace: Workspace, path: str, depth: int) -> str:
    """What is in a folder, `depth` levels deep, indented, folders with `/`; ignored entries are only counted. Raises
    Refused."""
    if not 1 <= depth <= MAX_DEPTH:
        raise Refused(f"depth is a number of levels from 1 to {MAX_DEPTH}; {depth} is none.")
    name, is_folder = kind_at(workspace, path)
    if not is_folder:
        raise Refused(f"{printable(name)} is a file; use read.")
    folder = workspace.below_root(name)
    rules = rules_at(workspace.whole, folder)
    tree = _Tree(workspace.whole, depth)
    tree.add(folder, Rules() if rules is None else rules, 0)
    return tree.text(name)


class _Tree:
    def __init__(self, workspace: Workspace, depth: int) -> None:
        self._workspace = workspace
        self._depth = depth
        self._lines: list[str] = []
        self._ignored = 0
        self._cut = 0

    def add(self, folder: str, rules: Rules, level: int) -> None:
        entries, inner = entries_of(self._workspace, folder, rules)
        shown = [entry for entry in entries if entry.shared or not entry.ignored]
        self._ignored += len(entries) - len(shown)
        for entry in shown:
            if len(self._lines) >= _MAX_LISTED:
                self._cut += 1
                continue
            self._lines.append("  " * level + _entry_line(entry))
            if entry.is_folder and not entry.shared and level + 1 < self._depth:
                try:
                    self.add(entry.path, inner, level + 1)
                except Refused:
                    self._lines[-1] += " [cannot be read]"

    def text(self, name: str) -> str:
        notes = []
        if self._cut:
            notes.append(f"{self._cut:,} more in the folders shown; list a subfolder or use a smaller depth")
        if self._ignored:
            notes.append(f"{self._ignored:,} ignored by .gitignore not shown")
        lines = self._lines or [f"{printable(name)}/ is empty"]
        return "\n".join([*lines, *([f"[{'; '.join(notes)}]"] if notes else [])])


def _entry_line(entry: Entry) -> str:
    name = printable(entry.path.rpartition("/")[2])
    if entry.link_to is not None:
        return f"{name} -> {printable(entry.link_to)}"
    if entry.shared:
        return f"{name}/ [shared with the user's checkout]"
    return name + ("/" if entry.is_folder else "" if entry.is_file else " [not a regular file]")
