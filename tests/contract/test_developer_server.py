"""What hosts rely on: the manifest, the static tool list, the loader, stdio, and that the extension stands alone."""

import ast
import asyncio
import json
import logging
import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import psutil
import pytest
from developer_extension import FOLDER, connected, module, until
from mcp import Client, StdioServerParameters, stdio_client

ALLOWED = {"anyio", "rapidfuzz", "PIL", "psutil"}


def test_the_manifest_names_what_the_host_needs() -> None:
    manifest = tomllib.loads((FOLDER / "extension.toml").read_text("utf-8"))
    assert manifest["name"] == "developer" and manifest["entry"] == "server:create_server"
    assert manifest["in_process"] == "tools:bind"
    assert manifest["description"] and manifest["version"] and manifest["instructions"]


async def test_the_static_tool_list_is_what_the_server_answers(tmp_path: Path) -> None:
    static = json.loads((FOLDER / "tools.json").read_text("utf-8"))
    async with connected(tmp_path) as tools:
        answered = (await tools.client.list_tools()).tools
    hint = "run `python -m developer --write-manifest` in the extensions folder"
    assert [tool.model_dump(mode="json", by_alias=True, exclude_none=True) for tool in answered] == static, hint
    assert module("server").tool_list() == static


def test_the_static_tool_list_is_written_by_the_documented_command(tmp_path: Path) -> None:
    copied = tmp_path / "developer"
    shutil.copytree(FOLDER, copied)
    (copied / "tools.json").unlink()
    subprocess.run([sys.executable, "-m", "developer", "--write-manifest"], cwd=tmp_path, check=True)
    assert (copied / "tools.json").read_bytes() == (FOLDER / "tools.json").read_bytes()


async def test_the_tools_cost_a_model_few_tokens_and_their_schemas_are_flat(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        answered = (await tools.client.list_tools()).tools
    seen = json.dumps(
        [{"name": t.name, "description": t.description, "input_schema": t.input_schema} for t in answered]
    )
    assert len(seen) / 4 < 1400
    for tool in answered:
        schema = tool.input_schema
        assert list(schema["properties"])[: len(schema["required"])] == schema["required"]
        assert schema["additionalProperties"] is False
        for value in schema["properties"].values():
            assert value["type"] in ("string", "integer", "number", "boolean")
            assert not value.keys() & {"anyOf", "$ref", "title", "properties"}


async def test_annotations_say_what_each_tool_may_do(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        hints = {tool.name: tool.annotations for tool in (await tools.client.list_tools()).tools}
    reading = {"read", "list", "grep", "glob"}
    assert {name for name, hint in hints.items() if hint.read_only_hint} == reading
    assert {name for name, hint in hints.items() if hint.destructive_hint} == set(hints) - reading
    assert {name for name, hint in hints.items() if hint.idempotent_hint} == {*reading, "write", "job"}
    assert {name for name, hint in hints.items() if hint.open_world_hint} == {"shell"}


@pytest.mark.parametrize(
    ("tool", "arguments", "sentence"),
    [
        ("read", {}, "read: the argument 'path' is missing."),
        ("read", {"path": ["a"]}, "read: 'path': input should be a valid string."),
        ("read", {"path": "a", "offset": "x"}, "read: 'offset': input should be a valid integer"),
        ("read", {"path": "a", "lines": 3}, "read has no argument 'lines'; its arguments are path, offset, limit."),
        ("edit", {"path": "a"}, "edit: the argument 'old_string' is missing; the argument 'new_string' is missing."),
        ("shell", {"command": "x", "timeout": -1}, "timeout is in seconds, more than 0"),
        ("write", {"path": "", "content": "x"}, "The path is empty."),
        ("write", {"path": "a\0b", "content": "x"}, "The path a␀b contains a NUL character."),
    ],
)
async def test_a_wrong_call_is_answered_with_one_clear_sentence(
    tmp_path: Path, tool: str, arguments: dict, sentence: str
) -> None:
    async with connected(tmp_path) as tools:
        refused = await tools.refusal(tool, **arguments)
    assert refused.startswith(sentence) and "\n" not in refused


@pytest.fixture
def parameters(tmp_path: Path) -> StdioServerParameters:
    work = tmp_path / "work"
    work.mkdir()
    return StdioServerParameters(
        command=sys.executable,
        args=["-m", "developer", str(work), "--state", str(tmp_path / "state")],
        cwd=FOLDER.parent,
        env={"PATH": os.environ["PATH"]},
    )


@pytest.mark.case("R25")
@pytest.mark.case("U04")
async def test_it_serves_any_client_over_stdio(tmp_path: Path, parameters: StdioServerParameters) -> None:
    (tmp_path / "work" / "f").write_bytes(b"a\r\nx = 1\r\n")
    heard: list[str] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        heard.append(message or "")

    with (tmp_path / "stderr").open("w") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            assert [tool.name for tool in (await client.list_tools()).tools][:2] == ["shell", "job"]
            result = await client.call_tool("edit", {"path": "f", "old_string": "x = 1", "new_string": "x = 2"})
            assert not result.is_error
            result = await client.call_tool(
                "shell", {"command": "cat f; sleep 1000", "timeout": 0.5}, progress_callback=on_progress
            )
            assert result.is_error and result.content[0].text.startswith("a\nx = 2\n[timed out after 0.5 s")
            assert "".join(heard) == "a\r\nx = 2\r\n"
            result = await client.call_tool("read", {"path": "nowhere"})
            assert result.is_error and result.content[0].text == "There is no file nowhere."
    assert (tmp_path / "work" / "f").read_bytes() == b"a\r\nx = 2\r\n"


@pytest.mark.case("R30")
async def test_over_stdio_cancelling_a_call_and_leaving_end_every_process(
    tmp_path: Path, parameters: StdioServerParameters
) -> None:
    def pids(*names: str) -> list[int]:
        return [int((tmp_path / "work" / name).read_text()) for name in names]

    def written(*names: str) -> bool:
        return all((tmp_path / "work" / name).exists() and (tmp_path / "work" / name).read_text() for name in names)

    def gone(numbers: list[int]) -> bool:
        return not any(psutil.pid_exists(n) and psutil.Process(n).status() != psutil.STATUS_ZOMBIE for n in numbers)

    with (tmp_path / "stderr").open("w") as errors:
        async with Client(stdio_client(parameters, errlog=errors)) as client:
            call = asyncio.create_task(
                client.call_tool("shell", {"command": "setsid sleep 600 & echo $! > a; echo $$ > b; wait"})
            )
            await until(lambda: written("a", "b"))
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call
            await until(lambda: gone(pids("a", "b")), 3)
            await client.call_tool("shell", {"command": "setsid sleep 600 & echo $! > c"})
            await client.call_tool("shell", {"command": "echo $$ > d; exec sleep 600", "background": True})
            await until(lambda: written("c", "d"))
    await until(lambda: gone(pids("c", "d")), 5)


@pytest.mark.case("R33")
async def test_when_no_more_can_be_written_files_stay_whole_and_output_is_still_shown(
    tmp_path: Path, parameters: StdioServerParameters
) -> None:
    work = tmp_path / "work"
    (work / "f").write_text("as it was\n" * 10)
    # -B: byte code that a full disk cuts short would stay behind for everybody.
    limited = ["-c", 'ulimit -f 16; exec "$@"', "sh", sys.executable, "-B", *parameters.args]
    with (tmp_path / "stderr").open("w") as errors:
        full = parameters.model_copy(update={"command": "/bin/sh", "args": limited})
        async with Client(stdio_client(full, errlog=errors)) as client:
            big = "x" * 100_000
            for tool, arguments in (
                ("write", {"path": "f", "content": big}),
                ("write", {"path": "new/file", "content": big}),
                ("edit", {"path": "f", "old_string": "as it was\n" * 10, "new_string": big}),
                (
                    "apply_patch",
                    {"patch": f"*** Begin Patch\n*** Add File: a\n+x\n*** Add File: b\n+{big}\n*** End Patch"},
                ),
            ):
                result = await client.call_tool(tool, arguments)
                assert result.is_error and "larger than the system allows" in result.content[0].text
            result = await client.call_tool("shell", {"command": "seq 20000"})
            assert "log up to where writing it failed" in result.content[0].text
            assert result.content[0].text.endswith("\n20000\n[exit code 0]")
    assert [path.name for path in work.iterdir()] == ["f"]
    assert (work / "f").read_text() == "as it was\n" * 10


def test_a_workspace_that_is_not_there_is_one_sentence_and_exit_code_2() -> None:
    command = [sys.executable, "-m", "developer", "/no/such/folder"]
    done = subprocess.run(command, cwd=FOLDER.parent, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "The workspace /no/such/folder is not a folder.\n"


async def test_several_clients_at_once_have_jobs_of_their_own(tmp_path: Path) -> None:
    server = module("server").create_server(tmp_path, env={"PATH": os.environ["PATH"]})
    async with Client(server) as one, Client(server) as other:
        await one.call_tool("shell", {"command": "sleep 600", "background": True})
        assert "sleep 600" in (await one.call_tool("job", {"action": "list"})).content[0].text
        assert (await other.call_tool("job", {"action": "list"})).content[0].text == "No jobs."


def test_making_a_server_leaves_the_root_logger_as_it_was(tmp_path: Path) -> None:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    for handler in handlers:
        root.removeHandler(handler)
    try:
        module("server").create_server(tmp_path)
        assert root.handlers == [] and root.level == level
    finally:
        for handler in handlers:
            root.addHandler(handler)


def imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add((node.module or "").partition(".")[0])
    return found


FILES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(FOLDER)))
def test_the_extension_stands_alone_and_its_server_alone_knows_mcp(file: Path) -> None:
    also = {"mcp"} if file == FOLDER / "server.py" else set()
    assert imports(file) <= ALLOWED | also | set(sys.stdlib_module_names)


def test_only_its_own_bootstrap_reads_the_environment_or_the_current_folder() -> None:
    words = ("os.environ", "os.getcwd", "Path.cwd", "os.getenv", "expanduser", "Path.home")
    ambient = {file.name for file in FILES if any(word in file.read_text("utf-8") for word in words)}
    assert ambient == {"__main__.py"}


def test_importing_the_package_imports_nothing_of_weight() -> None:
    code = (
        "import importlib.util as u, sys; s = u.spec_from_file_location('x', sys.argv[1] + '/__init__.py', "
        "submodule_search_locations=[sys.argv[1]]); m = u.module_from_spec(s); sys.modules['x'] = m; "
        "s.loader.exec_module(m); "
        "print([n for n in ('mcp', 'pydantic', 'PIL', 'rapidfuzz', 'psutil') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(FOLDER)], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_serving_does_not_load_what_only_some_calls_need() -> None:
    late = "('PIL', 'rapidfuzz', 'psutil')"
    code = f"import sys; from developer import server; print([n for n in {late} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


async def test_nothing_is_printed_by_a_server_in_the_process_of_its_host(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    async with connected(tmp_path) as tools:
        await tools.refusal("read", path="../x")
        await tools("shell", command="echo visible only in the result >&2")
    assert capfd.readouterr() == ("", "")
