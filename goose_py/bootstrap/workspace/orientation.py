"""What the model is told of its surroundings at the start of a session: once, as a message, never in the cached prefix."""

import platform
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from goose_py.bootstrap.host import Host
from goose_py.git.worktrees.worktree import TaskWorktree

PROGRAMS = (
    "python3", "pytest", "uv", "node", "npm", "pnpm", "yarn", "cargo", "go", "java", "mvn", "gradle", "make", "cmake", "gcc",
    "ruby", "php", "dotnet", "docker", "rg", "git", "jq",
)  # fmt: skip
LANGUAGES = {
    ".py": "Python", ".js": "JavaScript", ".jsx": "JavaScript", ".ts": "TypeScript", ".tsx": "TypeScript", ".go": "Go",
    ".rs": "Rust", ".java": "Java", ".kt": "Kotlin", ".rb": "Ruby", ".php": "PHP", ".c": "C", ".h": "C", ".cc": "C++",
    ".cpp": "C++", ".hpp": "C++", ".cs": "C#", ".swift": "Swift", ".scala": "Scala", ".sh": "Shell", ".lua": "Lua",
    ".ex": "Elixir", ".exs": "Elixir", ".hs": "Haskell", ".clj": "Clojure", ".sql": "SQL", ".zig": "Zig", ".dart": "Dart",
}  # fmt: skip
ENTRY_POINTS = frozenset(
    {
        "pyproject.toml", "setup.py", "setup.cfg", "tox.ini", "noxfile.py", "requirements.txt", "manage.py", "package.json",
        "tsconfig.json", "Cargo.toml", "go.mod", "Makefile", "justfile", "CMakeLists.txt", "pom.xml", "build.gradle",
        "build.gradle.kts", "Gemfile", "composer.json", "Dockerfile", "docker-compose.yml", "README.md", "README.rst",
    }
)  # fmt: skip
TOP_ENTRIES = 40


def describe(host: Host, worktree: TaskWorktree, files: Sequence[str], sandbox: str, seen: Path, start: str) -> str:
    """A dozen lines. `files` are the base's; `seen` is what the model calls the workspace, `start` the folder it begins in."""
    lines = [
        f"System: {platform.system()} {platform.machine()}, bash, Python {sys.version_info.major}.{sys.version_info.minor}",
        f"On PATH: {', '.join(name for name in PROGRAMS if host.on_path(name)) or 'none of the usual tools'}",
        f"Sandbox of commands: {sandbox}",
        f"Workspace: {seen} (a git worktree of {worktree.repository.root.name})",
        *([] if start == "." else [f"Folder: {start}; relative paths and commands begin there"]),
        f"Base: {_base(worktree)}",
        f"Files: {len(files)}; {_languages(files)}",
        f"Top: {_top(files)}",
    ]
    entries = [path for path in files if path.count("/") <= 1 and path.rpartition("/")[2] in ENTRY_POINTS][:12]
    if entries:
        lines.append(f"Entry points: {', '.join(entries)}")
    if filled := [path for path in worktree.submodules if path not in worktree.empty]:
        lines.append(f"Submodules (their files; no git in them): {', '.join(filled[:10])}")
    if worktree.empty:
        lines.append(f"Submodules that are empty here: {', '.join(worktree.empty[:10])}")
    return "\n".join(lines)


def _base(worktree: TaskWorktree) -> str:
    base = worktree.base
    where = f"{base.commit[:12]} of {base.branch}" if base.branch else base.commit[:12]
    if base.recorded:
        return f"{where}; the user's uncommitted changes are there as such, `git status` and `git diff` show them"
    return f"{where}, with the uncommitted changes of the user" if base.includes_changes else where


def _languages(files: Sequence[str]) -> str:
    counted = Counter(LANGUAGES[suffix] for path in files if (suffix := PurePosixPath(path).suffix) in LANGUAGES)
    return ", ".join(f"{name} {count}" for name, count in counted.most_common(4)) or "no source files of a known language"


def _top(files: Sequence[str]) -> str:
    names: dict[str, None] = {}
    for path in files:
        first, separator, _ = path.partition("/")
        names[first + separator] = None
    shown = list(names)[:TOP_ENTRIES]
    more = f" and {len(names) - TOP_ENTRIES} more" if len(names) > TOP_ENTRIES else ""
    return " ".join(shown) + more
