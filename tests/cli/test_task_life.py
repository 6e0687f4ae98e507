"""What a task says of itself, what it leaves behind, and how one goes on with it, from the command line."""

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from command import CHECK, FIX, FIXING, PLAN, PLAN_DONE, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 12
WAITING = calls(("shell", {"command": "sleep 304"}))


@pytest.fixture
def user(tmp_path):
    user = User(tmp_path)
    yield user
    for folder in (user.state / "tasks").glob("*"):
        if _folder(user, folder.name).owned():
            os.kill(int((folder / "log.lock").read_text().split()[1]), signal.SIGKILL)


def _folder(user: User, task_id: str) -> TaskFolder:
    return TaskFolder(user.state / "tasks" / task_id, user.root)


def _only(user: User) -> TaskFolder:
    (path,) = (user.state / "tasks").iterdir()
    return _folder(user, path.name)


async def _until(folder: TaskFolder, *states: str) -> None:
    async with asyncio.timeout(30):
        while summary_of(folder).state not in states:
            await asyncio.sleep(0.02)


async def _calling(user: User) -> None:
    """Waits until the only task has begun a call."""
    while not any('"tool_started"' in log.read_text() for log in (user.state / "tasks").glob("*/log.jsonl")):
        await asyncio.sleep(0.02)


async def _run(user: User, *args: str, cwd: Path | None = None) -> dict[str, Any]:
    ended = await user.goose("run", "-t", "Take the discount off", "--output-format", "json", *args, cwd=cwd)
    assert ended.code == 0, ended
    return ended.json


@pytest.mark.case("P31")
async def test_a_worker_is_found_from_everywhere_whatever_folder_a_login_has_for_sockets(user: User) -> None:
    """From cron or after su there is no XDG_RUNTIME_DIR, a logout empties it, and another session has another one."""
    login = user.root / "login"
    login.mkdir(mode=0o700)
    asking = calls(("shell", {"command": "curl http://example.org"}))
    async with answered(user, [asking, asking, *DONE], config='mode = "ask"'):
        home = user.root / "home"
        (home / ".config").mkdir()
        (home / "config").rename(home / ".config" / "goose-py")
        user.env |= {"GOOSE_PY_HOME": "", "XDG_RUNTIME_DIR": str(login)}
        task = (await user.goose("task", "start", "Take the discount off")).out.strip()
        user.env["XDG_RUNTIME_DIR"] = ""
        await _asks(user)
        answer = await user.goose("inbox", "answer", task, "--deny")
        assert answer.code == 0, answer
        user.env["XDG_RUNTIME_DIR"] = str(user.root / "elsewhere")
        await _asks(user)
        stopped = await user.goose("task", "stop", task)
        assert stopped.code == 0 and "not running" not in stopped.out, stopped


async def _asks(user: User) -> None:
    async with asyncio.timeout(60):
        while not any(json.loads((await user.goose("inbox", "--json")).out)):
            await asyncio.sleep(0.1)


def worktrees(user: User) -> int:
    return user.git("worktree", "list").count("\n") - 1


@pytest.mark.parametrize(("end", "state", "said"), [
    (signal.SIGINT, "cancelled", "interrupted"),
    (signal.SIGKILL, "failed", "ended while a turn was running"),
    (None, "failed", "The time limit of 1 s is reached"),
])  # fmt: skip
async def test_a_run_that_was_cut_short_is_listed_as_that_and_resume_lets_it_go_on(
    user, end: signal.Signals | None, state: str, said: str
):
    async with answered(user, [WAITING, *DONE]):
        process = await user.start("run", "-t", "Wait for it", *(() if end else ("--max-seconds", "1")))
        async with asyncio.timeout(30):
            if end:
                await _calling(user)
                process.send_signal(end)
            await process.wait()
        task = _only(user).task_id
        listed = await user.goose("task", "list")
        assert f"{state}: " in listed.out and said in listed.out and "task resume" in listed.out, listed.out
        assert f"goose-py task resume {task}" in (await user.goose("task", "show", task)).out
        if end is None:
            refused = await user.goose("task", "resume", task)
            assert refused.code == 2 and "--max-seconds" in refused.err, "it would end at once, so it says what to do"
            assert (await user.goose("task", "limit", task, "--max-seconds", "none")).code == 0
        assert (await user.goose("task", "resume", task)).code == 0
        await _until(_only(user), "idle")


async def test_an_interrupted_task_that_changed_nothing_is_cancelled_and_no_other_begins_after_it(user):
    async with answered(user, [calls(("shell", {"command": "sleep 305"})), *DONE]):
        started = await user.goose("task", "start", "Wait", "--mode", "auto")
        folder = _folder(user, started.out.strip())
        await _until(folder, "running", "planning")
        after = await user.goose("task", "start", "Then this", "--after", folder.task_id)
        async with asyncio.timeout(30):
            await _calling(user)
        stopped = await user.goose("task", "stop", folder.task_id)
        assert f"task resume {folder.task_id}" in stopped.out
        await _until(folder, "cancelled")
        listed = await user.goose("task", "list")
        assert "which is cancelled" in listed.out and summary_of(_folder(user, after.out.strip())).state == "queued"


async def test_a_question_leaves_neither_a_worktree_nor_a_branch_and_its_task_goes_on_with_both(user):
    async with answered(user, [{"text": "It adds up."}, calls(PLAN, FIX), calls(PLAN_DONE), *DONE]):
        task = (await _run(user))["session_id"]
        assert worktrees(user) == 0 and "goose/" not in user.git("branch", "--list")
        shown = await user.goose("task", "show", task)
        assert "given back" in shown.out and "idle" in shown.out
        assert (await user.goose("task", "restore", task)).code == 0 and worktrees(user) == 1
        assert (await user.goose("task", "discard", task, "--yes")).code == 0 and worktrees(user) == 0
        changed = await _run(user, "--resume", task)
        assert changed["changes"]["files"] == 1 and worktrees(user) == 1
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert "- discount" in (user.repository / "cart.py").read_text()


@pytest.mark.parametrize(("command", "ignored", "kept"), [
    ("mkdir -p __pycache__; echo x > __pycache__/cart.pyc", "__pycache__/\n", False),
    ("echo report > report.pdf", "*.pdf\n", True),
    ("git -c user.name=A -c user.email=a@b commit -q --allow-empty -m work", "", True),
    ("git init -q nested; echo x > nested/x", "", True),
    ("cat local.cfg", "local.cfg\n", False),
])  # fmt: skip
async def test_only_a_worktree_with_nothing_in_it_that_somebody_wrote_is_given_back(
    user, command: str, ignored: str, kept: bool
):
    (user.repository / ".gitignore").write_text(ignored)
    (user.repository / ".worktreeinclude").write_text("local.cfg\n")
    user.commit("ignore")
    (user.repository / "local.cfg").write_text("A=1\n") if "local.cfg" in ignored else None
    async with answered(user, [calls(("shell", {"command": command})), *DONE]):
        task = (await _run(user))["session_id"]
    there = (user.state / "tasks" / task / "tree" / "cart").is_dir()
    assert there == kept, f"{command}: {user.git('worktree', 'list')}"


async def test_what_a_worktree_needs_beside_git_is_there_again_when_its_task_goes_on(user):
    (user.repository / ".gitignore").write_text("local.cfg\n")
    (user.repository / ".worktreeinclude").write_text("local.cfg\n")
    user.commit("ignore")
    (user.repository / "local.cfg").write_text("PLACE=1\n")
    async with answered(user, [{"text": "Yes."}, calls(("shell", {"command": "cat local.cfg"})), *DONE]):
        task = (await _run(user))["session_id"]
        assert worktrees(user) == 0
        await _run(user, "--resume", task)
    results = [r.event.result.text() for r in read_log(_only(user).path).records if isinstance(r.event, ev.ToolFinished)]
    assert any("PLACE=1" in text for text in results)


async def test_recorded_states_are_listed_with_time_cause_and_size(user):
    async with answered(user, FIXING):
        task = (await _run(user, "--check", CHECK))["session_id"]
    workspace = Path(summary_of(_only(user)).workspace)
    (workspace / "mine.txt").write_text("by hand\n")
    assert (await user.goose("task", "rewind", task, "--yes")).code == 0
    listed = (await user.goose("task", "restore", task, "--list")).out.splitlines()
    assert len(listed) == 4, listed
    assert "as it began" in listed[0] and "no changes" in listed[0]
    assert "turn 1" in listed[1] and "“Take the discount off”" in listed[1] and "1 file +1 −1" in listed[1]
    assert "2 files +2 −1" in listed[2] and "by hand" in listed[2] and "rewound" in listed[3]
    assert all(":" in line.split()[3] for line in listed), "each says when it was"
    tree = listed[2].split()[1]
    assert (await user.goose("task", "restore", task, "--tree", tree)).code == 0
    assert (workspace / "mine.txt").exists() and "- discount" in (workspace / "cart.py").read_text()


async def test_plan_mode_names_the_command_that_approves_the_plan_and_that_carries_it_out(user):
    async with answered(user, [calls(PLAN), {"text": "That is my plan."}, calls(FIX), calls(PLAN_DONE), *DONE]):
        planned = await _run(user, "--mode", "plan")
        approving = planned["next"][0]
        assert approving == f"goose-py inbox answer {planned['session_id']} --allow"
        assert approving in (await user.goose("task", "show", planned["session_id"])).out
        refused = await user.goose("approve", planned["session_id"])
        assert refused.code == 2 and approving in refused.err, "who mistakes the one for the other is told"
        assert (await user.goose(*approving.split()[1:])).code == 0
        await _until(_only(user), "awaiting review")
    assert "- discount" in (Path(summary_of(_only(user)).workspace) / "cart.py").read_text()


async def test_tasks_are_listed_for_where_one_stands_and_the_others_are_counted(user, tmp_path):
    other = User(tmp_path / "other", env={**user.env, "GOOSE_PY_HOME": str(user.root / "home")})
    nested = user.repository / "vendor"
    (nested / ".git").mkdir(parents=True)
    async with answered(user, [calls(PLAN, FIX), calls(PLAN_DONE), *DONE, *DONE]):
        here = (await _run(user, "--base", "head"))["session_id"]
        there = (await _run(user, cwd=other.repository))["session_id"]
    listed = await user.goose("task", "list")
    assert here in listed.out and there not in listed.out and "1 more of other repositories: --all" in listed.out
    assert here in (await user.goose("task", "list", cwd=Path(summary_of(_folder(user, here)).workspace))).out
    for args, cwd in ((("--all",), user.repository), ((), tmp_path)):
        everything = await user.goose("task", "list", *args, cwd=cwd)
        assert here in everything.out and there in everything.out and "more of other" not in everything.out
    assert here not in (await user.goose("task", "list", cwd=nested)).out, "a repository within is another one"
    inbox = await user.goose("inbox", cwd=other.repository)
    assert here in inbox.out and str(user.repository) in inbox.out, "one inbox holds every question"
    assert here not in (await user.goose("inbox", "--here", cwd=other.repository)).out
    assert (await user.goose("review", cwd=other.repository)).code == 2
    assert here in (await user.goose("review", "--stat")).out
    second = user.root / "second"
    user.git("worktree", "add", "-q", "-b", "second", str(second))
    listed = await user.goose("task", "list", cwd=second)
    assert here in listed.out and there not in listed.out, "it is the same repository"
    assert here in (await user.goose("task", "show", here.partition("-")[2])).out, "a day's ids begin alike"


@pytest.fixture
def folder(user):
    """A folder that is no repository."""
    folder = user.root / "plain"
    folder.mkdir()
    for name in ("cart.py", "test_cart.py"):
        (folder / name).write_bytes((user.repository / name).read_bytes())
    (folder / "notes.txt").write_text("mine\n")
    return folder


async def _copied(user: User, folder: Path) -> str:
    more = calls(("write", {"path": "new.txt", "content": "new\n"}))
    async with answered(user, [calls(PLAN, FIX), more, calls(PLAN_DONE), *DONE]):
        return (await _run(user, "--copy", cwd=folder))["session_id"]


async def test_what_was_done_in_a_copy_is_found_reviewed_applied_and_taken_back_in_the_folder(user, folder: Path):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    task = await _copied(user, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "nothing reaches it by itself"
    assert task in (await user.goose("task", "list", cwd=folder)).out
    assert "cart.py" in (await user.goose("review", cwd=folder)).out
    assert (await user.goose("approve", "--file", "cart.py", cwd=folder)).code == 0
    applied = await user.goose("apply", "--yes", cwd=folder)
    assert applied.code == 0 and str(folder) in applied.out and "git status" not in applied.out, applied
    assert "- discount" in (folder / "cart.py").read_text() and not (folder / "new.txt").exists()
    assert {path.name for path in folder.iterdir()} == set(before), "no git directory, nothing of ours"
    assert (await user.goose("apply", task, "--all", "--yes", cwd=folder)).code == 0 and (folder / "new.txt").exists()
    for _ in range(2):
        assert (await user.goose("apply", task, "--undo", "--yes", cwd=folder)).code == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert "awaiting review" in (await user.goose("task", "list", cwd=folder)).out
    nothing = await user.goose("apply", task, "--undo", "--yes", cwd=folder)
    assert nothing.code == 2 and "nothing in your files" in nothing.err, nothing


async def test_a_copy_is_not_applied_over_what_changed_in_the_folder_since(user, folder: Path):
    task = await _copied(user, folder)
    (folder / "cart.py").write_text("# my own\n")
    refused = await user.goose("apply", task, "--all", "--yes", cwd=folder)
    assert refused.code == 2 and "cart.py changed in the folder since it was copied" in refused.err, refused
    assert not (folder / "new.txt").exists() and (folder / "cart.py").read_text() == "# my own\n", "all or nothing"
    commits = await user.goose("apply", task, "--all", "--yes", "--how", "squash", cwd=folder)
    assert commits.code == 2 and "no repository" in commits.err
    assert (await user.goose("reject", task, "--file", "cart.py", cwd=folder)).code == 0
    assert (await user.goose("apply", task, "--all", "--yes", cwd=folder)).code == 0 and (folder / "new.txt").exists()
    (folder / "new.txt").write_text("changed by me\n")
    kept = await user.goose("apply", task, "--undo", "--yes", cwd=folder)
    assert kept.code == 2 and (folder / "new.txt").read_text() == "changed by me\n"
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    assert "not there any more" in (await user.goose("apply", task, "--all", "--again", "--yes")).err


async def test_a_copy_that_would_hold_itself_is_refused_and_of_a_repository_there_is_none(user):
    async with answered(user, DONE):
        home = await user.goose("run", "-t", "Anything", "--copy", cwd=user.root)
    assert home.code == 2 and "own files" in home.err, home
    (user.repository / "cart.py").write_text("# being worked on\n")
    async with answered(user, DONE):
        dirty = await user.goose("run", "-t", "Anything", "--copy")
    assert dirty.code == 0 and "starts from main with your 1 uncommitted file" in dirty.err, dirty


async def test_what_was_applied_to_a_checkout_is_taken_back_while_it_is_as_it_was_left(user):
    async with answered(user, FIXING):
        task = (await _run(user))["session_id"]
    before = user.tree()
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    asked = await user.goose("apply", "--undo")
    assert asked.code == 2 and "--yes" in asked.err
    assert (await user.goose("apply", "--undo", "--yes")).code == 0 and user.tree() == before
    why = await user.goose("review", task, "--why")
    assert "turn 1" in why.out, "and why it was made is known as before"
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    (user.repository / "cart.py").write_text("# mine since\n")
    refused = await user.goose("apply", task, "--undo", "--yes")
    assert refused.code == 2 and (user.repository / "cart.py").read_text() == "# mine since\n"


async def test_lines_are_decided_hunks_are_edited_and_comments_are_taken_back_by_number(user):
    async with answered(user, FIXING) as server:
        task = (await _run(user))["session_id"]
        numbered = await user.goose("review", task, "--numbers")
        assert "-2 -    return sum(prices) + discount" in numbered.out and " 2 +    return" in numbered.out
        assert (await user.goose("approve", task, "--line", "2")).code == 0
        assert (await user.goose("reject", task, "--line=-2", "-m", "Keep the old one too")).code == 0
        assert (await user.goose("comment", task, "--hunk", "1", "-m", "Why so?")).code == 0
        assert (await user.goose("comment", task, "--line", "2", "-m", "Name it")).code == 0
        shown = (await user.goose("review", task)).out
        numbers = {line.split(": ")[1]: line.split()[1].rstrip(":") for line in shown.splitlines() if line.startswith("» ")}
        assert set(numbers) == {"Keep the old one too", "Why so?", "Name it"}
        assert (await user.goose("comment", task, "--take-back", numbers["Why so?"])).code == 0
        assert (await user.goose("comment", task, "--change", numbers["Name it"], "-m", "Call it net")).code == 0
        again = await user.goose("comment", task, "--take-back", numbers["Why so?"])
        assert again.code == 2 and numbers["Keep the old one too"] in again.err, "it names those there are"
        audit = (await user.goose("review", task, "--audit")).out
        assert "Why so?" in audit and f"takes back the comment of record {numbers['Why so?']}" in audit
        sent = len(server.requests)
        assert (await user.goose("review", task, "--send")).code == 0
        async with asyncio.timeout(20):
            while len(server.requests) == sent:
                await asyncio.sleep(0.02)
        told = json.dumps(server.requests[sent].body)
        assert "Call it net" in told and "Keep the old one too" in told and "Why so?" not in told and "Name it" not in told
        await _until(_only(user), "awaiting review")
        refused = await user.goose("comment", task, "--take-back", numbers["Keep the old one too"])
        assert refused.code == 2 and "sent that comment already" in refused.err
    edited = await user.goose("approve", task, "--hunk", "1", "--edit", stdin="def total(prices, discount=0):\n    return 12\n")
    assert edited.code == 0 and "as edited" in edited.out, edited
    assert (await user.goose("apply", task, "--yes")).code == 0
    assert (user.repository / "cart.py").read_text() == "def total(prices, discount=0):\n    return 12\n"


@pytest.mark.parametrize("args", [
    ("approve", "--line", "99"), ("approve", "--line", "one"), ("approve", "--edit"), ("reject", "--hunk", "7"),
    ("comment", "-m", ""), ("comment", "--take-back", "1", "-m", "both"), ("comment", "--change", "3"),
    ("comment", "--file", "none.py", "-m", "x"), ("comment", "--take-back", "1", "--hunk", "1"),
])  # fmt: skip
async def test_what_is_not_there_is_not_decided_on(user, args: tuple[str, ...]):
    async with answered(user, FIXING):
        task = (await _run(user))["session_id"]
    refused = await user.goose(*args, stdin="")
    assert refused.code == 2 and refused.err.strip() and "Traceback" not in refused.err, refused
    assert not any(isinstance(record.event, ev.ChangeDecided) for record in read_log(_folder(user, task).path).records)
