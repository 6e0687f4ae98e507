"""What goes wrong around tasks: nothing is lost, and the user's own state stays as it is."""

import json
import os
import resource
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of, kill_worker, pid_of, until
from processes import a_long_time, running

from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 20
WORK = [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]


async def _made(user: User, *args: str) -> str:
    async with answered(user, WORK):
        done = await user.goose("run", "-t", "Do it", "--base", "head", "--output-format", "json", *args)
    assert done.code == 0, done
    return done.json["session_id"]


def _worktree(user: User, task_id: str) -> Path:
    return Path(summary_of(folder_of(user, task_id)).workspace)


async def test_a_base_branch_that_was_rewritten_meanwhile_takes_the_change_all_the_same(user):
    task = await _made(user)
    (user.repository / "other.py").write_text("rewritten = True\n")
    user.git("add", "-A")
    user.git("commit", "-q", "--amend", "-m", "Rewritten")
    user.git("reflog", "expire", "--expire=now", "--all")
    user.git("gc", "-q", "--prune=now")
    merged = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert merged.code == 0, merged
    assert user.git("log", "--format=%s").split("\n")[:2] == ["Do it", "Rewritten"]
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()


async def test_a_worktree_that_is_deleted_by_hand_under_a_running_task_is_said_and_comes_back(user):
    turns = [calls(PLAN, FIX), calls(("shell", {"command": "touch begun; sleep 307"})), *DONE]
    async with answered(user, turns):
        task = (await user.goose("task", "start", "Do it", "--mode", "auto")).out.strip()
        await ended(user, task, "running")
        worktree = _worktree(user, task)
        await until(lambda: (worktree / "begun").exists())
        assert (await user.goose("review", task)).code == 0  # looking at it records it
        shutil.rmtree(worktree)
        assert (await user.goose("task", "stop", task)).code == 0
        listed = await user.goose("task", "list")
        assert listed.code == 0 and task in listed.out
        kill_worker(folder_of(user, task))
        await until(lambda: not folder_of(user, task).owned())
        assert (await user.goose("task", "restore", task)).code == 0
        assert "sum(prices) - discount" in (worktree / "cart.py").read_text()
        resumed = await user.goose("task", "resume", task)
        assert resumed.code == 0, resumed
        await ended(user, task, "awaiting review")


@pytest.mark.parametrize("damage", ["rm -rf * .[!.]*", "rm -rf *", "cd ..; rm -rf cart; mkdir cart", "cd ..; rm -rf cart"])
@pytest.mark.case("U01")
async def test_a_worktree_that_somebody_empties_is_no_change_that_could_be_applied(user, damage):
    task = await _made(user)
    worktree = _worktree(user, task)
    subprocess.run(["bash", "-c", damage], cwd=worktree, check=True)
    shown = await user.goose("review", task)
    assert "sum(prices) - discount" in shown.out and "D  test_cart.py" not in shown.out, shown
    assert f"goose-py task restore {task}" in shown.err
    refused = await user.goose("apply", task, "--all", "--yes")
    assert refused.code != 0 and f"goose-py task restore {task}" in refused.err, refused
    assert user.git("status", "--porcelain") == ""
    restored = await user.goose("task", "restore", task)
    assert restored.code == 0 and "Restored" in restored.out, restored
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()


async def test_another_folder_in_the_place_of_a_worktree_is_left_alone(user):
    task = await _made(user)
    worktree = _worktree(user, task)
    shutil.rmtree(worktree)
    worktree.mkdir()
    (worktree / "mine.txt").write_text("mine")
    refused = await user.goose("task", "restore", task)
    assert refused.code != 0 and str(worktree) in refused.err
    assert (await user.goose("task", "discard", task, "--yes")).code == 0
    assert (worktree / "mine.txt").read_text() == "mine"
    (worktree / "mine.txt").rename(user.root / "mine.txt")
    assert (await user.goose("task", "restore", task)).code == 0
    assert "sum(prices) - discount" in (worktree / "cart.py").read_text()


async def test_restoring_brings_back_what_was_deleted_and_keeps_what_was_there(user):
    task = await _made(user)
    worktree = _worktree(user, task)
    (worktree / "cart.py").unlink()
    (worktree / "notes.txt").write_text("by hand")
    assert (await user.goose("review", task)).code == 0, "looking at the damage does not make it what was recorded last"
    assert (await user.goose("task", "restore", task)).code == 0
    assert "sum(prices) - discount" in (worktree / "cart.py").read_text() and not (worktree / "notes.txt").exists()
    again = await user.goose("task", "restore", task)
    assert again.code == 0 and "Nothing is missing" in again.out
    assert (await user.goose("task", "rewind", task, "--undo", "--yes")).code == 0
    assert (worktree / "notes.txt").read_text() == "by hand" and not (worktree / "cart.py").exists()


@pytest.mark.case("P18")
async def test_a_task_has_no_branch_before_it_is_delivered_and_a_name_that_is_taken_is_passed_over(user):
    user.git("branch", "goose")
    task = await _made(user)
    assert summary_of(folder_of(user, task)).branch is None and user.git("branch", "--list", "goose/*", "goose-*") == ""
    assert (await user.goose("delegate", "--finish", task)).code == 0
    branch = summary_of(folder_of(user, task)).branch
    assert branch and not branch.startswith("goose/") and user.git("log", "--format=%s", f"main..{branch}").count("\n") == 1
    assert user.git("rev-parse", "goose") == user.git("rev-parse", "main")


def _mid_rebase(user: User) -> None:
    user.git("checkout", "-q", "-b", "side")
    (user.repository / "x.txt").write_text("side\n")
    user.commit("side")
    user.git("checkout", "-q", "main")
    (user.repository / "x.txt").write_text("main\n")
    user.commit("main")
    with pytest.raises(subprocess.CalledProcessError):
        user.git("rebase", "side")


def _mid_merge(user: User) -> None:
    _mid_rebase(user)
    user.git("rebase", "--abort")
    with pytest.raises(subprocess.CalledProcessError):
        user.git("merge", "side")


def _locked(user: User) -> None:
    (user.repository / ".git" / "index.lock").touch()


def _shallow(user: User) -> None:
    user.commit("second")
    user.git("clone", "-q", "--depth=1", f"file://{user.repository}", str(user.root / "shallow"))
    user.repository = user.root / "shallow"


def _through_symlink(user: User) -> None:
    (user.root / "link").symlink_to(user.repository)
    user.repository = user.root / "link"


def _inside_worktree(user: User) -> None:
    user.git("worktree", "add", "-q", "inner", "-b", "inner")
    user.repository = user.repository / "inner"


def _sparse(user: User) -> None:
    (user.repository / "far").mkdir()
    (user.repository / "far" / "away.txt").write_text("x\n")
    user.commit("far")
    user.git("sparse-checkout", "set", "--no-cone", "/*", "!/far/")


def _lfs(user: User) -> None:
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 5\n"
    (user.repository / "big.bin").write_text(pointer)
    user.commit("pointer")
    (user.repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    user.git("add", ".gitattributes")
    user.git("commit", "-q", "-m", "attributes")


def _submodule(user: User) -> None:
    library = user.root / "library"
    library.mkdir()
    (library / "lib.py").write_text("kept = 1\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for args in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "library")):
        subprocess.run(["git", *args], cwd=library, check=True)
    user.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "library")
    user.commit("library")


STATES = {
    "in the middle of a rebase": _mid_rebase,
    "in the middle of a merge": _mid_merge,
    "with a lock on the index": _locked,
    "with a detached HEAD": lambda user: user.git("checkout", "-q", "--detach"),
    "shallow": _shallow,
    "reached through a symlink": _through_symlink,
    "a worktree inside a worktree": _inside_worktree,
    "sparse": _sparse,
    "with files of LFS": _lfs,
    "with a submodule": _submodule,
}


@pytest.mark.case("R37")
@pytest.mark.case("R40")
@pytest.mark.parametrize("state", STATES)
async def test_a_repository_in_any_state_is_worked_on_and_stays_in_it(user, state):
    STATES[state](user)
    head = (user.repository / ".git").read_bytes() if (user.repository / ".git").is_file() else b""
    before, refs = user.git("--no-optional-locks", "status", "--porcelain=v2", "--branch"), user.git("rev-parse", "HEAD")
    task = await _made(user)
    shown = await user.goose("review", task, "--json")
    assert [file["path"] for file in shown.json["changes"]["files"]] == ["cart.py"], shown
    assert user.git("--no-optional-locks", "status", "--porcelain=v2", "--branch") == before
    assert user.git("rev-parse", "HEAD") == refs
    assert head == ((user.repository / ".git").read_bytes() if head else b"")
    assert state != "with a lock on the index" or (user.repository / ".git" / "index.lock").exists()


@pytest.mark.case("R40")
@pytest.mark.case("U02")
async def test_what_a_task_changes_inside_a_submodule_is_reviewed_and_left_in_the_users_checkout_of_it(user):
    _submodule(user)
    changing = ("shell", {"command": "echo more = 2 >> library/lib.py"})
    async with answered(user, [calls(PLAN, FIX, changing), calls(PLAN_DONE), *DONE]):
        done = await user.goose("run", "-t", "Do it", "--output-format", "json")
    task = done.json["session_id"]
    shown = await user.goose("review", task)
    assert "library/lib.py" in shown.out and "+more = 2" in shown.out and "inside a submodule" in shown.out
    assert (user.repository / "library" / "lib.py").read_text() == "kept = 1\n"
    refused = await user.goose("apply", task, "--all", "--yes", "--how", "squash")
    assert refused.code == 2 and "inside the submodule library" in refused.err and "nothing was changed" in refused.err
    assert (await user.goose("task", "discard", task, "--yes")).code == 0
    assert (await user.goose("task", "restore", task)).code == 0
    assert (await user.goose("apply", task, "--all", "--yes")).code == 0
    assert (user.repository / "library" / "lib.py").read_text() == "kept = 1\nmore = 2\n"
    assert user.git("-C", "library", "status", "--porcelain").split() == ["M", "lib.py"]
    again = await user.goose("review", task)
    assert "Nothing is left to review" in again.out


@pytest.mark.case("R37")
async def test_what_cannot_be_worked_on_is_explained_in_a_sentence_and_left_alone(user):
    async with answered(user, WORK):
        bare = user.root / "bare.git"
        user.git("clone", "-q", "--bare", str(user.repository), str(bare))
        empty = user.root / "empty"
        empty.mkdir()
        unborn = user.root / "unborn"
        user.git("init", "-q", str(unborn))
        for where, said in ((bare, "bare"), (empty, "git init"), (unborn, "no commit yet")):
            for args in (("run", "-t", "x", "--base", "head"), ("task", "start", "x", "--base", "head")):
                refused = await user.goose(*args, cwd=where)
                assert refused.code == 2 and said in refused.err and "Traceback" not in refused.err, (args, refused)
        assert list(empty.iterdir()) == [] and not list((user.state / "tasks").glob("*"))


@pytest.mark.case("R35")
async def test_what_killed_tasks_left_is_listed_and_only_what_is_clean_or_merged_is_ever_offered(user):
    kinds = {
        "dirty": "echo dirty >> cart.py",
        "untracked": "echo new > new.txt",
        "clean": "true",
        "committed": "echo c > c.txt && git add c.txt && git -c user.name=A -c user.email=a@b commit -qm c",
    }
    turns = [calls(("shell", {"command": f"{command}; : > /tmp/x; sleep 308"})) for command in kinds.values()]
    ids: dict[str, str] = {}
    async with answered(user, [*turns, *DONE], config='[tasks]\nparallel = 8\n[sandbox]\nlevel = "none"\n'):
        for kind in kinds:
            ids[kind] = (await user.goose("task", "start", kind, "--mode", "auto")).out.strip()
            if (await ended(user, ids[kind], "running", "planning", "awaiting approval")).state != "awaiting approval":
                await until(lambda kind=kind: summary_of(folder_of(user, ids[kind])).state == "awaiting approval")
            assert (await user.goose("inbox", "answer", ids[kind], "--allow")).code == 0
        marks = {"dirty": "cart.py", "untracked": "new.txt", "committed": "c.txt"}
        for kind, name in marks.items():
            place = _worktree(user, ids[kind]) / name
            await until(lambda place=place, kind=kind: place.exists() and (kind != "dirty" or "dirty" in place.read_text()))
        committed = _worktree(user, ids["committed"])
        await until(lambda: user.git("-C", str(committed), "rev-list", "--count", "main..HEAD").strip() == "1")
        contents = {kind: (_worktree(user, ids[kind]) / name).read_bytes() for kind, name in marks.items()}
        for task in ids.values():
            kill_worker(folder_of(user, task))
        for task in ids.values():
            await until(lambda task=task: not folder_of(user, task).owned())
        listed = await user.goose("task", "list")
        assert all(task in listed.out for task in ids.values()) and listed.out.count("failed") >= 4
        offered = await user.goose("task", "gc", "--dry-run")
        assert [line for line in offered.out.splitlines() if "would remove" in line] == [
            line for line in offered.out.splitlines() if ids["clean"] in line
        ]
        assert f"keeps   {ids['committed']}  unmerged" in offered.out and f"keeps   {ids['untracked']}  dirty" in offered.out
        assert (await user.goose("task", "gc")).code == 0
        assert not _worktree(user, ids["clean"]).exists()
        assert {kind: (_worktree(user, ids[kind]) / name).read_bytes() for kind, name in marks.items()} == contents
        assert user.git("rev-list", "--count", f"main..refs/goose/{ids['committed']}/head").strip() == "1"


SERVER = """
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    known = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}, "serverInfo": {"name": "x", "version": "1"}}
    result = {"tools": []} if asked["method"] == "tools/list" else known
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": result}), flush=True)
"""


@pytest.mark.case("R36")
async def test_no_process_of_a_killed_task_lives_on(user):
    marker = a_long_time()
    command = f"(setsid sleep {marker} &) ; sleep {marker}"
    script = json.dumps(f"{SERVER} # {marker}")
    server = f'[extensions.other]\ntype = "stdio"\ncmd = "/usr/bin/env"\nargs = ["python3", "-c", {script}]\n'
    async with answered(user, [calls(("shell", {"command": command})), *DONE], config=server):
        started = await user.goose("task", "start", "Do it", "--mode", "auto")
        assert started.code == 0, started
        task = started.out.strip()
        await until(lambda: len(running("sleep", marker)) >= 2 and len(running("python3", f"# {marker}")) >= 1)
        pid = pid_of(folder_of(user, task))
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
        await until(lambda: not running("sleep", marker) and not running("python3", f"# {marker}"))


@pytest.mark.case("R33")
async def test_a_worker_whose_disk_is_full_does_not_pass_for_one_that_works_and_its_task_goes_on_later(user):
    write = calls(("shell", {"command": "git reset --hard HEAD"}))
    async with answered(user, [write, {"text": "There is room again.", "repeat": 0}]):
        started = await user.goose("task", "start", "Start over", "--mode", "ask")
        task = started.out.strip()
        await ended(user, task, "awaiting approval")
        folder = folder_of(user, task)
        pid = pid_of(folder)
        assert pid is not None
        before = (folder.path / "log.jsonl").read_bytes()
        # As full as a plain user can make a disk: no file of this process may grow.
        hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)[1]
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (len(before), hard))
        await user.goose("inbox", "answer", task, "--allow")
        await until(lambda: not folder.owned())
        assert (folder.path / "log.jsonl").read_bytes().startswith(before)
        listed = await user.goose("task", "list")
        assert "resume" in listed.out + (await user.goose("task", "show", task)).out
        assert "failed" in listed.out and "shell:" not in listed.out, "what it asked is not why it ended"
        assert [each["state"] for each in (await user.goose("task", "list", "--json")).json] == ["failed"]
        assert (await user.goose("task", "resume", task)).code == 0
        await ended(user, task, "idle")
