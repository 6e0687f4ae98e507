"""The tools where the user stands: paths begin in their folder, and the workspace is known by the checkout's path."""

import asyncio
import os
import shutil
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from developer_extension import connected, module

PATCH = "*** Begin Patch\n*** Update File: {}\n@@\n-{}\n+{}\n*** End Patch"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A worktree `wt` of a monorepo, and the `checkout` it was made from, whose files say so."""
    for top, text in (("wt", "task"), ("checkout", "user")):
        for name in ("a.txt", "pkg/a/a.txt", "pkg/a/deep/d.txt", "pkg/b/b.txt"):
            (tmp_path / top / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / top / name).write_text(f"{text} {name}\n")
    return tmp_path


def standing(place: Path, **options: Any):
    options = {"start": "pkg/a", "aliases": [place / "checkout"], **options}
    return connected(place / "wt", **options)


def untouched(place: Path) -> bool:
    return all(file.read_text().startswith("user ") for file in (place / "checkout").rglob("*.txt"))


@pytest.mark.case("P12")
async def test_relative_paths_begin_in_the_folder_and_results_can_be_given_back(place: Path) -> None:
    async with standing(place) as tools:
        assert "task pkg/a/a.txt" in await tools("read", path="a.txt")
        assert "task a.txt" in await tools("read", path="../../a.txt")
        assert (await tools("glob", pattern="**/*.txt")).split() == ["a.txt", "deep/d.txt"]
        assert (await tools("glob", pattern="*.txt", path="../..")).split() == [
            "../../a.txt", "a.txt", "deep/d.txt", "../b/b.txt",
        ]  # fmt: skip
        assert (await tools("list")).split() == ["a.txt", "deep/", "d.txt"]
        found = await tools("grep", pattern="task", path="../..", files_only=True)
        assert [line.split(":")[0] for line in found.splitlines()[:-1]] == ["../../a.txt", "a.txt", "deep/d.txt", "../b/b.txt"]
        assert "pkg/b" not in await tools("grep", pattern="task")
        assert (await tools("write", path="new/n.txt", content="n\n")).startswith("Wrote new/n.txt")
        edited = await tools("edit", path="../b/b.txt", old_string="task", new_string="mine")
        assert edited.startswith("Edited ../b/b.txt")
        assert await tools("apply_patch", patch=PATCH.format("a.txt", "task pkg/a/a.txt", "patched")) == "Updated a.txt (+1/-1)"
        assert (await tools("shell", command="pwd; cat a.txt")).splitlines()[:2] == [f"{place}/wt/pkg/a", "patched"]
    assert (place / "wt/pkg/a/new/n.txt").exists() and (place / "wt/a.txt").read_text() == "task a.txt\n"


async def test_both_searches_name_files_alike_from_a_folder(place: Path) -> None:
    answers = []
    for installed in (True, False):
        async with standing(place, spawn=None if installed else without_ripgrep) as tools:
            answers.append([await tools("grep", pattern="txt", path=path) for path in (".", "..", "../../a.txt", "deep")])
    assert answers[0] == answers[1]


async def without_ripgrep(argv: Sequence[str], **options: Any) -> asyncio.subprocess.Process:
    if argv[0].endswith("/rg"):
        raise FileNotFoundError(2, "No such file or directory")
    return await module("shell.processes").plain_spawn(argv, **options)


@pytest.mark.case("U02")
async def test_absolute_paths_of_the_checkout_mean_the_files_of_the_task(place: Path) -> None:
    checkout = place / "checkout"
    (place / "link").symlink_to(checkout)
    (place / "other").symlink_to(checkout)
    async with standing(place, aliases=[place / "link"]) as tools:
        assert "task a.txt" in await tools("read", path=f"{place}/other/a.txt")
        for name in (checkout, place / "link", place / "wt"):
            assert "task pkg/b/b.txt" in await tools("read", path=f"{name}/pkg/b/b.txt")
            assert (await tools("glob", pattern="b.txt", path=str(name))) == "../b/b.txt"
        await tools("write", path=f"{checkout}/new.txt", content="new\n")
        await tools("edit", path=f"{checkout}/a.txt", old_string="task", new_string="mine")
        await tools("apply_patch", patch=PATCH.format(f"{checkout}/pkg/a/a.txt", "task pkg/a/a.txt", "patched"))
        outside = await tools.refusal("read", path=f"{checkout}-other/a.txt")
        assert f"only paths beneath {place}/wt can be used" in outside
        assert "outside the workspace" in await tools.refusal("write", path=f"{checkout}/../x.txt", content="")
    assert (place / "wt/new.txt").exists() and (place / "wt/a.txt").read_text() == "mine a.txt\n"
    assert (place / "wt/pkg/a/a.txt").read_text() == "patched\n" and untouched(place)


async def test_a_link_to_a_path_of_the_checkout_leads_into_the_task(place: Path) -> None:
    (place / "wt/abs").symlink_to(place / "checkout/pkg/b")
    (place / "wt/around").symlink_to("../checkout/pkg/b")
    async with standing(place, start=".") as tools:
        for name in ("abs", "around"):
            assert "task pkg/b/b.txt" in await tools("read", path=f"{name}/b.txt")
        await tools("write", path="abs/n.txt", content="n\n")
    assert (place / "wt/pkg/b/n.txt").exists() and untouched(place)


async def test_a_start_folder_that_is_gone_leaves_commands_in_the_nearest_one(place: Path) -> None:
    async with standing(place) as tools:
        await tools("shell", command=f"rm -r {place}/wt/pkg/a")
        said = await tools("shell", command="pwd")
        assert said.startswith(f"{place}/wt/pkg\n[the folder pkg/a that commands begin in is gone; they begin in ..]")
        await tools("write", path="again.txt", content="x\n")
        assert (await tools("shell", command="pwd")).startswith(f"{place}/wt/pkg/a\n")


async def test_a_start_folder_outside_is_no_start_folder(place: Path) -> None:
    for start in ("../checkout", "/etc", "a/../../x"):
        with pytest.raises(module("refusal").Refused):
            module("server").create_server(place / "wt", start=start)


async def test_where_the_workspace_is_mounted_elsewhere_that_path_is_what_is_spoken_of(place: Path) -> None:
    checkout, cwds = place / "checkout", []

    async def spawn(argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int):
        cwds.append(cwd)
        return await module("shell.processes").plain_spawn(argv, cwd=cwd, env=env, stdout=stdout, stderr=stderr)

    async with standing(place, shown=checkout, spawn=spawn) as tools:
        assert "task a.txt" in await tools("read", path=f"{checkout}/a.txt")
        assert "task a.txt" in await tools("read", path=f"{place}/wt/a.txt")
        assert f"only paths beneath {checkout} can be used" in await tools.refusal("read", path="../../../x")
        assert "[exit code 0]" in await tools("shell", command=f"echo {checkout}/a.txt")
    assert cwds == [f"{place}/wt/pkg/a"]


@pytest.fixture
def shared(place: Path) -> dict[str, Any]:
    """`.venv` is the user's, with a layer of the task's own over it; in the worktree stands what it is mounted on."""
    lower, upper = place / "checkout/.venv", place / "upper"
    for folder, names in ((lower, ("lib/one.py", "lib/two.py", "old/x.py", ".env")), (upper, ("lib/two.py", "lib/new.py"))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"# {folder.name} {name}\n")
    (lower / "link.py").symlink_to("lib/one.py")
    (lower / "mine.txt").symlink_to(place / "checkout/a.txt")
    (lower / "secret").symlink_to(".env")
    (lower / "out").symlink_to("/etc/passwd")
    (place / "wt/.venv").mkdir()
    (place / "wt/.gitignore").write_text("/.venv\n")
    (place / "wt/to").symlink_to(".venv/lib")
    return {"shared": [(".venv", (upper, lower), (".env",))], "start": "."}


async def test_a_shared_folder_is_read_through_its_layers_and_never_written(place: Path, shared: dict[str, Any]) -> None:
    async with standing(place, **shared) as tools:
        assert "# .venv lib/one.py" in await tools("read", path=".venv/lib/one.py")
        assert "# upper lib/two.py" in await tools("read", path=f"{place}/checkout/.venv/lib/two.py")
        assert "# .venv lib/one.py" in await tools("read", path=".venv/link.py")
        assert "task a.txt" in await tools("read", path=".venv/mine.txt")
        assert "# upper lib/new.py" in await tools("read", path="to/new.py")
        for hidden in (".venv/.env", ".venv/secret", ".venv/none.py"):
            assert "no file" in await tools.refusal("read", path=hidden)
        assert "outside the workspace" in await tools.refusal("read", path=".venv/out")
        for path in (".venv/lib/one.py", ".venv/n.py", "to/one.py", ".venv"):
            refusal = await tools.refusal("write", path=path, content="x")
            assert "is in .venv, which the user shares with the task and this tool only reads" in refusal
    assert (place / "checkout/.venv/lib/one.py").read_text() == "# .venv lib/one.py\n"


async def test_a_shared_folder_is_listed_once_and_searched_when_it_is_named(place: Path, shared: dict[str, Any]) -> None:
    for more in ({}, {"spawn": without_ripgrep}):
        async with standing(place, **shared, **more) as tools:
            listed = [line for line in (await tools("list", depth=1)).splitlines() if "venv" in line]
            assert listed == [".venv/ [shared with the user's checkout]", "to -> .venv/lib"]
            assert "venv" not in await tools("glob", pattern="**")
            assert "no files match" in (await tools("glob", pattern="one.py")).lower()
    async with standing(place, **shared, spawn=without_ripgrep) as tools:
        assert (await tools("glob", pattern="**", path=".venv")).split() == [
            ".venv/lib/new.py", ".venv/lib/one.py", ".venv/lib/two.py", ".venv/old/x.py",
        ]  # fmt: skip
        assert "4 matches in 4 files" in await tools("grep", pattern="^# ", path=".venv")


async def test_a_folder_that_is_shared_from_elsewhere_is_read_where_it_is_and_walked_into_only_by_name(place: Path) -> None:
    lower, upper = place / "home/venvs/x", place / "upper"
    for folder, names in ((lower, ("lib/one.py", "lib/two.py", ".env")), (upper, ("lib/two.py",))):
        for name in names:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(f"# {folder.name} {name}\n")
    (place / "home/venvs/other.py").write_text("# other\n")
    (lower / "bin").mkdir()
    for name, target in (("python", "/usr/bin/env"), ("up", "../../other.py"), ("one", "../lib/one.py"), ("env", "../.env")):
        (lower / "bin" / name).symlink_to(target)
    (place / "wt/to").symlink_to(lower)
    shared, answers = [(str(lower), (upper, lower), (".env",))], []
    for more in ({}, {"spawn": without_ripgrep}):
        async with standing(place, shared=shared, **more) as tools:
            for path in (f"{lower}/lib/one.py", f"{lower}/bin/one", f"{lower}/bin/../lib/one.py", "../../to/lib/one.py"):
                assert "# x lib/one.py" in await tools("read", path=path)
            assert "# upper lib/two.py" in await tools("read", path=f"{lower}/lib/two.py")
            for path in (f"{lower}/.env", f"{lower}/bin/env", f"{lower}/none.py"):
                assert "no file" in await tools.refusal("read", path=path)
            for path in (f"{lower}/bin/python", f"{lower}/bin/up", f"{lower}/../other.py", "/etc/passwd"):
                assert "outside the workspace" in await tools.refusal("read", path=path)
            for path in (f"{lower}/lib/one.py", f"{lower}/n.py", "../../to/n.py"):
                assert f"is in {lower}, which the user shares" in await tools.refusal("write", path=path, content="x")
            assert "one.py" not in await tools("glob", pattern="**/*.py", path="../..")
            assert "two.py" not in await tools("list", path="../..", depth=5)
            assert "No matches" in await tools("grep", pattern="# x", path="../..")
            assert (await tools("list", path=str(lower), depth=1)).split()[:2] == ["bin/", "lib/"]
            answers.append((await tools("grep", pattern="^# .*one", path=f"{lower}/lib")).split())
            answers.append((await tools("glob", pattern="*.py", path=f"{lower}/lib")).split())
    assert answers[0] == answers[2] and answers[0][0] == f"{lower}/lib/one.py"
    assert answers[1] == answers[3] == [f"{lower}/lib/one.py", f"{lower}/lib/two.py"]


def overlays_work(place: Path) -> bool:
    made = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", "mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w,userxattr m"],
        cwd=place, check=False, capture_output=True,
    )  # fmt: skip
    return made.returncode == 0


async def test_what_a_task_deleted_or_replaced_in_its_own_layer_is_gone(tmp_path: Path) -> None:
    for name in ("l/gone/x", "l/stays/x", "l/again/old", "l/file", "u/", "w/", "m/", "wt/"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch() if not name.endswith("/") else (tmp_path / name).mkdir(exist_ok=True)
    if not shutil.which("unshare") or not overlays_work(tmp_path):
        pytest.skip("this kernel mounts no overlay without privileges")
    script = (
        "mount -t overlay o -o lowerdir=l,upperdir=u,workdir=w,userxattr m && cd m && rm -r gone again && mkdir again "
        "&& touch again/new && rm file && echo more > stays/x"
    )
    subprocess.run(["unshare", "-Urm", "sh", "-c", script], cwd=tmp_path, check=True)
    layers = (tmp_path / "u", tmp_path / "l")
    async with connected(tmp_path / "wt", shared=[("deps", layers, ())], spawn=without_ripgrep) as tools:
        assert (await tools("glob", pattern="**", path="deps")).split() == ["deps/again/new", "deps/stays/x"]
        assert (await tools("read", path="deps/stays/x")).startswith("1\tmore")
        for gone in ("deps/gone/x", "deps/again/old", "deps/file"):
            assert "There is no file" in await tools.refusal("read", path=gone)
    whiteout = os.lstat(tmp_path / "u/file")
    assert stat.S_ISCHR(whiteout.st_mode)
