"""What the screen costs: by CPU time and memory, never by the clock."""

import asyncio
import contextlib
import time
from pathlib import Path

import psutil
import pytest
from tui.harness import ReplayWorker, scene
from tui.recorded import Log, call, prompt, reply, started, tool
from tui.terminal import Terminal, environment
from tui.test_log_view import long_conversation
from tui.test_terminal import ATTACH

from goose_py.protocol import events as ev
from goose_py.protocol.deltas import TextDelta
from goose_py.tui.conversation.transcript import short_transcript
from goose_py.tui.state.reducer import reduce
from goose_py.tui.state.view_state import ViewState

MESSAGES = 10_000


def records(count: int, output: str = "line\n" * 12) -> list[ev.Record]:
    log = Log().add(started(), prompt("go"), ev.TurnStarted(turn=1))
    for number in range(count):
        made = call(f"k{number}", "shell", command=f"pytest tests/test_{number}.py")
        log.add(reply(f"Message {number} with **text**.", made), *tool(made, output))
    return log.add(ev.TurnEnded(outcome="done")).records


@pytest.mark.case("U35")
async def test_ten_thousand_messages_open_in_a_second_of_cpu_time(socket: Path):
    log = records(MESSAGES)
    async with scene(socket, Log().add(started()).records) as app:
        begun = time.process_time()
        state = ViewState()
        for record in log:
            state = reduce(state, record)
        app.show(state)
        await app.pilot.pause()
        assert time.process_time() - begun < 1.0
        assert f"Message {MESSAGES - 1}" in app.text()


@pytest.mark.case("U35")
async def test_a_key_costs_less_than_fifty_milliseconds_with_ten_thousand_messages(socket: Path):
    async with scene(socket, Log().add(started()).records) as app:
        app.show(long_conversation(MESSAGES))
        await app.pilot.pause()
        begun = time.process_time()
        await app.pilot.press(*"abcdefghijklmnopqrst")
        assert (time.process_time() - begun) / 20 < 0.05
        assert app.app.conversation.prompt.text == "abcdefghijklmnopqrst" and f"Message {MESSAGES - 1}" in app.text()


@pytest.mark.case("U35")
@pytest.mark.parametrize("size", [(120, 35), (80, 24)])
async def test_who_scrolled_up_sees_the_same_lines_whatever_comes(socket: Path, size: tuple[int, int]):
    async with scene(socket, records(200)[:-1], size=size) as app:
        await app.pilot.press("pageup", "pageup", "pageup")
        await app.pilot.pause()

        def seen() -> list[str]:
            return [line for line in app.text().split("\n") if "Message" in line or "pytest" in line][:8]

        before = seen()
        assert before and "Message 199" not in "".join(before)
        for number in range(30):
            app.worker.emit(TextDelta(f"More words {number}. " * 20))
        made = call("new", "shell", command="echo new")
        app.worker.emit(reply("It goes on. " * 200, made), *tool(made, "out\n" * 50), reply("And on."))
        await app.caught_up()
        assert seen() == before
        await app.pilot.press("ctrl+end")
        await app.shown(lambda: "And on." in app.text())


@pytest.mark.case("U35")
async def test_a_long_day_ends_with_little_memory_and_an_idle_screen_costs_nothing(socket: Path, tmp_path: Path):
    """8,000 steps with 4 kB of output each is more than eight hours of work."""
    worker = ReplayWorker(socket, records(8_000, "output of a command\n" * 200))
    await worker.start()
    (tmp_path / "files").write_bytes(b"[]")
    terminal = Terminal(120, 35)
    try:
        await terminal.start(ATTACH, str(socket), str(tmp_path / "files"), env=environment())
        await terminal.until(lambda: "Message 7999" in terminal.text)
        assert terminal.process is not None
        process = psutil.Process(terminal.process.pid)
        assert process.memory_info().rss < 300_000_000
        await nothing_happens(terminal, 1)
        begun = sum(process.cpu_times()[:2])
        await nothing_happens(terminal, 4)
        # One per cent of four seconds; the kernel counts in hundredths.
        assert sum(process.cpu_times()[:2]) - begun <= 0.05
    finally:
        await terminal.close()
        await worker.stop()


async def nothing_happens(terminal: Terminal, seconds: float) -> None:
    """Waits for the app to end, which it does not."""
    assert terminal.process is not None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await terminal.process.wait()
    assert terminal.process.returncode is None


def test_the_end_of_the_conversation_stays_in_the_terminal():
    state = ViewState()
    for record in records(3):
        state = reduce(state, record)
    text = short_transcript(state)
    assert text.index("› go") < text.index("Message 0") < text.index("pytest tests/test_2.py") and "✓ " in text
    short = short_transcript(state, lines=4)
    assert short.split("\n")[0] == "… earlier: `goose-py session show 7f3a9c21`" and len(short.split("\n")) == 5
    assert short_transcript(ViewState()) == ""
