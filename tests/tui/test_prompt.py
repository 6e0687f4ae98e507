"""The prompt: what it offers, what it takes, and what it hands to the terminal."""

import base64
from pathlib import Path

import pytest
from tui.harness import Scene, scene
from tui.recorded import Log, prompt, started
from tui.test_conversation import idle_log, type_text

from goose_py.protocol import commands as cmd
from goose_py.protocol.messages import ModelRef
from goose_py.tui.conversation.completions import fragment_at, matching_files
from goose_py.tui.notifications import Notifications, escape_sequence
from goose_py.tui.services import Options
from goose_py.tui.state.task_line import TaskLine

FILES = ("src/cart.py", "src/refund.py", "tests/test_cart.py", "docs/carthage.md", "a/b/c.txt")


@pytest.mark.parametrize(
    ("fragment", "found"),
    [
        ("cart", ["src/cart.py", "docs/carthage.md", "tests/test_cart.py"]),
        ("src/", ["src/cart.py", "src/refund.py"]),
        ("abc", ["a/b/c.txt"]),
        ("zzz", []),
    ],
)
def test_files_are_found_by_name_then_by_path_then_by_scattered_letters(fragment: str, found: list[str]):
    assert list(matching_files(FILES, fragment)) == found


@pytest.mark.parametrize(
    ("line", "fragment"), [("see @src/c", "src/c"), ("@", ""), ("mail a@b", None), ("see @x then", None), ("", None)]
)
def test_a_completion_is_asked_for_by_an_at_sign_that_begins_a_word(line: str, fragment: str | None):
    assert fragment_at(line, len(line)) == fragment


async def test_a_file_is_completed_within_what_is_typed(socket: Path):
    async def files() -> tuple[str, ...]:
        return FILES

    async with scene(socket, idle_log(), list_files=files) as app:
        await type_text(app, "read @cart")
        await app.shown(lambda: "src/cart.py" in app.text())
        await app.pilot.press("enter")
        assert app.app.conversation.prompt.text == "read @src/cart.py " and app.worker.commands == []
        await app.pilot.press("enter")
        assert isinstance((await app.worker.received(1))[0], cmd.Prompt)


async def test_earlier_prompts_are_searched_by_their_words(socket: Path):
    history = ("fix the cart total", "write docs", "mend the cart refund")
    async with scene(socket, idle_log(), history=lambda: history) as app:
        await app.pilot.press("ctrl+r")
        await type_text(app, "cart")
        text = app.text()
        assert text.index("mend the cart refund") < text.index("fix the cart total") and "write docs" not in text
        await app.pilot.press("down", "enter")
        assert app.app.conversation.prompt.text == "fix the cart total" and app.worker.commands == []


async def test_models_are_offered_by_name(socket: Path):
    models = (ModelRef(provider="anthropic", model="opus-5"), ModelRef(provider="openai", model="gpt-5.2"))
    async with scene(socket, idle_log(), list_models=lambda: models) as app:
        await type_text(app, "/model gpt")
        await app.shown(lambda: "openai/gpt-5.2" in app.text())
        await app.pilot.press("enter")
        assert (await app.worker.received(1))[0] == cmd.SetModel(
            model=ModelRef(provider="openai", model="gpt-5.2", effort=None)
        )


@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
async def test_several_pasted_lines_never_send_themselves(socket: Path, size: tuple[int, int]):
    from textual import events

    async with scene(socket, idle_log(), size=size) as app:
        app.app.conversation.prompt.post_message(events.Paste("one\r\ntwo\rthree\n"))
        await app.shown(lambda: app.app.conversation.prompt.text == "one\ntwo\nthree\n")
        assert app.worker.commands == []


class Written:
    """Stands where the terminal is, and keeps what is written to it besides the screen."""

    def __init__(self, app: Scene) -> None:
        self.text = ""
        driver = app.app._driver
        assert driver is not None
        driver.write = self._write  # type: ignore[method-assign]

    def _write(self, data: str) -> None:
        self.text += data


async def test_ctrl_d_leaves_an_empty_prompt_and_no_other(socket: Path):
    async with scene(socket, idle_log()) as app:
        await type_text(app, "ab")
        await app.pilot.press("home", "ctrl+d")
        assert app.app.conversation.prompt.text == "b" and app.app.return_value is None
        await app.pilot.press("ctrl+d", "ctrl+d")
        assert app.app.return_value is not None and app.app.return_value.task_id == "7f3a9c21"


@pytest.mark.parametrize("tmux", [False, True])
async def test_what_is_copied_reaches_the_terminal_also_through_tmux(socket: Path, tmux: bool):
    options = Options(grace=0.0, typing_pause=0.0, slow_link=True, tmux=tmux)
    records = Log().add(started(), prompt("x"), *idle_log_reply("the last answer")).records
    async with scene(socket, records, options=options) as app:
        written = Written(app)
        await type_text(app, "/copy")
        await app.pilot.press("enter")
        await app.shown(lambda: "Copied 1 line" in app.text())
        data = base64.b64encode(b"the last answer").decode()
        assert f"\x1b]52;c;{data}\a" in written.text
        assert (f"\x1bPtmux;\x1b\x1b]52;c;{data}\a\x1b\\" in written.text) is tmux


def idle_log_reply(text: str):  # type: ignore[no-untyped-def]
    from tui.recorded import reply

    from goose_py.protocol import events as ev

    return ev.TurnStarted(turn=1), reply(text), ev.TurnEnded(outcome="done")


def line(need: str, doing: str = "") -> TaskLine:
    return TaskLine("t1", "docs-api", need, doing)  # type: ignore[arg-type]


@pytest.mark.case("U20")
def test_each_thing_is_told_once_and_the_first_look_is_no_news():
    attention = Notifications()
    assert attention.news("cart", "", False, [line("you", "asks: rm")]) == []
    assert attention.news("cart", "", True, [line("running")]) == []
    assert attention.news("cart", "q1", True, [line("you", "asks: rm")]) == ["cart needs you", "docs-api needs you"]
    assert attention.news("cart", "q1", True, [line("you", "asks: rm")]) == []
    assert attention.news("cart", "", False, [line("you", "asks: curl")]) == ["cart has stopped working", "docs-api needs you"]
    assert attention.news("cart", "", False, [line("review")]) == ["docs-api is ready for review"]


def test_a_notification_carries_no_control_characters_of_a_title():
    assert escape_sequence("a\x07\x1b]0;b", tmux=False) == "\x1b]9;a\\x07\\x1b]0;b\x07"
    assert escape_sequence("a", tmux=True) == "\x1bPtmux;\x1b\x1b]9;a\x07\x1b\\"


@pytest.mark.case("U20")
async def test_a_bell_and_a_notification_come_once_and_only_to_those_who_look_elsewhere(socket: Path):
    from textual import events
    from tui.recorded import coupon

    asked = [record.event for record in coupon("approval")]
    async with scene(socket, coupon("edit")) as app:
        written = Written(app)
        app.app.post_message(events.AppBlur())
        await app.shown(lambda: app.app._away)
        for event in asked[len(coupon("edit")) :]:
            app.worker.emit(event)
        await app.caught_up()
        await app.shown(lambda: "needs you" in written.text)
        app.app.draw()
        await app.pilot.pause()
        assert written.text.count("\x1b]9;") == 1 and written.text.count("needs you") == 1
