"""Going back to before a turn, with a look at it first and a way back."""

from pathlib import Path

import pytest
from command import User, answered, calls
from git_repos import tree_of_folder
from parallel import git_that_kills

DONE = [{"text": "Done."}] * 10
BY_SHELL = (
    "sed -i s/discount/rebate/ cart.py; mkdir deep; echo new > deep/untracked.txt; "
    "python3 -c \"import os; os.remove('test_cart.py')\""
)


async def _two_turns(user: User) -> tuple[str, Path]:
    (user.repository / ".gitignore").write_text("cache/\n")
    user.commit("Ignore")
    turns = [
        calls(("shell", {"command": "echo one > one.txt"})), {"text": "One."}, {"text": "One."},
        calls(("shell", {"command": BY_SHELL})), *DONE,
    ]  # fmt: skip
    async with answered(user, turns, config='plan_approval = "off"'):
        done = await user.goose("run", "-t", "First thing", "--output-format", "json")
        task, worktree = done.json["session_id"], Path(done.json["worktree"])
        (worktree / "cache").mkdir()
        (worktree / "cache" / "kept").write_text("ignored\n")
        assert (await user.goose("run", "--resume", task, "-t", "Second thing")).code == 0
    return task, worktree


def _index(user: User, worktree: Path) -> bytes:
    name = Path((worktree / ".git").read_text().removeprefix("gitdir: ").strip())
    return (name / "index").read_bytes() + (name / "HEAD").read_bytes()


@pytest.mark.case("U39")
async def test_a_rewind_is_shown_first_covers_what_commands_did_and_can_be_taken_back(user):
    task, worktree = await _two_turns(user)
    after, index, main = tree_of_folder(worktree), _index(user, worktree), user.tree()
    assert (worktree / "deep" / "untracked.txt").exists() and not (worktree / "test_cart.py").exists()

    shown = await user.goose("task", "rewind", task, "--preview")
    assert "3 to change" in shown.out and "removes" in shown.out and "deep/untracked.txt" in shown.out
    assert "brings back" in shown.out and "test_cart.py" in shown.out and tree_of_folder(worktree) == after
    refused = await user.goose("task", "rewind", task)
    assert refused.code == 2 and "--yes" in refused.err and tree_of_folder(worktree) == after

    assert (await user.goose("task", "rewind", task, "--yes")).code == 0
    assert not (worktree / "deep").exists() and (worktree / "test_cart.py").exists()
    assert (worktree / "one.txt").read_text() == "one\n" and "discount" in (worktree / "cart.py").read_text()
    assert (worktree / "cache" / "kept").read_text() == "ignored\n"
    assert (await user.goose("task", "rewind", task, "--to", "1", "--yes")).code == 0
    assert not (worktree / "one.txt").exists()
    assert (await user.goose("task", "rewind", task, "--undo")).code == 0
    assert (worktree / "one.txt").exists() and not (worktree / "deep").exists()
    assert (await user.goose("task", "rewind", task, "--undo")).code == 0
    assert tree_of_folder(worktree) == after
    nothing = await user.goose("task", "rewind", task, "--undo")
    assert nothing.code == 2 and "no rewind" in nothing.err
    assert _index(user, worktree) == index and user.tree() == main


async def test_the_conversation_goes_back_too_where_that_is_asked_and_its_undo_brings_it_back(user):
    task, worktree = await _two_turns(user)
    listed = await user.goose("task", "rewind", task, "--list")
    assert "First thing" in listed.out and "Second thing" in listed.out
    assert (await user.goose("task", "rewind", task, "--scope", "both", "--yes")).code == 0
    assert (await user.goose("task", "rewind", task, "--undo")).code == 0
    assert (worktree / "deep").exists()
    assert (await user.goose("task", "rewind", task, "--scope", "both", "--yes")).code == 0
    async with answered(user, DONE, config='plan_approval = "off"') as server:
        assert (await user.goose("run", "--resume", task, "-t", "Something else")).code == 0
    body = str(server.requests[0].body)
    assert "First thing" in body and "Second thing" not in body and "Something else" in body
    late = await user.goose("task", "rewind", task, "--undo")
    assert late.code == 2 and "gone on" in late.err
    wrong = await user.goose("task", "rewind", task, "--to", "99", "--yes")
    assert wrong.code == 2 and "no turn 99" in wrong.err


async def test_a_rewind_that_is_killed_before_it_is_logged_has_never_happened(user):
    task, worktree = await _two_turns(user)
    after = tree_of_folder(worktree)
    git_that_kills(user, "read-tree*-m*-u*")
    assert (await user.goose("task", "rewind", task, "--yes")).code < 0 and tree_of_folder(worktree) != after
    del user.env["PATH"]
    assert (await user.goose("review", task)).code == 0 and tree_of_folder(worktree) == after
    assert (await user.goose("task", "rewind", task, "--yes")).code == 0
    assert (await user.goose("task", "rewind", task, "--undo")).code == 0 and tree_of_folder(worktree) == after
