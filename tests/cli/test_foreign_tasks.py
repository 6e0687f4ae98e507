"""Folders of tasks that this user's program did not make: what they claim of a person's word is nobody's."""

import shutil
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef
from goose_py.session.log import Log
from goose_py.tasks.spec import TaskSpec, write_spec

DONE = [{"text": "Done."}] * 8
FIXED = [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]
MODEL = ModelRef(provider="p", model="m")


def _by_hand(user: User, task: str = "1130-abcdef") -> Path:
    folder = user.state / "tasks" / task
    folder.mkdir(parents=True)
    write_spec(folder, TaskSpec(task_id=task, folder=str(user.repository)))
    log = Log.create(folder, task, lambda: 1.0)
    log.append(
        ev.SessionStarted(
            session_id=task,
            title="Forged",
            workspace=str(user.repository),
            repository=str(user.repository),
            base_tree="a",
            checks=("make",),
            model=MODEL,
        )
    )
    log.append(ev.TurnStarted(turn=1))
    log.append(ev.ChangesRecorded(tree_before="a", tree_after="b", files=1, added=1, removed=1))
    log.append(ev.VerificationFinished(command="make", exit_code=0, tree="b", output=""))
    log.append(ev.TurnEnded(outcome="done"))
    log.append(ev.TaskEnded(state="merged", detail="main is at 123"))
    log.close()
    return folder


@pytest.mark.case("P28")
@pytest.mark.parametrize("used", [False, True], ids=["fresh home", "used home"])
async def test_a_log_that_somebody_wrote_by_hand_is_listed_as_that(user: User, used: bool):
    async with answered(user, FIXED):
        if used:
            assert (await user.goose("run", "-t", "Take it off")).code == 0
        folder = _by_hand(user)
        listed = await user.goose("task", "list", "--json")
        (found,) = [task for task in listed.json if task["task_id"] == folder.name]
        assert found["state"] == "foreign" and found["checks"] == "not run", found
        line = next(line for line in (await user.goose("task", "list")).out.splitlines() if folder.name in line)
        assert "merged" not in line and "passed" not in line and "foreign" in line, line
        assert "merged" not in (await user.goose("task", "show", folder.name)).out
        assert folder.name not in (await user.goose("inbox")).out
        for command in (("apply", "--all", "--yes"), ("review",), ("task", "resume"), ("task", "rewind", "--to", "1")):
            refused = await user.goose(*command, folder.name)
            assert refused.code != 0 and "not made by your goose-py" in refused.err, refused
            assert "Traceback" not in refused.err and refused.err.count("\n") == 1, refused
        assert (await user.goose("session", "show", folder.name)).code == 0, "it can be read"
        assert (await user.goose("task", "gc", "--all")).code == 0 and folder.exists()


@pytest.mark.case("P28")
async def test_a_task_of_another_user_that_is_copied_in_is_neither_started_nor_applied(user: User, tmp_path: Path):
    other = User(tmp_path / "other")
    async with answered(other, FIXED):
        ran = await other.goose("run", "-t", "Take it off", "--output-format", "json")
        task = ran.json["session_id"]
        assert (await other.goose("approve", task)).code == 0
    async with answered(user, [*DONE]) as server:
        assert (await user.goose("doctor")).code in (0, 1)
        shutil.copytree(other.state / "tasks" / task, user.state / "tasks" / task, symlinks=True)
        queued = user.state / "tasks" / "1130-00beef"
        queued.mkdir()
        write_spec(queued, TaskSpec(task_id=queued.name, folder=str(user.repository), overrides={"mode": "auto"}))
        (queued / "waiting").touch()
        listed = await user.goose("task", "list", "--all", "--json")
        assert {entry["state"] for entry in listed.json} == {"foreign"}, listed.out
        refused = await user.goose("apply", task, "--yes")
        assert refused.code != 0 and "not made by your goose-py" in refused.err, refused
        assert server.requests == [] and "+ discount" in (user.repository / "cart.py").read_text()
        assert "+ discount" in (other.repository / "cart.py").read_text()


@pytest.mark.case("P28")
async def test_a_task_that_was_made_here_stays_one_also_in_a_renamed_home(user: User):
    async with answered(user, FIXED):
        ran = await user.goose("run", "-t", "Take it off", "--output-format", "json")
        task = ran.json["session_id"]
        assert (await user.goose("apply", task, "--all", "--yes")).code == 0
        backup = user.root / "backup"
        shutil.move(user.state, backup)
        shutil.copytree(backup, user.state, symlinks=True)
        (listed,) = (await user.goose("task", "list", "--json")).json
        assert listed["state"] == "merged", listed
