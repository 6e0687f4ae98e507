"""Delegated tasks end in a branch and a draft pull request; compared ones stand side by side."""

import asyncio
import hashlib
import json
import subprocess
from pathlib import Path

from command import CHECK, FIX, FIXING, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of, kill_worker, until

from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 20


def _remote(user: User) -> Path:
    remote = user.root / "remote.git"
    subprocess.run(["git", "init", "-q", "--bare", "-b", "main", str(remote)], check=True)
    user.git("remote", "add", "origin", str(remote))
    user.git("push", "-q", "origin", "main")
    return remote


def _program(user: User, name: str, script: str) -> Path:
    """An executable of that name on the user's PATH, which records what it is called with."""
    folder = user.root / "programs"
    folder.mkdir(exist_ok=True)
    record = folder / f"{name}.json"
    program = folder / name
    program.write_text(
        "#!/usr/bin/env python3\nimport json, os, sys\n"
        f"json.dump({{'args': sys.argv[1:], 'cwd': os.getcwd()}}, open({str(record)!r}, 'w'))\n{script}\n"
    )
    program.chmod(0o755)
    user.env["PATH"] = f"{folder}:{user.environment()['PATH']}"
    return record


def _in(remote: Path, *args: str) -> str:
    return subprocess.run(["git", *args], cwd=remote, capture_output=True, text=True, check=True).stdout


async def test_a_delegated_task_ends_in_a_pushed_branch_and_a_draft_pull_request_that_says_how_it_was_made(user):
    remote = _remote(user)
    called = _program(user, "gh", "print('https://example.org/pull/7')")
    before = user.tree()
    async with answered(user, FIXING):
        started = await user.goose("delegate", "Take the discount off", "--push", "--mode", "auto", "--check", CHECK)
        assert started.code == 0, started
        task = started.out.strip()
        summary = await ended(user, task, "delivered")
    assert (await user.goose("inbox")).out.startswith("Nothing waits")
    assert summary.delivered == "https://example.org/pull/7"
    args = json.loads(called.read_text())["args"]
    assert args[:3] == ["pr", "create", "--draft"] and args[args.index("--base") + 1] == "main"
    assert args[args.index("--head") + 1] == summary.branch and args[args.index("--title") + 1] == "Take the discount off"
    body = Path(args[args.index("--body-file") + 1]).read_text()
    assert "> Take the discount off" in body and "[x] Take the discount off" in body
    assert f"passed: {CHECK}" in body and "cost no price known" in body and task in body
    assert "sum(prices) - discount" in _in(remote, "show", f"{summary.branch}:cart.py")
    assert _in(remote, "log", "--format=%s", f"main..{summary.branch}") == "Take the discount off\n"
    assert user.tree() == before and "sum(prices) + discount" in _in(remote, "show", "main:cart.py")


async def test_contents_of_lfs_are_sent_before_the_branch_that_points_to_them(user):
    remote = _remote(user)
    content = b"large" * 400
    digest = hashlib.sha256(content).hexdigest()
    stored = user.repository / ".git" / "lfs" / "objects" / digest[:2] / digest[2:4] / digest
    stored.parent.mkdir(parents=True)
    stored.write_bytes(content)
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"
    (user.repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    (user.repository / "big.bin").write_text(pointer)
    user.commit("A large file")
    pushed = _program(user, "git-lfs", "sys.exit(0 if sys.argv[1] == 'push' else 'nothing else is asked of it')")
    _program(user, "gh", "print('https://example.org/pull/9')")
    async with answered(user, FIXING):
        task = (await user.goose("delegate", "Take it off", "--push", "--mode", "auto")).out.strip()
        summary = await ended(user, task, "delivered")
    assert json.loads(pushed.read_text())["args"] == ["push", "origin", summary.branch]
    assert _in(remote, "show", f"{summary.branch}:big.bin") == pointer
    pushed.unlink()
    again = await user.goose("delegate", "--finish", task)
    assert again.code == 0 and f"git lfs push origin {summary.branch}" in again.out and not pushed.exists()


async def test_without_the_users_word_nothing_leaves_the_machine_and_the_exact_commands_are_said(user):
    remote = _remote(user)
    called = _program(user, "gh", "")
    async with answered(user, FIXING):
        task = (await user.goose("delegate", "Take it off", "--mode", "auto")).out.strip()
        summary = await ended(user, task, "delivered")
        assert summary.alive, "it waits a while for more to do"
        said = await user.goose("delegate", "--finish", task)
    assert said.code == 0, said
    for command in (("task", "show", task), ("task", "list")):
        shown = (await user.goose(*command)).out
        assert f"git push --no-verify --set-upstream origin refs/heads/{summary.branch}" in shown and "gh pr create" in shown
    assert not called.exists() and "goose" not in _in(remote, "branch", "--list", "goose/*")
    assert "sum(prices) - discount" in user.git("show", f"{summary.branch}:cart.py")
    commands = [line.strip() for line in said.out.splitlines()[1:]]
    assert commands[1].startswith("git push") and commands[2].startswith("gh pr create --draft")
    shell = await asyncio.create_subprocess_exec("/bin/sh", "-ec", "\n".join(commands), env=user.environment())
    assert await shell.wait() == 0
    assert "sum(prices) - discount" in _in(remote, "show", f"{summary.branch}:cart.py") and called.exists()


async def test_a_delivery_that_fails_is_said_loses_nothing_and_can_be_done_again(user):
    called = _program(user, "gh", "sys.exit('no network today')")
    async with answered(user, FIXING):
        task = (await user.goose("delegate", "Take it off", "--push", "--mode", "auto")).out.strip()
        await ended(user, task, "awaiting review")
        folder = folder_of(user, task)
        await until(lambda: bool(summary_of(folder).undelivered))
        kill_worker(folder)
    for command in (("task", "show", task), ("inbox",)):
        shown = (await user.goose(*command)).out
        assert "has no remote" in shown and f"`goose-py delegate --finish {task}`" in shown, shown
    assert not called.exists()
    by_hand = (await user.goose("delegate", "--finish", task)).out.splitlines()
    assert by_hand[2].strip() == "git remote add origin ADDRESS" and "git push" in by_hand[3]
    remote = _remote(user)
    failed = await user.goose("delegate", "--finish", task, "--push")
    assert failed.code == 2 and "no network today" in failed.err
    _program(user, "gh", "print('https://example.org/pull/8')")
    again = await user.goose("delegate", "--finish", task, "--push")
    assert again.code == 0 and "https://example.org/pull/8" in again.out, again
    branch = summary_of(folder).branch
    assert _in(remote, "rev-list", "--count", f"main..{branch}").strip() == "1", "the commit is made once"


async def test_the_same_task_on_two_models_stands_side_by_side_and_picking_one_discards_none(user):
    other = ("edit", {"path": "cart.py", "old_string": "sum(prices) + discount", "new_string": "sum(prices, -discount)"})
    turns = [
        calls(PLAN, FIX), calls(PLAN_DONE), *[{"text": "Done."}] * 2,
        calls(PLAN, other), calls(PLAN_DONE), *DONE,
    ]  # fmt: skip
    async with answered(user, turns, config="[tasks]\nparallel = 1"):
        ran = await user.goose(
            "compare", "Take it off", "--model", "scripted-model", "--model", "second-model", "--mode", "auto", "--check", CHECK
        )
        assert ran.code == 0, ran
    group = ran.err.split()[0]
    assert "scripted-model" in ran.out and "second-model" in ran.out and "✓" not in ran.err
    assert ran.out.count("passed") == 2 and "1 files differ" in ran.out
    shown = json.loads((await user.goose("compare", "--show", group, "--json")).out)
    first, second = (task["task_id"] for task in shown["tasks"])
    assert len({task["base"] for task in shown["tasks"]}) == 1 and all(task["seconds"] > 0 for task in shown["tasks"])
    diff = await user.goose("compare", "--show", group, "--diff")
    assert "-    return sum(prices) - discount" in diff.out and "+    return sum(prices, -discount)" in diff.out
    picked = await user.goose("compare", "--pick", second, "--yes", "--how", "squash")
    assert picked.code == 0 and first in picked.out, picked
    assert "sum(prices, -discount)" in (user.repository / "cart.py").read_text()
    assert Path(summary_of(folder_of(user, first)).workspace).is_dir()
    one = await user.goose("compare", "x", "--model", "only")
    assert one.code == 2 and "at least two" in one.err
