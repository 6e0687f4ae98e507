"""Signals that ask a run or a worker to end: whichever, and however many, the log has its end and the process is gone."""

import asyncio
import json
import os
import signal
import sys
from itertools import product
from pathlib import Path

import pytest
from command import GOOSE, User, answered, calls
from parallel import folder_of, pid_of, until
from processes import a_long_time, running

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.summary import summary_of

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
APART = (0, 0.001, 0.05)
DONE = {"text": "Done.", "repeat": 0}


def end_of_turn(user: User, task: str) -> str | None:
    """How the last turn ended, None where the log has no end of it."""
    records = read_log(user.state / "tasks" / task).records
    last = next(r.event for r in reversed(records) if isinstance(r.event, (ev.TurnStarted, ev.TurnEnded)))
    return last.outcome if isinstance(last, ev.TurnEnded) else None


async def asked_to_end(process: asyncio.subprocess.Process, first: int, second: int, apart: float) -> tuple[int, str, str]:
    process.send_signal(first)
    if apart:
        await asyncio.sleep(apart)
    if process.returncode is None:
        process.send_signal(second)
    async with asyncio.timeout(30):
        out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.case("P07")
@pytest.mark.case("P08")
@pytest.mark.parametrize(
    ("first", "second"),
    [pytest.param(*pair, marks=() if len(set(pair)) == 1 else pytest.mark.long) for pair in product(ENDING, ENDING)],
    ids=lambda number: number.name,
)
async def test_any_two_signals_end_a_run_and_its_log_says_so(user, first, second):
    seconds = a_long_time()
    async with answered(user, [calls(("shell", {"command": f"sleep {seconds}"}))] * len(APART)):
        runs = [await user.start("run", "-t", "Wait", "--output-format", "json") for _ in APART]
        await until(lambda: len(running("sleep", seconds)) >= len(APART))
        ends = await asyncio.gather(
            *(asked_to_end(run, first, second, apart) for run, apart in zip(runs, APART, strict=True))
        )
    for code, out, err in ends:
        assert code == 130 and "Traceback" not in err and "ug in goose" not in err, err
        told = json.loads(out)
        assert end_of_turn(user, told["session_id"]) == told["outcome"] == "interrupted"
    await until(lambda: not running("sleep", seconds))
    listed = await user.goose("task", "list")
    assert listed.out.count("cancelled") == len(APART) and listed.code == 0, listed.out


@pytest.mark.case("P07")
async def test_a_run_under_timeout_ends_and_its_task_goes_on_when_asked_to(user):
    seconds = a_long_time()
    async with answered(user, [calls(("shell", {"command": f"sleep {seconds}"})), DONE]) as server:
        command = ("timeout", "300", GOOSE, "run", "-t", "Wait", "--output-format", "json")
        process = await asyncio.create_subprocess_exec(
            *command, cwd=user.repository, env=user.environment(), stdout=-1, stderr=-1, stdin=-3, start_new_session=True
        )
        await until(lambda: running("sleep", seconds))
        process.send_signal(signal.SIGTERM)  # it signals the command, and then its whole group
        async with asyncio.timeout(40):
            out, err = await process.communicate()
        assert process.returncode == 130, err.decode()
        task = json.loads(out)["session_id"]
        resumed = await user.goose("run", "--resume", task, "--output-format", "json")
        assert resumed.code == 0 and server.objections == [], resumed


@pytest.mark.case("P07")
async def test_signals_at_any_moment_of_a_start_leave_nothing_that_looks_alive(user):
    async with answered(user, [DONE]):
        for step in range(9):
            process = await user.start("run", "-t", "Wait", "--output-format", "json")
            await asyncio.sleep(step * 0.08)
            await asked_to_end(process, ENDING[step % 3], ENDING[step // 3], APART[step % 3])
        assert "running" not in (await user.goose("task", "list", "--all")).out
        assert not any(process.status() != "zombie" for process in user.processes())


@pytest.mark.case("P27")
async def test_a_parent_that_blocks_signals_does_not_keep_a_run_from_being_interrupted(user):
    seconds = a_long_time()
    blocking = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM}); "
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    async with answered(user, [calls(("shell", {"command": f"sleep {seconds}"}))]):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", blocking, GOOSE, "run", "-t", "Wait", "--output-format", "json",
            cwd=user.repository, env=user.environment(), stdout=-1, stderr=-1, stdin=-3, start_new_session=True,
        )  # fmt: skip
        await until(lambda: running("sleep", seconds))
        code, _, err = await asked_to_end(process, signal.SIGINT, signal.SIGINT, 0)
    assert code == 130, err
    await until(lambda: not running("sleep", seconds))


@pytest.mark.case("P08")
@pytest.mark.parametrize("number", ENDING, ids=lambda number: number.name)
async def test_a_worker_that_is_asked_to_end_says_so_in_its_log_and_the_task_goes_on_with_another(user, number):
    seconds = a_long_time()
    async with answered(user, [calls(("shell", {"command": f"sleep {seconds}"})), DONE]):
        started = await user.goose("task", "start", "Wait", "--mode", "auto")
        task = started.out.strip()
        await until(lambda: running("sleep", seconds))
        pid = pid_of(folder_of(user, task))
        assert pid is not None
        os.kill(pid, number)
        os.kill(pid, number)
        await until(lambda: not Path(f"/proc/{pid}").exists() or not folder_of(user, task).owned())
        assert end_of_turn(user, task) == "interrupted"
        assert summary_of(folder_of(user, task)).state == "cancelled"
        assert (await user.goose("task", "resume", task)).code == 0
        await until(lambda: summary_of(folder_of(user, task)).state == "idle")
