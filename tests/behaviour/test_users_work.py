"""What leaves as a commit holds nothing that its user has not committed, whatever the task did with it."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest
from git_repos import Place

from goose_py.git.worktrees.base import base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import GooseError
from goose_py.review.approval import Approval
from goose_py.review.errors import UsersWork
from goose_py.review.landing import commit_on_task_branch, prepare_landing

NAMES = ("a.txt", "dir/b.txt", "dir/c.txt")
USERS = "a line of their own that is in no commit"
TASKS = "a line that the task has written"


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.txt") if ".git" not in path.parts)


def _change(root: Path, random_: random.Random, change: Callable[[list[str]], object]) -> None:
    if files := _files(root):
        path = random_.choice(files)
        lines = path.read_text().splitlines()
        change(lines)
        path.write_text("".join(f"{line}\n" for line in lines))


def _writes(root: Path, random_: random.Random, text: str) -> None:
    """One to three lines that are nowhere else, anywhere in a file, a new one at times."""
    new = [f"{text} {random_.getrandbits(32):08x}" for _ in range(random_.randint(1, 3))]
    if random_.random() < 0.25:
        (root / f"new{random_.randrange(4)}.txt").write_text("\n".join([*new, ""]))
        return

    def insert(lines: list[str]) -> None:
        at = random_.randrange(len(lines) + 1)
        lines[at:at] = new

    _change(root, random_, insert)


def _deletes(root: Path, random_: random.Random) -> None:
    def delete(lines: list[str]) -> None:
        if lines:
            del lines[(at := random_.randrange(len(lines))) : at + random_.randint(1, 3)]

    _change(root, random_, delete)


def _moves_lines(root: Path, random_: random.Random) -> None:
    taken: list[str] = []

    def take(lines: list[str]) -> None:
        at = random_.randrange(len(lines) + 1)
        taken.extend(lines[at : at + 4])
        if random_.random() < 0.5:
            del lines[at : at + 4]

    _change(root, random_, take)
    indent = random_.choice(["", "    "])
    _change(root, random_, lambda lines: lines.extend(f"{indent}{line}" for line in taken))


def _moves_file(root: Path, random_: random.Random) -> None:
    if files := _files(root):
        path = random_.choice(files)
        (root / f"moved{random_.randrange(4)}.txt").write_bytes(path.read_bytes())
        if random_.random() < 0.5:
            path.unlink()


async def _held(place: Place, tip: str, commit: str) -> bool:
    """Whether something that the commit brings has a line of the user's that no commit of theirs has."""
    objects = place.sh(f"git rev-list --objects {tip}..{commit}").split("\n")
    blobs = [line.split(" ")[0] for line in objects if line]
    texts = [place.sh(f"git cat-file -p {blob}") for blob in blobs if place.sh(f"git cat-file -t {blob}") == "blob\n"]
    committed = place.sh(f"git grep -h -F '{USERS}' {tip} || true")
    return any(USERS in line and line.strip() not in committed for text in texts for line in text.splitlines())


@pytest.mark.parametrize("seed", [*range(12), 26, 29, 49, 57, 78, 107, 116])
async def test_a_commit_holds_no_line_that_only_the_users_uncommitted_work_has(tmp_path: Path, seed: int) -> None:
    random_, place = random.Random(seed), Place(tmp_path)
    place.commit({name: "".join(f"line {number} of {name}\n" for number in range(8)) for name in NAMES})
    for _ in range(random_.randint(1, 3)):
        _writes(place.root, random_, USERS)
        if random_.random() < 0.3:
            place.sh("git add -A")
        if random_.random() < 0.3:
            _deletes(place.root, random_)
    worktree = await place.task(base=await base_with_changes(await place.open(), place.scratch))
    does = (_deletes, _moves_lines, _moves_file, *[lambda root, random_: _writes(root, random_, TASKS)] * 5)
    for _ in range(random_.randint(1, 3)):
        random_.choice(does)(worktree.path, random_)
        if random_.random() < 0.3:
            place.sh("git add -A && git commit -qm own", cwd=worktree.path)
    if random_.random() < 0.3:
        place.sh("git add -A && git commit -qm 'The user goes on'")
    tree = (await worktree.snapshot()).tree
    approval, tip = Approval(worktree.base.tree, tree, tree), place.sh("git rev-parse HEAD").strip()
    for history in ("squash", "commits"):
        try:
            landing = await prepare_landing(worktree, approval, "main", "m", history)
        except GooseError:
            continue
        assert not await _held(place, tip, landing.commit), (seed, history)
    try:
        commit = await commit_on_task_branch(worktree, approval, "m", random_.choice(["squash", "commits"]))
    except GooseError:
        return
    assert not await _held(place, worktree.base.commit, commit), seed


async def _begun(place: Place, uncommitted: dict[str, str]) -> TaskWorktree:
    place.write(uncommitted)
    return await place.task(base=await base_with_changes(await place.open(), place.scratch))


async def _landed(worktree: TaskWorktree) -> str:
    tree = (await worktree.snapshot()).tree
    return (await prepare_landing(worktree, Approval(worktree.base.tree, tree, tree), "main", "m")).commit


LONG = "def the_users_function_that_nobody_has_committed(argument):"


@pytest.mark.parametrize(
    ("copy", "refused"),
    [
        (f"    {LONG}\r\n", True),
        ("    return argument\n    raise Unknown\n", True),
        ("    return argument\n", False),
        ("x = 1\ny = 2\n}\n", False),
        ("shared header of every file, long enough to tell\nand its second line\n", False),
        (f"{LONG[:-1]}, more):\n", False),
    ],
    ids=["one that is long", "two", "a short one", "what says nothing", "what is committed too", "reworded"],
)
async def test_lines_of_theirs_in_another_file_are_seen_where_they_are_no_coincidence(
    tmp_path: Path, copy: str, refused: bool
) -> None:
    place = Place(tmp_path)
    header = "shared header of every file, long enough to tell\nand its second line\n"
    place.commit({"a.txt": header, "b.txt": "b\n"})
    mine = f"{header}{LONG}\n    return argument\n    raise Unknown\nx = 1\ny = 2\n}}\n"
    worktree = await _begun(place, {"mine.txt": mine})
    place.write({"b.txt": f"b\n{copy}"}, worktree.path)
    if not refused:
        assert copy in place.sh(f"git show {await _landed(worktree)}:b.txt")
        return
    with pytest.raises(UsersWork, match=r"b\.txt of the task holds what you have not committed.*--with-my-changes"):
        await _landed(worktree)


async def test_lines_that_were_only_staged_count_and_those_that_were_committed_since_do_not(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commit({"a.txt": "a\n", "b.txt": "b\n"})
    place.write({"a.txt": f"a\n{LONG}\n"})
    place.sh("git add a.txt")
    worktree = await _begun(place, {"a.txt": "a\nsomething else\n"})
    place.write({"b.txt": f"b\n{LONG}\n"}, worktree.path)
    with pytest.raises(UsersWork, match=r"b\.txt"):
        await _landed(worktree)
    place.commit({"a.txt": f"a\n{LONG}\n"})
    assert LONG in place.sh(f"git show {await _landed(worktree)}:b.txt")
