"""The plan as a fold, what changes between two of its states, and what the model is told of it."""

import pytest
from event_logs import numbered, prompt

from goose_py.agent.limits import Spending
from goose_py.agent.planner import UPDATE_PLAN_SPEC, PlanState, step_events
from goose_py.agent.progress_note import REMIND_EVERY, ProgressNote, describe
from goose_py.protocol import events as ev
from goose_py.protocol.plan import Plan, PlanStep
from goose_py.toolbox.repair import Repaired, repair


def plan(*steps):
    """Steps as "x done", "> doing", "! failed", "  pending"."""
    marks = {"x": "completed", ">": "in_progress", "!": "failed", " ": "pending"}
    return Plan(steps=tuple(PlanStep(title=step[2:], status=marks[step[0]]) for step in steps))


def state(*events):
    fold = PlanState()
    for record in numbered(list(events)):
        fold.feed(record)
    return fold


def back(seq):
    return ev.Rewound(tree="t", undo="u", scope="conversation", to_seq=seq)


OPEN, DONE = ev.PlanProposed(plan=plan("> one", "  two")), ev.PlanProposed(plan=plan("x one", "x two"))
YES, NO = ev.PlanDecided(approved=True, by="user"), ev.PlanDecided(approved=False, by="user")


@pytest.mark.parametrize(
    ("events", "has_plan", "decision"),
    [
        ((), False, "open"),
        ((OPEN,), True, "open"),
        ((OPEN, YES), True, "approved"),
        ((OPEN, YES, OPEN), True, "approved"),
        ((OPEN, NO), True, "rejected"),
        ((OPEN, NO, OPEN), True, "open"),
        ((OPEN, NO, OPEN, YES), True, "approved"),
        ((OPEN, YES, prompt()), True, "approved"),
        ((OPEN, YES, DONE), True, "approved"),
        ((OPEN, YES, DONE, prompt()), False, "open"),
        ((OPEN, YES, DONE, prompt("later", "q", "queue")), True, "approved"),
        ((OPEN, YES, DONE, prompt("later", "q", "queue"), ev.PromptDelivered(prompt_id="q")), False, "open"),
        ((OPEN, YES, DONE, prompt(), OPEN), True, "open"),
        ((OPEN, YES, back(0)), False, "open"),
        ((OPEN, YES, back(1)), True, "open"),
        ((prompt(), OPEN, YES, DONE, prompt(), back(4)), True, "approved"),
        ((OPEN, NO, back(0), YES), False, "open"),
    ],
)
def test_a_decision_holds_while_the_plan_is_revised_and_ends_with_a_finished_plan(events, has_plan, decision):
    fold = state(*events)
    assert (fold.plan is not None, fold.decision) == (has_plan, decision)
    assert fold.approved is (has_plan and decision == "approved")
    assert fold.undecided is (has_plan and decision != "approved")


def changes(before, after):
    return [
        (type(event).__name__.removeprefix("PlanStep"), event.index, event.title, getattr(event, "status", ""))
        for event in step_events(before, after)
    ]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (None, plan("  a", "  b"), []),
        (None, plan("> a", "  b"), [("Started", 0, "a", "")]),
        (plan("> a", "  b"), plan("x a", "> b"), [("Finished", 0, "a", "completed"), ("Started", 1, "b", "")]),
        (plan("> a"), plan("! a"), [("Finished", 0, "a", "failed")]),
        (plan("> a"), plan("> a"), []),
        (plan("> a"), plan("  new", "> a"), []),
        (plan("> a"), plan("> other"), [("Started", 0, "other", "")]),
        (plan("x a"), plan("> a"), [("Started", 0, "a", "")]),
        (plan("x a", "> a"), plan("x a", "x a"), [("Finished", 1, "a", "completed")]),
        (plan("> a"), plan("  a"), []),
    ],
)
def test_step_events_say_what_changed_between_two_plans(before, after, expected):
    assert changes(before, after) == expected


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"steps": [{"title": "a", "status": "pending"}]}, 1),
        ({"steps": {"title": "a", "status": "pending"}}, 1),
        ({"steps": '[{"title": "a", "status": "pending"}]'}, 1),
    ],
)
def test_a_plan_in_nearly_the_right_shape_is_mended(given, steps):
    mended = repair(given, UPDATE_PLAN_SPEC.input_schema)
    assert isinstance(mended, Repaired)
    assert len(mended.arguments["steps"]) == steps


@pytest.mark.parametrize(
    "given", [{}, {"steps": []}, {"steps": [{"title": "a"}]}, {"steps": [{"title": "a", "status": "soon"}]}]
)
def test_a_plan_that_is_none_is_answered_with_what_is_expected(given):
    assert "Expected: steps" in repair(given, UPDATE_PLAN_SPEC.input_schema)


def test_a_plan_is_described_in_one_line_a_step():
    assert describe(plan("x a", "> b", "! c", "  d")) == "Plan, 1 of 4 done:\n[x] a\n[>] b\n[!] c\n[ ] d"


class TestTurnContext:
    """What is said before each request, none of it twice."""

    def note(self, context, the_plan=None, spending=None, limits=None, now=0.0):
        said = context.note(the_plan, spending or Spending(), limits or ev.Limits(), now)
        return said.text if said else ""

    def test_an_unfinished_plan_is_shown_when_a_turn_begins_and_again_after_some_silence(self):
        context, current = ProgressNote(), plan("> a", "  b")
        shown = [n for n in range(20) if self.note(context, current)]
        assert shown == [0, REMIND_EVERY + 1, 2 * (REMIND_EVERY + 1)]

    def test_a_plan_that_the_model_just_wrote_is_not_shown_to_it(self):
        context = ProgressNote()
        assert self.note(context) == ""
        assert [self.note(context, plan("> a")) for _ in range(REMIND_EVERY)] == [""] * REMIND_EVERY
        assert "[>] a" in self.note(context, plan("> a"))

    @pytest.mark.parametrize("current", [None, plan("x a")])
    def test_without_open_steps_there_is_nothing_to_remind_of(self, current):
        context = ProgressNote()
        assert [self.note(context, current) for _ in range(20)] == [""] * 20

    def test_each_threshold_of_a_limit_is_told_once(self):
        context, limits = ProgressNote(), ev.Limits(max_turns=20)
        said = [self.note(context, None, Spending(turns=turns), limits) for turns in range(20)]
        assert {n: text for n, text in enumerate(said) if text} == {
            10: "Used 10 of 20 model turns.",
            16: "Used 16 of 20 model turns. Bring the work to a state that can be handed over.",
            19: "Used 19 of 20 model turns. Bring the work to a state that can be handed over.",
        }

    def test_time_and_money_are_told_in_their_own_units(self):
        limits = ev.Limits(max_seconds=100, max_cost=2.0, max_tokens=1000)
        spending = Spending(cost=1.7, seconds=40.0, turn_started_at=1000.0)
        assert self.note(ProgressNote(), None, spending, limits, now=1015.0).splitlines() == [
            "Used 55 of 100 seconds.",
            "Used 1.7000 of 2 dollars. Bring the work to a state that can be handed over.",
        ]
