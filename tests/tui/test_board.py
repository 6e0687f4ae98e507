"""The inbox: what each task needs, and answering it from there."""

from pathlib import Path

import pytest
from tui.harness import Scene, scene
from tui.recorded import coupon

from goose_py.protocol import commands as cmd
from goose_py.protocol.messages import Text
from goose_py.tui.board.screen import TasksScreen
from goose_py.tui.state.task_line import TaskLine

WIDE, NARROW = (120, 35), (80, 24)
AT = 1_700_000_000.0
SHOP, OTHER = "/home/me/src/shop", "/home/me/src/other"


def line(task_id: str, title: str, need: str, doing: str = "", **fields: object) -> TaskLine:
    made: dict[str, object] = {"repository": SHOP, "updated_at": AT, "branch": f"goose/{task_id}"}
    return TaskLine(task_id, title, need, doing, **{**made, **fields})  # type: ignore[arg-type]


TASKS = (
    line("t1", "fix-flaky-login", "you", "asks: shell: rm -rf .tox", added=18, removed=6, cost=0.22, alive=True),
    line("t2", "docs-api", "running", "writing docs/api/orders.md", added=41, removed=3, alive=True),
    line("t3", "typo-sweep", "review", "12 typos", checks="passed", added=12, removed=12),
    line("t4", "cart-rounding", "review", "done", checks="failed", failed_check="pytest", added=61, removed=20),
    line("t5", "i18n-dates", "waiting", "queued"),
    line("t6", "cart-redis", "done", "merged"),
    line("t7", "elsewhere", "running", "far away", repository=OTHER, alive=True),
)


async def board(app: Scene) -> TasksScreen:
    await app.pilot.press("f2")
    await app.shown(lambda: isinstance(app.app.screen, TasksScreen) and "docs-api" in app.text())
    screen = app.app.screen
    assert isinstance(screen, TasksScreen)
    return screen


@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_tasks_are_grouped_by_what_they_need_and_those_of_other_repositories_left_out(
    socket: Path, size: tuple[int, int]
):
    async with scene(socket, coupon(), size=size, tasks=TASKS, here=SHOP) as app:
        await board(app)
        rows = app.text().split("\n")
        order = ("NEEDS YOU 1", "fix-flaky", "REVIEW 2", "typo-sweep", "RUNNING 1", "docs-api", "QUEUED", "DONE 1", "redis")
        found = [next(number for number, row in enumerate(rows) if text in row) for text in order]
        assert found == sorted(found)
        assert "asks: shell: rm -rf .tox" in app.text() and "✗ checks" in app.text()
        assert "elsewhere" not in app.text()
        await app.pilot.press("a")
        assert "elsewhere" in app.text()


@pytest.mark.case("U20")
@pytest.mark.parametrize("size", [WIDE, NARROW])
async def test_a_question_of_any_task_is_read_and_answered_without_leaving(socket: Path, size: tuple[int, int]):
    async with scene(socket, coupon("approval"), size=size, tasks=TASKS, here=SHOP) as app:
        screen = await board(app)
        await app.pilot.press("g", "space")
        await app.shown(lambda: screen.question.has_focus and screen.question.gate.drawn is not None)
        text = app.text()
        assert "PEEK fix-flaky-login" in text and "rm -rf .tox && tox -e py311" in text
        assert "in /home/me/.local" in text and "Decide later" in text and "stop the turn" not in text
        await app.pilot.press("s")
        sent = (await app.worker.received(1))[0]
        assert sent == cmd.ResolveApproval(approval_id="a1", allow=True, scope="task", pattern="shell(tox *)")
        assert app.app.screen is screen


async def test_a_denial_says_why_from_the_board(socket: Path):
    async with scene(socket, coupon("approval"), tasks=TASKS, here=SHOP) as app:
        screen = await board(app)
        await app.pilot.press("g", "space")
        await app.shown(lambda: screen.question.has_focus and screen.question.gate.drawn is not None)
        await app.pilot.press("n")
        await app.shown(lambda: screen.writing.has_focus)
        await app.pilot.press(*"no", "enter")
        sent = (await app.worker.received(1))[0]
        assert sent == cmd.ResolveApproval(approval_id="a1", allow=False, note="no")


async def test_looking_on_and_closing_the_peek_answers_nothing(socket: Path):
    async with scene(socket, coupon("approval"), tasks=TASKS, here=SHOP) as app:
        screen = await board(app)
        await app.pilot.press("g", "space")
        await app.shown(lambda: screen.question.has_focus)
        await app.pilot.press("escape")
        await app.shown(lambda: "PEEK" not in app.text())
        assert app.app.screen is screen and app.worker.commands == []


async def test_a_task_is_told_something_begun_and_interrupted_from_the_board(socket: Path):
    async with scene(socket, coupon(), tasks=TASKS, here=SHOP) as app:
        await board(app)
        await app.pilot.press("g", "r", *"go", "enter")
        first = (await app.worker.received(1))[0]
        assert isinstance(first, cmd.Prompt) and first.parts == (Text("go"),)
        await app.pilot.press("x")
        await app.shown(lambda: "x again interrupts it" in app.text())
        await app.pilot.press("x")
        assert (await app.worker.received(2))[1] == cmd.Interrupt()
        await app.pilot.press("n", *"new", "enter")
        third = (await app.worker.received(3))[2]
        assert isinstance(third, cmd.Prompt) and third.parts == (Text("new"),)
        await app.shown(lambda: "in a worktree of its own" in app.text())
        assert isinstance(app.app.screen, TasksScreen)


@pytest.mark.parametrize(("typed", "gone"), [("discard", ["t6"]), ("yes", [])])
async def test_discarding_wants_the_word_typed(socket: Path, typed: str, gone: list[str]):
    discarded: list[str] = []

    async def discard(task: str) -> str:
        discarded.append(task)
        return "The worktree is gone, its files are kept."

    async with scene(socket, coupon(), tasks=TASKS, here=SHOP, discard=discard) as app:
        await board(app)
        await app.pilot.press("G", "D", *typed, "enter")
        told = "its files are kept" if gone else "Nothing was discarded"
        await app.shown(lambda: told in app.text())
        assert discarded == gone


async def test_the_list_is_filtered_while_words_are_typed(socket: Path):
    async with scene(socket, coupon(), tasks=TASKS, here=SHOP) as app:
        screen = await board(app)
        await app.pilot.press("slash", *"cart")
        await app.shown(lambda: "docs-api" not in app.text())
        assert "cart-rounding" in app.text() and "cart-redis" in app.text()
        await app.pilot.press("enter", "down")
        assert screen.task is not None and screen.task.task_id == "t6"
        await app.pilot.press("escape")
        await app.shown(lambda: "docs-api" in app.text())
        assert app.app.screen is screen
