"""Whatever commands do to a task, each state that stood between two of them can be brought back byte for byte."""

from __future__ import annotations

import asyncio
import random
import subprocess
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.worktrees.worktree import TaskWorktree

CASES, MANY = 16, 400

NAMES = ("a.txt", "b c.txt", "src/main.py", "src/deep/er.py", "new", "new/inner", "-dash", "ümläut", "x.local", "src/y.local")
IGNORED = ("x.local", "src/y.local", "build/out", "build/deep/out", "vendor/lib/z.o", "config.local", "build/run.sh")
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
    "git add -f {ignored}; git commit -qm {word}",
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
    place.commit({**files, ".gitignore": "*.local\nbuild/\n", ".gitattributes": "*.local text eol=lf ident\n"})
    place.sh(f"git -c protocol.file.allow=always submodule -q add {library.root} vendor/lib && git commit -qm library")
    place.sh("git branch topic && git tag v0")
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
