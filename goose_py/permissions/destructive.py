"""Commands that discard work: gated in every mode, but for what is recorded and a sandbox keeps from reaching further.

Judged on words that may be unknown (None), and then the worst is assumed. What a program does inside itself (a script that
deletes) is not seen here; the record after each call and the sandbox are there for that.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from goose_py.permissions.git_commands import take_apart
from goose_py.permissions.wrappers import Words, program_name

_Argument = str | None


@dataclass(frozen=True, slots=True)
class Destruction:
    """`reason` says in one sentence what would be lost. `files` are the words that name what is deleted or emptied, None
    where they cannot be told; the command is harmless after all when every one of them is the agent's own. `recordable`: what
    is lost are files."""

    reason: str
    files: tuple[str, ...] | None = None
    recordable: bool = True


def destruction(words: Words, exists: Callable[[str], bool]) -> Destruction | None:
    """What the command would discard, None where it is not known to discard anything. `exists` tells whether a word names
    something that is there; it only decides what `git checkout NAME` means."""
    if not words or words[0] is None:
        return None
    name = program_name(words[0])
    arguments = words[1:]
    if name in ("rm", "unlink", "shred", "srm", "trash", "trash-put"):
        return _deletes(name, arguments)
    if name == "truncate":
        return Destruction("It cuts files off.", _named(arguments))
    if name == "dd":
        return _dd(arguments)
    if name in ("find", "fd", "fdfind"):
        return Destruction("It deletes every file that is found.") if "-delete" in arguments else None
    if name == "rsync" and any(word is not None and word.startswith("--del") for word in arguments):
        return Destruction("It deletes what is not in the source.")
    if name.startswith("mkfs") or name in ("wipefs", "blkdiscard"):
        return Destruction("It erases a file system.", recordable=False)
    return _git(words, exists) if name == "git" else None


def _named(arguments: tuple[_Argument, ...]) -> tuple[str, ...] | None:
    names: list[str] = []
    only_names = False
    for word in arguments:
        if word is None:
            return None
        if only_names or not word.startswith("-"):
            if not _UNCERTAIN.isdisjoint(word):
                return None
            names.append(word)
        only_names = only_names or word == "--"
    return tuple(names)


_UNCERTAIN: Final = frozenset("*?[]{}$`~")


def _deletes(name: str, arguments: tuple[_Argument, ...]) -> Destruction | None:
    files = _named(arguments)
    if files == ():
        return None
    return Destruction("It deletes files that the agent did not create.", None if name == "shred" else files)


def _dd(arguments: tuple[_Argument, ...]) -> Destruction | None:
    targets = tuple(word[3:] for word in arguments if word is not None and word.startswith("of="))
    return Destruction("It overwrites its target.", targets) if targets else None


def _git(words: Words, exists: Callable[[str], bool]) -> Destruction | None:
    call = take_apart(words)
    if call.subcommand is None:
        return Destruction("Which git command runs is known to the shell only.")
    checker = _GIT.get(call.subcommand)
    if checker is None:
        return None
    reason = checker(_Options(call.arguments), exists)
    return Destruction(reason) if reason else None


class _Options:
    """The arguments of a git command, with what is asked of them. Unknown words count as whatever is asked for."""

    def __init__(self, arguments: tuple[_Argument, ...]) -> None:
        self.all = arguments
        self.first = arguments[0] if arguments else ""
        self.uncertain = None in arguments
        split = arguments.index("--") if "--" in arguments else len(arguments)
        self.after_dashes = arguments[split + 1 :] if split < len(arguments) else None
        self._before = tuple(word for word in arguments[:split] if word is not None)
        self.names = tuple(word for word in self._before if not word.startswith("-"))

    def long(self, *names: str) -> bool:
        """Whether one of the long options is given, abbreviated as git allows (two letters at least)."""
        for word in self._before:
            given = word[2:].split("=", 1)[0]
            if word.startswith("--") and len(given) >= 2 and any(name.startswith(given) for name in names):
                return True
        return False

    def short(self, letters: str) -> bool:
        return any(
            word.startswith("-") and not word.startswith("--") and not set(letters).isdisjoint(word[1:])
            for word in self._before
        )


_Reason = str | None


def _reset(options: _Options, _: Callable[[str], bool]) -> _Reason:
    if options.uncertain or options.long("hard", "merge", "keep"):
        return "It resets files and discards uncommitted changes."
    return None


def _checkout(options: _Options, exists: Callable[[str], bool]) -> _Reason:
    discards = "It overwrites files and discards uncommitted changes."
    if options.long("force", "patch", "ours", "theirs", "merge", "pathspec-from-file") or options.short("fpmB"):
        return discards
    if options.short("b") or options.long("orphan"):
        return None
    paths = options.after_dashes or len(options.names) > 1 or any(name == "." or exists(name) for name in options.names)
    return discards if paths or options.uncertain else None


def _switch(options: _Options, _: Callable[[str], bool]) -> _Reason:
    if options.uncertain or options.long("force", "discard-changes", "merge", "force-create") or options.short("fmC"):
        return "It switches branches and discards uncommitted changes."
    return None


def _restore(options: _Options, _: Callable[[str], bool]) -> _Reason:
    staged_only = (options.long("staged") or options.short("S")) and not (options.long("worktree") or options.short("W"))
    return None if staged_only and not options.uncertain else "It restores files and discards uncommitted changes."


def _clean(options: _Options, _: Callable[[str], bool]) -> _Reason:
    dry = (options.long("dry-run") or options.short("n")) and not options.uncertain
    return None if dry else "It deletes untracked files, which git does not keep."


def _stash(options: _Options, _: Callable[[str], bool]) -> _Reason:
    if options.first in ("list", "show", "apply", "create", "branch"):
        return None
    if options.first in ("drop", "clear"):
        return "It deletes stashed changes."
    return "It moves uncommitted changes in or out of the stash, which all worktrees share."


def _branch(options: _Options, _: Callable[[str], bool]) -> _Reason:
    if options.short("DdMCf") or options.long("delete", "force"):
        return "It deletes or moves a branch, whose commits may be in no other."
    return None


def _tag(options: _Options, _: Callable[[str], bool]) -> _Reason:
    return "It deletes or moves a tag." if options.short("df") or options.long("delete", "force") else None


def _push(options: _Options, _: Callable[[str], bool]) -> _Reason:
    forced = options.short("fd") or options.long("force", "force-with-lease", "delete", "mirror", "prune")
    forced = forced or any(name.startswith(("+", ":")) for name in options.names)
    return "It overwrites or deletes branches of the remote repository." if forced else None


def _remove(options: _Options, _: Callable[[str], bool]) -> _Reason:
    if (options.long("cached") or options.long("dry-run") or options.short("n")) and not options.uncertain:
        return None
    return "It deletes files that the agent did not create."


def _abort(options: _Options, _: Callable[[str], bool]) -> _Reason:
    return "It throws away what was resolved so far." if options.long("abort", "quit", "skip") else None


def _worktree(options: _Options, _: Callable[[str], bool]) -> _Reason:
    return "It removes a worktree with what is in it." if options.first in ("remove", "prune", None) else None


def _reflog(options: _Options, _: Callable[[str], bool]) -> _Reason:
    return "It deletes the record by which lost commits are found." if options.first in ("expire", "delete", "drop") else None


def _gc(options: _Options, _: Callable[[str], bool]) -> _Reason:
    return "It deletes objects that nothing refers to, lost work among them." if options.long("prune", "aggressive") else None


def _always(reason: str) -> Callable[[_Options, Callable[[str], bool]], _Reason]:
    return lambda options, exists: reason


_GIT: Final[dict[str, Callable[[_Options, Callable[[str], bool]], _Reason]]] = {
    "reset": _reset,
    "checkout": _checkout,
    "switch": _switch,
    "restore": _restore,
    "clean": _clean,
    "stash": _stash,
    "branch": _branch,
    "tag": _tag,
    "push": _push,
    "rm": _remove,
    "merge": _abort,
    "rebase": _abort,
    "am": _abort,
    "cherry-pick": _abort,
    "revert": _abort,
    "worktree": _worktree,
    "reflog": _reflog,
    "gc": _gc,
    "prune": _always("It deletes objects that nothing refers to, lost work among them."),
    "filter-branch": _always("It rewrites the history of branches."),
    "filter-repo": _always("It rewrites the history of branches."),
    "update-ref": _always("It moves or deletes refs without a check."),
    "checkout-index": _always("It overwrites files and discards uncommitted changes."),
    "read-tree": _always("It overwrites the index and may overwrite files."),
    "replace": _always("It replaces objects by others."),
}
