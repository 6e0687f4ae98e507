"""A worktree that works, and that shares nothing by accident."""

import asyncio
import json
import shutil
import subprocess
from pathlib import Path

import pytest
from command import User, answered, calls
from parallel import ended, folder_of, until

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 10


def _results(user: User, task_id: str) -> list[str]:
    records = read_log(folder_of(user, task_id).path).records
    return [r.event.result.text() for r in records if isinstance(r.event, ev.ToolFinished)]


def _with_submodules(user: User) -> None:
    """`library` is there; `lacking` is not initialised in the checkout."""
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "protocol.file.allow=always")
    for name in ("library", "lacking"):
        origin = user.root / name
        subprocess.run([*git, "init", "-q", str(origin)], check=True)
        (origin / "lib.txt").write_text(f"{name} of others\n")
        subprocess.run([*git, "add", "-A"], cwd=origin, check=True)
        subprocess.run([*git, "commit", "-q", "-m", "x"], cwd=origin, check=True)
        subprocess.run([*git, "submodule", "add", "-q", str(origin), name], cwd=user.repository, check=True)
    user.git("submodule", "deinit", "-q", "-f", "lacking")
    shutil.rmtree(user.repository / ".git" / "modules" / "lacking")


@pytest.mark.case("U17")
async def test_what_a_worktree_needs_is_there_before_the_first_turn_or_the_task_says_exactly_what_is_missing(user):
    (user.repository / ".gitignore").write_text(".env\nlocal.toml\nnode_modules/\nsecret\nready\n")
    (user.repository / ".worktreeinclude").write_text(".env\n")
    for name in (".env", "local.toml", "secret"):
        (user.repository / name).write_text(f"{name} of mine\n")
    (user.repository / "node_modules").mkdir()
    (user.repository / "node_modules" / "big.js").write_text("x\n")
    _with_submodules(user)
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "a" * 64 + "\nsize 5\n"
    (user.repository / "big.bin").write_text(pointer)
    (user.repository / ".gitattributes").write_text("*.bin filter=lfs diff=lfs merge=lfs -text\n")
    user.commit("Everything")
    setup = "cat .env local.toml library/lib.txt > ready"
    settings = f'[worktree]\ninclude = ["local.toml"]\ncaches = ["node_modules"]\nsetup = "{setup}"\n'
    turns = [calls(("shell", {"command": "cat ready; ls -a"})), *DONE]
    async with answered(user, turns, config=settings) as server:
        done = await user.goose("run", "-t", "Look", "--output-format", "json")
        task = done.json["session_id"]
        assert ".env of mine\nlocal.toml of mine\nlibrary of others\n" in _results(user, task)[0]
        assert "secret" not in _results(user, task)[0], "only what was asked for is copied"
        missing = summary_of(folder_of(user, task)).missing
        (lacking,) = (text for text in missing if "Git LFS" in text)
        assert "big.bin" in lacking and "git lfs fetch" in lacking
        (told,) = (text for text in missing if "submodule" in text)
        assert "submodule lacking is empty" in told and "git submodule update --init" in told
        worktree = Path(done.json["worktree"])
        cloned = (worktree / "node_modules" / "big.js").exists()
        assert cloned != any("node_modules was not cloned" in text for text in missing)
        assert (worktree / ".env").stat().st_mode & 0o077 == 0
        assert "submodule" in (await user.goose("task", "show", task)).out
        assert "Setup:" in json.dumps(server.requests[0].body)

    broken = '[worktree]\nsetup = "echo tried >> attempts; echo no such thing >&2; exit 3"\n'
    async with answered(user, DONE, config=broken):
        done = await user.goose("run", "-t", "Look", "--output-format", "json")
        task = done.json["session_id"]
        told = [text for text in summary_of(folder_of(user, task)).missing if "setup command" in text]
        assert len(told) == 1 and "exit code 3" in told[0] and "no such thing" in told[0] and "check-" in told[0]
        worktree = Path(done.json["worktree"])
        assert (worktree / "attempts").read_text() == "tried\n" * 2, "it is tried a second time"
        again = await user.goose("task", "setup", task)
        assert again.code == 1 and "no such thing" in again.out and "exit code 3" in again.err


@pytest.mark.case("U38")
async def test_tasks_that_run_together_have_ports_names_and_temporary_files_of_their_own_and_no_stash(user):
    show = 'echo "$PORT|$GOOSE_PY_PORTS|$COMPOSE_PROJECT_NAME"; echo x > "$TMPDIR/port-$PORT"; echo > begun'
    waits = 'until [ -e go ]; do sleep 0.02; done; cd "$TMPDIR" && ls -d port-*'
    turns = [calls(("shell", {"command": f"{show}; {waits}"}))] * 2 + [calls(("shell", {"command": "git stash"}))] * 2 + DONE
    async with answered(user, turns, config="[tasks]\nports = 5\nfirst_port = 23000"):
        started = await user.goose("task", "start", "--each", "-", "--mode", "auto", stdin="one\ntwo\n")
        ids = started.out.split()
        for task in ids:
            await ended(user, task, "running", "planning")
        (user.repository / "mine.txt").write_text("not stashed\n")
        workspaces = [Path(summary_of(folder_of(user, task)).workspace) for task in ids]
        await until(lambda: all((workspace / "begun").exists() for workspace in workspaces))
        for workspace in workspaces:
            (workspace / "go").touch()
        for task in ids:
            assert not (await ended(user, task, "awaiting review")).question, "the stash is the task's own, and recorded"
        shown = [_results(user, task)[0].splitlines() for task in ids]
        seen = [lines[0].split("|") for lines in shown]
        first, second = sorted(int(values[0]) for values in seen)
        assert second - first >= 5 and first >= 23000 and seen[0][2] != seen[1][2]
        assert [lines[1:-1] for lines in shown] == [[f"port-{values[0]}"] for values in seen], "each sees its own files alone"
        for task in ids:
            await user.goose("task", "stop", task)
    assert user.git("stash", "list") == "" and (user.repository / "mine.txt").exists()


async def test_commits_of_tasks_that_run_together_all_arrive(user):
    one = "echo $i > file; git add file && git -c user.name=A -c user.email=a@b commit -qm $i || exit 1"
    turns = [calls(("shell", {"command": f"for i in 1 2 3 4 5 6 7 8; do {one}; done"}))] * 3 + DONE
    async with answered(user, turns, config='[sandbox]\nlevel = "none"\n'):
        started = await user.goose("task", "start", "--each", "-", "--mode", "auto", stdin="one\ntwo\nthree\n")
        ids = started.out.split()
        for task in ids:
            if (await ended(user, task, "awaiting review", "awaiting approval")).state == "awaiting approval":
                assert (await user.goose("inbox", "answer", task, "--allow")).code == 0
        for task in ids:
            await ended(user, task, "awaiting review")
            assert user.git("rev-list", "--count", f"main..refs/goose/{task}/head").strip() == "8", _results(user, task)


async def test_leases_are_given_once_also_to_tasks_that_ask_at_the_same_time(tmp_path):
    script = (
        "import sys; from pathlib import Path; from goose_py.tasks.leases import PortLeases\n"
        "leases = PortLeases(Path(sys.argv[1]), lambda task: True)\n"
        "print(leases.lease(sys.argv[2], 24000, 7).first, leases.lease(sys.argv[2], 24000, 7).first)"
    )
    import sys

    processes = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-c", script, str(tmp_path), f"task-{number}", stdout=asyncio.subprocess.PIPE
        )
        for number in range(8)
    ]
    outs = [(await process.communicate())[0].split() for process in processes]
    assert all(first == second for first, second in outs) and len({first for first, _ in outs}) == 8
