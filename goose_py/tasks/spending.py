"""What a log cost, day by day and turn by turn."""

import time
from collections.abc import Iterable

import msgspec

from goose_py.protocol.events import Record, SessionStarted, TurnStarted, UsageRecorded
from goose_py.protocol.messages import Usage


class DayCost(msgspec.Struct, frozen=True, kw_only=True):
    """`day` is the local date as YYYY-MM-DD, `cost` in US dollars; not `complete` where a price is not known."""

    day: str
    cost: float = 0.0
    complete: bool = True
    usage: Usage = Usage()
    requests: int = 0

    def __add__(self, other: "DayCost") -> "DayCost":
        return DayCost(
            day=self.day,
            cost=self.cost + other.cost,
            complete=self.complete and other.complete,
            usage=self.usage + other.usage,
            requests=self.requests + other.requests,
        )


class TurnCost(msgspec.Struct, frozen=True, kw_only=True):
    """`turn` counts from 1; 0 is what was spent outside of any (a compaction that was asked for before the first). `models`
    are those that answered, each with its number of replies."""

    turn: int
    cost: float = 0.0
    complete: bool = True
    usage: Usage = Usage()
    models: tuple[tuple[str, int], ...] = ()


def spending_by_day(records: Iterable[Record], since: float) -> tuple[DayCost, ...]:
    """Of the replies from `since` (Unix time) on, in order of the days. What came before the last start of a session is
    somebody else's: a fork pays for itself only."""
    found: dict[str, DayCost] = {}
    for record in records:
        event = record.event
        if isinstance(event, SessionStarted):
            found.clear()
        if not isinstance(event, UsageRecorded) or record.at < since:
            continue
        day = time.strftime("%Y-%m-%d", time.localtime(record.at))
        spent = DayCost(day=day, cost=event.cost or 0.0, complete=event.cost is not None, usage=event.usage, requests=1)
        found[day] = found[day] + spent if day in found else spent
    return tuple(found[day] for day in sorted(found))


def spending_by_turn(records: Iterable[Record]) -> tuple[TurnCost, ...]:
    """The turns that spent anything, in order."""
    found: dict[int, TurnCost] = {}
    turn = 0
    for record in records:
        event = record.event
        if isinstance(event, SessionStarted):
            found.clear()
        elif isinstance(event, TurnStarted):
            turn = event.turn
        elif isinstance(event, UsageRecorded):
            found[turn] = _with(found.get(turn, TurnCost(turn=turn)), event)
    return tuple(found.values())


def _with(turn: TurnCost, event: UsageRecorded) -> TurnCost:
    counts = dict(turn.models)
    name = str(event.model)
    return TurnCost(
        turn=turn.turn,
        cost=turn.cost + (event.cost or 0.0),
        complete=turn.complete and event.cost is not None,
        usage=turn.usage + event.usage,
        models=tuple({**counts, name: counts.get(name, 0) + 1}.items()),
    )
