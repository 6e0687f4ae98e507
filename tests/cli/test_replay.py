"""`goose-py session replay`: a recorded session run again without a model, and the truth about what differs."""

import asyncio
import json
import shutil
import signal
from pathlib import Path

from command import CHECK, FIXING, PLAN, PLAN_DONE, answered, calls

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.frames import Recorded
from goose_py.session.log import read_log
from goose_py.tasks.client import TaskClient


async def replayed(user, task_id, *flags):
    ended = await user.goose("session", "replay", str(task_id), "--json", *flags)
    assert ended.out, ended.err
    return ended.code, ended.json


def records(user, task_id):
    return read_log(user.state / "tasks" / task_id).records


async def test_a_session_of_several_turns_is_repeated_to_the_byte_with_no_model_there(user):
    async with answered(user, [*FIXING, {"text": "It was the sign."}, *[{"text": "Nothing more."}] * 4]):
        first = (await user.goose("run", "-t", "Take the discount off", "--check", CHECK, "--output-format", "json")).json
        await user.goose("run", "--resume", first["session_id"], "-t", "What was it?", "--output-format", "json")
    before = user.tree()
    user.configure('provider = "anthropic"\nmodel = "claude-sonnet-5"\n')  # no key, no server: nobody could be asked
    code, result = await replayed(user, first["session_id"])
    assert (code, result["differences"], result["turns"]) == (0, [], 2), result
    again = Path(next(r.event.worktree for r in records(user, result["task_id"]) if isinstance(r.event, ev.SessionStarted)))
    assert (again / "cart.py").read_text() == (Path(first["worktree"]) / "cart.py").read_text()
    said = [
        [r.event.message for r in records(user, task_id) if isinstance(r.event, ev.ModelReplied)]
        for task_id in (first["session_id"], result["task_id"])
    ]
    assert said[0] == said[1]
    assert user.tree() == before


async def test_what_comes_out_differently_is_named_with_what_it_was(user):
    turns = [calls(PLAN, ("shell", {"command": "date +%N; echo the same"}), PLAN_DONE), *[{"text": "Done."}] * 4]
    async with answered(user, turns):
        first = (await user.goose("run", "-t", "What time is it?", "--output-format", "json")).json["session_id"]
    code, result = await replayed(user, first)
    assert code == 1
    assert [difference["where"].startswith("Shell date +%N") for difference in result["differences"]] == [True]
    shown = await user.goose("session", "replay", first)
    assert "≠ Shell date +%N" in shown.out and "was:" in shown.out and "now:" in shown.out


async def test_a_turn_that_was_interrupted_or_failed_ends_so_again(user):
    turns = [
        calls(PLAN, ("write", {"path": "kept.txt", "content": "kept\n"})),
        calls(("shell", {"command": "sleep 302"})),
        {"error": {"status": 400, "message": "no such thing"}},
        *[{"text": "Done."}] * 6,
    ]
    async with answered(user, turns) as server:
        process = await user.start("run", "-t", "Wait", "--output-format", "json")
        await server.received(2)
        task_id = await _started(user, "sleep 302")
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            await process.communicate()
        failed = await user.goose("run", "--resume", task_id, "-t", "Go on")
        assert failed.code == 5
    recorded = [r.event.outcome for r in records(user, task_id) if isinstance(r.event, ev.TurnEnded)]
    assert recorded == ["interrupted", "provider_error"]
    # The command that was interrupted would run for five minutes: a replay of it is interrupted where the next reply was not.
    log = user.state / "tasks" / task_id / "log.jsonl"
    log.write_text(log.read_text().replace("sleep 302", "sleep 0.2"))
    _, result = await replayed(user, task_id)
    outcomes = [r.event.outcome for r in records(user, result["task_id"]) if isinstance(r.event, ev.TurnEnded)]
    assert outcomes == recorded
    assert all("end of turn" not in difference["where"] for difference in result["differences"])


async def test_what_a_person_allowed_is_not_allowed_again_unless_they_say_so(user):
    async with answered(user, [calls(("shell", {"command": "git clean -fdx"})), *[{"text": "Cleaned."}] * 4]):
        started = await user.goose("task", "start", "Clean up", "--mode", "ask")
        task_id = started.out.strip()
        await _allow_everything(user, task_id)
    code, result = await replayed(user, task_id)
    assert code == 1 and any("--approve" in note for note in result["notes"]), result
    assert any(difference["where"].startswith("Shell git clean") for difference in result["differences"])
    code, result = await replayed(user, task_id, "--approve")
    assert code == 0, result
    grants = user.state / "grants.jsonl"
    assert not grants.exists() or result["task_id"] not in grants.read_text()


async def test_a_session_of_somebody_else_is_replayed_without_believing_its_settings(user):
    async with answered(user, FIXING):
        first = (await user.goose("run", "-t", "Fix it", "--output-format", "json")).json["session_id"]
    report = user.root / "report"
    shutil.copytree(user.state / "tasks" / first, report, ignore=shutil.ignore_patterns("git", "tree", "*.lock"))
    marker = user.root / "ran"
    spec = json.loads((report / "task.json").read_text())
    spec["extensions"] = [{"type": "stdio", "name": "evil", "cmd": "touch", "args": [str(marker)]}]
    spec["overrides"] = {**spec["overrides"], "sandbox.level": "none", "worktree.setup": f"touch {marker}"}
    (report / "task.json").write_text(json.dumps(spec))
    refused = await user.goose("session", "replay", str(report), "--approve")
    assert refused.code == 2 and "your own" in refused.err
    _, result = await replayed(user, report)
    assert result["replies"] == len(FIXING), result
    assert not marker.exists()


async def test_a_session_that_cannot_be_replayed_says_why_and_leaves_nothing(user):
    async with answered(user, [{"text": "Hello."}]):
        first = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
    log = user.state / "tasks" / first / "log.jsonl"
    log.write_text(log.read_text().replace(user.git("rev-parse", "HEAD").strip(), "0" * 40))
    tasks = sorted(path.name for path in (user.state / "tasks").iterdir())
    refused = await user.goose("session", "replay", first)
    assert refused.code == 2 and "0000" in refused.err and "Traceback" not in refused.err
    assert sorted(path.name for path in (user.state / "tasks").iterdir()) == tasks


async def _started(user, command):
    async with asyncio.timeout(30):
        while True:
            for folder in (user.state / "tasks").iterdir():
                log = folder / "log.jsonl"
                lines = log.read_text().splitlines() if log.exists() else []
                if any("tool_started" in line and command in line for line in lines):
                    return folder.name
            await asyncio.sleep(0.02)


async def _allow_everything(user, task_id):
    """The person at the screen: says yes until the turn is over."""
    client = await TaskClient.connect(_socket(user, task_id), after=0)
    answering = []
    try:
        async with asyncio.timeout(30):
            async for frame in client.frames():
                event = frame.record.event if isinstance(frame, Recorded) else None
                if isinstance(event, ev.ApprovalRequested):
                    answer = cmd.ResolveApproval(approval_id=event.approval_id, allow=True)
                    answering.append(asyncio.ensure_future(client.send(answer)))
                if isinstance(event, ev.TurnEnded):
                    break
    finally:
        await client.close()
        await asyncio.gather(*answering, return_exceptions=True)


def _socket(user, task_id):
    return next(path for path in user.root.rglob(f"{task_id}.sock"))
