"""One inbox for the questions of all tasks, and what a reviewer says on its way back."""

import json
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, User, answered, calls
from parallel import ended, folder_of

from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.summary import summary_of

DONE = [{"text": "Done."}] * 20


def _events(user: User, task_id: str, kind: type) -> list:
    return [r.event for r in read_log(folder_of(user, task_id).path).records if isinstance(r.event, kind)]


async def _start(user: User, text: str, *args: str) -> str:
    started = await user.goose("task", "start", text, *args)
    assert started.code == 0, started
    return started.out.strip()


async def test_questions_of_all_tasks_stand_in_one_inbox_and_are_answered_from_there(user):
    asks = [calls(("shell", {"command": "python -c 'print(40 + 2)'\necho second line"})), {"text": "It says 42."}]
    async with answered(user, asks):
        first = await _start(user, "Ask me", "--mode", "ask")
        await ended(user, first, "awaiting approval")
        shown = await user.goose("inbox")
        assert first in shown.out and "print(40 + 2)" in shown.out and "second line" in shown.out
        assert summary_of(folder_of(user, first)).workspace in shown.out
        assert (await user.goose("inbox", "answer", first, "--allow")).code == 0
        await ended(user, first, "idle")
        nothing = await user.goose("inbox", "answer", first, "--allow")
        assert nothing.code == 2 and "asks nothing" in nothing.err
    assert "42" in _events(user, first, ev.ToolFinished)[0].result.text()

    planning = [calls(PLAN), {"text": "This is my plan."}, calls(FIX), calls(PLAN_DONE), *DONE]
    async with answered(user, planning, config='plan_approval = "ask"'):
        second = await _start(user, "Plan first", "--mode", "auto")
        await ended(user, second, "awaiting plan approval")
        found = json.loads((await user.goose("inbox", "--json")).out)
        plan = next(question for question in found if question["task_id"] == second)
        assert plan["kind"] == "plan" and plan["details"] == ["1. Take the discount off"]
        assert (await user.goose("inbox", "answer", second, "--allow")).code == 0
        await ended(user, second, "awaiting review")
    listed = await user.goose("inbox", cwd=user.repository)
    assert "ready to be reviewed" in listed.out and f"goose-py review {second}" in listed.out
    assert (await user.goose("reject", second, "--close")).code == 0
    assert second not in (await user.goose("inbox")).out


async def test_an_answer_with_a_note_reaches_the_task_and_a_denied_call_does_not_run(user):
    asks = [calls(("shell", {"command": "python -c 'open(\"made\", \"w\")'"})), *DONE]
    async with answered(user, asks) as server:
        task = await _start(user, "Ask me", "--mode", "ask")
        await ended(user, task, "awaiting approval")
        assert (await user.goose("inbox", "answer", task, "--deny", "-m", "Use the tool for it.")).code == 0
        await ended(user, task, "idle")
    assert "Use the tool for it." in json.dumps(server.requests[1].body)
    assert not (Path(summary_of(folder_of(user, task)).workspace) / "made").exists()


@pytest.mark.case("U20")
async def test_a_task_that_a_script_began_asks_once_it_goes_on_in_the_background(user):
    asks = calls(("shell", {"command": "git push --force origin HEAD"}))
    async with answered(user, [{"text": "Hello."}, asks, *DONE]):
        begun = await user.goose("run", "-t", "Say hello", "--output-format", "json")
        task = begun.json["session_id"]
        assert (await user.goose("task", "say", task, "Start over")).code == 0
        await ended(user, task, "awaiting approval")
        assert "git push --force origin HEAD" in (await user.goose("inbox")).out
        assert (await user.goose("inbox", "answer", task, "--allow")).code == 0
        await ended(user, task, "idle")


@pytest.mark.case("U10")
async def test_what_a_reviewer_rejects_goes_back_as_one_prompt_and_only_what_was_kept_lands(user):
    (user.repository / "notes.txt").write_text("".join(f"line {number}\n" for number in range(1, 41)))
    user.commit("Notes")

    def edit(old: str, new: str) -> tuple[str, dict[str, str]]:
        return ("edit", {"path": "notes.txt", "old_string": f"{old}\n", "new_string": f"{new}\n"})

    first = [calls(PLAN, FIX, edit("line 2", "line two"), edit("line 38", "line thirty-eight")), calls(PLAN_DONE), *DONE]
    async with answered(user, first):
        done = await user.goose("run", "-t", "Do it", "--output-format", "json")
        task = done.json["session_id"]
    assert (await user.goose("approve", task, "--file", "notes.txt", "--hunk", "2")).code == 0
    assert (await user.goose("reject", task, "--file", "notes.txt", "--hunk", "1", "-m", "numbers stay digits")).code == 0
    revising = [calls(PLAN, edit("line two", "line 2")), calls(PLAN_DONE), *DONE]
    async with answered(user, revising) as server:
        sent = await user.goose("review", task, "--send", "-m", "Nearly there.")
        assert sent.code == 0, sent
        await ended(user, task, "awaiting review")
        again = await user.goose("review", task, "--send")
        assert again.code == 2 and "nothing to send" in again.err, "what was said is not said twice"
    said = json.dumps(server.requests[0].body["messages"][-1], ensure_ascii=False)
    assert "Nearly there." in said and "numbers stay digits" in said and "line two" in said and "thirty-eight" not in said
    shown = await user.goose("review", task)
    assert "✓ kept" in shown.out, "the mark on what did not change is still there"
    assert (await user.goose("apply", task, "--yes")).code == 0
    text = (user.repository / "notes.txt").read_text()
    assert "line 2\n" in text and "line thirty-eight\n" in text
    assert "sum(prices) + discount" in (user.repository / "cart.py").read_text()


@pytest.mark.case("U10")
async def test_a_comment_on_what_was_kept_reaches_the_task_after_it_was_applied(user):
    async with answered(user, [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]):
        task = (await user.goose("run", "-t", "Do it", "--output-format", "json")).json["session_id"]
    said = await user.goose("approve", task, "--file", "cart.py", "--hunk", "1", "-m", "Say what a discount is, next time.")
    assert said.code == 0
    assert (await user.goose("apply", task, "--yes")).code == 0
    async with answered(user, DONE) as server:
        assert (await user.goose("review", task, "--send")).code == 0
        await server.received(1)
    told = json.dumps(server.requests[0].body["messages"][-1])
    assert "Say what a discount is, next time." in told and "sum(prices) - discount" in told and "applied" in told
    again = await user.goose("review", task, "--send")
    assert again.code == 2 and "nothing to send" in again.err


async def test_every_hunk_tells_which_turn_which_step_and_which_call_made_it(user):
    turns = [calls(PLAN, FIX), calls(PLAN_DONE), {"text": "One."}, {"text": "One."}, *DONE]
    async with answered(user, turns):
        done = await user.goose("run", "-t", "Take it off", "--output-format", "json")
        task, worktree = done.json["session_id"], Path(done.json["worktree"])
    (worktree / "test_cart.py").write_text((worktree / "test_cart.py").read_text() + "# by hand\n")
    why = await user.goose("review", task, "--why")
    assert why.code == 0, why
    cart, test = why.out.split("test_cart.py")[:2]
    assert "turn 1 (“Take it off”)" in cart and "Take the discount off" in cart and "Edit cart.py" in cart
    assert "by hand" in test
