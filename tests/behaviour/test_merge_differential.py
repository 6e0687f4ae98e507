"""The merge beside git's own, over generated histories: the same tree or the same conflicts, and never a file lost unsaid.

`GOOSE_PY_MERGE_CASES` is how many are tried (ten thousand take a quarter of an hour); `GOOSE_PY_MERGE_FIRST` where they begin,
so that one can be had again by its number."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from git_repos import GIT, Place, tree_of_folder

from goose_py.git.private import PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.merge import Side, merge_sides, merge_trees
from goose_py.review.apply import apply_to_working_tree, take_back
from goose_py.review.approval import Approval
from goose_py.review.errors import CannotApply

CASES = int(os.environ.get("GOOSE_PY_MERGE_CASES", "200"))
FIRST = int(os.environ.get("GOOSE_PY_MERGE_FIRST", "0"))

Files = dict[str, tuple[str, bytes]]
"""Mode and content by path."""

WORDS = ("oak", "elm", "ash", "fir", "yew", "box", "bay", "fig", "plum", "pear", "lime", "rose", "fern", "moss", "reed", "leek")
ATTRIBUTES = ("*.lock merge=union", "*.bin -merge", "*.ours merge=binary", "*.txt merge=text", "*.wide conflict-marker-size=20")
NAMES = ("a.txt", "b.txt", "x.lock", "y.bin", "z.ours", "w.wide", "d/c.txt", "d/e.lock", "d/f/g.txt", "d/f/h.txt", "e/i.txt")
FOLDERS = ("", "d/", "d/f/", "e/", "n/", "n/m/")


@dataclass
class History:
    """What two sides made of the same files."""

    base: Files
    ours: Files
    theirs: Files


def history(number: int) -> History:
    chance = random.Random(number)
    base: Files = {name: ("100644", text(chance)) for name in chance.sample(NAMES, chance.randint(4, len(NAMES)))}
    if chance.random() < 0.6:
        lines = chance.sample(ATTRIBUTES, chance.randint(1, len(ATTRIBUTES)))
        content = "".join(f"{line}\n" for line in lines).encode()
        base[chance.choice((".gitattributes", "d/.gitattributes"))] = ("100644", content)
    sides = [dict(base), dict(base)]
    for side in sides:
        for _ in range(chance.randint(1, 4)):
            chance.choice(CHANGES)(chance, side)
    if chance.random() < 0.2:
        seed = chance.random()
        change = chance.choice(CHANGES)
        for side in sides:
            change(random.Random(seed), side)
    return History(base, *map(possible, sides))


def text(chance: random.Random) -> bytes:
    if chance.random() < 0.1:
        return b"\0" + chance.randbytes(40)
    return "".join(f"{chance.choice(WORDS)} {chance.randint(0, 99)}\n" for _ in range(chance.randint(3, 14))).encode()


def edit(chance: random.Random, files: Files) -> None:
    path = chance.choice(sorted(files))
    mode, content = files[path]
    if mode == "120000":
        return
    lines = content.splitlines(keepends=True) or [b"\n"]
    at = chance.randrange(len(lines))
    match chance.randrange(3):
        case 0:
            lines[at] = f"{chance.choice(WORDS)} changed\n".encode()
        case 1:
            lines.insert(at, f"{chance.choice(WORDS)} added\n".encode())
        case _:
            del lines[at]
    files[path] = (mode, b"".join(lines))


def rename(chance: random.Random, files: Files) -> None:
    path = chance.choice(sorted(files))
    target = chance.choice(FOLDERS) + chance.choice(("a.txt", "new.txt", "x.lock", path.rpartition("/")[2]))
    files[target] = files.pop(path)
    if chance.random() < 0.5:
        edit(chance, files)


def rename_folder(chance: random.Random, files: Files) -> None:
    folder, target = chance.choice(FOLDERS[1:]), chance.choice(FOLDERS[1:])
    for path in [path for path in files if path.startswith(folder)]:
        files[target + path.removeprefix(folder)] = files.pop(path)


def delete(chance: random.Random, files: Files) -> None:
    if len(files) > 1:
        del files[chance.choice(sorted(files))]


def add(chance: random.Random, files: Files) -> None:
    files[chance.choice(FOLDERS) + chance.choice(("new.txt", "fresh.lock", "y.bin"))] = ("100644", text(chance))


def change_mode(chance: random.Random, files: Files) -> None:
    path = chance.choice(sorted(files))
    if files[path][0] != "120000":
        files[path] = ("100755" if files[path][0] == "100644" else "100644", files[path][1])


def become_link(chance: random.Random, files: Files) -> None:
    files[chance.choice(sorted(files))] = ("120000", chance.choice((b"a.txt", b"nowhere")))


def become_folder(chance: random.Random, files: Files) -> None:
    path = chance.choice(sorted(files))
    files[f"{path}/inside"] = files.pop(path)


def become_binary(chance: random.Random, files: Files) -> None:
    path = chance.choice(sorted(files))
    files[path] = ("100644", b"\0" + chance.randbytes(30))


CHANGES: tuple[Callable[[random.Random, Files], None], ...] = (
    edit, edit, edit, edit, rename, rename, rename_folder, delete, add, change_mode, become_link, become_folder, become_binary,
)  # fmt: skip


def possible(files: Files) -> Files:
    """Without files in the place of folders."""
    folders = {path[:at] for path in files for at, letter in enumerate(path) if letter == "/"}
    return {path: entry for path, entry in files.items() if path not in folders}


def imported(place: Place, numbers: range) -> dict[str, str]:
    """All histories as branches of one repository, at once; their trees, and the commits of what they begin with."""
    place.commit({"start": "s\n"})
    stream = b"".join(_commits(number) for number in numbers)
    (place.top / "stream").write_bytes(stream)
    place.sh(f"git fast-import --quiet < {place.top}/stream")
    place.sh("git pack-refs --all")
    rows = [
        *place.sh("git for-each-ref --format='%(refname:short) %(tree)' 'refs/heads/*/*'").splitlines(),
        *place.sh("git for-each-ref --format='%(refname:short)-commit %(objectname)' 'refs/heads/*/base'").splitlines(),
    ]
    return dict(row.split(" ") for row in rows)


def _commits(number: int) -> bytes:
    found = history(number)
    out = []
    for name, files in (("base", found.base), ("ours", found.ours), ("theirs", found.theirs)):
        out.append(f"commit refs/heads/{number}/{name}\ncommitter A <a@b> 1 +0000\ndata 1\nm\n".encode())
        if name != "base":
            out.append(f"from refs/heads/{number}/base\ndeleteall\n".encode())
        for path, (mode, content) in sorted(files.items()):
            out.append(f"M {mode} inline {path}\ndata {len(content)}\n".encode() + content + b"\n")
    return b"".join(out)


@dataclass
class ByGit:
    """What `git merge` made of it in a checkout of `ours`: a tree, or conflicts. `aborted`: it found a bug of its own, which is
    about how conflicts are put into a checkout."""

    aborted: bool
    tree: str
    conflicts: list[str]
    unmerged: set[str]

    @property
    def clean(self) -> bool:
        return not self.unmerged and not self.aborted


def merged_by_git(place: Place, number: int, strategy: str) -> ByGit:
    said, ended, unmerged, tree = place.sh(
        f"git checkout -q -f --detach {number}/ours && git clean -qfdx && "
        f"git merge --no-commit --no-ff -s {strategy} {number}/theirs; "
        "ended=$?; echo =====; echo $ended; echo =====; git ls-files -u; echo =====; git write-tree 2>/dev/null",
        check=False,
    ).split("=====\n")
    conflicts = sorted(line for line in said.splitlines() if line.startswith("CONFLICT"))
    paths = {row.split("\t")[1].replace("~HEAD", f"~our-{number}") for row in unmerged.splitlines()}
    return ByGit(int(ended) > 128, tree.strip(), conflicts, paths)


def trees_of(trees: dict[str, str], number: int) -> list[str]:
    return [trees[f"{number}/{name}"] for name in ("base", "ours", "theirs")]


def pair_of(trees: dict[str, str], number: int) -> tuple[Side, Side]:
    _, ours, theirs = trees_of(trees, number)
    base = trees[f"{number}/base-commit"]
    one, other = names_of(number)
    return Side(ours, base, one), Side(theirs, base, other)


def names_of(number: int) -> tuple[str, str]:
    return f"our-{number}", f"{number}/theirs"


async def opened(place: Place, git: Git) -> tuple[Repository, PrivateStore]:
    repository = await Repository.open(git, place.root)
    return repository, await PrivateStore.create(repository, place.top / "store")


async def test_trees_are_merged_as_git_merges_branches(tmp_path: Path):
    place, numbers = Place(tmp_path), range(FIRST, FIRST + CASES)
    trees = imported(place, numbers)
    _, store = await opened(place, place.git)
    conflicting = 0
    for number, merged in zip(numbers, await merge_sides(store, [pair_of(trees, number) for number in numbers]), strict=True):
        by_git = merged_by_git(place, number, "ort")
        if number % 10 == 0:
            alone = await merge_trees(store, *trees_of(trees, number), names_of(number))
            assert (merged.conflicts, merged.joined) == (alone.conflicts, alone.joined), f"case {number}"
        assert merged.clean == by_git.clean, f"case {number}: {merged} {by_git}"
        conflicting += not merged.clean
        if merged.clean:
            assert merged.tree == by_git.tree, f"case {number}: {merged} {by_git}"
        else:
            assert set(merged.conflicting) >= by_git.unmerged, f"case {number}: {merged} {by_git}"
            messages = (each.message.replace(f"our-{number}", "HEAD") for each in merged.conflicts)
            said = sorted(line for message in messages for line in message.splitlines())
            if not by_git.aborted:
                assert [line for line in said if line.startswith("CONFLICT")] == by_git.conflicts, f"case {number}: {merged}"
    assert CASES < 100 or 0.1 < conflicting / CASES < 0.9, "of both kinds"


async def test_a_git_without_merge_tree_merges_as_its_recursive_strategy_does(tmp_path: Path):
    place, numbers = Place(tmp_path), range(FIRST, FIRST + CASES // 4)
    trees = imported(place, numbers)
    old = place.top / "old-git"
    old.write_text(f'#!/bin/sh\ncase "$*" in *--write-tree*) exit 129;; esac\nexec {GIT} "$@"\n')
    old.chmod(0o755)
    _, store = await opened(place, Git.create(old, place.env))
    for number in numbers:
        by_git = merged_by_git(place, number, "recursive")
        merged = await merge_trees(store, *trees_of(trees, number), names_of(number))
        assert merged.clean == by_git.clean, f"case {number}: {merged} {by_git}"
        if merged.clean:
            assert merged.tree == by_git.tree, f"case {number}: {merged} {by_git}"
        else:
            assert set(merged.conflicting) >= by_git.unmerged, f"case {number}: {merged} {by_git}"


@pytest.mark.parametrize("standing", ["committed", "staged", "unstaged"])
async def test_a_checkout_becomes_what_git_would_make_of_it_or_stays_and_is_given_back_byte_by_byte(
    tmp_path: Path, standing: str
):
    place, numbers = Place(tmp_path), range(FIRST, FIRST + CASES // 10)
    trees = imported(place, numbers)
    _, store = await opened(place, place.git)
    applied = 0
    for number in numbers:
        by_git = merged_by_git(place, number, "ort")
        place.sh("git reset -q --hard && git clean -qfdx")
        if standing != "committed":
            place.sh(f"git checkout -q --detach {number}/base && git read-tree -m -u {number}/base {number}/ours")
        if standing == "unstaged":
            place.sh("git reset -q")
        before, status = tree_of_folder(place.root), place.sh("git status --porcelain")
        base, _, theirs = trees_of(trees, number)
        repository = await Repository.open(place.git, place.root)
        try:
            done = await apply_to_working_tree(repository, store, Approval(base, theirs, theirs), place.scratch)
        except CannotApply:
            assert not by_git.clean or standing == "unstaged", f"case {number}: {by_git}"
            assert tree_of_folder(place.root) == before and place.sh("git status --porcelain") == status, f"case {number}"
            continue
        applied += 1
        assert by_git.clean or standing == "unstaged", f"case {number}: {by_git}"
        if by_git.clean:
            place.sh(f"rm -rf {place.top}/out && mkdir {place.top}/out && git archive {by_git.tree} | tar x -C {place.top}/out")
            assert tree_of_folder(place.root) == tree_of_folder(place.top / "out"), f"case {number}"
        await take_back(repository, store, done.before, done.after, base)
        assert tree_of_folder(place.root) == before, f"case {number}"
    assert applied
