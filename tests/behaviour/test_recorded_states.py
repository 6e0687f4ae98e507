"""Whatever commands do to a task, each state that stood between two of them can be brought back byte for byte."""

from __future__ import annotations

import asyncio
import random
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.errors import WouldOverwrite
from goose_py.git.worktrees.ignored import Bounds
from goose_py.git.worktrees.unrecordable import ignored_aside
from goose_py.git.worktrees.worktree import TaskWorktree

CASES, MANY = 16, 400

NAMES = ("a.txt", "b c.txt", "src/main.py", "src/deep/er.py", "new", "new/inner", "-dash", "ümläut", "x.local", "src/y.local")
IGNORED = ("x.local", "src/y.local", "build/out", "build/deep/out", "vendor/lib/z.o", "config.local", "vault/in")
PATTERNS = ("*.txt", "new", "!x.local", "src/")
BRANCHES = ("main", "topic", "side/one", "v1")
COMMANDS = (
    "rm -rf {path}",
    "rm -rf src",
    "rm -rf build *.local",
    "mkdir -p $(dirname {path}); echo {word} > {path}",
    "mkdir -p $(dirname {path}); printf 'a\\r\\nb\\0{word}' > {path}",
    "echo {word} >> {path}",
    "mkdir -p $(dirname {ignored}); echo {word} > {ignored}",
    "mkdir -p $(dirname {ignored}); printf '$Id$\\r\\n{word}' > {ignored}",
    "rm -rf {ignored}; ln -s {word} {ignored}",
    "mv {path} {other}",
    "mv {path} {ignored}",
    "mv {ignored} {path}",
    "chmod +x {path} {ignored}",
    "chmod -x {path} {ignored}",
    "rm -rf {path}; ln -s ../{other} {path}",
    "rm -rf {path}; mkdir -p {path}; echo {word} > {path}/{word}",
    "echo {word} >> vendor/lib/lib.c; echo {word} > vendor/lib/{word}",
    "rm -rf vendor/lib",
    "echo '{pattern}' >> .gitignore",
    "rm -f .gitignore",
    "git add -A",
    "git add -A; git commit -qm {word}",
    "git add -f *.local src/*.local; git commit -qm {word}",
    "git commit -q --allow-empty --amend -m {word}",
    "git reset -q --hard",
    "git reset -q --hard HEAD~1",
    "git checkout -q -- .",
    "git checkout -qf {branch}",
    "git checkout -q -b {branch}",
    "git checkout -q --detach",
    "git branch -q {branch}",
    "git branch -qD {branch}",
    "git tag {word}; git tag -a -m x an-{word}",
    "git tag -d $(git tag | head -1)",
    "git stash -qu",
    "git stash pop -q",
    "git stash drop -q",
    "git clean -qfdx",
    "git merge -q -X ours {branch}",
    "git mv {path} {other}",
    "git update-ref refs/notes/n HEAD; git pack-refs --all",
    "git gc -q --prune=now",
)  # fmt: skip


async def task_of(top: Path) -> tuple[Place, TaskWorktree]:
    place, library = Place(top), Place(top / "library")
    library.commit({"lib.c": "int lib;\n", ".gitignore": "*.o\n"})
    files = {name: f"{name}\n" * 3 for name in NAMES[:4]}
    place.commit({**files, ".gitignore": "*.local\nbuild/\n", ".gitattributes": "vault/** text eol=lf ident\n"})
    place.sh(f"git -c protocol.file.allow=always submodule -q add {library.root} vendor/lib && git commit -qm library")
    place.sh("git branch topic && git tag v0 && echo vault/ >> .git/info/exclude")
    worktree = await place.task("t1")
    await worktree.commits.prepare()
    return place, worktree


def inside(worktree: TaskWorktree, command: str) -> str:
    """As the sandbox shows it: the task's own git directory. The mounts themselves are proven elsewhere."""
    env = {
        "PATH": "/usr/bin:/bin", "GIT_DIR": str(worktree.commits.folder), "GIT_WORK_TREE": str(worktree.path),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(worktree.repository.objects), "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_EDITOR": "true", "LC_ALL": "C.UTF-8",
    }  # fmt: skip
    done = subprocess.run(["/bin/bash", "-c", command], env=env, cwd=worktree.path, capture_output=True, check=False)
    return done.stdout.decode("utf-8", "surrogateescape")


def seen(worktree: TaskWorktree) -> dict[str, object]:
    """All that a state holds, as the disk and git say it; what the refs lead to is there."""
    refs = inside(
        worktree,
        "git for-each-ref --format='%(refname) %(objectname) %(symref)'; cat \"$GIT_DIR/HEAD\"; git rev-parse -q --verify HEAD;"
        "git stash list --format='%H %gs'; git rev-list --objects --all --quiet || echo broken",
    )
    modes = {
        str(path.relative_to(worktree.path)): bool(path.stat().st_mode & 0o100)
        for path in worktree.path.rglob("*")
        if path.is_file() and not path.is_symlink() and path.name != ".git"
    }
    return {"files": tree_of_folder(worktree.path), "modes": modes, "refs": refs}


async def history(top: Path, seed: int) -> None:
    chance = random.Random(seed)
    place, worktree = await task_of(top)
    stood: list[tuple[str, dict[str, object], str]] = []
    word = 0

    async def keep(command: str) -> None:
        recorded = await worktree.record()
        assert recorded.left_out == (), (seed, recorded)
        stood.append((recorded.state, seen(worktree), command))

    await keep("")
    for _ in range(chance.randint(3, 7)):
        commands = []
        for _ in range(chance.randint(1, 3)):
            word += 1
            names = {
                "path": f"'./{chance.choice(NAMES)}'", "other": f"'./{chance.choice(NAMES)}'", "word": f"w{word}",
                "ignored": chance.choice(IGNORED), "branch": chance.choice(BRANCHES), "pattern": chance.choice(PATTERNS),
            }  # fmt: skip
            commands.append(chance.choice(COMMANDS).format(**names))
        inside(worktree, "; ".join(commands))
        await keep("; ".join(commands))
    place.sh("git gc -q --prune=now")
    story = [command for _, _, command in stood]
    for state, then, command in chance.sample(stood, len(stood)):
        await worktree.put_back(state)
        assert seen(worktree) == then, (seed, command, story)
        assert (await worktree.record()).state == state, (seed, command, story)
    state, then, command = chance.choice(stood)
    await worktree.put_back(state)
    await worktree.remove()
    worktree = await worktree.recreate()
    assert seen(worktree) == then, (seed, command, story)


@pytest.mark.case("P02")
@pytest.mark.case("S06")
@pytest.mark.parametrize("seed", range(CASES))
async def test_every_state_that_stood_between_two_commands_is_brought_back(tmp_path: Path, seed: int):
    await history(tmp_path, seed)


@pytest.mark.long
@pytest.mark.timeout(7200)
async def test_many_more_histories_are_brought_back_too(tmp_path: Path):
    for seed in range(1000, 1000 + MANY):
        await history(tmp_path / str(seed), seed)
        await asyncio.to_thread(subprocess.run, ["rm", "-rf", tmp_path / str(seed)], check=True)


async def test_an_ignored_file_in_the_place_of_a_tracked_one_comes_back(tmp_path: Path):
    _, worktree = await task_of(tmp_path)
    first = await worktree.record()
    inside(worktree, "echo src/ >> .gitignore; rm src/main.py; mkdir src/main.py; echo x > src/main.py/inner")
    then, second = tree_of_folder(worktree.path), await worktree.record()
    await worktree.put_back(first.state)
    assert (worktree.path / "src" / "main.py").is_file()
    await worktree.put_back(second.state)
    assert tree_of_folder(worktree.path) == then


async def test_what_is_too_much_is_left_out_by_name_and_comes_back_all_the_same_when_the_worktree_does(tmp_path: Path):
    _, worktree = await task_of(tmp_path)
    worktree = replace(worktree, bounds=Bounds(file_bytes=100, files=5, bytes=1000))
    small = {"build/out": "x", "config.local": "x", "src/large.local": "x" * 200, "build/__pycache__/c.pyc": "x"}
    (worktree.path / "build").mkdir()
    for name, text in {**small, **{f"many.local/{number}": "x" for number in range(6)}}.items():
        (worktree.path / name).parent.mkdir(parents=True, exist_ok=True)
        (worktree.path / name).write_text(text)
    recorded = await worktree.record()
    assert recorded.left_out == recorded.ignored_left_out == ("many.local/", "src/large.local")
    parts = await worktree.states.parts(recorded.state)
    assert set(await worktree.store.entries(parts.ignored)) == {b"build/out", b"config.local"}, "a cache is none of it"
    before = tree_of_folder(worktree.path)
    await worktree.remove()
    assert ignored_aside(worktree.store.path) == ("many.local", "src/large.local")
    again = await worktree.recreate()
    del before["build/__pycache__/c.pyc"]
    assert tree_of_folder(again.path) == before


async def test_what_no_state_holds_is_in_nobodys_way_and_a_rewind_that_it_stops_changes_nothing(tmp_path: Path):
    _, worktree = await task_of(tmp_path)
    worktree = replace(worktree, bounds=Bounds(file_bytes=100))
    (worktree.path / "x.local").write_text("small")
    first = await worktree.record()
    (worktree.path / "x.local").write_text("large" * 100)
    (worktree.path / "a.txt").write_text("later")
    (worktree.path / "y.local").write_text("later")
    before = tree_of_folder(worktree.path)
    with pytest.raises(WouldOverwrite, match=r"x\.local"):
        await worktree.put_back(first.state)
    assert tree_of_folder(worktree.path) == before


async def test_only_the_named_path_is_looked_at_unless_it_says_what_is_ignored_or_is_that_itself(tmp_path: Path):
    place = Place(tmp_path)
    place.commit({"a.txt": "a\n", ".gitignore": "*.local\n"})
    worktree = await place.task("t1")
    await worktree.record()

    async def files_after(path: str, text: str) -> set[bytes]:
        (worktree.path / path).write_text(text)
        return set(await worktree.store.entries((await worktree.record([path.encode()])).tree))

    (worktree.path / "unseen").write_text("x")
    assert b"unseen" not in await files_after("new.txt", "x") and b"unseen" not in await files_after("a.txt", "x")
    (worktree.path / "a.txt").unlink()
    assert b"a.txt" not in set(await worktree.store.entries((await worktree.record([b"a.txt"])).tree))
    assert b"unseen" in await files_after("x.local", "x"), "an ignored file takes a look at everything"
    (worktree.path / "later").write_text("x")
    assert b"later" in await files_after(".gitignore", "*.local\n*.tmp\n"), "so does what says which files are ignored"
    parts = await worktree.states.parts((await worktree.record()).state)
    assert b"x.local" in await worktree.store.entries(parts.ignored)
