"""Several tasks at once: how many work, in which order, after what, and what a crash leaves of the queue."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of, fork_servers, kill_worker, until

from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 40


def waiting_for(file: Path) -> list[dict]:
    return [calls(("shell", {"command": f"until [ -e {file.name} ]; do sleep 0.02; done"})), *DONE]


def _go(user: User, task_id: str) -> None:
    (Path(summary_of(folder_of(user, task_id)).workspace) / "go").touch()


def _states(user: User, ids: list[str]) -> list[str]:
    return [summary_of(folder_of(user, task)).state for task in ids]


async def _each(user: User, text: str, *args: str) -> list[str]:
    started = await user.goose("task", "start", "--each", "-", "--mode", "auto", *args, stdin=text)
    assert started.code == 0, started
    return started.out.split()


async def test_no_more_work_at_once_than_was_allowed_and_the_next_begins_when_one_has_ended(user):
    turns = [calls(("shell", {"command": "until [ -e go ]; do sleep 0.02; done"}))] * 2 + DONE
    async with answered(user, turns, config="[tasks]\nparallel = 2"):
        ids = await _each(user, "# three of them\none\ntwo\nthree\n")
        assert len(ids) == 3
        await asyncio.gather(*(ended(user, task, "running", "planning") for task in ids[:2]))
        assert _states(user, ids)[2] == "queued" and not folder_of(user, ids[2]).owned()
        listed = await user.goose("task", "list")
        assert "queued: 2 tasks are at work" in listed.out and not folder_of(user, ids[2]).owned()
        await ended(user, ids[0], "running", "planning")
        _go(user, ids[0])
        await ended(user, ids[0], "idle", "awaiting review")
        assert (await ended(user, ids[2], "idle", "awaiting review")).title == "three"
        _go(user, ids[1])
        await ended(user, ids[1], "idle", "awaiting review")


async def test_a_task_that_comes_after_another_starts_from_what_that_one_made(user):
    turns = [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config="[tasks]\nparallel = 4"):
        first = (await _each(user, "first\n"))[0]
        second = (await _each(user, "second\n", "--after", first))[0]
        await ended(user, first, "awaiting review")
        summary = await ended(user, second, "idle", "awaiting review")
        assert "sum(prices) - discount" in (Path(summary.workspace) / "cart.py").read_text()
        assert summary.files == 0, "what the first has changed is not the second's change"
        third = await user.goose("task", "start", "third", "--after", "nobody")
        assert third.code == 2 and "nobody" in third.err


async def test_tasks_that_declare_the_same_files_wait_for_each_other(user):
    turns = [calls(("shell", {"command": "until [ -e go ]; do sleep 0.02; done"})), *DONE]
    async with answered(user, turns):
        first = (await _each(user, "first\n", "--touches", "src/**"))[0]
        await ended(user, first, "running", "planning")
        second = (await _each(user, "second\n", "--touches", "src/a.py"))[0]
        third = (await _each(user, "third\n", "--touches", "src/a.py", "--together"))[0]
        await ended(user, third, "idle", "awaiting review")
        assert _states(user, [second]) == ["queued"]
        assert f"{first} works on src/**" in (await user.goose("task", "list")).out
        stopped, said = await user.goose("task", "stop", second), await user.goose("task", "say", second, "And b.py")
        assert f"`goose-py task discard {second} --yes`" in stopped.out
        assert said.code == 2 and f"`goose-py task resume {second}`" in said.err and _states(user, [second]) == ["queued"]
        _go(user, first)
        await ended(user, second, "idle", "awaiting review")


async def test_the_queue_survives_the_death_of_everything_that_worked(user):
    turns = [calls(("shell", {"command": "sleep 306"})), *DONE]
    async with answered(user, turns, config="[tasks]\nparallel = 1"):
        first, second = await _each(user, "first\nsecond\n")
        await ended(user, first, "running", "planning")
        kill_worker(folder_of(user, first))
        await ended(user, first, "failed")
        assert _states(user, [second]) == ["queued"]
        listed = await user.goose("task", "list", "--json")
        assert {task["task_id"] for task in json.loads(listed.out)} == {first, second}
        await ended(user, second, "idle", "awaiting review")
        assert not folder_of(user, second).waiting.exists()


async def test_a_task_that_waits_can_be_taken_back_and_what_it_was_to_do_is_kept(user):
    turns = [calls(("shell", {"command": "sleep 307"})), *DONE]
    async with answered(user, turns, config="[tasks]\nparallel = 1"):
        first, second = await _each(user, "first\nsecond\n")
        await ended(user, first, "running", "planning")
        taken_back = await user.goose("task", "discard", second)
        assert taken_back.code == 0 and "had not begun" in taken_back.out
        folder = folder_of(user, second)
        assert "second" in folder.withdrawn.read_text() and str(folder.withdrawn) in taken_back.out
        listed = await user.goose("task", "list", "--json")
        assert {task["task_id"] for task in json.loads(listed.out)} == {first}
        assert (await user.goose("task", "resume", second)).code == 2
        kill_worker(folder_of(user, first))


async def test_a_task_that_cannot_start_keeps_its_text_and_says_why_until_it_is_resumed(user):
    async with answered(user, DONE):
        config = user.root / "home" / "config" / "config.toml"
        good = config.read_text()
        config.write_text(good.replace('provider = "anthropic"\nmodel = "scripted-model"', 'provider = "openai"\nmodel = "x"'))
        started = await user.goose("task", "start", "--each", "-", "--base", "head", stdin="do this\n")
        task = started.out.strip()
        assert started.code == 2 and task in started.err and "OPENAI_API_KEY" in started.err
        summary = summary_of(folder_of(user, task))
        assert summary.state == "failed" and "OPENAI_API_KEY" in summary.detail and summary.title == "do this"
        config.write_text(good)
        assert (await user.goose("task", "resume", task)).code == 0
        await ended(user, task, "idle")
        single = await user.goose("task", "start", " ")
        assert single.code == 2 and "empty" in single.err
        assert len(list((user.state / "tasks").iterdir())) == 1


async def test_a_worker_that_dies_before_its_first_turn_is_started_again_and_the_prompt_is_said_once(user):
    from goose_py.protocol import events as ev
    from goose_py.session.log import LOG_NAME, read_log

    async with answered(user, DONE):
        task = (await _each(user, "once\n"))[0]
        await ended(user, task, "idle")
        folder = folder_of(user, task)
        kill_worker(folder)
        await until(lambda: not folder.owned())
        # What the disk holds when the kill came right after the prompt was logged.
        log = folder.path / LOG_NAME
        lines = log.read_bytes().split(b"\n")
        said = next(number for number, line in enumerate(lines) if b'"prompt_received"' in line)
        log.write_bytes(b"\n".join(lines[: said + 1]) + b"\n")
        folder.waiting.touch()
        assert summary_of(folder).state == "queued"
        await user.goose("task", "list")
        await ended(user, task, "idle")
    prompts = [r for r in read_log(folder.path).records if isinstance(r.event, ev.PromptReceived)]
    assert len(prompts) == 1


STANDS = calls(("shell", {"command": "until [ -e go ]; do sleep 0.02; done"}))


async def _killed(user: User, *ids: str) -> None:
    """Their workers, and the process that workers are copied from, at once."""
    await asyncio.gather(*(ended(user, task, "running", "planning") for task in ids))
    for process in fork_servers(user):
        os.kill(process, signal.SIGKILL)
    for task in ids:
        kill_worker(folder_of(user, task))


@pytest.mark.case("P19")
@pytest.mark.parametrize("other", ["a worker", "a run"])
async def test_a_queue_whose_workers_were_killed_is_restarted_by_whoever_works_meanwhile(user, other: str):
    async with answered(user, [STANDS, STANDS, *DONE], config="[tasks]\nparallel = 2"):
        run = None
        if other == "a run":
            run = await user.start("run", "-t", "alive", "--mode", "auto")
            await until(lambda: any("tool_started" in log.read_text() for log in (user.state / "tasks").glob("*/log.jsonl")))
            (first, second) = await _each(user, "first\nsecond\n")
        else:
            (_, first, second) = await _each(user, "alive\nfirst\nsecond\n")
            await ended(user, _, "running", "planning")
        assert _states(user, [second]) == ["queued"]
        await _killed(user, first)
        await ended(user, second, "idle", "awaiting review")
        if run is not None:
            assert run.returncode is None, "and it was not its end that did it"
            run.kill()
            await run.wait()


@pytest.mark.case("P19")
async def test_the_end_of_a_run_makes_room_for_what_waits(user):
    async with answered(user, [STANDS, *DONE], config="[tasks]\nparallel = 1"):
        run = await user.start("run", "-t", "alive", "--mode", "auto")
        await until(lambda: any("tool_started" in log.read_text() for log in (user.state / "tasks").glob("*/log.jsonl")))
        (waits,) = await _each(user, "waits\n")
        (working,) = [folder.name for folder in (user.state / "tasks").iterdir() if folder.name != waits]
        assert _states(user, [waits]) == ["queued"]
        _go(user, working)
        async with asyncio.timeout(60):
            await run.wait()
        await ended(user, waits, "idle", "awaiting review")


@pytest.mark.case("P19")
async def test_doctor_says_what_stands_still_and_any_look_at_a_task_restarts_it(user):
    async with answered(user, [STANDS, *DONE], config="[tasks]\nparallel = 1"):
        first, second, third = await _each(user, "first\nsecond\nthird\n")
        await ended(user, first, "running", "planning")
        after = (await _each(user, "after\n", "--after", first))[0]
        await _killed(user, first)
        told = (await user.goose("doctor")).out
        assert f"tasks cut short: {first}" in told, told
        assert f"tasks that nobody has started: {second}" in told and "goose-py task list" in told, told
        assert _states(user, [second, third, after]) == ["queued"] * 3, "a look at the machine starts nothing"
        assert (await user.goose("task", "show", third)).code == 0
        await ended(user, second, "idle", "awaiting review")
        await ended(user, third, "idle", "awaiting review")
        inbox = await user.goose("inbox")
        assert first in inbox.out and f"goose-py task resume {first}" in inbox.out, inbox
        waits = inbox.out[inbox.out.index(after) :]
        assert f"it comes after {first}, which is failed" in waits and f"goose-py task resume {after}" in waits, inbox
        kinds = {question["task_id"]: question["kind"] for question in (await user.goose("inbox", "--json")).json}
        assert kinds[first] == kinds[after] == "trouble"
        assert f"{after} waits: it comes after {first}" in (await user.goose("doctor")).out
