"""Folders of the user's that a task works with: read from where they are, changed in layers of the task's own."""

import asyncio
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from goose_py.files import delete_folder
from goose_py.sandbox.detection import _make
from goose_py.sandbox.mounts import overlays
from goose_py.sandbox.mounts.overlays import ShareWatch, changed_layers
from goose_py.sandbox.policy import Policy, SandboxError, Share
from goose_py.sandbox.spawn import Sandbox, bind

PYTHON = Path(sys.executable)
SHELL = ("/bin/bash", "--norc", "--noprofile", "-c")


def missing(reason: str) -> None:
    (pytest.fail if os.environ.get("GOOSE_PY_REQUIRE_SANDBOX") else pytest.skip)(f"NOT TESTED, {reason}")


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    (tmp_path / "state").mkdir()
    try:
        return _make("bubblewrap", platform.machine(), tmp_path / "state", PYTHON)
    except SandboxError as error:
        missing(f"bubblewrap: {error}")
        raise


@pytest.fixture
def policy(tmp_path: Path) -> Policy:
    """A checkout with a virtual environment and packages of a nested project, and a worktree with neither."""
    for name in ("home", "tmp", "wt/pkg", "project/.venv/lib", "project/pkg/node_modules/left-pad"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "project" / ".venv" / "lib" / "module.py").write_text("installed\n")
    (tmp_path / "project" / ".venv" / ".env").write_text("TOKEN=1\n")
    (tmp_path / "project" / "pkg" / "node_modules" / "left-pad" / "index.js").write_text("pad\n")
    shares = (
        Share(tmp_path / "project" / ".venv", Path(".venv"), hidden=(".env",)),
        Share(tmp_path / "project" / "pkg" / "node_modules", Path("pkg/node_modules")),
    )
    return Policy(
        workspace=tmp_path / "wt", home=tmp_path / "home", tmp=tmp_path / "tmp", place=tmp_path / "project", shares=shares
    )


@dataclass(frozen=True)
class Mounted:
    """A policy with its shares, and why they are not copy-on-write."""

    policy: Policy
    reason: str


@asynccontextmanager
async def mounted(policy: Policy, folder: Path, python: Path) -> AsyncIterator[Mounted]:
    async with overlays.mounted(policy.workspace, policy.shares, folder, python) as found:
        yield Mounted(found.seen_by(policy), found.reason)


@pytest.fixture
async def held(policy: Policy, tmp_path: Path) -> AsyncIterator[Mounted]:
    async with mounted(policy, tmp_path / "layers", PYTHON) as found:
        if found.reason:
            missing(f"overlays: {found.reason}")
        yield found


async def run(sandbox: Sandbox, policy: Policy, command: str) -> tuple[int, str]:
    process = await bind(sandbox, policy)(
        [*SHELL, command], cwd=str(policy.workspace), env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode()


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.case("H05")
async def test_what_a_task_changes_of_a_share_stays_in_the_task(
    sandbox: Sandbox, policy: Policy, held: Mounted, tmp_path: Path
) -> None:
    before = files(tmp_path / "project")
    code, output = await run(
        sandbox, held.policy,
        "cat .venv/lib/module.py pkg/node_modules/left-pad/index.js && echo more >> .venv/lib/module.py && mkdir .venv/bin"
        " && echo tool > .venv/bin/tool && rm -r pkg/node_modules/left-pad",
    )  # fmt: skip
    assert (code, output) == (0, "installed\npad\n")
    # A later command, a container of its own, finds it so.
    code, output = await run(sandbox, held.policy, "cat .venv/lib/module.py .venv/bin/tool; ls pkg/node_modules")
    assert (code, output) == (0, "installed\nmore\ntool\n")
    assert files(tmp_path / "project") == before
    assert files(tmp_path / "wt") == {}, "the worktree holds nothing of it"
    venv = held.policy.shares[0]
    assert venv.upper is not None and (venv.upper / "bin" / "tool").read_text() == "tool\n"


async def test_what_is_hidden_in_a_share_does_not_exist(
    sandbox: Sandbox, policy: Policy, held: Mounted, tmp_path: Path
) -> None:
    for shown in (held.policy, replace(held.policy, read_only=True), policy):
        _, output = await run(sandbox, shown, "cat .venv/.env; find / -name .env -type f -exec cat {} + 2>/dev/null")
        assert "TOKEN" not in output
    assert (tmp_path / "project" / ".venv" / ".env").read_text() == "TOKEN=1\n"


async def test_nothing_of_a_share_is_written_where_nothing_may_be(sandbox: Sandbox, policy: Policy, held: Mounted) -> None:
    for shown in (replace(held.policy, read_only=True), policy):
        code, output = await run(sandbox, shown, "cat .venv/lib/module.py; echo x > .venv/lib/module.py")
        assert code != 0 and output.startswith("installed\n") and "Read-only file system" in output
    assert (await run(sandbox, policy, "echo x > f && cat f"))[0] == 0, "the workspace itself is writable"


async def test_commands_that_run_at_the_same_time_see_one_layer(sandbox: Sandbox, held: Mounted, policy: Policy) -> None:
    waiting = asyncio.create_task(
        run(sandbox, held.policy, "echo here > .venv/started; until [ -s .venv/done ]; do sleep 0.05; done; cat .venv/done")
    )
    code, output = await run(
        sandbox, held.policy, "until [ -s .venv/started ]; do sleep 0.05; done; cat .venv/started; echo later > .venv/done"
    )
    assert (code, output) == (0, "here\n")
    assert await waiting == (0, "later\n")


async def test_a_second_process_of_the_task_enters_the_layers_that_are_there_and_another_task_has_its_own(
    sandbox: Sandbox, held: Mounted, policy: Policy, tmp_path: Path
) -> None:
    await run(sandbox, held.policy, "echo mine > .venv/mark")
    async with mounted(policy, tmp_path / "layers", PYTHON) as again:
        assert again.reason == "" and again.policy.namespaces != held.policy.namespaces
        assert (await run(sandbox, again.policy, "cat .venv/mark; echo too > .venv/other"))[1] == "mine\n"
        assert (await run(sandbox, held.policy, "cat .venv/other"))[1] == "too\n"
    (tmp_path / "wt2").mkdir()
    async with mounted(replace(policy, workspace=tmp_path / "wt2"), tmp_path / "layers2", PYTHON) as other:
        assert (await run(sandbox, other.policy, "cat .venv/lib/module.py; ls .venv"))[1] == "installed\nlib\n"


async def test_the_layers_are_there_again_the_next_time(sandbox: Sandbox, policy: Policy, tmp_path: Path) -> None:
    for expected in ("", "1\n", "1\n1\n"):
        async with mounted(policy, tmp_path / "layers", PYTHON) as found:
            if found.reason:
                missing(f"overlays: {found.reason}")
            assert (await run(sandbox, found.policy, "cat .venv/n; echo 1 >> .venv/n"))[1].endswith(expected)


async def test_a_killed_process_leaves_no_mount_behind(policy: Policy, held: Mounted, tmp_path: Path) -> None:
    program = (
        "import asyncio, sys, msgspec\nfrom pathlib import Path\nfrom goose_py.sandbox.policy import Policy\n"
        "from goose_py.sandbox.mounts.overlays import mounted\n"
        "async def main():\n"
        "    policy = msgspec.json.decode(sys.argv[1], type=Policy, dec_hook=lambda kind, text: kind(text))\n"
        "    async with mounted(policy.workspace, policy.shares, Path(sys.argv[2]), Path(sys.executable)) as found:\n"
        "        print(found.reason or found.namespaces.mount, flush=True)\n"
        "        await asyncio.sleep(600)\n"
        "asyncio.run(main())\n"
    )
    told = msgspec.json.encode(policy, enc_hook=str).decode()
    process = await asyncio.create_subprocess_exec(
        PYTHON, "-c", program, told, tmp_path / "killed", stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    mount = (await process.stdout.readline()).decode().strip()
    inode = Path(mount).stat().st_ino

    def holders() -> list[str]:
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if (entry / "ns" / "mnt").stat().st_ino == inode:
                    found.append(entry.name)
            except OSError:
                continue
        return found

    assert holders() == [], "no process lives for the mounts"
    process.send_signal(signal.SIGKILL)
    await process.wait()
    assert not Path(mount).exists()
    assert str(tmp_path) not in Path("/proc/self/mountinfo").read_text()
    # The next one begins anew over the same layers, and what is left can be deleted by its owner.
    async with mounted(policy, tmp_path / "killed", PYTHON) as found:
        assert found.reason == ""
    shutil.rmtree(tmp_path / "killed")


async def test_what_the_task_has_at_the_place_of_a_share_is_not_covered(
    sandbox: Sandbox, policy: Policy, tmp_path: Path
) -> None:
    (tmp_path / "wt" / ".venv").mkdir()
    (tmp_path / "wt" / ".venv" / "own").write_text("own\n")
    (tmp_path / "wt" / "pkg").rmdir()
    (tmp_path / "wt" / "pkg").symlink_to(tmp_path / "home")
    async with mounted(policy, tmp_path / "layers", PYTHON) as found:
        assert found.policy.shares == ()
        assert (await run(sandbox, found.policy, "ls .venv"))[1] == "own\n"
    assert list((tmp_path / "home").iterdir()) == [], "and no folder is made through a link"


async def test_a_share_outside_the_checkout_is_at_its_own_path(
    sandbox: Sandbox, policy: Policy, tmp_path: Path
) -> None:
    outside = tmp_path / "home" / "venvs" / "x"
    outside.mkdir(parents=True)
    (outside / "f").write_text("there\n")
    policy = replace(policy, shares=(Share(outside, outside),), readable=(outside,))
    async with mounted(policy, tmp_path / "layers", PYTHON) as found:
        if found.reason:
            missing(f"overlays: {found.reason}")
        command = f"cat {outside}/f; echo new > {outside}/f; cat {outside}/f; ls {tmp_path}/home"
        assert await run(sandbox, found.policy, command) == (0, "there\nnew\nvenvs\n")
    assert (outside / "f").read_text() == "there\n"


async def test_without_overlays_shares_are_read_only_and_it_is_said(
    sandbox: Sandbox, policy: Policy, tmp_path: Path
) -> None:
    async with mounted(policy, Path("/proc/self/layers"), PYTHON) as found:
        assert found.reason
        code, output = await run(sandbox, found.policy, "cat .venv/lib/module.py; echo x > .venv/new")
        assert code != 0 and output.startswith("installed\n") and "Read-only file system" in output


async def test_a_share_that_has_vanished_leaves_the_others(sandbox: Sandbox, policy: Policy, tmp_path: Path) -> None:
    gone = Share(tmp_path / "project" / "gone", Path("gone"))
    async with mounted(replace(policy, shares=(gone, *policy.shares)), tmp_path / "layers", PYTHON) as found:
        assert "gone" in found.reason
        assert (await run(sandbox, found.policy, "cat .venv/lib/module.py; ls -A gone"))[1] == "installed\n"


async def test_what_a_task_put_into_a_share_is_named_afterwards(sandbox: Sandbox, policy: Policy, tmp_path: Path) -> None:
    layers = tmp_path / "layers"
    async with mounted(policy, layers, PYTHON) as found:
        if found.reason:
            missing(f"overlays: {found.reason}")
        await run(sandbox, found.policy, "ls .venv; rm -r pkg/node_modules/left-pad")
        assert changed_layers(layers) == ()
        await run(sandbox, found.policy, "mkdir -p .venv/bin; ln -s x .venv/bin/python")
    assert changed_layers(layers) == (".venv",)


async def test_a_share_that_its_user_changes_under_a_running_task_is_noticed_once(
    sandbox: Sandbox, policy: Policy, held: Mounted, tmp_path: Path
) -> None:
    said: list[str] = []
    watch = ShareWatch(held.policy.workspace, held.policy.shares, said.append)
    await run(sandbox, held.policy, "echo x > .venv/own; cat .venv/lib/module.py")
    watch.look()
    assert said == [], "what the task does itself is nothing to tell"
    os.utime(tmp_path / "project" / ".venv" / "lib", ns=(1, 1))
    watch.look()
    watch.look()
    assert len(said) == 1 and said[0].startswith("The contents of .venv were changed in your checkout")
    shutil.rmtree(tmp_path / "project" / "pkg" / "node_modules")
    watch.look()
    assert len(said) == 2 and "pkg/node_modules are gone" in said[1]


async def test_a_folder_that_the_task_moves_with_what_hangs_on_it_is_said_once(
    sandbox: Sandbox, policy: Policy, held: Mounted
) -> None:
    said: list[str] = []
    watch = ShareWatch(held.policy.workspace, held.policy.shares, said.append)
    await run(sandbox, held.policy, "mv pkg moved && mkdir pkg")
    watch.look()
    watch.look()
    assert len(said) == 1 and "pkg/node_modules of your checkout" in said[0]


async def test_a_link_in_the_way_of_a_mount_makes_nothing_outside(sandbox: Sandbox, policy: Policy, tmp_path: Path) -> None:
    """Where bwrap finds the way to a mount missing it makes it, through links as well."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (tmp_path / "readable").mkdir()
    cached = replace(policy, shares=(), cache=tmp_path / "cache")
    (tmp_path / "cache").mkdir()
    await run(sandbox, cached, f"mkdir -p ~/.cache && ln -s /oldroot{outside} ~/.cache/tools")
    shown = tmp_path / "home" / ".cache" / "tools" / "venv"
    shared = replace(cached, shares=(Share(tmp_path / "readable", shown),))
    with pytest.raises(OSError, match="tools, in its way"):
        await run(sandbox, shared, "true")
    assert list(outside.iterdir()) == []
    (tmp_path / "cache" / "tools").unlink()
    await run(sandbox, shared, f"test -d {shown}")
    assert (tmp_path / "cache" / "tools" / "venv").is_dir()


async def test_what_is_hidden_stays_hidden_whatever_the_task_puts_in_its_place(
    sandbox: Sandbox, policy: Policy, tmp_path: Path
) -> None:
    """A folder that is three thousand deep, a link for the folder around it."""
    secrets = tmp_path / "project" / ".venv" / "conf" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / "key").write_text("KEY\n")
    shared = replace(policy, shares=(replace(policy.shares[0], hidden=(".env", "conf/secrets")),))
    layers = tmp_path / "layers"
    deep = "use v5.10; mkdir '.venv/.env'; chdir '.venv/.env'; for (1..3000) { mkdir 'd'; chdir 'd' }"
    for command in (f'/usr/bin/perl -e "{deep}"', "rm -r .venv/conf/*; mv .venv/conf .venv/c; ln -s / .venv/conf", "true"):
        async with mounted(shared, layers, PYTHON) as found:
            if found.reason:
                missing(f"overlays: {found.reason}")
            seen = await run(sandbox, found.policy, "cat .venv/conf/secrets/key .venv/.env; cat .venv/lib/module.py")
            assert "KEY" not in seen[1] and "TOKEN" not in seen[1] and seen[1].endswith("installed\n"), seen
            await run(sandbox, found.policy, command)
    delete_folder(layers)
    assert not layers.exists()
