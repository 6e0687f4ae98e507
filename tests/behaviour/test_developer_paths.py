"""Nothing outside the workspace is read or written, whatever the path, the links, the races."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from developer_extension import Tools, connected, module

OPENERS = {"kernel": module("beneath").open_by_kernel, "walking": module("beneath").open_by_walking}
EVERY_OPENER = pytest.mark.parametrize("opener", OPENERS, indirect=True)


@pytest.fixture
def opener(request: pytest.FixtureRequest):
    """One of the two ways to open beneath a folder; the kernel's is left out where it does not exist."""
    if request.param == "kernel" and module("beneath").best_opener() is OPENERS["walking"]:
        pytest.skip("this kernel has no openat2")
    return OPENERS[request.param]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace `w/proj` beside things that must stay as they are."""
    for folder in ("w/proj", "w/proj-evil", "home/.ssh"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "home/.ssh/id_rsa").write_text("secret key")
    (tmp_path / "w/proj-evil/x").write_text("theirs")
    (tmp_path / "w/proj/f").write_text("ours\n")
    return tmp_path


def outside(place: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(place)): path.read_bytes()
        for path in place.rglob("*")
        if path.is_file() and not path.is_relative_to(place / "w/proj")
    }


async def refused_everywhere(tools: Tools, path: str) -> list[str]:
    calls = [
        ("read", {"path": path}),
        ("write", {"path": path, "content": "x"}),
        ("edit", {"path": path, "old_string": "e", "new_string": "x"}),
        ("apply_patch", {"patch": f"*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch"}),
        ("list", {"path": path}),
        ("grep", {"path": path, "pattern": "e"}),
        ("glob", {"path": path, "pattern": "*"}),
    ]
    return [await tools.refusal(tool, **arguments) for tool, arguments in calls]


@pytest.mark.case("A13")
async def test_paths_that_lead_outside_are_refused_naming_where_they_lead(place: Path) -> None:
    before = outside(place)
    async with connected(place / "w/proj") as tools:
        for path, resolved in (
            (f"{place}/w/proj-evil/x", f"{place}/w/proj-evil/x"),
            ("../proj-evil/x", f"{place}/w/proj-evil/x"),
            (f"{place}/w/proj/../x", f"{place}/w/x"),
            (f"/{place}//w//proj/../../etc/x", f"{place}/etc/x"),
            ("a/b/../../../x", f"{place}/w/x"),
            ("/", "/"),
        ):
            for refusal in await refused_everywhere(tools, path):
                assert f"resolves to {resolved}," in refusal.replace("//", "/") and f"beneath {place}/w/proj" in refusal
        for refusal in await refused_everywhere(tools, "~/x"):
            assert "home folder" in refusal and "outside the workspace" in refusal
    assert outside(place) == before


@pytest.mark.case("A13")
async def test_percent_signs_and_tildes_within_names_are_just_characters(place: Path) -> None:
    async with connected(place / "w/proj") as tools:
        await tools("write", path="%2e%2e/x", content="x")
        await tools("write", path="~tilde", content="x")
    assert (place / "w/proj/%2e%2e/x").exists() and (place / "w/proj/~tilde").exists()
    assert not (place / "w/x").exists()


async def test_absolute_paths_inside_are_taken_and_answered_relative(place: Path) -> None:
    (place / "link").symlink_to(place / "w/proj")
    async with connected(place / "link") as tools:
        assert "Wrote a/b (" in await tools("write", path=f"{place}/w/proj/a/b", content="x")
        assert "1\tx" in await tools("read", path=f"{place}/link/a/b")
        assert await tools("read", path="./a/../f") == "1\tours"


@pytest.mark.case("A14")
@EVERY_OPENER
async def test_links_out_of_the_workspace_are_followed_neither_to_read_nor_to_write(place: Path, opener) -> None:
    work = place / "w/proj"
    (work / "l").symlink_to(place / "home/.ssh")
    (work / "r").symlink_to("../../home/.ssh")
    (work / "d").symlink_to(place / "new")
    (work / "a").mkdir()
    (work / "a/b").symlink_to("..")
    (work / "c").symlink_to("a/b/..")
    (work / "loop").symlink_to("loop")
    before = outside(place)
    workspace = module("workspace").Workspace.at(work, opener=opener)
    edit, read, ledger = module("editing.edit"), module("read"), module("editing.ledger").Ledger()
    Refused = module("refusal").Refused
    for path in (
        "l/id_rsa",
        "r/id_rsa",
        "d",
        "l/authorized_keys",
        "c/proj-evil/x",
        "loop",
    ):
        with pytest.raises(Refused):
            read.read_path(workspace, workspace, ledger, path, 1, 10)
        with pytest.raises(Refused):
            edit.write_file(workspace, ledger, path, "x")
    assert outside(place) == before
    edit.write_file(workspace, ledger, "a/b/g", "inside")
    assert (work / "g").read_text() == "inside"


@pytest.mark.case("A14")
async def test_what_a_link_out_leads_to_is_named_in_the_refusal_by_every_tool(place: Path) -> None:
    work = place / "w/proj"
    (work / "l").symlink_to(place / "home/.ssh")
    (work / "d").symlink_to(place / "new")
    async with connected(work) as tools:
        for refusal in await refused_everywhere(tools, "l/id_rsa"):
            assert f"resolves to {place}/home/.ssh/id_rsa" in refusal
        assert f"resolves to {place}/new" in await tools.refusal("write", path="d", content="x")
        assert "secret" not in await tools("grep", pattern="secret|ours")
        assert "id_rsa" not in await tools("glob", pattern="**")
        assert f"l -> {place}/home/.ssh" in await tools("list", depth=3)
    assert not (place / "new").exists()


# Exchanges `dir` and `link` in one step, over and over, until its input ends: renameat2(2) with RENAME_EXCHANGE.
SWAPPER = """
import ctypes, os, select, sys
swap = ctypes.CDLL(None, use_errno=True).renameat2
count = 0
print("ready", flush=True)
while not select.select([0], [], [], 0)[0]:
    for _ in range(50):
        count += swap(-100, b"dir", -100, b"link", 2) == 0
print(count)
"""


@contextmanager
def folder_swapped_with_link(work: Path) -> Iterator[list[int]]:
    """`dir` is a folder at one moment and a link to the home folder at the next. Afterwards the list has how often."""
    count: list[int] = []
    command = [sys.executable, "-c", SWAPPER]
    with subprocess.Popen(command, cwd=work, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as swapper:
        assert swapper.stdout is not None and swapper.stdout.readline() == "ready\n"
        try:
            yield count
        finally:
            count.append(int(swapper.communicate("")[0]))


@pytest.fixture
def raced(place: Path) -> Path:
    work = place / "w/proj"
    (work / "dir").mkdir()
    (work / "link").symlink_to(place / "home")
    return place


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="exchanging two names in one step is Linux's renameat2")


@ON_LINUX
@pytest.mark.case("A15")
@EVERY_OPENER
def test_of_a_thousand_writes_none_lands_outside_while_a_folder_is_swapped_with_a_link(raced: Path, opener) -> None:
    workspace = module("workspace").Workspace.at(raced / "w/proj", opener=opener)
    files, Refused = module("files"), module("refusal").Refused
    before = outside(raced)
    written = refused = 0
    with folder_swapped_with_link(raced / "w/proj") as swaps:
        for number in range(1000):
            try:
                name = workspace.writable("dir/f")
                files.commit(workspace, [files.Change(name, files.existing(workspace, name), b"%d" % number)])
                written += 1
            except Refused:
                refused += 1
    assert outside(raced) == before
    assert swaps[0] > 1000 and written > 0 and refused > 0
    assert not list((raced / "w/proj").rglob("*.tmp"))


@ON_LINUX
@pytest.mark.case("A15")
async def test_the_tools_neither_write_nor_read_outside_during_that_race(raced: Path) -> None:
    (raced / "home/f").write_text("secret")
    before = outside(raced)
    async with connected(raced / "w/proj") as tools:
        with folder_swapped_with_link(raced / "w/proj") as swaps:
            for number in range(200):
                await tools.result("write", path="dir/f", content=str(number))
                assert "secret" not in (await tools.result("read", path="dir/f")).content[0].text
    assert outside(raced) == before
    assert swaps[0] > 100


PATCHES = {
    "traversal": "*** Begin Patch\n*** Add File: good\n+x\n*** Add File: ../../p\n+x\n*** End Patch",
    "absolute": "*** Begin Patch\n*** Add File: good\n+x\n*** Add File: /tmp/goose-py-p\n+x\n*** End Patch",
    "inner traversal": "*** Begin Patch\n*** Add File: good\n+x\n*** Add File: a/../../p\n+x\n*** End Patch",
    "move": "*** Begin Patch\n*** Update File: f\n*** Move to: ../p\n-ours\n+x\n*** End Patch",
    "git rename": "diff --git a/f b/../p\nsimilarity index 100%\nrename from f\nrename to ../p\n",
    "git names": "--- a/f\n+++ b/../p\n@@ -1 +1 @@\n-ours\n+x\n",
    "symlink": "diff --git a/s b/s\nnew file mode 120000\n--- /dev/null\n+++ b/s\n@@ -0,0 +1 @@\n+/tmp\n"
    "\\ No newline at end of file\ndiff --git a/s/p b/s/p\nnew file mode 100644\n--- /dev/null\n+++ b/s/p\n"
    "@@ -0,0 +1 @@\n+x\n",
    "through a link": "*** Begin Patch\n*** Add File: good\n+x\n*** Add File: out/p\n+x\n*** End Patch",
    "repository": "*** Begin Patch\n*** Add File: good\n+x\n*** Add File: .git/hooks/post-checkout\n+x\n*** End Patch",
    "quoted": 'diff --git "a/good" "b/good"\nnew file mode 100644\n--- /dev/null\n+++ "b/\\056\\056/p"\n'
    "@@ -0,0 +1 @@\n+x\n",
}


@pytest.mark.case("A16")
@pytest.mark.parametrize("patch", PATCHES.values(), ids=PATCHES)
async def test_a_patch_with_one_path_that_leads_outside_is_refused_whole(place: Path, patch: str) -> None:
    work = place / "w/proj"
    (work / "out").symlink_to(place / "home")
    before, inside = outside(place), sorted(path.name for path in work.iterdir())
    async with connected(work) as tools:
        refused = await tools.refusal("apply_patch", patch=patch)
        assert "outside the workspace" in refused or "symbolic link" in refused or "protected" in refused, refused
    assert outside(place) == before
    assert sorted(path.name for path in work.iterdir()) == inside
    assert (work / "f").read_text() == "ours\n"
    assert not Path("/tmp/goose-py-p").exists()


SPELLINGS = [
    ".git/config",
    ".GIT/hooks/post-checkout",
    ".Git/x",
    ".git\u200b/config",
    ".g\u200dit/config",
    "\ufeff.git/config",
    ".git./x",
    ".git /x",
    ".git::$INDEX_ALLOCATION/x",
    "GIT~1/x",
    "sub/.git/config",
    ".git",
    ".gi\u0074/x",
    ".agent/config.yaml",
    ".Agent/config.yaml",
    "caf\u0065\u0301/x",
    "CAF\u00c9/x",
]


@pytest.mark.case("A17")
@pytest.mark.parametrize("path", SPELLINGS)
async def test_protected_names_are_protected_in_every_spelling(place: Path, path: str) -> None:
    work = place / "w/proj"
    (work / ".git").mkdir()
    (work / "alias").symlink_to(".git")
    protected = frozenset([".git", ".agent", "caf\u00e9"])
    async with connected(work, protected=protected) as tools:
        for refusal in (
            await tools.refusal("write", path=path, content="x"),
            await tools.refusal("edit", path=path, old_string="a", new_string="b"),
            await tools.refusal("apply_patch", patch=f"*** Begin Patch\n*** Add File: {path}\n+x\n*** End Patch"),
            await tools.refusal("write", path="alias/hooks/pre-commit", content="x"),
        ):
            assert "protected" in refusal
    assert sorted(item.name for item in work.iterdir()) == [".git", "alias", "f"]
    assert not list((work / ".git").iterdir())


@pytest.mark.case("A17")
async def test_names_that_only_look_like_protected_ones_are_free(place: Path) -> None:
    async with connected(place / "w/proj") as tools:
        for path in (".gitignore", ".github/x.yml", "git/x", ".gitattributes", "x.git/y"):
            await tools("write", path=path, content="x")


async def test_a_workspace_that_is_no_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(module("refusal").Refused, match="is not a folder"):
        module("server").create_server(tmp_path / "nowhere")
