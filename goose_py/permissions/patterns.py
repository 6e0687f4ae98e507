"""Patterns: the one line in which a rule or a grant says what it covers. People read and edit it.

npm test              exactly this command
npm test *            this command with any further arguments
script: "for f ..."   exactly this shell text, as a JSON string (for text that cannot be read as plain commands)
tool: github__create_issue      a tool, `*` and `?` as in file names
extension: github     every tool of an extension
write: /data/out/**   writing these paths, and reading them
read: /data/**        reading these paths
read: ./conf/**       reading these paths of the repository, in every worktree of it (grants only)
"""

import json
import shlex
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Literal

from goose_py.permissions.decision import Place
from goose_py.permissions.paths import glob_pattern, in_workspace
from goose_py.permissions.wrappers import Words
from goose_py.protocol.errors import UserError

Kind = Literal["command", "script", "tool", "extension", "write", "read"]
_LABELLED: Final[tuple[Kind, ...]] = ("script", "tool", "extension", "write", "read")

Match = Literal["yes", "maybe", "no"]


@dataclass(frozen=True, slots=True)
class Pattern:
    """`words` is the command or its beginning, `further` whether more arguments may follow; for the other kinds `text` is
    what stands after the label. `str()` gives the line back."""

    kind: Kind
    text: str = ""
    words: tuple[str, ...] = ()
    further: bool = False

    def __str__(self) -> str:
        if self.kind == "command":
            return shlex.join(self.words) + (" *" if self.further else "")
        return f"{self.kind}: {json.dumps(self.text) if self.kind == 'script' else self.text}"

    def matches_command(self, words: Words) -> Match:
        """Token by token: `git log` is no beginning of `git logout`. "maybe" where the shell alone knows a word."""
        if self.kind != "command" or len(words) < len(self.words) or (len(words) > len(self.words) and not self.further):
            return "no"
        pairs = list(zip(self.words, words, strict=False))
        if any(word is not None and word != wanted for wanted, word in pairs):
            return "no"
        return "maybe" if any(word is None for _, word in pairs) else "yes"

    def matches_name(self, name: str) -> bool:
        """For tools and extensions."""
        return matches(name, self.text)

    def matches_path(self, path: str) -> bool:
        return glob_pattern(self.text).fullmatch(path) is not None


def matches(text: str, pattern: str) -> bool:
    """Whether all of `text` is what `pattern` says, in which `*` and `?` stand for anything and every other character for
    itself: the `[id]` of a file's name, too."""
    return fnmatchcase(text, pattern.replace("[", "[[]"))


def parse_pattern(line: str) -> Pattern:
    """Raises UserError with what is wrong and what would be right."""
    line = line.strip()
    for kind in _LABELLED:
        if line.startswith(f"{kind}:"):
            return _labelled(kind, line[len(kind) + 1 :].strip())
    try:
        words = shlex.split(line)
    except ValueError as error:
        raise UserError(f"The pattern {line!r} has a quotation mark that is not closed.") from error
    further = len(words) > 1 and words[-1] == "*" and line.endswith(" *")
    if further:
        words.pop()
    if not words or words[0] == "*":
        raise UserError(f"The pattern {line!r} names no program. Write a command, such as “npm test *”.")
    return Pattern("command", words=tuple(words), further=further)


def _labelled(kind: Kind, text: str) -> Pattern:
    if not text:
        raise UserError(f"The pattern “{kind}:” says nothing after the colon.")
    if kind == "script":
        try:
            text = json.loads(text)
        except ValueError as error:
            raise UserError("A “script:” pattern needs the shell text as a JSON string, in double quotes.") from error
        if not isinstance(text, str):
            raise UserError("A “script:” pattern needs the shell text as a JSON string, in double quotes.")
    if kind in ("write", "read") and not text.startswith(("/", "~/", "./", "**")):
        raise UserError(f"The path of “{kind}: {text}” must begin with /, ~/, ./ or **.")
    return Pattern(kind, text)


def path_pattern(place: Place, kind: Kind, path: str) -> Pattern:
    """The grant of one resolved path: by its place in the repository, where it is in there, since each task has a worktree of
    its own."""
    return Pattern(kind, f"./{path[len(place.workspace) + 1 :]}" if in_workspace(place, path) else path)


# How many words make up what a person would call "the command", after mistral-vibe's idea of arity: `git push` says what
# happens, `git` does not. A command that is not listed is offered with all its words.
_ARITY: Final = {
    "npm run": 3, "npm": 2, "pnpm run": 3, "pnpm": 2, "yarn run": 3, "yarn": 2, "bun run": 3, "bun": 2, "deno": 2,
    "cargo": 2, "go": 2, "git": 2, "git stash": 3, "git remote": 3, "git config": 3, "git worktree": 3,
    "git submodule": 3, "docker compose": 3, "docker": 2, "podman": 2, "kubectl": 2, "pip": 2, "pip3": 2, "uv pip": 3,
    "uv": 2, "poetry": 2, "pytest": 1, "ruff": 2, "mypy": 1, "pyright": 1, "eslint": 1, "prettier": 1, "tsc": 1,
    "vitest": 1, "jest": 1, "make": 2, "just": 2, "gradle": 2, "mvn": 2, "dotnet": 2, "bundle exec": 3, "bundle": 2,
    "rake": 2, "mix": 2, "gh pr": 3, "gh issue": 3, "gh": 2, "terraform": 2, "brew": 2, "apt-get": 2, "cmake": 1,
    "ctest": 1, "ninja": 1, "black": 1, "isort": 1, "tox": 1, "nox": 1, "pre-commit": 2, "rustc": 1, "gcc": 1,
    "javac": 1,
}  # fmt: skip


def suggest(argv: tuple[str, ...]) -> Pattern:
    """The wider pattern that a person may choose for a command that asks: its beginning where that says what it does, else all
    of it. More arguments may make it do anything, so it is never what is offered first."""
    arity = _ARITY.get(" ".join(argv[:2])) or _ARITY.get(argv[0], 0)
    beginning = argv[:arity]
    if not arity or len(argv) < arity or any(word.startswith("-") for word in beginning):
        return Pattern("command", words=argv)
    return Pattern("command", words=beginning, further=True)
