"""What a session has spent, and when that is too much."""

import pytest
from event_logs import MINE, numbered, prompt, replied

from goose_py.agent.limits import Spending, Warnings, exceeded, seconds_spent, spend
from goose_py.protocol import events as ev
from goose_py.protocol.messages import Usage


def used(cost=0.5, phase="execute", **tokens):
    return ev.UsageRecorded(model=MINE, usage=Usage(**tokens), cost=cost, phase=phase)


def spending(*records):
    total = Spending()
    for record in records:
        total = spend(total, record)
    return total


def at(time, event):
    return ev.Record(seq=1, at=time, event=event)


START, END = ev.TurnStarted(turn=1), ev.TurnEnded(outcome="done")


def test_every_request_counts_also_those_of_a_summary_and_cached_tokens():
    events = [used(input_tokens=10, output_tokens=2), used(cache_read_tokens=30, phase="summarise"), used(cache_write_tokens=5)]
    total = spending(*numbered(events))
    assert (total.turns, total.tokens, total.cost, total.unpriced) == (3, 47, 1.5, False)


def test_a_reply_without_a_price_makes_the_cost_a_lower_bound():
    total = spending(*numbered([used(cost=None, input_tokens=10), used(cost=0.25)]))
    assert (total.cost, total.unpriced) == (0.25, True)


def test_time_counts_only_while_a_turn_runs():
    total = spending(at(10, START), at(14, replied("hi")), at(15, prompt()), at(15, END), at(500, START), at(503, used()))
    assert seconds_spent(total, now=506) == 5 + 6


def test_the_days_between_a_crash_and_the_resume_are_not_counted():
    closed = ev.TurnEnded(outcome="interrupted")
    total = spending(at(10, START), at(14, replied("hi")), at(14 + 3 * 86400, closed))
    assert total.seconds == 4


def test_a_clock_that_was_set_back_never_gives_negative_time():
    total = spending(at(100, START), at(50, replied("hi")), at(50, END), at(40, START))
    assert (total.seconds, seconds_spent(total, now=30)) == (0, 0)


def test_a_fork_begins_with_a_budget_of_its_own():
    started = ev.SessionStarted(session_id="s", workspace="/", model=MINE)
    total = spending(*numbered([started, START, used(input_tokens=10), started, used(cost=0.1, input_tokens=3)]))
    assert (total.turns, total.tokens, total.cost, total.turn_started_at) == (1, 3, 0.1, None)


SPENT = Spending(turns=5, seconds=60.0, cost=1.5, usage=Usage(input_tokens=1000))


@pytest.mark.parametrize(
    ("limits", "name"),
    [
        (ev.Limits(), None),
        (ev.Limits(max_turns=6, max_seconds=61, max_cost=1.51, max_tokens=1001), None),
        (ev.Limits(max_turns=5), "turns"),
        (ev.Limits(max_turns=0), "turns"),
        (ev.Limits(max_seconds=60), "time"),
        (ev.Limits(max_cost=1.5), "cost"),
        (ev.Limits(max_tokens=999), "tokens"),
        (ev.Limits(max_tokens=1, max_cost=1), "cost"),
    ],
)
def test_a_limit_is_reached_when_all_of_it_is_used(limits, name):
    reached = exceeded(SPENT, limits, now=0.0)
    assert (reached.limit if reached else None) == name


def test_the_sentence_names_the_limit_and_what_was_used():
    assert str(exceeded(SPENT, ev.Limits(max_cost=1), now=0.0)) == "The limit of 1 dollar is reached (1.5000 used)."


def test_a_warning_is_given_once_and_not_again_in_the_next_turn():
    warnings = Warnings(ev.Limits(max_turns=6, max_cost=1.0), SPENT, now=0.0)
    assert warnings.due(SPENT, now=0.0) == ()
    more = Spending(turns=6, cost=2.0)
    assert [said.text for said in warnings.due(more, now=0.0)] == [
        "This task has used 6 model turns; you asked to be told at 6."
    ]
    assert warnings.due(more, now=0.0) == ()
    assert Warnings(ev.Limits(max_turns=6), more, now=0.0).due(more, now=0.0) == ()


@pytest.mark.case("P20")
def test_a_turn_knows_itself_how_long_it_took_whatever_the_clock_said_meanwhile():
    measured = ev.TurnEnded(outcome="done", seconds=4.5)
    total = spending(at(10, START), at(3_610, replied("the clock was set")), at(3_611, measured))
    assert total.seconds == 4.5
