"""Fan-out from one session to its consumers.

Delivery: durable records reach every subscriber, in order, however slow it is. Deltas are a courtesy: neighbouring ones of a
kind are merged while they wait, and beyond `MAX_DELTAS` they are dropped; nobody may need them, since the record that follows
says the same. A `Notice` has no record behind it and is kept like one. `publish` never blocks and is called from the session's
event loop only.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator

from goose_py.protocol.deltas import Delta, Notice, TextDelta, ThinkingDelta, ToolOutput
from goose_py.protocol.events import Record

MAX_DELTAS = 256
MAX_MERGED = 16 * 1024

Item = Record | Delta
KEPT = (Record, Notice)


class Subscription:
    """One consumer's queue. Iterate it; it ends after `close` when it is drained."""

    def __init__(self, bus: "Bus") -> None:
        self._bus = bus
        self._items: deque[Item] = deque()
        self._deltas = 0
        self._ready = asyncio.Event()
        self._closed = False

    def put(self, item: Item) -> None:
        if not isinstance(item, KEPT):
            merged = _merge(self._items[-1], item) if self._items else None
            if merged is not None:
                self._items[-1] = merged
                return
            if self._deltas >= MAX_DELTAS:
                return
            self._deltas += 1
        self._items.append(item)
        self._ready.set()

    def close(self) -> None:
        self._closed = True
        self._bus.forget(self)
        self._ready.set()

    async def __aiter__(self) -> AsyncIterator[Item]:
        while True:
            while self._items:
                item = self._items.popleft()
                if not isinstance(item, KEPT):
                    self._deltas -= 1
                yield item
            if self._closed:
                return
            self._ready.clear()
            await self._ready.wait()


class Bus:
    """Knows its subscriptions and nothing else."""

    def __init__(self) -> None:
        self._subscriptions: list[Subscription] = []

    def subscribe(self) -> Subscription:
        subscription = Subscription(self)
        self._subscriptions.append(subscription)
        return subscription

    def publish(self, item: Item) -> None:
        for subscription in self._subscriptions:
            subscription.put(item)

    def forget(self, subscription: Subscription) -> None:
        if subscription in self._subscriptions:
            self._subscriptions.remove(subscription)

    def close(self) -> None:
        for subscription in list(self._subscriptions):
            subscription.close()


def _merge(last: Item, new: Delta) -> Delta | None:
    match last, new:
        case (TextDelta(), TextDelta()) | (ThinkingDelta(), ThinkingDelta()):
            return type(new)(last.text + new.text) if len(last.text) < MAX_MERGED else None
        case (ToolOutput(), ToolOutput()) if last.call_id == new.call_id:
            return ToolOutput(call_id=new.call_id, text=(last.text + new.text)[-MAX_MERGED:])
        case _:
            return None
