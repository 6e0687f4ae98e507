"""When the state of a task is recorded, what waits for that, and which call a change is put down to."""

import asyncio
from pathlib import Path

from session_rig import Rig, call, reply, rig

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev


def states(it: Rig) -> list[ev.StateRecorded]:
    return it.events(ev.StateRecorded)


async def test_a_recording_holds_up_what_may_write_and_neither_reads_nor_requests(tmp_path: Path):
    first, look = call("write", path="a.txt", content="a"), call("read", path="README.md")
    second = call("shell", command="rm a.txt")
    async with rig(tmp_path, reply(first), reply(look), reply(second), reply("Done."), mode="auto") as it:
        taken = asyncio.Event()

        async def hold() -> None:
            await it.until(ev.StateRecorded)
            async with it.worktree.store.locked():
                taken.set()
                while len(it.events(ev.ModelReplied)) < 3:
                    await asyncio.sleep(0.02)
                for _ in range(100):
                    await asyncio.sleep(0)
                assert it.result(look), "reading did not wait"
                assert len(it.events(ev.ToolStarted)) == 2 and (it.root / "a.txt").exists(), "what may write waits"

        holding = asyncio.ensure_future(hold())
        await it.prompt()
        await holding
        events = [record.event for record in it.records if isinstance(record.event, (ev.StateRecorded, ev.ToolStarted))]
        order = [event.call_id if isinstance(event, ev.StateRecorded) else event.call.id for event in events]
        assert order == ["", first.id, look.id, first.id, second.id, second.id]
        assert taken.is_set() and it.outcome.outcome == "done"


async def test_after_an_editor_only_its_path_is_looked_at_and_the_end_of_the_turn_sees_the_rest(tmp_path: Path):
    write = call("write", path="a.txt", content="a")
    async with rig(tmp_path, reply(write), reply("Done."), mode="auto") as it:
        await it.say("Go")
        await it.until(ev.StateRecorded)
        (it.root / "by-hand.txt").write_text("somebody\n")
        await it.idle()
        start, after, end = states(it)
        assert (start.call_id, after.call_id, end.call_id) == ("", write.id, "")
        assert "by-hand.txt" not in await names(it, after.tree) and "a.txt" in await names(it, after.tree)
        assert {"by-hand.txt", "a.txt"} <= await names(it, end.tree)


async def names(it: Rig, tree: str) -> set[str]:
    return {path.decode() for path in await it.worktree.store.entries(tree)}


async def test_what_an_interrupted_command_had_done_is_put_down_to_it(tmp_path: Path):
    slow = call("shell", command="echo x > made.txt; touch begun; sleep 60")
    async with rig(tmp_path, reply(slow), mode="auto") as it:
        await it.say("Go")
        while not (it.root / "begun").exists():
            await asyncio.sleep(0.02)
        await it.perform(cmd.Interrupt())
        await it.idle()
        assert it.outcome.outcome == "interrupted"
        assert [state.call_id for state in states(it)] == ["", slow.id] and "made.txt" in await names(it, states(it)[1].tree)


async def test_what_a_job_writes_while_another_call_runs_is_during_that_call_and_not_by_it(tmp_path: Path):
    job = call("shell", command="sleep 0.5; echo x > late.txt; sleep 60", background=True)
    other = call("shell", command="while [ ! -e late.txt ]; do sleep 0.05; done")
    write = call("write", path="own.txt", content="x")
    async with rig(tmp_path, reply(job), reply(other), reply(write), reply("Done."), mode="auto") as it:
        await it.prompt()
        told = {state.call_id: state.during for state in states(it)}
        assert told == {"": False, job.id: False, other.id: True, write.id: False}
