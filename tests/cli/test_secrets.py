"""What a secret must never reach: the processes of a task, its log, what is exported of it, a report of a crash."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from command import GOOSE, PLAN, User, answered, calls

DONE = [{"text": "Done."}] * 4
SECRETS = {
    "ANTHROPIC_API_KEY": "key-of-the-provider-4711",
    "GITHUB_TOKEN": "token-of-the-forge-0815",
    "MY_PASSWORD": "hunter2-hunter2-hunter2",
    "FOO": "ghp_" + "aB3" * 12,
    "TERM_PROGRAM_SECRET": "granted-to-one-alone-99",
}
SERVER = """\
import os, sys
from mcp.server import MCPServer
server = MCPServer(sys.argv[1], version="1")
@server.tool()
async def dump() -> str:
    "Says what this server was given."
    return "\\n".join(f"{name}={value[::-1]}" for name, value in os.environ.items())
server.run("stdio")
"""


@pytest.fixture
def user(user):
    user.env.update(SECRETS)
    (user.repository / "dump.py").write_text(SERVER)
    (user.repository / "notes.txt").write_text("\n".join(f"{name} is {value}" for name, value in SECRETS.items()) + "\n")
    user.commit("A server that says what it was given, and notes that hold every key")
    return user


def kept_files(user: User) -> list[Path]:
    """Everything that we keep; the worktree, its git objects and what commands left in their /tmp are not ours."""
    own = [path for path in (user.root / "home").rglob("*") if not path.is_symlink()]
    return [path for path in own if not {"tree", "git", "tmp"} & set(path.relative_to(user.root / "home").parts)]


@pytest.mark.case("A38")
async def test_no_command_and_no_server_sees_a_key_but_the_one_server_that_was_granted_it(user):
    extension = '[extensions.{name}]\ntype = "stdio"\ncmd = "python"\nargs = ["dump.py", "{name}"]\n{more}\n'
    granted = extension.format(name="granted", more='env_keys = ["TERM_PROGRAM_SECRET"]')
    config = granted + extension.format(name="plain", more="")
    # Turned round, a value is not redacted: what is looked for is whether it was there at all.
    reading = "env | rev; cat /proc/*/environ 2>/dev/null | tr '\\0' '\\n' | rev"
    turns = [
        calls(("shell", {"command": reading})),
        calls(PLAN),
        calls(("granted__dump", {}), ("plain__dump", {})),
        *DONE,
    ]
    async with answered(user, turns, config=f'mode = "auto"\n{config}') as server:
        ended = await user.goose("run", "-t", "Look", "--output-format", "json", "--sandbox", "full")
    assert ended.code == 0, ended
    last = json.dumps(server.requests[-1].body)
    shell, _, granted, plain = (answer["content"] for answer in _answers(server.requests[-1].body))
    backwards = {name: value[::-1] for name, value in SECRETS.items()}
    assert "=HTAP" in json.dumps(shell), "the environment was read"
    assert backwards["TERM_PROGRAM_SECRET"] in json.dumps(granted)
    for name, value in backwards.items():
        assert value not in json.dumps(shell) and value not in json.dumps(plain), name
        assert name == "TERM_PROGRAM_SECRET" or value not in last, name
    # The control: without us a child has all of them.
    control = plainly(reading, user.environment())
    assert all(value in control for value in backwards.values())


def plainly(command: str, env: dict[str, str]) -> str:
    return subprocess.run(["/bin/sh", "-c", command], env=env, capture_output=True, text=True, check=False).stdout


def _answers(body: dict) -> list[dict]:
    return [
        part
        for message in body["messages"]
        if isinstance(message["content"], list)
        for part in message["content"]
        if part.get("type") == "tool_result"
    ]


@pytest.mark.case("A39")
async def test_a_key_that_a_command_a_provider_an_address_or_a_bug_says_is_kept_nowhere(user):
    url = f"http://user:{SECRETS['GITHUB_TOKEN']}@127.0.0.1:9/?api_key={SECRETS['FOO']}"
    flood = "for i in $(seq 400); do cat notes.txt; echo padding-padding-padding; done"
    turns = [
        calls(("shell", {"command": "cat notes.txt"}), ("read", {"path": "notes.txt"}), ("shell", {"command": flood})),
        calls(("shell", {"command": f"echo {url}"}), text=f"I use {SECRETS['MY_PASSWORD']}."),
        {"error": {"status": 400, "message": f"bad key {SECRETS['ANTHROPIC_API_KEY']}"}},
    ]
    async with answered(user, turns, config='mode = "auto"') as server:
        command = ["/bin/sh", "-c", 'umask 000; exec "$0" "$@"', str(GOOSE), "run", "-t", f"Use {SECRETS['MY_PASSWORD']}"]
        process = await asyncio.create_subprocess_exec(
            *command, "--output-format", "json", cwd=user.repository, env=user.environment(), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            out, err = await process.communicate()
    assert process.returncode == 5, (out, err)
    assert len(server.requests) == 3
    task_id = json.loads(out)["session_id"]
    for form in ("markdown", "json", "html"):
        exported = await user.goose("session", "export", task_id, "--format", form)
        assert exported.code == 0 and "redacted" in exported.out, exported
        for name, value in SECRETS.items():
            assert value not in exported.out, (form, name)
    for name, value in SECRETS.items():
        assert value not in out.decode() + err.decode(), name
    _crash(user)
    assert list((user.state / "crashes").iterdir())
    found = [
        (path, name)
        for path in kept_files(user)
        if path.is_file()
        for name, value in SECRETS.items()
        if value.encode() in path.read_bytes()
    ]
    assert found == []
    assert SECRETS["MY_PASSWORD"] in (user.state / "tasks" / task_id / "tree" / "cart" / "notes.txt").read_text(), "their file"


def _crash(user: User) -> None:
    """The report of a bug whose message holds every key, written by the program's own root."""
    program = (
        "import os, goose_py.cli as cli\nimport sys\n"
        "sys.exit(cli._report_bug(RuntimeError(' '.join(os.environ[n] for n in sys.argv[1:]))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, *SECRETS], env=user.environment(), cwd=user.repository, capture_output=True, text=True,
        check=False, umask=0,
    )  # fmt: skip
    assert done.returncode == 1 and "a bug in goose-py" in done.stderr, done
    assert not any(value in done.stderr for value in SECRETS.values())


@pytest.mark.case("A39")
async def test_what_is_kept_is_its_owners_alone_whatever_the_umask_and_nothing_has_a_fixed_name_in_tmp(user, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    user.env["TMPDIR"] = str(temporary)
    async with answered(user, [calls(("shell", {"command": "echo x > /tmp/made; echo hello"})), *DONE], config='mode = "auto"'):
        process = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", 'umask 000; exec "$0" run -t Go', str(GOOSE), cwd=user.repository, env=user.environment(),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )  # fmt: skip
        async with asyncio.timeout(60):
            _, err = await process.communicate()
    assert process.returncode == 0, err
    _crash(user)
    home = user.root / "home"
    open_to_others = [
        f"{path.relative_to(home)} {path.stat().st_mode & 0o777:o}"
        for path in kept_files(user)
        if path.stat().st_mode & 0o077 and not {"config", ".gitconfig"} & set(path.relative_to(home).parts)
    ]
    assert open_to_others == []
    assert (home / "state").stat().st_mode & 0o777 == 0o700
    assert list(temporary.iterdir()) == []
    guessed = ("goose-py", "goose", "goose-py.sock", "goose-py.log", f"goose-py-{os.getuid()}")
    assert not any((Path("/tmp") / name).exists() for name in guessed)
    assert not Path("/tmp/made").exists(), "a task's /tmp is its own"
