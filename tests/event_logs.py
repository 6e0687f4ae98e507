"""Logs for tests: hypothesis strategies of event sequences that a session could have written, whole or damaged."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from goose_py.protocol import events as ev
from goose_py.protocol.messages import AssistantMessage, Image, ModelRef, Text, Thinking, ToolCall, ToolResult, Usage
from goose_py.protocol.plan import Plan, PlanStep

OTHER = ModelRef(provider="other", model="second")
MINE = ModelRef(provider="test", model="tester")
PICTURE = Image(media_type="image/png", data="aGk=")


def numbered(events: list[Any], at: float = 1000.0) -> list[ev.Record]:
    return [ev.Record(seq=number, at=at + number, event=event) for number, event in enumerate(events, 1)]


def prompt(text: str = "do it", prompt_id: str = "p", delivery: str = "now", *extra: Any) -> ev.PromptReceived:
    return ev.PromptReceived(prompt_id=prompt_id, parts=(Text(text), *extra), delivery=delivery)  # type: ignore[arg-type]


def replied(*parts: Any, origin: ModelRef = MINE) -> ev.ModelReplied:
    made = tuple(Text(part) if isinstance(part, str) else part for part in parts)
    return ev.ModelReplied(message=AssistantMessage(parts=made, origin=origin))


def finished(call_id: str, text: str = "result", **fields: Any) -> ev.ToolFinished:
    return ev.ToolFinished(result=ToolResult(call_id=call_id, content=(Text(text),), **fields))


texts = st.sampled_from(["", " ", "word", "zwei Wörter", "line\u2028end", "\x85", "long " * 50])
parts = st.one_of(texts.map(Text), st.just(PICTURE))


@st.composite
def logs(draw: st.DrawFn, turns: int = 4) -> list[ev.Record]:
    """What a session may have logged: turns with calls, steering, queued and withdrawn prompts, plans, compactions with their
    undoing, switches of model, and turns that were cut anywhere."""
    events: list[Any] = [ev.SessionStarted(session_id="s", workspace="/w", model=MINE)]
    if draw(st.booleans()):
        events.append(ev.ContextAdded(source="environment", text="Linux"))
    waiting: list[str] = []
    ids = iter(range(10_000))
    for turn in range(1, draw(st.integers(1, turns)) + 1):
        events.append(prompt(draw(st.sampled_from(["do it", "and now this"])), f"p{next(ids)}"))
        events.append(ev.TurnStarted(turn=turn))
        for _ in range(draw(st.integers(0, 4))):
            events += draw(_step(ids, waiting, len(events)))
        if draw(st.booleans()):
            events.append(ev.TurnEnded(outcome=draw(st.sampled_from(["done", "interrupted", "provider_error"]))))
    return numbered(events)


@st.composite
def _step(draw: st.DrawFn, ids: Any, waiting: list[str], seq: int) -> list[Any]:
    events: list[Any] = []
    if draw(st.booleans()):
        events.append(ev.ContextAdded(source=draw(st.sampled_from(["progress", "check", "conventions"])), text="note"))
    if draw(st.integers(0, 5)) == 0:
        method = draw(st.sampled_from(["summary", "window", "clear_results", "undo"]))
        events.append(ev.ContextCompacted(summary="so far", keep_from=draw(st.integers(0, seq + 1)), method=method))
    if draw(st.integers(0, 5)) == 0:
        waiting.append(f"p{next(ids)}")
        events.append(prompt("by the way", waiting[-1], draw(st.sampled_from(["steer", "queue"]))))
    if waiting and draw(st.booleans()):
        kind = draw(st.sampled_from([ev.PromptDelivered, ev.PromptWithdrawn]))
        events.append(kind(prompt_id=waiting.pop(0)))
    origin = draw(st.sampled_from([MINE, MINE, OTHER]))
    calls = [ToolCall(id=f"c{next(ids)}", name="read", arguments={"path": "a"}) for _ in range(draw(st.integers(0, 3)))]
    said: list[Any] = [Text(draw(texts)) for _ in range(draw(st.integers(0, 2)))]
    if draw(st.booleans()):
        said.insert(0, Thinking(text="hm", signature="sig"))
    events.append(replied(*said, *calls, origin=origin))
    events.append(ev.UsageRecorded(model=origin, usage=Usage(input_tokens=5)))
    for made in draw(st.permutations(calls)):
        fate = draw(st.sampled_from(["answered", "answered", "started", "open"]))
        if fate != "open":
            events.append(ev.ToolStarted(call=made))
        if fate == "answered":
            content = tuple(draw(st.lists(parts, max_size=2)))
            events.append(ev.ToolFinished(result=ToolResult(call_id=made.id, content=content)))
        if draw(st.integers(0, 7)) == 0:
            events.append(ev.PlanProposed(plan=Plan(steps=(PlanStep(title="one"),))))
    return events


@st.composite
def damaged_logs(draw: st.DrawFn) -> list[ev.Record]:
    """A log of which any records are missing."""
    records = draw(logs())
    kept = draw(st.lists(st.booleans(), min_size=len(records), max_size=len(records)))
    return [record for record, keep in zip(records, kept, strict=True) if keep]
