"""The tools with a host's `spawn` that puts every command into a real bubblewrap sandbox."""

import asyncio
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from developer_extension import connected, module, until

BWRAP = shutil.which("bwrap")


def wrap(workspace: str) -> list[str]:
    """A sandbox in which only the system, read-only, and the workspace are to be seen, with processes of its own."""
    system = ["--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin", "--symlink", "usr/lib", "/lib"]
    system += ["--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    return [
        str(BWRAP),
        "--unshare-all",
        "--die-with-parent",
        *system,
        "--bind",
        workspace,
        workspace,
        "--chdir",
        workspace,
    ]


def works() -> bool:
    return BWRAP is not None and subprocess.run([*wrap("/usr"), "--", "/bin/true"], check=False).returncode == 0


pytestmark = pytest.mark.skipif(not works(), reason="bubblewrap cannot run here")


async def sandboxed(
    argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
) -> asyncio.subprocess.Process:
    return await module("shell.processes").plain_spawn(
        [*wrap(cwd), "--", *argv], cwd=cwd, env=env, stdout=stdout, stderr=stderr
    )


def sleepers(workspace: Path) -> list[psutil.Process]:
    """The processes that carry this workspace's name in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("TEST_WORKSPACE") == str(workspace):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.case("R26")
async def test_a_daemon_ends_with_its_command_and_holds_nothing_up(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin", "TEST_WORKSPACE": str(tmp_path)}
    async with connected(tmp_path, spawn=sandboxed, env=env) as tools:
        async with asyncio.timeout(30):
            assert await tools("shell", command="setsid sleep 600 & echo ok") == "ok\n[exit code 0]"
        await until(lambda: not sleepers(tmp_path))


@pytest.mark.case("R25")
@pytest.mark.case("R30")
async def test_a_command_that_ignores_signals_is_gone_after_its_time(tmp_path: Path) -> None:
    env = {"PATH": "/usr/bin", "TEST_WORKSPACE": str(tmp_path)}
    async with connected(tmp_path, spawn=sandboxed, env=env) as tools:
        command = "trap '' TERM INT HUP; setsid sleep 600 & echo begun; while :; do sleep 1; done"
        result = await tools.result("shell", command=command, timeout=1)
        assert result.content[0].text.startswith("begun\n[timed out after 1 s")
        assert not sleepers(tmp_path)


@pytest.mark.case("U21")
async def test_a_job_waits_for_its_port_in_the_network_of_the_sandbox(tmp_path: Path) -> None:
    (tmp_path / "serve.py").write_text(
        "import socket\ns = socket.socket()\ns.bind(('127.0.0.1', 4711))\ns.listen()\ns.accept()\n"
    )
    env = {"PATH": "/usr/bin", "TEST_WORKSPACE": str(tmp_path)}
    if shutil.which("python3", path="/usr/bin") is None:
        pytest.skip("the system has no Python of its own")
    async with connected(tmp_path, spawn=sandboxed, env=env) as tools:
        await tools("shell", command="python3 serve.py", background=True)
        assert "port:4711 is there" in await tools("job", action="log", id="1", wait_for="port:4711")
        await tools("job", action="kill", id="1")
        assert not sleepers(tmp_path)


async def test_searching_works_from_within_and_also_where_the_sandbox_has_no_ripgrep(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("needle\n")

    async def without_usr(
        argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> asyncio.subprocess.Process:
        bare = [str(BWRAP), "--unshare-all", "--bind", cwd, cwd, "--chdir", cwd, "--", *argv]
        return await module("shell.processes").plain_spawn(bare, cwd=cwd, env=env, stdout=stdout, stderr=stderr)

    for spawn in (sandboxed, without_usr):
        async with connected(tmp_path, spawn=spawn) as tools:
            assert await tools("grep", pattern="needle") == "f\n1:needle\n[1 match in 1 file]"
            assert await tools("glob", pattern="*") == "f"
