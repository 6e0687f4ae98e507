"""Git LFS without its program: contents in the worktree, pointers in trees and commits, and no content lost on the way.

`git lfs` need not be installed: pointers, stores and the filter that the positive controls run are written by its published
specification."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.trees.diff import changeset_summary, with_hunks
from goose_py.git.trees.snapshot import Caps
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import ChangeSet
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval
from goose_py.review.landing import commit_on_task_branch, land, prepare_landing
from goose_py.tasks.changes.merging import rest_after

ART, TABLE = b"\x00\x01art" * 1000, b"a,b\n1,2\n" * 50
CLEAN = """#!/bin/sh
f=$(mktemp); cat > $f; s=$(sha256sum < $f | cut -d' ' -f1)
if grep -aq '^version https://git-lfs' $f; then cat $f; else
printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' $s $(wc -c < $f); fi; rm $f
"""


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def stored(place: Place, content: bytes) -> Path:
    digest = hashlib.sha256(content).hexdigest()
    return place.root / ".git/lfs/objects" / digest[:2] / digest[2:4] / digest


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """As `git lfs` leaves a repository: blobs are pointers, the checkout and the store hold the contents, a filter in the
    configuration joins them."""
    place = Place(tmp_path)
    place.sh("git init -q -b main .")
    script = place.top / "clean.sh"
    script.write_text(CLEAN)
    script.chmod(0o755)
    place.sh(f"git config filter.lfs.clean {script}; git config filter.lfs.smudge false; git config filter.lfs.required true")
    place.commit({".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n*.csv filter=lfs -text\n"})
    place.commit({"art/a.psd": ART, "t.csv": TABLE, "a.txt": "a\n"})
    (place.root / "art" / "a.psd").chmod(0o755)
    place.commit()
    for content in (ART, TABLE):
        stored(place, content).parent.mkdir(parents=True)
        stored(place, content).write_bytes(content)
    assert place.sh("git show HEAD:art/a.psd") == pointer(ART)
    return place


async def changes_of(worktree: TaskWorktree) -> ChangeSet:
    snapshot = await worktree.snapshot()
    return await changeset_summary(worktree.store, worktree.base.tree, snapshot.tree)


async def changed(worktree: TaskWorktree) -> dict[str, str]:
    return {file.path: file.status for file in (await changes_of(worktree)).files}


async def approve_all(worktree: TaskWorktree) -> Approval:
    tree = (await worktree.snapshot()).tree
    return Approval(worktree.base.tree, tree, tree)


@pytest.mark.case("R40")
@pytest.mark.case("U17")
async def test_a_worktree_has_the_contents_and_shows_none_of_them_as_changed(place: Place):
    before = place.state()
    worktree = await place.task()
    assert tree_of_folder(worktree.path) == tree_of_folder(place.root)
    assert worktree.pointers == () and await changed(worktree) == {}
    assert (worktree.path / "art/a.psd").stat().st_ino != stored(place, ART).stat().st_ino, "it is no hard link"
    on = worktree.store.on(worktree.path)
    assert await on.out("diff-files", "--raw") == b"", "git is told by times that they are unchanged, not by reading them"
    place.sh("git config --remove-section filter.lfs")  # as it is inside the sandbox
    assert place.sh("git status --porcelain", cwd=worktree.path) == ""
    before.pop("config"), (found := place.state()).pop("config")
    assert found == before


async def test_contents_that_are_missing_are_named_and_their_files_stay_pointers(place: Place):
    stored(place, ART).unlink()
    stored(place, TABLE).write_bytes(b"cut off")
    worktree = await place.task()
    assert worktree.pointers == ("art/a.psd", "t.csv")
    assert (worktree.path / "t.csv").read_text() == pointer(TABLE) and await changed(worktree) == {}


async def test_a_store_that_is_a_link_in_the_place_of_a_content_is_not_followed(place: Place):
    secret = place.top / "secret"
    secret.write_bytes(b"s" * len(ART))
    stored(place, ART).unlink()
    stored(place, ART).symlink_to(secret)
    worktree = await place.task()
    assert worktree.pointers == ("art/a.psd",) and (worktree.path / "art/a.psd").read_text() == pointer(ART)


async def test_a_changed_file_is_recorded_shown_and_kept_or_dropped_whole(place: Place):
    worktree = await place.task()
    place.write({"t.csv": TABLE + b"3,4\n", "art/a.psd": ART + b"!", "new.psd": b"\x00new"}, worktree.path)
    changes = await with_hunks(worktree.store, await changes_of(worktree))
    assert {file.path: file.status for file in changes.files} == {
        "art/a.psd": "modified", "new.psd": "added", "t.csv": "modified"
    }  # fmt: skip
    table = changes.file("t.csv")
    assert table is not None and table.binary and table.hunks == () and "lfs" in table.flags
    recorded = place.sh(f"git --git-dir {worktree.store.path} show {changes.result_tree}:t.csv")
    assert recorded.encode() == TABLE + b"3,4\n"


@pytest.mark.case("U39")
@pytest.mark.case("U01")
async def test_a_rewind_and_a_restore_bring_contents_back(place: Place):
    worktree = await place.task()
    base = tree_of_folder(worktree.path)
    place.write({"t.csv": "changed\n", "new.psd": b"\x00new"}, worktree.path)
    (worktree.path / "art/a.psd").rename(worktree.path / "b.psd")
    one, files = await worktree.snapshot(), tree_of_folder(worktree.path)
    await worktree.restore(worktree.base.tree)
    assert tree_of_folder(worktree.path) == base and await changed(worktree) == {}
    await worktree.restore(one.tree)
    assert tree_of_folder(worktree.path) == files and (await worktree.snapshot()).tree == one.tree
    await worktree.remove()
    again = await worktree.recreate()
    assert tree_of_folder(again.path) == files and (await again.snapshot()).tree == one.tree


async def test_what_was_changed_and_changed_back_is_no_change(place: Place):
    worktree = await place.task()
    place.write({"t.csv": "changed\n"}, worktree.path)
    assert await changed(worktree) == {"t.csv": "modified"}
    place.write({"t.csv": TABLE}, worktree.path)
    assert await changed(worktree) == {}
    os.utime(worktree.path / "art/a.psd")
    assert await changed(worktree) == {}


async def test_a_content_above_the_cap_is_recorded_as_long_as_it_is_unchanged(place: Place):
    worktree = await place.task()
    cramped = await TaskWorktree.open(await place.open(), worktree.store.path, Caps(file_bytes=100))
    os.utime(worktree.path / "art/a.psd")
    snapshot = await cramped.snapshot()
    assert snapshot.left_out == () and snapshot.tree == worktree.base.tree


async def test_changes_land_in_a_checkout_as_contents(place: Place):
    worktree = await place.task()
    place.write({"t.csv": "changed\n", "new.psd": b"\x00new"}, worktree.path)
    os.utime(place.root / "t.csv")  # read again by whoever wants to know whether it is the user's own work
    await apply_to_working_tree(await place.open(), worktree.store, await approve_all(worktree), place.scratch)
    assert (place.root / "t.csv").read_bytes() == b"changed\n" and (place.root / "new.psd").read_bytes() == b"\x00new"
    place.sh("git add -A")
    assert place.sh("git show :t.csv") == pointer(b"changed\n") and place.sh("git show :new.psd") == pointer(b"\x00new")


@pytest.mark.parametrize("history", ["squash", "commits"])
async def test_changes_land_in_a_commit_as_pointers_with_their_contents_stored(place: Place, history):
    worktree = await place.task()
    place.write({"t.csv": "one\n"}, worktree.path)
    place.sh("git -c filter.lfs.clean= -c filter.lfs.required=false commit -qam agent", cwd=worktree.path)
    assert place.sh("git show HEAD:t.csv", cwd=worktree.path) == "one\n", "there is no filter in the sandbox"
    place.write({"t.csv": "two\n", "new.psd": b"\x00new", "a.txt": "b\n"}, worktree.path)
    (worktree.path / "art/a.psd").rename(worktree.path / "b.psd")
    approval = await approve_all(worktree)
    landing = await prepare_landing(worktree, approval, "main", "done\n", history)
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git show main:t.csv") == pointer(b"two\n") and place.sh("git show main:new.psd") == pointer(b"\x00new")
    assert place.sh("git show main:b.psd") == pointer(ART)
    assert stored(place, b"two\n").read_bytes() == b"two\n" and stored(place, b"\x00new").read_bytes() == b"\x00new"
    blobs = place.sh("git log --format= --raw --no-abbrev main -- t.csv | cut -d' ' -f4").split()
    assert all(place.sh(f"git cat-file blob {oid}").startswith("version https://git-lfs") for oid in blobs)
    assert tree_of_folder(place.root) == tree_of_folder(worktree.path)
    assert place.sh("git status --porcelain") == "", "as the filter sees it"

    rest = await rest_after(worktree, landing, landing.approval.result_tree)
    assert rest is not None and rest[1] == landing.tree
    await worktree.restore(rest[1])
    assert tree_of_folder(place.root) == tree_of_folder(worktree.path)


async def test_the_tasks_branch_gets_pointers_too(place: Place):
    worktree = await place.task()
    place.write({"t.csv": "one\n"}, worktree.path)
    commit = await commit_on_task_branch(worktree, await approve_all(worktree), "m\n")
    assert place.sh(f"git show {commit}:t.csv") == pointer(b"one\n") and stored(place, b"one\n").exists()


async def test_contents_of_a_submodule_come_from_its_own_store(place: Place):
    library = Place(place.top / "library")
    library.commit({".gitattributes": "*.bin filter=lfs -text\n", "x.bin": pointer(b"content")})
    place.sh(f"git -c protocol.file.allow=always submodule -q add {library.root} lib && git commit -qm lib")
    digest = hashlib.sha256(b"content").hexdigest()
    home = place.root / ".git/modules/lib/lfs/objects" / digest[:2] / digest[2:4]
    home.mkdir(parents=True)
    (home / digest).write_bytes(b"content")
    worktree = await place.task()
    assert (worktree.path / "lib/x.bin").read_bytes() == b"content" and await changed(worktree) == {}
