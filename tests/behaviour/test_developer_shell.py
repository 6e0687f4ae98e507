"""The shell tool over a real MCP client: real processes, in every way that a command can misbehave."""

import asyncio
import os
import re
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pytest
from developer_extension import connected, module, until

REPOSITORY = """git init -q .; git config user.email a@b; git config user.name n
echo x > file; git add file; git commit -qm m"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def pid_in(file: Path) -> int:
    return int(file.read_text())


async def written(file: Path) -> int:
    await until(lambda: file.exists() and file.read_text().strip().isdigit())
    return pid_in(file)


async def test_the_result_is_the_output_and_then_the_exit_code(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        result = await tools.result("shell", command="echo out; echo err >&2; exit 3")
        assert result.content[0].text == "out\nerr\n[exit code 3]"
        assert not result.is_error
        facts = {name: value for name, value in result.meta.items() if name.startswith("developer/")}
        assert facts == {"developer/ended": "exit", "developer/exit_code": 3, "developer/output_bytes": 8}
        assert await tools("shell", command="true") == "[exit code 0]"
        assert await tools("shell", command="kill -9 $$") == "[exit code 137, ended by signal 9]"


async def test_commands_run_in_the_workspace_and_nothing_lasts_from_one_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    async with connected(tmp_path) as tools:
        await tools("shell", command="cd sub; export X=1; y=2")
        assert await tools("shell", command='pwd; echo "$X$y"') == f"{tmp_path}\n\n[exit code 0]".replace("\n\n", "\n")


@pytest.mark.parametrize(
    ("command", "why"), [("", "empty"), ("  \n", "empty"), ("a\0b", "NUL"), ("x" * 200_000, "100.0 KB")]
)
async def test_a_command_that_cannot_be_run_is_refused_with_the_reason(tmp_path: Path, command: str, why: str) -> None:
    async with connected(tmp_path) as tools:
        assert why in await tools.refusal("shell", command=command)


@pytest.mark.case("R25")
async def test_a_hanging_command_is_killed_with_all_its_children_and_its_output_kept(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        command = "echo partial; (sleep 1000 & echo $! > a; wait) & setsid sleep 1000 & echo $! > b; sleep 1000"
        result = await tools.result("shell", command=command, timeout=1)
        assert result.is_error
        assert result.meta["developer/ended"] == "timeout"
        assert result.content[0].text.startswith("partial\n[timed out after 1 s")
        assert not alive(pid_in(tmp_path / "a"))
        assert not alive(pid_in(tmp_path / "b"))


@pytest.mark.case("R30")
async def test_a_process_that_ignores_every_polite_signal_is_killed_with_its_grandchildren(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        stubborn = "trap '' TERM INT HUP\necho $$ > $1\nwhile :; do sleep 1; done\n"
        (tmp_path / "stubborn.sh").write_text(stubborn)
        command = "bash stubborn.sh child & nohup setsid bash stubborn.sh other & . ./stubborn.sh self"
        result = await tools.result("shell", command=command, timeout=1)
        assert result.meta["developer/ended"] == "timeout"
        for name in ("child", "other", "self"):
            assert not alive(pid_in(tmp_path / name)), name


@pytest.mark.case("R26")
@pytest.mark.case("U21")
@pytest.mark.parametrize("redirected", ["", " >/dev/null 2>&1"])
async def test_a_daemon_does_not_hold_up_its_command_and_becomes_a_job(tmp_path: Path, redirected: str) -> None:
    async with connected(tmp_path) as tools:
        async with asyncio.timeout(30):
            result = await tools.result("shell", command=f"setsid sleep 600{redirected} & echo $! > pid; echo ok")
        text = result.content[0].text
        pid = pid_in(tmp_path / "pid")
        assert text.startswith("ok\n") and text.endswith("\n[exit code 0]")
        assert f"job 1: pid {pid} (" in text
        assert result.meta["developer/job"] == "1"
        assert alive(pid)
        assert f"running: pid {pid}" in await tools("job", action="list")
        await tools("job", action="kill", id="1")
        assert not alive(pid)


@pytest.mark.case("R26")
@pytest.mark.skipif(sys.platform != "linux", reason="who holds a pipe is found in /proc")
async def test_a_daemon_that_cleared_its_environment_is_still_found_by_the_pipe_it_holds(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        text = await tools("shell", command="env -i setsid sleep 600 & echo $! > pid; echo ok")
        assert f"pid {pid_in(tmp_path / 'pid')}" in text
        await tools("job", action="kill", id="1")
        assert not alive(pid_in(tmp_path / "pid"))


@pytest.mark.case("R27")
@pytest.mark.parametrize("command", ["yes", "cat /dev/zero", "head -c 10G /dev/zero"])
async def test_a_flood_is_ended_at_a_cap_with_memory_and_disk_bounded(tmp_path: Path, command: str) -> None:
    state = tmp_path / "state"
    workspace = tmp_path / "work"
    workspace.mkdir()
    limit = module("shell.capture").OUTPUT_LIMIT
    async with connected(workspace, state=state) as tools:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result = await tools.result("shell", command=command)
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        text = result.content[0].text
        assert result.is_error and result.meta["developer/ended"] == "flood"
        assert "[killed: it wrote more than 64.0 MB of output" in text.splitlines()[-1]
        assert re.search(r"\d lines?, 64\.0 MB omitted", text)
        assert len(text) < 60_000
        assert grown * (1 if sys.platform == "darwin" else 1024) < 30_000_000
        assert sum(file.stat().st_size for file in state.iterdir()) < limit + 1_000_000


@pytest.mark.case("U24")
async def test_the_full_log_of_a_long_output_can_be_read_by_the_path_that_is_given(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        result = await tools.result("shell", command="for i in $(seq 30000); do echo line $i; done; exit 7")
        text = result.content[0].text
        assert text.startswith("line 1\nline 2\n")
        assert text.endswith("line 30000\n[exit code 7]")
        log = result.meta["developer/log"]
        assert log in text
        assert (await tools("read", path=log, offset=15000, limit=2)).startswith(
            "15000\tline 15000\n15001\tline 15001\n"
        )


@pytest.mark.case("R28")
async def test_strange_output_is_never_an_error(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command="head -c 100000 /dev/urandom")
        assert "␀" in await tools("shell", command=r"printf 'a\0b\377'")
        assert await tools("shell", command=r"printf '\r10%%\r50%%\r100%%'") == "100%\n[exit code 0]"
        wide = await tools("shell", command="head -c 5000000 /dev/zero | tr '\\0' x; echo; echo end")
        assert wide.endswith("\nend\n[exit code 0]") and len(wide) < 40_000


@pytest.mark.case("R29")
@pytest.mark.case("U22")
@pytest.mark.parametrize(
    "command",
    [
        "cat",
        "read x",
        "read -p name: x < /dev/tty",
        "python3 -c 'input()'",
        'python3 -c "import getpass; getpass.getpass()"',
        "git commit",
        "git commit --amend",
        "git rebase -i --root",
        "git clone http://127.0.0.1:9/x.git",
        "less file",
        "git -p log",
        "bash -i",
        "${EDITOR} file",
        "sudo -k -S -v",
        "ssh -o BatchMode=no -p 9 127.0.0.1",
    ],
)
async def test_what_waits_for_a_person_ends_at_once(tmp_path: Path, command: str) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command=REPOSITORY)
        result = await tools.result("shell", command=command, timeout=10)
        assert result.meta["developer/ended"] == "exit", result.content[0].text


@pytest.mark.case("U22")
@pytest.mark.parametrize(
    "command",
    [
        "read x < /dev/tty",
        "git commit --allow-empty",
        "python3 -c 'input()'",
        "git commit --amend",
        "git rebase -i --root",
        "test -t 0 || { echo not a tty; false; }",
    ],
)
async def test_a_command_that_failed_for_want_of_a_person_comes_with_a_hint(tmp_path: Path, command: str) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command=REPOSITORY)
        text = await tools("shell", command=command)
        assert "[hint: there is no terminal" in text
        assert re.fullmatch(r"\[exit code [1-9]\d*\]", text.splitlines()[-1])


async def test_a_failure_that_has_nothing_to_do_with_terminals_gets_no_hint(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        assert "hint" not in await tools("shell", command="ls nowhere")


async def test_no_pager_editor_or_colour_is_used(tmp_path: Path) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "PAGER": "less",
        "EDITOR": "vi",
        "BASH_ENV": str(tmp_path / "rc"),
        "FORCE_COLOR": "1",
    }
    (tmp_path / "rc").write_text("echo from rc")
    async with connected(tmp_path, env=env) as tools:
        text = await tools(
            "shell", command='echo "$PAGER $GIT_PAGER $EDITOR $GIT_TERMINAL_PROMPT $TERM $BASH_ENV $FORCE_COLOR"'
        )
        assert text == "cat cat false 0 dumb  \n[exit code 0]"


@pytest.mark.case("U23")
async def test_cancelling_the_call_ends_the_whole_tree(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        call = asyncio.create_task(tools("shell", command="setsid sleep 600 & echo $! > child; echo $$ > self; wait"))
        pids = [await written(tmp_path / "child"), await written(tmp_path / "self")]
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await until(lambda: not any(map(alive, pids)), 2)
        assert await tools("shell", command="echo still here") == "still here\n[exit code 0]"


async def test_closing_the_connection_ends_what_still_runs(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command="setsid sleep 600 & echo $! > daemon")
        await tools("shell", command="echo $$ > job; exec sleep 600", background=True)
        pids = [await written(tmp_path / "daemon"), await written(tmp_path / "job")]
        assert all(map(alive, pids))
    assert not any(map(alive, pids))


async def test_output_is_told_while_the_command_runs(tmp_path: Path) -> None:
    heard: list[tuple[float, str]] = []
    first = asyncio.Event()

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        assert total is None
        heard.append((progress, message or ""))
        first.set()

    async with connected(tmp_path) as tools:
        command = "echo one; while [ ! -e go ]; do sleep 0.05; done; echo two"
        call = asyncio.create_task(tools.client.call_tool("shell", {"command": command}, progress_callback=on_progress))
        async with asyncio.timeout(10):
            await first.wait()
        assert not call.done()
        assert heard == [(4, "one\n")]
        (tmp_path / "go").touch()
        result = await call
        assert result.content[0].text == "one\ntwo\n[exit code 0]"
        assert "".join(text for _, text in heard) == "one\ntwo\n"
        assert [progress for progress, _ in heard] == sorted({progress for progress, _ in heard})


async def test_other_calls_are_answered_while_a_flood_is_taken(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        flood = asyncio.create_task(tools.result("shell", command="yes"))
        async with asyncio.timeout(10):
            assert await tools("shell", command="echo quick") == "quick\n[exit code 0]"
        assert (await flood).meta["developer/ended"] == "flood"


async def test_every_command_goes_through_the_spawn_that_the_host_gives(tmp_path: Path) -> None:
    seen: list[tuple[list[str], str, dict[str, str]]] = []
    plain = module("shell.processes").plain_spawn

    async def spawn(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int):
        seen.append((list(argv), cwd, dict(env)))
        return await plain(["/usr/bin/env", *argv], cwd=cwd, env=env, stdout=stdout, stderr=stderr)

    async with connected(tmp_path, spawn=spawn, env={"PATH": os.environ["PATH"], "GIVEN": "yes"}) as tools:
        assert await tools("shell", command="echo $GIVEN") == "yes\n[exit code 0]"
    argv, cwd, env = seen[0]
    assert argv[-2:] == ["-c", "echo $GIVEN"] and cwd == str(tmp_path)
    assert env["GIVEN"] == "yes" and "HOME" not in env


async def test_a_spawn_that_fails_is_one_clear_sentence(tmp_path: Path) -> None:
    async def spawn(*_: object, **__: object) -> None:
        raise FileNotFoundError(2, "No such file or directory")

    async with connected(tmp_path, spawn=spawn) as tools:
        assert (
            await tools.refusal("shell", command="ls") == "The command could not be started: No such file or directory."
        )


async def test_no_descriptor_is_left_open_after_commands_of_every_kind(tmp_path: Path) -> None:
    own = psutil.Process()
    async with connected(tmp_path) as tools:
        await tools("shell", command="true")
        before = own.num_fds()
        for command in ("echo x", "exit 1", "seq 100000", "sleep 100 & echo"):
            await tools("shell", command=command)
        await tools("job", action="kill", id="1")
        await tools.result("shell", command="sleep 9", timeout=0.2)
        assert own.num_fds() == before
    assert signal.getsignal(signal.SIGCHLD) in (signal.SIG_DFL, signal.SIG_IGN)
