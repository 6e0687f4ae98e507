"""What the reducer makes of a task's events."""

import time

import msgspec
import pytest
from tui.recorded import DANGEROUS, Log, call, coupon, plan, prompt, reply, started, tool, usage

from goose_py.protocol import events as ev
from goose_py.protocol.deltas import Delta, TextDelta, ThinkingDelta, ToolCallDelta, ToolOutput
from goose_py.protocol.messages import Image, Text, ToolResult
from goose_py.tui.state.persistent_vector import CHUNK, Vector
from goose_py.tui.state.reducer import CASES, reduce
from goose_py.tui.state.view_state import (
    CheckItem,
    NoticeItem,
    PlanItem,
    TextItem,
    ThinkingItem,
    ToolItem,
    UserItem,
    ViewState,
)


def replay(items: list[ev.Record | Delta], state: ViewState | None = None) -> ViewState:
    state = state or ViewState()
    for item in items:
        state = reduce(state, item)
    return state


def kinds(state: ViewState) -> list[str]:
    return [type(item).__name__ for item in state.items]


def test_every_durable_event_and_delta_has_a_case():
    expected = set(ev.DurableEvent.__args__) | set(Delta.__args__)
    assert set(CASES) == expected


def test_a_whole_conversation_becomes_items_in_their_order():
    state = replay(coupon())
    assert kinds(state)[:3] == ["UserItem", "ThinkingItem", "TextItem"]
    assert state.outcome == "done" and not state.running
    assert state.plan is not None and state.plan.finished
    assert [check.exit_code for check in state.checks] == [0]
    assert state.model is not None and str(state.model) == "anthropic/sonnet-5 · high"
    assert round(state.cost, 2) == 0.50 and state.context_tokens == 84_700
    tools = [item for item in state.items if isinstance(item, ToolItem)]
    assert [item.state for item in tools] == ["ok", "ok", "failed", "ok", "ok"]
    assert not state.open_calls and not state.approvals


def test_streaming_gives_the_same_state_as_replaying_the_log():
    records = coupon()
    live: list[ev.Record | Delta] = []
    for record in records:
        if isinstance(record.event, ev.ModelReplied):
            text = record.event.message.text()
            live += [ThinkingDelta("some"), *(TextDelta(char) for char in text), ToolCallDelta(name="read", size=9)]
        if isinstance(record.event, ev.ToolFinished):
            live.append(ToolOutput(call_id=record.event.result.call_id, text="noise\n"))
        live.append(record)
    assert replay(live) == replay(list(records))


def test_a_record_that_was_seen_already_changes_nothing():
    state = replay(coupon("edit"))
    assert replay(coupon("edit"), state) is state
    assert replay(coupon(), state) == replay(coupon())


def test_text_grows_while_it_streams_and_the_reply_takes_its_place():
    state = replay([*coupon("edit"), ThinkingDelta("hm"), TextDelta("Next "), TextDelta("I add")])
    assert [type(item).__name__ for item in state.live] == ["ThinkingItem", "TextItem"]
    assert state.live[0].open is False
    assert state.live[1] == TextItem(text="Next I add", open=True)
    before = len(state.items)
    after = reduce(state, ev.Record(seq=state.seq + 1, at=0.0, event=reply("Next I add a test.", thinking="hm")))
    assert after.live == ()
    assert [type(item) for item in list(after.items)[before:]] == [ThinkingItem, TextItem]


def test_what_is_recorded_while_the_model_writes_stands_before_its_text():
    state = replay([*coupon("edit"), TextDelta("half")])
    state = reduce(state, ev.Record(seq=state.seq + 1, at=0.0, event=ev.Warned(text="disk nearly full")))
    assert isinstance(state.items[-1], NoticeItem) and state.live[0].text == "half"


def test_a_retry_throws_the_half_reply_away_and_counts_down():
    log = Log().add(started(), prompt("x"), ev.TurnStarted(turn=1))
    state = replay([*log.records, TextDelta("half")])
    log.add(ev.ModelRetried(attempt=2, delay=5.0, reason="overloaded"))
    state = reduce(state, log.records[-1])
    assert state.live == () and state.retry is not None
    assert state.retry.due == log.records[-1].at + 5.0 and state.retry.attempt == 2
    assert reduce(state, TextDelta("again")).retry is None


def test_an_interrupted_turn_closes_its_calls_truthfully():
    made = [call(f"k{n}", "shell", command=f"sleep {n}") for n in range(3)]
    log = Log().add(started(), prompt("x"), ev.TurnStarted(turn=1), reply("", *made), *tool(made[0], "done"))
    log.add(ev.ToolStarted(call=made[1]))
    state = replay([*log.records, ToolOutput(call_id="k1", text="so far\n"), TextDelta("cut")])
    log.add(ev.TurnEnded(outcome="interrupted"))
    state = reduce(state, log.records[-1])
    tools = [item for item in state.items if isinstance(item, ToolItem)]
    assert [item.state for item in tools] == ["ok", "unknown", "skipped"]
    assert tools[1].result == "so far\n"
    assert state.live == (TextItem(text="cut", cut=True),)
    assert isinstance(state.items[-1], NoticeItem) and state.items[-1].text == "interrupted"


def test_approvals_are_a_queue_in_the_order_of_asking():
    first, second = call("k1", "shell", command="a"), call("k2", "shell", command="b")
    log = Log().add(started(), ev.TurnStarted(turn=1), reply("", first, second))
    log.add(ev.ApprovalRequested(approval_id="a1", call=first, reason="r"))
    log.add(ev.ApprovalRequested(approval_id="a2", call=second, reason="r"))
    state = replay(list(log.records))
    assert [approval.approval_id for approval in state.approvals] == ["a1", "a2"]
    assert [item.state for item in state.items if isinstance(item, ToolItem)] == ["asking", "asking"]
    log.add(ev.ApprovalResolved(approval_id="a1", allowed=False, by="user"), *tool(first, "Denied", failed=True)[1:])
    state = replay(list(log.records))
    assert [approval.approval_id for approval in state.approvals] == ["a2"]
    assert [item.state for item in state.items if isinstance(item, ToolItem)] == ["denied", "asking"]


def test_a_call_that_no_reply_announced_is_shown_all_the_same():
    state = replay(Log().add(started(), ev.ToolStarted(call=DANGEROUS)).records)
    assert isinstance(state.items[-1], ToolItem) and state.items[-1].state == "running"


def test_queued_prompts_wait_until_they_are_delivered_or_withdrawn():
    log = Log().add(started(), prompt("go"), ev.TurnStarted(turn=1))
    log.add(
        prompt("steer me", "p2", delivery="steer"),
        prompt("later", "p3", delivery="queue"),
        prompt("no", "p4", delivery="queue"),
    )
    state = replay(list(log.records))
    assert [queued.text for queued in state.queued] == ["steer me", "later", "no"] and kinds(state) == ["UserItem"]
    log.add(ev.PromptDelivered(prompt_id="p2"), ev.PromptWithdrawn(prompt_id="p4"))
    state = replay(list(log.records))
    assert [queued.text for queued in state.queued] == ["later"]
    assert state.items[-1] == UserItem(seq=7, prompt_id="p2", text="steer me", steered=True)


def test_a_plan_that_only_moves_on_is_one_item_and_new_steps_are_another():
    log = Log().add(started(), ev.TurnStarted(turn=1), ev.PlanProposed(plan=plan("pending", "pending")))
    state = replay(list(log.records))
    assert not state.plan_waits
    log.add(ev.PlanDecided(approved=True, by="user", comment="fine"), ev.PlanProposed(plan=plan("completed", "in_progress")))
    state = replay(list(log.records))
    assert kinds(state) == ["PlanItem"] and state.items[0].by == "user" and state.plan.progress() == (1, 2)
    log.add(ev.PlanProposed(plan=plan("completed", "pending", titles=("a", "b"))))
    state = replay(list(log.records))
    assert kinds(state) == ["PlanItem", "PlanItem"]
    assert state.items[1].replaced and state.items[1].approved


def test_a_plan_waits_for_a_decision_once_its_turn_is_over():
    log = Log().add(started(mode="plan"), ev.TurnStarted(turn=1), ev.PlanProposed(plan=plan("pending")))
    log.add(ev.TurnEnded(outcome="awaiting_plan"))
    assert replay(list(log.records)).plan_waits
    log.add(ev.PlanDecided(approved=True, by="user"))
    assert not replay(list(log.records)).plan_waits


def test_a_finished_plan_goes_with_the_next_prompt():
    log = Log().add(started(), ev.PlanProposed(plan=plan("completed")), prompt("next"))
    state = replay(list(log.records))
    assert state.plan is None and isinstance(state.items[0], PlanItem)


def test_the_last_run_of_each_check_is_the_evidence():
    log = Log().add(started())
    for command, code in (("pytest", 1), ("ruff", 0), ("pytest", 0)):
        log.add(ev.VerificationFinished(command=command, exit_code=code, tree="t"))
    state = replay(list(log.records))
    assert [(check.command, check.passed) for check in state.checks] == [("pytest", True), ("ruff", True)]
    assert sum(isinstance(item, CheckItem) for item in state.items) == 3


def test_a_cost_without_a_price_is_a_lower_bound():
    state = replay(Log().add(started(), usage(cost=0.2), usage(cost=None)).records)
    assert state.cost == 0.2 and state.unpriced


def test_tool_output_keeps_only_its_tail_while_the_tool_runs():
    made = call("k1", "shell", command="yes")
    state = replay(Log().add(started(), reply("", made), ev.ToolStarted(call=made)).records)
    for _ in range(100):
        state = reduce(state, ToolOutput(call_id="k1", text="y\n" * 1000))
    item = state.items[-1]
    assert isinstance(item, ToolItem) and len(item.output) == 16_384
    assert reduce(state, ToolOutput(call_id="nobody", text="x")) is state


def test_images_are_counted_and_their_data_is_not_kept():
    image = Image(media_type="image/png", data="AAAA")
    log = Log().add(started(), ev.PromptReceived(prompt_id="p", parts=(Text("look"), image)))
    made = call("k1", "read", path="a.png")
    log.add(reply("", made), ev.ToolFinished(result=ToolResult(call_id="k1", content=(image,))))
    user, item = replay(list(log.records)).items
    assert user.images == 1 and user.text == "look" and item.images == 1


def test_states_are_values_that_never_change():
    state = replay(coupon("edit"))
    items = tuple(state.items)
    replay(coupon(), state)
    assert tuple(state.items) == items
    with pytest.raises(AttributeError):
        state.title = "x"  # type: ignore[misc]


def test_ten_thousand_messages_are_reduced_in_well_under_a_second_of_cpu_time():
    records = [ev.Record(seq=n, at=0.0, event=reply(f"message {n}")) for n in range(1, 10_001)]
    begun = time.process_time()
    state = replay(list(records))
    assert len(state.items) == 10_000
    assert time.process_time() - begun < 1.0


def test_a_vector_shares_what_did_not_change_and_names_what_did():
    vector: Vector[int] = Vector(range(3 * CHUNK + 5))
    longer = vector.append(-1)
    changed = longer.replace(CHUNK + 1, -2)
    assert list(vector) == list(range(3 * CHUNK + 5)) and len(longer) == len(vector) + 1
    assert list(changed.differences(vector)) == [CHUNK + 1, 3 * CHUNK + 5]
    assert longer[-1] == -1 and changed[CHUNK + 1] == -2 and vector[CHUNK + 1] == CHUNK + 1
    with pytest.raises(IndexError):
        vector.replace(len(vector), 0)


def test_a_vector_holds_what_was_appended_in_order():
    vector: Vector[int] = Vector()
    for number in range(5 * CHUNK):
        vector = vector.append(number)
        assert len(vector) == number + 1
    assert list(vector) == list(range(5 * CHUNK)) and vector == Vector(range(5 * CHUNK))


def test_the_state_refers_to_no_widget():
    assert msgspec.structs.asdict(ViewState())["items"] == Vector()
