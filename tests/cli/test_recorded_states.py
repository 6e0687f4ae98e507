"""Everything that stood between two calls of a task can be brought back."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from command import User, answered, calls
from git_repos import tree_of_folder
from parallel import folder_of

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

GOOSE = Path(sys.executable).with_name("goose-py")
DONE = [{"text": "Done."}] * 6


async def _run(user: User, *commands: str, config: str = 'plan_approval = "off"') -> tuple[str, Path]:
    turns = [calls(("shell", {"command": command})) for command in commands]
    async with answered(user, [*turns, *DONE], config=config):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json")
    assert ended.code == 0, ended
    return ended.json["session_id"], Path(ended.json["worktree"])


def _call_ids(user: User, task: str) -> list[str]:
    records = read_log(folder_of(user, task).path).records
    return [record.event.call_id for record in records if isinstance(record.event, ev.StateRecorded) and record.event.call_id]


@pytest.mark.case("P02")
@pytest.mark.case("S06")
async def test_what_three_calls_destroyed_is_there_again_before_the_first_of_them(user: User):
    (user.repository / ".gitignore").write_text("*.local\n")
    user.commit("Ignore")
    (user.repository / "config.local").write_text("as it was\n")
    (user.repository / "cart.py").write_text("uncommitted\n")
    task, worktree = await _run(
        user, "rm test_cart.py", "echo changed > config.local; echo new > new.local", "git reset --hard"
    )
    assert (worktree / "test_cart.py").exists(), "reset brought it"
    assert "uncommitted" not in (worktree / "cart.py").read_text() and (worktree / "new.local").exists()
    first = _call_ids(user, task)[0]
    reviewed = await user.goose("review", task)
    assert "In no change, since git ignores it: config.local, new.local." in reviewed.err, reviewed
    assert (await user.goose("review", task, "--json")).json["ignored"] == ["config.local", "new.local"]

    listed = await user.goose("task", "rewind", task, "--list")
    assert first in listed.out and "1.3" in listed.out and "git reset --hard" in listed.out
    assert (await user.goose("task", "rewind", task, "--to", first, "--yes")).code == 0
    assert (worktree / "cart.py").read_text() == "uncommitted\n" and (worktree / "test_cart.py").exists()
    assert (worktree / "config.local").read_text() == "as it was\n" and not (worktree / "new.local").exists()
    back = await user.goose("task", "rewind", task, "--to", "1.3", "--yes")
    assert back.code == 0 and "Done" in back.out
    assert not (worktree / "test_cart.py").exists() and (worktree / "cart.py").read_text() == "uncommitted\n"
    assert (worktree / "config.local").read_text() == "changed\n" and (worktree / "new.local").read_text() == "new\n"
    assert (await user.goose("task", "rewind", task, "--undo")).code == 0
    assert (worktree / "test_cart.py").exists() and not (worktree / "new.local").exists()


@pytest.mark.case("P02")
async def test_what_git_ignores_comes_back_with_a_task_that_was_discarded(user: User):
    (user.repository / ".gitignore").write_text("*.local\nbuild/\n")
    user.commit("Ignore")
    making = "echo made > config.local; mkdir -p build/deep; echo out > build/deep/result; echo x > a.txt"
    task, worktree = await _run(user, making)
    before = tree_of_folder(worktree)
    assert (await user.goose("task", "discard", task, "--yes")).code == 0 and not worktree.exists()
    restored = await user.goose("task", "restore", task)
    assert restored.code == 0, restored
    assert tree_of_folder(worktree) == before


async def test_branches_tags_and_the_stash_go_back_with_the_files(user: User):
    task, worktree = await _run(
        user,
        "git branch kept; git tag v1; echo one > one.txt; git add -A; git commit -qm One; git branch topic",
        "echo two > cart.py; git stash -q",
        "git stash drop -q; git branch -qD topic kept; git tag -d v1; git reset -q --hard HEAD~1; git checkout -qb other",
        "echo end > end.txt",
    )
    shown = "git for-each-ref --format='%(refname) %(objectname)'; git symbolic-ref HEAD; git stash list; git status --short"
    assert (await user.goose("task", "rewind", task, "--to", "1.3", "--yes")).code == 0
    turns = [calls(("shell", {"command": shown})), *DONE]
    async with answered(user, turns, config='plan_approval = "off"') as server:
        assert (await user.goose("run", "--resume", task, "-t", "Look")).code == 0
    seen = str(server.requests[1].body)
    assert all(f"refs/{name} " in seen for name in ("heads/kept", "heads/topic", "tags/v1", "stash")), seen
    assert "refs/heads/main\\n" in seen and "refs/heads/other" not in seen.split("Look")[1].split("symbolic-ref")[-1]
    assert (worktree / "one.txt").exists()


async def test_why_a_hunk_is_there_is_known_to_the_call_even_where_no_call_names_it(user: User):
    task, _ = await _run(
        user,
        "python3 -c \"open('a.txt','w').write('x'*3)\"",
        "ls > /dev/null; printf 'one\\ntwo\\n' > b.txt",
        "f=b; sed -i s/two/TWO/ $f.txt",
    )
    why = await user.goose("review", task, "--why")
    assert why.code == 0, why
    a, b = why.out.split("b.txt\n", 1)
    assert "1.1" in a and "open('a.txt'" in a and "1.2" in b and "1.3" in b and "sed -i" in b


@pytest.mark.case("P13")
async def test_a_disk_that_is_full_before_the_files_are_there_is_said_to_be(user: User):
    for number in range(6):
        (user.repository / f"large{number}").write_bytes(os.urandom(900_000))
    user.commit("Large")
    full = f"mount -t tmpfs -o size=3m none {user.state.parent}/state && exec {GOOSE} run -t Go"
    user.state.mkdir(parents=True, exist_ok=True)
    user.configure('provider = "anthropic"\nmodel = "m"\n')
    process = await asyncio.create_subprocess_exec(
        "unshare", "-rm", "/bin/sh", "-c", full, cwd=user.repository,
        env={**user.environment(), "PATH": f"{user.environment()['PATH']}:/usr/sbin:/sbin", "ANTHROPIC_API_KEY": "k"},
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(60):
        _, err = await process.communicate()
    assert process.returncode == 2 and b"no space left" in err and b"read-tree" not in err, err
