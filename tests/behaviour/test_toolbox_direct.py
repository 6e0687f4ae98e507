"""A bundled extension in the process of its host: its calls and what they started end when they should."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from developer_extension import command_env, until
from servers.toolboxes import Watched, alive, words

from goose_py import bundled
from goose_py.protocol.messages import ToolCall
from goose_py.toolbox import Builtin


def developer(folder: Path, *, state: Path | None = None, **fields: Any) -> Watched:
    host = {"env": command_env(), "state": state or folder / "state"}
    return Watched([Builtin(name="developer", **fields)], folder, bundled=bundled.extensions(), host=host)


def started(folder: Path, *names: str) -> bool:
    return all((folder / name).exists() and (folder / name).read_text() for name in names)


def gone(folder: Path, *names: str) -> bool:
    return not any(alive(int((folder / name).read_text())) for name in names)


HANGS = "setsid sleep 600 & echo $! > a; echo $$ > b; wait"


async def test_a_cancelled_call_ends_what_it_started_and_the_next_one_runs(tmp_path: Path) -> None:
    async with developer(tmp_path) as watched:
        await watched.settled()
        call = asyncio.create_task(watched.call("shell", command=HANGS))
        await until(lambda: started(tmp_path, "a", "b"))
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: gone(tmp_path, "a", "b"))
        assert await watched.text("shell", command="echo on") == "on\n[exit code 0]"
        assert {change.state for change in watched.changes} == {"ready"}


async def test_a_call_without_a_sign_of_life_is_told_to_stop_and_one_with_output_goes_on(tmp_path: Path) -> None:
    async with developer(tmp_path, timeout=2.0) as watched:
        await watched.settled()
        result = await watched.call("shell", command=HANGS)
        assert result.is_error and "gave no sign of life for 2 s and was told to stop" in words(result)
        await until(lambda: gone(tmp_path, "a", "b"))
        said: list[str] = []
        lively = await watched.call("shell", said.append, command="for i in 1 2 3 4 5 6; do echo $i; sleep 0.6; done")
        assert not lively.is_error and "".join(said) == "1\n2\n3\n4\n5\n6\n"


async def test_closing_ends_calls_and_jobs_and_says_so_to_whoever_waits(tmp_path: Path) -> None:
    async with developer(tmp_path) as watched:
        await watched.settled()
        job = await watched.text("shell", command="echo $$ > job; exec sleep 600", background=True)
        assert "started as job 1" in job
        call = asyncio.create_task(watched.call("shell", command=HANGS))
        await until(lambda: started(tmp_path, "job", "a", "b"))
    assert gone(tmp_path, "job", "a", "b")
    result = await call
    assert result.is_error and words(result).startswith("shell was interrupted: the connection was closed.")


async def test_a_restart_ends_its_jobs_and_it_is_there_again(tmp_path: Path) -> None:
    async with developer(tmp_path) as watched:
        await watched.settled()
        await watched.text("shell", command="echo $$ > job; exec sleep 600", background=True)
        await until(lambda: started(tmp_path, "job"))
        watched.toolbox.restart("developer")
        await watched.state("developer", "restarted")
        assert gone(tmp_path, "job")
        assert await watched.text("job", action="list") == "No jobs."


async def test_only_what_was_judged_as_reading_is_said_to_be(tmp_path: Path) -> None:
    """And only of such a call it is told that it wanted to write."""
    told: list[tuple[str, Any]] = []
    folder = tmp_path / "notes"
    folder.mkdir()
    (folder / "extension.toml").write_text('name = "notes"\nentry = "tools:bind"\nin_process = "tools:bind"\n')
    (folder / "tools.json").write_text('[{"name": "add", "inputSchema": {"type": "object", "properties": {}}}]')
    (folder / "tools.py").write_text(
        "from contextlib import asynccontextmanager\nfrom types import SimpleNamespace as Of\n\n\n"
        "def bind(workspace, spawn, *, state, env):\n"
        "    async def call(name, arguments, *, meta, progress):\n"
        "        spawn((name, dict(meta)))\n"
        "        text = Of(type='text', text='added')\n"
        "        return Of(content=(text,), is_error=False, meta={'developer/refused_write': True})\n\n"
        "    @asynccontextmanager\n"
        "    async def connect():\n"
        "        yield Of(call=call, listed=lambda: [{'name': 'add'}])\n\n"
        "    return connect\n"
    )
    async with Watched([Builtin(name="notes")], tmp_path, bundled={"notes": folder}, host={"spawn": told.append}) as watched:
        await watched.settled()
        refused = [
            (await watched.toolbox.call(ToolCall(id="1", name="add", reads_only=reads), print)).refused_write
            for reads in (True, False)
        ]
    assert told == [("add", {"developer/reads_only": True}), ("add", {})]
    assert refused == [True, False]
