"""Fan-out: records always and in order, deltas as long as somebody keeps up."""

import asyncio

from event_logs import numbered

from goose_py.protocol.deltas import Notice, TextDelta, ThinkingDelta, ToolOutput
from goose_py.protocol.events import Warned
from goose_py.session.bus import MAX_DELTAS, MAX_MERGED, Bus

RECORDS = numbered([Warned(text=str(number)) for number in range(5)])


async def drained(subscription):
    subscription.close()
    return [item async for item in subscription]


async def test_every_subscriber_gets_every_record_in_order():
    bus = Bus()
    first, second = bus.subscribe(), bus.subscribe()
    for record in RECORDS:
        bus.publish(record)
    assert await drained(first) == await drained(second) == RECORDS


async def test_who_comes_later_gets_what_comes_later():
    bus = Bus()
    bus.publish(RECORDS[0])
    late = bus.subscribe()
    bus.publish(RECORDS[1])
    assert await drained(late) == [RECORDS[1]]


async def test_neighbouring_deltas_of_a_kind_are_merged_and_records_part_them():
    bus = Bus()
    subscription = bus.subscribe()
    for item in (
        TextDelta("a"),
        TextDelta("b"),
        ThinkingDelta("c"),
        ThinkingDelta("d"),
        RECORDS[0],
        TextDelta("e"),
        ToolOutput(call_id="1", text="x"),
        ToolOutput(call_id="1", text="y"),
        ToolOutput(call_id="2", text="z"),
    ):
        bus.publish(item)
    assert await drained(subscription) == [
        TextDelta("ab"),
        ThinkingDelta("cd"),
        RECORDS[0],
        TextDelta("e"),
        ToolOutput(call_id="1", text="xy"),
        ToolOutput(call_id="2", text="z"),
    ]


async def test_a_consumer_that_sleeps_holds_bounded_deltas_and_loses_no_record_and_no_notice():
    bus = Bus()
    subscription = bus.subscribe()
    for number in range(10 * MAX_DELTAS):
        bus.publish(ToolOutput(call_id=str(number), text="x"))
    for record in RECORDS:
        bus.publish(record)
    bus.publish(Notice("full"))
    items = await drained(subscription)
    assert [item for item in items if item in RECORDS] == RECORDS
    assert items[-1] == Notice("full")
    assert len(items) == MAX_DELTAS + len(RECORDS) + 1


async def test_the_output_of_one_call_is_kept_to_its_newest_part():
    bus = Bus()
    subscription = bus.subscribe()
    for _ in range(100):
        bus.publish(ToolOutput(call_id="1", text="x" * 1000))
    bus.publish(ToolOutput(call_id="1", text="end"))
    (item,) = await drained(subscription)
    assert len(item.text) == MAX_MERGED and item.text.endswith("end")


async def test_after_a_drain_deltas_are_taken_again():
    bus = Bus()
    subscription = bus.subscribe()
    reader = aiter(subscription)
    for number in range(2 * MAX_DELTAS):
        bus.publish(ToolOutput(call_id=str(number), text="x"))
    for _ in range(MAX_DELTAS):
        await anext(reader)
    bus.publish(TextDelta("again"))
    assert await anext(reader) == TextDelta("again")


async def test_a_reader_that_waits_is_woken_and_a_closed_one_ends():
    bus = Bus()
    subscription = bus.subscribe()
    waiting = asyncio.ensure_future(anext(aiter(subscription)))
    bus.publish(RECORDS[0])
    assert await waiting == RECORDS[0]
    bus.close()
    bus.publish(RECORDS[1])
    assert [item async for item in subscription] == []
