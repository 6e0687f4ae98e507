"""A command has put something else in the place of the worktree's `.git`, where no sandbox kept it from doing so."""

import asyncio
import json
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

DONE = [{"text": "Done."}] * 8
INSTEAD = {
    "a folder": "rm .git && mkdir .git",
    "a repository": "rm .git && git init -q . && git add -A && git commit -qm own",
    "a link": "mv .git was && ln -s was .git",
    "a link to nowhere": "rm .git && ln -s /nowhere/x .git",
    "a pipe": "rm .git && mkfifo .git",
}


async def with_swapped(user: User, command: str, level: str) -> tuple[str, Path]:
    """A task with a fix, and the place of its worktree: without a sandbox it swaps `.git` itself."""
    (user.repository / "swap.sh").write_text(f"{command}\n")
    user.commit("A script that does not name it in the call")
    swap = {"command": "sh ./swap.sh" if level == "none" else "ls"}
    turns = [calls(PLAN, FIX), calls(("shell", swap)), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", "--sandbox", level)
    assert ended.code == 0, ended
    worktree = Path(ended.json["worktree"])
    if level != "none":
        swapping = await asyncio.create_subprocess_exec("sh", "./swap.sh", cwd=worktree, env=user.environment())
        assert await swapping.wait() == 0
    return ended.json["session_id"], worktree


@pytest.mark.parametrize("command", INSTEAD.values(), ids=INSTEAD)
async def test_the_task_goes_on_is_reviewed_and_applied(user: User, command: str) -> None:
    task, _ = await with_swapped(user, command, "none")
    async with answered(user, [calls(("shell", {"command": "cat cart.py"})), *DONE], config='mode = "auto"'):
        for args in (
            ("run", "--resume", task, "-t", "More"), ("review", task, "--stat"), ("task", "rewind", task, "--yes"),
            ("task", "rewind", task, "--undo", "--yes"), ("apply", task, "--all", "--yes"), ("apply", task, "--undo", "--yes"),
            ("task", "discard", task, "--yes"), ("task", "restore", task), ("apply", task, "--all", "--yes"),
        ):  # fmt: skip
            said = await user.goose(*args)
            assert said.code == 0 and "Traceback" not in said.err, (args, said)
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()


@pytest.mark.parametrize("command", [INSTEAD["a folder"], INSTEAD["a link to nowhere"]], ids=["a folder", "a link"])
async def test_in_the_sandbox_no_command_runs_then_and_one_sentence_says_why(user: User, command: str) -> None:
    task, worktree = await with_swapped(user, command, "full")
    async with answered(user, [calls(("shell", {"command": "cat cart.py"})), *DONE], config='mode = "auto"'):
        ended = await user.goose("run", "--resume", task, "-t", "More", "--output-format", "json")
        assert ended.code == 0, ended
        events = [record.event for record in read_log(user.state / "tasks" / task).records]
        said = [event.result.text() for event in events if isinstance(event, ev.ToolFinished)][-1]
        assert f"{worktree}/.git is not the file any more that git made there" in said and "Traceback" not in said
        # What it says helps.
        (worktree / ".git").rename(user.root / "aside")
        user.git("worktree", "repair")
        ended = await user.goose("run", "--resume", task, "-t", "More", "--output-format", "json")
    assert ended.code == 0 and json.loads(ended.out)["warnings"] == [], ended
    assert user.git("-C", str(worktree), "rev-parse", "--show-toplevel") == f"{worktree}\n"


async def test_a_worktree_without_it_is_none_and_that_is_said(user: User) -> None:
    task, worktree = await with_swapped(user, "rm .git", "none")
    reviewed = await user.goose("review", task, "--stat")
    assert reviewed.code == 0 and "cart.py" in reviewed.out
    refused = await user.goose("task", "restore", task)
    assert refused.code == 2 and "it is no worktree of the task: move it away first" in refused.err
    worktree.rename(user.root / "aside")
    assert (await user.goose("task", "restore", task)).code == 0
    assert "sum(prices) - discount" in (worktree / "cart.py").read_text()
