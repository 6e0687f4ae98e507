"""list, grep and glob over a real MCP client; ripgrep and the engine without it give the same."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from developer_extension import Tools, connected, module

ripgrep, listing, walk = module("search.ripgrep"), module("search.listing"), module("search.walk")
Workspace, Refused = module("workspace").Workspace, module("refusal").Refused
NEEDS_RIPGREP = pytest.mark.skipif(ripgrep.installed() is None, reason="ripgrep is not installed")


@asynccontextmanager
async def without_ripgrep(workspace: Path) -> AsyncIterator[Tools]:
    """A server whose sandbox does not have ripgrep in it."""
    plain = module("shell.processes").plain_spawn

    async def spawn(argv: Sequence[str], **rest: Any) -> asyncio.subprocess.Process:
        if argv[0].endswith("rg"):
            raise FileNotFoundError(2, "No such file or directory")
        return await plain(argv, **rest)

    async with connected(workspace, spawn=spawn) as tools:
        yield tools


WITH = pytest.param(connected, marks=NEEDS_RIPGREP, id="ripgrep")
BOTH = pytest.mark.parametrize("server", [WITH, without_ripgrep])


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Every kind of thing a search can meet."""
    files = {
        ".gitignore": "*.log\n!keep.log\n/build/\n# note\nnode_modules\n\\#odd\nspace\\ \n"
        "**/cache/*.tmp\ndoc/**/draft*\n",
        ".ignore": "*.dat\n!x.dat\n*.log2\n",
        ".rgignore": "!y.log2\n",
        "x.dat": "needle\n",
        "y.dat": "needle ignored\n",
        "y.log2": "needle\n",
        "z.log2": "needle ignored\n",
        "a.py": "def alpha():\n    return 'needle'\n",
        "a-b.py": "needle in a dash\n",
        "a/z.py": "Needle\nneedle\r\nneedle",
        "a/deep/.gitignore": "local.txt\n!b.log\n",
        "a/deep/local.txt": "needle ignored here\n",
        "a/deep/b.log": "needle brought back\n",
        "x.log": "needle ignored\n",
        "keep.log": "needle kept\n",
        "build/out.txt": "needle ignored\n",
        "sub/build/out.txt": "needle, since /build/ is only at the top\n",
        "node_modules/m/index.js": "needle ignored\n",
        "sub/cache/x.tmp": "needle ignored\n",
        "doc/a/draft1.md": "needle ignored\n",
        "doc/final.md": "needle\n",
        ".hidden/.config": "needle hidden but not ignored\n",
        ".git/config": "needle in the repository's own\n",
        "nested/.git/HEAD": "needle\n",
        "nested/x.log": "needle: a repository of its own has its own rules\n",
        "nested/.gitignore": "secret\n",
        "nested/secret": "needle ignored\n",
        "#odd": "needle ignored\n",
        "space ": "needle ignored\n",
        "ünïcode/ñ.txt": "needle ñ\n",
        "new\nline.txt": "needle\n",
        "empty": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "binary").write_bytes(b"needle\0needle\n")
    (tmp_path / "utf16.txt").write_bytes("needle sixteen\r\n".encode("utf-16"))
    (tmp_path / "latin.txt").write_bytes("needle à côté\n".encode("latin-1"))
    (tmp_path / "wide.txt").write_text("x " * 50_000 + "needle\n" + "needle" + " y" * 50_000 + "\n")
    (tmp_path / os.fsdecode(b"bad\xff.txt")).write_text("needle\n")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "link.py").symlink_to("a.py")
    (tmp_path / "linked").symlink_to("a")
    (tmp_path / "void").mkdir()
    return tmp_path


def names(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.startswith("[")]


@BOTH
async def test_glob_gives_what_git_would_not_ignore_in_order(project: Path, server) -> None:
    async with server(project) as tools:
        assert names(await tools("glob", pattern="**")) == [
            ".gitignore",
            ".hidden/.config",
            ".ignore",
            ".rgignore",
            "a/deep/.gitignore",
            "a/deep/b.log",
            "a/z.py",
            "a-b.py",
            "a.py",
            "bad\\xff.txt",
            "binary",
            "doc/final.md",
            "empty",
            "keep.log",
            "latin.txt",
            "nested/.gitignore",
            "nested/x.log",
            "new␊line.txt",
            "sub/build/out.txt",
            "utf16.txt",
            "wide.txt",
            "x.dat",
            "y.log2",
            "ünïcode/ñ.txt",
        ]
        assert names(await tools("glob", pattern="*.py")) == ["a/z.py", "a-b.py", "a.py"]
        assert names(await tools("glob", pattern="*.py", path="a")) == ["a/z.py"]
        assert names(await tools("glob", pattern="deep/*", path="a")) == ["a/deep/.gitignore", "a/deep/b.log"]
        assert await tools("glob", pattern="*.nothing") == "No files match '*.nothing'."
        assert "is a file" in await tools.refusal("glob", pattern="*", path="a.py")
        assert "no such file" in await tools.refusal("glob", pattern="*", path="nowhere")


@BOTH
async def test_a_folder_that_is_ignored_can_still_be_searched_by_its_name(project: Path, server) -> None:
    async with server(project) as tools:
        assert names(await tools("glob", pattern="**", path="node_modules")) == ["node_modules/m/index.js"]
        assert "index.js" in await tools("grep", pattern="needle", path="node_modules/m")
        assert "x.log\n1:needle ignored" in await tools("grep", pattern="needle", path="x.log")


PATTERNS = [
    {"pattern": "needle"},
    {"pattern": "NEEDLE", "ignore_case": True},
    {"pattern": "needle$"},
    {"pattern": r"^\s+return"},
    {"pattern": "needle|alpha", "context": 1},
    {"pattern": "needle", "context": 3, "path": "a"},
    {"pattern": "needle", "glob": "*.{py,md}"},
    {"pattern": "needle", "glob": "a/**"},
    {"pattern": "needle", "files_only": True},
    {"pattern": r"n\w+e\b"},
    {"pattern": "[[:alpha:]]+ hidden"},
    {"pattern": "à"},
    {"pattern": "ñ$"},
    {"pattern": "sixteen$"},
    {"pattern": "."},
    {"pattern": "nothing at all"},
    {"pattern": "needle(?= kept)"},
    {"pattern": r"(n)eedl\1?e"},
    {"pattern": "alpha(){"},
    {"pattern": "-needle"},
    {"pattern": ""},
    {"pattern": "("},
    {"pattern": "a\nb"},
    {"pattern": r"a\nb"},
    {"pattern": "x", "context": 99},
    {"pattern": "x", "path": "../"},
    {"pattern": "x", "glob": "{}" * 3 + "["},
]


@NEEDS_RIPGREP
@pytest.mark.parametrize("query", PATTERNS, ids=str)
async def test_grep_answers_the_same_with_and_without_ripgrep(project: Path, query: dict) -> None:
    async with connected(project) as tools:
        expected = await tools.result("grep", **query)
    async with without_ripgrep(project) as tools:
        found = await tools.result("grep", **query)
    assert found.content[0].text == expected.content[0].text
    assert found.is_error == expected.is_error


@BOTH
async def test_matches_come_by_file_with_numbers_context_and_a_count(project: Path, server) -> None:
    async with server(project) as tools:
        assert await tools("grep", pattern="needle", path="a") == (
            "a/deep/b.log\n1:needle brought back\na/z.py\n2:needle\n3:needle\n[3 matches in 2 files]"
        )
        assert await tools("grep", pattern="return", context=1, path="a.py") == (
            "a.py\n1-def alpha():\n2:    return 'needle'\n[1 match in 1 file]"
        )
        assert await tools("grep", pattern="kept", files_only=True) == "keep.log: 1\n[1 match in 1 file]"
        assert await tools("grep", pattern="zzz", glob="*.py") == "No matches for 'zzz' in 3 files."
        assert "line cut" in await tools("grep", pattern="needle", path="wide.txt")


@BOTH
async def test_a_great_many_matches_are_bounded_and_counted(tmp_path: Path, server) -> None:
    for number in range(60):
        (tmp_path / f"{number:02}.txt").write_text("hit\n" * 100)
    async with server(tmp_path) as tools:
        text = await tools("grep", pattern="hit")
        assert text.endswith(
            "[the first 200 matches of 6,000 matches in 60 files; narrow it with path, glob or pattern]"
        )
        assert text.startswith("00.txt\n1:hit\n2:hit\n") and len(text) < 21_000
        (tmp_path / "big.txt").write_text("hit\n" * 20_000)
        assert "more than 10,000 matches" in await tools("grep", pattern="hit")


async def test_a_pattern_that_never_ends_is_given_up_and_holds_up_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("a" * 40 + "!\n")
    async with without_ripgrep(tmp_path) as tools:
        search = asyncio.create_task(tools.refusal("grep", pattern="(a+)+$"))
        async with asyncio.timeout(20):
            assert await tools("shell", command="echo meanwhile") == "meanwhile\n[exit code 0]"
        async with asyncio.timeout(30):
            assert "takes too long" in await search


@BOTH
async def test_the_list_is_a_tree_with_what_is_ignored_only_counted(project: Path, server) -> None:
    async with server(project) as tools:
        text = await tools("list", path="a", depth=3)
        assert text == "deep/\n  .gitignore\n  b.log\nz.py\n[1 ignored by .gitignore not shown]"
        top = (await tools("list", depth=1)).splitlines()
        assert {"a/", "void/", "link.py -> a.py", "linked -> a", "pipe [not a regular file]", "new␊line.txt"} <= set(
            top
        )
        assert ".git/" not in top and "x.log" not in top and "  z.py" not in top
        assert await tools("list", path="void") == "void/ is empty"
        assert "use read" in await tools.refusal("list", path="a.py")
        assert "1 to 10" in await tools.refusal("list", depth=0)


async def test_a_huge_folder_is_listed_within_bounds_with_a_count(tmp_path: Path) -> None:
    for number in range(1000):
        (tmp_path / f"{number:04}").touch()
    async with connected(tmp_path) as tools:
        text = await tools("list")
        assert text.splitlines()[-1].startswith("[600 more in the folders shown")
        assert "[500 of 1,000 files shown" in await tools("glob", pattern="*")


async def test_no_program_of_the_workspace_or_of_the_path_is_taken_for_ripgrep(tmp_path: Path) -> None:
    fake = tmp_path / "rg"
    fake.write_text("#!/bin/sh\ntouch marker\n")
    fake.chmod(0o755)
    (tmp_path / ".ripgreprc").write_text(f"--pre={fake}\n")
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "RIPGREP_CONFIG_PATH": str(tmp_path / ".ripgreprc")}
    async with connected(tmp_path, env=env) as tools:
        await tools("grep", pattern="touch")
        await tools("glob", pattern="*")
    assert not (tmp_path / "marker").exists()


def random_tree(dice: random.Random, folder: Path, depth: int = 0) -> None:
    rules = [
        "*.o",
        "!a.o",
        "/b",
        "b/",
        "c*",
        "**/d",
        "a/**",
        "!b/",
        "[ab].x",
        "*",
        "!*/",
        "!*.x",
        "a/b",
        "\\!x",
        "# c",
        "",
        " ",
        "d/*",
        "!d/e",
    ]
    if dice.random() < 0.5:
        (folder / ".gitignore").write_text("\n".join(dice.sample(rules, dice.randrange(1, 5))) + "\n")
    if depth and dice.random() < 0.1:
        (folder / ".git").mkdir()
    for name in dice.sample(["a", "b", "c", "d", "e"], 3):
        if depth < 3 and dice.random() < 0.6:
            (folder / name).mkdir()
            random_tree(dice, folder / name, depth + 1)
        else:
            (folder / name).touch()
    for name in dice.sample(["a.o", "b.o", "a.x", "!x", "c1"], 2):
        (folder / name).touch()


@NEEDS_RIPGREP
async def test_both_engines_list_the_same_files_of_random_trees_with_random_rules(tmp_path: Path) -> None:
    spawn = module("shell.processes").plain_spawn
    for seed in range(60):
        root = tmp_path / str(seed)
        root.mkdir()
        random_tree(random.Random(seed), root)
        workspace = Workspace.at(root)
        engine = ripgrep.Ripgrep(ripgrep.installed(), spawn, workspace.root, None)
        folders = [
            ".",
            *(str(path.relative_to(root)) for path in root.rglob("*") if path.is_dir() and ".git" not in path.parts),
        ]
        for folder in folders[:6]:
            expected = await listing.files_at(workspace, engine, folder, None)
            assert list(walk.walked_files(workspace, folder)) == expected, (seed, folder)
