"""Which tasks will conflict, told before anybody merges them."""

import json
from pathlib import Path

import pytest
from command import answered, calls
from parallel import ended, folder_of, until

from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 20
LINES = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture
def user(user):
    (user.repository / "notes.txt").write_text(LINES)
    user.commit("Notes")
    return user


def _sed(program: str) -> list[dict]:
    return [calls(("shell", {"command": f"sed -i '{program}' notes.txt; until [ -e go ]; do sleep 0.02; done"}))]


async def test_pairs_that_will_conflict_are_shown_while_the_tasks_still_run(user):
    before = user.tree()
    turns = [*_sed("2s/line/zeile/"), *_sed("2s/line/ligne/"), *_sed("20s/line/riga/"), *DONE]
    async with answered(user, turns, config="[tasks]\nparallel = 4"):
        ids = []
        for name in ("one", "two", "three"):
            ids.append((await user.goose("task", "start", name, "--mode", "auto")).out.strip())
            await ended(user, ids[-1], "running", "planning")
            folder = folder_of(user, ids[-1])
            notes = Path(summary_of(folder).workspace) / "notes.txt"
            await until(lambda notes=notes: notes.read_text() != LINES)
        found = await user.goose("task", "conflicts", "--json")
        assert found.code == 1, found
        assert [({each["one"], each["other"]}, each["paths"]) for each in json.loads(found.out)] == [
            ({ids[0], ids[1]}, ["notes.txt"])
        ]
        listed = await user.goose("task", "list")
        assert "will conflict in notes.txt" in listed.out and listed.out.count("will conflict") == 1
        for task in ids:
            assert summary_of(folder_of(user, task)).alive
            await user.goose("task", "stop", task)
    assert user.tree() == before
    await user.goose("reject", ids[0], "--close")
    none = await user.goose("task", "conflicts")
    assert none.code == 0 and "No two tasks" in none.out
