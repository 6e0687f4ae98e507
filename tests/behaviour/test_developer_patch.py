"""apply_patch over a real MCP client: several files, all or nothing; real git's own diffs."""

import os
import random
import subprocess
from pathlib import Path

import pytest
from developer_extension import connected, module


def tree(folder: Path) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mode & 0o777)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


async def test_one_patch_adds_updates_moves_and_deletes(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("x = 1\ny = 2\n")
    (tmp_path / "b.py").write_text("old\n")
    (tmp_path / "b.py").chmod(0o750)
    (tmp_path / "c.py").write_text("gone\n")
    patch = """*** Begin Patch
*** Update File: a.py
@@
-x = 1
+x = 3
*** Update File: b.py
*** Move to: sub/d.py
-old
+new
*** Delete File: c.py
*** Add File: e.py
+one
+
+two
*** End Patch"""
    async with connected(tmp_path) as tools:
        assert (await tools("apply_patch", patch=patch)).splitlines() == [
            "Updated a.py (+1/-1)",
            "Moved b.py to sub/d.py (+1/-1)",
            "Deleted c.py",
            "Added e.py (3 lines)",
        ]
    assert tree(tmp_path) == {
        "a.py": (b"x = 3\ny = 2\n", 0o644),
        "e.py": (b"one\n\ntwo\n", 0o644),
        "sub/d.py": (b"new\n", 0o750),
    }


@pytest.mark.case("R39")
@pytest.mark.parametrize(
    ("last", "why"),
    [
        ("*** Update File: b\n-nowhere to be found\n+x", "does not fit"),
        ("*** Update File: missing\n-a\n+b", "no such file"),
        ("*** Delete File: missing", "no such file"),
        ("*** Add File: b\n+other", "that file exists"),
        ("*** Update File: locked\n-a\n+b", "read-only"),
        ("*** Add File: folder\n+x", "a folder"),
        ("*** Update File: b\n*** Move to: a\n-b\n+c", "that file exists"),
        ("*** Add File: a/below\n+x", "is a file, not a folder"),
    ],
)
async def test_when_one_file_does_not_fit_no_file_is_touched(tmp_path: Path, last: str, why: str) -> None:
    for name in ("a", "b", "locked"):
        (tmp_path / name).write_text(f"{name[0]}\n")
    (tmp_path / "locked").chmod(0o444)
    (tmp_path / "folder").mkdir()
    before = tree(tmp_path)
    patch = f"*** Begin Patch\n*** Update File: a\n-a\n+changed\n*** Add File: deep/new\n+x\n{last}\n*** End Patch"
    async with connected(tmp_path) as tools:
        assert why in await tools.refusal("apply_patch", patch=patch)
    assert tree(tmp_path) == before
    assert not (tmp_path / "deep").exists()


@pytest.mark.case("R39")
def test_when_writing_fails_half_way_what_was_written_is_taken_back(tmp_path: Path) -> None:
    files, workspace = module("files"), module("workspace").Workspace.at(tmp_path)
    (tmp_path / "a").write_text("a\n")
    (tmp_path / "z").mkdir()
    before = tree(tmp_path)
    changes = [
        files.Change("a", files.existing(workspace, "a"), b"changed"),
        files.Change("deep/er/new", None, b"new"),
        files.Change("z", None, b"a folder is in the way"),
    ]
    with pytest.raises(module("refusal").Refused):
        files.commit(workspace, changes)
    # The last of these is only found out when it is put in place: what takes files back is needed then.
    changes[2] = files.Change("gone", files.Stored("gone", b"", 0o644), None)
    with pytest.raises(module("refusal").Refused):
        files.commit(workspace, changes)
    assert tree(tmp_path) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "z"]


@pytest.mark.case("R39")
def test_a_file_changed_between_reading_and_writing_is_left_as_it_is_then(tmp_path: Path) -> None:
    files, workspace = module("files"), module("workspace").Workspace.at(tmp_path)
    (tmp_path / "a").write_text("a\n")
    stored = files.existing(workspace, "a")
    (tmp_path / "a").write_text("theirs\n")
    with pytest.raises(module("refusal").Refused, match="somebody else"):
        files.commit(workspace, [files.Change("a", stored, b"ours\n")])
    assert tree(tmp_path) == {"a": (b"theirs\n", 0o644)}


async def test_a_patch_sent_twice_is_recognised_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\nthree\n")
    patch = "*** Begin Patch\n*** Update File: a\n one\n-two\n+2nd line\n*** Add File: b\n+x\n*** End Patch"
    async with connected(tmp_path) as tools:
        await tools("apply_patch", patch=patch)
        after = tree(tmp_path)
        text = await tools("apply_patch", patch=patch)
        assert "a: already applied" in text and "b: already there" in text and "Nothing was written" in text
    assert tree(tmp_path) == after


@pytest.mark.case("U25")
async def test_the_second_identical_failure_brings_the_file_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    patch = "*** Begin Patch\n*** Update File: a\n-nine\n+10\n*** End Patch"
    async with connected(tmp_path) as tools:
        assert "in a row" not in await tools.refusal("apply_patch", patch=patch)
        second = await tools.refusal("apply_patch", patch=patch)
        assert "failed 2 times in a row" in second and second.endswith("1\tone\n2\ttwo")


async def test_sections_for_the_same_file_build_on_each_other(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    patch = (
        "*** Begin Patch\n*** Update File: a\n-one\n+1\n*** Update File: a\n-two\n+2\n"
        "*** Add File: b\n+x\n*** Update File: b\n-x\n+y\n*** End Patch"
    )
    async with connected(tmp_path) as tools:
        await tools("apply_patch", patch=patch)
    assert tree(tmp_path) == {"a": (b"1\n2\n", 0o644), "b": (b"y\n", 0o644)}


async def test_an_edit_after_a_patch_knows_what_the_patch_wrote(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("one\ntwo\n")
    async with connected(tmp_path) as tools:
        await tools("read", path="a")
        await tools("apply_patch", patch="*** Begin Patch\n*** Update File: a\n-one\n+1\n*** End Patch")
        assert "changed" not in await tools("edit", path="a", old_string="1\ntwo", new_string="1\n2")


def git(folder: Path, *arguments: str) -> str:
    env = {"PATH": os.environ["PATH"], "HOME": str(folder), "GIT_CONFIG_NOSYSTEM": "1"}
    command = ["git", "-c", "user.name=n", "-c", "user.email=a@b", *arguments]
    return subprocess.run(command, cwd=folder, env=env, check=True, capture_output=True).stdout.decode()


def content(dice: random.Random) -> bytes:
    end = dice.choice([b"\n", b"\n", b"\r\n"])
    lines = [
        dice.choice([b"", b"\tx", b"    y", b"word", b"- dash", b"+ plus", b"@@ at", b"-- two"])
        for _ in range(dice.randrange(30))
    ]
    return end.join(line + b"%d" % dice.randrange(20) for line in lines) + (end if dice.random() < 0.7 else b"")


def changed(dice: random.Random, data: bytes) -> bytes:
    lines = data.split(b"\n")
    for _ in range(dice.randrange(1, 5)):
        at = dice.randrange(len(lines) + 1)
        lines[at : at + dice.randrange(3)] = [b"new %d" % dice.randrange(1000) for _ in range(dice.randrange(3))]
    return b"\n".join(lines)


@pytest.mark.parametrize("seed", range(25))
async def test_every_diff_that_git_makes_leads_to_the_same_tree(tmp_path: Path, seed: int) -> None:
    dice = random.Random(seed)
    origin, copy = tmp_path / "origin", tmp_path / "copy"
    origin.mkdir()
    git(origin, "init", "-q", ".")
    names = [f"dir {i % 3}/file{i} é.txt" for i in range(6)]
    for name in names:
        (origin / name).parent.mkdir(exist_ok=True)
        (origin / name).write_bytes(content(dice) or b"x\n")
    git(origin, "add", "-A")
    git(origin, "commit", "-qm", "before")
    git(tmp_path, "clone", "-q", "origin", "copy")
    for name in names[:4]:
        (origin / name).write_bytes(changed(dice, (origin / name).read_bytes()))
    (origin / names[4]).unlink()
    (origin / names[5]).rename(origin / "moved here")
    (origin / "fresh").write_bytes(content(dice) or b"fresh")
    (origin / names[0]).chmod(0o755)
    git(origin, "add", "-A")
    diff = git(origin, "diff", "--cached", f"-U{dice.randrange(1, 4)}", "-M")
    async with connected(copy) as tools:
        await tools("apply_patch", patch=diff)
    assert tree(copy) == tree(origin)
