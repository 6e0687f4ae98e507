"""Conventions read from a base whose files are not there yet: word for word what the worktree would say."""

import asyncio
import os
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.agent.conventions import Conventions
from goose_py.bootstrap.workspace.conventions import conventions_of_base
from goose_py.git.errors import GitError
from goose_py.git.trees.extract import extract
from goose_py.git.worktrees.base import base_from_head
from goose_py.git.worktrees.worktree import TaskWorktree

NAMES = ("AGENTS.md", ".goosehints")

REPOSITORIES = {
    "a plain file": {"AGENTS.md": "Be brief.\n"},
    "none": {"docs/AGENTS.md": "Only below.\n"},
    "imports, three deep": {
        "AGENTS.md": "One @a/b.md\n", "a/b.md": "Two @c.md @../d.md\n", "a/c.md": "Three @e.md\n", "a/e.md": "Four\n",
        "d.md": "D\n",
    },
    "imports in a circle": {"AGENTS.md": "@a.md\n", "a.md": "@AGENTS.md @a.md\n"},
    "an import of what git ignores": {".gitignore": "secret.md\n", "AGENTS.md": "@secret.md @absent.md\n"},
    "a link to another file": {"AGENTS.md": Path("docs/rules.md"), "docs/rules.md": "See @more.md\n", "docs/more.md": "M\n"},
    "a link to a link": {"AGENTS.md": Path(".goosehints"), ".goosehints": Path("docs/r.md"), "docs/r.md": "Far\n"},
    "an import through a linked folder": {"AGENTS.md": "@docs/r.md\n", "docs": Path("documents"), "documents/r.md": "There\n"},
    "a link out of the repository": {"AGENTS.md": Path("../outside.md")},
    "a link out and in again": {"AGENTS.md": Path("../t1/docs/r.md"), "docs/r.md": "Around\n"},
    "a link that leads nowhere": {"AGENTS.md": Path("nowhere.md")},
    "a link to git's own": {"AGENTS.md": Path(".git/config")},
    "a folder of that name": {"AGENTS.md/file": "no file\n"},
    "line ends by attribute": {".gitattributes": "*.md eol=crlf\n", "AGENTS.md": "One\nTwo @docs/r.md\n", "docs/r.md": "T\n"},
    "attributes further down": {"AGENTS.md": "@a/r.md\n", "a/r.md": "One\nTwo\n", "a/.gitattributes": "r.md eol=crlf\n"},
    "an encoding": {
        ".gitattributes": "*.md working-tree-encoding=UTF-16LE\n", "AGENTS.md": "See @a.md\n".encode("utf-16-le"), "a.md": b"",
    },
    "an id that git fills in": {".gitattributes": "*.md ident\n", "AGENTS.md": "$Id$\n"},
    "invisible characters": {"AGENTS.md": "Be\u200b brief.\n"},
    "names that are not UTF-8": {"AGENTS.md": "@a.md\n", os.fsdecode(b"\xff.md"): "x\n", "a.md": "A\n"},
}  # fmt: skip


@pytest.fixture
def place(tmp_path):
    (tmp_path / "outside.md").write_text("not theirs\n")
    return Place(tmp_path)


def commit(place: Place, files: dict[str, str | bytes | Path]) -> None:
    place.commit({name: content for name, content in files.items() if not isinstance(content, Path)})
    for name, target in files.items():
        if isinstance(target, Path):
            (place.root / name).symlink_to(target)
    place.commit()


async def begun(place: Place) -> TaskWorktree:
    repository = await place.open()
    base = await base_from_head(repository)
    where, store = place.top / "worktrees" / "t1", place.top / "state" / "tasks" / "t1"
    return await TaskWorktree.begin(repository, "t1", where=where, store=store, base=base)


@pytest.mark.parametrize("what", REPOSITORIES)
async def test_the_base_says_what_the_worktree_will_say(place: Place, what: str):
    commit(place, REPOSITORIES[what])
    everywhere = place.top / "home" / "AGENTS.md"
    everywhere.write_text("For all of mine.\n")
    worktree = await begun(place)
    tracked = frozenset(await worktree.base_files())
    scratch = place.top / "state" / "scratch"
    early, said = await conventions_of_base(worktree, tracked, NAMES, [everywhere], scratch)
    await worktree.fill()
    late = Conventions(worktree.path, NAMES, lambda path: path not in tracked)
    assert said == late.initial([everywhere], worktree.path)
    assert early.nested("docs/r.md") == late.nested("docs/r.md")
    assert not list(scratch.iterdir())


async def test_what_a_person_should_know_of_them_is_said_once(place: Place):
    commit(place, REPOSITORIES["invisible characters"])
    worktree = await begun(place)
    tracked = frozenset(await worktree.base_files())
    early, _ = await conventions_of_base(worktree, tracked, NAMES, [], place.top / "state" / "scratch")
    warned = early.warnings()
    await worktree.fill()
    assert early.nested("AGENTS.md") == ""
    assert len(warned) == 1 and early.warnings() == ()


async def test_files_of_a_tree_are_written_as_its_checkout_writes_them(place: Place):
    commit(place, {".gitattributes": "*.txt eol=crlf\n", "a.txt": "a\nb\n", "b/c.txt": "c\n", "b/link": Path("../a.txt")})
    worktree = await place.task()
    folder = place.top / "extracted"
    folder.mkdir()
    await extract(worktree.store, worktree.base.tree, [b"a.txt", b"b/link", b"absent"], folder)
    whole = tree_of_folder(worktree.path)
    assert tree_of_folder(folder) == {name: whole[name] for name in (".gitattributes", "a.txt", "b/link")}


async def test_whoever_opens_a_worktree_that_is_being_filled_waits_for_its_files(place: Place):
    commit(place, {"a.txt": "a\n"})
    worktree = await begun(place)
    filling = asyncio.create_task(worktree.fill())
    await asyncio.sleep(0)  # it has begun
    opened = await TaskWorktree.open(await place.open(), worktree.store.path)
    assert (opened.path / "a.txt").read_text() == "a\n"
    assert (await opened.snapshot()).tree == worktree.base.tree
    await filling


async def test_a_worktree_that_was_only_begun_is_begun_again_from_its_base(place: Place):
    commit(place, {"a.txt": "a\n"})
    worktree = await begun(place)
    (worktree.path / "a.txt").write_text("half of i")
    commit(place, {"a.txt": "changed since\n"})
    with pytest.raises(GitError, match="was never finished"):
        await TaskWorktree.open(await place.open(), worktree.store.path)
    again = await TaskWorktree.begin_again(await place.open(), worktree.store.path)
    await again.fill()
    assert (again.base, again.path) == (worktree.base, worktree.path)
    assert tree_of_folder(again.path) == {"a.txt": ("file", b"a\n")}
    with pytest.raises(GitError, match="only begun"):
        await TaskWorktree.begin_again(await place.open(), worktree.store.path)
