"""A task that cannot be started from the screen: one sentence says what is wrong and what mends it, and nothing is lost."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from command import User, answered
from parallel import folder_of, pid_of, until
from tui.tmux import Terminal, needs_tmux

pytestmark = needs_tmux

SERVED = 'provider = "lmstudio"\nmodel = "m"\n[providers.lmstudio]\nbase_url = "http://127.0.0.1:9/v1"\n'


def no_repository(user: User) -> Path:
    folder = user.root / "elsewhere"
    folder.mkdir()
    return folder


def no_commit(user: User) -> Path:
    folder = no_repository(user)
    (folder / ".git").mkdir()
    for name, text in (("HEAD", "ref: refs/heads/main\n"), ("config", "[core]\n\tbare = false\n")):
        (folder / ".git" / name).write_text(text)
    for name in ("refs", "objects"):
        (folder / ".git" / name).mkdir()
    return folder


def at_home(user: User) -> Path:
    return user.repository


@pytest.mark.case("T02")
@pytest.mark.parametrize(
    ("config", "arguments", "place", "wrong", "mends"),
    [
        ("", (), at_home, "No provider is chosen", "`goose-py configure`"),
        ('provider = "anthropic"\nmodel = "m"\n', (), at_home, "Anthropic needs a key", "`goose-py configure`"),
        ('provider = "lmstudio"\n', (), at_home, "No model is chosen", "`--model NAME`"),
        ('provider = "nosuch"\nmodel = "m"\n', (), at_home, "No provider is known by the name 'nosuch'", "Known are:"),
        (SERVED, ("--base", "nosuch"), at_home, "nosuch names no commit", "`git branch -a`"),
        (SERVED, (), no_repository, "is not in a git repository", "`git init`"),
        (SERVED, ("--base", "head"), no_commit, "has no commit yet", "Commit something first"),
    ],
    ids=["no-provider", "no-key", "no-model", "unknown-provider", "bad-base", "no-repository", "no-commit"],
)
async def test_it_is_said_what_is_wrong_and_what_was_written_stays(
    user: User, config: str, arguments: tuple[str, ...], place: Callable[[User], Path], wrong: str, mends: str
):
    user.configure(config)
    terminal = Terminal(user, 100, 30, folder=place(user))
    try:
        await terminal.open(*arguments)
        await terminal.shows("Say what should be done", "enter tries again")
        await terminal.type("hello there")
        for _ in range(3):
            await terminal.press("Enter")
            screen = await terminal.shows("│ hello there", "enter tries again")
        said = " ".join(screen.split())
        assert said.count(wrong) == 1 and mends in said and "!goose-py doctor" in said
        await until(lambda: not list((user.state / "tasks").glob("*")))
        await terminal.answer("C-u", "Say what should be done", "enter tries again")  # the last try may still be on its way
        await terminal.press("C-d")
        screen = await terminal.shows("[ended 0]")
        assert "is kept" not in screen and "bug" not in screen
    finally:
        await terminal.close()


@pytest.mark.case("T02")
async def test_what_is_mended_meanwhile_lets_enter_send_what_was_written(user: User, terminal: Terminal):
    user.configure("")
    await terminal.open()
    await terminal.shows("No provider is chosen", "enter tries again")
    await terminal.type("hello there")
    await terminal.press("Enter")
    await terminal.shows("│ hello there", "enter tries again")
    async with answered(user, [{"text": "It adds prices up."}] * 4) as server:
        await terminal.press("Enter")
        await terminal.shows("▌ hello there", "It adds prices up.", "anthropic/scripted-model")
        assert len(server.requests) == 1


@pytest.mark.case("T02")
async def test_the_command_that_mends_it_runs_from_the_prompt(user: User, terminal: Terminal):
    user.configure("")
    await terminal.open()
    await terminal.shows("No provider is chosen", "enter tries again")
    await terminal.type("!goose-py doctor")
    await terminal.press("Enter")
    await terminal.shows("[exit code", "enter goes back")
    await terminal.press("Enter")
    await terminal.shows("No provider is chosen", "enter tries again")


@pytest.mark.case("T02")
async def test_another_task_that_cannot_be_started_leaves_the_one_that_is_open(user: User, terminal: Terminal):
    async with answered(user, [{"text": "It adds prices up."}] * 4):
        await terminal.open()
        await terminal.ask("What does it do?")
        await terminal.shows("It adds prices up.", "Say what should be done")
        user.configure("provider = \n")
        await terminal.type("/new")
        await terminal.press("Enter")
        await terminal.shows("TOML", "It adds prices up.")
        await terminal.press("F2")
        await terminal.shows("n new")
        await terminal.press("n")
        await terminal.shows("describe a task")
        await terminal.type("Count the tests")
        await terminal.press("Enter")
        await terminal.shows("│  Count the tests", "TOML")


@pytest.mark.case("T02")
async def test_the_task_that_is_open_was_discarded_by_somebody_else(user: User, terminal: Terminal):
    async with answered(user, [{"text": "It adds prices up."}] * 4):
        await terminal.open()
        await terminal.ask("What does it do?")
        await terminal.shows("It adds prices up.", "Say what should be done")
        (task,) = (user.state / "tasks").iterdir()
        worker = pid_of(folder_of(user, task.name))
        assert worker is not None
        os.kill(worker, signal.SIGTERM)
        await terminal.shows("not running")
        shutil.rmtree(task)
        await terminal.type("And now?")
        await terminal.press("Enter")
        await terminal.shows(f"There is no task {task.name} any more", "│ And now?")
        await terminal.press("C-u")
        await terminal.type("/new")
        await terminal.press("Enter")
        await terminal.shows(" ready")


@pytest.mark.case("T02")
async def test_a_disk_that_takes_no_task_is_said_in_a_sentence(user: User, terminal: Terminal):
    user.configure("")
    await terminal.open()
    await terminal.shows("No provider is chosen", "enter tries again")
    await until(lambda: not list((user.state / "tasks").glob("*")))
    (user.state / "tasks").rmdir()
    (user.state / "tasks").write_text("")
    await terminal.type("hello there")
    await terminal.press("Enter")
    await terminal.shows("No task can be kept", "│ hello there", "enter tries again")
