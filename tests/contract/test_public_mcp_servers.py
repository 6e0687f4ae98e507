"""The servers that a user would try first, as they are published, each connected and used once.

The npm ones are part of the test material (tests/material/prepare); the PyPI ones belong to the test dependencies. Nothing is
fetched here.
"""

import importlib.util
import subprocess
import sys
from pathlib import Path

import material
import pytest
from servers.toolboxes import ENVIRONMENT, Watched, words

from goose_py.protocol.messages import Image
from goose_py.toolbox import Answer, Question, Stdio


def npm_server(name: str, *args: str) -> Stdio:
    return Stdio(name=name, cmd="node", args=(str(material.npm_server(name)), *args))


def pypi_server(name: str, *args: str) -> Stdio:
    module = f"mcp_server_{name}"
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} is not installed: it is one of the test dependencies")
    return Stdio(name=name, cmd=sys.executable, args=("-m", module, *args))


async def test_the_everything_server(tmp_path: Path) -> None:
    asked: list[Question] = []

    async def answer(question: Question) -> Answer:
        asked.append(question)
        return Answer(action="accept", content={"name": "Ada"})

    async with Watched([npm_server("everything")], tmp_path, ask=answer, schema_budget=20_000) as watched:
        names = await watched.settled()
        assert len(names) >= 14
        assert await watched.text("everything__echo", message="hé") == "Echo: hé"
        assert "42" in await watched.text("everything__get-sum", a="40", b=2)
        assert any(isinstance(part, Image) for part in (await watched.call("everything__get-tiny-image")).content)
        assert "temperature" in await watched.text("everything__get-structured-content", location="Chicago")
        assert "PATH" in await watched.text("everything__get-env")
        said: list[str] = []
        result = await watched.call("everything__trigger-long-running-operation", said.append, duration=0.2, steps=2)
        assert not result.is_error
        assert "Ada" in await watched.text("everything__trigger-elicitation-request")
        assert asked
        assert asked[0].schema is not None


async def test_the_filesystem_server(tmp_path: Path) -> None:
    workspace = tmp_path / "work"
    workspace.mkdir()
    (tmp_path / "secret").write_text("s")
    async with Watched([npm_server("filesystem", str(workspace))], workspace, schema_budget=20_000) as watched:
        assert "filesystem__read_text_file" in await watched.settled()
        path = str(workspace / "a.txt")
        await watched.text("filesystem__write_file", file_path=path, content="one\ntwo\n")
        assert (workspace / "a.txt").read_text() == "one\ntwo\n"
        assert "one\ntwo" in await watched.text("filesystem__read_text_file", path=path)
        assert "a.txt" in await watched.text("filesystem__list_directory", path=str(workspace))
        refused = await watched.call("filesystem__read_text_file", path=str(tmp_path / "secret"))
        assert refused.is_error
        assert "Access denied" in words(refused)


async def test_the_git_server(tmp_path: Path) -> None:
    def git(*args: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "init.defaultBranch=main"]
        subprocess.run(["git", *identity, *args], cwd=tmp_path, check=True, capture_output=True, env=ENVIRONMENT)

    git("init")
    (tmp_path / "a.txt").write_text("one\n")
    git("add", "a.txt")
    git("commit", "-m", "the first one")
    (tmp_path / "a.txt").write_text("two\n")
    async with Watched([pypi_server("git", "--repository", str(tmp_path))], tmp_path, schema_budget=20_000) as watched:
        assert "git__git_status" in await watched.settled()
        assert "modified:   a.txt" in await watched.text("git__git_status", repo_path=str(tmp_path))
        assert "+two" in await watched.text("git__git_diff_unstaged", repo_path=str(tmp_path))
        assert "the first one" in await watched.text("git__git_log", repo_path=str(tmp_path), max_count="1")


async def test_the_time_server(tmp_path: Path) -> None:
    async with Watched([pypi_server("time", "--local-timezone", "UTC")], tmp_path) as watched:
        assert await watched.settled() == ["time__convert_time", "time__get_current_time"]
        converted = await watched.text("time__convert_time", source_timezone="UTC", time="12:00", target_timezone="Asia/Tokyo")
        assert "T21:00:00+09:00" in converted
        assert (await watched.call("time__get_current_time", timezone="Nowhere/Land")).is_error
