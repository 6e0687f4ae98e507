"""What the end of a check means where it did not pass: that it cannot run here, or that it fails as it did before. Pure."""

import re
from typing import Final, Literal

import msgspec

from goose_py.protocol.events import VerificationFinished


class Hindrance(msgspec.Struct, frozen=True):
    """What a check went without. `subject` names it as its output does, "" where that does not say."""

    kind: Literal["program", "module", "network", "read-only"]
    subject: str = ""

    def sentence(self, check: str) -> str:
        named = f" {self.subject}" if self.subject else ""
        match self.kind:
            case "program":
                return f"`{check}` needs a program that cannot be started here{':' if named else ''}{named}."
            case "module":
                return f"`{check}` needs a module that is not there:{named}."
            case "network":
                return f"`{check}` wants the network{' to' + named if named else ''}, which commands do not have here."
            case "read-only":
                return f"`{check}` wants to write{named or ' a file'}, which is read-only here."


NOT_STARTED: Final = (126, 127)
"""What a shell answers for a program that is there and cannot be run, or is not there (POSIX, 2.8.2)."""
_PROGRAM: Final = re.compile(
    r"(?:^|: )([\w./+-]+): (?:command not found|not found)$"
    r"|^make.*: ([\w./+-]+): (?:No such file or directory|Permission denied)$|^make.*\*\*\* .*Error 12[67]$",
    re.MULTILINE,
)
_MODULE: Final = re.compile(
    r"No module named ['\"]?([\w.]+)|Cannot find (?:module|package) '([^']+)'|no required module provides package (\S+?);"
    r"|cannot load such file -- (\S+)|package (\S+) is not in (?:std|GOROOT)"
)
_READ_ONLY: Final = re.compile(
    r"(?:(/[^\s:'\"]+)['\"]?: )?Read-only file system(?:: ['\"]?(/[^\s'\"]+))?|EROFS[^\n]*'(/[^']+)'"
)
_NETWORK: Final = re.compile(
    r"could not resolve host:? *([\w.-]+)?|(?:ENOTFOUND|EAI_AGAIN) ([\w.-]+)?|host='([\w.-]+)'|lookup ([\w.-]+)(?: on \S+)?: "
    r"|name or service not known|temporary failure in name resolution|network is unreachable|dns error"
    r"|tunnel connection failed|http code 403 from proxy|not in sandbox\.allow_hosts",
    re.IGNORECASE,
)


def hindrance(exit_code: int | None, output: str, *, network: bool) -> Hindrance | None:
    """What kept a check that failed from running, as far as its exit code or its output tells. `network`: it had all of it."""
    if (found := _PROGRAM.search(output)) or exit_code in NOT_STARTED:
        return Hindrance("program", _subject(found))
    if not network and (found := _NETWORK.search(output)):
        return Hindrance("network", _subject(found))
    if found := _READ_ONLY.search(output):
        return Hindrance("read-only", _subject(found))
    if found := _MODULE.search(output):
        return Hindrance("module", _subject(found))
    return None


def _subject(found: re.Match[str] | None) -> str:
    return next(filter(None, found.groups()), "") if found is not None else ""


_FAILURE: Final = re.compile(
    r"\b(?:fail\w*|errors?|not ok|panic\w*|exception|traceback|undefined|cannot|mismatch\w*)\b|^E "
    r"|\w(?:Error|Exception)\b|[✗✕×]",
    re.IGNORECASE,
)
_CHANGING: Final = re.compile(r"0x[0-9a-fA-F]+|\d+(?:\.\d+)?")
_GOOD: Final = re.compile(r"\b0 (?:pass\w*|ok|skipped|xfailed|deselected|pending|ignored|warnings?)\b[ ,;.]*")


def same_way(before: VerificationFinished, after: VerificationFinished, outputs: tuple[str, str]) -> bool:
    """Whether a check that fails now failed like this before: with the same exit code, and with no failure in its output, the
    second one, that was not in the first. Numbers do not count: times, lines and addresses differ each time."""
    if before.exit_code != after.exit_code:
        return False
    was, now = (_failures(output) for output in outputs)
    return now <= was


def _failures(output: str) -> frozenset[str]:
    lines = (line.strip() for line in output.splitlines())
    return frozenset(_shape(line) for line in lines if _FAILURE.search(line))


def _shape(line: str) -> str:
    """Without what differs from run to run, and what a new test that passes adds."""
    return re.sub(r"[\s,;]+", " ", _GOOD.sub("", _CHANGING.sub("0", line)))
