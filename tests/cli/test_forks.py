"""`goose-py session fork` and `rename`, with the real command."""

import json
from pathlib import Path

import pytest
from command import FIXING, PLAN, PLAN_DONE, answered, calls

from goose_py.session.log import read_log


def events(user, task_id):
    return [(record.seq, record.event) for record in read_log(user.state / "tasks" / task_id).records]


def seq_of(user, task_id, kind, number=0):
    return [seq for seq, event in events(user, task_id) if type(event).__name__ == kind][number]


async def test_a_fork_goes_on_with_the_conversation_and_the_files_and_leaves_the_first_session_alone(user):
    async with answered(user, [*FIXING, {"text": "As I said, it is fixed."}, {"text": "Yes."}]) as server:
        first = (await user.goose("run", "-t", "Take the discount off", "--output-format", "json")).json
        log = user.state / "tasks" / first["session_id"] / "log.jsonl"
        before = log.read_bytes()

        fork = (await user.goose("session", "fork", first["session_id"], "--name", "the other way")).out.strip()
        own = user.state / "tasks" / fork / "log.jsonl"
        assert own.stat().st_size < len(before) / 2, "nothing is copied"
        went_on = await user.goose("run", "--resume", "the other way", "-t", "And now?", "--output-format", "json")
        assert went_on.code == 0, went_on
        assert server.objections == []

        asked = json.dumps(server.requests[-1].body)
        for said in ("Take the discount off", "It works now.", "And now?", "I look first."):
            assert said in asked, said
        assert went_on.json["worktree"] != first["worktree"] and went_on.json["workspace"] in asked
        assert "sum(prices) - discount" in (Path(went_on.json["worktree"]) / "cart.py").read_text()
        assert log.read_bytes() == before
        seqs = [seq for seq, _ in events(user, fork)]
        assert seqs == list(range(1, len(seqs) + 1))

        reviewed = await user.goose("review", fork)
        assert "return sum(prices) - discount" in reviewed.out, "the work of both is under review"
        cost = json.loads((await user.goose("cost", fork, "--json")).out)
        assert sum(turn["usage"]["input_tokens"] for turn in cost) > 0
        assert {turn["turn"] for turn in cost} == {2}, "a fork pays for itself only"


async def test_a_fork_from_the_midst_of_a_turn_has_the_files_and_the_words_of_that_point(user):
    turns = [
        calls(PLAN, ("write", {"path": "one.txt", "content": "1\n"}), PLAN_DONE),
        {"text": "One is written."},
        {"text": "Nothing else is missing."},
        calls(PLAN, ("write", {"path": "two.txt", "content": "2\n"})),
        *[{"text": "Both are written."}] * 8,
    ]
    async with answered(user, turns) as server:
        first = (await user.goose("run", "-t", "Write one", "--output-format", "json")).json
        again = await user.goose("run", "--resume", first["session_id"], "-t", "Write two", "--output-format", "json")
        assert again.code == 0
        at = str(seq_of(user, first["session_id"], "ToolStarted", -1))
        fork = (await user.goose("session", "fork", first["session_id"], "--at", at)).out.strip()
        workspace = Path(json.loads((await user.goose("task", "show", fork, "--json")).out)["workspace"])
        assert (workspace / "one.txt").exists() and not (workspace / "two.txt").exists()
        went_on = await user.goose("run", "--resume", fork, "-t", "Go on", "--output-format", "json")
        assert went_on.code == 0, went_on
        assert server.objections == [], "what was open at that point is closed"


async def test_a_fork_at_a_place_that_is_not_there_is_refused_and_leaves_nothing(user):
    async with answered(user, [{"text": "Hello."}]):
        first = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
    tasks = sorted(path.name for path in (user.state / "tasks").iterdir())
    refused = await user.goose("session", "fork", first, "--at", "999")
    assert refused.code == 2 and "999" in refused.err and "Traceback" not in refused.err
    assert sorted(path.name for path in (user.state / "tasks").iterdir()) == tasks
    assert user.git("worktree", "list").count("\n") == 1


async def test_a_fork_whose_parent_is_gone_says_so_and_keeps_what_is_its_own(user):
    async with answered(user, [{"text": "Hello."}, {"text": "Still here."}]) as server:
        first = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
        fork = (await user.goose("session", "fork", first)).out.strip()
        (user.state / "tasks" / first / "log.jsonl").rename(user.root / "elsewhere.jsonl")
        went_on = await user.goose("run", "--resume", fork, "-t", "Are you there?", "--output-format", "json")
        assert went_on.code == 0, went_on
        assert any(first in warning for warning in went_on.json["warnings"])
        assert server.objections == []


@pytest.mark.parametrize("chain", ["itself", "../../elsewhere", ".."])
def test_a_log_that_names_itself_or_another_place_as_its_parent_is_read_without_it(tmp_path, chain):
    folder = tmp_path / "itself"
    folder.mkdir()
    header = {"format": "goose-py session", "version": 1, "session_id": "itself", "parent": chain, "parent_seq": 3}
    (folder / "log.jsonl").write_text(json.dumps(header, separators=(",", ":")) + "\n")
    contents = read_log(folder)
    assert contents.records == () and chain in contents.warnings()[0]


async def test_a_session_is_found_by_its_name_wherever_an_id_is_taken(user):
    async with answered(user, [{"text": "Hello."}, {"text": "Again."}, {"text": "Two."}]):
        first = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
        assert (await user.goose("session", "rename", first, "Greetings from Ada")).code == 0
        by_name = await user.goose("run", "--resume", "greetings from ada", "-t", "Hi again", "--output-format", "json")
        assert by_name.json["session_id"] == first
        for command in (["task", "show"], ["session", "export"], ["cost"]):
            shown = await user.goose(*command, "Greetings from Ada")
            assert shown.code == 0, shown
        second = (await user.goose("run", "-t", "Hi", "--output-format", "json")).json["session_id"]
        await user.goose("session", "rename", second, "Greetings from Ada")
        unclear = await user.goose("task", "show", "Greetings from Ada")
        assert unclear.code == 2 and first in unclear.err and second in unclear.err
