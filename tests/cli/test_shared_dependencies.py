"""A task works with its user's dependencies: installed in the checkout, ignored by git, seen at the same path."""

import subprocess
import sys
import venv
from pathlib import Path

import pytest
from command import PLAN, PLAN_DONE, User, answered, calls

from goose_py.protocol import events as ev
from goose_py.session.log import read_log

DONE = [{"text": "Done."}] * 8
FIX = ("edit", {"path": "src/shop/__init__.py", "old_string": "sum(prices) + 1", "new_string": "sum(prices)"})


def outputs(user: User, task_id: str) -> str:
    records = read_log(user.state / "tasks" / task_id).records
    return "\n".join(record.event.result.text() for record in records if isinstance(record.event, ev.ToolFinished))


@pytest.fixture
def user(user: User) -> User:
    """A package in `src`, installed editable into the virtual environment beside it, whose check is a program of that."""
    root = user.repository
    (root / "src" / "shop").mkdir(parents=True)
    (root / "src" / "shop" / "__init__.py").write_text("def total(prices):\n    return sum(prices) + 1\n")
    (root / ".gitignore").write_text(".venv/\n*.cfg\n.env\n__pycache__/\n")
    user.commit("A package")
    venv.create(root / ".venv", with_pip=False, symlinks=True)
    (packages,) = (root / ".venv").glob("lib/python*/site-packages")
    (packages / "shop.pth").write_text(f"{root}/src\n")
    (packages / "_distutils_hack").mkdir()
    check = root / ".venv" / "bin" / "shop-check"
    check.write_text(
        f"#!{root}/.venv/bin/python\nimport shop\nassert shop.__file__ == '{root}/src/shop/__init__.py', shop.__file__\n"
        "assert shop.total([1, 2]) == 3\n"
    )
    check.chmod(0o755)
    (root / "local.cfg").write_text("made by a program\n")
    (root / ".env").write_text("PASSWORD=hunter2hunter2\n")
    return user


@pytest.mark.case("H05")
async def test_a_check_from_the_users_virtual_environment_runs_the_tasks_code(user: User) -> None:
    before = sorted((user.repository / ".venv").iterdir())
    use = ".venv/bin/shop-check && touch .venv/installed && ls .venv"
    command = f"cat local.cfg; grep -rs hunter2 .; {use}; git status --short"
    turns = [calls(PLAN, FIX, ("shell", {"command": command})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose(
            "run", "-t", "Fix it", "--output-format", "json", "--sandbox", "full", "--check", ".venv/bin/shop-check"
        )
    assert ended.code == 0, ended
    said = outputs(user, ended.json["session_id"])
    assert "made by a program" in said and "installed" in said and "hunter2" not in said
    assert "\n M src/shop/__init__.py\n" in f"{said}\n" and "?? " not in said
    shown = await user.goose("task", "show", ended.json["session_id"])
    assert "1 file, +1 −1" in shown.out, "nothing of what is shared is in the changeset"
    assert sorted((user.repository / ".venv").iterdir()) == before
    assert "sum(prices) + 1" in (user.repository / "src" / "shop" / "__init__.py").read_text()


async def test_what_is_left_out_is_named_and_can_be_shared(user: User) -> None:
    turns = [calls(PLAN, ("shell", {"command": "grep -rs hunter2 .; ls -A"})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Look")
    assert "Not shared with the task because it looks like secrets: .env" in ended.err, ended
    async with answered(user, turns, config='mode = "auto"\n[worktree]\nshare = [".env", "!.venv"]'):
        ended = await user.goose("run", "-t", "Look", "--output-format", "json")
    assert "looks like secrets" not in ended.err
    said = outputs(user, ended.json["session_id"])
    assert "hunter2" in said and ".venv" not in said.split(), said
    async with answered(user, turns, config='mode = "auto"\n[worktree]\nshare = []'):
        ended = await user.goose("run", "-t", "Look", "--output-format", "json")
    said = outputs(user, ended.json["session_id"]).split()
    assert "local.cfg" not in said and ".venv" not in said


@pytest.mark.skipif(sys.platform != "linux", reason="mounts are Linux's")
async def test_two_tasks_of_one_repository_each_change_their_own(user: User) -> None:
    seen = []
    for number in (1, 2):
        turns = [calls(PLAN, ("shell", {"command": f"echo {number} >> .venv/n; cat .venv/n; pwd"})), calls(PLAN_DONE), *DONE]
        async with answered(user, turns, config='mode = "auto"'):
            ended = await user.goose("run", "-t", "Count", "--output-format", "json", "--sandbox", "full")
        seen.append(outputs(user, ended.json["session_id"]))
        assert f"\n{number}\n{user.repository}" in f"\n{seen[-1]}", seen[-1]
    assert not Path(user.repository / ".venv" / "n").exists()


async def test_without_mounts_it_is_said_what_is_not_there(user: User) -> None:
    turns = [calls(PLAN, ("shell", {"command": "cat local.cfg"})), calls(PLAN_DONE), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Look", "--sandbox", "none")
    cloned = "holds installations that lead to" in ended.err
    assert cloned or "Not shared with the task, because nothing can be mounted or cloned here: .venv." in ended.err, ended


async def test_a_copied_file_that_the_task_removed_stays_away_also_when_the_worktree_is_made_anew(user: User) -> None:
    (user.repository / "kept.cfg").write_text("kept\n")
    turns = [calls(PLAN, FIX, ("shell", {"command": "rm local.cfg; echo mine > kept.cfg"})), calls(PLAN_DONE), *DONE]
    look = [calls(("shell", {"command": "cat local.cfg kept.cfg"})), *DONE]
    async with answered(user, turns, config='mode = "auto"'):
        task = (await user.goose("run", "-t", "Do it", "--output-format", "json")).json["session_id"]
    (user.repository / "kept.cfg").write_text("changed meanwhile\n")
    async with answered(user, look, config='mode = "auto"'):
        assert (await user.goose("run", "--resume", task, "-t", "Look")).code == 0
    seen = outputs(user, task).splitlines()
    assert "made by a program" not in seen and "mine" in seen and "changed meanwhile" not in seen, seen
    assert (await user.goose("task", "discard", task, "--yes")).code == 0
    assert (await user.goose("task", "restore", task)).code == 0
    async with answered(user, look, config='mode = "auto"'):
        assert (await user.goose("run", "--resume", task, "-t", "Look")).code == 0
    seen = outputs(user, task).splitlines()
    assert "made by a program" not in seen and "changed meanwhile" not in seen, "what the task had made of it is back"


@pytest.mark.parametrize("level", ["full", "partial"])
async def test_our_tools_read_an_active_environment_outside_the_checkout_as_commands_do_and_do_not_write_it(
    user: User, level: str
) -> None:
    place = user.root / "home" / "venvs" / "shop"
    venv.create(place, with_pip=False, symlinks=True)
    (packages,) = place.glob("lib/python*/site-packages")
    (packages / "prices.py").write_text("RATE = 3\n")
    (place / ".env").write_text("PASSWORD=hunter2hunter2\n")
    user.env["VIRTUAL_ENV"] = str(place)
    turns = [
        calls(("shell", {"command": f"cat {packages}/prices.py"}), ("read", {"path": f"{packages}/prices.py"})),
        calls(("grep", {"pattern": "RATE", "path": str(packages)}), ("glob", {"pattern": "*.py", "path": str(packages)})),
        calls(("read", {"path": f"{place}/.env"}), ("read", {"path": f"{place}/../other"})),
        calls(("glob", {"pattern": "**/prices.py"})),
        calls(PLAN, ("write", {"path": f"{packages}/more.py", "content": "x"}), PLAN_DONE),
        *DONE,
    ]
    async with answered(user, turns, config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Look", "--output-format", "json", "--sandbox", level)
    records = read_log(user.state / "tasks" / ended.json["session_id"]).records
    said = [r.event.result.text() for r in records if isinstance(r.event, ev.ToolFinished)]
    for text in ("RATE = 3\n", "1\tRATE = 3", f"{packages}/prices.py\n1:RATE = 3", "No files match"):
        assert any(each.startswith(text) for each in said), (text, said)
    assert f"{packages}/prices.py" in said and not any("hunter2" in each for each in said), said
    assert sum("outside the workspace" in each for each in said) == 2, said
    assert not (packages / "more.py").exists()


@pytest.mark.case("U17")
async def test_what_git_ignores_in_a_submodule_is_there_and_stays_out_of_the_changes(user: User) -> None:
    library = user.root / "library"
    library.mkdir()
    (library / "lib.py").write_text("kept = 1\n")
    (library / ".gitignore").write_text("deps/\n*.cfg\n.env\n")
    identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
    for args in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-q", "-m", "library")):
        subprocess.run(["git", *args], cwd=library, check=True)
    user.git("-c", "protocol.file.allow=always", "submodule", "add", "-q", str(library), "library")
    user.commit("library")
    inner = user.repository / "library"
    (inner / "deps").mkdir()
    for name in ("deps/lib.txt", "local.cfg", ".env"):
        (inner / name).write_text(f"{name} of mine\n")
    look = "cat library/lib.py library/deps/lib.txt library/local.cfg; grep -rs mine .; echo x > library/deps/new"
    turns = [calls(("shell", {"command": look})), calls(PLAN, FIX, ("shell", {"command": "git status --short"}), PLAN_DONE)]
    async with answered(user, [*turns, *DONE], config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Look", "--output-format", "json", "--sandbox", "full")
    assert ended.code == 0, ended
    said = outputs(user, ended.json["session_id"])
    warned = [r.event.text for r in read_log(user.state / "tasks" / ended.json["session_id"]).records
              if isinstance(r.event, ev.Warned)]  # fmt: skip
    assert any("looks like secrets: .env, library/.env" in text for text in warned), warned
    assert "kept = 1\ndeps/lib.txt of mine\nlocal.cfg of mine\n" in said and ".env of mine" not in said
    assert "\n M src/shop/__init__.py\n" in f"\n{said}\n" and "?? " not in said, said
    shown = await user.goose("review", ended.json["session_id"], "--json")
    assert [file["path"] for file in shown.json["changes"]["files"]] == ["src/shop/__init__.py"]
    assert not (inner / "deps" / "new").exists()


@pytest.mark.case("H05")
async def test_what_shares_hang_on_is_no_change_even_where_the_task_takes_the_rule_away(user: User) -> None:
    odd = user.repository / "odd\n*"
    odd.mkdir()
    (odd / "x").write_text("x\n")
    (user.repository / ".gitignore").write_text(".venv/\n*.cfg\n.env\n__pycache__/\n/odd*/\n")
    user.commit("A folder whose name would be a rule of its own")
    worktree = user.state / "tasks" / "{}" / "tree" / "cart"
    alter = "sed -i '/venv/d' .gitignore; git status --short; cat .git/info/exclude $(git rev-parse --git-path info/exclude)"
    turns = [calls(("shell", {"command": "git status --short; echo CLEAN"})), calls(PLAN, FIX, ("shell", {"command": alter}))]
    commit = "git add -A && git -c user.name=A -c user.email=a@x commit -qm More && git show --stat --format= HEAD"
    turns += [calls(("shell", {"command": commit})), calls(PLAN_DONE)]
    async with answered(user, [*turns, *DONE], config='mode = "auto"'):
        ended = await user.goose("run", "-t", "Do it", "--output-format", "json", "--sandbox", "full")
    assert ended.code == 0, ended
    task = ended.json["session_id"]
    records = read_log(user.state / "tasks" / task).records
    said = [r.event.result.text() for r in records if isinstance(r.event, ev.ToolFinished)]
    assert said[0].startswith("CLEAN"), said
    altered = next(text for text in said if " M .gitignore" in text)
    assert "??" not in altered and "/.venv/" in altered.splitlines(), altered
    assert any("2 files changed" in text for text in said), said
    shown = await user.goose("review", task, "--json")
    assert [file["path"] for file in shown.json["changes"]["files"]] == [".gitignore", "src/shop/__init__.py"]
    assert "venv" not in user.git("-C", str(worktree).format(task), "status", "--porcelain")
