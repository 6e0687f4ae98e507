"""Shared folders at the levels that mount nothing: a clone or a link, and what it means for installations is said."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest
from git_repos import Place
from msgspec.structs import replace

from goose_py.bootstrap.workspace.unmounted_shares import bring, leads_to
from goose_py.sandbox.detection import _make
from goose_py.sandbox.policy import Policy, SandboxError, Share
from goose_py.tasks.caches import can_clone


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit({"a.py": "a\n", ".gitignore": ".venv\nnode_modules/\n"})
    place.write({".venv/lib/python3.11/site-packages/m.py": "m", "node_modules/x/index.js": "x"})
    return place


def shares(place: Place) -> tuple[Share, ...]:
    return tuple(Share(place.root / name, Path(name)) for name in (".venv", "node_modules"))


async def test_a_link_is_made_only_where_git_ignores_it(place: Place) -> None:
    worktree = await place.task()
    links, told = await bring(worktree, shares(place), "no such system", linked=True)
    assert [str(share.path) for share in links] == [".venv"]
    assert (worktree.path / ".venv").readlink() == place.root / ".venv"
    assert told == ("Not shared with the task, because nothing can be mounted or cloned here: node_modules.",)
    assert place.sh("git status --porcelain", cwd=worktree.path) == ""
    # The next time they are there already.
    assert (await bring(worktree, shares(place)[:1], "no such system", linked=True)) == (links, ())


async def test_without_a_sandbox_nothing_is_linked(place: Place) -> None:
    worktree = await place.task()
    links, told = await bring(worktree, shares(place), "no such system", linked=False)
    assert links == () and "node_modules" in told[0] and ".venv" in told[0]
    assert not (worktree.path / ".venv").is_symlink()


async def test_what_the_task_has_is_left_alone(place: Place) -> None:
    worktree = await place.task()
    place.write({".venv/own": "own"}, worktree.path)
    links, told = await bring(worktree, shares(place)[:1], "no such system", linked=True)
    assert (links, told) == ((), ()) and (worktree.path / ".venv" / "own").read_text() == "own"


async def test_an_editable_installation_that_leads_to_the_checkout_is_said(place: Place) -> None:
    packages = place.root / ".venv" / "lib" / "python3.11" / "site-packages"
    (packages / "_editable.pth").write_text(f"{place.root}/src\n")
    worktree = await place.task()
    _, told = await bring(worktree, shares(place)[:1], "no such system", linked=True)
    assert len(told) == 1 and told[0].startswith(f".venv holds installations that lead to {place.root}: ")


@pytest.mark.skipif(sys.platform != "linux", reason="the trial is Linux's")
def test_a_clone_is_tried_with_one_file_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "from" / "a" / "b").mkdir(parents=True)
    (tmp_path / "to").mkdir()
    (tmp_path / "from" / "a" / "b" / "f").write_text("x")
    control = subprocess.run(
        ["cp", "--reflink=always", tmp_path / "from" / "a" / "b" / "f", tmp_path / "control"], capture_output=True, check=False
    )
    assert can_clone(tmp_path / "from", tmp_path / "to", "linux") == (control.returncode == 0)
    assert list((tmp_path / "to").iterdir()) == [] and not can_clone(tmp_path / "from", tmp_path / "missing", "linux")


def test_installations_that_lead_to_the_checkout_are_found(tmp_path: Path) -> None:
    root = tmp_path / "project"
    packages = root / ".venv" / "lib" / "python3.12" / "site-packages"
    packages.mkdir(parents=True)
    assert not leads_to(root / ".venv", root)
    (packages / "distutils.pth").write_text("import os\n")
    (packages / "other.pth").write_text("/elsewhere\n")
    assert not leads_to(root / ".venv", root)
    for name in ("p.pth", "__editable___p_finder.py", "p-1.dist-info/direct_url.json", "p.egg-link"):
        pointer = packages / name
        pointer.parent.mkdir(exist_ok=True)
        pointer.write_text(f'{{"url": "file://{root}"}}')
        assert leads_to(root / ".venv", root), name
        pointer.unlink()
    modules = root / "node_modules"
    (modules / "@scope").mkdir(parents=True)
    (root / "packages" / "a").mkdir(parents=True)
    (modules / ".bin").mkdir()
    (modules / "inner").symlink_to(".bin")
    assert not leads_to(modules, root)
    (modules / "@scope" / "a").symlink_to("../../packages/a")
    assert leads_to(modules, root)


@pytest.mark.skipif(sys.platform != "linux", reason="Landlock is Linux's")
async def test_a_linked_folder_can_be_read_and_not_written_in_a_sandbox_of_permissions(place: Place) -> None:
    state = place.top / "landlock"
    state.mkdir()
    try:
        sandbox = _make("landlock", platform.machine(), state, Path(sys.executable))
    except SandboxError as error:
        (pytest.fail if os.environ.get("GOOSE_PY_REQUIRE_SANDBOX") else pytest.skip)(f"NOT TESTED, landlock: {error}")
    worktree = await place.task()
    links, _ = await bring(worktree, shares(place)[:1], "no such system", linked=True)
    policy = Policy(workspace=worktree.path, home=place.top / "home", readable=(Path(sys.prefix), Path(sys.base_prefix)))
    policy = replace(policy, readable=(*policy.readable, *(share.source for share in links)))
    module = ".venv/lib/python3.11/site-packages/m.py"
    command = f"cat {module}; echo x > .venv/new; echo x > {module}"
    spec = sandbox.wrap(["/bin/sh", "-c", command], str(worktree.path), {"PATH": "/usr/bin:/bin"}, policy)
    done = subprocess.run(spec.argv, env=dict(spec.env), cwd=spec.cwd, capture_output=True, text=True, check=False)
    assert done.stdout == "m" and done.returncode != 0
    assert not (place.root / ".venv" / "new").exists()
