"""Workers of many tasks, copied from one warm process."""

import asyncio
import fcntl
import os
import signal
import socket
import sys
from pathlib import Path

import pytest
from command import User, answered, calls
from parallel import ended, folder_of, fork_servers, pid_of, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every worker is started by itself")
TWO = "one thing\nanother thing\n"
OVER = ("idle", "awaiting review")


def status(pid: int, field: str) -> str:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(line.partition(":")[2].strip() for line in lines if line.startswith(f"{field}:"))


async def started_two(user: User, *shell: str) -> list[int]:
    """The workers of two new tasks, which have answered. `shell` comes before the command."""
    command = [*shell, str(Path(sys.executable).with_name("goose-py")), "task", "start", "--each", "-", "--mode", "auto"]
    process = await asyncio.create_subprocess_exec(
        *command, cwd=user.repository, env=user.environment(), stdin=-1, stdout=-1, stderr=-1
    )
    out, err = await process.communicate(TWO.encode())
    assert process.returncode == 0, err.decode()
    tasks = out.decode().split()
    for task in tasks:
        await ended(user, task, *OVER)
    return [pid for task in tasks if (pid := pid_of(folder_of(user, task))) is not None]


async def test_workers_of_tasks_that_start_together_are_copies_of_one_process_and_each_stands_alone(user):
    secret = "known-to-the-workers-alone"
    user.env = {**user.env, "TEAM_KEY": secret}
    config = user.root / "home" / "config" / "config.toml"
    async with answered(user, [calls(("read", {"path": "cart.py"}))] * 2 + [{"text": "Done."}] * 2) as server:
        config.write_text(config.read_text() + 'api_key_env = "TEAM_KEY"\n')
        workers = await started_two(user)
        (parent,) = fork_servers(user)
        assert len(workers) == 2 and {int(status(pid, "PPid")) for pid in workers} == {parent}
        assert [os.getsid(pid) for pid in workers] == workers, "a signal to one reaches no other"
        assert {status(pid, "Name") for pid in workers} == {folder.name for folder in (user.state / "tasks").iterdir()}
        assert secret.encode() not in Path(f"/proc/{parent}/environ").read_bytes()
        assert {request.headers.get("authorization") for request in server.requests if request.protocol} == {f"Bearer {secret}"}


async def test_the_end_of_the_warm_process_harms_no_task_and_another_one_takes_its_place(user):
    async with answered(user, [{"text": "Done.", "repeat": 0}]) as server:
        workers = await started_two(user)
        (parent,) = fork_servers(user)
        os.kill(parent, signal.SIGKILL)
        await until(lambda: not fork_servers(user))
        task = next(folder for folder in (user.state / "tasks").iterdir() if pid_of(folder_of(user, folder.name)) == workers[0])
        before = len(server.requests)
        assert (await user.goose("task", "say", task.name, "And more")).code == 0
        await server.received(before + 1)
        assert "And more" in str(server.requests[-1].body) and pid_of(folder_of(user, task.name)) == workers[0]
        again = await started_two(user)
        assert fork_servers(user) != [parent] and {int(status(pid, "PPid")) for pid in again} == set(fork_servers(user))


async def test_what_a_process_inherits_is_that_of_whoever_started_the_task(user):
    async with answered(user, [{"text": "Done.", "repeat": 0}]):
        usual = await started_two(user, "sh", "-c", 'umask 022; exec "$@"', "sh")
        private = await started_two(user, "sh", "-c", 'umask 077; ulimit -n 400; exec "$@"', "sh")
    assert {status(pid, "Umask") for pid in usual} == {"0022"}
    assert {status(pid, "Umask") for pid in private} == {"0077"}
    for pid in private:
        assert "400" in next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "open files" in line)


async def test_a_task_is_not_brought_to_another_group_of_processes_nor_out_of_reach_of_the_memory_killer(user):
    async with answered(user, [{"text": "Done.", "repeat": 0}]):
        usual = await started_two(user)
        first_to_go = await started_two(user, "sh", "-c", 'echo 900 > /proc/self/oom_score_adj; exec "$@"', "sh")
    assert {Path(f"/proc/{pid}/oom_score_adj").read_text().strip() for pid in first_to_go} == {"900"}
    assert not {status(pid, "PPid") for pid in usual} & {status(pid, "PPid") for pid in first_to_go}
    for pid in (*usual, *first_to_go):
        assert Path(f"/proc/{pid}/cgroup").read_bytes() == Path("/proc/self/cgroup").read_bytes()


async def test_an_environment_that_is_no_utf_8_arrives_as_it_is(user):
    user.env = {**user.env, "OLD_NAME": os.fsdecode(b"caf\xe9")}
    async with answered(user, [{"text": "Done.", "repeat": 0}]):
        first = await started_two(user)
        again = await started_two(user)
    assert {int(status(pid, "PPid")) for pid in (*first, *again)} == set(fork_servers(user))


async def test_a_program_that_is_confined_starts_its_workers_itself(user):
    async with answered(user, [{"text": "Done.", "repeat": 0}]):
        open_air = await started_two(user)
        confined = await started_two(user, "setpriv", "--no-new-privs")
    assert {status(pid, "NoNewPrivs") for pid in open_air} == {"0"}
    assert {status(pid, "NoNewPrivs") for pid in confined} == {"1"}


async def test_it_outlives_nonsense_and_ends_by_itself_when_nobody_needs_it(tmp_path):
    place, lock = tmp_path / "s.fork", tmp_path / "s.lock"
    with socket.socket(socket.AF_UNIX) as listening, lock.open("w+") as held:
        listening.bind(str(place))
        listening.listen()
        fcntl.flock(held, fcntl.LOCK_EX)
        serve = "import sys; from goose_py.workers.fork_server import serve; serve(*map(int, sys.argv[1:]), linger=0.5)"
        descriptors = (listening.fileno(), held.fileno())
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", serve, *map(str, descriptors), pass_fds=descriptors, stderr=-1
        )
    wrong = (b"", b"{}\n", b"\xff\xfe\n", b'{"task_id": 5, "env": {}}\n', b'{"task_id": "x", "env": []}\n', b'{"task_id"')
    for nonsense in wrong:
        reader, writer = await asyncio.open_unix_connection(str(place))
        writer.write(nonsense)
        writer.write_eof()
        assert await reader.read() == b""
        writer.close()
    async with asyncio.timeout(30):
        _, err = await process.communicate()
    assert (process.returncode, err) == (0, b"")
    assert not place.exists() and lock.read_text().split() == [str(process.pid)]
