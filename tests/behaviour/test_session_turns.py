"""Turns of a real session: prompts, steering, interrupts, approvals, limits, and what a crash leaves."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from developer_extension import until
from event_logs import PICTURE
from session_rig import Hang, TestModel, call, everything, plan, reply, rig, strict_complaint, text_of

from goose_py.agent.context import NEVER_STARTED, UNKNOWN_OUTCOME
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import Notice, TextDelta
from goose_py.protocol.errors import (
    AuthenticationFailed,
    LimitReached,
    ProviderUnavailable,
    StreamInterrupted,
    UserError,
)
from goose_py.protocol.messages import Text, Thinking, ToolMessage, Usage
from goose_py.protocol.redact import redactor
from goose_py.session.log import LogWriteFailed

SLEEP = "echo started > begun; sleep 1000"


async def others(it):
    """What runs besides a session that is idle: the test and the open connections of the toolbox."""
    await it.toolbox.call(call("read", path="README.md"), lambda text: None)
    return {task for task in asyncio.all_tasks() if not task.done()}


async def test_a_prompt_runs_tools_and_ends_with_the_models_last_word(tmp_path):
    write = call("write", path="new.txt", content="made\n")
    async with rig(tmp_path, reply("I write it.", write), reply("Done.")) as it:
        ended = await it.prompt("Make new.txt.")
        assert ended.outcome == "done"
        assert (it.root / "new.txt").read_text() == "made\n"
        (changes,) = it.events(ev.ChangesRecorded)
        assert (changes.files, changes.added, changes.tree_before) == (1, 1, it.worktree.base.tree)


async def test_the_log_tells_a_turn_from_its_beginning_to_its_end(tmp_path):
    async with rig(tmp_path, reply(call("read", path="README.md")), reply("It says hello.")) as it:
        await it.prompt()
        assert [type(record.event).__name__ for record in it.records[2:]] == [
            "PromptReceived",
            "TurnStarted",
            "ModelReplied",
            "UsageRecorded",
            "StateRecorded",
            "ToolStarted",
            "ToolFinished",
            "ModelReplied",
            "UsageRecorded",
            "TurnEnded",
        ], "reading is no reason to record"


async def test_a_consumer_of_the_bus_sees_every_record_and_the_text_as_it_streams(tmp_path):
    async with rig(tmp_path, reply("Hello.")) as it:
        subscription = it.bus.subscribe()
        await it.prompt()
        subscription.close()
        items = [item async for item in subscription]
        assert [item for item in items if isinstance(item, ev.Record)] == list(it.records[2:])
        assert TextDelta("Hello.") in items


# What a model may do wrong


@pytest.mark.case("R12")
@pytest.mark.parametrize("parts", [(), ("  \n",), (Thinking(text="hm", signature="s"),)])
async def test_an_empty_reply_is_nudged_twice_and_then_ends_with_a_message(tmp_path, parts):
    async with rig(tmp_path, *[reply(*parts, stop="end")] * 3) as it:
        ended = await it.prompt()
        assert ended.outcome == "failed" and "no usable reply" in ended.detail
        assert len(it.model.requests) == 3
        await it.restart(reply("Here I am."))
        assert (await it.prompt("Again.")).outcome == "done"


@pytest.mark.case("R12")
async def test_one_nudge_is_enough_for_a_model_that_then_answers(tmp_path):
    async with rig(tmp_path, reply(stop="end"), reply("Here it is.")) as it:
        assert (await it.prompt()).outcome == "done"
        assert "Your last reply was empty" in text_of(it.model.last.messages[-1])


@pytest.mark.case("R13")
@pytest.mark.parametrize(
    ("stop", "detail"),
    [("refusal", "The model refused: I will not."), ("content_filter", "The provider's content filter stopped the reply.")],
)
async def test_a_refusal_is_shown_as_one_runs_no_call_and_leaves_the_session_usable(tmp_path, stop, detail):
    made = call("write", path="x", content="x")
    async with rig(tmp_path, reply("I will not.", made, stop=stop), reply("Of course.")) as it:
        ended = await it.prompt()
        assert (ended.outcome, ended.detail) == ("failed", detail)
        assert len(it.model.requests) == 1 and not (it.root / "x").exists()
        assert (await it.prompt("Something else.")).outcome == "done"


@pytest.mark.case("R14")
async def test_a_call_in_a_reply_that_was_cut_is_never_run_and_the_model_is_asked_to_split(tmp_path):
    cut, small = call("write", path="big.txt", content="half a fi"), call("write", path="big.txt", content="small")
    async with rig(tmp_path, reply("I write", cut, stop="length"), reply(small), reply("Done.")) as it:
        assert (await it.prompt()).outcome == "done"
        assert [event.call.id for event in it.events(ev.ToolStarted)] == [small.id]
        assert "may be incomplete" in it.result(cut) and "several calls" in it.result(cut)
        assert (it.root / "big.txt").read_text() == "small"


@pytest.mark.case("R14")
async def test_a_text_that_was_cut_is_continued_and_one_that_is_cut_for_ever_is_said(tmp_path):
    async with rig(tmp_path, reply("Part one", stop="length"), reply("and two."), *[reply("and", stop="length")] * 3) as it:
        assert (await it.prompt()).outcome == "done"
        assert "Go on where it stopped" in everything(it.model.last)
        ended = await it.prompt("More.")
        assert ended.outcome == "failed" and "cut off by its output limit again and again" in ended.detail


async def test_a_reply_that_pauses_is_asked_for_again_as_it_is(tmp_path):
    async with rig(tmp_path, reply("Searching", stop="pause"), model=_Pausing()) as it:
        assert (await it.prompt()).outcome == "done"
        assert it.model.lasts == ["UserMessage", "AssistantMessage"]


class _Pausing:
    """A provider that wants its own paused reply back as the last message."""

    def __init__(self):
        self.lasts = []

    async def stream(self, request):
        self.lasts.append(type(request.messages[-1]).__name__)
        yield reply("Searching", stop="pause") if len(self.lasts) == 1 else reply("Found.")


@pytest.mark.parametrize(
    "error", [AuthenticationFailed("No key."), ProviderUnavailable("It is down."), StreamInterrupted("Cut.", emitted=True)]
)
async def test_a_request_that_fails_for_good_ends_the_turn_and_not_the_session(tmp_path, error):
    async with rig(tmp_path, error, reply("Back again.")) as it:
        ended = await it.prompt("one")
        assert (ended.outcome, ended.detail) == ("provider_error", str(error))
        await it.perform(cmd.Continue())
        await it.idle()
        assert it.outcome.outcome == "done"
        assert [text_of(message) for message in it.model.last.messages] == ["one"]


async def test_a_stream_that_ends_without_a_reply_is_a_failed_request(tmp_path):
    class Silent:
        async def stream(self, request):
            yield TextDelta("half a")

    async with rig(tmp_path, model=Silent()) as it:
        assert (await it.prompt()).outcome == "provider_error"
        assert it.events(ev.ModelReplied) == []


# Prompts while a turn runs


@pytest.mark.case("U37")
async def test_a_steering_message_goes_in_at_the_next_safe_boundary_and_a_queued_one_after_the_turn(tmp_path):
    hang = Hang()
    first = call("shell", command="echo go > ready; while [ ! -e go ]; do sleep 0.01; done")
    steps = [reply(first), reply("Steered."), reply("Queue done."), reply("Second done.")]
    async with rig(tmp_path, *steps) as it:
        await it.say("start")
        await until((it.root / "ready").exists)
        await it.say("queued one", delivery="queue")
        await it.say("steer", delivery="steer")
        await it.say("queued two", delivery="queue")
        assert [event.delivery for event in it.events(ev.PromptReceived)] == ["now", "queue", "steer", "queue"]
        assert it.session.state.queued and it.session.state.steering
        (it.root / "go").touch()
        await it.idle()
        assert [text_of(request.messages[-1]) for request in it.model.requests] == [
            "start",
            "steer",
            "queued one",
            "queued two",
        ]
        assert isinstance(it.model.requests[1].messages[-2], ToolMessage)
        assert [event.turn for event in it.events(ev.TurnStarted)] == [1, 2, 3]
    assert not hang.begun.is_set()


@pytest.mark.case("U37")
async def test_a_message_that_was_queued_when_the_program_died_is_not_lost(tmp_path):
    hang = Hang()
    async with rig(tmp_path, hang) as it:
        await it.say("start")
        await hang.begun.wait()
        await it.say("waiting", delivery="queue")
        await it.restart(reply("I see both."))
        assert it.session.state.queued
        await it.perform(cmd.Continue())
        await it.idle()
        assert "waiting" in everything(it.model.last) and strict_complaint(it.model.last.messages) == ""


@pytest.mark.case("U37")
async def test_a_message_that_waits_can_be_taken_back_and_one_that_was_delivered_cannot(tmp_path):
    hang = Hang()
    async with rig(tmp_path, hang) as it:
        await it.say("start")
        await hang.begun.wait()
        waiting = await it.say("never mind", delivery="queue")
        await it.perform(cmd.WithdrawPrompt(prompt_id=waiting))
        with pytest.raises(UserError, match="already been delivered"):
            await it.perform(cmd.WithdrawPrompt(prompt_id=waiting))
        await it.perform(cmd.Interrupt())
        await it.restart(reply("ok"))
        await it.prompt("next")
        assert "never mind" not in everything(it.model.last)


async def test_steering_that_comes_with_the_last_word_goes_on_with_the_same_turn(tmp_path):
    class Interrupted(TestModel):
        async def stream(self, request):
            async for item in super().stream(request):
                if len(self.requests) == 1:
                    await it.say("by the way")
                yield item

    async with rig(tmp_path, model=Interrupted(reply("Done."), reply("And that too."))) as it:
        await it.prompt("start")
        assert len(it.events(ev.TurnStarted)) == 1
        assert text_of(it.model.last.messages[-1]) == "by the way\nby the way"


@pytest.mark.parametrize("parts", [(), (Text(""),), (Text(" \n"),)])
async def test_an_empty_message_is_refused_and_a_picture_alone_is_not(tmp_path, parts):
    async with rig(tmp_path, reply("A picture.")) as it:
        with pytest.raises(UserError, match="empty"):
            await it.perform(cmd.Prompt(prompt_id="p", parts=parts))
        await it.perform(cmd.Prompt(prompt_id="p", parts=(PICTURE,)))
        await it.idle()
        assert it.outcome.outcome == "done"


async def test_there_is_nothing_to_continue_before_anything_was_asked(tmp_path):
    async with rig(tmp_path, environment="Linux") as it:
        with pytest.raises(UserError, match="nothing has been asked yet"):
            await it.perform(cmd.Continue())
        assert it.events(ev.TurnStarted) == []


async def test_there_is_nothing_to_continue_after_a_turn_that_came_to_its_end(tmp_path):
    async with rig(tmp_path, reply("Done.")) as it:
        await it.prompt()
        with pytest.raises(UserError, match="nothing to continue"):
            await it.perform(cmd.Continue())


# Interrupts


async def test_an_interrupt_kills_what_runs_answers_every_call_and_the_next_prompt_is_accepted(tmp_path):
    running, after = call("shell", command=f"echo $$ > pid; {SLEEP}"), call("write", path="never.txt", content="x")
    async with rig(tmp_path, reply(running, after), reply("Here I am.")) as it:
        before = await others(it)
        await it.say("start")
        await until((it.root / "begun").exists)
        it.clock.at += 7.0
        async with asyncio.timeout(20):
            await it.perform(cmd.Interrupt())
        pid = int((it.root / "pid").read_text())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
        assert it.outcome.outcome == "interrupted"
        assert (it.result(running), it.result(after)) == (UNKNOWN_OUTCOME, NEVER_STARTED)
        took = {event.result.call_id: event.seconds for event in it.events(ev.ToolFinished)}
        assert (took[running.id], took[after.id]) == (7.0, 0.0), "how long it ran is known, whatever it did"
        assert not (it.root / "never.txt").exists()
        assert it.events(ev.ChangesRecorded)[-1].files == 2, "what the command had written by then is recorded"
        await until(lambda: {task for task in asyncio.all_tasks() if not task.done()} <= before)
        assert (await it.prompt("next")).outcome == "done"
        assert text_of(it.model.last.messages[-1]) == "next"


def points():
    """Where a turn can be when Esc is pressed."""
    return {
        "before the first step": lambda it: None,
        "while the model answers": lambda it: it.until(ev.TurnStarted),
        "while a call waits for an approval": lambda it: it.until(ev.ApprovalRequested),
        "while a command runs": lambda it: until((it.root / "begun").exists),
        "while reads run side by side": lambda it: it.until(ev.ToolStarted, 2),
        "while a check runs": lambda it: until((it.root / "begun").exists),
    }


@pytest.mark.parametrize("point", points())
async def test_an_interrupt_at_any_point_leaves_every_call_answered_and_the_session_usable(tmp_path, point):
    shell, push = call("shell", command=SLEEP), call("shell", command="git push")
    slow = [call("grep", pattern=".*"), call("read", path="README.md")]
    steps = {
        "while the model answers": [Hang()],
        "while a call waits for an approval": [reply(push)],
        "while a command runs": [reply(shell)],
        "while reads run side by side": [reply(*slow), Hang()],
        "while a check runs": [reply(call("write", path="a", content="a")), reply("Done.")],
    }.get(point, [Hang()])
    mode = "ask" if "approval" in point else "auto"
    async with rig(tmp_path, *steps, attended=True, mode=mode, checks=(f"test -e begun || {{ {SLEEP}; }}",)) as it:
        before = await others(it)
        await it.say("start")
        if (waiting := points()[point](it)) is not None:
            await waiting
        await asyncio.gather(it.perform(cmd.Interrupt()), it.perform(cmd.Interrupt()))
        assert it.outcome.outcome == "interrupted"
        assert not it.session.running() and it.session.state.questions == ()
        called = [made.id for event in it.events(ev.ModelReplied) for made in event.message.tool_calls()]
        assert sorted(event.result.call_id for event in it.events(ev.ToolFinished)) == sorted(called)
        await until(lambda: {task for task in asyncio.all_tasks() if not task.done()} <= before)
        it.model = TestModel(reply("Here I am."))
        assert (await it.prompt("next")).outcome == "done"


async def test_what_was_queued_before_an_interrupt_waits_and_what_is_said_after_it_starts(tmp_path):
    async with rig(tmp_path, reply(call("shell", command=SLEEP)), reply("Said after."), reply("Queued.")) as it:
        await it.say("start")
        await until((it.root / "begun").exists)
        await it.say("queued", delivery="queue")
        stopping = asyncio.ensure_future(it.perform(cmd.Interrupt()))
        await it.until(ev.ToolFinished)
        await it.say("after", delivery="steer")
        await stopping
        await it.idle()
        assert [text_of(request.messages[-1]) for request in it.model.requests] == ["start", "after", "queued"]


async def test_an_interrupted_answer_can_be_continued_without_a_new_message(tmp_path):
    async with rig(tmp_path, reply(call("write", path="a", content="a")), reply("Done."), checks=(SLEEP,)) as it:
        await it.say("start")
        await until((it.root / "begun").exists)
        await it.perform(cmd.Interrupt())
        await it.restart(reply(call("read", path="a")), reply("Now it is done."))
        await it.perform(cmd.Continue())
        await it.until(ev.ToolFinished, 2)
        assert "Go on from where you stopped" in text_of(it.model.requests[0].messages[-1])
        assert len(it.events(ev.PromptReceived)) == 1
        await it.perform(cmd.Interrupt())


# Approvals


@pytest.mark.case("U16")
async def test_where_nobody_can_answer_a_question_is_denied_at_once_and_the_turn_says_so(tmp_path):
    push = call("shell", command="git push origin main")
    async with rig(tmp_path, reply(push), reply("I could not push."), mode="ask") as it:
        ended = await it.prompt()
        (resolved,) = it.events(ev.ApprovalResolved)
        assert (resolved.allowed, resolved.by) == (False, "policy")
        assert ended.outcome == "denied" and "shell needed an approval" in ended.detail
        assert "Denied:" in it.result(push) and "Do not try the same in another form" in it.result(push)


@pytest.mark.case("U16")
async def test_the_time_limit_ends_the_run_and_what_it_started(tmp_path):
    shell = call("shell", command=f"echo $$ > pid; {SLEEP}")
    async with rig(tmp_path, reply(shell), limits=ev.Limits(max_seconds=3)) as it:
        ended = await it.prompt()
        assert (ended.outcome, ended.detail) == ("limit", "The time limit of 3 s is reached.")
        assert it.result(shell) == UNKNOWN_OUTCOME
        with pytest.raises(ProcessLookupError):
            os.kill(int((it.root / "pid").read_text()), 0)


@pytest.mark.parametrize("allow", [True, False])
async def test_a_persons_answer_decides_about_the_very_call_that_was_shown(tmp_path, allow):
    push = call("shell", command="git push origin main 2>&1 || true")
    async with rig(tmp_path, reply(push), reply("ok"), mode="ask", attended=True) as it:
        await it.say("push")
        asked = await it.until(ev.ApprovalRequested)
        assert asked.call == push and asked.snapshot == it.worktree.base.tree
        answer = cmd.ResolveApproval(approval_id=asked.approval_id, allow=allow, note="" if allow else "Use a branch.")
        await it.perform(answer)
        with pytest.raises(UserError, match="no longer open"):
            await it.perform(answer)
        await it.idle()
        assert it.outcome.outcome == "done", "a person who says no has not failed"
        assert bool(it.events(ev.ToolStarted)) is allow
        assert ("Use a branch." in it.result(push)) is not allow


async def test_a_call_that_the_rules_deny_is_not_asked_about(tmp_path):
    made = call("read", path="README.md")
    async with rig(tmp_path, reply(made), reply("ok"), mode="chat", attended=True) as it:
        await it.prompt()
        assert it.result(made).startswith("Not allowed: ") and it.events(ev.ApprovalRequested) == []
        assert "Chat mode" in everything(it.model.requests[0])


# Limits


@pytest.mark.parametrize(
    ("limits", "requests"),
    [
        (ev.Limits(max_turns=2), 2),
        (ev.Limits(max_tokens=330), 3),
        (ev.Limits(max_cost=0.5), 2),
    ],
)
async def test_no_request_is_sent_once_a_cap_is_reached_not_after_a_resume_either(tmp_path, limits, requests):
    def onward(request):
        usage = Usage(input_tokens=80, output_tokens=10, cache_read_tokens=20)
        return reply(call("shell", command=f"echo {len(request.messages)}"), usage=usage)

    async with rig(tmp_path, model=TestModel(after=onward), limits=limits, cost=lambda usage: 0.25) as it:
        assert (await it.prompt()).outcome == "limit"
        assert len(it.model.requests) == requests
        await it.restart(model=TestModel(after=onward))
        assert (await it.prompt("more")).outcome == "limit"
        assert it.model.requests == []
        await it.perform(cmd.SetLimits(limits=ev.Limits(max_turns=requests + 1)))
        await it.perform(cmd.Continue())
        await it.idle()
        assert len(it.model.requests) == 1
        assert it.session.state.spending.usage.cache_read_tokens == 20 * (requests + 1)


@pytest.mark.parametrize(("limit", "outcome"), [(0.0, "limit"), (None, "done")])
async def test_a_time_limit_that_is_changed_while_a_turn_runs_holds_for_that_turn(tmp_path, limit, outcome):
    shell = call("shell", command="touch begun; while [ ! -e go ]; do sleep 0.01; done")
    async with rig(tmp_path, reply(shell), reply("Done."), limits=ev.Limits(max_seconds=600)) as it:
        await it.say("start")
        await until((it.root / "begun").exists)
        await it.perform(cmd.SetLimits(limits=ev.Limits(max_seconds=limit)))
        if limit is None:
            (it.root / "go").touch()
        await it.idle()
        assert it.outcome.outcome == outcome


async def test_a_warning_limit_is_said_once_and_ends_nothing(tmp_path):
    steps = [reply(call("shell", command=f"echo {n}")) for n in range(4)]
    async with rig(tmp_path, *steps, reply("Done."), reply("Again."), warn=ev.Limits(max_turns=2)) as it:
        assert (await it.prompt()).outcome == "done"
        await it.prompt("again")
        assert [event.text for event in it.events(ev.Warned)] == [
            "This task has used 2 model turns; you asked to be told at 2."
        ]


# What a crash leaves


@pytest.mark.case("U03")
@pytest.mark.case("R32")
async def test_a_call_that_was_running_when_the_program_died_is_unknown_and_is_not_run_again(tmp_path):
    running, after = call("shell", command=f"echo x >> runs; {SLEEP}"), call("write", path="never", content="x")
    async with rig(tmp_path, reply(running, after)) as it:
        await it.say("start")
        await until((it.root / "begun").exists)
        await it.restart(reply("I look at what it did."))
        assert (it.result(running), it.result(after)) == (UNKNOWN_OUTCOME, NEVER_STARTED)
        assert it.outcome.outcome == "interrupted" and "ended while this turn was running" in it.outcome.detail
        await it.perform(cmd.Continue())
        await it.idle()
        assert [event.prompt_id for event in it.events(ev.PromptReceived)] == [it.events(ev.PromptReceived)[0].prompt_id]
        assert isinstance(it.model.last.messages[-1], ToolMessage)
        assert (it.root / "runs").read_text() == "x\n"
        assert it.outcome.outcome == "done"


@pytest.mark.case("U03")
async def test_a_session_cut_after_any_record_resumes_and_its_next_request_is_accepted(tmp_path):
    calls = [call("read", path="README.md"), call("write", path="a.txt", content="a\n")]
    steps = [reply(plan("a", "b")), reply("Look.", *calls), reply("Done."), *[reply("Done.")] * 2]
    async with rig(tmp_path, *steps, planning=True, checks=("true",), environment="Linux") as it:
        await it.prompt("start")
        lines = (it.folder / "log.jsonl").read_bytes().splitlines(keepends=True)
        for size in range(4, len(lines) + 1):
            (it.folder / "log.jsonl").write_bytes(b"".join(lines[:size]))
            await it.restart(*[reply("Here I am.")] * 4)
            assert not it.session.state.open_turn and it.session.state.conversation.unanswered() == ()
            assert (await it.prompt("next")).outcome in ("done", "awaiting_plan")
            assert it.model.requests


async def test_what_was_written_before_a_crash_is_recorded_on_resume_and_checked_at_the_end(tmp_path):
    write, slow = call("write", path="a.txt", content="a\n"), call("shell", command=SLEEP)
    async with rig(tmp_path, reply(write, slow), checks=("test -e a.txt",), checklist=True) as it:
        await it.say("start")
        await until((it.root / "begun").exists)
        await it.restart(reply("It was all there."), reply("Report."), reply("It says a."))
        (changes,) = it.events(ev.ChangesRecorded)
        assert (changes.files, changes.tree_before) == (2, it.worktree.base.tree)
        assert changes.tree_after == it.session.state.tree
        await it.perform(cmd.Continue())
        await it.idle()
        assert it.outcome.outcome == "done"
        assert [event.exit_code for event in it.events(ev.VerificationFinished)] == [0]
        assert "+a" in text_of(it.model.last.messages[-1]), "the checklist shows what the cut turn had changed"
        await it.prompt("What does it say?")
        assert len(it.events(ev.VerificationFinished)) == 1, "the same files are not checked again"
        assert it.model.unused == 0


async def test_a_check_that_failed_before_an_interrupt_still_stands_against_done(tmp_path):
    write = call("write", path="a.txt", content="a\n")
    async with rig(tmp_path, reply(write), reply("Done."), Hang(), checks=("test -e b.txt",), checklist=True) as it:
        await it.say("start")
        await it.until(ev.VerificationFinished)
        await it.perform(cmd.Interrupt())
        write_b = call("write", path="b.txt", content="b\n")
        await it.restart(reply("It is done."), reply(write_b), reply("Now it is."), reply("Report."))
        await it.perform(cmd.Continue())
        await it.idle()
        assert "did not pass" in text_of(it.model.requests[1].messages[-1])
        assert it.outcome.outcome == "done"
        assert [event.exit_code for event in it.events(ev.VerificationFinished)] == [1, 0]


async def test_the_checklist_after_a_resume_shows_the_checks_that_ran_before_it(tmp_path):
    write = call("write", path="a.txt", content="a\n")
    async with rig(tmp_path, reply(write), reply("Done."), Hang(), checks=("echo fine",), checklist=True) as it:
        await it.say("start")
        await it.until(ev.VerificationFinished)
        await it.restart(reply("Done."), reply("Report."))
        await it.perform(cmd.Continue())
        await it.idle()
        assert "$ echo fine\nfine\n[exit code 0]" in text_of(it.model.last.messages[-1])
        assert len(it.events(ev.VerificationFinished)) == 1


async def test_what_the_user_changed_in_the_workspace_between_two_turns_is_recorded_and_checked(tmp_path):
    async with rig(tmp_path, reply("Hello."), reply("I see."), checks=("test -e mine.txt",)) as it:
        await it.prompt("one")
        (it.root / "mine.txt").write_text("mine\n")
        assert (await it.prompt("two")).outcome == "done"
        assert [event.files for event in it.events(ev.ChangesRecorded)] == [1]
        assert [event.exit_code for event in it.events(ev.VerificationFinished)] == [0]


async def test_a_question_that_was_open_when_the_program_died_is_answered_with_no(tmp_path):
    push = call("shell", command="git push")
    async with rig(tmp_path, reply(push), mode="ask", attended=True) as it:
        await it.say("push")
        asked = await it.until(ev.ApprovalRequested)
        await it.restart(reply("ok"))
        (resolved,) = it.events(ev.ApprovalResolved)
        assert (resolved.approval_id, resolved.allowed, resolved.by) == (asked.approval_id, False, "policy")
        assert it.result(push) == NEVER_STARTED


async def test_a_bug_in_a_tool_ends_the_turn_and_is_raised_to_whoever_waits(tmp_path):
    class Buggy:
        def __init__(self, tools):
            self._tools = tools

        def specs(self):
            return self._tools.specs()

        def resolve(self, made):
            return self._tools.resolve(made)

        async def call(self, made, on_output):
            raise ZeroDivisionError("a bug")

    reads = [call("read", path="README.md") for _ in range(2)]
    async with rig(tmp_path, reply(*reads), reply("ok"), around_tools=(lambda tools, emit: Buggy(tools),)) as it:
        await it.say("start")
        with pytest.raises(ZeroDivisionError):
            await it.idle()
        assert (it.outcome.outcome, it.outcome.detail) == ("failed", "A bug in goose-py ended this turn: ZeroDivisionError.")
        assert [it.result(made) for made in reads] == [UNKNOWN_OUTCOME] * 2
        assert (await it.prompt("next")).outcome == "done"


# No space left


async def test_a_full_disk_ends_the_turn_is_said_and_the_session_goes_on_when_there_is_room(tmp_path):
    log = tmp_path / "session" / "log.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(request):
        resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 100, hard))
        return reply("I write a long answer. " * 50)

    async with rig(tmp_path, fill, reply("There is room again.")) as it:
        subscription = it.bus.subscribe()
        try:
            await it.say("start")
            with pytest.raises(LogWriteFailed):
                await it.idle()
            with pytest.raises(LogWriteFailed, match="Cannot write the session log"):
                await it.say("x" * 1000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert (await it.prompt("next")).outcome == "done"
        assert [text_of(message) for message in it.model.last.messages] == ["start\nnext"]
        subscription.close()
        notices = [item.text for item in [each async for each in subscription] if isinstance(item, Notice)]
        assert notices and all(text.startswith("Cannot write the session log") for text in notices)
        assert [event.outcome for event in it.events(ev.TurnEnded)] == ["interrupted", "done"]


# Commands beside turns


async def test_checks_can_be_run_by_themselves_and_interrupted(tmp_path):
    async with rig(tmp_path, checks=("echo fine", f"test ! -e slow || {{ {SLEEP}; }}")) as it:
        await it.perform(cmd.RunChecks())
        assert [event.exit_code for event in it.events(ev.VerificationFinished)] == [0, 0]
        (it.root / "slow").touch()
        running = asyncio.ensure_future(it.perform(cmd.RunChecks()))
        await until((it.root / "begun").exists)
        with pytest.raises(UserError, match="A turn is running"):
            await it.perform(cmd.RunChecks())
        await it.perform(cmd.Interrupt())
        with pytest.raises(UserError, match="interrupted"):
            await running
        assert not it.session.running()


async def test_what_is_said_while_checks_run_starts_a_turn_when_they_end(tmp_path):
    async with rig(tmp_path, reply("Hello."), checks=("while [ ! -e go ]; do sleep 0.01; done",)) as it:
        running = asyncio.ensure_future(it.perform(cmd.RunChecks()))
        await until(it.session.running)
        await it.say("hello")
        (it.root / "go").touch()
        await running
        await it.idle()
        assert it.outcome.outcome == "done" and "hello" in everything(it.model.last)


async def test_title_mode_and_model_are_events_and_survive(tmp_path):
    async with rig(tmp_path, reply("ok")) as it:
        await it.perform(cmd.SetTitle(title="Parser"))
        await it.perform(cmd.SetModel(model=it.session.state.model))
        await it.perform(cmd.SetMode(mode="plan"))
        await it.restart(reply("ok"))
        assert (it.session.state.title, it.session.state.mode) == ("Parser", "plan")
        with pytest.raises(UserError, match="cannot take the command Shutdown"):
            await it.perform(cmd.Shutdown())


# Secrets


async def test_a_secret_that_a_tool_prints_is_in_no_record_and_in_no_request(tmp_path):
    secret = "correct-horse-battery"
    files = {"README.md": "hello\n", "key.txt": f"{secret}\n" * 9000}
    shown, sent = call("shell", command="cat key.txt"), call("shell", command=f"echo {secret}")
    steps = [reply(f"The key is {secret}.", shown, sent), reply(Thinking(text=secret, signature=secret + "=="), "ok")]
    async with rig(tmp_path, *steps, files=files, redact=redactor([secret])) as it:
        assert (await it.prompt(f"My key is {secret}.")).outcome == "done"
        assert "[redacted]" in it.result(shown) and "[redacted]" in it.result(sent)
        assert secret not in everything(it.model.last)
        stored = b"".join(path.read_bytes() for path in it.folder.rglob("*") if path.is_file())
        assert stored.count(secret.encode()) == 1, "a signature is a proof and not a text"


# A process that is really killed

KILLED = """
import asyncio, sys
from pathlib import Path
from session_rig import call, reply, rig

async def main():
    command = "sleep 0.3; touch done; sleep 1000"
    async with rig(Path(sys.argv[1]), reply(call("shell", command=command)), reply("never")) as it:
        await it.say("start")
        await it.until(__import__("goose_py.protocol.events").protocol.events.ToolStarted)
        print(it.root, flush=True)
        await it.idle()

asyncio.run(main())
"""


@pytest.mark.case("R32")
async def test_a_process_that_is_killed_between_start_and_result_leaves_a_log_that_resumes(tmp_path):
    tests = Path(__file__).parents[1]
    env = {**os.environ, "PYTHONPATH": f"{tests.parent}:{tests}"}
    process = subprocess.Popen(  # noqa: ASYNC220 (one line is read before anything else runs)
        [sys.executable, "-c", KILLED, str(tmp_path / "dead")], env=env, stdout=subprocess.PIPE
    )
    root = process.stdout.readline().decode().strip()
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    (tmp_path / "live").mkdir()
    async with rig(tmp_path / "live", reply("I look first.")) as it:
        await it.resume(tmp_path / "dead" / "session", reply("I look first."))
        assert [event.result.text() for event in it.events(ev.ToolFinished)] == [UNKNOWN_OUTCOME]
        await it.perform(cmd.Continue())
        await it.idle()
        assert it.outcome.outcome == "done" and len(it.events(ev.ToolStarted)) == 1
        assert strict_complaint(it.model.last.messages) == ""
    assert root


async def test_a_limit_stops_a_compaction_that_was_asked_for_no_less_than_a_turn(tmp_path):
    async with rig(tmp_path, reply("ok"), limits=ev.Limits(max_turns=1)) as it:
        await it.prompt()
        with pytest.raises(LimitReached):
            it.session._check_limits()
