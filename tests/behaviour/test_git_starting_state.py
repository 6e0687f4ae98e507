"""What is recorded of a checkout, and that a worktree of it looks the same to git and to everybody else."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.trees.snapshot import Caps
from goose_py.git.worktrees.base import base_from_head, base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree

LOOKS = ("git status --porcelain=v2 -uall", "git diff", "git diff --staged", "git stash list", "git log --format=%H -3")
NAMES = ("a.txt", "b.sh", "dir/c.txt", "dir/deep/d e.txt", "ü.txt", "-dash", "link", "big.bin", "tab\there", "e")


def looks(place: Place, where: Path | None = None) -> list[str]:
    return [place.sh(command, cwd=where) for command in LOOKS]


async def inside(place: Place, worktree: TaskWorktree) -> list[str]:
    """What git says in the sandbox, where it has a directory of its own. The mounts themselves are proven elsewhere."""
    own = await worktree.commits.prepare()
    assert own is not None
    view = f"GIT_DIR='{own.folder}' GIT_WORK_TREE=. GIT_ALTERNATE_OBJECT_DIRECTORIES='{place.root}/.git/objects'"
    return [place.sh(f"export {view}; {command}", cwd=worktree.path) for command in (*LOOKS, "git branch -a")]


def begun(place: Place, random_: random.Random) -> None:
    place.commit({name: f"{name}\n" * 30 for name in NAMES if name != "link"})
    (place.root / "link").symlink_to("a.txt")
    (place.root / "b.sh").chmod(0o755)
    place.commit({".gitignore": "*.log\n", "x.log": "ignored\n"})


def _present(place: Place, random_: random.Random) -> str | None:
    files = [name for name in (*NAMES, "new 1", "sub/new2") if (place.root / name).is_file()]
    return random_.choice(files) if files else None


def _edit(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        path = place.root / name
        lines = path.read_text().splitlines(keepends=True)
        lines.insert(random_.randrange(len(lines) + 1), f"edit {random_.random()}\n")
        path.write_text("".join(lines))


def _new(place: Place, random_: random.Random) -> None:
    place.write({random_.choice(["new 1", "sub/new2", "sub/deeper/n3", "x2.log", "n\nl"]): f"{random_.random()}\n"})


def _delete(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        (place.root / name).unlink()


def _mode(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        (place.root / name).chmod(random_.choice([0o644, 0o755]))


def _link(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        (place.root / name).unlink()
        (place.root / name).symlink_to(random_.choice(["a.txt", "/nowhere", "dir"]))


def _stage(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        place.sh(f"git add -f -- '{name}'")


def _stage_all(place: Place, random_: random.Random) -> None:
    place.sh("git add -A")


def _rename(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        place.sh(f"git mv -f -- '{name}' moved{random_.randrange(3)}", check=False)


def _unstage(place: Place, random_: random.Random) -> None:
    if name := _present(place, random_):
        place.sh(f"git rm -q --cached -f -- '{name}'", check=False)


def _intend(place: Place, random_: random.Random) -> None:
    place.write({f"intended{random_.randrange(2)}": "i\n"})
    place.sh("git add -N intended*")


def _folder_for_file(place: Place, random_: random.Random) -> None:
    if (place.root / "e").is_file():
        (place.root / "e").unlink()
        place.write({"e/inside": "now a folder\n"})


ACTS: tuple[Callable[[Place, random.Random], None], ...] = (
    _edit, _edit, _new, _delete, _mode, _link, _stage, _stage, _stage_all, _rename, _unstage, _intend, _folder_for_file,
)  # fmt: skip


async def started(place: Place) -> TaskWorktree:
    return await place.task("t1", await base_with_changes(await place.open(), place.scratch))




@pytest.mark.case("H02")
@pytest.mark.case("H03")
@pytest.mark.parametrize("seed", range(24))
async def test_whatever_the_checkout_is_like_git_says_the_same_in_the_worktree(tmp_path: Path, seed: int):
    random_ = random.Random(seed)
    place = Place(tmp_path)
    if seed % 8 == 0:
        place.sh("git init -q -b main --object-format=sha256 .")
    begun(place, random_)
    for _ in range(random_.randrange(1, 12)):
        random_.choice(ACTS)(place, random_)
    if seed % 5 == 0:
        place.sh("git checkout -q --detach")
    said = looks(place)  # which refreshes the user's index
    before = place.state()
    base = await base_with_changes(await place.open(), place.scratch)
    assert place.state() == before
    worktree = await place.task("t1", base)
    assert looks(place, worktree.path) == said
    assert await inside(place, worktree) == [*said, place.sh("git branch -a")]
    found = {name: file for name, file in tree_of_folder(place.root).items() if not name.endswith(".log")}
    assert tree_of_folder(worktree.path) == found
    assert (await worktree.snapshot()).tree == base.tree
    assert place.state() == before
    # What is said stays so when it comes back from a removal.
    await worktree.remove()
    again = await (await TaskWorktree.open(await place.open(), worktree.store.path)).recreate()
    assert looks(place, again.path) == said and tree_of_folder(again.path) == found


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    begun(place, random.Random(0))
    return place


async def test_of_a_clean_checkout_nothing_is_recorded(place: Place):
    count = place.sh("git count-objects")
    repository = await place.open()
    assert await base_with_changes(repository, place.scratch) == await base_from_head(repository)
    assert place.sh("git count-objects") == count and not list(place.scratch.iterdir())


@pytest.mark.parametrize("operation", ["merge", "rebase", "cherry-pick"])
async def test_in_the_middle_of_an_operation_the_files_come_and_the_operation_does_not(place: Place, operation: str):
    place.sh("git checkout -q -b other && echo other > a.txt && echo new > theirs.txt && git add -A && git commit -qm other")
    place.sh("git checkout -q main && echo mine > a.txt && git commit -qam mine")
    place.sh(f"git {operation} other", check=False)
    assert "<<<<<<<" in (place.root / "a.txt").read_text()
    before = place.state()
    base = await base_with_changes(await place.open(), place.scratch)
    assert len(base.warnings) == 1 and operation in base.warnings[0] and "does not" in base.warnings[0]
    worktree = await place.task("t1", base)
    assert (worktree.path / "a.txt").read_text() == (place.root / "a.txt").read_text()
    status = place.sh("git status --porcelain", cwd=worktree.path)
    assert " M a.txt" in status and "UU" not in status
    assert place.state() == before


async def test_files_that_git_was_told_not_to_look_at_come_as_they_are_and_are_still_not_looked_at(place: Place):
    place.write({"a.txt": "mine, assumed\n", "dir/c.txt": "mine, skipped\n"})
    place.sh("git update-index --assume-unchanged a.txt && git update-index --skip-worktree dir/c.txt")
    said, before = looks(place), place.state()
    assert said[0] == ""
    worktree = await started(place)
    assert (worktree.path / "a.txt").read_text() == "mine, assumed\n"
    assert (worktree.path / "dir/c.txt").read_text() == "mine, skipped\n"
    assert looks(place, worktree.path) == said and place.state() == before
    place.write({"a.txt": "the task's\n"}, worktree.path)
    assert (await worktree.snapshot()).tree != worktree.base.tree


async def test_a_sparse_checkout_stays_sparse_and_what_is_outside_is_no_deletion(place: Place):
    place.sh("git sparse-checkout set dir")
    place.write({"dir/c.txt": "mine\n", "dir/new": "n\n"})
    said = looks(place)
    worktree = await started(place)
    assert looks(place, worktree.path) == said
    assert tree_of_folder(worktree.path) == {
        name: file for name, file in tree_of_folder(place.root).items() if not name.endswith(".log")
    }


async def test_a_repository_within_comes_without_its_history(place: Place):
    place.sh("git init -q inner && cd inner && echo 1 > one && git add one && git commit -qm one && echo 2 > two")
    worktree = await started(place)
    assert (worktree.path / "inner/one").read_text() == "1\n" and (worktree.path / "inner/two").exists()
    assert not (worktree.path / "inner/.git").exists()
    assert any("inner is a git repository of its own" in warning for warning in worktree.base.warnings)


async def test_more_new_files_than_may_come_are_left_out_by_the_folder_and_counted(place: Place):
    place.write({f"made/{number}": "x\n" for number in range(40)} | {"src/mine.py": "m\n", "zz.txt": "z\n"})
    base = await base_with_changes(await place.open(), place.scratch, Caps(new_files=20, without_secrets=True))
    assert len(base.left_out) == 22 and all(path.startswith("made/") for path in base.left_out)
    assert any("22 of 42 new files" in warning for warning in base.warnings) and base.uncommitted == 20
    worktree = await place.task("t1", base)
    assert (worktree.path / "src/mine.py").exists() and (worktree.path / "zz.txt").exists()
    assert (await worktree.snapshot()).tree == base.tree


async def test_new_files_that_are_too_much_together_are_left_out_and_the_others_come(place: Place):
    place.write({"data/1": b"1" * 600, "data/2": b"2" * 600, "small": b"s"})
    base = await base_with_changes(await place.open(), place.scratch, Caps(new_bytes=1000, without_secrets=True))
    assert base.left_out == ("data/2",) and place.sh(f"git show {base.recorded}:small") == "s"


async def test_files_that_hold_secrets_come_only_where_they_are_tracked(place: Place):
    place.commit({".env": "TRACKED=1\n"})
    place.write({".env": "TRACKED=2\n", "sub/.env.local": "A=1\n", ".env.example": "A=\n", "id_rsa": "k\n"})
    place.write({"x.tfvars": "a\n", "note.md": "the token is ghp_" + "x1Y2" * 9 + "\n", "clean.md": "c\n"})
    base = await base_with_changes(await place.open(), place.scratch)
    assert set(base.left_out) == {"sub/.env.local", "id_rsa", "x.tfvars", "note.md"}
    assert place.sh(f"git show {base.recorded}:.env") == "TRACKED=2\n"
    objects = place.sh("git cat-file --batch-all-objects --batch-check=%\\(objectname\\)").split()
    secret = place.sh("git hash-object note.md").strip()
    assert secret not in objects, "not even as an object"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_file_that_may_not_be_read_is_left_out_and_said(place: Place):
    place.write({"a.txt": "mine\n", "new": "n\n"})
    (place.root / "new").chmod(0)
    base = await base_with_changes(await place.open(), place.scratch)
    assert base.left_out == ("new",) and "cannot be read" in base.warnings[0]


async def test_before_the_first_commit_the_files_are_the_base(tmp_path: Path):
    place = Place(tmp_path)
    place.sh("git init -q -b main .")
    place.write({"a.txt": "a\n", ".env": "S=1\n"})
    worktree = await started(place)
    assert tree_of_folder(worktree.path) == {"a.txt": ("file", b"a\n")} and worktree.base.left_out == (".env",)


async def test_what_is_recorded_survives_the_users_garbage_collection(place: Place):
    place.write({"a.txt": "staged\n"})
    place.sh("git add a.txt")
    place.write({"a.txt": "on disk\n", "new": "n\n"})
    worktree = await started(place)
    place.sh("git checkout -q -f HEAD && rm new && git commit -q --amend -m other && git reflog expire --expire=now --all")
    place.sh("git gc -q --prune=now")
    await worktree.remove()
    again = await (await TaskWorktree.open(await place.open(), worktree.store.path)).recreate()
    assert (again.path / "a.txt").read_text() == "on disk\n"
    assert place.sh("git show :a.txt", cwd=again.path) == "staged\n"
    assert place.sh("git fsck --connectivity-only") == ""
