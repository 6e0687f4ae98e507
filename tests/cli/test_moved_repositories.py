"""Repositories, and home folders, that are moved while tasks are about them: found again, nothing lost, trust asked anew."""

import shutil
import subprocess
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 8
FIXED = [calls(PLAN, FIX), calls(PLAN_DONE), {"text": "It is off."}, {"text": "It is taken off."}]
MORE = [calls(PLAN, ("write", {"path": "more.txt", "content": "more\n"})), calls(PLAN_DONE)]


async def _fixed(user: User) -> str:
    ran = await user.goose("run", "-t", "Take it off", "--output-format", "json")
    assert ran.code == 0 and ran.json["changes"]["files"] == 1, ran
    return ran.json["session_id"]


def _worktree(user: User, task: str) -> Path:
    return Path(summary_of(folder_of(user, task)).workspace)


def _moved(user: User, name: str = "cart2") -> None:
    user.repository = user.repository.rename(user.root / name)


def _works_in_plain_git(worktree: Path, repository: Path) -> None:
    shown = subprocess.run(
        ["git", "rev-parse", "--path-format=absolute", "--git-common-dir"], cwd=worktree, capture_output=True, text=True
    )
    assert shown.stdout.strip() == str(repository / ".git"), shown


@pytest.mark.case("P03")
async def test_a_task_that_awaits_review_is_found_in_the_moved_repository(user: User):
    async with answered(user, [*FIXED, *MORE, *DONE]):
        task = await _fixed(user)
        old = user.repository
        _moved(user)
        elsewhere = await user.goose("review", task, cwd=user.root)
        assert elsewhere.code != 0 and "goose-py task list" in elsewhere.err and elsewhere.err.count("\n") == 1, elsewhere
        listed = await user.goose("task", "list")
        assert task in listed.out and "awaiting review" in listed.out, listed
        assert f"1 task of {old} found again in {user.repository}" in listed.err and listed.err.count("\n") == 1, listed
        again = await user.goose("task", "list")
        assert task in again.out and again.err == "", "what was found is said once"
        _works_in_plain_git(_worktree(user, task), user.repository)
        reviewed = await user.goose("review", task)
        assert reviewed.code == 0 and "- discount" in reviewed.out, reviewed
        went_on = await user.goose("run", "--resume", task, "-t", "More", "--output-format", "json")
        assert went_on.code == 0 and went_on.json["changes"]["files"] == 2, went_on
        assert (await user.goose("apply", task, "--all", "--yes")).code == 0
        assert "- discount" in (user.repository / "cart.py").read_text() and (user.repository / "more.txt").exists()
        assert not old.exists()
        assert (await user.goose("apply", task, "--undo", "--yes")).code == 0
        assert "+ discount" in (user.repository / "cart.py").read_text()


@pytest.mark.case("P03")
async def test_commits_of_before_and_after_the_move_are_one_history(user: User):
    commit = "git add -A && git commit -qm {} --allow-empty && git status --short && git log --format=%s"
    turns = [
        calls(PLAN, FIX),
        calls(("shell", {"command": commit.format("before")}), PLAN_DONE),
        *DONE[:2],
        calls(("shell", {"command": commit.format("after")})),
        *DONE,
    ]
    async with answered(user, turns, config='mode = "auto"'):
        ran = await user.goose("run", "-t", "Take it off", "--output-format", "json", "--sandbox", "full")
        task = ran.json["session_id"]
        _moved(user)
        went_on = await user.goose("run", "--resume", task, "-t", "More", "--output-format", "json")
        assert went_on.code == 0, went_on
        said = [r.event for r in read_log(user.state / "tasks" / task).records if isinstance(r.event, ev.ToolFinished)]
        assert "after\nbefore\nA cart with a bug" in said[-1].result.text(), said[-1]
        applied = await user.goose("apply", task, "--how", "commits", "--all", "--yes")
        assert applied.code == 0, applied
    assert user.git("log", "--format=%s") == "after\nbefore\nA cart with a bug\n"
    assert "- discount" in (user.repository / "cart.py").read_text()


@pytest.mark.case("P03")
@pytest.mark.parametrize("command", [("review",), ("apply", "--all", "--yes"), ("task", "resume"), ("task", "show")])
async def test_every_command_in_the_moved_repository_finds_the_task(user: User, command: tuple[str, ...]):
    async with answered(user, [*FIXED, *DONE]):
        task = await _fixed(user)
        _moved(user)
        (user.repository / "inner").mkdir()
        done = await user.goose(*command[:2], task, *command[2:], cwd=user.repository / "inner")
        assert done.code == 0 and "found again" in done.err, done
        if command[1:] == ("resume",):
            await ended(user, task, "awaiting review")
        if command[0] == "apply":
            assert "- discount" in (user.repository / "cart.py").read_text()


@pytest.mark.case("P03")
async def test_tasks_that_wait_gave_their_worktree_back_or_are_merged_move_along(user: User):
    async with answered(user, [calls(("shell", {"command": "sleep 306"})), {"text": "It adds up."}, *DONE]):
        first = (await user.goose("task", "start", "Wait", "--mode", "auto")).out.strip()
        await ended(user, first, "running", "planning")
        waiting = (await user.goose("task", "start", "Then", "--after", first)).out.strip()
        asked = await user.goose("run", "-t", "Does it add up?", "--output-format", "json")
        question = asked.json["session_id"]
        assert (await user.goose("task", "stop", first)).code == 0
        await ended(user, first, "cancelled")
        _moved(user)
        listed = await user.goose("task", "list")
        assert all(task in listed.out for task in (first, waiting, question)) and "3 tasks of" in listed.err, listed
        assert (await user.goose("task", "restore", question)).code == 0
        _works_in_plain_git(_worktree(user, question), user.repository)
        assert (await user.goose("task", "resume", waiting)).code == 0
        await ended(user, waiting, "idle")


@pytest.mark.case("P03")
async def test_trust_and_grants_are_asked_anew_in_a_moved_repository_and_in_a_copy(user: User):
    (user.repository / ".goose").mkdir()
    (user.repository / ".goose" / "config.toml").write_text('checks = ["true"]\n')
    user.commit("A configuration")
    async with answered(user, [*FIXED, *DONE]):
        assert (await user.goose("trust", "--yes")).code == 0
        await _fixed(user)
        shutil.copytree(user.repository, user.root / "copy", symlinks=True)
        _moved(user)
        for place in (user.repository, user.root / "copy"):
            await user.goose("task", "list", cwd=place)
            assert (await user.goose("trust", cwd=place)).code == 2, "nobody has said it of this one"


@pytest.mark.case("P03")
async def test_of_two_copies_the_task_stays_where_it_is_until_it_is_moved(user: User):
    async with answered(user, [*FIXED, *DONE]):
        task = await _fixed(user)
        copy = user.root / "copy"
        shutil.copytree(user.repository, copy, symlinks=True)
        listed = await user.goose("task", "list", cwd=copy)
        assert task not in listed.out and f"goose-py task move {task}" in listed.err, listed
        assert str(user.repository) in listed.err and listed.err.count("\n") == 1, listed
        assert task in (await user.goose("task", "list")).out
        nothing = await user.goose("task", "move", task, cwd=user.root)
        assert nothing.code != 0 and "not inside a git repository" in nothing.err, nothing
        moved = await user.goose("task", "move", task, cwd=copy)
        assert moved.code == 0 and str(copy) in moved.out, moved
        assert (await user.goose("apply", task, "--all", "--yes", cwd=copy)).code == 0
        assert "- discount" in (copy / "cart.py").read_text() and "+ discount" in (user.repository / "cart.py").read_text()


@pytest.mark.case("P03")
async def test_another_repository_at_the_old_place_is_not_taken_for_the_moved_one(user: User):
    async with answered(user, [*FIXED, *DONE]):
        task = await _fixed(user)
        old = user.repository
        _moved(user)
        user.git("clone", "-q", ".", str(old))
        stranger = user.root / "stranger"
        user.git("clone", "-q", ".", str(stranger))
        (stranger / ".git" / "refs" / "goose" / task).mkdir(parents=True)
        (stranger / ".git" / "refs" / "goose" / task / "base").write_text("0" * 40 + "\n")
        refused = await user.goose("task", "list", cwd=stranger)
        assert "found again" not in refused.err, "a name alone proves nothing"
        listed = await user.goose("task", "list")
        assert task in listed.out and "found again" in listed.err, listed
        assert (await user.goose("apply", task, "--all", "--yes")).code == 0
        assert "- discount" in (user.repository / "cart.py").read_text() and "+ discount" in (old / "cart.py").read_text()


@pytest.mark.case("P03")
async def test_a_renamed_home_takes_repositories_worktrees_and_copies_along(user: User, tmp_path: Path):
    plain = user.root / "plain"
    plain.mkdir()
    (plain / "cart.py").write_text((user.repository / "cart.py").read_text())
    async with answered(user, [*FIXED, *FIXED, *DONE]):
        task = await _fixed(user)
        copied = await user.goose("run", "-t", "Take it off", "--copy", "--output-format", "json", cwd=plain)
        assert copied.code == 0, copied
        user.leave()
        before = user.root
        user.root = before.rename(before.with_name(f"{before.name}-renamed"))
        user.repository = user.root / "cart"
        try:
            outside = await user.goose("review", task, cwd=user.root)
            assert outside.code == 0 and "- discount" in outside.out and "found again" in outside.err, outside
            assert _worktree(user, task).is_relative_to(user.root)
            _works_in_plain_git(_worktree(user, task), user.repository)
            assert (await user.goose("apply", task, "--all", "--yes")).code == 0
            assert "- discount" in (user.repository / "cart.py").read_text()
            applied = await user.goose("apply", copied.json["session_id"], "--all", "--yes", cwd=user.root)
            assert applied.code == 0, applied
            assert "- discount" in (user.root / "plain" / "cart.py").read_text()
        finally:
            user.leave()
