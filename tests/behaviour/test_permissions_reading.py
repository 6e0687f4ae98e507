"""Commands that were taken for reading and ran code (S01-S05), in many forms: each does under plain Bash what it is feared for,
is not taken for reading, and does no harm where reading is carried out, even if it were."""

import asyncio
import os
import platform
import random
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Decision, Place
from goose_py.permissions.git_commands import assess_git
from goose_py.permissions.git_options import READING, SECOND_WORDS
from goose_py.permissions.options import Syntax
from goose_py.permissions.program_options import OPTIONS
from goose_py.permissions.programs import assess
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.modes import Mode
from goose_py.protocol.tools import ToolSpec
from goose_py.sandbox.detection import _make
from goose_py.sandbox.policy import Policy, SandboxError
from goose_py.sandbox.spawn import Sandbox, bind
from goose_py.sandbox.toolchains import python_roots

SHELL = ToolSpec(name="shell", description="", input_schema={}, extension="developer", trusted=True)
PATH = "/usr/bin:/bin"
BASH = ("/bin/bash", "--norc", "--noprofile", "-c")
PYTHON = Path(sys.executable)
FILES = {"f": "a line\nanother\n", "a": "x\n", "victim": "kept\n", "-x": "kept\n", "list": "victim\n"}
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "GIT_OPTIONAL_LOCKS": "0"}


@pytest.fixture
def ground(tmp_path: Path) -> Path:
    """A repository with a few files, and `evil`, which leaves `made` behind wherever it runs."""
    workspace = tmp_path / "w"
    (workspace / "0").mkdir(parents=True)
    (tmp_path / "home").mkdir()
    for name, text in FILES.items():
        (workspace / name).write_text(text)
    for name in ("evil", "0/ls"):
        (workspace / name).write_text(f"#!/bin/sh\necho x > {workspace}/made\n")
        (workspace / name).chmod(0o755)
    run(workspace, "git init -q . && git add . && git -c user.name=n -c user.email=e@x commit -qm one")
    return workspace


def run(folder: Path, command: str) -> None:
    subprocess.run(
        [*BASH, command], cwd=folder, env={"PATH": PATH, "HOME": "/nonexistent", "LC_ALL": "C.UTF-8", **GIT}, timeout=60,
        stdin=subprocess.DEVNULL, capture_output=True, check=False,
    )  # fmt: skip


def state(folder: Path) -> dict[str, bytes]:
    """Every file of the workspace and what is in it; of git's own all but the index, a cache."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "index")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@contextmanager
def listening() -> Iterator[tuple[int, list[object]]]:
    """A port, and who has connected to it."""
    seen: list[object] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection, address = server.accept()
                except OSError:
                    return
                connection.close()
                seen.append(address)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield server.getsockname()[1], seen
        server.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def judged(workspace: Path, command: str, mode: Mode = "ask", **changes: object) -> Decision:
    place = Place(
        **{
            "workspace": str(workspace), "home": str(workspace.parent / "home"), "sandbox": "full",
            "realpath": lambda path: str(Path(path).resolve()), "which": lambda name: shutil.which(name, path=PATH),
            "exists": os.path.lexists, **changes,
        }
    )  # fmt: skip
    return decide(ToolCall(id="1", name="shell", arguments={"command": command}), SHELL, (), mode, place)


def case(number: str, *commands: str) -> list[object]:
    return [pytest.param(command, marks=pytest.mark.case(number), id=f"{number} {command[:60]}") for command in commands]


# Each of these changes a file or starts `evil` under plain Bash.
WRITES = [
    *case(
        "S01", "test -v 'x[$(echo y > victim)]'", "[ -v 'x[$(echo y > victim)]' ]", "LC_ALL=C test -v 'x[`./evil`]'",
        "ls | test -v 'x[$(./evil)]'", "test ! -v 'x[$(./evil)]'", "test -n x -a -v 'x[$(./evil)]'",
        "test -v 'x[$(./evil)]' -o -n x", "[ ! -v 'x[$(./evil)]' ]", "test '(' -v 'x[$(./evil)]' ')'",
        "printf -v 'x[$(./evil)]' a", "cd . && [ -v 'a[$(./evil)]' ]", "test -v 'x[$(./evil)]' && ls",
        "printf '%n' PATH; ls", "printf '%s%n' '' PATH && ls", "printf '%5n' PATH; cd . && ls",
    ),
    *case(
        "S02", "git grep -e x -e -- -O./evil", "git grep -f list -e -- -O./evil", "sort --random-source -- -o victim f",
        "sort -S 1k -k 1 --random-source -- -ovictim f", "sort -o victim f", "sort --outp victim f", "sort f --output=victim",
        "git log --output=victim", "git diff --output victim HEAD", "git show -1 --output=victim", "git grep -lO./evil x",
        "git grep --open-files=./evil x", "git rev-list HEAD --output=victim; git log --output=victim", "shuf -o victim f",
    ),
    *case("S03", "rg ----pre=./evil x f", "rg --pre ./evil x f", "rg --pre=./evil x f", "rg -z --pre=./evil x f",
        "rg -n -e x --pre=./evil f", "rg x f --pre ./evil", "rg -e -- --pre=./evil f"),
    *case(
        "S04", "uniq a -- -x", "uniq a victim", "uniq -c a victim", "uniq -- a victim", "uniq -f 1 a victim", "uniq - victim",
        "cat a | uniq - -- -x", "xxd a -x", "xxd a victim", "xxd -p a victim", "xxd -l 1 a victim", "xxd -c8 a victim",
        "xxd -- a victim", "uniq +1 a victim",
    ),
]  # fmt: skip
# Their cousins that plain Bash or this machine's programs refuse, or that harm elsewhere.
CONNECTS = case(
    "S05", "cat < /dev/tcp/127.0.0.1/PORT", "wc -l </dev/tcp/127.0.0.1/PORT", "ls < /dev/tcp/127.0.0.1/PORT",
    "echo a | cat < /dev/tcp/127.0.0.1/PORT", "cat 0< /dev/tcp/127.0.0.1/PORT", "cat 3</dev/tcp/127.0.0.1/PORT f",
    "true < '/dev/tcp/127.0.0.1/PORT'", 'head -1 < "/dev/tcp/localhost/PORT"', "cat f; pwd < /dev/tcp/127.0.0.1/PORT",
    "cd . && ls < /dev/tcp/127.0.0.1/PORT", "echo x > /dev/tcp/127.0.0.1/PORT", "ls >> /dev/tcp/127.0.0.1/PORT",
    "ls &> /dev/tcp/127.0.0.1/PORT",
)  # fmt: skip
NOT_READING = [
    *case("S01", "let 'x[$(./evil)]=1'", "(( x[$(./evil)] ))", "[[ -v 'x[$(./evil)]' ]]", "test -R 'x[$(./evil)]'",
        "test 'x[$(./evil)]' -eq 1", "declare -n x", "unset 'x[$(./evil)]'", "read 'x[$(./evil)]'", "test a -gt b",
        "wait -n -p 'x[$(./evil)]'", "mapfile 'x[$(./evil)]'", "[ -v x", "printf %", "printf '%y'"),
    *case("S02", "git log -S --output=x", "find . -name -- -delete", "tree -P -- -o x", "tree -Lo x", "jq --indent -- x f",
        "git grep --max-depth -- -O./evil x", "sort -k1 -t -- -o victim f", "shuf --random-source -- -o victim f",
        "shuf -n 1 --random-source -- --output=victim f", "git log -n 1 -S -- --output=victim", "git log -G -- --output=victim",
        "git diff -S -- --output=victim HEAD f", "git show --format -- --output=victim", "git log --outpu=victim",
        "git -c core.pager=./evil -p log", "git log --no-output", "git log --end-of-options --output=x",
        "head -n -- f", "grep -A -- -f x"),
    *case("S03", "rg --pr=./evil x f", "rg -A --pre=./evil x f", "rg ---pre ./evil x", "find . --delete", "find . ---delete",
        "sort ----output=x", "git log ----output=x", "ls --sor=size", "git diff --stag"),
    *case("S04", "xxd -a -y a b", "xxd a b c", "uniq a +1", "sort +1 -2 f", "tail +1 f", "od +1 f", "pr +1 f", "strings @list",
        "uniq -1 a b", "xxd -r a victim", "date +%s 01010101", "hostname -F f", "comm --output=x a f",
        "file -C -m f", "sort -T . f"),
    *case("S05", "cat < /dev/udp/127.0.0.1/9", "cat < /dev/tcp/example.org/80"),
]  # fmt: skip


@pytest.fixture(params=["bubblewrap", "landlock"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Sandbox:
    (tmp_path / "state").mkdir()
    try:
        sandbox = _make(request.param, platform.machine(), tmp_path / "state", PYTHON)
        start = sandbox.wrap(["true"], str(tmp_path), {"PATH": PATH}, Policy(workspace=tmp_path, home=tmp_path / "h"))
        done = subprocess.run(start.argv, env=dict(start.env), cwd=start.cwd, capture_output=True, check=False)
        reason = done.stderr.decode() if done.returncode else ""
    except (SandboxError, OSError) as error:
        reason = str(error)
    if reason:
        (pytest.fail if os.environ.get("GOOSE_PY_REQUIRE_SANDBOX") else pytest.skip)(f"NOT TESTED, {request.param}: {reason}")
    return sandbox


async def confined(sandbox: Sandbox, workspace: Path, command: str) -> None:
    roots = python_roots(PYTHON, [Path(sys.prefix), Path(sys.base_prefix)])
    policy = Policy(workspace=workspace, home=workspace.parent / "home", readable=roots, network=True).reading()
    start = bind(sandbox, policy)
    process = await start(
        [*BASH, command], cwd=str(workspace), env={"PATH": PATH, **GIT}, stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await asyncio.wait_for(process.wait(), 60)


@pytest.mark.parametrize("command", WRITES)
def test_what_writes_is_not_taken_for_reading(command: str) -> None:
    for level in ("full", "partial"):
        assert judged(Path("/w"), command, sandbox=level).verdict == "ask"
        assert not judged(Path("/w"), command, "auto", sandbox=level).reads_only
        assert judged(Path("/w"), command, "plan", sandbox=level).verdict == "deny"


@pytest.mark.parametrize("number", ["S01", "S02", "S03", "S04"])
async def test_what_writes_could_not_if_it_were_taken_for_reading(ground: Path, backend: Sandbox, number: str) -> None:
    before = state(ground)
    for command in (param.values[0] for param in WRITES if param.id.startswith(number)):
        await confined(backend, ground, command)
        assert state(ground) == before, f"{command} wrote where reading is carried out"
        if there(command):
            run(ground, command)
            assert state(ground) != before, f"{command} does nothing under plain Bash, so it proves nothing"
            restore(ground, before)


def there(command: str) -> bool:
    """Whether what it needs is on this machine."""
    return all(shutil.which(name, path=PATH) for name in ("rg", "xxd") if command.startswith(name))


def restore(folder: Path, before: dict[str, bytes]) -> None:
    now = state(folder)
    for name in now.keys() - before.keys():
        (folder / name).unlink()
    for name, content in before.items():
        if now.get(name) != content:
            (folder / name).write_bytes(content)


@pytest.mark.parametrize("template", CONNECTS)
def test_what_connects_is_not_taken_for_reading(template: str) -> None:
    command = template.replace("PORT", "9")
    assert judged(Path("/w"), command).verdict == "ask" and not judged(Path("/w"), command, "auto").reads_only


async def test_what_connects_could_not_if_it_were_taken_for_reading(ground: Path, backend: Sandbox) -> None:
    with listening() as (port, seen):
        for template in (param.values[0] for param in CONNECTS):
            command = template.replace("PORT", str(port))
            known = len(seen)
            await confined(backend, ground, command)
            assert len(seen) == known
            run(ground, command)
            for _ in range(200):
                if len(seen) > known:
                    break
                await asyncio.sleep(0.01)
            assert len(seen) > known, f"{command} does not connect under plain Bash, so it proves nothing"


@pytest.mark.parametrize("command", NOT_READING)
def test_what_is_not_described_is_not_taken_for_reading(command: str) -> None:
    assert judged(Path("/w"), command).verdict == "ask"
    assert not judged(Path("/w"), command, "auto").reads_only


@pytest.mark.parametrize(
    "command",
    [
        "test -f f && ls", "test '!' -e f", "test 1 -lt 2", "test a = b || echo no", "test x", "printf '%s: %5.2f%%\\n' a 1",
        "printf '%(%F)T\\n'", "head -n -5 f", "head -5 f", "sort -t, -k2,2n -u f", "sort -rn f | uniq -c | sort -rn | head -20",
        "grep -rn --include='*.py' -e '--foo' .", "grep -e -- f", "rg -n --type py 'def x' src", "git log --oneline -5 --stat",
        "git log -S'foo' -p -- src", "git diff --staged --stat", "git diff HEAD~2..HEAD -- a b", "git show HEAD:f",
        "git grep -n 'x' -- '*.py'", "git blame -L 1,5 f", "git status -sb", "git status --porcelain", "ls -la --color=never",
        "find . -type f -name '*.py' -not -path './x/*'", "xxd -l 32 f", "cut -d: -f1 f", "wc -l f",
        "jq -r '.a' f", "jq --arg a b '.x' f", "stat -c %s f", "du -sh .", "diff -ru a f", "tail -f f", "tail -n +5 f",
        "date +%F", "date -u -d yesterday +%s", "tree -L 2", "ps aux", "cat src/*.py", "sort src/*.txt", "git rev-parse HEAD",
        "git stash list", "git show --stat", "git ls-files -o --exclude-standard", "git merge-base HEAD main", "file f",
    ],
)  # fmt: skip
def test_reading_as_people_do_it_is_still_free_and_carried_out_as_reading(command: str) -> None:
    decision = judged(Path("/w"), command, which=lambda name: f"/usr/bin/{name}")
    assert (decision.verdict, decision.reads_only) == ("allow", True), decision.reason


@pytest.mark.parametrize("command", ["cat f > b", "ls && touch b", "make", "ls; python x.py", "cp f b", "cat f | tee b"])
def test_what_may_write_is_not_carried_out_as_reading(command: str) -> None:
    assert not judged(Path("/w"), command, "auto").reads_only


# What the tables say of real programs, tried.


def described() -> Iterator[tuple[str, tuple[str, ...], Syntax]]:
    for name, known in OPTIONS.items():
        yield name, (name,), known
    for name, known in READING.items():
        yield f"git {name}", ("git", name), known
    for words, known in SECOND_WORDS.items():
        if words[1]:
            yield " ".join(("git", *words)), ("git", *words), known


DESCRIBED = {name: (argv, known) for name, argv, known in described()}
SHARED = {id(known): name for name, (_, known) in reversed(DESCRIBED.items())}
"""Git's commands that share a description are tried as the first of them."""
TRIED_ALONE = [name for name, (argv, known) in DESCRIBED.items() if argv[0] != "git" or SHARED[id(known)] == name]
TRIED = ["./evil", "victim2", "1", "http://127.0.0.1:PORT/"]


def invocations(argv: tuple[str, ...], known: Syntax, port: int) -> Iterator[list[str]]:
    """Each option with values that would be found out if they were more than text, beside operands that are there."""
    operands = ["HEAD"] if argv[0] == "git" else ["+%s"] if argv[0] == "date" else ["f"]
    yield [*argv, *operands]
    for option, arity in known.arities.items():
        for value in (value.replace("PORT", str(port)) for value in (TRIED if arity else TRIED[:1])):
            joined = f"{option}={value}" if option.startswith("--") else f"{option}{value}"
            words = {"": [option], "=": [option, value], "~": [option, value], "?": [joined], "==": [option, value, value]}
            yield [*argv, *words[arity], *operands]
            yield [*argv, *operands, *words[arity]]


@pytest.mark.parametrize("name", TRIED_ALONE)
def test_no_option_that_is_described_writes_a_file_runs_a_program_or_connects(ground: Path, name: str) -> None:
    argv, known = DESCRIBED[name]
    if argv[0] != "type" and shutil.which(argv[0], path=PATH) is None:
        pytest.skip(f"NOT TESTED: {argv[0]} is not on this machine")
    before = state(ground)
    with listening() as (port, seen):
        lines = []
        for words in invocations(argv, known, port):
            found = assess_git(tuple(words)) if words[0] == "git" else assess(tuple(words))
            if found.effect == "read":
                lines.append(" ".join("'" + word + "'" for word in words))
        assert lines, "nothing of what is described counts as reading"
        script = "\n".join(f"timeout 0.3 {line} </dev/null >/dev/null 2>&1" if argv[0] != "type" else line for line in lines)
        run(ground, script)
        after = state(ground)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not changed and not seen, f"{name} changed {changed} and connected {len(seen)} times"


DANGEROUS = ["-o", "victim", "--output=victim", "-O./evil", "--pre=./evil", "-ovictim", "--compress-program=./evil", "-T.",
             "--ext-diff", "--textconv", "--open-files-in-pager=./evil", "-delete", "-exec", "./evil", ";",
             "-fprint"]  # fmt: skip
NEUTRAL = ["f", "a", "--", "-", "x", "1", "-e", "-x", "+1", "HEAD"]


def test_options_before_dashes_before_dangerous_ones_in_every_order_write_nothing_where_they_count_as_reading(
    ground: Path,
) -> None:
    """`OPTION -- DANGEROUS` and what lies around it, for programs that have something dangerous."""
    dice = random.Random(20261201)
    several = int(os.environ.get("GOOSE_PY_FUZZ_SECONDS", "3")) * 60
    programs = [
        (argv, list(known.arities))
        for name, (argv, known) in DESCRIBED.items()
        if name in ("sort", "shuf", "uniq", "rg", "diff", "git log", "git diff", "git show", "git grep")
    ]
    programs += [(("find", "."), ["-name", "-newer", "-type", "-printf", "-maxdepth"]), (("xxd",), ["-l", "-p", "-c", "-s"])]
    reading: list[str] = []
    tried = 0
    while len(reading) < several:
        argv, options = dice.choice(programs)
        rest = (dice.choice(dice.choice((NEUTRAL, options, DANGEROUS))) for _ in range(dice.randrange(5)))
        words = [dice.choice(options), *rest]
        whole = (*argv, *words)
        tried += 1
        found = assess_git(whole) if whole[0] == "git" else assess(whole)
        if found.effect == "read" and shutil.which(whole[0], path=PATH):
            reading.append(" ".join("'" + word + "'" for word in whole))
    before = state(ground)
    run(ground, "\n".join(f"timeout 0.3 {line} </dev/null >/dev/null 2>&1" for line in reading))
    after = state(ground)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert not changed, (changed, reading)
    print(f"{tried} made, {len(reading)} count as reading and were run")
