"""Many tools cost little until they are used, and ours are there before anything is loaded."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest
from servers.toolboxes import BAD, PATIENCE, Watched, alive, bad, words

from goose_py import bundled
from goose_py.protocol.messages import ToolCall
from goose_py.toolbox import Builtin, Places, ProcessRecord, Resolved, reap
from goose_py.toolbox.deferred import tokens


@pytest.mark.case("U34")
async def test_a_hundred_tools_cost_less_than_2000_tokens_and_all_of_them_can_be_used(tmp_path: Path) -> None:
    async with Watched([bad("many", 100, description="Issues and pull requests.")], tmp_path) as watched:
        names = await watched.settled()
        assert names == ["tool_search", "use_tool"]
        assert sum(map(tokens, watched.toolbox.specs())) < 2000
        assert "- many: Issues and pull requests." in watched.toolbox.specs()[0].description
        every = {spec.name for spec in watched.toolbox.extensions()[0].tools}
        assert len(every) == 100

        found = await watched.text("tool_search", query="create pull request")
        assert found.startswith("## many__create_pull_request\nCreate a pull request of a repository.")
        schema = json.loads(found.splitlines()[2].removeprefix("arguments: "))
        assert "repository" in schema["properties"]
        used = await watched.text("use_tool", name="many__create_pull_request", arguments={"title": "Mend it"})
        assert used == 'create_pull_request {"title": "Mend it"}'
        for name in every:
            assert (await watched.text("use_tool", name=name)) == f"{name.removeprefix('many__')} {{}}"
        assert [spec.name for spec in watched.toolbox.specs()] == names


@pytest.mark.case("U34")
async def test_ten_servers_of_ten_tools_cost_less_than_2000_tokens(tmp_path: Path) -> None:
    extensions = [bad("many", 10, name=f"server{number}", description="Things of a kind. " * 30) for number in range(10)]
    async with Watched(extensions, tmp_path) as watched:
        await watched.settled()
        assert sum(map(tokens, watched.toolbox.specs())) < 2000
        shown = watched.toolbox.specs()
        assert {"tool_search", "use_tool"} <= {spec.name for spec in shown}
        assert await watched.text("use_tool", name="server7__get_issue", arguments={}) == "get_issue {}"


@pytest.mark.case("U34")
async def test_a_server_that_crashed_is_reached_again_and_no_call_is_repeated(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    async with Watched([bad("crashes", ran), bad("many", 100)], tmp_path, schema_budget=200) as watched:
        assert await watched.settled() == ["tool_search", "use_tool"]
        crashed = await watched.call("use_tool", name="crashes__crash", arguments={})
        assert crashed.is_error
        assert "it was not sent again" in words(crashed)
        assert await watched.text("use_tool", name="many__get_issue", arguments={}) == "get_issue {}"
        await watched.state("crashes", "restarted")
        assert await watched.text("use_tool", name="crashes__echo", arguments={"text": "back"}) == "back"
        os.kill(int(await watched.text("use_tool", name="crashes__pid", arguments={})), signal.SIGKILL)
        await watched.told(lambda change: [c.state for c in watched.changes].count("restarted") == 2)
    assert ran.read_text() == "ran\n"


async def test_what_a_permission_is_asked_for_is_the_tool_itself(tmp_path: Path) -> None:
    async with Watched([bad("many", 100)], tmp_path) as watched:
        await watched.settled()
        call = ToolCall(id="7", name="use_tool", arguments={"name": "many__get_issue", "arguments": '{"Owner": "me"}'})
        resolved = watched.toolbox.resolve(call)
        assert isinstance(resolved, Resolved)
        assert resolved.call == ToolCall(id="7", name="many__get_issue", arguments={"owner": "me"})
        assert (resolved.spec.name, resolved.spec.extension, resolved.spec.trusted) == ("many__get_issue", "many", False)
        direct = watched.toolbox.resolve(ToolCall(id="8", name="many__get_issue"))
        assert isinstance(direct, Resolved)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        ({}, "use_tool: The arguments do not fit: 'name' is missing."),
        ({"name": "get_isue"}, "There is no tool 'get_isue'. Did you mean "),
        ({"name": "use_tool"}, "There is no tool 'use_tool'."),
        ({"name": "many__get_issue", "arguments": {"title": []}}, "many__get_issue: The arguments do not fit: title is []"),
        ({"name": "many__get_issue", "arguments": '{"title": '}, "use_tool: The arguments do not fit: arguments is "),
    ],
)
async def test_a_wrong_use_is_answered_with_what_is_wrong(tmp_path: Path, arguments: dict[str, object], answer: str) -> None:
    async with Watched([bad("many", 100)], tmp_path) as watched:
        await watched.settled()
        result = await watched.call("use_tool", **arguments)
        assert result.is_error
        assert words(result).startswith(answer)


async def test_arguments_that_were_mended_are_said_to_have_been(tmp_path: Path) -> None:
    async with Watched([bad()], tmp_path) as watched:
        await watched.settled()
        assert await watched.text("good__echo", content="x", TEXT=5) == (
            '5\n(Arguments were mended: TEXT taken as text; text: 5 taken as "5".)'
        )


async def test_a_call_that_was_no_json_is_not_run(tmp_path: Path) -> None:
    async with Watched([bad()], tmp_path) as watched:
        await watched.settled()
        result = await watched.toolbox.call(ToolCall(id="1", name="good__echo", malformed='{"text": '), print)
    assert words(result) == "The arguments of good__echo are not one JSON object: send them again as valid JSON."


# Ours


async def test_bundled_tools_are_there_at_once_and_run(tmp_path: Path) -> None:
    async with Watched([Builtin(name="developer")], tmp_path, bundled=bundled.extensions()) as watched:
        names = await watched.settled(0)
        assert {"shell", "read", "write", "edit"} <= set(names)
        said: list[str] = []
        result = await watched.call("shell", said.append, command="echo one; echo two")
        assert "one\ntwo" in words(result)
        assert "".join(said) == "one\ntwo\n"
        assert next(spec for spec in watched.toolbox.specs() if spec.name == "read").read_only
        status = watched.toolbox.extensions()[0]
        assert (status.kind, status.phase, status.warnings) == ("builtin", "ready", ())


def test_bundled_tools_are_known_without_loading_the_sdk(tmp_path: Path) -> None:
    program = f"""
import asyncio, sys
from pathlib import Path
from goose_py import bundled
from goose_py.toolbox import Builtin, ExtensionHost, Toolbox
async def main():
    host = ExtensionHost(workspace=Path({str(tmp_path)!r}))
    toolbox = Toolbox([Builtin(name="developer")], host=host, bundled=bundled.extensions())
    names = [spec.name for spec in toolbox.specs()]
    toolbox.start()
    names = [spec.name for spec in toolbox.specs()]
    loaded = [name for name in ("mcp", "pydantic", "anyio", "httpx2", "jsonschema", "PIL") if name in sys.modules]
    await toolbox.close()
    print("shell" in names, loaded)
asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE * 2)
    assert (ran.stdout, ran.stderr) == ("True []\n", "")


async def test_a_bundled_extension_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    async with Watched([Builtin(name="Sumon")], tmp_path, bundled={"developer": tmp_path}) as watched:
        assert await watched.settled() == []
        detail = watched.changes[0].detail
    assert detail == "there is no bundled extension 'Sumon'; the bundled ones are: developer"


async def test_a_bundled_server_that_lists_other_tools_than_its_file_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "extension.toml").write_text('name = "notes"\nentry = "server:create_server"\n')
    (folder / "tools.json").write_text('[{"name": "add", "inputSchema": {"type": "object", "properties": {}}}]')
    (folder / "server.py").write_text(
        "from mcp.server import MCPServer\n\n\n"
        "def create_server(workspace, spawn=None, *, state=None, env=None):\n"
        "    server = MCPServer('notes')\n\n"
        "    @server.tool()\n"
        "    async def where() -> str:\n"
        "        return f'{workspace} {spawn} {state} {env}'\n\n"
        "    return server\n"
    )
    host = {"spawn": "spawn", "state": tmp_path / "state", "env": {"A": "1"}}
    async with Watched([Builtin(name="notes")], tmp_path, bundled={"notes": folder}, host=host) as watched:
        assert await watched.settled(0) == ["add"]
        ready = await watched.state("notes", "ready")
    assert ready.warnings == ("notes: tools.json is not what the server lists: add removed, where added",)


async def test_a_bundled_server_that_cannot_be_loaded_is_a_failed_extension(tmp_path: Path) -> None:
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "extension.toml").write_text('name = "notes"\nentry = "server:create_server"\n')
    (folder / "tools.json").write_text("[]")
    (folder / "server.py").write_text("import no_such_module\n")
    async with Watched([Builtin(name="notes"), bad()], tmp_path, bundled={"notes": folder}) as watched:
        failed = await watched.state("notes", "failed")
        assert failed.detail == "ModuleNotFoundError: No module named 'no_such_module'"
        assert "good__echo" in await watched.settled()


# What a server is given


def test_a_server_sees_the_environment_that_it_is_given_and_its_own_secrets_alone(tmp_path: Path) -> None:
    """The environment of this process has secrets, as a user's has; the one that is handed in is the scrubbed one."""
    program = f"""
import asyncio, json, os, sys
from pathlib import Path
sys.path.insert(0, {str(BAD.parent.parent)!r})
from servers.toolboxes import Watched, bad
async def main():
    secrets = {{"TOKEN": os.environ["MY_PASSWORD"]}}
    own = {{"LD_PRELOAD": "/evil.so", "PATH": "/evil", "OWN": "1"}}
    extensions = [bad(name="one", env_keys=("TOKEN",)), bad(name="two", env=own)]
    host = {{"secret": secrets.get, "environment": {{"PATH": os.environ["PATH"], "LANG": "C"}}}}
    async with Watched(extensions, Path({str(tmp_path)!r}), host=host) as watched:
        await watched.settled()
        seen = [json.loads(await watched.text(f"{{name}}__env")) for name in ("one", "two")]
        for environment in seen:
            environment.pop("LC_CTYPE", None)  # set by Python itself
        print(json.dumps([seen, [c.warnings for c in watched.changes]]))
asyncio.run(main())
"""
    poisoned = {
        "PATH": os.environ["PATH"],
        "ANTHROPIC_API_KEY": "sk-ant-1",
        "GITHUB_TOKEN": "gho_1",
        "MY_PASSWORD": "hunter2",
        "FOO": "ghp_1",
    }
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=PATIENCE * 2, env=poisoned)
    assert ran.stderr == ""
    (one, two), warnings = json.loads(ran.stdout)
    assert one == {"PATH": poisoned["PATH"], "LANG": "C", "TOKEN": "hunter2"}
    assert two == {"PATH": poisoned["PATH"], "LANG": "C", "OWN": "1"}
    assert [warning for told in warnings for warning in told] == [
        "two: the setting env may not set LD_PRELOAD; it is left out",
        "two: the setting env may not set PATH; it is left out",
    ]


async def test_a_server_is_launched_as_the_caller_wraps_it(tmp_path: Path) -> None:
    seen: list[tuple[list[str], str]] = []

    def launch(argv, env, cwd):  # type: ignore[no-untyped-def]
        seen.append((list(argv), cwd))
        return ["env", "WRAPPED=1", *argv], env

    (tmp_path / "sub").mkdir()
    places = Places(logs=tmp_path / "logs")
    async with Watched([bad(cwd="sub")], tmp_path, host={"launch": launch}, places=places) as watched:
        await watched.settled()
        environment = json.loads(await watched.text("good__env"))
    assert environment["WRAPPED"] == "1"
    assert seen == [([sys.executable, "-S", "-E", str(BAD), "good", ""], str(tmp_path / "sub"))]


def test_what_was_killed_with_its_program_is_reaped_at_the_next_start(tmp_path: Path) -> None:
    """A program is killed with a server that ignores everything; the record that it wrote is enough to end that server."""
    program = f"""
import asyncio, os, signal, sys
from pathlib import Path
import msgspec
sys.path.insert(0, {str(BAD.parent.parent)!r})
from servers.toolboxes import Watched, bad
async def main():
    def on_process(record, alive):
        Path({str(tmp_path / "record")!r}).write_bytes(msgspec.json.encode(record))
    async with Watched([bad("stubborn")], Path({str(tmp_path)!r}), host={{"on_process": on_process}}) as watched:
        await watched.settled()
        print(await watched.text("stubborn__pid"), flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
asyncio.run(main())
"""
    ran = subprocess.run([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True, timeout=PATIENCE * 2)
    pids = [int(pid) for pid in ran.stdout.split()]
    assert len(pids) == 2
    assert all(map(alive, pids)), "the server and its child outlived their program"
    record = msgspec.json.decode((tmp_path / "record").read_bytes(), type=ProcessRecord)
    assert reap([record]) == (record,)
    deadline = time.monotonic() + PATIENCE
    while any(map(alive, pids)):
        assert time.monotonic() < deadline
    assert reap([record]) == ()
