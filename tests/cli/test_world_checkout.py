"""What a task sees of the place its user stands in: the same path, the same folder, the same uncommitted work, the variables
that were granted; and what becomes of checkouts that are in no fit state. One clear sentence each, and nothing is lost."""

import asyncio
import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from checkouts import SHOW_STATE, Run, git_state, manifest, run
from command import CHECK, FIX, FIXING, GOOSE, PLAN, PLAN_DONE, Ended, User, answered, calls
from parallel import ended, folder_of, until

from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of

FOUND_CHECKS = True

DONE = [{"text": "Done."}] * 4
GO = "until [ -e /tmp/go ]; do sleep 0.02; done"
WRITES = ("write", {"path": "new.txt", "content": "new\n"})


def shell(command: str) -> tuple[str, dict[str, str]]:
    return "shell", {"command": command}


def looking(command: str) -> list[dict[str, object]]:
    """A task that prints what `command` says, and changes one file."""
    return [calls(shell(command)), calls(PLAN, WRITES, PLAN_DONE), *DONE]


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def sentence(text: str, *needed: str) -> str:
    """The one line of `text` that says all of `needed`."""
    assert "Traceback" not in text, text
    found = [line for line in text.splitlines() if all(re.search(need, line) for need in needed)]
    assert len(found) == 1, (needed, text)
    return found[0]


@pytest.mark.case("P12")
async def test_a_task_works_in_the_folder_where_it_was_started(user: User):
    files = {"AGENTS.md": "The rule of the root.\n", "a.txt": "from the root\n"}
    nearer = {"pkg/a/AGENTS.md": "The rule of pkg/a.\n", "pkg/a/a.txt": "from pkg/a\n"}
    write(user.repository, {**files, **nearer, "pkg/a/Makefile": "test:\n\ttest -e new.txt && grep -q from.pkg/a a.txt\n"})
    user.commit("A monorepo")
    folder = user.repository / "pkg" / "a"
    read = calls(("read", {"path": "a.txt"}), shell("pwd; cat a.txt"), ("glob", {"pattern": "a.*"}))
    async with answered(user, [read, calls(PLAN, WRITES, PLAN_DONE), *DONE]) as server:
        done = await run(user, "-t", "Do it", "--check", "auto", cwd=folder)
    first = json.dumps(server.requests[0].body)
    assert 0 < first.index("The rule of pkg/a.") < first.index("The rule of the root."), "the nearest first"
    shown, printed, globbed, *_ = done.printed
    assert "from pkg/a" in shown and "from the root" not in shown
    assert printed.startswith(f"{folder}\nfrom pkg/a\n")
    assert "a.txt" in globbed
    assert "checks: make test" in done.ended.err and (await done.row())["checks"] == "passed"
    assert await done.changes() == {"pkg/a/new.txt"}


@pytest.mark.case("H02")
@pytest.mark.case("U18")
async def test_a_recipe_on_uncommitted_work_sees_it_without_a_flag_and_head_is_there_for_who_asks(user: User):
    (user.repository / "cart.py").write_text("# staged\n" + (user.repository / "cart.py").read_text())
    user.git("add", "cart.py")
    write(user.repository, {"untracked.txt": "mine\n"})
    before, outside = manifest(user.repository), git_state(user.repository)
    verdict = {"verdict": "good", "summary": "Fine.", "findings": []}
    reviewing = [calls(shell(SHOW_STATE), shell("git diff --staged HEAD")), calls(("final_output", verdict)), *DONE]
    async with answered(user, reviewing):
        done = await run(user, "recipe", "review-changes")
    assert done.state == outside and "+# staged" in done.printed[1]
    sentence("\n".join(done.first_lines), r"from main\b", r"\b2 uncommitted files")
    assert manifest(user.repository) == before

    head = user.git("rev-parse", "HEAD").strip()
    async with answered(user, looking("git status --porcelain; head -1 cart.py; ls")):
        clean = await run(user, "-t", "Do it", "--base", "head")
    assert clean.printed[0].startswith("def total") and "untracked.txt" not in clean.printed[0]
    assert (await clean.row())["base"] == head and not any("uncommitted files" in line for line in clean.first_lines)
    assert await clean.changes() == {"new.txt"}
    assert manifest(user.repository) == before


@pytest.mark.case("H03")
async def test_a_result_that_is_written_into_the_checkout_stands_in_the_way_of_nothing(user: User):
    result = user.repository / "r.json"
    async with answered(user, FIXING):
        with result.open("wb") as file:
            process = await asyncio.create_subprocess_exec(
                GOOSE, "run", "-t", "Fix it", "--check", CHECK, "--output-format", "json",
                cwd=user.repository, env=user.environment(), stdin=asyncio.subprocess.DEVNULL, stdout=file,
                stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            async with asyncio.timeout(100):
                _, err = await process.communicate()
    assert process.returncode == 0, err
    written = result.read_bytes()
    done = json.loads(written)
    assert done["outcome"] == "done"
    applied = await user.goose("apply", done["session_id"], "--all", "--yes")
    assert applied.code == 0, applied
    assert result.read_bytes() == written and "sum(prices) - discount" in (user.repository / "cart.py").read_text()


@pytest.mark.case("H05")
async def test_a_variable_reaches_commands_only_where_it_was_granted_and_only_a_secret_is_struck_out(user: User):
    granted = {
        "GH_TOKEN": "token-of-the-forge-0815",
        "DEPLOY_WITH": "ghp_" + "aB3" * 12,  # what it is shows in its look
        "AWS_REGION": "eu-central-1",
        "AWS_SECRET": "short",
        "STAGE": "production",
    }
    user.env |= granted | {"OTHER_TOKEN": "of-nobody-else-4711"}
    names = [*granted, "OTHER_TOKEN"]
    # Turned round, a value is not redacted.
    turned = "".join(f'; printf "{name}=%s\\n" "${name}" | rev' for name in names)
    command = f'echo "region $AWS_REGION, stage $STAGE, short $AWS_SECRET, token $GH_TOKEN, $DEPLOY_WITH"{turned}'
    config = '[sandbox]\nenv = ["GH_TOKEN", "DEPLOY_WITH", "AWS_*"]\n'
    async with answered(user, looking(command)):
        without = await run(user, "-t", "Look")
    assert "region , stage , short , token , " in without.printed[0]
    async with answered(user, looking(command), config=config):
        done = await run(user, "-t", "Look", "--env", "STAGE")
        doctor = await user.goose("doctor")
    for name, value in granted.items():
        assert f"{value[::-1]}={name[::-1]}" in done.printed[0], name
        assert len(done.named(name)) == 1, "what is passed is named"
        assert name == "STAGE" or name in doctor.out + doctor.err or "AWS_*" in doctor.out + doctor.err
    assert "4711" not in done.printed[0] and "1174" not in done.printed[0]
    assert "region eu-central-1, stage production, short short, token [redacted" in done.printed[0]
    home = user.root / "home"
    ours = (path for path in home.rglob("*") if not {"tree", "git", "tmp"} & set(path.relative_to(home).parts))
    kept = b"".join(path.read_bytes() for path in ours if path.is_file() and not path.is_symlink())
    assert granted["GH_TOKEN"].encode() not in kept and granted["DEPLOY_WITH"].encode() not in kept

    del user.env["STAGE"]
    async with answered(user, looking(command), config=config):
        lacking = await run(user, "-t", "Look", "--env", "STAGE")
    assert len(lacking.named("STAGE")) == 1, "a name without a value is said"


@pytest.mark.case("S13")
@pytest.mark.parametrize(
    ("granted", "holds", "does_not"),
    [
        ("", ("no network",), ("GH_TOKEN",)),
        ("network = true\nenv = ['GH_TOKEN']\n", ("network", "GH_TOKEN"), ("no network",)),
        ("allow_hosts = ['files.example.org']\nreadable = ['/var/tmp']\n", (r"files\.example\.org", "/var/tmp"), ()),
    ],
    ids=["nothing", "network", "hosts"],
)
async def test_what_is_said_of_the_sandbox_is_what_holds(user: User, granted: str, holds: tuple[str], does_not: tuple[str]):
    user.env["GH_TOKEN"] = "token-of-the-forge-0815"
    async with answered(user, DONE, config=f"[sandbox]\n{granted}") as server:
        await run(user, "-t", "Look")
    told = re.search(r"Sandbox of commands: (.*?)\\n", json.dumps(server.requests[0].body))
    assert told is not None
    for text in holds:
        assert re.search(text, told[1]), told[1]
    for text in does_not:
        assert not re.search(text, told[1]), told[1]


@pytest.mark.case("U02")
async def test_a_path_of_the_checkout_means_the_tasks_file_and_a_siblings_is_out_of_reach(user: User):
    async with answered(user, looking("pwd")):
        sibling = await run(user, "-t", "Do it")
    theirs = folder_of(user, sibling.id).worktree("cart") / "new.txt"
    before, main = manifest(user.repository), user.repository
    turns = [
        calls(PLAN),
        calls(
            ("write", {"path": str(main / "by-tool.txt"), "content": "x\n"}),
            ("edit", {**FIX[1], "path": str(main / "cart.py")}),
            shell(f"echo x > {main}/by-command.txt; cat {main}/by-tool.txt"),
            ("edit", {"path": str(theirs), "old_string": "new", "new_string": "taken"}),
            shell(f"echo taken > {theirs}"),
        ),
        calls(PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns):
        done = await run(user, "-t", "Do it", code=None)  # the sibling may be denied, or not be there at all
    assert manifest(main) == before and theirs.read_text() == "new\n"
    assert await done.changes() == {"by-tool.txt", "by-command.txt", "cart.py"}
    assert "x\n" in done.printed[3]


@pytest.mark.case("U02")
async def test_tasks_of_one_repository_stand_at_the_same_path_and_each_sees_its_own_files(user: User):
    write(user.repository, {".gitignore": "deps/\n", "deps/lib.txt": "as installed\n"})
    user.commit("Dependencies")
    before = manifest(user.repository)
    begins = "pwd; echo $PORT > own.txt; echo $PORT > deps/own.txt; echo > /tmp/begun"
    begins += f"; {GO}; cat own.txt deps/own.txt deps/lib.txt"
    first = {"when": {"replies": 0}, "repeat": 0, **calls(shell(begins))}
    async with answered(user, [first, {"text": "Done.", "repeat": 0}]):
        started = await user.goose("task", "start", "--each", "-", "--mode", "auto", stdin="one\ntwo\n")
        ids = started.out.split()
        tasks = [folder_of(user, task) for task in ids]
        waiting = ("awaiting approval", "awaiting review", "failed")
        settled = [lambda task=task: (task.tmp / "begun").exists() or summary_of(task).state in waiting for task in tasks]
        await until(lambda: all(is_so() for is_so in settled), seconds=60)
        assert all((task.tmp / "begun").exists() for task in tasks), [summary_of(task) for task in tasks]
        for task in tasks:
            (task.tmp / "go").touch()
        for task in ids:
            await ended(user, task, "awaiting review", seconds=60)
    printed = [Run(user, task, started).printed[0].splitlines()[:4] for task in ids]
    for where, own, installed, lib in printed:
        assert where == str(user.repository) and own == installed and lib == "as installed"
    assert printed[0][1] != printed[1][1]
    assert manifest(user.repository) == before
    for task in ids:
        assert await Run(user, task, started).changes() == {"own.txt"}


SECRETS = {
    ".env": "PLAIN=word-of-mine\n",
    "deploy/id_rsa": "-----BEGIN OPENSSH PRIVATE KEY-----\nword-of-mine\n",
    "prod.tfvars": "password = \"word-of-mine\"\n",
    "notes.txt": "the key is AKIAQWERTYUIOPASDFGH word-of-mine\n",
}


async def test_secrets_that_git_does_not_track_stay_out_are_named_and_are_never_written_over(user: User):
    write(user.repository, {".gitignore": "secrets.toml\nlocal.toml\n", ".env.shared": "TRACKED=yes\n"})
    user.commit("A file of the project that only looks like one of secrets")
    ignored = {"secrets.toml": "aws = \"AKIAQWERTYUIOPASDFGH\" # word-of-mine\n", "local.toml": "port = 1\n"}
    write(user.repository, SECRETS | ignored)
    before = manifest(user.repository)
    turns = [
        # Names of secrets are asked about where a command spells them.
        calls(shell("cat local.toml; grep -r TRACKED .; ls -aR .; grep -r word-of-mine . || echo none")),
        calls(PLAN, shell("python3 -c 'open(\".e\" + \"nv\", \"w\").write(\"MINE=no\")'"), FIX, PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns):
        done = await run(user, "-t", "Do it")
    assert "port = 1\n" in done.printed[0], "what holds no secret comes"
    assert "TRACKED=yes\n" in done.printed[0], "and what is tracked, whatever its name"
    assert "none" in done.printed[0]
    for name in (*SECRETS, "secrets.toml"):
        assert len(done.named(name)) == 1, f"{name} is named once"
        assert Path(name).name not in done.printed[0].replace(".env.shared", ""), name
    assert any("worktree.share" in line for line in done.first_lines), "it says what brings them"
    refused = await user.goose("apply", done.id, "--all", "--yes")
    assert refused.code != 0 and manifest(user.repository) == before
    assert re.search(r"\.env\b", refused.err) and "Traceback" not in refused.err
    objects = user.git("cat-file", "--batch-all-objects", "--batch-check=%(objectname) %(objecttype)")
    blobs = [line.split()[0] for line in objects.splitlines() if line.endswith("blob")]
    assert not [blob for blob in blobs if "word-of-mine" in user.git("cat-file", "blob", blob)], "it is in no object"

    reading = looking("grep -r word-of-mine .")
    async with answered(user, reading, config='[worktree]\nshare = [".env", "secrets.toml"]\n'):
        shared = await run(user, "-t", "Do it")
    assert shared.printed[0].count("word-of-mine") == 2, "unless the user shares it"
    assert await shared.changes() == {"new.txt"}


NAMES = {"spaces": "my own cart", "quotes": "it's \"$HOME\"", "newline": "my\ncart", "not-utf-8": os.fsdecode(b"caf\xe9")}


@pytest.mark.parametrize("kind", NAMES)
async def test_a_checkout_with_a_strange_name_is_worked_in_or_refused_in_a_sentence(user: User, kind: str):
    moved = user.root / NAMES[kind]
    user.repository.rename(moved)
    user.repository = moved
    before = manifest(moved)
    async with answered(user, [calls(shell("pwd; git status --porcelain")), *FIXING]):
        ended = await user.goose("run", "-t", "Fix it", "--check", CHECK, seconds=100)
    assert manifest(moved) == before and "Traceback" not in ended.err
    if kind in ("newline", "not-utf-8") and ended.code == 2:
        assert len(ended.err.strip().splitlines()) == 1, ended.err
        return
    assert ended.code == 0, ended
    (row,) = (await user.goose("task", "list", "--json")).json
    done = Run(user, row["task_id"], ended)
    assert kind not in ("spaces", "quotes") or done.printed[0].splitlines()[0] == str(moved)
    assert (await user.goose("apply", done.id, "--all", "--yes")).code == 0
    assert "sum(prices) - discount" in (moved / "cart.py").read_text()


async def test_a_checkout_behind_a_link_is_the_checkout(user: User):
    link = user.root / "link"
    link.symlink_to(user.repository)
    before = manifest(user.repository)
    async with answered(user, [calls(shell("pwd")), calls(("read", {"path": str(link / "cart.py")})), *FIXING]):
        done = await run(user, "-t", "Fix it", "--check", CHECK, cwd=link)
    assert done.printed[0].splitlines()[0] in (str(link), str(user.repository))
    assert "def total" in done.printed[1]
    assert manifest(user.repository) == before and await done.changes() == {"cart.py"}


async def test_a_task_can_be_started_inside_the_worktree_of_another(user: User):
    async with answered(user, looking("pwd")):
        first = await run(user, "-t", "Do it")
    inner = folder_of(user, first.id).worktree("cart")
    before = manifest(inner)
    async with answered(user, looking("cat new.txt; pwd")):
        second = await run(user, "-t", "Do it", cwd=inner)
    assert second.printed[0].startswith(f"new\n{inner}\n"), "it starts from what is there, at its place"
    assert manifest(inner) == before


async def begun(user: User, process: asyncio.subprocess.Process) -> TaskFolder:
    """The only task, once a command of it has made /tmp/begun."""
    tasks = user.state / "tasks"
    await until(lambda: process.returncode is not None or any(tasks.glob("*/tmp/begun")), seconds=60)
    assert process.returncode is None, (await process.communicate())[1].decode()
    (found,) = tasks.glob("*/tmp/begun")
    return folder_of(user, found.parent.parent.name)


def _moves(user: User) -> None:
    user.repository.rename(user.root / "elsewhere")


def _deletes(user: User) -> None:
    shutil.rmtree(user.repository)


@pytest.mark.parametrize("happens", [_moves, _deletes], ids=["moved", "deleted"])
async def test_a_checkout_that_goes_away_while_a_task_runs_is_said_and_no_work_is_lost(
    user: User, happens: Callable[[User], None]
):
    turns = [calls(PLAN, WRITES), calls(shell(f"echo > /tmp/begun; {GO}; echo later > later.txt")), calls(PLAN_DONE), *DONE]
    async with answered(user, [*turns, *DONE]):
        process = await user.start("run", "-t", "Do it")
        task = await begun(user, process)
        happens(user)
        (task.tmp / "go").touch()
        async with asyncio.timeout(100):
            out, err = await process.communicate()
    assert process.returncode is not None
    said = err.decode() + out.decode()
    assert "Traceback" not in said
    assert re.search(rf"{re.escape(str(user.repository))}.* (moved|deleted)", said)
    tree = task.worktree("cart")
    assert (tree / "new.txt").read_text() == "new\n" and (tree / "later.txt").read_text() == "later\n"
    if happens is _moves:
        (user.root / "elsewhere").rename(user.repository)
        done = Run(user, task.task_id, Ended(process.returncode, out.decode(), err.decode()))
        assert await done.changes() == {"new.txt", "later.txt"}
        assert (await user.goose("apply", done.id, "--all", "--yes")).code == 0
        assert (user.repository / "later.txt").read_text() == "later\n"


async def test_repositories_within_links_that_lead_out_and_shared_folders_that_vanish_hold_nothing_up(user: User):
    outside = user.root / "outside"
    write(outside, {"lib.txt": "of the system\n"})
    write(user.repository, {".gitignore": "linked\ndeps/\n", "deps/lib.txt": "as installed\n"})
    user.commit("Dependencies")
    (user.repository / "linked").symlink_to(outside)
    inner = user.repository / "vendor" / "other"
    write(inner, {"code.txt": "somebody else's\n"})
    git = ("git", "-c", "user.name=A", "-c", "user.email=a@example.org")
    for args in (("init", "-q"), ("add", "-A"), ("commit", "-q", "-m", "x")):
        subprocess.run([*git, *args], cwd=inner, check=True)
    begins = f"cat deps/lib.txt; cat linked/lib.txt; cat vendor/other/code.txt; echo > /tmp/begun; {GO}"
    turns = [calls(shell(begins)), calls(shell("ls; echo 'still here'")), calls(PLAN, WRITES, PLAN_DONE), *DONE]
    before = manifest(inner)
    async with answered(user, turns):
        process = await user.start("run", "-t", "Do it")
        task = await begun(user, process)
        shutil.rmtree(user.repository / "deps")
        (task.tmp / "go").touch()
        async with asyncio.timeout(100):
            out, err = await process.communicate()
    assert process.returncode == 0, err.decode()
    done = Run(user, task.task_id, Ended(process.returncode, out.decode(), err.decode()))
    assert "as installed" in done.printed[0] and "still here" in done.printed[1]
    for shown, name in (("of the system", "linked"), ("somebody else's", "vendor/other")):
        assert shown in done.printed[0] or done.named(name), "it is there, or it is said that it is not"
    assert manifest(inner) == before and (outside / "lib.txt").read_text() == "of the system\n"
    assert await done.changes() == {"new.txt"}


async def test_ten_thousand_untracked_files_are_bounded_and_said(user: User):
    heap = user.repository / "heap"
    heap.mkdir()
    for number in range(10_000):
        (heap / f"{number}.txt").write_text(f"{number}\n")
    before = manifest(user.repository)
    async with answered(user, [calls(shell("pwd; git status --porcelain | wc -l")), *FIXING]):
        done = await run(user, "-t", "Fix it", "--check", CHECK)
    assert done.printed[0].splitlines()[0] == str(user.repository)
    sentence("\n".join(done.first_lines), r"10[, ]?00\d|heap")
    assert manifest(user.repository) == before and await done.changes() == {"cart.py"}
