"""Which step of a task made which part of its change."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repos import Place

from goose_py.git.trees.diff import changeset_summary, file_change
from goose_py.review.blame import reasons

LINES = [f"{number}\n" for number in range(1, 41)]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit({"a.txt": "".join(LINES), "b.txt": "b\n"})
    return place


async def test_every_line_of_a_change_names_the_step_that_made_it(place: Place):
    worktree = await place.task()
    trees = [worktree.base.tree]
    for command in (
        "sed -i 's/^5$/five/' a.txt",
        "sed -i '1i top' a.txt",
        "echo b >> b.txt",
        "sed -i -e 's/^five$/FIVE/' -e '/^30$/d' a.txt",
        "printf 'end\\n' >> a.txt && git mv a.txt moved.txt",
    ):
        place.sh(command, cwd=worktree.path)
        trees.append((await worktree.snapshot()).tree)
    found = await reasons(worktree.store, trees, "moved.txt")
    summary = await changeset_summary(worktree.store, trees[0], trees[-1])
    file = await file_change(worktree.store, summary, "moved.txt")
    told = {
        line: found[hunk.id].lines.get(number)
        for hunk in file.hunks or ()
        for number, line in enumerate(hunk.lines)
        if line[0] != " "
    }
    assert told == {"+top\n": 2, "-5\n": 1, "+FIVE\n": 4, "-30\n": 4, "+end\n": 5}
    assert [reason.steps for reason in found.values()] == [(1, 2, 4), (4,), (5,)]


async def test_what_was_done_and_undone_leaves_the_steps_that_count(place: Place):
    worktree = await place.task()
    trees = [worktree.base.tree]
    for content in ("new\n", None, "newer\n", "newer\nnewest\n"):
        if content is None:
            (worktree.path / "n.txt").unlink()
        else:
            place.write({"n.txt": content}, worktree.path)
        trees.append((await worktree.snapshot()).tree)
    (reason,) = (await reasons(worktree.store, trees, "n.txt")).values()
    assert reason.lines == {0: 3, 1: 4}
    with pytest.raises(KeyError):
        await reasons(worktree.store, trees, "b.txt")
