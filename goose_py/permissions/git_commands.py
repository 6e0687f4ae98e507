"""What git commands do: which only read, which discard work.

git abbreviates long options and takes programs from options, configuration and the environment. So reading commands are
listed with the options that were checked, and everything unlisted is unknown.
"""

from dataclasses import dataclass
from typing import Final

from goose_py.permissions.git_options import READING, SECOND_WORDS
from goose_py.permissions.options import Arguments, read
from goose_py.permissions.programs import Assessment, unknown

_HARMLESS_GLOBAL: Final = frozenset({"--no-pager", "--no-optional-locks", "--literal-pathspecs", "--no-replace-objects"})

_LIST_FLAGS: Final = {
    "branch": frozenset(
        {"-a", "-r", "-v", "-vv", "--all", "--remotes", "--verbose", "--show-current", "--no-color", "--color", "-i"}
    ),
    "tag": frozenset({"-n", "-n1", "-n5", "-n10", "-n99", "-l", "-i", "--color", "--no-color"}),
}
_LIST_MODE: Final = frozenset({"--list", "--contains", "--no-contains", "--merged", "--no-merged", "--points-at"})
_LIST_VALUES: Final = ("--sort=", "--format=", "--contains=", "--merged=", "--no-merged=", "--points-at=", "--abbrev=")
_READS_CONFIG: Final = frozenset({"--get", "--get-all", "--get-regexp", "--list", "-l"})
_CONFIG_FLAGS: Final = _READS_CONFIG | {
    "--show-origin", "--show-scope", "--name-only", "-z", "--null", "--global", "--system", "--local", "--worktree", "--all",
    "--bool", "--int", "--path", "--includes", "--no-includes",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Invocation:
    """A git command taken apart: folders of `-C` in order, other global options, the subcommand ("" when there is none)
    and its arguments. None stands for a word that only the shell knows."""

    folders: tuple[str, ...]
    options: tuple[str | None, ...]
    subcommand: str | None
    arguments: tuple[str | None, ...]


def take_apart(words: tuple[str | None, ...]) -> Invocation:
    """`words` begin with git itself."""
    folders: list[str] = []
    options: list[str | None] = []
    position = 1
    while position < len(words):
        word = words[position]
        if word is None or not word.startswith("-"):
            break
        position += 1
        if word == "-C" and position < len(words):
            folders.append(words[position] or "")
            position += 1
        elif word in ("-c", "--git-dir", "--work-tree", "--exec-path", "--namespace", "--config-env", "--super-prefix"):
            options.append(word)
            position += 1
        else:
            options.append(word)
    subcommand = words[position] if position < len(words) else ""
    return Invocation(tuple(folders), tuple(options), subcommand, tuple(words[position + 1 :]))


def assess_git(argv: tuple[str, ...]) -> Assessment:
    """Like `programs.assess`. Reading commands are safe only inside a full sandbox: a repository's configuration may name
    programs (pagers, textconv, fsmonitor) which then run."""
    call = take_apart(argv)
    for option in call.options:
        if option not in _HARMLESS_GLOBAL:
            return unknown(f"“{option}” can make git run another program or use another repository.")
    subcommand, arguments = call.subcommand or "", tuple(word or "" for word in call.arguments)
    if any(sign in word for word in arguments for sign in _VERIFIES):
        return unknown("To show signatures git runs another program.")
    found: Arguments | str | None = None
    if subcommand in READING:
        found = read(READING[subcommand], arguments)
    elif (second := (subcommand, arguments[0] if arguments else "")) in SECOND_WORDS:
        found = read(SECOND_WORDS[second], arguments[1:])
    if isinstance(found, str):
        return unknown(f"What “{found}” makes git {subcommand} do is not certain.")
    if found is not None or _reads(subcommand, arguments):
        return Assessment("read", reads=call.folders)
    return unknown(f"“git {subcommand}” is not one of the git commands known to change nothing.")


# What of a format makes git verify a signature (git-log, git-for-each-ref).
_VERIFIES: Final = ("%G", "%(signature")

_PRINTING: Final = frozenset(
    {
        "show", "diff", "cat-file", "grep", "blame", "annotate", "whatchanged", "diff-tree", "diff-index", "diff-files",
        "range-diff", "stash",
    }
)  # fmt: skip
_PRINTS_PATCHES: Final = frozenset({"-p", "-u", "-c", "-U", "-L", "-W", "--patch", "--cc", "--unified", "--word-diff", "--dd"})


def prints_contents(argv: tuple[str, ...]) -> bool:
    """Whether a reading git command may print what is in files, rather than names and messages."""
    call = take_apart(argv)
    if call.subcommand != "log":
        return call.subcommand in _PRINTING
    found = read(READING["log"], tuple(word or "" for word in call.arguments))
    return isinstance(found, str) or not _PRINTS_PATCHES.isdisjoint(found.given)


def _reads(subcommand: str, arguments: tuple[str, ...]) -> bool:
    """Of the subcommands that read in some forms and write in others."""
    first = arguments[0] if arguments else ""
    flags = [word for word in arguments if word.startswith("-")]
    names = [word for word in arguments if not word.startswith("-")]
    if subcommand in _LIST_FLAGS:
        return _lists(subcommand, flags, names)
    if subcommand == "config":
        asks = first in ("get", "list") or not _READS_CONFIG.isdisjoint(flags)
        return asks and all(flag in _CONFIG_FLAGS or flag.startswith(("--type=", "--default=")) for flag in flags)
    if subcommand == "remote":
        return arguments in ((), ("-v",), ("--verbose",))
    if subcommand == "symbolic-ref":
        return len(names) == 1 and all(flag in ("-q", "--quiet", "--short") for flag in flags)
    return False


def _lists(subcommand: str, flags: list[str], names: list[str]) -> bool:
    known = _LIST_FLAGS[subcommand] | _LIST_MODE
    if not all(flag in known or flag.startswith(_LIST_VALUES) for flag in flags):
        return False
    # A name without an option that makes it a pattern is a branch or tag to be made. (`branch -l NAME` made one, once.)
    return not names or not _LIST_MODE.isdisjoint(flags) or (subcommand == "tag" and "-l" in flags)
