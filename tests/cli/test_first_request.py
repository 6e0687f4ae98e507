"""The first request of a large repository leaves while the worktree is still being filled: what waits, and what cannot."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from command import PLAN, PLAN_DONE, User, answered, calls
from git_repos import GIT

READING = [calls(("read", {"path": "cart.py"})), {"text": "I have read it."}, {"text": "Done."}]


class Large(User):
    """Somebody with so many files that nobody waits for them, whose git writes them into a worktree when it is told to."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for number in range(600):
            (self.repository / f"f{number}.txt").write_text(f"{number}\n")
        (self.repository / "docs").mkdir()
        (self.repository / "docs" / "rules.md").write_text("Call every total a sum.\n")
        (self.repository / "AGENTS.md").write_text("Say please.\n@docs/rules.md\n")
        self.commit("A large shop")
        self.gate = self.root / "gate"
        os.mkfifo(self.gate)
        full = "echo 'error: unable to write file: No space left on device' >&2; exit 128"
        self.env["PATH"] = f"{self.root}/bin:{Path(os.sys.executable).parent}:/usr/bin:/bin"
        git = self.root / "bin" / "git"
        git.parent.mkdir()
        git.write_text(
            f'#!/bin/sh\nif [ "$1" = read-tree ] && [ -p {self.gate} ]; then\n  read told < {self.gate}\n'
            f'  [ "$told" = full ] && {{ {full}; }}\nfi\nexec {GIT} "$@"\n'
        )
        git.chmod(0o755)

    async def tell_git(self, word: str) -> None:
        await asyncio.to_thread(self.gate.write_text, f"{word}\n")
        self.gate.unlink()

    def worktree(self) -> Path:
        return next((self.state / "tasks").glob("*/tree/*"))

    def left_behind(self) -> list[str]:
        refs = self.git("for-each-ref", "--format=%(refname)").split()
        tasks = [path.name for path in (self.state / "tasks").iterdir()]
        return [*(ref for ref in refs if "goose" in ref), *tasks, *self.git("worktree", "list").split("\n")[1:-1]]


@pytest.fixture
def user(tmp_path):
    user = Large(tmp_path)
    yield user
    user.leave()


async def test_the_model_is_asked_before_the_files_are_there_and_tools_wait_for_them(user):
    before = user.tree()
    async with answered(user, READING) as server:
        running = asyncio.ensure_future(user.goose("run", "-t", "Read the cart", "--quiet"))
        await server.received(1, within=30)
        assert not (user.worktree() / "cart.py").exists()
        told = str(server.requests[0].body)
        assert "Say please." in told and "Call every total a sum." in told and "Files: 604" in told
        await user.tell_git("go")
        ended = await running
    assert ended.code == 0, ended.err
    assert "return sum(prices) + discount" in str(server.requests[1].body)
    assert "Say please." in str(server.requests[1].body) and str(server.requests[1].body).count("Say please.") == 1
    assert user.tree() == before


async def test_files_that_never_come_end_the_run_with_one_sentence_and_leave_nothing(user):
    before = user.tree()
    async with answered(user, READING) as server:
        running = asyncio.ensure_future(user.goose("run", "-t", "Read the cart", "--quiet"))
        await server.received(1, within=30)
        await user.tell_git("full")
        ended = await running
    assert ended.code == 2 and ended.out == ""
    assert ended.err.strip().count("\n") == 0 and "no space left" in ended.err
    assert user.left_behind() == []
    assert user.tree() == before


async def test_a_run_that_was_killed_before_its_files_were_there_goes_on_with_all_of_them(user):
    writing = calls(PLAN, ("write", {"path": "new.txt", "content": "new\n"}), PLAN_DONE)
    async with answered(user, [READING[0], writing, *[{"text": "Done."}] * 4]) as server:
        process = await user.start("run", "-t", "Read the cart", "--quiet")
        await server.received(1, within=30)
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        task = user.worktree().parents[1].name
        user.gate.unlink()
        ended = await user.goose("run", "--resume", task, "--quiet")
    assert ended.code == 0, ended.err
    everything = {path.name for path in user.repository.iterdir()} | {"new.txt"}
    assert {path.name for path in user.worktree().iterdir()} == everything
    assert user.git("worktree", "list").count("\n") == 2


async def test_an_interrupt_meanwhile_keeps_the_task_and_all_its_files(user):
    async with answered(user, READING) as server:
        process = await user.start("run", "-t", "Read the cart", "--quiet")
        await server.received(1, within=30)
        process.send_signal(signal.SIGINT)
        await user.tell_git("go")
        await process.communicate()
        assert process.returncode == 130
    assert (user.worktree() / "cart.py").read_text() == (user.repository / "cart.py").read_text()


async def test_what_a_worktree_needs_besides_its_base_comes_before_the_first_request(user):
    (user.repository / ".gitignore").write_text(".goosehints\n")
    (user.repository / ".worktreeinclude").write_text(".goosehints\n")
    user.commit("Keep mine to myself")
    (user.repository / ".goosehints").write_text("Sing.\n")
    async with answered(user, READING) as server:
        running = asyncio.ensure_future(user.goose("run", "-t", "Read the cart", "--quiet", "--base", "head"))
        await user.tell_git("go")
        ended = await running
    assert ended.code == 0, ended.err
    assert "Sing." in str(server.requests[0].body)


async def test_a_setup_command_finds_all_files_and_ends_before_the_first_request(user):
    setup = '[worktree]\nsetup = "cp cart.py ready.py"\n'
    async with answered(user, READING, config=setup) as server:
        running = asyncio.ensure_future(user.goose("run", "-t", "Read the cart", "--quiet"))
        await user.tell_git("go")
        ended = await running
    assert ended.code == 0, ended.err
    assert "Setup: `cp cart.py ready.py` has run." in str(server.requests[0].body)
    assert (user.worktree() / "ready.py").read_text() == (user.repository / "cart.py").read_text()
