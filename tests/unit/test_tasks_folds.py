"""What is read out of a task's log: checkpoints, the review base, where changes came from, what a pull request says."""

from typing import Any

import pytest

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, ToolCall, Usage
from goose_py.protocol.plan import Plan, PlanStep
from goose_py.tasks.changes.pull_request import body, title
from goose_py.tasks.changes.rebasing import conflict_hunks
from goose_py.tasks.changes.review_base import last_applied, review_base
from goose_py.tasks.history.checkpoints import call_checkpoints, checkpoints, chosen, chosen_call
from goose_py.tasks.history.recorded_states import recorded_states
from goose_py.tasks.inbox import questions
from goose_py.tasks.next_commands import next_commands
from goose_py.tasks.summary import TaskSummary, summarise

REF = ModelRef(provider="test", model="tester")
STARTED = ev.SessionStarted(session_id="t", workspace="/w", repository="/r", model=REF, base_tree="base", checks=("make test",))


def log(*events: Any) -> list[ev.Record]:
    return [ev.Record(seq=number, at=100.0 + number, event=event) for number, event in enumerate((STARTED, *events), 1)]


def said(text: str, delivery: str = "now") -> ev.PromptReceived:
    return ev.PromptReceived(prompt_id=text, parts=(Text(text),), delivery=delivery)  # type: ignore[arg-type]


def changed(before: str, after: str) -> ev.ChangesRecorded:
    return ev.ChangesRecorded(tree_before=before, tree_after=after, files=1, added=2, removed=3)


def applied(tree: str, how: str = "worktree", result: str = "result") -> ev.ChangesApplied:
    return ev.ChangesApplied(base_tree="base", result_tree=result, tree=tree, how=how, target="main")


def rebased(tree: str, base_tree: str) -> ev.Rebased:
    return ev.Rebased(base="c2", base_tree=base_tree, tree=tree, undo="u", branch="main")


DONE = ev.TurnEnded(outcome="done")
TWO_TURNS = (
    said("first"), ev.TurnStarted(turn=1), changed("base", "one"), DONE,
    said("second"), ev.TurnStarted(turn=2), changed("by hand", "two"), DONE,
)  # fmt: skip


def test_there_is_a_checkpoint_before_each_turn_with_what_a_person_changed_in_between():
    first, second = checkpoints(log(*TWO_TURNS))
    assert (first.turn, first.tree, first.to_seq, first.prompt) == (1, "base", 1, "first")
    assert (second.turn, second.tree, second.to_seq, second.prompt) == (2, "by hand", 5, "second")


def test_a_turn_that_changed_nothing_has_a_checkpoint_too_also_after_a_rewind_or_a_rebase():
    events = (*TWO_TURNS, ev.Rewound(tree="one", undo="two"), ev.TurnStarted(turn=3), DONE, rebased("new", "tip"))
    found = checkpoints(log(*events, said("fourth"), ev.TurnStarted(turn=4), DONE))
    assert [(point.turn, point.tree) for point in found[2:]] == [(3, "one"), (4, "new")]
    assert found[2].to_seq == 10, "a turn without a prompt of its own is cut where it began"


def test_a_checkpoint_is_named_by_its_turn_and_the_last_one_is_the_default():
    found = checkpoints(log(*TWO_TURNS))
    assert chosen(found, None).turn == 2 and chosen(found, "1").turn == 1
    for points, name in ((found, "7"), ((), None)):
        with pytest.raises(UserError):
            chosen(points, name)


@pytest.mark.parametrize(("events", "base"), [
    ((), "base"),
    ((applied("part"),), "part"),
    ((applied("part"), rebased("r", "tip")), "tip"),
    ((rebased("r", "tip"), applied("part")), "part"),
    ((ev.Rewound(tree="one", undo="two"),), "base"),
])  # fmt: skip
def test_changes_are_compared_with_what_was_applied_last(events: tuple[Any, ...], base: str):
    assert review_base(log(*events), "default") == base
    assert review_base([], "default") == "default"


def recorded(state: str, call_id: str = "", during: bool = False) -> ev.StateRecorded:
    return ev.StateRecorded(tree=state.split("+")[0], state=state, call_id=call_id, during=during)


def shell(call_id: str, command: str) -> ev.ToolStarted:
    return ev.ToolStarted(call=ToolCall(id=call_id, name="shell", arguments={"command": command}))


CALLS = (
    said("do it"), ev.TurnStarted(turn=1), recorded("base"), shell("a1", "make one"), recorded("one", "a1"),
    shell("b2", "ls"), recorded("one", "b2"), shell("b3", "make cache"), recorded("one+cache", "b3"), changed("base", "one"),
    DONE, said("again"), ev.TurnStarted(turn=2), recorded("hand"), changed("one", "hand"), shell("c1", "x"),
    recorded("two", "c1"), DONE,
)  # fmt: skip


def test_each_recorded_state_tells_the_call_that_made_it():
    found = recorded_states(log(*CALLS), ["base", "one", "hand", "two"])
    assert [state.cause for state in found] == [
        "as it began", "turn 1: Shell make one", "by hand, before turn 2", "turn 2: Shell x",
    ]  # fmt: skip
    assert [state.said for state in found] == ["", "do it", "", "again"]


def test_before_each_call_is_a_state_to_go_back_to_by_its_name_or_its_id():
    points = call_checkpoints(log(*CALLS))
    assert [(each.name, each.state, each.changed) for each in points] == [
        ("1.1", "base", True), ("1.2", "one", False), ("1.3", "one", True), ("2.1", "hand", True),
    ]  # fmt: skip
    assert chosen_call(points, "1.3") == chosen_call(points, "b3") and "make cache" in chosen_call(points, "b3").words
    with pytest.raises(UserError, match="2 calls"):
        chosen_call(points, "b")
    with pytest.raises(UserError, match="no calls"):
        chosen_call(points, "3.1")
    assert [(point.tree, point.state) for point in checkpoints(log(*CALLS))] == [("base", "base"), ("hand", "hand")]
    back = ev.Rewound(tree="one", undo="two", state="one", undo_state="two")
    later = call_checkpoints(log(*CALLS, back, ev.TurnStarted(turn=3), shell("d1", "x"), recorded("three", "d1")))
    assert (later[-1].name, later[-1].state) == ("3.1", "one")


def test_a_log_of_an_earlier_version_has_no_calls_to_go_back_to():
    assert call_checkpoints(log(*TWO_TURNS)) == ()


def test_only_the_parts_between_conflict_markers_are_shown_with_their_place():
    lines = [f"line {number}" for number in range(1, 30)]
    lines[10:10] = ["<<<<<<< ours", "a", "||||||| base", "b", "=======", "c", ">>>>>>> theirs"]
    shown = conflict_hunks("\n".join(lines))
    assert shown.startswith("@@ line 8 @@\nline 8\nline 9\nline 10\n<<<<<<< ours") and shown.endswith("line 13")
    assert "line 1\n" not in shown and conflict_hunks("no markers\n") == ""
    assert conflict_hunks(">>>>>>> alone\n") == ""


def test_a_pull_request_says_what_was_asked_planned_checked_and_spent():
    plan = Plan(steps=(PlanStep(title="Mend it", acceptance="tests pass", status="completed"), PlanStep(title="Tell")))
    records = log(
        said("Fix the\nthing"), ev.TurnStarted(turn=1), ev.PlanProposed(plan=plan),
        ev.ModelReplied(message=AssistantMessage(parts=(Text("It is \x1b[31mfixed."),), origin=REF)),
        ev.UsageRecorded(model=REF, usage=Usage(input_tokens=10, output_tokens=3), cost=0.25),
        changed("base", "one"), ev.VerificationFinished(command="make test", exit_code=0, tree="one"), DONE,
    )  # fmt: skip
    text = body(summarise("t", records), records)
    assert "> Fix the\n> thing" in text and "- [x] Mend it (tests pass)\n- [ ] Tell" in text
    assert "passed: make test" in text and "$0.2500" in text and "+2 −3" in text and "\x1b" not in text
    assert "make test" in body(summarise("t", records[:2]), records[:2]) and "not run" in body(summarise("t", log()), log())
    assert len(title(TaskSummary(task_id="t", title="word " * 40))) <= 72


def test_a_summary_knows_what_was_delivered_what_is_missing_and_how_long_it_took():
    records = log(ev.Warned(text="no .env"), *TWO_TURNS, ev.Warned(text="later"))
    assert summarise("t", records).missing == ("no .env",)
    assert summarise("t", records).seconds == 4.0
    delivered = log(*TWO_TURNS, applied("two", how="pull request", result="two"))
    assert summarise("t", delivered).state == "delivered" and summarise("t", delivered).delivered == "main"
    moved = summarise("t", log(*TWO_TURNS, rebased("new", "tip")))
    assert (moved.base, moved.base_tree, moved.result_tree, moved.changed) == ("c2", "tip", "new", True)
    costs = {cost: ev.UsageRecorded(model=REF, usage=Usage(), cost=cost) for cost in (0.5, None)}
    assert [summarise("t", log(costs[0.5], costs[known])).unpriced for known in costs] == [False, True]


@pytest.mark.parametrize(("events", "alive", "state", "detail"), [
    ((), False, "queued", ""),
    ((ev.TurnStarted(turn=1),), True, "planning", ""),
    ((ev.TurnStarted(turn=1),), False, "failed", "ended while a turn was running"),
    ((ev.TurnStarted(turn=1), ev.TurnEnded(outcome="interrupted")), True, "cancelled", "interrupted"),
    ((ev.TurnStarted(turn=1), ev.TurnEnded(outcome="limit", detail="The limit.")), False, "failed", "The limit."),
    ((ev.TurnStarted(turn=1), DONE), False, "idle", ""),
    ((*TWO_TURNS, ev.TurnStarted(turn=3), ev.TurnEnded(outcome="interrupted")), False, "awaiting review", "interrupted"),
    ((*TWO_TURNS, applied("two", result="two"), ev.TaskEnded(state="merged")), False, "merged", ""),
    ((*TWO_TURNS, applied("two", result="two"), ev.TaskEnded(state="merged"), applied("base", ev.UNDONE)), False,
     "awaiting review", ""),
    ((*TWO_TURNS, ev.Rewound(tree="base", undo="two")), False, "idle", ""),
])  # fmt: skip
def test_the_state_of_a_task_says_what_happened(events: tuple[Any, ...], alive: bool, state: str, detail: str):
    found = summarise("t", log(said("first"), *events), alive=alive)
    assert found.state == state and detail in found.detail


def test_the_size_of_a_change_is_that_of_what_is_there_after_a_rewind():
    assert summarise("t", log(*TWO_TURNS)).files == 1
    assert summarise("t", log(*TWO_TURNS, ev.Rewound(tree="base", undo="two"))).files == 0
    assert summarise("t", log(*TWO_TURNS, ev.Rewound(tree="one", undo="two"))).added == 2


def test_each_end_has_its_way_to_go_on():
    def commands(outcome: ev.Outcome | None, *, changed: bool = False) -> list[str]:
        found = next_commands("t", outcome, changed=changed)
        return [each.command.removeprefix("goose-py ").replace(" t", "", 1) for each in found]

    assert commands("done") == [] and commands("done", changed=True) == ["review", "apply --all"]
    assert commands("interrupted") == commands(None) == ["task resume"]
    assert commands("limit", changed=True) == ["task limit", "task resume", "review", "apply --all"]
    assert commands("awaiting_plan")[0] == "inbox answer --allow"


def test_what_was_applied_last_can_be_taken_back_until_the_task_stands_elsewhere():
    undone = applied("base", ev.UNDONE)
    assert last_applied(log(*TWO_TURNS)) is None
    assert last_applied(log(applied("one"), applied("two"))) == applied("two")
    assert last_applied(log(applied("one"), applied("two"), undone)) == applied("one")
    assert last_applied(log(applied("one"), undone)) is None
    for later in (rebased("r", "tip"), applied("two", "squash"), applied("two", "pull request")):
        assert last_applied(log(applied("one"), later)) is None
    assert review_base(log(applied("one"), undone), "default") == "base"


def test_recorded_states_are_told_in_the_order_of_time_also_where_a_tree_returns():
    records = log(*TWO_TURNS, ev.Rewound(tree="one", undo="two"), rebased("new", "tip"))
    found = recorded_states(records, ["base", "one", "by hand", "two", "one", "looked at", "new"])
    assert [state.cause for state in found] == [
        "as it began", "turn 1", "by hand, before turn 2", "turn 2", "rewound to", "changed between two turns",
        "rebased on main",
    ]  # fmt: skip
    assert [state.said for state in found[:4]] == ["", "first", "", "second"]
    assert found[0].at == 101.0 and found[5].at is None


def test_questions_that_nobody_waits_for_any_more_are_not_asked():
    call = ToolCall(id="1", name="shell", arguments={"command": "one\ntwo"})
    asked = ev.ApprovalRequested(approval_id="q", call=call, reason="Not known", cause="one", patterns=("one",))
    records = log(said("x"), ev.TurnStarted(turn=1), asked)
    (found,) = questions(summarise("t", records, alive=True), records)
    assert found.kind == "approval" and found.details == ("one", "two") and found.reason == "Not known (one)"
    (dead,) = questions(summarise("t", records), records)
    assert dead.kind == "trouble" and "resume" in dead.text and not summarise("t", records).question
    answered = [*records, *log(ev.ApprovalResolved(approval_id="q", allowed=True, by="user"))[1:]]
    assert questions(summarise("t", answered, alive=True), answered) == ()


def test_a_summary_is_of_the_files_that_are_there():
    checked = ev.VerificationFinished(command="make test", exit_code=0, tree="two")
    records = log(*TWO_TURNS, checked)
    assert summarise("t", records).checks == "passed"
    assert summarise("t", records, tree="edited by hand").checks == "stale"
    assert summarise("t", records, tree="base").changed is False
    rewound = summarise("t", log(*TWO_TURNS, checked, ev.Rewound(tree="base", undo="two")))
    assert (rewound.changed, rewound.files, rewound.added, rewound.checks) == (False, 0, 0, "stale")
    landed = log(*TWO_TURNS, checked, applied("part", result="edited by hand"))
    assert summarise("t", landed).checks == "stale"


def test_a_conversation_in_which_nothing_was_said_waits_for_nothing():
    assert summarise("t", log(), alive=True).state == "idle"
