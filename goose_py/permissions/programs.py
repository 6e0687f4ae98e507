"""What well-known programs do with given arguments: only read, write some paths, or something nobody here vouches for.

Every table lists what was checked in the program's own documentation. A flag or a form that is not listed makes the
command unknown, which means that a person is asked; so the tables may be short, and must not be wrong.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

Effect = Literal["read", "write", "unknown"]


@dataclass(frozen=True, slots=True)
class Assessment:
    """`read`: changes nothing. `write`: changes nothing but the paths in `writes`. `unknown`: `reason` says what could
    happen. `reads` are the words that may name files to be read, as they stand. `moves_to` is a folder that later commands
    of the same script may run in (`cd`)."""

    effect: Effect
    reason: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    moves_to: str | None = None


def unknown(reason: str) -> Assessment:
    return Assessment("unknown", reason)


def assess(argv: tuple[str, ...]) -> Assessment:
    """What `argv` does, taking `argv[0]` (a bare name) for the program of that name. `argv` is not empty."""
    name = argv[0]
    checker = _CHECKERS.get(name)
    if checker is not None:
        return checker(argv)
    if name in _HARMLESS:
        return Assessment("read", reads=_operands(argv[1:]))
    if name in _REFUSED_FLAGS:
        return _without_flags(argv, *_REFUSED_FLAGS[name])
    if argv[1:] in _VERSION_QUESTIONS and name in _TELLS_ITS_VERSION:
        return Assessment("read")
    return unknown(f"“{name}” is not one of the commands known to change nothing.")


# Programs of which no flag writes a file, runs a program or talks to the network (manuals of coreutils, grep, util-linux).
_HARMLESS: Final = frozenset(
    {
        "cat", "ls", "head", "tail", "wc", "echo", "pwd", "true", "false", ":", "basename", "dirname", "realpath",
        "readlink", "stat", "du", "df", "cut", "tr", "nl", "tac", "rev", "fold", "paste", "join", "comm", "cmp", "md5sum",
        "sha1sum", "sha224sum", "sha256sum", "sha384sum", "sha512sum", "b2sum", "cksum", "sum", "od", "hexdump", "id",
        "whoami", "uname", "groups", "logname", "nproc", "which", "type", "sleep", "seq", "expr", "grep", "egrep", "fgrep",
        "column", "expand", "unexpand", "fmt", "base64", "base32", "numfmt", "factor", "uptime", "free", "lscpu", "arch",
        "tty", "getconf", "tsort", "ps", "test", "[", "strings", "jq", "pathchk", "dir", "vdir", "pr", "cal", "pgrep",
    }
)  # fmt: skip


def takes_any_words(name: str) -> bool:
    """Whether no word at all could make the program do more than read, so that even a file named like an option is fine."""
    return name in _HARMLESS


# program: (short flags, long flags) that make it write or run something. Long ones are recognised in every abbreviation.
_REFUSED_FLAGS: Final[dict[str, tuple[str, tuple[str, ...]]]] = {
    "sort": ("oT", ("output", "compress-program", "temporary-directory")),
    "shuf": ("o", ("output",)),
    "diff": ("l", ("paginate",)),
    "file": ("Cz", ("compile", "uncompress", "uncompress-noreport")),
    "tree": ("oR", ("output",)),
    "rg": ("z", ("pre", "hostname-bin", "search-zip")),
}

_TELLS_ITS_VERSION: Final = frozenset({"python", "python3", "node", "git", "gcc", "g++", "cc", "clang", "make", "bash", "rg"})
_VERSION_QUESTIONS: Final = (("--version",), ("-V",))

# rg has options whose long names begin like a refused one: `--pre-glob` only chooses files for `--pre`.
_EXACT_LONG_FLAGS: Final = {"rg"}


def _without_flags(argv: tuple[str, ...], short: str, long: tuple[str, ...]) -> Assessment:
    name = argv[0]
    for word in argv[1:]:
        if word == "--":
            break
        flag = word[2:].split("=", 1)[0] if word.startswith("--") else ""
        exact = name in _EXACT_LONG_FLAGS
        if flag and any(refused == flag if exact else refused.startswith(flag) for refused in long):
            return unknown(f"“{word}” makes {name} write a file or run a program.")
        # A letter of a value that is joined to its flag may be taken for a flag: that asks once too often.
        if not flag and word.startswith("-") and any(letter in short for letter in word[1:]):
            return unknown(f"“{word}” makes {name} write a file or run a program.")
    return Assessment("read", reads=_operands(argv[1:]))


def _operands(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words that could name files: everything that is no flag, and the values of `--flag=value`."""
    found: list[str] = []
    for position, word in enumerate(words):
        if word == "--":
            return (*found, *words[position + 1 :])
        if word.startswith("--") and "=" in word:
            found.append(word.split("=", 1)[1])
        elif not word.startswith("-"):
            found.append(word)
        elif len(word) > 2 and word[1] != "-" and "/" in word:
            found.append(word[word.index("/") :])
    return tuple(found)


# find(1) of GNU findutils 4.10 and of the BSDs: tests, operators and actions without an effect but output.
_FIND_WORDS: Final = frozenset(
    {
        "name", "iname", "path", "ipath", "wholename", "iwholename", "regex", "iregex", "regextype", "type", "xtype", "size",
        "maxdepth", "mindepth", "depth", "d", "mtime", "mmin", "atime", "amin", "ctime", "cmin", "newer", "anewer", "cnewer",
        "empty", "perm", "user", "group", "uid", "gid", "nouser", "nogroup", "readable", "writable", "executable", "links",
        "inum", "samefile", "lname", "ilname", "fstype", "used", "not", "a", "and", "o", "or", "print", "print0", "printf",
        "ls", "prune", "quit", "xdev", "mount", "x", "follow", "daystart", "true", "false", "noleaf", "ignore_readdir_race",
        "noignore_readdir_race", "P", "L", "H", "E", "s",
    }
)  # fmt: skip
_FIND_NEWER: Final = re.compile(r"newer[aBcm][aBcmt]")
_FIND_LEVEL: Final = re.compile(r"O[0-3]")


def _find(argv: tuple[str, ...]) -> Assessment:
    for word in argv[1:]:
        flag = word[1:]
        harmless = flag in _FIND_WORDS or _FIND_NEWER.fullmatch(flag) or _FIND_LEVEL.fullmatch(flag)
        # Numbers (`-mtime -3`) are values; whatever else begins with a dash could be an action.
        if word.startswith("-") and not harmless and not re.fullmatch(r"-\d+[a-zA-Z]?", word):
            return unknown(f"“{word}” makes find change something or run a program.")
    return Assessment("read", reads=tuple(word for word in argv[1:] if not word.startswith("-")))


_SED_PRINT: Final = re.compile(r"\d+(,(\d+|\$))?p")


def _sed(argv: tuple[str, ...]) -> Assessment:
    if len(argv) >= 3 and argv[1] == "-n" and _SED_PRINT.fullmatch(argv[2]):
        files = argv[3:]
        if not any(word.startswith("-") for word in files):
            return Assessment("read", reads=files)
    return unknown("sed can write files and run programs; only “sed -n 'N,Mp' FILE” is known to print lines.")


def _uniq(argv: tuple[str, ...]) -> Assessment:
    files = [word for word in argv[1:] if not word.startswith(("-", "+"))]
    if len(files) > 1:
        return unknown("The second file of uniq is written.")
    return Assessment("read", reads=tuple(files))


def _xxd(argv: tuple[str, ...]) -> Assessment:
    # Values of flags stand apart (`-l 32`), so more than one word may hide an output file.
    if any(word.startswith("-r") for word in argv[1:]) or sum(not word.startswith("-") for word in argv[1:]) > 1:
        return unknown("xxd may write its second file.")
    return Assessment("read", reads=_operands(argv[1:]))


def _hostname(argv: tuple[str, ...]) -> Assessment:
    return Assessment("read") if len(argv) == 1 else unknown("hostname can change the name of the machine.")


_SETS_CLOCK: Final = re.compile(r"\d{8,12}(\.\d\d)?")


def _date(argv: tuple[str, ...]) -> Assessment:
    if any(_SETS_CLOCK.fullmatch(word) for word in argv[1:]):
        return unknown("date can set the clock.")
    return _without_flags(argv, "s", ("set",))


def _printf(argv: tuple[str, ...]) -> Assessment:
    # `printf -v PATH ...` would choose where the next command of the same script is found.
    if argv[1:2] and argv[1].startswith("-"):
        return unknown("printf can set a variable of the shell.")
    return Assessment("read")


def _cd(argv: tuple[str, ...]) -> Assessment:
    if len(argv) == 1:
        return Assessment("read", moves_to="~")
    if len(argv) > 2 or argv[1].startswith("-") or argv[1] == "":
        return unknown("Where this cd leads is not certain.")
    return Assessment("read", moves_to=argv[1])


def _writer(flags: frozenset[str], *, copies: bool = False) -> Callable[[tuple[str, ...]], Assessment]:
    """For programs that write the files they name (the last one only where it `copies`), with `flags` known not to change
    what that means."""

    def check(argv: tuple[str, ...]) -> Assessment:
        files: list[str] = []
        for position, word in enumerate(argv[1:], 1):
            if word == "--":
                files += argv[position + 1 :]
                break
            if word.startswith("-") and word != "-":
                if word not in flags:
                    return unknown(f"What “{word}” makes {argv[0]} do is not certain.")
            else:
                files.append(word)
        if not files:
            return Assessment("read")
        if copies:
            return Assessment("write", reads=tuple(files[:-1]), writes=tuple(files[-1:]))
        return Assessment("write", writes=tuple(files))

    return check


_CHECKERS: Final[dict[str, Callable[[tuple[str, ...]], Assessment]]] = {
    "find": _find,
    "sed": _sed,
    "uniq": _uniq,
    "xxd": _xxd,
    "hostname": _hostname,
    "date": _date,
    "printf": _printf,
    "cd": _cd,
    "mkdir": _writer(frozenset({"-p", "-v", "-pv", "-vp", "--parents", "--verbose"})),
    "rmdir": _writer(frozenset({"-p", "-v", "--parents", "--verbose"})),
    "touch": _writer(frozenset({"-c", "-a", "-m"})),
    "tee": _writer(frozenset({"-a", "--append", "-i"})),
    "cp": _writer(frozenset({"-r", "-R", "-a", "-p", "-v", "-f", "-n", "-rf", "-T", "-u", "--recursive"}), copies=True),
    "mv": _writer(frozenset({"-v", "-n", "-f", "-T", "-u"})),
    "rm": _writer(frozenset({"-f", "-r", "-R", "-rf", "-fr", "-v", "-d", "-i", "--recursive", "--force"})),
    "unlink": _writer(frozenset()),
}
