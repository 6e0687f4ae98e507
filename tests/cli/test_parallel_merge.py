"""Merging what tasks made: rebased on the branch as it is, checked as it will be, fast-forward only."""

import asyncio
import os
import shutil
from pathlib import Path

import pytest
from command import CHECK, FIX, FIXING, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of, git_that_kills, kill_worker, until

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 8
LINES = "".join(f"line {number}\n" for number in range(1, 31))


@pytest.fixture
def user(user):
    (user.repository / "notes.txt").write_text(LINES)
    user.commit("Notes")
    return user


def _edit(path: str, old: str, new: str) -> tuple[str, dict[str, str]]:
    return ("edit", {"path": path, "old_string": old, "new_string": new})


async def _made(user: User, *edits: tuple[str, dict[str, str]], check: str | None = None) -> str:
    """A task that has made `edits`, by a model that is there only for as long."""
    async with answered(user, [calls(PLAN, *edits), calls(PLAN_DONE), *DONE]):
        args = ("--check", check) if check else ()
        done = await user.goose("run", "-t", "Do it well", "--base", "head", "--output-format", "json", *args)
    return done.json["session_id"]


def _events(user: User, task_id: str, kind: type) -> list:
    return [r.event for r in read_log(folder_of(user, task_id).path).records if isinstance(r.event, kind)]


@pytest.mark.case("U08")
async def test_finished_tasks_are_rebased_checked_on_the_merged_result_and_only_ever_fast_forwarded(user):
    check = "grep -q 'line' notes.txt && ! grep -q broken notes.txt"
    first = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"), check=check)
    second = await _made(user, _edit("notes.txt", "line 20\n", "line twenty\n"), check=check)
    third = await _made(user, _edit("notes.txt", "line 2\n", "line 2, otherwise\n"), check=check)
    (user.repository / "mine.txt").write_text("not committed\n")
    start = user.git("rev-parse", "main").strip()

    assert (await user.goose("apply", first, "--all", "--yes", "--how", "squash")).code == 0
    merged = await user.goose("apply", second, "--all", "--yes", "--how", "squash", "-m", "Twenty in words")
    assert merged.code == 0, merged
    assert user.git("log", "--format=%s", f"{start}..main").split("\n")[:2] == ["Twenty in words", "Do it well"]
    assert user.git("rev-list", "--merges", "main") == ""
    assert "line two\n" in (user.repository / "notes.txt").read_text()
    checked = _events(user, second, ev.VerificationFinished)[-1]
    assert checked.tree == user.git("rev-parse", "main^{tree}").strip() and checked.exit_code == 0

    tip, before = user.git("rev-parse", "main"), user.tree()
    refused = await user.goose("apply", third, "--all", "--yes", "--how", "squash")
    assert refused.code == 2 and "notes.txt" in refused.err and user.git("rev-parse", "main") == tip
    assert user.tree() == before, "nothing of the user's was touched"
    worktree = Path(summary_of(folder_of(user, third)).workspace)
    assert "<<<<" not in (worktree / "notes.txt").read_text(), "the worktree is as the task left it"
    fourth = await _made(user, _edit("notes.txt", "line 28\n", "line 28!\n"), check=check)
    assert (await user.goose("apply", fourth, "--all", "--yes", "--how", "squash")).code == 0, "it blocks nothing else"

    resolving = [
        calls(PLAN, ("shell", {"command": "sed -i -e '/^<<<</,/^====/d' -e '/^>>>>/d' notes.txt"})),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, resolving, config='mode = "auto"') as server:
        back = await user.goose("task", "rebase", third)
        assert back.code == 0 and "resolves notes.txt" in back.out, back
        await ended(user, third, "awaiting review")
    assert "<<<<<<<" in str(server.requests[0].body["messages"][-1]), "the conflicting hunks are its next prompt"
    assert (await user.goose("apply", third, "--all", "--yes", "--how", "squash")).code == 0
    text = (user.repository / "notes.txt").read_text()
    assert "line 2, otherwise\n" in text and "line twenty\n" in text and "line 28!\n" in text and "<<<" not in text
    assert (user.repository / "mine.txt").read_text() == "not committed\n"
    assert user.git("status", "--porcelain") == "?? mine.txt\n"


async def test_what_merges_but_does_not_pass_its_checks_is_not_merged_and_the_worktree_is_as_before(user):
    check = "! { grep -q 'line two' notes.txt && grep -q discount,cart cart.py; }"
    task = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"), check=check)
    (user.repository / "cart.py").write_text("# discount,cart\n")
    tip = user.commit("Somebody else")
    worktree = Path(summary_of(folder_of(user, task)).workspace)
    before = {path.name: path.read_bytes() for path in worktree.iterdir() if path.is_file()}
    refused = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert refused.code == 2 and "nothing was merged" in refused.err and user.git("rev-parse", "main").strip() == tip
    assert {path.name: path.read_bytes() for path in worktree.iterdir() if path.is_file()} == before
    assert _events(user, task, ev.ChangesApplied) == []
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash", "--no-verify")).code == 0


async def test_what_was_left_out_of_one_merge_and_what_a_later_turn_makes_can_be_merged_next(user):
    task = await _made(
        user, _edit("notes.txt", "line 2\n", "line two\n"), _edit("notes.txt", "line 25\n", "line twenty-five\n"), FIX
    )
    assert (await user.goose("approve", task, "--file", "notes.txt", "--hunk", "1")).code == 0
    assert (await user.goose("apply", task, "--yes", "--how", "squash")).code == 0
    assert user.git("show", "--format=", "--name-only", "main").split() == ["notes.txt"]
    rest = (await user.goose("review", task)).out
    assert "twenty-five" in rest and "cart.py" in rest and "line two" not in rest
    more = [calls(PLAN, _edit("notes.txt", "line 12\n", "line a dozen\n")), calls(PLAN_DONE), *DONE]
    async with answered(user, more):
        assert (await user.goose("run", "--resume", task, "-t", "One more")).code == 0
    assert (await user.goose("approve", task, "--file", "notes.txt")).code == 0
    assert (await user.goose("apply", task, "--yes", "--how", "squash")).code == 0
    text = (user.repository / "notes.txt").read_text()
    assert "line two\n" in text and "line twenty-five\n" in text and "line a dozen\n" in text
    assert "sum(prices) + discount" in (user.repository / "cart.py").read_text(), "what nobody approved stays out"
    assert user.git("status", "--porcelain") == ""


async def test_a_part_left_in_the_checkout_is_the_base_of_the_next_part_and_can_be_had_again(user):
    task = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"), FIX)
    assert (await user.goose("approve", task, "--file", "notes.txt")).code == 0
    assert (await user.goose("apply", task, "--yes")).code == 0
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert sorted(user.git("status", "--porcelain").split()) == ["M", "M", "cart.py", "notes.txt"]
    nothing = await user.goose("apply", task, "--all", "--yes")
    assert nothing.code == 2 and "--again" in nothing.err
    user.git("checkout", "-q", "--", ".")
    assert (await user.goose("apply", task, "--all", "--yes", "--again")).code == 0
    assert sorted(user.git("status", "--porcelain").split()) == ["M", "M", "cart.py", "notes.txt"]


async def test_a_task_merges_into_the_branch_it_began_at_whatever_is_checked_out_now(user):
    async with answered(user, FIXING):
        done = await user.goose("run", "-t", "Do it", "--output-format", "json", "--check", CHECK)
    user.git("checkout", "-q", "-b", "elsewhere")
    before = user.tree()
    merged = await user.goose("apply", done.json["session_id"], "--all", "--yes", "--how", "commits")
    assert merged.code == 0, merged
    assert user.tree() == before and "sum(prices) - discount" in user.git("show", "main:cart.py")


async def test_a_branch_that_is_gone_is_said_and_another_one_can_be_named(user):
    user.git("checkout", "-q", "-b", "feature")
    task = await _made(user, FIX)
    user.git("checkout", "-q", "main")
    user.git("branch", "-q", "-D", "feature")
    refused = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert refused.code == 2 and "feature no longer exists" in refused.err
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash", "--into", "main")).code == 0
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()


async def test_a_kill_while_the_merged_result_is_checked_leaves_the_branch_and_brings_the_files_back(user):
    go = user.root / "checking"
    os.mkfifo(go)
    # The check of the merged result says that it has begun and then waits for good.
    check = f"if grep -q mine other.txt 2>/dev/null; then echo > {go}; sleep 305; fi"
    task = await _made(user, FIX, check=check)
    (user.repository / "other.txt").write_text("mine\n")
    tip = user.commit("Mine")
    config = user.root / "home" / "config" / "config.toml"
    config.write_text(config.read_text() + f'\n[sandbox]\nlevel = "none"\nreadable = ["{user.root}"]\n')
    process = await user.start("apply", task, "--all", "--yes", "--how", "squash")
    with go.open() as reading:
        reading.readline()
    worktree = Path(summary_of(folder_of(user, task)).workspace)
    assert (worktree / "other.txt").exists()
    process.kill()
    await process.wait()
    assert (await user.goose("review", task)).code == 0
    assert not (worktree / "other.txt").exists() and "sum(prices) - discount" in (worktree / "cart.py").read_text()
    assert user.git("rev-parse", "main").strip() == tip
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash", "--no-verify")).code == 0


async def test_a_kill_right_after_the_branch_has_moved_leaves_no_lock_and_a_merge_on_record(user):
    task = await _made(user, FIX)
    (user.repository / "mine.txt").write_text("mine\n")
    git_that_kills(user, "update-ref*refs/heads/main*")
    killed = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert killed.code < 0 and (user.repository / ".git" / "index.lock").exists()
    del user.env["PATH"]
    listed = await user.goose("task", "list")
    tip = user.git("rev-parse", "main").strip()
    assert listed.code == 0 and tip[:12] in listed.err and "merged" in listed.out, listed
    assert [each.commit for each in _events(user, task, ev.ChangesApplied)] == [tip]
    assert user.git("status", "--porcelain") == "?? mine.txt\n" and not list((user.repository / ".git").glob("*goose-*"))
    user.git("add", "mine.txt")
    assert f"would remove the worktree of {task}  merged" in (await user.goose("task", "gc", "--dry-run")).out


async def test_merging_again_after_such_a_kill_names_the_commit_that_the_branch_really_has(user):
    task = await _made(user, FIX)
    user.git("checkout", "-q", "-b", "elsewhere")
    git_that_kills(user, "update-ref*refs/heads/main*")
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash")).code < 0
    del user.env["PATH"]
    tip = user.git("rev-parse", "main").strip()
    again = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert again.code == 0 and f"main is at {tip[:12]}" in again.out and user.git("rev-parse", "main").strip() == tip, again
    assert [each.commit for each in _events(user, task, ev.ChangesApplied)] == [tip]


async def test_tasks_that_are_merged_at_the_same_moment_wait_for_each_other(user):
    tasks = [await _made(user, _edit("notes.txt", f"line {n}\n", f"line {n}!\n")) for n in (2, 12, 22)]
    merges = [user.goose("apply", task, "--all", "--yes", "--how", "squash") for task in tasks]
    assert [done.code for done in await asyncio.gather(*merges)] == [0, 0, 0]
    assert user.git("rev-list", "--count", "main").strip() == "5" and user.git("status", "--porcelain") == ""
    assert (user.repository / "notes.txt").read_text().count("!") == 3


async def _conflicting(user: User) -> str:
    """A task that changed a line which has changed on main since."""
    task = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"))
    (user.repository / "notes.txt").write_text(LINES.replace("line 2\n", "line 2!\n"))
    user.commit("Mine")
    return task


async def test_conflict_markers_that_are_left_go_back_to_the_model_are_said_everywhere_and_not_applied(user):
    task = await _conflicting(user)
    refused = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert refused.code == 2 and f"`goose-py task rebase {task}`" in refused.err, refused
    async with answered(user, DONE, config='mode = "auto"') as server:
        assert (await user.goose("task", "rebase", task)).code == 0
        await ended(user, task, "awaiting review")
        await until(lambda: bool(_events(user, task, ev.TurnEnded)[1:]))
    asked = [request.body["messages"][-1] for request in server.requests]
    assert "<<<<<<< main" in str(asked[0]) and f">>>>>>> task-{task}" in str(asked[0])
    assert ["conflict markers are left in notes.txt" in str(each) for each in asked[1:]] == [True] * 3
    assert "notes.txt" in _events(user, task, ev.TurnEnded)[-1].detail
    for command in (("task", "list"), ("inbox",), ("review", task)):
        said = await user.goose(*command)
        assert "conflict markers" in said.out and "notes.txt" in said.out, said
    for how in ("squash", "worktree"):
        refused = await user.goose("apply", task, "--all", "--yes", "--how", how)
        assert refused.code == 2 and "Conflict markers are left in notes.txt" in refused.err, refused
    assert "<<<" not in (user.repository / "notes.txt").read_text()
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash", "--no-verify")).code == 0
    assert "<<<<<<< main" in (user.repository / "notes.txt").read_text(), "the user insisted"
    kill_worker(folder_of(user, task))
    await until(lambda: not folder_of(user, task).owned())
    more = [calls(PLAN, _edit("notes.txt", "line 20\n", "line twenty\n")), calls(PLAN_DONE), *DONE]
    async with answered(user, more):
        assert (await user.goose("run", "--resume", task, "-t", "One more")).code == 0, "what the user took is theirs"


@pytest.mark.parametrize("rewrite", ["reset", "amend"])
async def test_a_rebase_onto_a_branch_that_was_rewritten_brings_back_nothing_that_the_user_has_removed(user, rewrite):
    (user.repository / "secret.txt").write_text("secret\n")
    (user.repository / "notes.txt").write_text(LINES.replace("line 28\n", "line 28!\n"))
    user.commit("To be regretted")
    task = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"))
    if rewrite == "reset":
        user.git("reset", "-q", "--hard", "HEAD~1")
        (user.repository / "mine.txt").write_text("mine\n")
        user.commit("Something else")
    else:
        (user.repository / "notes.txt").write_text(LINES)
        (user.repository / "secret.txt").unlink()
        user.git("add", "-A")
        user.git("commit", "-q", "--amend", "--allow-empty", "-m", "Rewritten")
    back = await user.goose("task", "rebase", task)
    assert back.code == 0 and "nothing conflicted" in back.out, back
    reviewed = await user.goose("review", task, "--stat")
    assert "notes.txt" in reviewed.out and "secret.txt" not in reviewed.out
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash")).code == 0
    assert (user.repository / "notes.txt").read_text() == LINES.replace("line 2\n", "line two\n")
    assert not (user.repository / "secret.txt").exists()


async def test_a_rebase_leaves_the_work_that_a_task_began_with_to_the_user(user):
    (user.repository / "mine.txt").write_text("not for anybody\n")
    (user.repository / "cart.py").write_text("# an idea\n")
    async with answered(user, [calls(PLAN, _edit("notes.txt", "line 2\n", "line two\n")), calls(PLAN_DONE), *DONE]):
        done = await user.goose("run", "-t", "Do it", "--base", "changes", "--output-format", "json")
    task = done.json["session_id"]
    user.git("checkout", "-q", "cart.py")
    user.git("commit", "-q", "--allow-empty", "-m", "Mine")
    assert (await user.goose("task", "rebase", task)).code == 0
    assert (await user.goose("apply", task, "--all", "--yes", "--how", "squash")).code == 0
    assert user.git("show", "--format=", "--name-only", "main").split() == ["notes.txt"]
    assert user.git("status", "--porcelain") == "?? mine.txt\n" and "an idea" not in (user.repository / "cart.py").read_text()


async def test_what_was_edited_by_hand_after_the_checks_is_not_called_checked(user):
    task = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"), check="! grep -q broken notes.txt")
    worktree = Path(summary_of(folder_of(user, task)).workspace)
    (worktree / "notes.txt").write_text("broken\n")
    reviewed = await user.goose("review", task, "--json")
    assert reviewed.json["task"]["checks"] == "stale"
    asked = await user.goose("apply", task, "--all")
    assert "The checks are: stale" in asked.err
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert summary_of(folder_of(user, task)).checks == "stale"


@pytest.mark.parametrize("command", ["read-tree*-m*-u*", "update-ref*refs/goose/*/head*"])
async def test_a_rebase_that_is_killed_has_never_begun_and_can_be_done_again(user, command):
    task = await _conflicting(user)
    folder = folder_of(user, task)
    worktree, branch = Path(summary_of(folder).workspace), f"refs/goose/{task}/head"
    files, tip = (worktree / "notes.txt").read_text(), user.git("rev-parse", branch)
    git_that_kills(user, command)
    async with answered(user, DONE, config='mode = "auto"') as server:
        assert (await user.goose("task", "rebase", task)).code != 0
        del user.env["PATH"]
        assert "line 2!" in (worktree / "notes.txt").read_text(), "the files had been switched"
        reviewed = await user.goose("review", task)
        assert reviewed.code == 0 and "line two" in reviewed.out and "line 2!" not in reviewed.out, reviewed
        assert (worktree / "notes.txt").read_text() == files and user.git("rev-parse", branch) == tip
        assert (await user.goose("task", "rebase", task)).code == 0
        await until(lambda: len(server.requests) > 0)
        assert "<<<<<<< main" in str(server.requests[0].body["messages"][-1])
        await ended(user, task, "awaiting review")
        kill_worker(folder)
        asked = len(server.requests)
        assert (await user.goose("task", "rebase", task)).code == 0
        await until(lambda: len(server.requests) > asked)
        assert "notes.txt still hold" in str(server.requests[asked].body["messages"][-1]), "it is asked to resolve them again"


@pytest.mark.case("U10")
@pytest.mark.parametrize("how", ["worktree", "squash"])
async def test_what_a_reviewer_edited_is_not_taken_back_by_the_rest_of_the_task(user, how):
    """Neither by looking at what is left, nor by applying that too; and the task goes on from the edited lines."""
    task = await _made(user, *[_edit("notes.txt", f"line {n}\n", f"line {n}!\n") for n in (2, 12, 22)])
    whole = LINES.replace("line 2\n", "line 2!\n").replace("line 22\n", "line 22!\n")
    context = "".join(f"line {n}\n" for n in (9, 10, 11))
    edit = f"{context}line twelve, by hand\n" + "".join(f"line {n}\n" for n in (13, 14, 15))
    said = await user.goose("approve", task, "--file", "notes.txt", "--hunk", "2", "--edit", stdin=edit)
    assert said.code == 0, said
    applied = await user.goose("apply", task, "--yes", "--how", how)
    assert applied.code == 0, applied
    by_hand = LINES.replace("line 12\n", "line twelve, by hand\n")
    assert (user.repository / "notes.txt").read_text() == by_hand
    left = (await user.goose("review", task)).out
    assert "+line 2!" in left and "+line 22!" in left and "by hand" not in left, left
    worktree = Path(summary_of(folder_of(user, task)).workspace)
    assert (worktree / "notes.txt").read_text() == whole.replace("line 12\n", "line twelve, by hand\n")
    if how == "worktree":
        user.commit("What was kept")
    rest = await user.goose("apply", task, "--all", "--yes", "--how", how)
    assert rest.code == 0, rest
    assert (user.repository / "notes.txt").read_text() == whole.replace("line 12\n", "line twelve, by hand\n")


async def test_what_was_merged_is_called_that_by_gc_and_can_be_had_again_by_its_commit(user):
    merged, left, mine = [await _made(user, _edit("notes.txt", f"line {n}\n", f"line {n}!\n")) for n in (2, 12, 22)]
    assert (await user.goose("apply", merged, "--all", "--yes", "--how", "squash")).code == 0
    assert (await user.goose("apply", left, "--all", "--yes")).code == 0
    commit = _events(user, merged, ev.ChangesApplied)[-1].commit
    for again in ((), ("--again",)):
        said = await user.goose("apply", merged, "--all", "--yes", "--how", "squash", *again)
        assert said.code == 2 and f"main has it as {commit[:12]}, which `git cherry-pick`" in said.err, said
    kept = (await user.goose("task", "gc", "--dry-run")).out.splitlines()
    (of_merged,), (of_left,), (of_mine,) = ([line for line in kept if task in line] for task in (merged, left, mine))
    assert "would remove" in of_merged and "merged: everything in it is in main" in of_merged
    assert f"applied: everything in it was left in {user.repository}" in of_left and of_mine.startswith("keeps")
    assert "its changes were not merged" in of_mine and not of_mine.endswith(")")
    elsewhere = (await user.goose("task", "gc", "--dry-run", "--all", cwd=user.root)).out.splitlines()
    assert all(line.endswith(f"({user.repository})") for line in elsewhere), "they are of any repository"


async def test_a_repository_made_anew_in_the_same_place_hides_no_other_task(user):
    old = await _made(user, _edit("notes.txt", "line 2\n", "line two\n"))
    shutil.rmtree(user.repository / ".git")
    user.git("init", "-q", "-b", "main")
    user.commit("The same files, another history")
    pair = [await _made(user, _edit("notes.txt", "line 2\n", f"line {way}\n")) for way in ("2!", "2?")]
    for command in (("task", "list"), ("task", "conflicts")):
        said = await user.goose(*command)
        assert said.code == (command[1] == "conflicts"), said
        assert "will conflict in notes.txt" in said.out
        assert f"{old} is not compared with the others: the commit" in said.out and str(user.repository) in said.out
    assert (await user.goose("review", pair[0])).code == 0
    refused = await user.goose("apply", old, "--all", "--yes", "--how", "squash")
    assert refused.code in (0, 2), refused


async def test_a_worker_that_dies_while_it_merges_leaves_no_doubt_about_what_was_merged(user):
    async with answered(user, [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]):
        git_that_kills(user, "update-ref*refs/heads/main*")
        task = (await user.goose("task", "start", "Do it", "--mode", "auto", "--base", "head")).out.strip()
        summary = await ended(user, task, "awaiting review")
        assert summary.alive
        done = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert done.code == 0 and "Merged: main is at" in done.out, done
    assert user.git("status", "--porcelain") == "" and "prices) - discount" in (user.repository / "cart.py").read_text()
