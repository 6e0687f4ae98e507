"""What well-known programs do with given arguments: only read, write some paths, or something nobody here vouches for.

Every table lists what was checked in the program's own documentation (options are in `program_options`). A word or a form that
is not listed makes the command unknown, which means that a person is asked; so the tables may be short, and must not be wrong.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

from goose_py.permissions.options import Arguments, read
from goose_py.permissions.program_options import ANY_WORDS, NO_OPTION_WRITES, OPTIONS

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
    name, words = argv[0], argv[1:]
    checker = _CHECKERS.get(name)
    if checker is not None:
        return checker(argv)
    if name in ANY_WORDS:
        return Assessment("read", reads=words)
    if name in OPTIONS:
        return _with_options(name, words)
    if words in _VERSION_QUESTIONS and name in _TELLS_ITS_VERSION:
        return Assessment("read")
    return unknown(f"“{name}” is not one of the commands known to change nothing.")


def takes_patterns(argv: tuple[str, ...]) -> bool:
    """Whether it stays what it is with any names of files in the place of the patterns in it: where no word at all could make
    the program do more than read, or no file that is found could look like an option."""
    name, words = argv[0], argv[1:]
    if name in NO_OPTION_WRITES:
        return True
    return name in OPTIONS and name not in _CHECKERS and not any(_may_be_option(word) for word in words)


def _may_be_option(word: str) -> bool:
    return word.startswith(("*", "?")) or (word.startswith("-") and not {"*", "?"}.isdisjoint(word))


_TELLS_ITS_VERSION: Final = frozenset({"python", "python3", "node", "git", "gcc", "g++", "cc", "clang", "make", "bash"})
_VERSION_QUESTIONS: Final = (("--version",), ("-V",))


def _with_options(name: str, words: tuple[str, ...], operands: int | None = None) -> Assessment:
    """`operands`: how many files it only reads."""
    if words in (("--version",), ("--help",)):
        return Assessment("read")
    found = read(OPTIONS[name], words)
    if isinstance(found, str):
        return unknown(f"What “{found}” makes {name} do is not certain.")
    if operands is not None and len(found.operands) > operands:
        return unknown(f"“{found.operands[operands]}” may be a file that {name} writes.")
    return Assessment("read", reads=(*found.values, *found.operands))


# find(1) of GNU findutils 4.10 and of the BSDs: options, tests, operators and actions without an effect but output, by how
# many words they take.
_FIND_WORDS: Final = {
    **dict.fromkeys(
        (
            "depth", "d", "empty", "nouser", "nogroup", "readable", "writable", "executable", "not", "a", "and", "o", "or",
            "print", "print0", "ls", "prune", "quit", "xdev", "mount", "x", "follow", "daystart", "true", "false", "noleaf",
            "ignore_readdir_race", "noignore_readdir_race",
        ),
        0,
    ),
    **dict.fromkeys(
        (
            "name", "iname", "path", "ipath", "wholename", "iwholename", "regex", "iregex", "regextype", "type", "xtype",
            "size", "maxdepth", "mindepth", "mtime", "mmin", "atime", "amin", "ctime", "cmin", "newer", "anewer", "cnewer",
            "perm", "user", "group", "uid", "gid", "links", "inum", "samefile", "lname", "ilname", "fstype", "used", "printf",
        ),
        1,
    ),
}  # fmt: skip
_FIND_NEWER: Final = re.compile(r"newer[aBcm][aBcmt]")
_FIND_FIRST: Final = re.compile(r"-[PLHEs]|-O[0-3]")
_FIND_OPERATORS: Final = frozenset({"(", ")", "!", ","})


def _find(argv: tuple[str, ...]) -> Assessment:
    """Options, then folders, then an expression in which each test takes its own words, whatever these look like."""
    reads: list[str] = []
    position = 1
    while position < len(argv) and _FIND_FIRST.fullmatch(argv[position]):
        position += 1
    while position < len(argv) and not argv[position].startswith("-") and argv[position] not in _FIND_OPERATORS:
        reads.append(argv[position])
        position += 1
    while position < len(argv):
        word = argv[position]
        position += 1
        if word in _FIND_OPERATORS:
            continue
        takes = 1 if _FIND_NEWER.fullmatch(word[1:]) else _FIND_WORDS.get(word[1:])
        if not word.startswith("-") or takes is None:
            return unknown(f"“{word}” may make find change something or run a program.")
        reads += argv[position : position + takes]
        position += takes
    return Assessment("read", reads=tuple(reads))


_SED_PRINT: Final = re.compile(r"\d+(,(\d+|\$))?p")


def _sed(argv: tuple[str, ...]) -> Assessment:
    if len(argv) >= 3 and argv[1] == "-n" and _SED_PRINT.fullmatch(argv[2]):
        files = argv[3:]
        if not any(word.startswith("-") for word in files):
            return Assessment("read", reads=files)
    return unknown("sed can write files and run programs; only “sed -n 'N,Mp' FILE” is known to print lines.")


def _uniq(argv: tuple[str, ...]) -> Assessment:
    return _with_options("uniq", argv[1:], operands=1)


# xxd reads its options itself: before the first file only, and by their beginnings (`-autoskip`, `-revert`).
_XXD_FLAGS: Final = frozenset({"-a", "-b", "-e", "-E", "-i", "-p", "-ps", "-u", "-d"})
_XXD_VALUES: Final = frozenset({"-c", "-g", "-l", "-o", "-s", "-n"})


def _xxd(argv: tuple[str, ...]) -> Assessment:
    words = list(argv[1:])
    while words and words[0].startswith("-"):
        word = words.pop(0)
        if word in _XXD_VALUES and words and re.fullmatch(r"-?\w+", words[0]):
            words.pop(0)
        elif word not in _XXD_FLAGS:
            return unknown(f"What “{word}” makes xxd do is not certain.")
    if len(words) > 1:
        return unknown("xxd may write its second file.")
    return Assessment("read", reads=tuple(words))


def _strings(argv: tuple[str, ...]) -> Assessment:
    if any(word.startswith("@") for word in argv[1:]):
        return unknown("strings takes more options from a file.")
    return _with_options("strings", argv[1:])


def _hostname(argv: tuple[str, ...]) -> Assessment:
    return Assessment("read") if len(argv) == 1 else unknown("hostname can change the name of the machine.")


def _date(argv: tuple[str, ...]) -> Assessment:
    found = read(OPTIONS["date"], argv[1:])
    if isinstance(found, Arguments) and not all(word.startswith("+") for word in found.operands):
        return unknown("date can set the clock.")
    return _with_options("date", argv[1:])


# Bash sets a variable for `%n`; the others only print. (Bash manual, printf; printf(1).)
_CONVERSION: Final = re.compile(r"%(?:%|[-+ #0']*(?:\*|\d+)?(?:\.(?:\*|\d+)?)?(?:[hlLjzt]*[diouxXfFeEgGaAcsbqQ]|\([^)]*\)T))")


def _printf(argv: tuple[str, ...]) -> Assessment:
    # `printf -v PATH ...` would choose where the next command of the same script is found.
    if argv[1:2] and (argv[1].startswith("-") or "%" in _CONVERSION.sub("", argv[1])):
        return unknown("printf can set a variable of the shell.")
    return Assessment("read", reads=argv[1:])


# What Bash and test(1) do to a file or a text. Left out are those that look at variables: Bash evaluates what stands in the
# brackets of `-v 'x[...]'`.
_TEST_ONE: Final = frozenset(f"-{letter}" for letter in "abcdefghknprstuwxzLSGON")
_TEST_TEXTS: Final = frozenset({"=", "==", "!=", "<", ">", "-nt", "-ot", "-ef"})
_TEST_NUMBERS: Final = frozenset({"-eq", "-ne", "-lt", "-le", "-gt", "-ge"})


def _test(argv: tuple[str, ...]) -> Assessment:
    words = argv[1:]
    if argv[0] == "[":
        if words[-1:] != ("]",):
            return unknown("The closing bracket is missing.")
        words = words[:-1]
    if words[:1] == ("!",):
        words = words[1:]
    match words:
        case () | (_,):
            return Assessment("read")
        case (operator, operand) if operator in _TEST_ONE:
            return Assessment("read", reads=(operand,))
        case (left, operator, right) if operator in _TEST_TEXTS:
            return Assessment("read", reads=(left, right))
        case (left, operator, right) if operator in _TEST_NUMBERS and all(_INTEGER.fullmatch(word) for word in (left, right)):
            return Assessment("read")
    return unknown("Only plain comparisons of test are known to change nothing.")


_INTEGER: Final = re.compile(r"-?\d+")


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
    "strings": _strings,
    "test": _test,
    "[": _test,
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
