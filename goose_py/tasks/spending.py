"""What a log cost, day by day."""

import time
from collections.abc import Iterable

import msgspec

from goose_py.protocol.events import Record, UsageRecorded


class DayCost(msgspec.Struct, frozen=True, kw_only=True):
    """`day` is the local date as YYYY-MM-DD, `cost` in US dollars; not `complete` where a price is not known."""

    day: str
    cost: float
    complete: bool


def spending_by_day(records: Iterable[Record], since: float) -> tuple[DayCost, ...]:
    """Of the replies from `since` (Unix time) on, in order of the days."""
    found: dict[str, DayCost] = {}
    for record in records:
        if not isinstance(record.event, UsageRecorded) or record.at < since:
            continue
        day = time.strftime("%Y-%m-%d", time.localtime(record.at))
        before = found.get(day, DayCost(day=day, cost=0.0, complete=True))
        found[day] = DayCost(
            day=day,
            cost=before.cost + (record.event.cost or 0.0),
            complete=before.complete and record.event.cost is not None,
        )
    return tuple(found[day] for day in sorted(found))
