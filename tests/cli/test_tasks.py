"""Tasks in worker processes: started, watched, spoken to, stopped, killed, brought back."""

import asyncio
import json
import os
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from command import CHECK, FIX, FIXING, PLAN, PLAN_DONE, User, answered, calls
from parallel import folder_of, pid_of

from goose_py.protocol import events as ev
from goose_py.protocol.commands import Prompt, ResolveApproval, Shutdown
from goose_py.protocol.frames import Recorded
from goose_py.protocol.messages import Text
from goose_py.session.log import read_log
from goose_py.tasks.client import TaskClient, WorkerGone
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary, summary_of

DONE = [{"text": "Done."}] * 8


async def _start(user: User, *args: str) -> TaskFolder:
    started = await user.goose("task", "start", "Take the discount off", *args)
    assert started.code == 0, started
    return folder_of(user, started.out.strip())


async def _until(folder: TaskFolder, *states: str) -> TaskSummary:
    async with asyncio.timeout(30):
        while (summary := summary_of(folder)).state not in states:
            await asyncio.sleep(0.02)
    return summary


@asynccontextmanager
async def attached(folder: TaskFolder):
    """A consumer, and the events that it has seen."""
    client = await TaskClient.connect(folder.socket)
    seen: list[ev.DurableEvent] = []
    changed = asyncio.Condition()

    async def read() -> None:
        async for frame in client.frames():
            if isinstance(frame, Recorded):
                async with changed:
                    seen.append(frame.record.event)
                    changed.notify_all()

    reading = asyncio.ensure_future(read())

    async def wait_for(kind: type, times: int = 1) -> ev.DurableEvent:
        async with asyncio.timeout(30), changed:
            await changed.wait_for(lambda: sum(isinstance(event, kind) for event in seen) >= times)
        return next(event for event in reversed(seen) if isinstance(event, kind))

    client.wait_for = wait_for  # type: ignore[attr-defined]
    client.seen = seen  # type: ignore[attr-defined]
    try:
        yield client
    finally:
        await client.close()
        await asyncio.wait_for(reading, 30)


async def test_a_task_goes_on_without_a_terminal_and_anybody_may_watch_it_from_the_start(user):
    async with answered(user, FIXING):
        folder = await _start(user, "--check", CHECK, "--mode", "auto")
        await _until(folder, "awaiting review")
        async with attached(folder) as first, attached(folder) as second:
            for client in (first, second):
                await client.wait_for(ev.TurnEnded)
                assert isinstance(client.seen[0], ev.SessionStarted)
            assert first.seen == second.seen
        listed = await user.goose("task", "list")
        assert folder.task_id in listed.out and "awaiting review" in listed.out and "passed" in listed.out


@pytest.mark.case("U20")
async def test_a_background_task_that_needs_an_answer_waits_for_it_and_is_listed_with_its_question(user):
    turns = [calls(("shell", {"command": "python -c 'print(40 + 2)'"})), {"text": "It says 42."}]
    async with answered(user, turns):
        folder = await _start(user, "--mode", "ask")
        await _until(folder, "awaiting approval")
        listed = await user.goose("task", "list")
        assert "awaiting approval" in listed.out and "python -c" in listed.out
        async with attached(folder) as client:
            asked = await client.wait_for(ev.ApprovalRequested)
            assert asked.call.arguments["command"] == "python -c 'print(40 + 2)'"
            await client.send(ResolveApproval(approval_id=asked.approval_id, allow=True))
            finished = await client.wait_for(ev.ToolFinished)
            assert "42" in finished.result.text()
            assert (await client.wait_for(ev.TurnEnded)).outcome == "done"


@pytest.mark.case("U37")
async def test_what_is_said_while_it_works_is_kept_steers_it_at_the_next_boundary_and_is_never_lost(user):
    turns = [calls(("shell", {"command": "echo one; until [ -e go ]; do sleep 0.02; done"})), {"text": "First."}, *DONE]
    async with answered(user, turns) as server:
        folder = await _start(user, "--mode", "auto")
        async with attached(folder) as client:
            await client.wait_for(ev.ToolStarted)
            said = await user.goose("task", "say", folder.task_id, "Mind the rounding.")
            queued = await user.goose("task", "say", folder.task_id, "And the changelog.", "--queue")
            assert said.code == queued.code == 0 and f"Said to {folder.task_id}." in said.err
            assert [event.delivery for event in client.seen if isinstance(event, ev.PromptReceived)] == [
                "now",
                "steer",
                "queue",
            ]
            (Path(summary_of(folder).workspace) / "go").touch()
            await client.wait_for(ev.TurnEnded, times=2)  # between the two the task is idle for a moment
            delivered = [event for event in client.seen if isinstance(event, ev.PromptDelivered)]
            assert len(delivered) == 2
    texts = [json.dumps(request.body) for request in server.requests]
    assert "Mind the rounding." in texts[1] and "And the changelog." not in texts[1]
    assert "And the changelog." in texts[-1] and server.objections == []


async def test_closing_everything_stops_nothing_and_stopping_stops_only_the_turn(user):
    turns = [calls(("shell", {"command": "sleep 302"})), *DONE]
    async with answered(user, turns):
        folder = await _start(user, "--mode", "auto")
        async with attached(folder) as client:
            await client.wait_for(ev.ToolStarted)
        assert folder.owned(), "the consumer has gone, the worker has not"
        stopped = await user.goose("task", "stop", folder.task_id)
        assert "Interrupted" in stopped.out
        summary = await _until(folder, "cancelled")
        assert summary.alive and "interrupted" in summary.detail
        resumed = await user.goose("task", "resume", folder.task_id)
        assert resumed.code == 0, resumed
        async with attached(folder) as client:
            assert (await client.wait_for(ev.TurnEnded)).outcome in ("interrupted", "done")
            await client.send(Shutdown())


@pytest.mark.case("U03")
@pytest.mark.case("R32")
async def test_a_worker_that_is_killed_loses_nothing_and_its_task_goes_on_with_the_unfinished_call_marked(user):
    turns = [calls(PLAN, FIX), calls(("shell", {"command": "sleep 303; touch late"})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns) as server:
        folder = await _start(user, "--mode", "auto")
        async with attached(folder) as client:
            async with asyncio.timeout(30):
                while not any(isinstance(e, ev.ToolStarted) and "sleep 303" in str(e.call.arguments) for e in client.seen):
                    await asyncio.sleep(0.02)
            pid = pid_of(folder)
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
        async with asyncio.timeout(30):
            while folder.owned():
                await asyncio.sleep(0.02)
        assert summary_of(folder).state == "failed" and "resume" in summary_of(folder).detail
        prompts = [r for r in read_log(folder.path).records if isinstance(r.event, ev.PromptReceived)]
        assert (await user.goose("task", "resume", folder.task_id)).code == 0
        await _until(folder, "awaiting review")
        body = json.dumps(server.requests[2].body)
        assert "outcome is unknown" in body
        assert [r for r in read_log(folder.path).records if isinstance(r.event, ev.PromptReceived)] == prompts
        workspace = Path(summary_of(folder).workspace)
        assert "sum(prices) - discount" in (workspace / "cart.py").read_text() and not (workspace / "late").exists()
        assert server.objections == []


@pytest.mark.case("R34")
async def test_a_second_program_on_the_same_task_is_told_who_has_it(user):
    turns = [calls(("shell", {"command": "sleep 304"})), *DONE]
    async with answered(user, turns):
        folder = await _start(user, "--mode", "auto")
        await _until(folder, "running", "planning")
        second = await user.goose("run", "--resume", folder.task_id)
        assert second.code == 2 and str(pid_of(folder)) in second.err, second
        await user.goose("task", "stop", folder.task_id)


@pytest.mark.case("U01")
async def test_every_byte_of_a_task_can_be_brought_back_after_it_was_discarded_or_its_worktree_deleted(user):
    turns = [
        calls(PLAN, FIX, ("write", {"path": "new.txt", "content": "untracked\n"})),
        calls(("shell", {"command": "printf 'by the shell\\n' > shell.txt"}), PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json")
    task_id, workspace = ended.json["session_id"], Path(ended.json["worktree"])
    wanted = {name: (workspace / name).read_bytes() for name in ("cart.py", "new.txt", "shell.txt")}

    refused = await user.goose("task", "discard", task_id)
    assert refused.code == 2 and workspace.exists(), "unmerged work needs a word"
    assert (await user.goose("task", "gc")).code == 0 and workspace.exists(), "nothing unmerged is removed by itself"
    assert (await user.goose("task", "discard", task_id, "--yes")).code == 0 and not workspace.exists()
    assert (await user.goose("task", "restore", task_id)).code == 0
    assert {name: (workspace / name).read_bytes() for name in wanted} == wanted

    for path in sorted(workspace.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    workspace.rmdir()
    assert (await user.goose("task", "restore", task_id)).code == 0
    assert {name: (workspace / name).read_bytes() for name in wanted} == wanted


async def test_files_and_hunks_are_approved_one_by_one_and_only_they_are_applied(user):
    (user.repository / "notes.txt").write_text("".join(f"line {number}\n" for number in range(1, 41)))
    user.commit("Notes")
    turns = [
        calls(
            PLAN,
            FIX,
            ("edit", {"path": "notes.txt", "old_string": "line 2\n", "new_string": "line two\n"}),
            ("edit", {"path": "notes.txt", "old_string": "line 38\n", "new_string": "line thirty-eight\n"}),
        ),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns):
        task_id = (await user.goose("run", "-t", "Do it", "--output-format", "json")).json["session_id"]
    refused = await user.goose("apply", task_id, "--yes")
    assert refused.code == 2 and "approve" in refused.err
    assert (await user.goose("approve", task_id, "--file", "notes.txt", "--hunk", "2", "-m", "this one")).code == 0
    assert (await user.goose("reject", task_id, "--file", "cart.py", "-m", "not now")).code == 0
    shown = await user.goose("review", task_id)
    assert "✓ kept" in shown.out and "✗ dropped" in shown.out and "◐ partly" in shown.out
    assert (await user.goose("apply", task_id, "--yes")).code == 0
    notes = (user.repository / "notes.txt").read_text()
    assert "line thirty-eight\n" in notes and "line 2\n" in notes
    assert user.git("status", "--porcelain").split() == ["M", "notes.txt"]
    audit = await user.goose("review", task_id, "--audit")
    assert "not now" in audit.out and "this one" in audit.out
    user.git("config", "user.name", "Ada Byron")
    user.git("config", "user.email", "ada@example.org")
    assert (await user.goose("comment", task_id, "--file", "cart.py", "-m", "later")).code == 0
    assert "`Ada Byron <ada@example.org>`" in (await user.goose("review", task_id, "--audit")).out


async def test_of_several_tasks_the_newest_is_shown_and_none_is_changed_without_its_name(user):
    ids = []
    for text in ("Take it off", "Take it off again"):
        async with answered(user, FIXING):
            ids.append((await user.goose("run", "-t", text, "--output-format", "json")).json["session_id"])
    assert ids[1] in (await user.goose("review")).out
    before = user.tree()
    for command in (("apply", "--all", "--yes"), ("approve",), ("reject",), ("review", "--send")):
        refused = await user.goose(*command)
        assert refused.code == 2 and all(task in refused.err for task in ids) and "Take it off again" in refused.err, refused
    assert user.tree() == before
    assert (await user.goose("apply", ids[0], "--all", "--yes")).code == 0


async def test_what_no_longer_fits_is_refused_and_nothing_is_changed(user):
    async with answered(user, FIXING):
        task_id = (await user.goose("run", "-t", "Do it", "--output-format", "json")).json["session_id"]
    (user.repository / "cart.py").write_text("def total(prices, discount=0):\n    return 0\n")
    user.commit("Somebody else was faster")
    before = user.tree()
    refused = await user.goose("apply", task_id, "--all", "--yes")
    assert refused.code == 2 and "cart.py" in refused.err and "Traceback" not in refused.err
    assert user.tree() == before


@pytest.mark.case("U09")
async def test_uncommitted_work_stays_as_it_is_and_overlapping_files_are_named_before_anything_is_written(user):
    async with answered(user, FIXING):
        task_id = (await user.goose("run", "-t", "Do it", "--output-format", "json")).json["session_id"]
    (user.repository / "other.txt").write_text("mine\n")
    mine = (user.repository / "cart.py").read_text().replace("sum(prices) + discount", "sum(prices) + 2 * discount")
    (user.repository / "cart.py").write_text(mine)
    before = user.tree()
    refused = await user.goose("apply", task_id, "--all", "--yes")
    assert refused.code == 2 and "cart.py" in refused.err and user.tree() == before
    user.git("checkout", "-q", "--", "cart.py")
    assert (await user.goose("apply", task_id, "--all", "--yes")).code == 0
    assert (user.repository / "other.txt").read_text() == "mine\n"
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()
    assert user.git("stash", "list") == ""


async def test_a_conversation_that_was_opened_and_left_without_a_word_leaves_nothing(user):
    from goose_py.tasks.spec import TaskSpec, write_spec
    from goose_py.tasks.store import TaskStore

    async with answered(user, DONE):
        folder = TaskStore(user.state / "tasks", user.sockets).new(lambda: 0.0)
        write_spec(folder.path, TaskSpec(task_id=folder.task_id, folder=str(user.repository)))
        assert (await user.goose("task", "resume", folder.task_id)).code == 2
        async with attached(folder) as client:
            await client.send(Shutdown())
        async with asyncio.timeout(30):
            while folder.path.exists():
                await asyncio.sleep(0.02)
    assert user.git("worktree", "list").count("\n") == 1


async def test_a_client_of_a_task_that_nobody_runs_is_told_so(tmp_path):
    with pytest.raises(WorkerGone):
        await TaskClient.connect(tmp_path / "nobody.sock")


async def test_two_prompts_at_once_are_both_kept(user):
    async with answered(user, DONE):
        folder = await _start(user, "--mode", "auto")
        async with attached(folder) as client:
            await client.wait_for(ev.TurnEnded)
            prompts = [Prompt(prompt_id=str(number), parts=(Text(f"number {number}"),)) for number in range(2)]
            await asyncio.gather(*(client.send(prompt) for prompt in prompts))
    received = [r.event.prompt_id for r in read_log(folder.path).records if isinstance(r.event, ev.PromptReceived)]
    assert {"0", "1"} <= set(received)
