"""`goose-py run`, with the real command, a real repository, the real adapters, and a model server on loopback."""

import asyncio
import json
import os
import signal
from pathlib import Path

import pytest
from command import CHECK, FIXING, PLAN, answered, calls
from parallel import until
from processes import a_long_time, running

from goose_py.demo import SCRIPT

ROADS = [
    ("anthropic", "http"),
    ("anthropic", "sdk"),
    ("responses", "http"),
    ("responses", "sdk"),
    ("chat", "http"),
    ("chat", "sdk"),
]


@pytest.mark.parametrize(("protocol", "transport"), ROADS)
async def test_a_task_is_carried_out_checked_reviewed_and_applied_over_every_protocol(user, protocol, transport):
    before = user.tree()
    async with answered(user, FIXING, protocol, transport=transport) as server:
        ended = await user.goose("run", "-t", "Take the discount off", "--check", CHECK, "--output-format", "json")
    assert ended.code == 0, ended.err
    result = ended.json
    assert result["outcome"] == "done" and result["exit_code"] == 0
    assert "discount is taken off now" in result["result"]
    assert [check["passed"] for check in result["checks"]] == [True]
    assert server.objections == []
    assert user.tree() == before, "a run touches nothing of the checkout"

    shown = await user.goose("review")
    assert "return sum(prices) - discount" in shown.out and "checks passed on exactly these files" in shown.out
    assert (await user.goose("apply", "--all", "--yes")).code == 0
    assert "sum(prices) - discount" in (user.repository / "cart.py").read_text()
    assert user.git("status", "--porcelain").split() == ["M", "cart.py"]


WRITES = calls(PLAN, ("write", {"path": "new.py", "content": "x = 1\n"}))
DONE = [{"text": "Done."}] * 12
CHECKED = ("--check", CHECK)
ENDS = {
    "done and verified": (FIXING, CHECKED, 0, "done"),
    "a check passes": ([calls(PLAN), calls(("shell", {"command": "true"})), *DONE], ("--check", "true"), 0, "done"),
    "nothing was changed and the check fails": (DONE, CHECKED, 6, "failed"),
    "a check fails after changes": ([WRITES, *DONE], CHECKED, 6, "failed"),
    "the budget is used up": (
        [calls(("shell", {"command": f"echo {n}"})) for n in range(9)], (*CHECKED, "--max-turns", "2"), 4, "limit",
    ),
    "the provider refuses": ([{"error": {"status": 401, "message": "no such key"}}], CHECKED, 5, "provider_error"),
    "an approval is needed": (
        [calls(("shell", {"command": "git reset --hard"})), {"text": "I could not."}], ("--mode", "ask"), 3, "denied",
    ),
    "time is up": ([calls(("shell", {"command": "sleep 60"}))], (*CHECKED, "--max-seconds", "1.5"), 124, "limit"),
}  # fmt: skip


@pytest.mark.case("U15")
@pytest.mark.parametrize(("turns", "flags", "code", "outcome"), ENDS.values(), ids=ENDS)
async def test_the_exit_code_and_the_json_tell_the_same_truth_about_every_end(user, turns, flags, code, outcome):
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Fix it", "--output-format", "json", *flags)
    assert (ended.code, ended.json["exit_code"], ended.json["outcome"]) == (code, code, outcome), ended


@pytest.mark.case("U16")
async def test_what_would_be_asked_is_denied_and_said_at_once_and_the_time_limit_ends_children_too(user):
    async with answered(user, [calls(("shell", {"command": "git push --force"})), {"text": "no"}]):
        ended = await user.goose("run", "-t", "Clean up", "--output-format", "json")
    assert ended.code == 3 and [denied["tool"] for denied in ended.json["denied"]] == ["shell"], ended
    seconds = a_long_time()
    async with answered(user, [calls(("shell", {"command": f"sleep {seconds}"}))]):
        ended = await user.goose("run", "-t", "Sleep", "--max-seconds", "3", "--output-format", "json")
    assert ended.code == 124, ended
    await until(lambda: not running("sleep", seconds))


async def test_only_the_result_is_written_to_standard_output(user):
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it", "--check", CHECK)
    assert ended.code == 0
    assert ended.out.strip() == "The discount is taken off now; the test passes."


async def test_a_stream_of_json_is_the_log_and_then_the_result(user):
    async with answered(user, FIXING):
        ended = await user.goose("run", "-t", "Fix it", "--output-format", "stream-json")
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert lines[0]["format"] == "goose-py session"
    assert [line["seq"] for line in lines[1:-1]] == list(range(1, len(lines) - 1))
    assert lines[-1]["exit_code"] == 0


async def test_what_to_do_may_come_from_standard_input_or_a_file(user):
    async with answered(user, [{"text": "Four."}]) as server:
        ended = await user.goose("run", "-i", "-", stdin="What is 2 + 2?")
        assert ended.out.strip() == "Four."
        assert "What is 2 + 2?" in json.dumps(server.requests[0].body)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], "nothing to do"),
        (["run", "-t", "x", "-i", "y"], "exclude each other"),
        (["run", "-i", "missing.txt"], "Cannot read missing.txt"),
        (["run", "recipe", "missing.yaml"], "missing.yaml"),
        (["run", "-t", "x", "--provider", "antropic"], "anthropic"),
        (["run", "-t", "x", "--base", "no-such-branch"], "no-such-branch"),
        (["run", "-t", "x", "--mode", "yolo"], "mode"),
        (["run", "--resume", "zzz"], "zzz"),
        (["rnu"], "run"),
        (["task", "show", "zzz"], "zzz"),
        (["recipe", "validate", "missing.yaml"], "missing.yaml"),
    ],
)
async def test_bad_input_is_answered_in_one_clear_sentence(user, arguments, says):
    user.configure(f'provider = "scripted"\nmodel = "demo"\n[providers.scripted]\nbase_url = "{SCRIPT}"\n')
    ended = await user.goose(*arguments)
    assert ended.code in (1, 2) and says in ended.err + ended.out, ended
    assert "Traceback" not in ended.err
    assert len(ended.err.strip().splitlines()) <= 4


async def test_a_key_that_is_missing_and_a_server_that_is_not_there_are_said_in_words(user):
    user.configure('provider = "anthropic"\nmodel = "claude-sonnet-5"\n')
    ended = await user.goose("run", "-t", "hello")
    assert ended.code == 5 and "ANTHROPIC_API_KEY" in ended.err and "Traceback" not in ended.err, ended
    user.configure('provider = "lmstudio"\nmodel = "m"\n[providers.lmstudio]\nbase_url = "http://127.0.0.1:9"\n')
    ended = await user.goose("run", "-t", "hello", "--max-seconds", "4")
    assert ended.code == 124 and "127.0.0.1" in ended.err and "Traceback" not in ended.err, ended


async def test_a_folder_that_is_no_repository_is_left_alone_and_can_be_worked_on_as_a_copy(user):
    plain = user.root / "plain"
    plain.mkdir()
    (plain / "cart.py").write_text("discount = 1\n")
    async with answered(user, [calls(PLAN, ("write", {"path": "new.txt", "content": "hi\n"})), *[{"text": "Done."}] * 6]):
        refused = await user.goose("run", "-t", "Do it", cwd=plain)
        assert refused.code == 2 and "--copy" in refused.err and not (plain / ".git").exists()
        ended = await user.goose("run", "-t", "Do it", "--copy", "--output-format", "json", cwd=plain)
    assert ended.code == 0, ended
    assert sorted(path.name for path in plain.iterdir()) == ["cart.py"]


@pytest.mark.case("U18")
async def test_a_task_starts_from_the_checkout_as_it_is_unless_another_base_is_named(user):
    (user.repository / "cart.py").write_text("# mine\n" + (user.repository / "cart.py").read_text())
    head = user.git("rev-parse", "HEAD").strip()
    async with answered(user, [*FIXING, *FIXING]):
        from_head = await user.goose("run", "-t", "Fix it", "--base", "head", "--output-format", "json")
        with_changes = await user.goose("run", "-t", "Fix it", "--output-format", "json")
    first, second = (Path(ended.json["worktree"]) / "cart.py" for ended in (from_head, with_changes))
    assert "# mine" not in first.read_text() and "# mine" in second.read_text()
    assert user.git("rev-parse", "HEAD").strip() == head
    shown = json.loads((await user.goose("task", "show", from_head.json["session_id"], "--json")).out)
    assert shown["base"] == head


async def test_a_repository_without_a_commit_is_explained(user):
    fresh = user.root / "fresh"
    fresh.mkdir()
    (fresh / "a.txt").write_text("a\n")
    os.system(f"git init -q {fresh}")
    async with answered(user, [{"text": "Hello."}]):
        ended = await user.goose("run", "-t", "hello", "--base", "head", cwd=fresh)
        assert ended.code == 2 and "no commit" in ended.err, ended
        ended = await user.goose("run", "-t", "hello", cwd=fresh)
        assert ended.code == 0, ended


async def test_an_interrupt_ends_everything_keeps_everything_and_can_be_resumed(user):
    seconds = a_long_time()
    turns = [
        calls(PLAN, ("write", {"path": "kept.txt", "content": "kept\n"})),
        calls(("shell", {"command": f"sleep {seconds}"})),
        *[{"text": "Done."}] * 6,
    ]
    async with answered(user, turns) as server:
        process = await user.start("run", "-t", "Wait", "--output-format", "json")
        await server.received(2)
        await until(lambda: running("sleep", seconds))
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(30):
            out, err = await process.communicate()
        assert process.returncode == 130, err
        await until(lambda: not running("sleep", seconds))
        result = json.loads(out)
        assert (Path(result["worktree"]) / "kept.txt").read_text() == "kept\n"
        resumed = await user.goose("run", "--resume", result["session_id"], "--output-format", "json")
        assert resumed.code == 0, resumed
        assert server.objections == []


async def test_a_session_is_shown_exported_and_found_again(user):
    async with answered(user, FIXING):
        session_id = (await user.goose("run", "-t", "Take the discount off", "--output-format", "json")).json["session_id"]
    shown = await user.goose("session", "show", session_id)
    assert shown.code == 0 and "Take the discount off" in shown.out and "sum(prices) - discount" in shown.out
    written = await user.goose("session", "export", session_id, "--format", "json", "-o", "out.json")
    assert written.code == 0, written
    file = user.repository / "out.json"
    assert json.loads(file.read_text()) and file.stat().st_mode & 0o777 == 0o600
    assert "<html" in (await user.goose("session", "export", session_id, "--format", "html")).out
    found = await user.goose("session", "search", "discount")
    assert found.code == 0 and session_id in found.out
    assert (await user.goose("session", "search", "unheard-of")).code == 1


async def test_plan_mode_ends_with_the_plan_as_its_answer_and_nothing_changed(user):
    before = user.tree()
    turns = [calls(PLAN), {"text": "That is how I would do it."}]
    async with answered(user, turns):
        ended = await user.goose("run", "-t", "Take the discount off", "--mode", "plan")
    assert ended.code == 0 and "1. Take the discount off (the test passes)" in ended.out, ended
    assert "That is how I would do it." in ended.out
    assert user.tree() == before
