"""AGENTS.md and its like: which files apply, and what they say.

Global ones first, then from the repository's root down to the working folder, the nearest last; those of deeper folders when a
file there is first touched. `@path` imports follow Goose's rules: relative, inside the root, at most three deep.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath

from goose_py.agent.ports import Emit, Tools
from goose_py.protocol.events import ContextAdded
from goose_py.protocol.messages import ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec

MAX_FILE = 128 * 1024
MAX_TOTAL = 256 * 1024
MAX_DEPTH = 3
MAX_IMPORTS = 64

_IMPORT = re.compile(r"(?<![\w`@])@((?:[\w.-]+/)*[\w-][\w.-]*\.\w+)")


class Conventions:
    """Reads convention files of one workspace, each at most once.

    `root` is the top of the repository (or the workspace where there is none); nothing outside it is read, also through links.
    `ignored(path)` says that git ignores a path: such files are not imported."""

    def __init__(self, root: Path, names: Sequence[str], ignored: Callable[[str], bool] = lambda path: False) -> None:
        self._root = root.resolve()
        self._names = tuple(names)
        self._ignored = ignored
        self._seen_folders: set[Path] = set()
        self._seen_files: set[Path] = set()

    def initial(self, global_files: Sequence[Path], working: Path) -> str:
        """What applies from the start: the global files that exist, then the root down to `working`."""
        blocks = [block for file in global_files if (block := self._global(file))]
        blocks += self._down_to(working)
        return "\n\n".join(blocks)

    def nested(self, path: str) -> str:
        """What applies newly because `path` (relative to the root, or absolute inside it) was touched; "" if nothing."""
        target = self._inside(self._root / path)
        if target is None:
            return ""
        return "\n\n".join(self._down_to(target if target.is_dir() else target.parent))

    def _down_to(self, folder: Path) -> list[str]:
        folder = folder.resolve()
        if not folder.is_relative_to(self._root):
            return []
        chain = [folder, *folder.parents]
        chain = chain[: chain.index(self._root) + 1][::-1]
        blocks: list[str] = []
        for place in chain:
            if place in self._seen_folders:
                continue
            self._seen_folders.add(place)
            for name in self._names:
                blocks += self._block(place / name)
        return blocks

    def _global(self, file: Path) -> str:
        text = _read(file)
        return f"Conventions of the user ({file.name}):\n{text.strip()}" if text else ""

    def _block(self, file: Path) -> list[str]:
        real = self._inside(file)
        if real is None or real in self._seen_files:
            return []
        text = _read(real)
        if not text:
            return []
        self._seen_files.add(real)
        where = file.relative_to(self._root).as_posix()
        imports: list[str] = []
        self._imports(text, real.parent, imports, depth=1)
        return ["\n\n".join([f"Conventions of this project ({where}):\n{text.strip()}", *imports])[:MAX_TOTAL]]

    def _imports(self, text: str, folder: Path, found: list[str], depth: int) -> None:
        if depth > MAX_DEPTH:
            return
        for match in _IMPORT.finditer(text):
            real = self._inside(folder / PurePosixPath(match.group(1)))
            if real is None or real in self._seen_files or len(found) >= MAX_IMPORTS or not real.is_file():
                continue
            where = real.relative_to(self._root).as_posix()
            if self._ignored(where):
                continue
            content = _read(real)
            if not content:
                continue
            self._seen_files.add(real)
            found.append(f"Imported from {where}:\n{content.strip()}")
            self._imports(content, real.parent, found, depth + 1)

    def _inside(self, path: Path) -> Path | None:
        try:
            real = path.resolve()
        except (OSError, RuntimeError):
            return None
        return real if real.is_relative_to(self._root) and ".git" not in real.relative_to(self._root).parts else None


class ConventionTools:
    """A wrapper of Tools: a call that names a path brings the conventions of its folder into the conversation, once."""

    def __init__(self, tools: Tools, conventions: Conventions, emit: Emit) -> None:
        self._tools = tools
        self._conventions = conventions
        self._emit = emit

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        result = await self._tools.call(call, on_output)
        path = call.arguments.get("path")
        if isinstance(path, str) and path and (text := self._conventions.nested(path)):
            self._emit(ContextAdded(source="conventions", text=text))
        return result


def _read(file: Path) -> str:
    """Text of a regular file, at most MAX_FILE bytes; "" where there is none. Undecodable bytes become U+FFFD: it is prose."""
    try:
        if not file.is_file():
            return ""
        with file.open("rb") as stream:
            return stream.read(MAX_FILE).decode("utf-8", "replace")
    except OSError:
        return ""
