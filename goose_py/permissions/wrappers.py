"""Programs that run other programs, and which commands may hide in their arguments.

Used to find what is forbidden or destructive, so it may find too much and must not find too little: after a wrapper's
name, every suffix of its arguments is taken for a command, whatever its options are and however many words they take.
"""

import re
from collections.abc import Iterator
from typing import Final

Words = tuple[str | None, ...]

SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "ksh", "mksh", "ash", "fish", "rbash", "csh", "tcsh"})
WRAPPERS: Final = SHELLS | frozenset(
    {
        "env", "sudo", "doas", "su", "runuser", "timeout", "nice", "ionice", "nohup", "setsid", "stdbuf", "time", "command",
        "builtin", "exec", "eval", "xargs", "parallel", "watch", "strace", "ltrace", "gdb", "flock", "script", "chroot",
        "unshare", "nsenter", "taskset", "chrt", "setarch", "busybox", "toybox", "find", "fd", "fdfind", "trap", "coproc",
        "entr", "caffeinate", "unbuffer", "expect", "proot", "fakeroot", "firejail", "bwrap", "systemd-run", "at", "batch",
        "rlwrap", "numactl", "prlimit", "setpriv", "capsh", "dbus-run-session", "xvfb-run", "catchsegv", "perf", "valgrind",
        "uv", "uvx", "poetry", "pipenv", "npx", "bunx", "pnpx", "conda", "nix-shell", "direnv", "dotenv", "ssh", "docker",
        "podman", "kubectl", "not", "chronic", "ifne", "sem", "tmux", "screen", "source", ".",
    }
)  # fmt: skip
_GIT_RUNS: Final = frozenset({"rebase", "bisect", "filter-branch", "submodule", "difftool", "mergetool"})

_TAKES_SCRIPT: Final = SHELLS | frozenset(
    {"eval", "su", "runuser", "env", "watch", "script", "trap", "parallel", "flock", "ssh", "git", "sem", "entr", "tmux"}
)


_READS_PROGRAM: Final = re.compile(r"(python|node|ruby|perl|php|lua|deno|bun|psql|mysql|sqlite3|osascript|patch|tclsh|Rscript)")


def program_name(word: str) -> str:
    """`/usr/bin/git` is `git`."""
    return word.rsplit("/", 1)[-1]


def runs_input(word: str) -> bool:
    """Whether the program takes its standard input for commands or for a program."""
    return _READS_PROGRAM.match(program_name(word)) is not None or program_name(word) in WRAPPERS


def is_wrapper(words: Words) -> bool:
    if not words or words[0] is None:
        return False
    name = program_name(words[0])
    return name in WRAPPERS or (name == "git" and not _GIT_RUNS.isdisjoint(words[1:]))


def candidates(words: Words) -> Iterator[Words]:
    """`words` itself, and every command that it might run if it is a wrapper's, outermost first."""
    yield words
    if is_wrapper(words):
        # What these run gets further arguments that nobody can see.
        unseen: Words = (None,) if program_name(words[0] or "") in ("xargs", "parallel") else ()
        for position in range(1, len(words)):
            yield words[position:] + unseen


def hidden_scripts(words: Words) -> Iterator[str]:
    """The arguments of a wrapper that may be shell text of their own (`sh -c TEXT`, `eval TEXT`)."""
    if not is_wrapper(words) or program_name(words[0] or "") not in _TAKES_SCRIPT:
        return
    known = [word for word in words[1:] if word is not None]
    if program_name(words[0] or "") in ("eval", "ssh"):
        yield " ".join(known)
    for word in known:
        # A single plain word is found as a command already.
        if not _SHELL_SIGNS.isdisjoint(word):
            yield word


_SHELL_SIGNS: Final = frozenset(" \t\n;|&<>()$`\"'")


def runs_unknown(words: Words) -> bool:
    """Whether only the shell knows which program runs (`$CMD x`), here or behind a wrapper."""
    if not words or words[0] is None:
        return bool(words)
    return is_wrapper(words) and None in words[1:] and program_name(words[0]) != "find"
