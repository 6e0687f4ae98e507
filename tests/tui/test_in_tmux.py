"""The real command in a real terminal: what a person types, and what they see."""

import asyncio
import os
import signal
from pathlib import Path

import pytest
from command import CHECK, FIX, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of, fork_servers, kill_worker, until
from processes import a_long_time, running
from tui.tmux import Terminal, needs_tmux

pytestmark = needs_tmux

_PARTS = [f"def part_{number}():\n    return {number}\n" + "\n" * 8 for number in range(4)]
CART_LONG = "".join(_PARTS)
CART_CHANGED = (
    CART_LONG.replace("return 0", "return 'kept'")
    .replace("return 1", "return 'dropped'")
    .replace("    return 2\n", "    first = 2\n    return first\n")
    .replace("return 3", "return 'AGENT'")
)
# Of the third part only the first added line was kept: the line that was there stays.
CART_ACCEPTED = (
    CART_LONG.replace("return 0", "return 'kept'")
    .replace("    return 2\n", "    return 2\n    first = 2\n")
    .replace("return 3", "return 'PERSON'")
)
DONE = [{"text": "The discount is taken off now."}] * 8


async def test_a_change_is_asked_for_watched_reviewed_and_applied_without_leaving_the_screen(user, terminal):
    turns = [calls(("read", {"path": "cart.py"}), text="I look first."), calls(PLAN, FIX), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config=f'mode = "auto"\nchecks = ["{CHECK}"]'):
        await terminal.open()
        await terminal.ask("Take the discount off")
        await terminal.shows("ready for review", "checks passed", "PLAN  1/1")
        await terminal.press("F3")
        await terminal.shows("hunk 1 of 1", "return sum(prices) - discount")
        await terminal.press("Space")
        await terminal.shows("kept 1")
        before = (user.repository / "cart.py").read_text()
        await terminal.press("M")
        await terminal.shows("Apply to", "nothing staged or committed")
        assert (user.repository / "cart.py").read_text() == before
        await terminal.answer("y", "applied 1 file")
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()
    assert user.git("status", "--porcelain").split() == ["M", "cart.py"]


@pytest.mark.case("U36")
@pytest.mark.parametrize("inline", [False, True])
async def test_a_paste_waits_a_copy_reaches_the_terminal_and_what_was_said_stays_above_the_shell(user, terminal, inline):
    async with answered(user, [{"text": "It adds prices up."}] * 4) as server:
        await terminal.open(*(["--inline"] if inline else []))
        await terminal.shows("Say what should be done", *(["[begun]"] if inline else []))
        assert await terminal.on_screen_of_its_own() is not inline
        await terminal.paste("What does it do?\nAnswer in one line.\n")
        await terminal.shows("What does it do?", "Answer in one line.")
        assert server.requests == [], "a paste sends nothing"
        await terminal.press("Enter")
        await terminal.shows("It adds prices up.", "Say what should be done")
        assert "What does it do?\nAnswer in one line." in server.requests[0].body["messages"][-1]["content"][-1]["text"]
        await terminal.type("/copy")
        await terminal.press("Enter")
        async with asyncio.timeout(20):
            while "It adds prices up." not in await terminal.copied():
                await asyncio.sleep(0.05)
        await terminal.press("C-q")
        await terminal.shows("[ended 0]")
        assert not await terminal.on_screen_of_its_own()
        left = await terminal.everything()
    places = [left.index(text) for text in ("[begun]", "› What does it do?", "It adds prices up.", "[ended 0]")]
    assert places == sorted(places)


@pytest.mark.case("P19")
async def test_a_queue_whose_workers_were_killed_is_restarted_by_a_screen_that_is_open(user, terminal):
    stands = calls(("shell", {"command": "sleep 307"}))
    async with answered(user, [stands, *DONE], config='mode = "auto"\n[tasks]\nparallel = 1'):
        started = await user.goose("task", "start", "--each", "-", stdin="first\nsecond\n")
        first, second = started.out.split()
        await ended(user, first, "running", "planning")
        await terminal.open("--new")
        await terminal.shows("Say what should be done")
        for process in fork_servers(user):
            os.kill(process, signal.SIGKILL)
        for log in (user.state / "tasks").glob("*/log.jsonl"):
            kill_worker(folder_of(user, log.parent.name))
        await ended(user, second, "idle", "awaiting review")


@pytest.mark.case("P09")
async def test_a_screen_sees_that_the_worker_was_killed_and_a_message_goes_on(user, terminal):
    stands = calls(("shell", {"command": "sleep 307"}))
    async with answered(user, [stands, {"text": "I go on from here."}], config='mode = "auto"'):
        await terminal.open()
        await terminal.ask("Take the discount off")
        await terminal.shows("Shell sleep 307", "esc interrupts")
        kill_worker(folder_of(user, task_of(user)))
        screen = await terminal.shows("not running; your next message starts it again", "interrupted", "Its process ended")
        assert "esc interrupts" not in screen
        await terminal.ask("Go on")
        await terminal.shows("I go on from here.", "✓ done")


REVISED = [
    calls(("read", {"path": "cart.py"}), text="I look first."),
    calls(PLAN, ("write", {"path": "cart.py", "content": CART_CHANGED})),
    calls(PLAN_DONE),
    *[{"text": "Done."}] * 8,
]


@pytest.mark.case("U10")
async def test_hunks_and_lines_are_judged_edited_and_commented_and_only_accepted_bytes_land(user, terminal):
    """Across a restart of the screen and of the worker, with the comments going back to the agent."""
    (user.repository / "cart.py").write_text(CART_LONG)
    user.commit("A longer cart")
    editor = user.root / "editor"
    editor.write_text("#!/bin/sh\nsed -i 's/AGENT/PERSON/' \"$1\"\n")
    editor.chmod(0o755)
    user.env["EDITOR"] = str(editor)
    async with answered(user, REVISED, config='mode = "auto"') as server:
        await terminal.open()
        await terminal.ask("Change the cart")
        await terminal.shows("ready for review")
        await terminal.press("F3")
        await terminal.shows("hunk 1 of 4", "undecided 4")
        await terminal.press("Space")
        await terminal.shows("kept 1", "hunk 2 of 4")
        await terminal.press("d")
        await terminal.shows("dropped 1", "hunk 3 of 4")
        await terminal.press("a", "j", "Space")
        await terminal.shows("by line 1")
        await terminal.press("a", "J")
        await terminal.shows("hunk 4 of 4")
        await terminal.press("w")
        await terminal.shows("WHY turn 1", "step: Take the discount off")
        await terminal.press("w", "E")
        await terminal.shows("kept as you edited it", "PERSON")
        await terminal.press("c")
        await terminal.shows("comment on this change")
        await terminal.type("say why")
        await terminal.press("Enter")
        await terminal.shows("» say why", "kept 2 · dropped 1 · by line 1")
        await terminal.press("C-q")
        await terminal.shows("[ended 0]")
        await end_workers(user)

        again = Terminal(user, 80, 24)
        try:
            await again.open("task", "attach", task_of(user))
            await again.shows("ready for review")
            await again.press("F3")
            await again.shows("kept 2 · dropped 1 · by line 1", "1 comment not sent")
            await again.press("S")
            await again.shows("Send this to the agent", "rejected, near line")
            await again.answer("y", "Sent to the agent.")
            async with asyncio.timeout(20):
                while not any(b"say why" in request.raw for request in server.requests):
                    await asyncio.sleep(0.05)
            screen = await again.shows("kept 2 · dropped 1 · by line 1", "M apply")
            assert "not sent" not in screen
            await again.press("M")
            await again.shows("only what is kept")
            await again.answer("y", "applied 1 file")
            assert (user.repository / "cart.py").read_text() == CART_ACCEPTED
            assert server.objections == []
        finally:
            await again.close()


def task_of(user: User) -> str:
    (folder,) = (user.state / "tasks").glob("*/log.jsonl")
    return folder.parent.name


async def end_workers(user: User) -> None:
    """The workers end, as they do when the machine is shut down."""
    for lock in (user.state / "tasks").glob("*/log.lock"):
        words = lock.read_text().split()
        if len(words) > 1 and Path(f"/proc/{words[1]}").exists():
            os.kill(int(words[1]), signal.SIGTERM)
            async with asyncio.timeout(20):
                while Path(f"/proc/{words[1]}").exists():
                    await asyncio.sleep(0.05)


@pytest.mark.case("U22")
async def test_a_command_of_the_users_own_and_their_editor_get_the_real_terminal(user, terminal):
    editor = user.root / "editor"
    editor.write_text("#!/bin/sh\ntest -t 0 && echo 'written in the editor' > \"$1\"\n")
    editor.chmod(0o755)
    user.env["EDITOR"] = str(editor)
    async with answered(user, DONE) as server:
        await terminal.open()
        await terminal.ask("!test -t 0 && echo on a terminal in $PWD")
        await terminal.shows(f"on a terminal in {user.repository}", "[exit code 0")
        await terminal.press("Enter")
        await terminal.shows("Say what should be done")
        await terminal.press("C-g")
        await terminal.shows("written in the editor")
        await terminal.press("C-u")
        await terminal.type("see @car")
        await terminal.shows("cart.py", "test_cart.py")
        assert server.requests == []


@pytest.mark.case("U20")
async def test_a_task_in_the_background_is_answered_from_the_inbox_of_another(user, terminal):
    turns = [calls(("shell", {"command": "touch asked-for-5150"})), *DONE]
    async with answered(user, turns, config='mode = "ask"\n[sandbox]\nlevel = "none"'):
        started = await user.goose("task", "start", "Touch a file")
        assert started.code == 0, started.err
        await terminal.open("--new")
        await terminal.shows("Say what should be done")
        await terminal.press("F2")
        await terminal.shows("NEEDS YOU 1", "Touch a file")
        await terminal.press("g", "Space")
        await terminal.shows("PEEK Touch a file", "touch asked-for-5150", "Allow once")
        await terminal.answer("y", "READY FOR REVIEW 1")
        await terminal.shows("READY FOR REVIEW 1", "Touch a file")


async def test_closing_the_screen_stops_nothing_and_opening_it_again_attaches(user, terminal):
    turns = [calls(("shell", {"command": "until [ -e go ]; do sleep 0.05; done; echo went on"})), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        await terminal.open()
        await terminal.ask("Wait for me")
        await terminal.shows("until [ -e go ]")
        await terminal.press("C-q")
        await terminal.shows("[ended 0]", "goes on working without a screen", "opens it again")
        again = Terminal(user, 80, 24)
        try:
            await again.open()
            await again.shows("Wait for me", "until [ -e go ]")
            (workspace,) = (user.state / "tasks").glob("*/tree/*")
            (workspace / "go").touch()
            await again.shows("The discount is taken off now.")
        finally:
            await again.close()


@pytest.mark.case("U23")
async def test_escape_gives_the_prompt_back_kills_the_whole_tree_and_the_next_turn_is_accepted(user, terminal):
    one, other = a_long_time(), a_long_time()
    turns = [calls(("shell", {"command": f"sleep {one} & sleep {other}"})), {"text": "I am still here."}]
    async with answered(user, turns, config='mode = "auto"') as server:
        await terminal.open()
        await terminal.ask("Sleep")
        await terminal.shows(f"sleep {one}")
        await until(lambda: running("sleep", other))
        await terminal.press("Escape")
        await terminal.shows("interrupted")
        await until(lambda: not running("sleep", one) and not running("sleep", other))
        await terminal.type("Are you there?")
        await terminal.press("Enter")
        await terminal.shows("I am still here.")
        assert server.objections == []


async def test_a_small_screen_and_one_without_colours_show_the_same_things(user):
    small = Terminal(user, 80, 24)
    user.env["NO_COLOR"] = "1"
    async with answered(user, DONE, config='mode = "auto"'):
        try:
            await small.open()
            await small.shows("Say what should be done", "scripted-model")
            await small.type("Hello")
            await small.press("Enter")
            await small.shows("The discount is taken off now.")
        finally:
            await small.close()


async def test_a_terminal_that_cannot_position_text_is_told_what_to_use_instead(user):
    async with answered(user, DONE):
        ended = await user.goose()
    assert ended.code == 2 and "goose-py run" in ended.err and len(ended.err.strip().splitlines()) == 1
