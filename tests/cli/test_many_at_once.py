"""Many programs at once on one home folder: what they share stays valid, they slow down together, and a full disk costs nothing
but the work that did not fit."""

import asyncio
import json
import re
import resource
import signal

import msgspec
import pytest
from command import GOOSE, PLAN, PLAN_DONE, Ended, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

TEN = 10


def asked(server):
    return [request for request in server.requests if request.protocol]


def logs(user):
    return {folder.name: read_log(folder) for folder in (user.state / "tasks").iterdir()}


@pytest.mark.case("U33")
async def test_ten_programs_at_once_leave_every_file_valid_and_the_users_own_untouched(user):
    work = {**calls(PLAN, ("write", {"path": "mine.txt", "content": "mine\n"}), PLAN_DONE), "when": {"replies": 0}, "repeat": 0}
    end = {"text": "Written.", "repeat": 0}
    async with answered(user, [work, end], config='# my own words\nui.theme = "dark"   # kept\n') as server:
        config = user.root / "home" / "config" / "config.toml"
        before = config.read_bytes(), config.stat().st_mtime_ns
        runs = [user.goose("run", "-t", f"Task {number}", "--output-format", "json", seconds=240) for number in range(TEN)]
        readers = [user.goose("task", "list", "--all", "--json") for _ in range(3)] + [user.goose("cost") for _ in range(2)]
        ended = await asyncio.gather(*runs, *readers)
    assert [one.code for one in ended] == [0] * len(ended), [one for one in ended if one.code]
    assert server.objections == []
    assert (config.read_bytes(), config.stat().st_mtime_ns) == before
    found = logs(user)
    assert len(found) == TEN
    for task_id, contents in found.items():
        assert contents.problems == () and contents.torn == 0
        assert [record.seq for record in contents.records] == list(range(1, len(contents.records) + 1))
        assert isinstance(contents.records[0].event, ev.SessionStarted) and contents.records[0].event.session_id == task_id
        outcomes = [record.event.outcome for record in contents.records if isinstance(record.event, ev.TurnEnded)]
        assert outcomes == ["done"]
    assert {len(one.json["worktree"]) for one in ended[:TEN]} and len({one.json["worktree"] for one in ended[:TEN]}) == TEN
    for file in (user.root / "home").rglob("*.json"):
        if "tree" not in file.parts:
            msgspec.json.decode(file.read_bytes())
    listed = json.loads((await user.goose("task", "list", "--all", "--json")).out)
    assert sorted(task["task_id"] for task in listed) == sorted(found)
    searched = await user.goose("session", "search", "Written")
    assert searched.code == 0 and searched.err == ""


@pytest.mark.case("U33")
@pytest.mark.case("R33")
@pytest.mark.parametrize("size", [4000, *(pytest.param(size, marks=pytest.mark.long) for size in (200, 20_000, 60_000))])
async def test_where_files_cannot_grow_nothing_that_was_there_is_damaged_and_work_goes_on_with_space(user, size):
    """A limit on the size of every file that the program and its children write stands in for a full disk."""
    big = ("write", {"path": "big.txt", "content": "many words and words\n" * 4000})
    edit = ("write", {"path": "cart.py", "content": "x = 1\n" * 20_000})
    turns = [{**calls(PLAN, big, edit), "when": {"replies": 0}, "repeat": 0}, {"text": "Written, or not.", "repeat": 0}]
    async with answered(user, turns) as server:
        first = await user.goose("run", "-t", "Before", "--output-format", "json")
        task_id = first.json["session_id"]
        log = user.state / "tasks" / task_id / "log.jsonl"
        known, config = log.read_bytes(), (user.root / "home" / "config" / "config.toml").read_bytes()
        tree = user.tree()
        for arguments in (("run", "--resume", task_id, "-t", "More"), ("run", "-t", "Another")):
            ended = await _with_small_files(user, size, *arguments)
            assert "Traceback" not in ended.err, ended.err
            assert ended.code != 0 or size >= 20_000
        assert log.read_bytes().startswith(known)
        assert (user.root / "home" / "config" / "config.toml").read_bytes() == config and user.tree() == tree
        for contents in logs(user).values():
            assert contents.problems == ()
        again = await user.goose("run", "--resume", task_id, "-t", "Now?", "--output-format", "json")
        assert again.code == 0 and server.objections == []
        fresh = await user.goose("run", "-t", "And a new one", "--output-format", "json")
        assert fresh.code == 0


async def _with_small_files(user, size, *arguments):
    # Python leaves bytecode that was cut off in place, and would trip over it in every later test.
    env = {**user.environment(), "PYTHONDONTWRITEBYTECODE": "1"}
    process = await asyncio.create_subprocess_exec(
        GOOSE, *arguments, cwd=user.repository, env=env, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size)),
    )  # fmt: skip
    async with asyncio.timeout(60):
        out, err = await process.communicate()
    return Ended(process.returncode or 0, out.decode(), err.decode())


@pytest.mark.case("U19")
@pytest.mark.case("R01")
async def test_when_one_is_told_to_wait_all_programs_of_that_provider_wait_and_none_fails_or_changes_its_model(user):
    told = {"error": {"status": 429, "message": "slow down", "retry_after": 6}}
    async with answered(user, [told, {"text": "Here.", "repeat": 0}]) as server:
        first = await user.start("run", "-t", "First", "--output-format", "json")
        await server.received(1)
        gate = user.root / "home"
        async with asyncio.timeout(30):
            while not list(gate.rglob("gate-*")):
                await asyncio.sleep(0.01)
        others = [asyncio.ensure_future(user.goose("run", "-t", f"Other {n}", "--output-format", "json")) for n in range(3)]
        await server.received(5, within=60)
        ended = [one.json for one in await asyncio.gather(*others)]
        out, _ = await first.communicate()
        ended.append(json.loads(out))
    refused, *later = [request.arrived for request in asked(server)]
    assert min(later) >= refused + 5.9, f"no request begins before the time that the server named: {refused} {later}"
    assert [one["outcome"] for one in ended] == ["done"] * 4
    assert len(asked(server)) == 5, "no reply is asked for twice"
    assert {request.body["model"] for request in asked(server)} == {"scripted-model"}
    waited = [
        record.event
        for contents in logs(user).values()
        for record in contents.records
        if isinstance(record.event, ev.ModelRetried)
    ]
    assert len(waited) == 4 and any("all tasks of this provider wait" in event.reason for event in waited)


@pytest.mark.case("R01")
async def test_a_wait_is_shown_and_ends_at_once_when_it_is_interrupted(user):
    async with answered(user, [{"error": {"status": 429, "message": "slow down", "retry_after": 60}, "repeat": 0}]) as server:
        process = await user.start("run", "-t", "Hello")
        await server.received(1)
        assert process.stderr is not None
        shown = b""
        async with asyncio.timeout(30):
            while b"slow down" not in shown:
                shown += await process.stderr.read(4096)
        assert re.search(rb"in 6\d s", shown), shown
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):  # half of what it was told to wait
            await process.communicate()
        assert process.returncode == 130
        assert len(asked(server)) == 1

