"""The conversation on the screen, at both sizes, by replaying logs over a real socket."""

import asyncio
from pathlib import Path

import pytest
from tui.changed import shop
from tui.harness import Scene, scene
from tui.recorded import Log, coupon, plan, prompt, reply, started

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import TextDelta, ThinkingDelta, ToolOutput
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef, Text
from goose_py.tui.services import Options
from goose_py.tui.state.task_line import TaskLine

WIDE, NARROW = (120, 35), (80, 24)
BOTH = pytest.mark.parametrize("size", [WIDE, NARROW])


def idle_log() -> list[ev.Record]:
    return Log().add(started(), prompt("hello"), ev.TurnStarted(turn=1), reply("Hi."), ev.TurnEnded(outcome="done")).records


def last_rows(text: str, count: int) -> str:
    return "\n".join(text.split("\n")[-count:])


async def type_text(app: Scene, text: str) -> None:
    await app.pilot.press(*("space" if char == " " else char for char in text))


@BOTH
async def test_a_running_task_shows_what_it_says_does_and_plans(socket: Path, size: tuple[int, int]):
    async with scene(socket, coupon("edit"), size=size) as app:
        text = app.text()
        assert "anthropic/sonnet-5" in text and "high" in text and "ask" in text and "42%" in text and "$0.30" in text
        assert "The coupon is applied after the gift card" in text
        assert "Edit   src/cart.py" in text and "+3 −3" in text
        assert "2/5" in text and "Reorder coupon and gift card" in text
        assert "Waiting for the model" in text and "esc interrupts" in text
        assert "steer" in last_rows(text, 1)
        if size == WIDE:
            assert "PLAN  2/5" in text and "✓ Reproduce with a failing test" in text and "CONTEXT" in text


@BOTH
async def test_a_finished_task_says_that_it_is_ready_for_review(socket: Path, size: tuple[int, int]):
    changes, files = shop()
    async with scene(socket, coupon(), size=size, changes=changes, files=files) as app:
        await app.shown(lambda: "ready for review · checks passed" in app.text())
        assert "The coupon now comes off the full subtotal" in app.text() and "send" in last_rows(app.text(), 1)
        if size == WIDE:
            assert "CHANGED  this task  +8 −3" in app.text() and "✓ pytest -q" in app.text()


async def test_the_first_frame_is_painted_before_the_worker_is_reached(socket: Path):
    async with scene(socket, coupon("edit")) as app:
        reached = asyncio.Event()
        wanted: list[str] = []

        async def never(task: str, after: int):  # type: ignore[no-untyped-def]
            wanted.append(task)
            reached.set()
            await asyncio.Event().wait()

        from dataclasses import replace

        from goose_py.tui.app import GooseApp

        other = GooseApp(replace(app.app.services, connect=never), Options(place="shop"), "t2")
        async with other.run_test(size=WIDE) as pilot:
            async with asyncio.timeout(20):
                await reached.wait()
            await pilot.pause()
            from tui.harness import screen_text

            shown = screen_text(other)
            assert wanted == ["t2"] and "connecting…" in shown and "shop" in shown
            await pilot.press("h", "i")
            assert other.conversation.prompt.text == "hi"


@BOTH
async def test_what_is_typed_is_sent_with_enter_and_queued_with_tab(socket: Path, size: tuple[int, int]):
    async with scene(socket, coupon("edit"), size=size) as app:
        await type_text(app, "go on")
        await app.pilot.press("enter")
        await type_text(app, "later")
        await app.pilot.press("tab")
        sent = await app.worker.received(2)
        assert sent[0] == cmd.Prompt(prompt_id="prompt-1", parts=(Text("go on"),), delivery="steer")
        assert sent[1] == cmd.Prompt(prompt_id="prompt-2", parts=(Text("later"),), delivery="queue")
        assert app.app.conversation.prompt.text == ""


async def test_new_lines_are_written_in_three_ways_and_pasting_sends_nothing(socket: Path):
    from textual import events

    async with scene(socket, idle_log()) as app:
        await app.pilot.press("a", "ctrl+j", "b", "shift+enter", "c", "backslash", "enter", "d")
        area = app.app.conversation.prompt
        assert area.text == "a\nb\nc\nd"
        area.put("")
        area.post_message(events.Paste("one\r\ntwo\rthree\n\x1b[2Jfour\u202e"))
        await app.shown(lambda: "four" in area.text)
        assert area.text == "one\ntwo\nthree\n\\x1b[2Jfour\\u{202e}"
        assert app.worker.commands == []


async def test_a_refused_prompt_comes_back_with_the_reason(socket: Path):
    async with scene(socket, idle_log()) as app:

        async def refuse(command: cmd.AnyCommand) -> None:
            raise UserError("The task has ended.")

        app.worker.answers = refuse
        await type_text(app, "again")
        await app.pilot.press("enter")
        await app.shown(lambda: "The task has ended." in app.text())
        assert app.app.conversation.prompt.text == "again"


async def test_arrows_walk_through_history_and_keep_the_draft(socket: Path):
    async with scene(socket, idle_log()) as app:
        for text in ("first", "second"):
            await type_text(app, text)
            await app.pilot.press("enter")
        await app.worker.received(2)
        area = app.app.conversation.prompt
        await app.pilot.press("up")
        assert area.text == "second"
        await app.pilot.press("home", "up")
        assert area.text == "first"
        await app.pilot.press("down")
        assert area.text == "second"
        await app.pilot.press("down")
        assert area.text == ""


async def test_arrow_up_takes_a_queued_prompt_back_to_edit_it(socket: Path):
    log = Log().add(started(), prompt("go"), ev.TurnStarted(turn=1), prompt("also this", "p2", delivery="queue"))
    async with scene(socket, log.records) as app:
        assert "1 queued: also this" in app.text()
        await app.pilot.press("up")
        assert await app.worker.received(1) == [cmd.WithdrawPrompt(prompt_id="p2")]
        assert app.app.conversation.prompt.text == "also this"
        app.worker.emit(ev.PromptWithdrawn(prompt_id="p2"))
        await app.caught_up()
        assert "queued:" not in app.text()


@BOTH
async def test_streaming_text_appears_and_the_log_follows_its_end(socket: Path, size: tuple[int, int]):
    async with scene(socket, coupon("edit"), size=size) as app:
        app.worker.emit(ThinkingDelta("Let me think"))
        await app.shown(lambda: "✻ Let me think" in app.text())
        for number in range(60):
            app.worker.emit(TextDelta(f"line {number}\n\n"))
        await app.shown(lambda: "line 59" in app.text())
        assert app.app.conversation.log_view.following and "Writing" in app.text()
        app.worker.emit(reply("\n\n".join(f"line {number}" for number in range(60))))
        await app.caught_up()
        assert "line 59" in app.text() and not app.app.state.live


async def test_the_view_stays_where_the_user_scrolled_to_while_text_comes_in(socket: Path):
    async with scene(socket, coupon("edit"), size=NARROW) as app:
        for number in range(40):
            app.worker.emit(TextDelta(f"line {number}\n\n"))
        await app.shown(lambda: "line 39" in app.text())
        await app.pilot.press("pageup", "pageup")
        log = app.app.conversation.log_view
        assert not log.following
        shown = [line[:70].rstrip() for line in app.text().split("\n")[2:12]]
        for number in range(40, 80):
            app.worker.emit(TextDelta(f"line {number}\n\n"))
        await app.shown(lambda: "line 79" in app.app.state.live[-1].text and app.app._pending is None)
        assert [line[:70].rstrip() for line in app.text().split("\n")[2:12]] == shown
        assert "newest" in last_rows(app.text(), 1)
        await app.pilot.press("ctrl+end")
        await app.shown(lambda: "line 79" in app.text())


async def test_a_running_tool_shows_the_end_of_its_output_and_ctrl_o_expands_the_rest(socket: Path):
    log = Log().add(started(), prompt("go"), ev.TurnStarted(turn=1))
    from tui.recorded import call, tool

    made = call("k1", "shell", command="make")
    log.add(reply("", made), ev.ToolStarted(call=made))
    async with scene(socket, log.records) as app:
        app.worker.emit(ToolOutput(call_id="k1", text="".join(f"step {n}\n" for n in range(9))))
        await app.shown(lambda: "step 8" in app.text())
        assert "step 2" not in app.text() and "Shell make" in app.text()
        app.worker.emit(tool(made, "".join(f"step {n}\n" for n in range(9)), 1.5)[1])
        await app.caught_up()
        assert "step 0" in app.text() and "… 6 more lines" in app.text() and "step 8" not in app.text()
        await app.pilot.press("ctrl+o")
        assert "step 8" in app.text() and "more lines" not in app.text()


async def test_escape_interrupts_only_what_runs(socket: Path):
    async with scene(socket, coupon("edit")) as app:
        await app.pilot.press("escape")
        assert await app.worker.received(1) == [cmd.Interrupt()]
        app.worker.emit(ev.TurnEnded(outcome="interrupted"))
        await app.caught_up()
        assert "interrupted" in app.text()
        await app.pilot.press("escape")
        await app.pilot.pause()
        assert len(app.worker.commands) == 1


async def test_ctrl_c_clears_then_interrupts_and_twice_leaves_the_task_as_it_is(socket: Path):
    now = [100.0]
    async with scene(socket, coupon("edit"), monotonic=lambda: now[0]) as app:
        await type_text(app, "draft")
        await app.pilot.press("ctrl+c")
        assert app.app.conversation.prompt.text == "" and app.worker.commands == []
        await app.pilot.press("ctrl+c")
        assert await app.worker.received(1) == [cmd.Interrupt()]
        now[0] += 10.0
        await app.pilot.press("ctrl+c")
        assert app.app.return_value is None
        await app.pilot.press("ctrl+c")
        await app.pilot.pause()
        left = app.app.return_value
        assert left is not None and (left.task_id, left.running) == ("7f3a9c21", True)
        assert left.title == "coupon and gift card total" and "Read src/cart.py" in left.transcript
        assert "goes on working" in left.sentence() and "`goose-py task attach 7f3a9c21`" in left.sentence()


async def test_shift_tab_goes_through_the_modes(socket: Path):
    async with scene(socket, idle_log()) as app:
        await app.pilot.press("shift+tab")
        assert await app.worker.received(1) == [cmd.SetMode(mode="plan")]
        app.worker.emit(ev.ModeSet(mode="plan"))
        await app.caught_up()
        assert "▸ plan" in app.text()
        await app.pilot.press("shift+tab")
        assert (await app.worker.received(2))[1] == cmd.SetMode(mode="auto")


async def test_commands_are_offered_completed_and_run(socket: Path):
    async with scene(socket, idle_log()) as app:
        await type_text(app, "/mod")
        assert "/mode ask|plan|auto|chat" in app.text() and "/model provider/model" in app.text()
        await app.pilot.press("down", "tab")
        assert app.app.conversation.prompt.text == "/model "
        await type_text(app, "openai/gpt-5.2/low")
        await app.pilot.press("enter")
        assert await app.worker.received(1) == [cmd.SetModel(model=ModelRef(provider="openai", model="gpt-5.2", effort="low"))]
        await type_text(app, "/checks")
        await app.pilot.press("enter")
        assert (await app.worker.received(2))[1] == cmd.RunChecks()
        await type_text(app, "/chekcs")
        await app.pilot.press("enter")
        await app.shown(lambda: "Did you mean /checks?" in app.text())
        await type_text(app, "/usr/bin/env is a path")
        await app.pilot.press("enter")
        assert isinstance((await app.worker.received(3))[2], cmd.Prompt)


async def test_a_worker_that_ended_is_started_again_by_the_next_message(socket: Path):
    async with scene(socket, idle_log()) as app:
        await app.worker.stop()
        await app.shown(lambda: "not running" in app.text())
        from tui.harness import ReplayWorker

        again = ReplayWorker(socket, app.worker.records)
        await again.start()
        await type_text(app, "more")
        await app.pilot.press("enter")
        assert await again.received(1) == [cmd.Prompt(prompt_id="prompt-1", parts=(Text("more"),))]
        again.emit(prompt("more", "prompt-1"))
        await app.shown(lambda: app.app.state.seq == len(again.records) and "▌ more" in app.text())
        await again.stop()


async def test_a_worker_that_cannot_start_is_explained_for_as_long_as_it_cannot(socket: Path):
    from dataclasses import replace

    from tui.harness import eventually, screen_text

    from goose_py.tui.app import GooseApp

    async with scene(socket, idle_log()) as app:

        async def fail(task: str, after: int):  # type: ignore[no-untyped-def]
            raise UserError("The key of provider acme is missing; `goose-py configure` stores one.")

        other = GooseApp(replace(app.app.services, connect=fail), Options(slow_link=True), "t2")
        async with other.run_test(size=WIDE) as pilot:
            await eventually(lambda: "The key of provider acme is missing" in screen_text(other), pilot)
            assert screen_text(other).count("`goose-py configure` stores one.") == 1


async def test_tasks_are_listed_by_what_they_need_and_enter_attaches(socket: Path):
    tasks = (
        TaskLine("t9", "docs api", "running", "writing docs"),
        TaskLine("t8", "flaky login", "you", "asks: rm -rf .tox", added=18, removed=6),
    )
    async with scene(socket, idle_log(), tasks=tasks) as app:
        assert "1 needs you" in app.text() and "!1" in app.text()
        await app.pilot.press("f2")
        text = app.text()
        assert text.index("NEEDS YOU 1") < text.index("flaky login") < text.index("RUNNING 1") < text.index("docs api")
        await app.pilot.press("j", "k", "enter")
        await app.caught_up()
        assert app.app.task_id == "t8" and app.app.screen is app.app.conversation


async def test_help_names_every_command_and_closes_again(socket: Path):
    async with scene(socket, idle_log(), size=(120, 140)) as app:
        await app.pilot.press("f1")
        text = app.text()
        for word in ("/review", "/compact", "steer it", "keep, drop the whole file", "Leaving stops nothing"):
            assert word in text, word
        await app.pilot.press("escape")
        assert app.app.screen is app.app.conversation


async def test_a_tiny_screen_keeps_the_log_and_the_prompt(socket: Path):
    async with scene(socket, coupon("edit"), size=(50, 12)) as app:
        text = app.text()
        assert "Reorder coupon" in text and "goose-py" not in text and "F1 help" not in text
        await type_text(app, "ok")
        assert "ok" in app.text()


async def test_resizing_keeps_the_end_in_view(socket: Path):
    async with scene(socket, coupon(), size=WIDE) as app:
        await app.pilot.resize_terminal(80, 24)
        await app.shown(lambda: "The coupon now comes off the full subtotal" in app.text())
        await app.pilot.resize_terminal(120, 35)
        await app.shown(lambda: "The coupon now comes off the full subtotal" in app.text() and "PLAN" in app.text())


@pytest.mark.parametrize("palette", ["light", "ansi", "mono"])
async def test_ascii_glyphs_leave_nothing_but_ascii_on_the_screen(socket: Path, palette: str):
    options = Options(palette=palette, ascii=True, grace=0.0, typing_pause=0.0, slow_link=True)
    async with scene(socket, coupon("approval"), options=options, size=WIDE) as app:
        await app.shown(lambda: "Permission" in app.text())
        beyond = {char for char in app.text() if ord(char) > 126} - {"▂", "▁", "▃", "▄", "▅", "▆", "▇", "█", "▔", "▎", "▊"}
        assert beyond == set()


async def test_a_plan_is_approved_or_sent_back_with_a_word(socket: Path):
    log = Log().add(started(mode="plan"), prompt("x"), ev.TurnStarted(turn=1), ev.PlanProposed(plan=plan("pending", "pending")))
    log.add(ev.TurnEnded(outcome="awaiting_plan"))
    async with scene(socket, log.records) as app:
        await app.shown(lambda: "The plan: 2 steps" in app.text() and app.app.conversation.question.has_focus)
        await app.pilot.press("n")
        assert "what should be different" in app.text()
        await type_text(app, "one step")
        await app.pilot.press("enter")
        assert await app.worker.received(1) == [cmd.DecidePlan(approve=False, comment="one step")]


@pytest.mark.parametrize(("by", "shown"), [("policy", "no approval needed"), ("user", "approved by you")])
async def test_a_plan_that_nobody_was_asked_about_is_not_called_approved(socket: Path, by: str, shown: str):
    log = Log().add(started(), prompt("x"), ev.TurnStarted(turn=1), ev.PlanProposed(plan=plan("pending", "pending")))
    log.add(ev.PlanDecided(approved=True, by=by))
    async with scene(socket, log.records) as app:
        await app.shown(lambda: shown in app.text())
        assert by == "user" or "approved" not in app.text()


async def test_in_plan_mode_no_step_is_begun_before_the_plan_is_approved(socket: Path):
    log = Log().add(started(mode="plan"), prompt("x"), ev.TurnStarted(turn=1), ev.PlanProposed(plan=plan("in_progress")))
    log.add(ev.PlanStepStarted(index=0, title="Find where discounts are applied"))
    async with scene(socket, log.records) as app:
        await app.shown(lambda: "Plan, 1 step" in app.text())
        assert "1/1" not in app.text() and not app.app.state.step
        app.worker.emit(ev.PlanDecided(approved=True, by="user"), ev.ModeSet(mode="ask"))
        await app.caught_up()
        assert app.app.state.step == "Find where discounts are applied"


async def test_selected_text_is_copied_as_it_is_read(socket: Path):
    async with scene(socket, idle_log(), size=NARROW) as app:
        row = next(n for n, line in enumerate(app.text().split("\n")) if line.strip() == "Hi.")
        await app.pilot.mouse_down(offset=(0, row))
        await app.pilot.hover(offset=(10, row))
        await app.pilot.mouse_up(offset=(10, row))
        await app.pilot.pause()
        assert (app.app.screen.get_selected_text() or "").strip() == "Hi."
        await app.pilot.press("ctrl+c")
        assert app.app.clipboard.strip() == "Hi."


async def test_blocks_are_walked_expanded_and_copied_with_keys(socket: Path):
    async with scene(socket, coupon("edit")) as app:
        await app.pilot.press("alt+up", "up", "space")
        assert "return quantize(subtotal)" in app.text()
        await app.pilot.press("c")
        await app.shown(lambda: app.app.clipboard == "src/cart.py: 3 lines changed")
        await app.pilot.press("escape")
        assert app.app.conversation.prompt.has_focus
