"""What a session has spent, as a fold of its log, so that limits survive a resume; a wrapper of Model that sends nothing once
one is reached; and the warnings that come before."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import NamedTuple

import msgspec

from goose_py.agent.ports import Model
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import LimitReached
from goose_py.protocol.messages import Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has used: model requests, seconds of turns, US dollars, tokens. `unpriced` is true where a reply came
    from a model without a known price: `cost` is then a lower bound. `turn_started_at` is Unix time, None between turns;
    `last_at` is when the last record was written."""

    turns: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    usage: Usage = Usage()
    unpriced: bool = False
    turn_started_at: float | None = None
    last_at: float = 0.0

    @property
    def tokens(self) -> int:
        return self.usage.context_tokens


def spend(spending: Spending, record: ev.Record) -> Spending:
    """The fold. A turn's time is what it says of itself. One that died with its process is closed when the session is opened
    again, and the days between are nobody's: it counts from its start to the last record before its end. A fork begins with
    what its parent had spent and pays for itself only: each start begins at nothing."""
    event = record.event
    fields: dict[str, object] = {"last_at": record.at}
    match event:
        case ev.SessionStarted():
            spending = Spending()
        case ev.TurnStarted():
            fields["turn_started_at"] = record.at
        case ev.TurnEnded() if spending.turn_started_at is not None:
            measured = max(0.0, spending.last_at - spending.turn_started_at) if event.seconds is None else event.seconds
            fields["seconds"] = spending.seconds + measured
            fields["turn_started_at"] = None
        case ev.UsageRecorded():
            fields["turns"] = spending.turns + 1
            fields["cost"] = spending.cost + (event.cost or 0.0)
            fields["usage"] = spending.usage + event.usage
            fields["unpriced"] = spending.unpriced or event.cost is None
        case _:
            pass
    return msgspec.structs.replace(spending, **fields)


def seconds_spent(spending: Spending, now: float) -> float:
    """At the Unix time `now`."""
    running = max(0.0, now - spending.turn_started_at) if spending.turn_started_at is not None else 0.0
    return spending.seconds + running


class Used(NamedTuple):
    """How much of one limit is used. `limit` None: there is none. `name` is that of `LimitReached.limit`."""

    name: str
    amount: float
    limit: float | None
    unit: str

    @property
    def reached(self) -> bool:
        return self.limit is not None and self.amount >= self.limit


def used(spending: Spending, limits: ev.Limits, now: float) -> tuple[Used, ...]:
    """Every limit, in the order in which they are looked at."""
    return (
        Used("turns", spending.turns, limits.max_turns, "model turns"),
        Used("time", seconds_spent(spending, now), limits.max_seconds, "seconds"),
        Used("cost", spending.cost, limits.max_cost, "dollars"),
        Used("tokens", spending.tokens, limits.max_tokens, "tokens"),
    )


def exceeded(spending: Spending, limits: ev.Limits, now: float) -> LimitReached | None:
    """The first limit that is reached."""
    for item in used(spending, limits, now):
        if item.reached:
            return LimitReached(f"The limit of {limit_text(item)} is reached ({amount(item)} used).", limit=item.name)
    return None


def amount(item: Used) -> str:
    """What was used, as a person reads it."""
    return f"{item.amount:.4f}" if item.name == "cost" else f"{item.amount:.0f}"


def limit_text(item: Used) -> str:
    """A limit that there is, with its unit."""
    return f"{item.limit:g} {item.unit.removesuffix('s') if item.limit == 1 else item.unit}"


class Warnings:
    """Says once that an amount was passed. What had been passed when the turn began was said then."""

    def __init__(self, warn: ev.Limits, spending: Spending, now: float) -> None:
        self._warn = warn
        self._said = {item.name for item in used(spending, warn, now) if item.reached}

    def due(self, spending: Spending, now: float) -> tuple[ev.Warned, ...]:
        found = [item for item in used(spending, self._warn, now) if item.reached and item.name not in self._said]
        self._said.update(item.name for item in found)
        return tuple(
            ev.Warned(text=f"This task has used {amount(item)} {item.unit}; you asked to be told at {item.limit:g}.")
            for item in found
        )


class LimitedModel:
    """`check` is asked before every request and raises `LimitReached`."""

    def __init__(self, model: Model, check: Callable[[], None]) -> None:
        self._model = model
        self._check = check

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        self._check()
        async with aclosing(self._model.stream(request)) as stream:
            async for item in stream:
                yield item
