"""AGENTS.md and its like: which files apply, and what they say.

Global ones first, then those of the folder that the user stands in and of each one above it up to the repository's root, the
nearest first; those of other folders when something there is first touched. `@path` imports follow Goose's rules: relative,
inside the root, at most three deep.
"""

import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from goose_py.agent.ports import Emit, Resolved, Tools
from goose_py.protocol.decoding import decoded
from goose_py.protocol.events import ContextAdded, Record, Warned
from goose_py.protocol.messages import ToolCall, ToolResult
from goose_py.protocol.safe_text import find_hidden
from goose_py.protocol.tools import ToolSpec

SOURCE = "conventions"
MAX_FILE = 128 * 1024
MAX_TOTAL = 256 * 1024
MAX_DEPTH = 3
MAX_IMPORTS = 64

_IMPORT = re.compile(r"(?<![\w`@/.])@((?:[\w.-]+/)*[\w-][\w.-]*\.\w+)")
_PATH_IN_COMMAND = re.compile(r"[\w.@+-]*/[\w./@+-]*")


def conventions_in(records: Iterable[Record]) -> tuple[str, ...]:
    """What a log already holds of them."""
    return tuple(
        record.event.text for record in records if isinstance(record.event, ContextAdded) and record.event.source == SOURCE
    )


class Conventions:
    """Reads convention files of one workspace, each at most once.

    `root` is the top of the repository (or the workspace where there is none); nothing outside it is read, also through
    links, and nothing in `.git`. `ignored(path)` says that git ignores a path: such files are not imported.
    `meant(path)` is where a path lies that a tool was given. What stands in `known` word for word is not said again: a resumed
    session hands in `conventions_in` its log."""

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        ignored: Callable[[str], bool] = lambda path: False,
        known: Sequence[str] = (),
        meant: Callable[[str], Path] = Path,
    ) -> None:
        self._root = root.resolve()
        self._names = tuple(names)
        self._ignored = ignored
        self._known = tuple(known)
        self._meant = meant
        self._seen_folders: set[Path] = set()
        self._seen_files: set[Path] = set()
        self._warnings: list[str] = []

    def warnings(self) -> tuple[str, ...]:
        """What a person should know of the files that were read since this was last asked: instructions that they do not
        see."""
        found = tuple(self._warnings)
        self._warnings.clear()
        return found

    def at(self, root: Path, meant: Callable[[str], Path]) -> "Conventions":
        """A reader of another copy of the same files, for which what was read here has been read already."""
        moved = Conventions(root, self._names, self._ignored, self._known, meant)
        moved._seen_folders = {moved._root / folder.relative_to(self._root) for folder in self._seen_folders}
        moved._seen_files = {moved._root / file.relative_to(self._root) for file in self._seen_files}
        moved._warnings = self._warnings
        return moved

    def initial(self, global_files: Sequence[Path], working: Path) -> str:
        """What applies from the start: the global files that exist, then `working` up to the root."""
        texts = [(file.name, _read(file).strip()) for file in global_files]
        blocks = [f"Conventions of the user ({name}):\n{text}" for name, text in texts if text]
        return "\n\n".join(blocks + self._up_from(working))

    def nested(self, path: str) -> str:
        """What applies newly because a tool was given `path`; "" if nothing."""
        target = self._inside(self._meant(path))
        if target is None:
            return ""
        return "\n\n".join(self._up_from(target if _is_folder(target) else target.parent))

    def _up_from(self, folder: Path) -> list[str]:
        folder = folder.resolve()
        if not folder.is_relative_to(self._root):
            return []
        blocks: list[str] = []
        for place in (folder, *folder.parents):
            if place.is_relative_to(self._root) and place not in self._seen_folders and _is_folder(place):
                self._seen_folders.add(place)
                for name in self._names:
                    blocks += self._block(place / name)
        return blocks

    def _block(self, file: Path) -> list[str]:
        real = self._inside(file)
        if real is None or real in self._seen_files or not (text := _read(real, follow=False)).strip():
            return []
        self._seen_files.add(real)
        where = file.relative_to(self._root).as_posix()
        self._look_for_hidden(text, where)
        imports: list[str] = []
        self._imports(text, real.parent, imports, depth=1)
        block = "\n\n".join([f"Conventions of this project ({where}):\n{text.strip()}", *imports])[:MAX_TOTAL]
        return [] if any(block in said for said in self._known) else [block]

    def _imports(self, text: str, folder: Path, found: list[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            return
        for match in _IMPORT.finditer(text):
            real = self._inside(folder / match.group(1))
            if real is None or real in self._seen_files or len(found) >= MAX_IMPORTS:
                continue
            where = real.relative_to(self._root).as_posix()
            if self._ignored(where) or not (content := _read(real, follow=False)).strip():
                continue
            self._seen_files.add(real)
            self._look_for_hidden(content, where)
            found.append(f"Imported from {where}:\n{content.strip()}")
            self._imports(content, real.parent, found, depth + 1)

    def _look_for_hidden(self, text: str, where: str) -> None:
        self._warnings += (
            f"{where}:{one.line}: invisible character {one.shown} in column {one.column}; check what this line really says."
            for one in find_hidden(text, limit=5)
        )

    def _inside(self, path: str | Path) -> Path | None:
        try:
            real = (self._root / path).resolve()
        except (OSError, RuntimeError, ValueError):  # unreadable, a circle of links, a NUL
            return None
        inside = real.is_relative_to(self._root) and ".git" not in real.relative_to(self._root).parts
        return real if inside else None


class ConventionTools:
    """A wrapper of Tools: a call that names a path brings the conventions of its folder into the conversation, once."""

    def __init__(self, tools: Tools, conventions: Conventions, emit: Emit) -> None:
        self._tools = tools
        self._conventions = conventions
        self._emit = emit

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    def resolve(self, call: ToolCall) -> Resolved | str:
        return self._tools.resolve(call)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        result = await self._tools.call(call, on_output)
        found = [text for path in touched_paths(call) if (text := self._conventions.nested(path))]
        if found:
            self._emit(ContextAdded(source=SOURCE, text="\n\n".join(found)))
        for warning in self._conventions.warnings():
            self._emit(Warned(text=warning))
        return result


def touched_paths(call: ToolCall) -> list[str]:
    """The paths that a call names: its `path` argument, and what looks like one in its `command`."""
    path, command = call.arguments.get("path"), call.arguments.get("command")
    found = [path] if isinstance(path, str) and path else []
    return found + (_PATH_IN_COMMAND.findall(command[:10_000]) if isinstance(command, str) else [])


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        return False


def _read(file: Path, *, follow: bool = True) -> str:
    """Text of a regular file, at most MAX_FILE bytes; "" where there is none.

    Without `follow`, `file` is a real path in a workspace whose programs may swap any part of it for a link at any moment:
    what was opened must then be what stands there without links."""
    try:
        fd = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW))
    except (OSError, ValueError):
        return ""
    try:
        opened = os.fstat(fd)
        if not stat.S_ISREG(opened.st_mode) or not (follow or _stands_there(opened, file)):
            return ""
        return decoded(os.read(fd, MAX_FILE), cut=opened.st_size > MAX_FILE)
    except OSError:
        return ""
    finally:
        os.close(fd)


def _stands_there(opened: os.stat_result, file: Path) -> bool:
    try:
        return file.resolve(strict=True) == file and os.path.samestat(opened, os.lstat(file))
    except OSError:
        return False
