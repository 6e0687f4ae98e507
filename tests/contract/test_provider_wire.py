"""The loopback server itself: one script through every door, and as a process of its own."""

import asyncio
import json
import os
import subprocess
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from wire import PROTOCOLS, WireServer
from wire.client import KEY, PRESETS, answering, ask, asking, connect

from goose_py.protocol.errors import RequestRejected
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, ToolCall, ToolMessage, ToolResult, UserMessage
from goose_py.providers import OpenModel, ProviderSettings, open_model
from goose_py.providers.scripted import Script, ScriptedCall, Turn, load_script

ROOT = Path(__file__).parents[2]
JOB = """
turns:
  - text: I look.
    calls: [{name: shell, arguments: {command: "cd ${workspace} && pytest"}, id: one}]
  - when: {last_contains: FAILED}
    capture: {test: 'FAILED (\\S+)'}
    text: "${test} fails."
    calls: [{name: read, arguments: {path: "${test}"}, id: two}]
    expect: {results: 1, tools_include: [read, shell]}
  - text: Done.
    expect: {none_contains: never, any_contains: I look., replies: 2}
"""


async def played(model: OpenModel) -> list[tuple]:
    request, seen = asking("Fix the test."), []
    for output in ("x\nFAILED tests/a.py::t", "def t(): ...", ""):
        _, reply = await ask(model, request)
        calls = [(call.id, call.name, call.arguments) for call in reply.message.tool_calls()]
        seen.append((reply.message.text(), calls if model.profile.protocol != "ollama" else [call[1:] for call in calls]))
        request = answering(request, reply, output=output)
    return seen


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_the_same_file_plays_the_same_job_as_a_provider_and_over_each_protocol(protocol: str, tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(JOB)
    values = {"workspace": "/w"}
    settings = ProviderSettings(script=str(path), values=values)
    scripted = await played(open_model(ModelRef(provider="scripted", model="job"), settings, now=lambda: 0.0))
    async with WireServer(load_script(path), values=values) as server:
        model = connect(server, protocol)
        over_the_wire = await played(model)
        await model.close()
        assert server.objections == []
    if protocol == "ollama":
        scripted = [(text, [call[1:] for call in calls]) for text, calls in scripted]
    assert over_the_wire == scripted and len(scripted) == 3 and scripted[2][0] == "Done."


ORIGIN = ModelRef(provider="p", model="m")
CALLED = AssistantMessage(parts=(ToolCall(id="a", name="shell"),), origin=ORIGIN)
ASKED = UserMessage((Text("go"),))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "history",
    [(ASKED, CALLED), (ASKED, ToolMessage((ToolResult(call_id="a"),)))],
    ids=["a call without a result", "a result without a call"],
)
async def test_a_history_that_a_real_provider_would_refuse_is_refused(protocol: str, history: tuple) -> None:
    async with WireServer([Turn(text="never")]) as server:
        model = connect(server, protocol)
        with pytest.raises(RequestRejected):
            await ask(model, asking(history=history))
        await model.close()
        assert len(server.objections) == 1


async def test_an_expectation_that_fails_reaches_the_client_as_a_refusal() -> None:
    async with WireServer(Script(turns=[])) as server:
        model = connect(server, "anthropic")
        with pytest.raises(RequestRejected, match="has no turn for request 1"):
            await ask(model, asking())
        await model.close()


@pytest.mark.parametrize("protocol", PROTOCOLS)
async def test_it_runs_as_a_process_and_writes_down_what_it_received(protocol: str, tmp_path: Path) -> None:
    script, record = tmp_path / "script.yaml", tmp_path / "record.json"
    script.write_text("turns: [{text: 'hello from ${place}'}]")
    command = [sys.executable, "-m", "wire", "--script", str(script), "--key", KEY, "--record", str(record)]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))}
    process = await asyncio.create_subprocess_exec(
        *command, "--value", "place=afar", stdin=PIPE, stdout=PIPE, cwd=tmp_path, env=env
    )
    assert process.stdin and process.stdout
    async with asyncio.timeout(30):
        addresses = json.loads(await process.stdout.readline())
        provider, name = PRESETS[protocol]
        settings = ProviderSettings(base_url=addresses[protocol], api_key=KEY)
        model = open_model(ModelRef(provider=provider, model=name), settings, now=lambda: 0.0)
        _, reply = await ask(model, asking())
        await model.close()
        process.stdin.close()
        assert await process.wait() == 0
    assert reply.message.text() == "hello from afar"
    written = json.loads(record.read_bytes())
    assert len(written["requests"]) == 1 and written["objections"] == []


def test_a_script_that_cannot_be_used_ends_the_process_with_one_line(tmp_path: Path) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join((str(ROOT / "tests"), str(ROOT)))}
    command = [sys.executable, "-m", "wire", "--script", str(tmp_path / "none.yaml")]
    done = subprocess.run(command, capture_output=True, text=True, env=env, timeout=30, check=False)
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1 and "none.yaml" in done.stderr


async def test_a_call_keeps_the_id_that_the_script_gives_it() -> None:
    for protocol in ("anthropic", "responses", "chat"):
        async with WireServer([Turn(calls=[ScriptedCall(name="shell", id="mine")])]) as server:
            model = connect(server, protocol)
            _, reply = await ask(model, asking())
            await model.close()
        assert [call.id for call in reply.message.tool_calls()] == ["mine"]
