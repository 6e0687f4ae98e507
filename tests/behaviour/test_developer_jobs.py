"""Background jobs: started, waited for, looked at, killed."""

from pathlib import Path

import pytest
from developer_extension import connected, until

SERVER = (
    "python3 -uc \"import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); s.listen(); "
    "print('ready on', s.getsockname()[1]); s.accept()\""
)


@pytest.mark.case("U21")
async def test_a_server_gets_an_id_a_log_a_readiness_check_and_an_end(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        result = await tools.result("shell", command=SERVER, background=True)
        assert result.meta["developer/job"] == "1" and "developer/exit_code" not in result.meta
        log = await tools("job", action="log", id="1", wait_for="ready on")
        assert "its output has 'ready on'" in log
        port = int(log.split("ready on ")[1].split()[0])
        assert f"port:{port} is there" in await tools("job", action="log", id="1", wait_for=f"port:{port}")
        assert "ready on" in await tools("read", path=result.meta["developer/log"])
        assert (await tools("job", action="list")).startswith("job 1: running: pid ")
        assert await tools("job", action="kill", id="1") == "Killed job 1 and everything it started."
        assert (await tools("job", action="list")).startswith("job 1: killed: ")
        assert "not running any more" in await tools("job", action="kill", id="1")


async def test_waiting_in_vain_is_said_and_is_no_error(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command="echo hello; sleep 100", background=True)
        text = await tools("job", action="log", id="1", wait_for="never", timeout=0.3)
        assert text.startswith("hello\n[job 1 running")
        assert text.endswith("'never' did not come in 0.3 s]")
        text = await tools("job", action="log", id="1", wait_for="port:1", timeout=0.3)
        assert "did not come" in text


async def test_waiting_ends_when_the_job_does(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command="while [ ! -e go ]; do sleep 0.05; done; echo bye; exit 5", background=True)
        (tmp_path / "go").touch()
        text = await tools("job", action="log", id="1", wait_for="never")
        assert text == "bye\n[job 1 exited with code 5; 1 line, 4 bytes so far; it ended before 'never' came]"


async def test_a_background_command_that_fails_at_once_is_reported_as_such(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        assert await tools("shell", command="echo no; exit 4", background=True) == "no\n[exit code 4]"
        assert await tools("job", action="list") == "No jobs."


async def test_a_text_is_waited_for_across_the_whole_log_not_only_its_end(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command="echo NEEDLE; seq 200000; sleep 100", background=True)
        assert "its output has 'NEEDLE'" in await tools("job", action="log", id="1", wait_for="NEEDLE")
        await tools("job", action="log", id="1", wait_for="\n200000\n")
        tail = await tools("job", action="log", id="1")
        assert "200000\n[job 1 running" in tail and "NEEDLE" not in tail and len(tail) < 20_000


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"action": "log"}, "Which job? Give its id; there are no jobs."),
        ({"action": "kill", "id": "7"}, "There is no job '7'; there are no jobs."),
        ({"action": "burn"}, "'list', 'log' or 'kill'"),
    ],
)
async def test_a_job_that_is_not_there_is_one_clear_sentence(tmp_path: Path, arguments: dict, why: str) -> None:
    async with connected(tmp_path) as tools:
        assert why in await tools.refusal("job", **arguments)


async def test_the_unknown_id_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        await tools("shell", command="sleep 100", background=True)
        await tools("shell", command="sleep 100", background=True)
        assert await tools.refusal("job", action="log", id="3") == "There is no job '3'; the jobs are 1, 2."
        assert "job 2" in await tools("job", action="log", id=2)


async def test_logs_are_private_and_a_temporary_folder_goes_with_the_connection(tmp_path: Path) -> None:
    async with connected(tmp_path) as tools:
        result = await tools.result("shell", command="echo x; sleep 100", background=True)
        log = Path(result.meta["developer/log"])
        await until(lambda: log.read_bytes() == b"x\n")
        assert log.stat().st_mode & 0o777 == 0o600
        assert log.parent.stat().st_mode & 0o777 == 0o700
    assert not log.parent.exists()


async def test_logs_in_a_folder_of_the_host_stay(tmp_path: Path) -> None:
    state = tmp_path / "state" / "logs"
    work = tmp_path / "work"
    work.mkdir()
    async with connected(work, state=state) as tools:
        await tools("shell", command="seq 100000")
        assert state.stat().st_mode & 0o777 == 0o700
    assert [len(file.read_bytes().splitlines()) for file in state.iterdir()] == [100_000]
