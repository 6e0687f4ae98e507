"""Approvals: what is shown is what would run, and no key counts that was pressed before it could be read."""

from pathlib import Path

import pytest
from textual import events
from tui.harness import Scene, scene
from tui.recorded import DANGEROUS, Log, call, coupon, prompt, reply, started

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.tui.services import Options
from goose_py.tui.widgets.question import Gate, event_time

WIDE, NARROW = (120, 35), (80, 24)


def asking(*commands: str) -> list[ev.Record]:
    """Calls that all wait for an approval."""
    calls = [call(f"k{number}", "shell", command=command) for number, command in enumerate(commands)]
    log = Log().add(started(), prompt("go"), ev.TurnStarted(turn=1), reply("", *calls))
    for number, made in enumerate(calls):
        log.add(
            ev.ApprovalRequested(approval_id=f"a{number}", call=made, reason="not covered", patterns=("shell(x *)", "shell(x)"))
        )
    return log.records


async def asked(app: Scene) -> None:
    await app.shown(lambda: app.app.conversation.question.has_focus and app.app.conversation.question.gate.drawn is not None)


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_an_approval_shows_the_call_where_it_runs_and_why_it_asks(socket: Path, size: tuple[int, int]):
    async with scene(socket, coupon("approval"), size=size) as app:
        await asked(app)
        text = app.text()
        for wanted in (
            "Permission: shell",
            "rm -rf .tox && tox -e py311",
            "tasks/7f3a9c21/shop",
            "not covered by your rules",
            "Allow once",
        ):
            assert wanted in text, wanted
        await app.pilot.press("y")
        assert await app.worker.received(1) == [cmd.ResolveApproval(approval_id="a1", allow=True)]


async def test_a_lasting_answer_carries_the_pattern_that_was_chosen(socket: Path):
    async with scene(socket, coupon("approval")) as app:
        await asked(app)
        await app.pilot.press("down", "right")
        assert "shell(rm -rf .tox)" in app.text()
        await app.pilot.press("enter")
        expected = cmd.ResolveApproval(approval_id="a1", allow=True, scope="task", pattern="shell(rm -rf .tox)")
        assert await app.worker.received(1) == [expected]


async def test_denying_with_a_reason_asks_for_the_reason_and_keeps_the_draft(socket: Path):
    async with scene(socket, coupon("edit")) as app:
        await app.pilot.press("d", "r", "a", "f", "t")
        app.worker.emit(*(record.event for record in coupon("approval")[len(coupon("edit")) :]))
        await asked(app)
        await app.pilot.press("5")
        assert "tell the agent what to do instead" in app.text() and app.app.conversation.prompt.text == ""
        await app.pilot.press("n", "o", "enter")
        assert await app.worker.received(1) == [cmd.ResolveApproval(approval_id="a1", allow=False, note="no")]
        assert app.app.conversation.prompt.text == "draft"


async def test_escape_denies_and_stops_the_turn(socket: Path):
    async with scene(socket, coupon("approval")) as app:
        await asked(app)
        await app.pilot.press("escape")
        assert await app.worker.received(2) == [cmd.ResolveApproval(approval_id="a1", allow=False), cmd.Interrupt()]


@pytest.mark.case("A37")
async def test_two_requests_are_answered_one_by_one(socket: Path):
    async with scene(socket, asking("first command", "second command")) as app:
        await asked(app)
        assert "Permission 1 of 2" in app.text() and "first command" in app.text()

        async def resolve(command: cmd.AnyCommand) -> None:
            assert isinstance(command, cmd.ResolveApproval)
            app.worker.emit(ev.ApprovalResolved(approval_id=command.approval_id, allowed=command.allow, by="user"))

        app.worker.answers = resolve
        await app.pilot.press("y")
        await app.worker.received(1)
        await app.shown(lambda: "Permission: shell" in app.text() and app.app.conversation.question.has_focus)
        await app.pilot.press("y")
        assert [command.approval_id for command in await app.worker.received(2)] == ["a0", "a1"]  # type: ignore[union-attr]


@pytest.mark.case("A37")
async def test_keys_that_came_before_the_question_could_be_read_are_dropped(socket: Path):
    options = Options(grace=3600.0, typing_pause=0.0, slow_link=True)
    async with scene(socket, coupon("approval"), options=options) as app:
        await asked(app)
        await app.pilot.press("y", "enter", "1", "y")
        await app.pilot.pause()
        assert app.worker.commands == [] and app.app.conversation.prompt.text == ""


@pytest.mark.case("A37")
async def test_a_question_that_comes_while_the_user_types_does_not_take_the_keys(socket: Path):
    options = Options(grace=0.0, typing_pause=3600.0, slow_link=True)
    async with scene(socket, coupon("edit"), options=options) as app:
        await app.pilot.press("h", "e")
        app.worker.emit(*(record.event for record in coupon("approval")[len(coupon("edit")) :]))
        await app.shown(lambda: "Permission: shell" in app.text())
        await app.pilot.press("y")
        assert app.app.conversation.prompt.text == "hey" and app.worker.commands == []
        assert "your typing goes to the prompt" in app.text()
        await app.pilot.press("escape")
        await asked(app)
        await app.pilot.press("y")
        assert await app.worker.received(1) == [cmd.ResolveApproval(approval_id="a1", allow=True)]
        assert app.app.conversation.prompt.text == "hey"


@pytest.mark.case("A37")
@pytest.mark.parametrize(
    "command",
    ["echo " + "a" * 4000 + "; touch p", "\n".join(f"step {n}" for n in range(200)) + "\ntouch p"],
    ids=["one long line", "many lines"],
)
async def test_a_long_command_has_to_be_scrolled_to_its_end_before_it_can_be_allowed(socket: Path, command: str):
    async with scene(socket, asking(command), size=NARROW) as app:
        await asked(app)
        assert "touch p" not in app.text() and "scroll to their end" in app.text()
        await app.pilot.press("y", "enter", "1")
        await app.pilot.pause()
        assert app.worker.commands == []
        for _ in range(300):
            if app.app.conversation.question.gate.read:
                break
            await app.pilot.press("pagedown")
        assert "touch p" in app.text()
        await app.pilot.press("y")
        assert await app.worker.received(1) == [cmd.ResolveApproval(approval_id="a0", allow=True)]


@pytest.mark.case("A37")
async def test_a_page_of_blank_lines_hides_nothing(socket: Path):
    async with scene(socket, asking("echo ok" + "\n" * 200 + "touch p"), size=NARROW) as app:
        await asked(app)
        assert "touch p" in app.text() and "199 empty lines" in app.text()


async def test_denying_needs_no_scrolling(socket: Path):
    async with scene(socket, asking("x\n" * 200), size=NARROW) as app:
        await asked(app)
        await app.pilot.press("escape")
        assert (await app.worker.received(1))[0] == cmd.ResolveApproval(approval_id="a0", allow=False)


async def test_a_message_can_be_written_before_the_question_is_answered(socket: Path):
    async with scene(socket, coupon("approval")) as app:
        await asked(app)
        await app.pilot.press("tab", "w", "h", "y", "enter")
        assert isinstance((await app.worker.received(1))[0], cmd.Prompt)
        assert "answer the question" in app.text()
        await app.pilot.press("escape", "y")
        assert (await app.worker.received(2))[1] == cmd.ResolveApproval(approval_id="a1", allow=True)


@pytest.mark.case("A37")
async def test_a_sentence_typed_at_a_question_goes_to_the_prompt_and_allows_nothing(socket: Path):
    async with scene(socket, coupon("approval"), options=Options(grace=0.5, typing_pause=0.0)) as app:
        await asked(app)
        panel = app.app.conversation.question
        await app.shown(lambda: panel.gate.takes(event_time(), assent=True))
        for letter in "rename it, say":  # a burst: y and s and a are answers where they stand alone
            app.app.post_message(events.Key(key=_key(letter), character=letter))
        await app.shown(lambda: app.app.conversation.prompt.text == "rename it, say")
        assert app.worker.commands == [] and app.app.conversation.prompt.has_focus


def _key(letter: str) -> str:
    return {" ": "space", ",": "comma"}.get(letter, letter)


async def test_a_question_that_somebody_else_answered_goes_away(socket: Path):
    async with scene(socket, coupon("approval")) as app:
        await asked(app)
        app.worker.emit(ev.ApprovalResolved(approval_id="a1", allowed=True, by="user"), ev.ToolStarted(call=DANGEROUS))
        await app.caught_up()
        await app.shown(lambda: "Permission" not in app.text() and app.app.conversation.prompt.has_focus)


def test_the_gate_takes_no_answer_before_grace_and_reading():
    gate = Gate(grace=0.5)
    assert not gate.takes(100.0, assent=False)
    gate = gate.show(at=10.0, rows=30, visible=10)
    assert not gate.takes(10.4, assent=False) and gate.takes(10.5, assent=False)
    assert not gate.takes(11.0, assent=True)
    assert not gate.scrolled(29).takes(11.0, assent=True)
    assert gate.scrolled(30).takes(11.0, assent=True)
    assert gate.scrolled(30).scrolled(10).read
