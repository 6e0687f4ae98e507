"""A task's files are seen at the path of the user's checkout, and the checkout is out of reach there."""

import asyncio
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from git_repos import git_inside
from msgspec.structs import replace

from goose_py.bootstrap.confinement import can_be_covered
from goose_py.sandbox.detection import _make
from goose_py.sandbox.policy import Policy, SandboxError
from goose_py.sandbox.spawn import Sandbox, bind

SHELL = ("/bin/bash", "--norc", "--noprofile", "-c")


def git(folder: Path, *arguments: str) -> str:
    environment = {
        "PATH": "/usr/bin:/bin", "GIT_CONFIG_GLOBAL": "/dev/null", "HOME": "/nonexistent", "GIT_AUTHOR_NAME": "n",
        "GIT_AUTHOR_EMAIL": "e@x", "GIT_COMMITTER_NAME": "n", "GIT_COMMITTER_EMAIL": "e@x",
    }  # fmt: skip
    return subprocess.run(
        ["git", *arguments], cwd=folder, env=environment, check=True, capture_output=True, text=True
    ).stdout


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    state = tmp_path / "state"
    state.mkdir()
    try:
        return _make("bubblewrap", platform.machine(), state, Path(sys.executable))
    except SandboxError as error:
        (pytest.fail if os.environ.get("GOOSE_PY_REQUIRE_SANDBOX") else pytest.skip)(f"NOT TESTED, bubblewrap: {error}")


def a_task(tmp_path: Path, checkout: Path, home: Path | None = None) -> Policy:
    """A checkout with one commit, and the policy of a task in a worktree of it where `f` says `task`."""
    checkout.mkdir(parents=True)
    git(checkout, "init", "-q", "-b", "main")
    (checkout / "f").write_text("checkout\n")
    git(checkout, "add", ".")
    git(checkout, "commit", "-qm", "one")
    worktree = tmp_path / "wt"
    git(checkout, "worktree", "add", "-q", "-b", "goose/t", str(worktree))
    (worktree / "f").write_text("task\n")
    (checkout / "secret").write_text("of the checkout only\n")
    for name in ("home", "tmp", "cache"):
        (tmp_path / name).mkdir(exist_ok=True)
    return Policy(
        workspace=worktree,
        home=home or tmp_path / "home",
        place=checkout,
        git=git_inside(checkout, worktree, "goose/t", tmp_path / "store"),
        tmp=tmp_path / "tmp",
        cache=tmp_path / "cache",
    )


async def run(sandbox: Sandbox, policy: Policy, command: str, cwd: Path | None = None, **env: str) -> tuple[int, str]:
    process = await bind(sandbox, policy)(
        [*SHELL, command], cwd=str(cwd or policy.workspace), env={"PATH": "/usr/bin:/bin", "LC_ALL": "C", **env},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, os.fsdecode(output)


PLACES = {
    "in the home folder": "home/src/project",
    "with spaces": "a place/with  spaces ",
    "with a newline": "two\nlines/x",
    "not UTF-8": os.fsdecode(b"caf\xe9/x"),
    "of another task's worktree": "home/.local/state/goose-py/tasks/other/worktree/project",
}


@pytest.mark.case("H05")
@pytest.mark.parametrize("where", PLACES.values(), ids=PLACES)
async def test_the_task_stands_at_the_path_of_the_checkout(sandbox: Sandbox, tmp_path: Path, where: str) -> None:
    checkout = tmp_path / where
    policy = a_task(tmp_path, checkout)
    code, output = await run(sandbox, policy, 'pwd; cat f "$HERE/f"; ls; echo new > "$HERE/new"', HERE=str(checkout))
    assert code == 0, output
    assert output == f"{checkout}\ntask\ntask\nf\n"
    assert (policy.workspace / "new").read_text() == "new\n" and not (checkout / "new").exists()
    assert (checkout / "f").read_text() == "checkout\n"
    # Git inside stands there too, and what it says is about the task's files.
    looking = "git rev-parse --show-toplevel; git status -s; git commit -qam 2; git log --format=%s"
    code, output = await run(sandbox, policy, looking)
    assert (code, output) == (0, f"{checkout}\n M f\n?? new\n2\none\n")
    assert git(checkout, "log", "--format=%s") == "one\n"


async def test_nothing_inside_leads_to_the_checkout(sandbox: Sandbox, tmp_path: Path) -> None:
    checkout = tmp_path / "project"
    policy = a_task(tmp_path, checkout)
    policy = replace(policy, readable=(tmp_path / "aside",))
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "link").symlink_to(checkout)
    spellings = [
        f"{checkout}/secret", f"{tmp_path}/aside/link/secret", f"{checkout}/../project/secret",
        f"/proc/self/root{checkout}/secret",
        f"/proc/1/root{checkout}/secret", f"{policy.workspace}/secret", "secret", f"/proc/1/cwd/{checkout}/secret",
    ]  # fmt: skip
    for spelling in spellings:
        looking = f"cat '{spelling}'; grep -rl 'of the checkout only' /tmp /home /run {tmp_path} 2>/dev/null"
        _, output = await run(sandbox, policy, looking)
        assert "of the checkout only" not in output and "secret\n" not in output.replace("No such file", ""), spelling
    # What they name is the task's file.
    code, output = await run(sandbox, policy, f"cat {tmp_path}/aside/link/f {policy.workspace}/f /proc/self/root{checkout}/f")
    assert (code, output) == (0, "task\n" * 3)


@pytest.mark.parametrize("whole", [True, False], ids=["the checkout is a link", "a folder above it is"])
async def test_a_checkout_behind_a_symlink_has_both_of_its_names(sandbox: Sandbox, tmp_path: Path, whole: bool) -> None:
    policy = a_task(tmp_path, tmp_path / "data" / "code" / "project")
    link = tmp_path / ("short" if whole else "src")
    link.symlink_to(tmp_path / "data" / "code" / "project" if whole else tmp_path / "data" / "code")
    named = link if whole else link / "project"
    policy = replace(policy, names=(named,))
    code, output = await run(sandbox, policy, f"cat '{named}/f' '{tmp_path}/data/code/project/f'; pwd -P")
    assert (code, output) == (0, f"task\ntask\n{tmp_path}/data/code/project\n")
    assert (await run(sandbox, policy, f"cat '{named}/secret'"))[0] != 0


async def test_a_home_that_is_the_root_changes_nothing(sandbox: Sandbox, tmp_path: Path) -> None:
    policy = a_task(tmp_path, tmp_path / "project", home=Path("/"))
    assert await run(sandbox, policy, "pwd; cat f; echo $HOME") == (0, f"{tmp_path}/project\ntask\n/home/sandbox\n")


async def test_a_folder_to_start_in_is_the_same_one_inside(sandbox: Sandbox, tmp_path: Path) -> None:
    policy = a_task(tmp_path, tmp_path / "project")
    (policy.workspace / "pkg").mkdir()
    policy = replace(policy, names=(tmp_path / "named",))
    for cwd in (policy.workspace / "pkg", tmp_path / "project" / "pkg", tmp_path / "named" / "pkg"):
        assert await run(sandbox, policy, "pwd", cwd) == (0, f"{tmp_path}/project/pkg\n")


async def test_the_running_python_in_the_checkout_is_there_and_covers_nothing_of_the_task(
    sandbox: Sandbox, tmp_path: Path
) -> None:
    policy = a_task(tmp_path, tmp_path / "project")
    for name in ("venv", "src"):
        (tmp_path / "project" / name).mkdir()
        (tmp_path / "project" / name / "x").write_text("checkout\n")
    (policy.workspace / "src").mkdir()
    (policy.workspace / "src" / "x").write_text("task\n")
    policy = replace(policy, readable=(tmp_path / "project" / "venv", tmp_path / "project" / "src"))
    for read_only in (False, True):
        code, output = await run(sandbox, replace(policy, read_only=read_only), "cat venv/x src/x; echo x > venv/x")
        assert code != 0 and output.startswith("checkout\ntask\n")
    assert (tmp_path / "project" / "venv" / "x").read_text() == "checkout\n"


def test_paths_are_mapped_by_their_names(tmp_path: Path) -> None:
    policy = Policy(workspace=tmp_path / "wt", home=tmp_path, place=tmp_path / "project")
    assert policy.inside(tmp_path / "wt") == tmp_path / "project"
    assert policy.inside(tmp_path / "wt" / "a" / "b") == tmp_path / "project" / "a" / "b"
    assert policy.inside(tmp_path / "project" / "a") == tmp_path / "project" / "a"
    assert policy.inside(tmp_path / "wt2" / "a") == tmp_path / "wt2" / "a"
    assert policy.inside(tmp_path / "wt" / ".." / "other") == tmp_path / "wt" / ".." / "other"
    assert policy.outside(tmp_path / "project" / "a") == tmp_path / "wt" / "a"
    assert policy.outside(tmp_path / "wt" / "a") == tmp_path / "wt" / "a"
    plain = Policy(workspace=tmp_path / "wt", home=tmp_path)
    assert plain.inside(tmp_path / "wt" / "a") == tmp_path / "wt" / "a" == plain.outside(tmp_path / "wt" / "a")


def test_a_checkout_that_holds_the_home_or_the_system_is_not_covered(tmp_path: Path) -> None:
    home = tmp_path / "home"
    assert can_be_covered(tmp_path / "home" / "project", home) and can_be_covered(Path("/opt/project"), home)
    for checkout in (home, tmp_path, Path("/"), Path("/etc"), Path("/usr"), Path("/proc/self"), Path("/sys")):
        assert not can_be_covered(checkout, home), checkout


async def test_git_inside_takes_nothing_from_where_a_command_says(sandbox: Sandbox, tmp_path: Path) -> None:
    """`commondir` names the folder of git's configuration, and so of the programs that git runs."""
    policy = a_task(tmp_path, tmp_path / "project")
    program = "[core]\\n\\tfsmonitor = touch /tmp/ran; false\\n"
    evil = f"mkdir -p evil; cp -r /run/goose-py/git/. evil; printf '{program}' >> evil/config"
    attempts = (f"echo {tmp_path}/project/evil > commondir", "rm -f commondir", "mv commondir x", "ln -sf /tmp commondir")
    for put in attempts:
        code, output = await run(sandbox, policy, f"{evil}; cd /run/goose-py/git && {put}")
        assert code != 0 and ("Read-only" in output or "busy" in output), output
    _, output = await run(sandbox, policy, "git status -s f; git rev-parse --git-common-dir; git log --format=%s; ls /tmp/ran")
    assert output.startswith(" M f\n/run/goose-py/git\none\n") and "No such file" in output, output
