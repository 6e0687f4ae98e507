"""What is spent: shown per turn, task and day, limited in every way of working, and the limit survives a resume."""

import asyncio
import json
import re
import time
from itertools import pairwise

import pytest
from command import PLAN, PLAN_DONE, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

PRICED = '[models."anthropic/scripted-model"]\nprice = {input = 1000.0, output = 1000.0, cache_read = 100.0}\n'
USAGE = {"input_tokens": 100, "output_tokens": 10, "cache_read_tokens": 1000}
EACH = 0.21  # (100 + 10) * 1000 / 1e6 + 1000 * 100 / 1e6


def working(count):
    return [{**calls(("read", {"path": "cart.py", "limit": number + 1})), "usage": USAGE} for number in range(count)]


def asked(server):
    return [request for request in server.requests if request.protocol]


def events(user, task_id):
    return [record.event for record in read_log(user.state / "tasks" / task_id).records]


LIMITS = [("--max-cost", "0.5", 3), ("--max-tokens", "3000", 3), ("--max-turns", "2", 2)]


@pytest.mark.case("U26")
@pytest.mark.parametrize(("flag", "amount", "requests"), LIMITS)
async def test_once_a_limit_is_reached_nothing_more_is_sent_until_it_is_raised(user, flag, amount, requests):
    done = [{"text": "Done.", "usage": USAGE}] * 4
    async with answered(user, [*working(requests), *done], config=PRICED) as server:
        ended = await user.goose("run", "-t", "Read on", flag, amount, "--output-format", "json")
        assert ended.code == 4 and ended.json["outcome"] == "limit" and len(asked(server)) == requests, ended
        task_id = ended.json["session_id"]
        for again in (("--resume", task_id), ("--resume", task_id, "-t", "Please")):
            stopped = await user.goose("run", *again, "--output-format", "json")
            assert stopped.code == 4 and len(asked(server)) == requests, "the limit survives a resume"
        shown = await user.goose("task", "limit", task_id, flag, "100000")
        assert shown.code == 0 and "limit 100000" in shown.out
        ended = await user.goose("run", "--resume", task_id, "--output-format", "json")
        assert ended.code == 0 and len(asked(server)) > requests
        limits = [event.limits for event in events(user, task_id) if isinstance(event, ev.LimitsSet)]
        assert len(limits) == 1 and getattr(limits[0], flag.removeprefix("--").replace("-", "_")) == 100000


@pytest.mark.case("U26")
async def test_the_time_limit_counts_what_earlier_turns_took(user):
    turns = [calls(("shell", {"command": "sleep 1.3"})), {"text": "Slept."}, {"text": "More."}]
    async with answered(user, turns) as server:
        ended = await user.goose("run", "-t", "Sleep", "--max-seconds", "30", "--output-format", "json")
        assert ended.code == 0
        task_id = ended.json["session_id"]
        assert (await user.goose("task", "limit", task_id, "--max-seconds", "1")).code == 0
        before = len(asked(server))
        stopped = await user.goose("run", "--resume", task_id, "-t", "Again", "--output-format", "json")
        assert stopped.code == 124 and stopped.json["outcome"] == "limit" and len(asked(server)) == before


@pytest.mark.case("U26")
async def test_a_task_in_the_background_obeys_the_same_limits_and_goes_on_when_they_are_raised_while_it_waits(user):
    async with answered(user, [*working(2), {"text": "Done."}], config=PRICED) as server:
        task_id = (await user.goose("task", "start", "Read on", "--max-cost", "0.3", "--mode", "auto")).out.strip()
        await server.received(2, within=30)
        await _ended(user, task_id, 1)
        assert (await user.goose("task", "limit", task_id, "--max-cost", "none")).code == 0
        assert (await user.goose("task", "resume", task_id)).code == 0
        await server.received(3, within=30)
        await _ended(user, task_id, 2)
    outcomes = [event.outcome for event in events(user, task_id) if isinstance(event, ev.TurnEnded)]
    assert outcomes == ["limit", "done"]


async def test_a_warning_comes_once_when_an_amount_is_passed(user):
    warn = '[limits]\nwarn_cost = 0.4\nwarn_turns = 2\n'
    async with answered(user, [*working(4), {"text": "Done.", "usage": USAGE}], config=warn + PRICED):
        ended = await user.goose("run", "-t", "Read on", "--output-format", "json")
    told = [warning for warning in ended.json["warnings"] if "you asked to be told" in warning]
    assert ended.code == 0 and len(told) == 2, ended.json["warnings"]
    assert any("0.4" in warning and "dollars" in warning for warning in told)


async def test_what_was_spent_is_told_by_turn_task_and_day_with_cached_and_uncached_tokens_apart(user):
    async with answered(user, [*working(2), {"text": "One."}, {"text": "Two.", "usage": USAGE}], config=PRICED):
        first = (await user.goose("run", "-t", "Read", "--output-format", "json")).json["session_id"]
        await user.goose("run", "--resume", first, "-t", "More")
    turns = json.loads((await user.goose("cost", first, "--json")).out)
    assert [turn["turn"] for turn in turns] == [1, 2]
    assert turns[1]["usage"]["cache_read_tokens"] == 1000 and turns[1]["cost"] == pytest.approx(EACH)
    assert turns[0]["usage"]["cache_read_tokens"] == 2000
    shown = (await user.goose("cost", first)).out
    assert "turn 2" in shown and "1,000 cached" in shown and "110" not in shown.split("uncached")[0].split()[-1]
    whole = json.loads((await user.goose("cost", "--json")).out)
    assert whole["days"][0]["day"] == time.strftime("%Y-%m-%d") and whole["tasks"][0]["task_id"] == first
    assert whole["days"][0]["cost"] == pytest.approx(whole["tasks"][0]["cost"]) == pytest.approx(sum(t["cost"] for t in turns))


async def test_a_model_without_a_price_is_said_to_cost_at_least_nothing(user):
    async with answered(user, [{"text": "Hello."}]):
        task_id = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
    shown = await user.goose("cost", task_id)
    assert "≥$0.0000" in shown.out and "price of some model is not known" in shown.out
    assert "Nothing was spent" not in (await user.goose("cost")).out


@pytest.mark.parametrize("arguments", [["--max-cost", "0"], ["--max-cost", "cheap"], ["--max-turns", "-1"]])
async def test_a_limit_that_is_none_is_refused_in_a_sentence(user, arguments):
    async with answered(user, [{"text": "Hello."}]):
        task_id = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
    refused = await user.goose("task", "limit", task_id, *arguments)
    assert refused.code == 2 and arguments[0] in refused.err and "Traceback" not in refused.err, refused


@pytest.mark.case("U27")
@pytest.mark.parametrize("protocol", ["anthropic", "responses", "chat", "ollama"])
async def test_every_request_begins_with_the_bytes_of_the_one_before_also_after_resumes_and_in_a_fork(user, protocol):
    """What arrived at the server: the whole body of request N, up to the end of its last message, stands at the beginning of
    request N + 1."""
    work = [calls(("read", {"path": "cart.py"})), calls(PLAN, ("shell", {"command": "echo 1"}), PLAN_DONE), {"text": "Done."}]
    async with answered(user, [*work, *work, *work, *work], protocol) as server:
        task_id = (await user.goose("run", "-t", "One", "--output-format", "json")).json["session_id"]
        await user.goose("run", "--resume", task_id, "-t", "Two")
        await user.goose("run", "--resume", task_id, "-t", "Three")
        await user.goose("run", "--resume", (await user.goose("session", "fork", task_id)).out.strip(), "-t", "Four")
    bodies = [_without_marks(request.raw) for request in asked(server)]
    assert server.objections == [] and len(bodies) == 12
    for number, (before, after) in enumerate(pairwise(bodies), 1):
        # What follows the last message's last text are closing quotes and brackets.
        assert after.startswith(before.rstrip(b'}]"')), f"request {number + 1} moved what request {number} had said"


def _without_marks(body):
    """Anthropic's markers move on with the conversation; a fork has another name for the provider's cache."""
    return re.sub(rb',"cache_control":{"type":"ephemeral"}|"prompt_cache_key":"[^"]*",', b"", body)


async def _ended(user, task_id, count):
    async with asyncio.timeout(30):
        while sum(isinstance(event, ev.TurnEnded) for event in events(user, task_id)) < count:
            await asyncio.sleep(0.05)
