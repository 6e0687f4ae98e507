"""A window that is full, met by the real command: the conversation is made shorter, what must stay stays, all can be undone."""

import asyncio
import json

import pytest
from command import answered, calls

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.session.log import read_log
from goose_py.tasks.client import TaskClient
from goose_py.tasks.store import TaskFolder

RULE = "Never touch the file secrets.txt."
SUMMARY = {"text": "The file was read line by line.", "when": {"tools_exclude": ["read"]}, "repeat": 0}
BROKEN = {"error": {"status": 400, "message": "no such model"}, "when": {"tools_exclude": ["read"]}, "repeat": 0}


@pytest.fixture
def user(user):
    (user.repository / "long.txt").write_text("".join(f"line {number} of a long file\n" for number in range(6000)))
    (user.repository / "AGENTS.md").write_text("Answer in English, as the house wants it.\n")
    user.commit("A long file and a rule")
    return user


def window(tokens):
    return f'[models."anthropic/scripted-model"]\ncontext_window = {tokens}\nmax_output_tokens = 1000\n'


def reading(count, first=0):
    return [
        {**calls(("read", {"path": "long.txt", "offset": 1 + 150 * number, "limit": 150})), "text": f"Thought {number}. " * 60}
        for number in range(first, first + count)
    ]


def events(user, task_id):
    return [record.event for record in read_log(user.state / "tasks" / task_id).records]


def compactions(user, task_id):
    return [event.method for event in events(user, task_id) if isinstance(event, ev.ContextCompacted)]


def said_to_model(request):
    return json.dumps(request.body)


@pytest.mark.case("U14")
@pytest.mark.parametrize("summariser", [SUMMARY, BROKEN], ids=["with a model", "without one"])
async def test_a_full_window_is_made_smaller_with_and_without_a_model_and_what_must_stay_stays(user, summariser):
    turns = [summariser, *reading(12), {"text": "I have read enough."}]
    async with answered(user, turns, config=window(14_000)) as server:
        ended = await user.goose("run", "-t", f"Read the long file. {RULE}", "--output-format", "json")
        assert ended.code == 0 and ended.json["result"] == "I have read enough.", ended
        assert server.objections == []
        last = [request for request in server.requests if request.body.get("tools")][-1]
        said = said_to_model(last)
        assert RULE in said and "as the house wants it" in said and "long.txt" in said
        last_resort = "summary" if summariser is SUMMARY else "window"
        assert compactions(user, ended.json["session_id"]) == ["clear_results", last_resort]


@pytest.mark.case("U14")
async def test_the_size_is_looked_at_before_the_first_request_of_a_resume_and_a_compaction_can_be_undone(user):
    turns = [SUMMARY, *reading(6), {"text": "Read."}, *[{"text": "Yes."}] * 4]
    async with answered(user, turns) as server:
        user.configure((user.root / "home/config/config.toml").read_text() + window(100_000))
        first = await user.goose("run", "-t", f"Read. {RULE}", "--output-format", "json")
        task_id = first.json["session_id"]
        assert first.code == 0 and compactions(user, task_id) == []
        large = len(server.requests[-1].raw)
        user.configure((user.root / "home/config/config.toml").read_text().replace("100000", "9000"))
        resumed = await user.goose("run", "--resume", task_id, "-t", "Do you remember?", "--output-format", "json")
        assert resumed.code == 0 and compactions(user, task_id), resumed
        with_tools = [request for request in server.requests if request.body.get("tools")]
        assert len(with_tools[-1].raw) < large and RULE in said_to_model(with_tools[-1])

        user.configure((user.root / "home/config/config.toml").read_text().replace("9000", "100000"))
        for _ in compactions(user, task_id):
            await _send(user, task_id, cmd.Compact(undo=True))
        again = await user.goose("run", "--resume", task_id, "-t", "And now?", "--output-format", "json")
        assert again.code == 0 and len(server.requests[-1].raw) > large, "the whole conversation is there again"
        assert server.objections == []


async def _send(user, task_id, command):
    """As the screen does it: through the task's worker, which `task check` has started."""
    await user.goose("task", "check", task_id)
    socket = next(path for path in user.root.rglob(f"{task_id}.sock"))
    client = await TaskClient.connect(socket, after=1 << 62)

    async def drain():
        async for _ in client.frames():
            pass

    reading_frames = asyncio.ensure_future(drain())
    try:
        await client.send(command)
        await client.send(cmd.Shutdown())
    finally:
        await client.close()
        await reading_frames
    async with asyncio.timeout(30):
        while TaskFolder(user.state / "tasks" / task_id, socket.parent).owned():
            await asyncio.sleep(0.02)
