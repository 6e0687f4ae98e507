"""The mechanisms of the harness, each with a model that fails in just the way it mends."""

import asyncio
import itertools

import pytest
from session_rig import REF, TestModel, call, done, everything, plan, reply, rig, text_of

from goose_py.agent.completion import MAX_REPAIRS
from goose_py.agent.conventions import Conventions, ConventionTools
from goose_py.agent.loop_guard import STOP_AT
from goose_py.agent.planner import NEEDS_PLAN
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.codec import encode
from goose_py.protocol.messages import ModelRef, ToolCall, ToolMessage

CHECK = "grep -q right answer.txt"


def answer(text):
    return call("write", path="answer.txt", content=text)


# 3 Arguments


@pytest.mark.parametrize(
    ("name", "arguments", "note"),
    [
        ("read", {"file_path": "README.md"}, "file_path taken as path"),
        ("read", {"path": "README.md", "limit": "1"}, '"1" taken as 1'),
        ("read", {"path": "README.md", "offset": None}, "null left out"),
    ],
)
async def test_arguments_that_are_nearly_right_are_mended_and_the_model_is_told(tmp_path, name, arguments, note):
    made = call(name, **arguments)
    async with rig(tmp_path, reply(made), reply("ok")) as it:
        await it.prompt()
        assert "hello" in it.result(made) and note in it.result(made)
        assert it.events(ev.ToolStarted)[0].call.arguments["path"] == "README.md"


@pytest.mark.case("R08")
@pytest.mark.parametrize(
    "raw", ['{"path": "README.md",}', '{"path": "README.md"} and more', "{'path': 'README.md'}", '{"path": "RE', "[]"]
)
async def test_arguments_that_are_no_json_object_are_never_guessed_and_three_in_a_row_end_the_turn(tmp_path, raw):
    broken = [ToolCall(id=f"b{n}", name="read", malformed=raw) for n in range(3)]
    async with rig(tmp_path, *(reply(made) for made in broken)) as it:
        ended = await it.prompt()
        assert it.events(ev.ToolStarted) == []
        assert all("nothing was run" in it.result(made) and raw[:8] in it.result(made) for made in broken)
        assert (ended.outcome, "three times in a row" in ended.detail) == ("stuck", True)


@pytest.mark.case("R08")
async def test_one_valid_call_between_broken_ones_starts_the_count_again(tmp_path):
    def broken(n):
        return reply(ToolCall(id=f"b{n}", name="read", malformed="{"))

    steps = [broken(1), broken(2), reply(call("list", path=".")), broken(3), broken(4), reply("I give up.")]
    async with rig(tmp_path, *steps) as it:
        assert (await it.prompt()).outcome == "done"


@pytest.mark.case("R11")
@pytest.mark.parametrize(("name", "near"), [("shel", "shell"), ("", ""), ("read_file", "read"), ("developer__edit", "edit")])
async def test_an_unknown_tool_is_answered_with_the_names_there_are(tmp_path, name, near):
    made = call(name)
    async with rig(tmp_path, reply(made), reply("ok")) as it:
        await it.prompt()
        assert "There is no tool" in it.result(made) and near in it.result(made)
        assert it.events(ev.ToolStarted) == []


@pytest.mark.case("R11")
async def test_a_model_that_keeps_calling_tools_that_do_not_exist_is_stopped(tmp_path):
    async with rig(tmp_path, *(reply(call("shel", command=str(n))) for n in range(3))) as it:
        assert (await it.prompt()).outcome == "stuck"


# 5 The plan


async def test_nothing_is_changed_before_there_is_a_plan(tmp_path):
    early, late = answer("right\n"), answer("right\n")
    steps = [reply(early), reply(plan("write the answer")), reply(late), reply(done("write the answer")), reply("Done.")]
    async with rig(tmp_path, *steps, planning=True) as it:
        assert (await it.prompt()).outcome == "done"
        assert it.result(early) == NEEDS_PLAN
        assert (it.root / "answer.txt").read_text() == "right\n"
        started = [event.call.id for event in it.events(ev.ToolStarted)]
        assert early.id not in started and late.id in started


async def test_reading_needs_no_plan(tmp_path):
    look, find = call("read", path="README.md"), call("shell", command="ls")
    async with rig(tmp_path, reply(look, find), reply("It says hello."), planning=True) as it:
        assert (await it.prompt("What does it say?")).outcome == "done"
        assert "hello" in it.result(look) and "README.md" in it.result(find)


async def test_an_unfinished_plan_is_asked_about_before_the_turn_may_end(tmp_path):
    steps = [reply(plan("one", "two")), reply("Done."), reply(done("one", "two")), reply("Now it is.")]
    async with rig(tmp_path, *steps, planning=True) as it:
        assert (await it.prompt()).outcome == "done"
        (note,) = [event.text for event in it.events(ev.ContextAdded) if event.source == "plan"]
        assert "open steps: one; two" in note


async def test_a_model_that_will_not_close_its_plan_is_let_go_after_two_reminders(tmp_path):
    async with rig(tmp_path, reply(plan("one")), *[reply("Done.")] * 3, planning=True) as it:
        assert (await it.prompt()).outcome == "done"
        assert it.model.unused == 0


async def test_the_plans_state_is_shown_again_when_the_next_turn_begins(tmp_path):
    steps = [reply(plan("one", "two")), *[reply("Later.")] * 3, reply("ok"), *[reply("still")] * 2]
    async with rig(tmp_path, *steps, planning=True) as it:
        await it.prompt()
        await it.prompt("Go on.")
        assert "Plan, 0 of 2 done:\n[>] one\n[ ] two" in text_of(it.model.requests[4].messages[-1])


async def test_the_steps_of_a_plan_are_events_as_they_start_and_end(tmp_path):
    second = call("update_plan", steps=[{"title": "a", "status": "completed"}, {"title": "b", "status": "in_progress"}])
    async with rig(tmp_path, reply(plan("a", "b")), reply(second), reply(done("a", "b")), reply("ok"), planning=True) as it:
        await it.prompt()
        told = [(type(e).__name__, e.title) for r in it.records if hasattr(e := r.event, "index")]
        assert told == [
            ("PlanStepStarted", "a"),
            ("PlanStepFinished", "a"),
            ("PlanStepStarted", "b"),
            ("PlanStepFinished", "b"),
        ]


async def test_two_steps_at_once_are_refused(tmp_path):
    both = call("update_plan", steps=[{"title": name, "status": "in_progress"} for name in "ab"])
    async with rig(tmp_path, reply(both), reply("ok"), planning=True) as it:
        await it.prompt()
        assert "only one step" in it.result(both) and it.events(ev.PlanProposed) == []


async def test_a_failed_step_asks_for_a_new_plan(tmp_path):
    failed = plan("one", status="failed")
    async with rig(tmp_path, reply(failed), reply("It cannot be done."), planning=True) as it:
        assert (await it.prompt()).outcome == "done"
        assert "Revise the plan" in it.result(failed)


@pytest.mark.case("U07")
async def test_in_plan_mode_nothing_is_written_and_the_plan_waits_for_a_decision(tmp_path):
    tries = [answer("x"), call("shell", command="echo x > answer.txt"), call("shell", command="git commit --amend -m x")]
    steps = [reply(*tries), reply(plan("write")), reply(*[answer("x")]), reply("This is my plan.")]
    async with rig(tmp_path, *steps, planning=True, mode="plan", attended=True) as it:
        before = (await it.worktree.snapshot()).tree
        ended = await it.prompt()
        assert (await it.worktree.snapshot()).tree == before
        assert ended.outcome == "awaiting_plan"
        assert [event.call.name for event in it.events(ev.ToolStarted)] == ["update_plan"]
        assert it.events(ev.ApprovalRequested) == []
        assert "Plan mode: explore only" in everything(it.model.requests[0])


async def test_an_approved_plan_is_carried_out_and_a_refused_one_is_made_again(tmp_path):
    steps = [
        reply(plan("wrong")),
        reply("This is my plan."),
        reply(plan("right")),
        reply("And now?"),
        reply(answer("right\n")),
        reply(done("right")),
        reply("Done."),
    ]
    async with rig(tmp_path, *steps, planning=True, mode="plan", attended=True) as it:
        assert (await it.prompt()).outcome == "awaiting_plan"
        await it.perform(cmd.DecidePlan(approve=False, comment="Do it right."))
        await it.idle()
        assert it.outcome.outcome == "awaiting_plan"
        assert "They say: Do it right." in everything(it.model.requests[2])
        await it.perform(cmd.DecidePlan(approve=True))
        await it.idle()
        assert it.outcome.outcome == "done" and it.session.state.mode == "ask"
        assert (it.root / "answer.txt").read_text() == "right\n"


async def test_nobody_is_asked_about_a_call_that_waits_for_a_plan(tmp_path):
    push = call("shell", command="rm README.md")
    async with rig(tmp_path, reply(push), reply("ok"), planning=True, attended=True, mode="ask") as it:
        await it.prompt()
        assert it.result(push) == NEEDS_PLAN and it.events(ev.ApprovalRequested) == []


# 6 Verification


async def test_the_program_runs_the_check_and_a_failure_goes_back_until_it_passes(tmp_path):
    steps = [reply(answer("wrong\n")), reply("All tests pass!"), reply(answer("right\n")), reply("Now they do.")]
    async with rig(tmp_path, *steps, checks=(CHECK,)) as it:
        assert (await it.prompt()).outcome == "done"
        first, second = it.events(ev.VerificationFinished)
        assert (first.exit_code, second.exit_code) == (1, 0)
        assert second.tree == (await it.worktree.snapshot()).tree != first.tree
        assert "$ grep -q right answer.txt" in text_of(it.model.requests[2].messages[-1])


async def test_a_check_that_keeps_failing_ends_the_turn_as_failed(tmp_path):
    steps = [reply(answer("wrong\n")), *[reply("It is fine.")] * (MAX_REPAIRS + 1)]
    async with rig(tmp_path, *steps, checks=(CHECK,), checklist=True) as it:
        ended = await it.prompt()
        assert (ended.outcome, ended.detail) == ("failed", f"The check `{CHECK}` does not pass.")
        assert it.model.unused == 0
        assert len(it.events(ev.VerificationFinished)) == 1, "the same files are not checked again"


async def test_a_turn_that_changed_nothing_runs_no_check(tmp_path):
    async with rig(tmp_path, reply("It says hello."), checks=("false",), checklist=True) as it:
        assert (await it.prompt("What does it say?")).outcome == "done"
        assert it.events(ev.VerificationFinished) == []


async def test_what_failed_and_was_taken_back_does_not_fail_the_turn(tmp_path):
    changed, restored = call("write", path="README.md", content="bye\n"), call("write", path="README.md", content="hello\n")
    steps = [reply(changed), reply("Done."), reply(restored), reply("I took it back.")]
    async with rig(tmp_path, *steps, checks=("grep -q hello README.md && test -e never",)) as it:
        assert (await it.prompt()).outcome == "done"


async def test_a_check_that_leaves_files_is_run_again_on_what_it_left(tmp_path):
    leaving = "test -e cache || touch cache"
    async with rig(tmp_path, reply(answer("right\n")), reply("Done."), checks=(leaving,)) as it:
        assert (await it.prompt()).outcome == "done"
        assert [event.tree for event in it.events(ev.VerificationFinished)][-1] == (await it.worktree.snapshot()).tree


async def test_the_checklist_is_asked_once_with_the_diff_and_the_checks_in_view(tmp_path):
    steps = [reply(answer("right\n")), reply("Done."), reply("Report: answer.txt was added; the check passed.")]
    async with rig(tmp_path, *steps, checks=(CHECK,), checklist=True) as it:
        assert (await it.prompt()).outcome == "done"
        asked = text_of(it.model.requests[2].messages[-1])
        assert "+right" in asked and f"$ {CHECK}\n\n[exit code 0]" in asked and "As a tester" in asked


async def test_without_a_check_the_checklist_says_that_nothing_is_verified(tmp_path):
    async with rig(tmp_path, reply(answer("right\n")), reply("Done."), reply("Report."), checklist=True) as it:
        await it.prompt()
        assert "None is configured, so nothing has been verified" in text_of(it.model.last.messages[-1])


# 7 Nobody is there


@pytest.mark.parametrize(("attended", "said"), [(False, True), (True, False)])
async def test_a_run_without_a_person_is_told_that_nobody_will_answer(tmp_path, attended, said):
    async with rig(tmp_path, reply("ok"), attended=attended) as it:
        await it.prompt()
        assert ("Nobody is there to answer questions" in it.model.last.system) is said


# 8 Effort by phase


async def test_each_phase_is_answered_by_the_model_and_effort_that_was_chosen_for_it(tmp_path):
    script = TestModel(
        reply(plan("write")),
        reply(answer("wrong\n")),
        reply(done("write")),
        reply("Done."),
        reply(answer("right\n")),
        reply("Done."),
        reply("Report."),
    )
    phases = {
        phase: (script, ModelRef(provider="test", model=model, effort=effort))
        for phase, model, effort in [("plan", "big", "high"), ("execute", "small", "low"), ("verify", "big", "max")]
    }
    async with rig(tmp_path, model=script, planning=True, checklist=True, checks=(CHECK,), phases=phases) as it:
        assert (await it.prompt()).outcome == "done"
        assert [(request.model, request.effort) for request in script.requests] == [
            ("big", "high"),
            *[("small", "low")] * 5,
            ("big", "max"),
        ]
        assert [event.phase for event in it.events(ev.ModelReplied)] == ["plan", *["execute"] * 5, "verify"]
        assert [str(event.model) for event in it.events(ev.UsageRecorded)][::6] == ["test/big · high", "test/big · max"]


# 9 The environment


async def test_the_environment_is_a_message_at_the_start_and_not_in_the_prefix(tmp_path):
    async with rig(tmp_path, reply("ok"), environment="Linux, bash, Python 3.11") as it:
        await it.prompt("Hello.")
        (only,) = it.model.last.messages
        assert [part.text for part in only.parts] == [
            "<harness source='environment'>\nLinux, bash, Python 3.11\n</harness>",
            "Hello.",
        ]
        assert "Linux, bash" not in it.model.last.system


# 10 Reads side by side


async def test_neighbouring_reads_run_side_by_side_and_a_change_alone(tmp_path):
    reads = [call("read", path="README.md"), call("grep", pattern="hello"), call("glob", pattern="*.md")]
    write, after = answer("x"), call("read", path="answer.txt")
    async with rig(tmp_path, reply(*reads, write, after), reply("ok")) as it:
        await it.prompt()
        order = [
            (type(r.event).__name__[4:], r.event.call.id if isinstance(r.event, ev.ToolStarted) else r.event.result.call_id)
            for r in it.records
            if isinstance(r.event, ev.ToolStarted | ev.ToolFinished)
        ]
        ids = [made.id for made in reads]
        assert order[:3] == [("Started", made) for made in ids]
        assert sorted(order[3:6]) == sorted(("Finished", made) for made in ids)
        assert order[6:] == [
            ("Started", write.id),
            ("Finished", write.id),
            ("Started", after.id),
            ("Finished", after.id),
        ]
        (answered,) = [message for message in it.model.last.messages if isinstance(message, ToolMessage)]
        assert [result.call_id for result in answered.results] == [*ids, write.id, after.id]


# 11 Going in circles


@pytest.mark.case("R18")
async def test_the_same_call_with_the_same_result_is_warned_about_and_then_stopped(tmp_path):
    made = [call("read", path="README.md") for _ in range(STOP_AT + 1)]
    async with rig(tmp_path, *(reply(each) for each in made)) as it:
        ended = await it.prompt()
        assert ["exact call had this exact result" in it.result(each) for each in made[:-1]] == [False, False, True, True, True]
        assert ended.outcome == "stuck"
        assert ended.detail == "read was called 5 times with the same arguments and the same result."
        assert "did not run" in it.result(made[-1])


@pytest.mark.case("R18")
async def test_five_hundred_turns_end_at_the_limit_with_a_reason(tmp_path):
    def onward(request):
        return reply(call("shell", command=f"echo {len(request.messages)}"))

    async with rig(tmp_path, model=TestModel(after=onward), limits=ev.Limits(max_turns=60)) as it:
        ended = await it.prompt()
        assert (ended.outcome, ended.detail) == ("limit", "The limit of 60 model turns is reached (60 used).")
        assert len(it.model.requests) == 60


async def test_polling_a_job_whose_answer_changes_is_no_circle(tmp_path):
    poll = [call("shell", command="echo x >> count; wc -l < count") for _ in range(12)]
    async with rig(tmp_path, *(reply(each) for each in poll), reply("Finished.")) as it:
        assert (await it.prompt()).outcome == "done"
        assert not any("exact result" in it.result(each) for each in poll)


async def test_the_same_test_after_each_of_many_changes_is_no_circle(tmp_path):
    steps = [step for n in range(8) for step in (reply(answer(f"try {n}\n")), reply(call("shell", command="echo FAILED")))]
    async with rig(tmp_path, *steps, reply("I stop here.")) as it:
        assert (await it.prompt()).outcome == "done"
        assert not any("exact result" in event.result.text() for event in it.events(ev.ToolFinished))


async def test_changing_a_file_to_and_fro_is_a_circle(tmp_path):
    steps = [reply(answer("ab"[n % 2])) for n in range(30)]
    async with rig(tmp_path, *steps) as it:
        assert (await it.prompt()).outcome == "stuck"


async def test_a_call_that_is_refused_again_and_again_is_a_circle_too(tmp_path):
    made = [call("shell", command="git push origin main") for _ in range(STOP_AT + 1)]
    async with rig(tmp_path, *(reply(each) for each in made), mode="ask") as it:
        ended = await it.prompt()
        assert ended.outcome == "stuck"
        assert len(it.events(ev.ApprovalRequested)) == STOP_AT and "exact result" in it.result(made[3])


# 13 Time and budget


async def test_the_model_is_told_when_its_budget_runs_out(tmp_path):
    steps = [reply(call("shell", command=f"echo {n}")) for n in range(9)]
    async with rig(tmp_path, *steps, reply("Handed over."), limits=ev.Limits(max_turns=10)) as it:
        assert (await it.prompt()).outcome == "done"
        told = [event.text for event in it.events(ev.ContextAdded) if event.source == "progress"]
        assert [text.split(".")[0] for text in told] == ["Used 5 of 10 model turns", "Used 8 of 10 model turns"]
        assert "Bring the work to a state that can be handed over" in told[1]


# 16 The prefix


@pytest.mark.case("U27")
async def test_each_request_begins_with_the_bytes_of_the_one_before_also_after_a_resume(tmp_path):
    def work(n):
        return reply("on it", call("shell", command=f"echo {n}"))

    async with rig(tmp_path, work(1), work(2), reply("Done."), work(3), reply("Done."), limits=ev.Limits(max_turns=50)) as it:
        await it.prompt("one")
        await it.prompt("two")
        requests = list(it.model.requests)
        await it.restart(work(4), reply("Done."), work(5), reply("Done."))
        await it.prompt("three")
        await it.perform(cmd.SetMode(mode="chat"))
        await it.perform(cmd.SetMode(mode="auto"))
        await it.prompt("four")
        requests += it.model.requests
    serialised = [
        (request.system, encode(request.tools), [encode(message) for message in request.messages]) for request in requests
    ]
    for before, after in itertools.pairwise(serialised):
        assert before[:2] == after[:2]
        assert after[2][: len(before[2])] == before[2]
        assert len(after[2]) > len(before[2])


async def test_the_prefix_holds_no_clock_no_folder_and_no_git_state(tmp_path):
    async with rig(tmp_path, reply("ok")) as it:
        await it.prompt()
        prefix = it.model.last.system + encode(it.model.last.tools).decode()
        for changing in (str(tmp_path), it.worktree.task_id, it.worktree.base.commit[:7], "2023", "1700000000"):
            assert changing not in prefix
        names = [tool.name for tool in it.model.last.tools]
        assert names == sorted(names)


# Conventions


async def test_a_subfolders_conventions_come_when_it_is_first_touched_and_not_again_after_a_resume(tmp_path):
    files = {"AGENTS.md": "top", "sub/AGENTS.md": "Use tabs here.", "sub/a.py": "pass\n", "sub/b.py": "pass\n"}
    async with rig(tmp_path, reply(call("read", path="sub/a.py")), reply("ok"), files=files) as it:
        it.setup.around_tools = ()
        conventions = Conventions(it.root, ("AGENTS.md",))
        conventions.initial([], it.root)
        it.setup.around_tools = (lambda tools, emit: ConventionTools(tools, conventions, emit),)
        await it.restart(reply(call("read", path="sub/a.py")), reply(call("shell", command="cat sub/b.py")), reply("ok"))
        await it.prompt()
        (added,) = [event.text for event in it.events(ev.ContextAdded) if event.source == "conventions"]
        assert added == "Conventions of this project (sub/AGENTS.md):\nUse tabs here."
        assert "Use tabs here." in text_of(it.model.requests[1].messages[-1])


# A final output


@pytest.mark.parametrize(
    ("schema", "arguments", "value"),
    [
        ({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}, {"n": 3}, {"n": 3}),
        ({"type": "array", "items": {"type": "string"}}, {"value": ["a"]}, ["a"]),
    ],
)
async def test_a_turn_with_a_response_schema_is_not_done_before_an_answer_that_fits(tmp_path, schema, arguments, value):
    wrong = call("final_output", n="three")
    steps = [reply("It is three."), reply(wrong), reply(call("final_output", **arguments)), reply("Handed over.")]
    async with rig(tmp_path, *steps, response_schema=schema) as it:
        assert (await it.prompt()).outcome == "done"
        assert [event.value for event in it.events(ev.FinalOutput)] == [value]
        assert "do not fit" in it.result(wrong)
        assert "final_output" in {tool.name for tool in it.model.last.tools}


async def test_a_model_that_never_gives_its_final_output_fails(tmp_path):
    async with rig(tmp_path, *[reply("It is three.")] * 3, response_schema={"type": "object"}) as it:
        ended = await it.prompt()
        assert (ended.outcome, ended.detail) == ("failed", "The model did not hand over a final output.")


def test_the_rig_models_a_strict_provider():
    with pytest.raises(AssertionError, match="does not begin with a user message"):
        asyncio.run(anext(TestModel(reply("x")).stream(_request())))


def _request():
    from goose_py.protocol.model_io import ModelRequest

    return ModelRequest(model=REF.model, system="", messages=())
