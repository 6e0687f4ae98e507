"""Where a replay differs from its recording: results of calls, checks, ends of turns, files.

What differs from run to run without meaning anything (the workspace's place, ids, how long something took) is not told."""

import re
from collections.abc import Callable, Sequence

import msgspec

from goose_py.protocol import events as ev
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.messages import ToolCall

NOT_RUN = "(was not run)"
_TIMES = re.compile(r"\b\d+(?:[.,]\d+)?\s?(?:ms|s|sec|seconds?|minutes?)\b")
_DATES = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_ADDRESSES = re.compile(r"\b0x[0-9a-f]{6,}\b|\bpid \d+", re.IGNORECASE)


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """`where` names the place in words; `was` and `now` are the first lines that differ."""

    where: str
    was: str
    now: str


def differences(recorded: Sequence[ev.Record], replayed: Sequence[ev.Record]) -> tuple[Difference, ...]:
    """In the order of the recording; what only the replay has comes last."""
    was, now = _Seen(recorded), _Seen(replayed)
    found: list[Difference] = []
    for call_id, call in was.calls.items():
        found += _pair(_name(call), was.results.get(call_id, NOT_RUN), now.results.get(call_id, NOT_RUN))
    for number, outcome in was.outcomes.items():
        found += _pair(f"end of turn {number}", outcome, now.outcomes.get(number, NOT_RUN))
    for command, result in was.checks.items():
        found += _pair(f"check `{command}`", result, now.checks.get(command, NOT_RUN))
    if was.tree is not None:
        found += _pair("files at the end", was.tree, now.tree or "(nothing changed)")
    for call_id, call in now.calls.items():
        if call_id not in was.calls:
            found.append(Difference(where=_name(call), was=NOT_RUN, now=_first(now.results.get(call_id, ""))))
    return tuple(found)


class _Seen:
    """What can be compared of one log, with what is its own taken out."""

    def __init__(self, records: Sequence[ev.Record]) -> None:
        self.calls: dict[str, ToolCall] = {}
        self.results: dict[str, str] = {}
        self.outcomes: dict[int, str] = {}
        self.checks: dict[str, str] = {}
        self.tree: str | None = None
        clean = _cleaner(records)
        turn = 0
        for record in records:
            match record.event:
                case ev.TurnStarted(turn=number):
                    turn = number
                case ev.ModelReplied(message=message):
                    self.calls.update((call.id, call) for call in message.tool_calls())
                case ev.ToolFinished(result=result):
                    self.results[result.call_id] = ("error: " if result.is_error else "") + clean(result.text())
                case ev.TurnEnded(outcome=outcome):
                    self.outcomes[turn] = outcome
                case ev.VerificationFinished() as check:
                    self.checks[check.command] = f"exit code {check.exit_code}"
                case ev.ChangesRecorded(tree_after=tree):
                    self.tree = tree
                case _:
                    pass


def _cleaner(records: Sequence[ev.Record]) -> Callable[[str], str]:
    own: dict[str, str] = {}
    for record in records:
        if isinstance(record.event, ev.SessionStarted):
            own[record.event.workspace] = own[record.event.worktree] = "<workspace>"
            own[record.event.session_id] = "<task>"

    def clean(text: str) -> str:
        for value in sorted(own, key=len, reverse=True):
            text = text.replace(value, own[value]) if value else text
        return _ADDRESSES.sub("<id>", _TIMES.sub("<time>", _DATES.sub("<date>", text)))

    return clean


def _pair(where: str, was: str, now: str) -> list[Difference]:
    if was == now:
        return []
    before, after = was.split("\n"), now.split("\n")
    shared = min(len(before), len(after))
    line = next((n for n in range(shared) if before[n] != after[n]), shared)
    if len(before) > 1 or len(after) > 1:
        where = f"{where}, line {line + 1} of the result"
    return [Difference(where=where, was=_line(before, line), now=_line(after, line))]


def _line(lines: Sequence[str], number: int) -> str:
    return lines[number][:400] if number < len(lines) else "(no such line)"


def _first(text: str) -> str:
    return text.partition("\n")[0][:400]


def _name(call: ToolCall) -> str:
    summary = summarize_call(call)
    return f"{summary.verb} {summary.subject}".strip()[:120]
