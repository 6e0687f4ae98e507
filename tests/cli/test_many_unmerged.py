"""Many tasks of several repositories: what is said of all of them is about all of them, and what is done is done here."""

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls

OTHER_FIX = ("edit", {**FIX[1], "new_string": "sum(prices) * 2"})
NEWER = 16


def making(*change: tuple) -> list[dict]:
    return [calls(PLAN, *change, PLAN_DONE), {"text": "Done."}, {"text": "It is done."}]


async def made(user: User, number: int, cwd=None) -> list[str]:
    found = []
    for _ in range(number):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", cwd=cwd)
        assert ended.code == 0, ended
        found.append(ended.json["session_id"])
    return found


@pytest.mark.case("P05")
async def test_all_unmerged_tasks_are_compared_or_it_is_said_how_many_were_not(user):
    turns = [*making(FIX), *making(OTHER_FIX)]
    for number in range(NEWER):
        turns += making(("write", {"path": f"new{number}.txt", "content": "x\n"}))
    async with answered(user, turns):
        one, other, *_ = await made(user, 2 + NEWER)
    for _ in range(2):  # the second time from what is remembered
        found = await user.goose("task", "conflicts")
        assert found.code == 1 and one in found.out and other in found.out and "cart.py" in found.out, found
        assert "not compared" not in found.out
    listed = await user.goose("task", "list")
    assert f"{other} and {one} will conflict in cart.py" in listed.out and "not compared" not in listed.out, listed


@pytest.mark.case("P11")
async def test_gc_is_about_this_repository_unless_it_is_told_otherwise(user):
    elsewhere = user.root / "elsewhere"
    user.git("clone", "-q", str(user.repository), str(elsewhere))
    async with answered(user, [*making(FIX), *making(FIX)]):
        (here,) = await made(user, 1)
        (there,) = await made(user, 1, cwd=elsewhere)
    for task in (here, there):
        cwd = user.repository if task == here else elsewhere
        assert (await user.goose("apply", task, "--all", "--yes", cwd=cwd)).code == 0
    trees = {task: user.state / "tasks" / task / "tree" for task in (here, there)}
    collected = await user.goose("task", "gc")
    assert collected.code == 0 and here in collected.out and there not in collected.out and "gc --all" in collected.err
    assert not list(trees[here].glob("*")) and list(trees[there].glob("*"))
    assert there not in (await user.goose("task", "gc", cwd=user.root)).out
    assert there in (await user.goose("task", "gc", "--all")).out and not list(trees[there].glob("*"))
