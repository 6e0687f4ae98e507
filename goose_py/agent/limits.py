"""A wrapper of Model that sends nothing once a limit is reached. What was spent is a fold of the log, so that a limit
survives resume."""

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

import msgspec

from goose_py.agent.ports import Model
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import LimitReached
from goose_py.protocol.messages import Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest


class Spending(msgspec.Struct, frozen=True, kw_only=True):
    """What a session has used: model requests, seconds of turns, US dollars, tokens. `unpriced` is true where a reply came
    from a model without a known price: `cost` is then a lower bound."""

    turns: int = 0
    seconds: float = 0.0
    cost: float = 0.0
    usage: Usage = Usage()
    unpriced: bool = False
    turn_started_at: float | None = None

    @property
    def tokens(self) -> int:
        return self.usage.context_tokens


def spend(spending: Spending, record: ev.Record) -> Spending:
    """The fold. Time counts while a turn runs."""
    event = record.event
    match event:
        case ev.TurnStarted():
            return msgspec.structs.replace(spending, turn_started_at=record.at)
        case ev.TurnEnded():
            since = spending.turn_started_at
            seconds = spending.seconds + (record.at - since if since is not None else 0.0)
            return msgspec.structs.replace(spending, seconds=seconds, turn_started_at=None)
        case ev.UsageRecorded():
            return msgspec.structs.replace(
                spending,
                turns=spending.turns + 1,
                cost=spending.cost + (event.cost or 0.0),
                usage=spending.usage + event.usage,
                unpriced=spending.unpriced or event.cost is None,
            )
        case _:
            return spending


def exceeded(spending: Spending, limits: ev.Limits, now: float) -> LimitReached | None:
    """The first limit that is reached, at the Unix time `now`."""
    seconds = seconds_spent(spending, now)
    if limits.max_turns is not None and spending.turns >= limits.max_turns:
        return LimitReached(f"The limit of {limits.max_turns} model turns is reached.", limit="turns")
    if limits.max_seconds is not None and seconds >= limits.max_seconds:
        return LimitReached(f"The time limit of {limits.max_seconds:g} seconds is reached.", limit="time")
    if limits.max_cost is not None and spending.cost >= limits.max_cost:
        return LimitReached(f"The cost limit of ${limits.max_cost:g} is reached (${spending.cost:.4f} spent).", limit="cost")
    if limits.max_tokens is not None and spending.tokens >= limits.max_tokens:
        return LimitReached(f"The limit of {limits.max_tokens} tokens is reached ({spending.tokens} used).", limit="tokens")
    return None


def seconds_spent(spending: Spending, now: float) -> float:
    running = now - spending.turn_started_at if spending.turn_started_at is not None else 0.0
    return spending.seconds + running


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
