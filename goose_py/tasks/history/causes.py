"""Why a hunk is there: which turn, plan step and tool call made it. A fold of the log over the trees that were recorded."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from goose_py.protocol import events as ev
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.messages import Text

if TYPE_CHECKING:
    from goose_py.git.private import PrivateStore


@dataclass(frozen=True)
class Cause:
    """What made a part of a hunk: `lines` (indices into `Hunk.lines`; empty: it cannot be told which) in `turn` (from 1), for
    the prompt `prompt`, during the plan step `step`, by `call` (in words; `name` is what a rewind calls it), before which the
    model said `said`; "" where it is not known. `during`: something in the background may have made it while that call ran.
    `turn` 0: no turn did, so somebody did by hand."""

    lines: tuple[int, ...] = ()
    turn: int = 0
    prompt: str = ""
    step: str = ""
    call: str = ""
    name: str = ""
    said: str = ""
    during: bool = False

    def sentence(self) -> str:
        """Where it happened, in words."""
        if not self.turn:
            return "by hand, by a rewind or by a rebase, between two turns"
        step = f", step “{self.step}”" if self.step else ""
        return f"turn {self.turn} (“{self.prompt[:60]}”){step}"


@dataclass(frozen=True)
class Span:
    """What made everything between the tree before and `tree`."""

    tree: str
    cause: Cause = Cause()


@dataclass
class _Fold:
    """`base` is the tree that the task began with, `since` what its changes are compared with now."""

    base: str
    since: str
    spans: list[Span] = field(default_factory=list)
    calls: dict[str, Cause] = field(default_factory=dict)
    cause: Cause = field(default_factory=Cause)
    number: int = 0
    exact: bool = False

    def feed(self, event: ev.DurableEvent) -> None:
        match event:
            case ev.SessionStarted(base_tree=str(tree)):
                self.base, self.since, self.spans, self.calls = tree, tree, [], {}
            case ev.PromptReceived(parts=parts):
                text = " ".join(part.text for part in parts if isinstance(part, Text))
                self.cause = replace(self.cause, prompt=" ".join(text.split()))
            case ev.TurnStarted(turn=turn):
                self.cause, self.number = replace(self.cause, turn=turn, said="", step=""), 0
            case ev.TurnEnded():
                self.calls = {}
            case ev.PlanStepStarted(title=title):
                self.cause = replace(self.cause, step=title)
            case ev.PlanStepFinished(title=title) if title == self.cause.step:
                self.cause = replace(self.cause, step="")
            case ev.ModelReplied(message=message):
                said = " ".join(part.text for part in message.parts if isinstance(part, Text))
                self.cause = replace(self.cause, said=" ".join(said.split()) or self.cause.said)
            case ev.ToolStarted(call=call):
                self.calls[call.id] = replace(self.cause, call=" ".join(summarize_call(call)).strip())
            case ev.StateRecorded(call_id=str(call_id), tree=tree) if call_id:
                self.exact, self.number = True, self.number + 1
                name = f"{self.cause.turn}.{self.number}"
                self._reach(tree, replace(self.calls.get(call_id, self.cause), name=name, during=event.during))
            case ev.StateRecorded(tree=tree, during=during):
                self.exact = True
                self._reach(tree, replace(self.cause, during=True) if during else Cause())
            case ev.ChangesRecorded(tree_after=after) if self.exact:
                self._reach(after, Cause())
            case ev.ChangesRecorded(tree_before=before, tree_after=after):
                # Logs of earlier versions know the turn only, unless it made one call.
                calls = list(self.calls.values())
                self._reach(before, Cause())
                self._reach(after, calls[0] if len(calls) == 1 else self.cause if calls else Cause())
                self.calls = {}
            case ev.ChangesApplied(tree=tree):
                self.since = tree
            case ev.Rebased(base_tree=base, tree=tree):
                self.since = base
                self._reach(tree, Cause())
            case ev.Rewound(tree=tree):
                self._reach(tree, Cause())
            case _:
                pass

    def _reach(self, tree: str, cause: Cause) -> None:
        if tree != (self.spans[-1].tree if self.spans else self.base):
            self.spans.append(Span(tree, cause))


def spans_of(records: Iterable[ev.Record], base: str) -> tuple[str, str, tuple[Span, ...]]:
    """(the tree that the task began with, the one that its changes are compared with, what followed the first)"""
    folded = _Fold(base, base)
    for record in records:
        folded.feed(record.event)
    return folded.base, folded.since, tuple(folded.spans)


async def causes(
    store: PrivateStore, records: Iterable[ev.Record], base: str, result: str, path: str
) -> dict[str, tuple[Cause, ...]]:
    """By hunk id, for one changed file of the review from its base to `result`, the latest cause first. Raises KeyError where
    the file did not change."""
    from goose_py.review.blame import reasons

    start, since, spans = spans_of(records, base)
    if (spans[-1].tree if spans else start) != result:
        spans = (*spans, Span(result))
    found = await reasons(store, [start, *(span.tree for span in spans)], path, since)
    told: dict[str, tuple[Cause, ...]] = {}
    for hunk, reason in found.items():
        by_step = {step: tuple(line for line, by in reason.lines.items() if by == step) for step in reason.steps}
        told[hunk] = tuple(replace(spans[step - 1].cause, lines=by_step[step]) for step in reversed(reason.steps))
    return told
