"""What is pasted or comes in a burst, through the installed command in a real terminal: it is text, and sends nothing."""

from pathlib import Path

import pytest
from command import User, answered
from parallel import until
from tui.tmux import needs_tmux

pytestmark = needs_tmux

DONE = [{"text": "It adds prices up."}] * 8
OPEN, CLOSE = "\x1b[200~", "\x1b[201~"


def prompts(server) -> list[str]:  # type: ignore[no-untyped-def]
    """What the model was asked, one text for each request."""
    return [request.body["messages"][-1]["content"][-1]["text"] for request in server.requests]


@pytest.fixture
def shell(user: User) -> Path:
    """Stands where the user's shell is; keeps what it is given."""
    kept, shell = user.root / "executed", user.root / "shell"
    shell.write_text(f'#!/bin/sh\necho "$@" >> {kept}\n')
    shell.chmod(0o755)
    user.env["SHELL"] = str(shell)
    return kept


@pytest.mark.case("T01")
@pytest.mark.parametrize(
    ("burst", "shown"),
    [
        (f"{OPEN}x\x1bx\x15!touch F\r{CLOSE}", ("x\\x1bx\\x15!touch F",)),
        (f"{OPEN}\x1b[31mred\x1b[0m\r{CLOSE}", ("\\x1b[31mred\\x1b[0m",)),
        (f"{OPEN}one{CLOSE}\x15!touch F\r", ("one\\x15!touch F",)),
        (f"{OPEN}one{CLOSE}\r\x15!touch F\r{CLOSE}", ("one\\x1b[201~", "\\x15!touch F")),
        (f"{OPEN}one\r\ntwo\rthree\n{CLOSE}", ("one", "two", "three")),
    ],
)
async def test_a_paste_is_text_to_its_end_marker_whatever_it_holds(user, terminal, shell, burst, shown):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.write(burst)
        await terminal.shows(*shown)
        await terminal.type("and more")
        await terminal.shows(*shown, "and more", "ready")
        assert server.requests == [] and not shell.exists()


@pytest.mark.case("T03")
@pytest.mark.parametrize("text", ["one\rtwo\rthree\r", "!touch F\rtwo\r", "\rhello"])
async def test_lines_without_brackets_are_a_paste_too_and_never_sent_by_themselves(user, terminal, shell, text):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.write(text)
        await terminal.shows(*text.split("\r"))
        assert server.requests == [] and not shell.exists()
        if not text.startswith("!"):
            await terminal.press("Enter")
            await terminal.shows("It adds prices up.", "Say what should be done")
            assert prompts(server)[0].strip() == text.replace("\r", "\n").strip() and len(server.requests) == 1


@pytest.mark.case("T03")
async def test_a_line_that_a_program_types_is_sent_once_and_runs_no_command(user, terminal, shell):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.write("what is here\r")
        await terminal.shows("It adds prices up.", "Say what should be done")
        assert prompts(server) == ["what is here"]
        await terminal.write("!touch F\r")
        await terminal.shows("!touch F")
        assert len(server.requests) == 1 and not shell.exists()


@pytest.mark.case("T03")
async def test_what_is_typed_right_after_enter_is_the_beginning_of_the_next_prompt(user, terminal):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.type("first")
        await terminal.press("Enter")
        await until(lambda: bool(server.requests))
        await terminal.write("second")
        await terminal.shows("It adds prices up.", "│ second")
        assert prompts(server)[0] == "first" and len(server.requests) == 1
        await terminal.press("Enter")
        await terminal.shows("▌ second")
        assert prompts(server)[1] == "second"


LONG = "".join(f"line {number} of a log\n" for number in range(1, 49))


async def test_a_long_paste_is_a_chip_that_is_opened_deleted_as_one_and_sent_in_full(user, terminal):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.type("read this: ")
        await terminal.paste(LONG)
        screen = await terminal.shows("read this: [pasted 48 lines]", "ctrl+o open the paste")
        assert "of a log" not in screen
        await terminal.press("BSpace")
        await terminal.shows("│ read this:  ")
        await terminal.paste(LONG)
        await terminal.shows("read this: [pasted 48 lines]")
        await terminal.press("C-o")
        screen = await terminal.shows("line 48 of a log")
        assert "[pasted" not in screen
        await terminal.type("why?")
        await terminal.press("Enter")
        await terminal.shows("It adds prices up.")
        assert prompts(server)[0] == f"read this: {LONG}why?"
        await terminal.paste(LONG, brackets=False)
        await terminal.shows("[pasted 48 lines]")
        await terminal.press("Enter")
        await terminal.shows("Say what should be done")
        await terminal.press("Up")
        await terminal.shows("│ [pasted 48 lines]")
        assert prompts(server)[1].strip() == LONG.strip() and len(server.requests) == 2


async def test_a_paste_beyond_the_models_window_is_said_before_it_is_sent(user, terminal):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.paste("word " * 30_000)
        await terminal.shows("[pasted 150,000 characters]", "about 42k tokens, the model's window is 32k: shorten it")
        await terminal.press("Enter")
        await terminal.shows("[pasted 150,000 characters]", "enter again sends it")
        assert server.requests == []
        await terminal.press("Enter")
        await terminal.shows("It adds prices up.")
        assert len(prompts(server)[0]) == 150_000


@pytest.mark.case("T01")
async def test_what_is_pasted_over_a_question_is_written_and_answers_nothing(user, terminal, shell):
    from command import calls

    turns = [calls(("shell", {"command": "touch asked-for-5150"})), *DONE]
    async with answered(user, turns, config='mode = "ask"\n[sandbox]\nlevel = "none"') as server:
        await terminal.open()
        await terminal.ask("Touch a file")
        await terminal.shows("touch asked-for-5150", "enter answer")
        for burst in (f"{OPEN}y\ry{CLOSE}", "yes\ryes\r", "yyy"):
            await terminal.write(burst)
        screen = await terminal.shows("yyy", "Allow once")
        assert "y\n" in screen.replace("│", "").replace(" ", "")
        assert not list(user.state.glob("tasks/*/tree/*/asked-for-5150"))
        assert len(server.requests) == 1


async def test_lines_pasted_into_one_line_become_one_and_send_nothing(user, terminal):
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.shows("Say what should be done", "ready")
        await terminal.press("F2")
        await terminal.shows("n new")
        await terminal.press("n")
        await terminal.shows("describe a task")
        await terminal.paste("one\ntwo\x1b[31m\nthree\n")
        await terminal.shows("one two\\x1b[31m three")
        await terminal.write("\rmore\rlines\r")
        await terminal.shows("three more lines")
        assert server.requests == []
