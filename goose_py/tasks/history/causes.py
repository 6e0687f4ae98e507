"""Why a hunk is there: which turn, plan step and tool call made it. A fold of the log over the trees that it names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from goose_py.protocol import events as ev
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.changes import Hunk
from goose_py.protocol.messages import Text, ToolCall

if TYPE_CHECKING:
    from goose_py.git.private import PrivateStore


@dataclass(frozen=True)
class Cause:
    """What made a part of a hunk: `lines` (indices into `Hunk.lines`; empty: it cannot be told which) in `turn` (from 1), for
    the prompt `prompt`, during the plan step `step`, by `call` (in words), before which the model said `said`; "" where it is
    not known. `turn` 0: no turn did, so somebody did by hand."""

    lines: tuple[int, ...] = ()
    turn: int = 0
    prompt: str = ""
    step: str = ""
    call: str = ""
    said: str = ""


@dataclass(frozen=True)
class Called:
    """A tool call as it was made, and what it was made for."""

    call: ToolCall
    cause: Cause


@dataclass(frozen=True)
class Span:
    """Everything between two recorded trees."""

    tree: str
    calls: tuple[Called, ...] = ()


@dataclass
class _Fold:
    base: str
    spans: list[Span] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    cause: Cause = field(default_factory=Cause)

    def feed(self, event: ev.DurableEvent) -> None:
        match event:
            case ev.SessionStarted(base_tree=str(tree)):
                self.base, self.spans, self.calls = tree, [], []
            case ev.PromptReceived(parts=parts):
                text = " ".join(part.text for part in parts if isinstance(part, Text))
                self.cause = replace(self.cause, prompt=" ".join(text.split()))
            case ev.TurnStarted(turn=turn):
                self.cause = replace(self.cause, turn=turn, said="", step="")
            case ev.PlanStepStarted(title=title):
                self.cause = replace(self.cause, step=title)
            case ev.PlanStepFinished(title=title) if title == self.cause.step:
                self.cause = replace(self.cause, step="")
            case ev.ModelReplied(message=message):
                said = " ".join(part.text for part in message.parts if isinstance(part, Text))
                self.cause = replace(self.cause, said=" ".join(said.split()) or self.cause.said)
            case ev.ToolStarted(call=call):
                self.calls.append(Called(call, self.cause))
            case ev.ChangesRecorded(tree_after=tree):
                self.spans.append(Span(tree, tuple(self.calls)))
                self.calls = []
            case ev.ChangesApplied(tree=tree) | ev.Rebased(base_tree=tree):
                # What was left out goes on as a change: all that came before may have made it.
                before = tuple(called for span in self.spans for called in span.calls)
                last = event.tree if isinstance(event, ev.Rebased) else event.result_tree
                self.base, self.spans = tree, [Span(last, before)]
            case ev.Rewound(tree=tree):
                self.spans.append(Span(tree))
            case _:
                pass


def spans_of(records: Iterable[ev.Record], base: str) -> tuple[str, tuple[Span, ...]]:
    """(the tree that the changes are compared with, what followed it)"""
    folded = _Fold(base)
    for record in records:
        folded.feed(record.event)
    return folded.base, tuple(folded.spans)


async def causes(
    store: PrivateStore, records: Iterable[ev.Record], base: str, result: str, path: str
) -> dict[str, tuple[Cause, ...]]:
    """By hunk id, for one changed file of the review from the base to `result`, the latest cause first. Raises KeyError where
    the file did not change."""
    from goose_py.git.trees.diff import changeset_summary, file_change
    from goose_py.review.blame import reasons

    start, spans = spans_of(records, base)
    if not spans or spans[-1].tree != result:
        spans = (*spans, Span(result))
    found = await reasons(store, [start, *(span.tree for span in spans)], path)
    file = await file_change(store, await changeset_summary(store, start, result), path)
    told: dict[str, tuple[Cause, ...]] = {}
    for hunk in file.hunks or ():
        reason = found[hunk.id]
        made: list[Cause] = []
        for step in reversed(reason.steps):
            lines = tuple(line for line, by in reason.lines.items() if by == step)
            made += causes_of(spans[step - 1], hunk, lines, path)
        told[hunk.id] = tuple(made)
    return told


def causes_of(span: Span, hunk: Hunk, lines: Sequence[int], path: str) -> list[Cause]:
    """The calls of a span that made these lines: those that carry their text, else those that name the file, else the last
    one. Somebody's own hand where there was none."""
    if not span.calls:
        return [Cause(lines=tuple(lines))]
    found: list[Cause] = []
    for called in reversed(span.calls):
        carried = tuple(line for line in lines if _carries(called.call, hunk.lines[line]))
        if carried:
            found.append(_told(called, carried))
    if found:
        return found
    named = [called for called in span.calls if path in _texts(called.call.arguments)]
    return [_told((named or span.calls)[-1], tuple(lines))]


def _told(called: Called, lines: tuple[int, ...]) -> Cause:
    summary = summarize_call(called.call)
    return replace(called.cause, lines=lines, call=f"{summary[0]} {summary[1]}".strip())


def _carries(call: ToolCall, line: str) -> bool:
    text = line[1:].strip()
    return len(text) > 1 and any(text in value for value in _texts(call.arguments))


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for inner in value.values() for text in _texts(inner)]
    if isinstance(value, list):
        return [text for inner in value for text in _texts(inner)]
    return []
