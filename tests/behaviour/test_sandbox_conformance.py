"""What every backend promises, tried from inside: run against each one that exists on this machine.

Where bubblewrap is missing or forbidden these tests say so and skip; with GOOSE_PY_REQUIRE_SANDBOX=full they fail instead."""

import asyncio
import os
import platform
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from git_repos import git_inside
from msgspec.structs import replace

from goose_py.sandbox.detection import _make, find_sandbox
from goose_py.sandbox.environment import child_env
from goose_py.sandbox.policy import GIT_DIR, Level, Limits, Policy, SandboxError, SpawnSpec
from goose_py.sandbox.probe import probe
from goose_py.sandbox.spawn import Sandbox, bind, spawn
from goose_py.sandbox.toolchains import python_roots
from goose_py.sandbox.unconfined import Plain

PYTHON = Path(sys.executable)
ROOTS = python_roots(PYTHON, [Path(sys.prefix), Path(sys.base_prefix)])
BACKENDS = ["sandbox-exec"] if sys.platform == "darwin" else ["bubblewrap", "landlock"]
SHELL = ("/bin/bash", "--norc", "--noprofile", "-c")


def missing(reason: str) -> None:
    if os.environ.get("GOOSE_PY_REQUIRE_SANDBOX"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    state = tmp_path / "state"
    state.mkdir()
    try:
        sandbox = _make(request.param, platform.machine(), state, PYTHON)
    except SandboxError as error:
        missing(f"NOT TESTED, {request.param}: {error}")
    start = sandbox.wrap(["true"], str(tmp_path), {"PATH": "/usr/bin:/bin"}, Policy(workspace=tmp_path, home=tmp_path / "h"))
    tried = subprocess.run(start.argv, env=dict(start.env), cwd=start.cwd, capture_output=True, text=True, check=False)
    if tried.returncode != 0:
        missing(f"NOT TESTED, {request.param} does not run here: {tried.stderr.strip()}")
    return sandbox


async def plainly(argv: list[str], cwd: Path) -> None:
    """Outside of every sandbox: the controls."""
    process = await asyncio.create_subprocess_exec(
        *argv, cwd=cwd, env={"PATH": "/usr/bin:/bin"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    await asyncio.wait_for(process.wait(), 30)


class Inside:
    """Runs shell commands under one policy and keeps what they print."""

    def __init__(self, sandbox: Sandbox, policy: Policy) -> None:
        self.sandbox, self.policy = sandbox, policy

    async def run(self, command: str, env: dict[str, str] | None = None) -> tuple[int, str]:
        start = bind(self.sandbox, self.policy)
        environment = env if env is not None else {"PATH": "/usr/bin:/bin", "HOME": str(self.policy.home)}
        process = await start(
            [*SHELL, command], cwd=str(self.policy.workspace), env=environment,
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await asyncio.wait_for(process.communicate(), 30)
        assert process.returncode is not None
        return process.returncode, output.decode(errors="replace")

    async def python(self, program: str) -> tuple[int, str]:
        script = self.policy.workspace / "program.py"
        script.write_text(program)
        return await self.run(f"{PYTHON} -I -S program.py")


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    for name in ("workspace", "home", "tmp", "outside"):
        (tmp_path / name).mkdir()
    (tmp_path / "outside" / "secret").write_text("the secret")
    (tmp_path / "home" / ".ssh").mkdir()
    (tmp_path / "home" / ".ssh" / "id_rsa").write_text("the key")
    return Policy(workspace=tmp_path / "workspace", home=tmp_path / "home", tmp=tmp_path / "tmp", readable=ROOTS)


@pytest.fixture
def inside(backend: Sandbox, policy: Policy) -> Inside:
    return Inside(backend, policy)


@pytest.fixture
def outside(tmp_path: Path, policy: Policy) -> Path:
    return tmp_path / "outside"


@pytest.mark.case("S01")
async def test_what_only_reads_can_write_nothing_but_its_own_tmp_and_reach_nothing(
    backend: Sandbox, policy: Policy, outside: Path
) -> None:
    (policy.workspace / "f").write_text("kept")
    reading = Inside(backend, replace(policy, network=True, writable=(outside,), unix_sockets=True).reading())
    for target in ("f", "new", "../outside/secret", "../outside/new"):
        code, output = await reading.run(f"echo x > {target}")
        assert code != 0 and ("Read-only file system" in output or "Permission denied" in output), output
    assert (policy.workspace / "f").read_text() == "kept" and [file.name for file in outside.iterdir()] == ["secret"]
    code, output = await reading.run('cat f && cat ../outside/secret && echo t > "$TMPDIR/t" && cat "$TMPDIR/t"')
    assert (code, output) == (0, "keptthe secrett\n")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.5)
        code, output = await reading.run(f"echo x > /dev/tcp/127.0.0.1/{listener.getsockname()[1]}")
        with pytest.raises(TimeoutError):
            listener.accept()
    assert code != 0


async def test_the_workspace_and_tmp_can_be_written(inside: Inside, policy: Policy) -> None:
    code, output = await inside.run('echo here > f && mkdir d && mv f d/g && echo t > "$TMPDIR/t" && cat d/g')
    assert (code, output) == (0, "here\n")
    assert (policy.workspace / "d" / "g").read_text() == "here\n"
    assert (policy.tmp / "t").read_text() == "t\n"
    assert (await inside.run('cat "$TMPDIR/t"'))[1] == "t\n"


async def test_nothing_outside_is_written(inside: Inside, outside: Path, policy: Policy) -> None:
    for target in (
        outside / "new",
        outside / "secret",
        policy.home / ".bashrc",
        Path("/usr/new"),
        Path("/etc/new"),
        Path("/new"),
    ):
        before = target.read_bytes() if target.exists() else None
        await inside.run(f"echo x > '{target}'; ln -s /etc/passwd '{target}'; mkdir '{target}'; rm -f '{target}'")
        assert (target.read_bytes() if target.exists() else None) == before, target


@pytest.mark.case("A14")
async def test_symlinks_lead_nowhere_outside(inside: Inside, outside: Path, policy: Policy) -> None:
    links = {"l": policy.home / ".ssh", "d": outside / "dangling", "up": policy.workspace.parent}
    for name, target in links.items():
        (policy.workspace / name).symlink_to(target)
    _, output = await inside.run("cat l/id_rsa up/outside/secret; echo x >> l/authorized_keys; echo x > d; echo x > up/new")
    assert "the key" not in output and "the secret" not in output
    assert not (policy.home / ".ssh" / "authorized_keys").exists()
    assert not (outside / "dangling").exists()
    assert not (policy.workspace.parent / "new").exists()
    # The control: outside, the links lead where they say.
    assert (policy.workspace / "l" / "id_rsa").read_text() == "the key"


async def test_files_of_the_home_and_other_folders_cannot_be_read(inside: Inside, outside: Path, policy: Policy) -> None:
    _, output = await inside.run(f"cat '{outside}/secret' '{policy.home}/.ssh/id_rsa'; ls -A '{outside}' '{policy.home}/.ssh'")
    assert "the secret" not in output and "the key" not in output and "id_rsa\n" not in output


async def test_a_missing_readable_path_is_no_error_and_a_given_one_is_read_only(
    backend: Sandbox, policy: Policy, outside: Path
) -> None:
    given = Policy(workspace=policy.workspace, home=policy.home, tmp=policy.tmp, readable=(outside, outside / "missing"))
    inside = Inside(backend, given)
    assert (await inside.run(f"cat '{outside}/secret'"))[1] == "the secret"
    assert (await inside.run(f"echo x > '{outside}/secret'"))[0] != 0
    assert (outside / "secret").read_text() == "the secret"


@pytest.mark.case("U07")
async def test_a_read_only_workspace_stays_as_it_is(backend: Sandbox, policy: Policy) -> None:
    (policy.workspace / "f").write_text("before")
    plan = Policy(workspace=policy.workspace, home=policy.home, tmp=policy.tmp, readable=ROOTS, read_only=True)
    attempts = 'echo x > f; echo x > new; rm f; mv f g; mkdir d; sed -i s/b/x/ f; ln f h; touch f; python3 -c \'open("n","w")\''
    _, output = await Inside(backend, plan).run(f"{attempts}; cat f")
    assert output.endswith("before")
    assert sorted(path.name for path in policy.workspace.iterdir()) == ["f"]
    # The control: without plan mode the same commands change everything.
    await Inside(backend, policy).run(attempts)
    assert sorted(path.name for path in policy.workspace.iterdir()) != ["f"]


@pytest.mark.case("A38")
async def test_no_secret_of_the_parent_reaches_a_child(inside: Inside, backend: Sandbox) -> None:
    parent = {
        "PATH": os.environ["PATH"], "HOME": "/home/u", "LANG": "C.UTF-8", "ANTHROPIC_API_KEY": "sk-ant-" + "a" * 40,
        "GITHUB_TOKEN": "ghp_" + "b" * 36, "MY_PASSWORD": "hunter2hunter2", "FOO": "ghp_" + "c" * 36,
        "TERM": "ghp_" + "d" * 36, "LC_X": "prefix-hunter2hunter2",
    }  # fmt: skip
    env = child_env(parent, secrets=["hunter2hunter2"])
    # A program of the host that holds the secrets, as goose-py itself does, and stays there while the command runs.
    holder = await asyncio.create_subprocess_exec(
        "/bin/sh", "-c", "echo ready; exec cat", env=parent, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None and await holder.stdout.readline() == b"ready\n"
    try:
        _, output = await inside.run("env; cat /proc/*/environ /proc/*/cmdline 2>/dev/null | tr '\\0' '\\n'", env)
    finally:
        holder.kill()
        await holder.wait()
    assert "PATH=" in output
    for secret in ("sk-ant-", "ghp_", "hunter2"):
        assert secret not in output


@pytest.fixture
def listening(outside: Path) -> Iterator[dict[str, socket.socket]]:
    made = {
        "tcp": socket.socket(socket.AF_INET, socket.SOCK_STREAM),
        "udp": socket.socket(socket.AF_INET, socket.SOCK_DGRAM),
        "unix": socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "abstract": socket.socket(socket.AF_UNIX, socket.SOCK_STREAM),
        "unixgram": socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM),
    }
    made["tcp"].bind(("127.0.0.1", 0))
    made["udp"].bind(("127.0.0.1", 0))
    folder = os.open(outside, os.O_RDONLY)
    made["unix"].bind(f"/proc/self/fd/{folder}/socket")
    made["unixgram"].bind(f"/proc/self/fd/{folder}/datagrams")
    os.close(folder)
    made["abstract"].bind(f"\0goose-py-test-{os.getpid()}-{time.monotonic_ns()}")
    for name, one in made.items():
        one.setblocking(False)
        if name in ("tcp", "unix", "abstract"):
            one.listen(8)
    yield made
    for one in made.values():
        one.close()


def arrivals(listening: dict[str, socket.socket]) -> set[str]:
    found = set()
    for name, one in listening.items():
        try:
            one.recv(16) if one.type == socket.SOCK_DGRAM else one.accept()[0].close()
            found.add(name)
        except BlockingIOError:
            pass
    return found


CONNECT = """
import os, socket, sys
os.chdir({folder!r}) if os.path.isdir({folder!r}) else None
def attempt(family, kind, address):
    try:
        with socket.socket(family, kind) as s:
            s.settimeout(2)
            s.connect(address)
            s.send(b"x")
        print("reached", address)
    except OSError as error:
        print("failed", error)
attempt(socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", {tcp}))
attempt(socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", {udp}))
attempt(socket.AF_UNIX, socket.SOCK_STREAM, "socket")
attempt(socket.AF_UNIX, socket.SOCK_DGRAM, "datagrams")
attempt(socket.AF_UNIX, socket.SOCK_STREAM, {abstract!r})
try:
    first, second = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    first.sendto(b"x", "datagrams")
except OSError as error:
    print("failed", error)
try:
    print(socket.getaddrinfo("secret.example.com", 80))
except OSError as error:
    print("failed", error)
"""


@pytest.mark.case("A40")
async def test_neither_the_network_nor_local_sockets_are_reached(
    inside: Inside, outside: Path, listening: dict[str, socket.socket]
) -> None:
    tcp, udp = (listening[name].getsockname()[1] for name in ("tcp", "udp"))
    program = CONNECT.format(folder=str(outside), tcp=tcp, udp=udp, abstract=listening["abstract"].getsockname().decode())
    # The control: outside, every one of them is reached.
    await plainly([str(PYTHON), "-I", "-S", "-c", program], outside)
    assert arrivals(listening) >= {"tcp", "udp", "unix", "unixgram", "abstract"}
    arrivals(listening)  # the pair's datagram too

    code, output = await inside.python(program)
    assert code == 0 and "failed" in output, output
    await inside.run(
        f"echo x > /dev/tcp/127.0.0.1/{tcp}; echo x > /dev/udp/127.0.0.1/{udp}; getent hosts $(whoami).e.example; "
        f"curl -m 2 http://127.0.0.1:{tcp}/"
    )
    assert arrivals(listening) == set()
    for path in (
        "/run/docker.sock",
        "/var/run/docker.sock",
        "/run/dbus/system_bus_socket",
        os.environ.get("SSH_AUTH_SOCK") or "/none",
    ):
        assert (
            "reached"
            not in (
                await inside.python(f"import socket\ns = socket.socket(socket.AF_UNIX)\ns.connect({path!r})\nprint('reached')")
            )[1]
        )


async def test_the_network_is_there_when_it_was_granted(
    backend: Sandbox, policy: Policy, listening: dict[str, socket.socket]
) -> None:
    granted = Policy(workspace=policy.workspace, home=policy.home, tmp=policy.tmp, readable=ROOTS, network=True)
    port = listening["tcp"].getsockname()[1]
    code, output = await Inside(backend, granted).run(f"echo x > /dev/tcp/127.0.0.1/{port} && echo sent")
    assert (code, output) == (0, "sent\n")
    assert arrivals(listening) == {"tcp"}


async def test_local_sockets_of_ones_own_work_when_they_were_granted(backend: Sandbox, policy: Policy) -> None:
    program = (
        "import socket, os\nos.chdir(os.environ['TMPDIR'])\na = socket.socket(socket.AF_UNIX)\na.bind('s')\na.listen()\n"
        "b = socket.socket(socket.AF_UNIX)\nb.connect('s')\nprint('connected')"
    )
    assert "connected" not in (await Inside(backend, policy).python(program))[1]
    granted = Policy(workspace=policy.workspace, home=policy.home, tmp=policy.tmp, readable=ROOTS, unix_sockets=True)
    assert (await Inside(backend, granted).python(program))[1] == "connected\n"


async def test_stream_pairs_which_many_programs_need_still_work(inside: Inside) -> None:
    program = "import asyncio\nasync def main():\n    print('loop')\nasyncio.run(main())"
    assert (await inside.python(program))[1] == "loop\n"


async def test_the_kernel_calls_that_could_undo_the_sandbox_are_refused(inside: Inside) -> None:
    _, output = await inside.run(
        "unshare -U true; unshare -m true; mount -t tmpfs none /tmp; chroot / true; nsenter -t 1 -m true; dmesg"
    )
    assert output.count("denied") + output.count("not permitted") + output.count("failed") >= 4, output
    program = (
        "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
        "for number in (425, 321, 298, 323, 250, 272, 165):\n"
        "    print(number, libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno())"
    )
    if platform.machine() == "x86_64":
        _, output = await inside.run(f"{PYTHON} -I -c '{program}'")
        assert len(output.splitlines()) == 7
        for line in output.splitlines():
            assert line.split()[1] == "-1" and line.split()[2] in ("1", "38"), output


async def test_limits_hold_and_no_core_is_dumped(backend: Sandbox, policy: Policy) -> None:
    limited = Policy(workspace=policy.workspace, home=policy.home, limits=Limits(file_bytes=1 << 20, open_files=64))
    inside = Inside(backend, limited)
    assert (await inside.run("ulimit -c; ulimit -n"))[1].split() == ["0", "64"]
    await inside.run("head -c 3000000 /dev/zero > big")
    assert (policy.workspace / "big").stat().st_size <= 1 << 20


async def test_killing_the_process_group_ends_everything_inside(backend: Sandbox, policy: Policy) -> None:
    fifo = policy.workspace / "alive"
    os.mkfifo(fifo)
    start = bind(backend, policy)
    process = await start(
        [*SHELL, "trap '' TERM INT HUP; (exec 5>alive; sleep 600) & echo started; wait"], cwd=str(policy.workspace),
        env={"PATH": "/usr/bin:/bin"}, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    reader = await asyncio.to_thread(os.open, fifo, os.O_RDONLY)
    os.killpg(process.pid, signal.SIGKILL)
    # The pipe ends only when the last process that holds it is gone.
    assert await asyncio.wait_for(asyncio.to_thread(os.read, reader, 1), 10) == b""
    os.close(reader)
    assert await asyncio.wait_for(process.wait(), 10) == -signal.SIGKILL


async def test_standard_input_is_empty_and_the_terminal_is_out_of_reach(inside: Inside) -> None:
    code, output = await inside.run("cat; read x; echo $?; tty; echo $?; : < /dev/tty")
    assert output.startswith("1\nnot a tty\n1\n"), output
    assert code != 0


async def test_a_missing_workspace_is_a_sentence_and_not_a_command_run_elsewhere(backend: Sandbox, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="does not exist"):
        backend.wrap(["true"], "/", {}, Policy(workspace=tmp_path / "none", home=tmp_path))


async def test_a_path_with_every_odd_character_works(backend: Sandbox, tmp_path: Path) -> None:
    odd = tmp_path / 'a b\'"$(touch x);é\n)(param "W'
    odd.mkdir()
    inside = Inside(backend, Policy(workspace=odd, home=tmp_path / "home", tmp=None))
    code, _ = await inside.run("echo x > made")
    assert code == 0
    assert [path.name for path in odd.iterdir()] == ["made"]


async def test_a_home_that_is_the_root_hides_nothing_that_is_needed(backend: Sandbox, policy: Policy) -> None:
    inside = Inside(backend, Policy(workspace=policy.workspace, home=Path("/"), tmp=policy.tmp))
    code, output = await inside.run("echo x > f && cat f && cd ~ && echo y > z && cat z")
    assert (code, output) == (0, "x\ny\n")


async def test_a_server_with_pipes_runs_inside_by_the_spec_alone(backend: Sandbox, policy: Policy) -> None:
    """As third-party MCP servers are launched: by somebody else's code, with its own pipes and no descriptors of ours."""
    spec = backend.wrap(["/bin/cat"], str(policy.workspace), {"PATH": "/usr/bin:/bin"}, policy)
    process = await asyncio.create_subprocess_exec(
        *spec.argv, env=dict(spec.env), cwd=spec.cwd, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(b"a line\n"), 10)
    assert output == b"a line\n"


# Git inside.


@pytest.fixture
def worktree(tmp_path: Path) -> Path:
    def git(*arguments: str, cwd: Path = tmp_path / "main") -> None:
        environment = {
            "PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(tmp_path), "GIT_AUTHOR_NAME": "n",
            "GIT_AUTHOR_EMAIL": "e@x", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "e@x",
        }  # fmt: skip
        subprocess.run(["git", *arguments], cwd=cwd, env=environment, check=True, capture_output=True)

    (tmp_path / "main").mkdir()
    (tmp_path / "main" / "f").write_text("one\n")
    git("init", "-q", "-b", "main")
    git("add", ".")
    git("commit", "-qm", "one")
    git("worktree", "add", "-q", "-b", "goose/t1", str(tmp_path / "wt"))
    return tmp_path / "wt"


def git_policy(tmp_path: Path, worktree: Path) -> Policy:
    (tmp_path / "home").mkdir(exist_ok=True)
    inside = git_inside(tmp_path / "main", worktree, "goose/t1", tmp_path / "store")
    return Policy(workspace=worktree, home=tmp_path / "home", git=inside)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.case("U40")
@pytest.mark.parametrize("backend", ["bubblewrap"], indirect=True)
async def test_commits_from_a_worktree_work_and_leave_the_repository_untouched(
    backend: Sandbox, tmp_path: Path, worktree: Path
) -> None:
    policy = git_policy(tmp_path, worktree)
    common = tmp_path / "main" / ".git"
    before = {name: data for name, data in contents(common).items() if not name.startswith("worktrees/")}
    inside = Inside(backend, policy)
    code, output = await inside.run(
        "echo two >> f && git add f && git commit -m two && git status --porcelain && git log --format=%s"
    )
    assert code == 0, output
    assert output.endswith("two\none\n"), output
    # The next command, a container of its own, sees the commit and can go on from it.
    code, output = await inside.run(
        "git commit --amend -m 'two, better' -q && git log --format='%s %an' && git diff HEAD~1 --stat"
    )
    assert code == 0 and output.startswith("two, better goose-py\none n\n"), output
    after = {name: data for name, data in contents(common).items() if not name.startswith("worktrees/")}
    assert after == before


@pytest.mark.case("A38")
@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("backend", ["bubblewrap"], indirect=True)
async def test_credentials_in_the_configuration_of_the_repository_are_not_shown_inside(
    backend: Sandbox, tmp_path: Path, worktree: Path, read_only: bool
) -> None:
    config = tmp_path / "main" / ".git" / "config"
    token, password = "ghp_" + "d" * 36, "correct-horse-battery"
    config.write_text(
        f"{config.read_text()}[remote \"o\"]\n\turl = https://me:{password}@127.0.0.1/x.git\n"
        f"[http]\n\textraheader = AUTHORIZATION: bearer {token}\n"
    )
    policy = replace(git_policy(tmp_path, worktree), read_only=read_only)
    looking = f"git config --list; cat '{config}'; cat {GIT_DIR}/config; git status"
    code, output = await Inside(backend, policy).run(looking)
    assert code == 0 and "remote.o.url=https://me:[redacted" in output, output
    assert password not in output and token not in output
    assert password in config.read_text(), "the user's own is as it was"


@pytest.mark.case("U40")
@pytest.mark.parametrize("backend", ["bubblewrap"], indirect=True)
async def test_git_inside_cannot_change_the_repository(backend: Sandbox, tmp_path: Path, worktree: Path) -> None:
    inside = Inside(backend, git_policy(tmp_path, worktree))
    common = tmp_path / "main" / ".git"
    before = contents(common)
    attempts = (
        "git branch -D main", "git update-ref refs/heads/main HEAD~0^{tree}", "git config core.fsmonitor 'touch p'",
        f"echo x > {common}/hooks/post-checkout", f"rm -rf {common}/objects {common}/refs",
        f"echo /evil > {common}/worktrees/wt/commondir",
        f"echo x > {common}/config.worktree", "git stash", "git tag evil",
        "git gc --prune=now", f"echo x > {common}/info/attributes",
        "git checkout main", f"git --git-dir={common} config alias.x '!touch p'", f"mv {common}/worktrees/wt/gitdir x",
    )  # fmt: skip
    for attempt in attempts:
        await inside.run(attempt)
    after = contents(common)
    changed = {name for name in before | after if before.get(name) != after.get(name)}
    assert {name for name in changed if not name.startswith("worktrees/wt/")} == set()
    assert before["worktrees/wt/commondir"] == after["worktrees/wt/commondir"]
    assert before["worktrees/wt/gitdir"] == after["worktrees/wt/gitdir"]


@pytest.mark.parametrize("backend", ["bubblewrap"], indirect=True)
@pytest.mark.parametrize(
    "attack",
    ["rm -f .git", "echo 'gitdir: /evil' > .git", "mv .git old", "rm -f .git; git init -q .",
    "ln -sf /evil .git", "touch new; mv new .git"],
)  # fmt: skip
async def test_the_pointer_of_a_worktree_cannot_be_changed(
    backend: Sandbox, tmp_path: Path, worktree: Path, attack: str
) -> None:
    pointer = (worktree / ".git").read_text()
    await Inside(backend, git_policy(tmp_path, worktree)).run(attack)
    assert (worktree / ".git").is_file() and not (worktree / ".git").is_symlink()
    assert (worktree / ".git").read_text() == pointer
    # The control: outside the sandbox the attack changes it.
    await plainly([*SHELL, attack], worktree)
    assert not (worktree / ".git").is_file() or (worktree / ".git").is_symlink() or (worktree / ".git").read_text() != pointer


# The probe.


@pytest.mark.case("U40")
async def test_the_probe_confirms_a_backend_that_holds(backend: Sandbox, tmp_path: Path) -> None:
    result = await probe(backend, tmp_path / "scratch", PYTHON, ROOTS)
    assert (result.holds, result.reason) == (True, "")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.case("U40")
async def test_the_probe_finds_every_breach_of_no_sandbox_at_all(tmp_path: Path) -> None:
    class Open:
        level = Level.NONE

        def wrap(self, argv, cwd, env, policy) -> SpawnSpec:
            return SpawnSpec(tuple(argv), dict(env), cwd)

    result = await probe(Open(), tmp_path, PYTHON, ROOTS)
    assert not result.holds
    expected = {"write outside", "read outside", "tcp", "udp", "unix", "abstract", "environments", "plan"}
    assert set(result.breaches) >= (expected if sys.platform == "linux" else expected - {"abstract", "environments"})


@pytest.mark.case("U40")
async def test_the_probe_says_why_a_sandbox_cannot_start(tmp_path: Path) -> None:
    class Broken:
        level = Level.FULL

        def wrap(self, argv, cwd, env, policy) -> SpawnSpec:
            return SpawnSpec(
                ("/bin/sh", "-c", "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1"), dict(env), cwd
            )

    result = await probe(Broken(), tmp_path, PYTHON, ROOTS)
    assert (result.holds, result.reason) == (False, "bwrap: setting up uid map: Permission denied")


@pytest.mark.case("U40")
async def test_what_was_found_is_said_in_one_sentence(tmp_path: Path) -> None:
    arguments = {"machine": platform.machine(), "state": tmp_path, "python": PYTHON, "readable": ROOTS}
    found = await find_sandbox(platform=sys.platform, **arguments)
    assert found.sentence.startswith(f"Sandbox: {found.level} ({found.backend}).") or found.level is Level.NONE
    none = await find_sandbox(platform="plan9", **arguments)
    assert none.level is Level.NONE
    assert none.sentence.startswith("Sandbox: none (there is none for this system), so every shell command is asked about")
    chosen = await find_sandbox(platform=sys.platform, none_chosen=True, **arguments)
    assert (chosen.level, chosen.sentence) == (
        Level.NONE,
        "Sandbox: none, because you chose it; nothing confines what commands do.",
    )
    unknown = await find_sandbox(platform="linux", **{**arguments, "machine": "pdp11"})
    assert unknown.level is Level.NONE and "no system-call filter for pdp11" in unknown.sentence


async def test_a_filter_that_was_tampered_with_is_made_anew(tmp_path: Path) -> None:
    arguments = {
        "platform": sys.platform,
        "machine": platform.machine(),
        "python": PYTHON,
        "readable": ROOTS,
        "state": tmp_path,
    }
    await find_sandbox(**arguments)
    filters = sorted(tmp_path.glob("*.bpf"))
    good = [path.read_bytes() for path in filters]
    for path in filters:
        path.write_bytes(b"\x06\0\0\0\0\0\xff\x7f")
    await find_sandbox(**arguments)
    assert [path.read_bytes() for path in filters] == good


async def test_without_a_sandbox_plan_mode_runs_nothing(policy: Policy) -> None:
    with pytest.raises(SandboxError, match="plan mode"):
        Plain().wrap(["true"], "/", {}, Policy(workspace=policy.workspace, home=policy.home, read_only=True))
    process = await spawn(Plain().wrap(["/bin/echo", "x"], "/", {}, policy), asyncio.subprocess.PIPE, asyncio.subprocess.PIPE)
    assert (await process.communicate())[0] == b"x\n"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="NOT TESTED: bubblewrap is not installed")
def test_a_bwrap_that_is_not_roots_is_not_used(tmp_path: Path) -> None:
    from goose_py.sandbox.bubblewrap import known_options

    planted = tmp_path / "bwrap"
    shutil.copy("/usr/bin/bwrap", planted)
    planted.chmod(0o777)
    with pytest.raises(SandboxError, match="not used"):
        known_options(planted)
    with pytest.raises(SandboxError, match="apt-get install bubblewrap"):
        known_options(tmp_path / "missing")
