"""Submodules: filled from what the user's checkout has of them, recorded, reviewed, gone back and landed like other files."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.contents.submodule_stores import module_stores
from goose_py.git.contents.submodules import DEEPEST, MOST, Checkout, fill_submodules, fillable, links_of
from goose_py.git.private import PrivateStore
from goose_py.git.trees.diff import changeset_summary, with_hunks
from goose_py.git.worktrees.base import base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.events import ChangeDecided
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval
from goose_py.review.errors import CannotApply, UncommittedOverlap
from goose_py.review.landing import Followed, land, prepare_landing
from goose_py.review.selection import selected_tree
from goose_py.review.verdicts import Decision, fold
from goose_py.tasks.changes.rebasing import plan_rebase, rebase

LINES = "".join(f"{number}\n" for number in range(30))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """vendor/lib has lib.c and, in a submodule of its own, inner/deep.c."""
    place = Place(tmp_path)
    inner, library = Place(place.top / "inner"), Place(place.top / "library")
    inner.commit({"deep.c": "int deep;\n"})
    library.commit({"lib.c": LINES, ".gitignore": "*.o\n"})
    add = "git -c protocol.file.allow=always submodule -q add"
    library.sh(f"{add} {inner.root} inner && git commit -qm inner")
    place.commit({"a.txt": "a\n"})
    place.sh(f"{add} {library.root} vendor/lib && git commit -qm library")
    place.sh("git -c protocol.file.allow=always submodule -q update --init --recursive")
    return place


async def changes_of(worktree: TaskWorktree) -> ChangeSet:
    snapshot = await worktree.snapshot()
    return await changeset_summary(worktree.store, worktree.base.tree, snapshot.tree)


async def changed(worktree: TaskWorktree) -> dict[str, str]:
    return {file.path: file.status for file in (await changes_of(worktree)).files}


async def approve_all(worktree: TaskWorktree) -> Approval:
    tree = (await worktree.snapshot()).tree
    return Approval(worktree.base.tree, tree, tree)


def state(place: Place) -> dict[str, bytes | str]:
    """That of the checkout with its submodules, and of their git directories but for objects."""
    found = place.state()
    modules = place.root / ".git" / "modules"
    for path in sorted(modules.rglob("*")):
        if path.is_file() and "objects" not in path.parts:
            found[str(path)] = path.read_bytes()
    return found


@pytest.mark.case("U17")
@pytest.mark.case("R40")
async def test_submodules_are_filled_at_the_recorded_commit_from_what_the_checkout_has(place: Place):
    place.sh("git checkout -q HEAD", cwd=place.root / "vendor/lib")
    place.write({"vendor/lib/lib.c": "not committed\n"})
    before = state(place)
    worktree = await place.task()
    assert worktree.submodules == ("vendor/lib", "vendor/lib/inner") and worktree.empty == ()
    assert (worktree.path / "vendor/lib/lib.c").read_text() == LINES
    assert (worktree.path / "vendor/lib/inner/deep.c").read_text() == "int deep;\n"
    assert (await worktree.snapshot()).tree == worktree.base.tree and (await worktree.snapshot()).warnings == ()
    assert place.sh("git status --porcelain", cwd=worktree.path) == ""
    assert state(place) == before


async def test_what_cannot_be_filled_is_named_and_its_folder_stays_empty(place: Place):
    place.sh("rm -rf .git/modules/vendor/lib/modules")
    worktree = await place.task()
    assert worktree.empty == ("vendor/lib/inner",)
    assert (worktree.path / "vendor/lib/lib.c").exists() and not list((worktree.path / "vendor/lib/inner").iterdir())
    assert await changed(worktree) == {}
    place.sh("git submodule deinit -q -f --all && rm -rf .git/modules")
    other = await place.task("t2")
    assert other.empty == ("vendor/lib",) and await changed(other) == {}


async def test_changes_inside_a_submodule_are_shown_by_file_and_line(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": LINES + "more\n", "vendor/lib/new.c": "n\n", "vendor/lib/x.o": "o"}, worktree.path)
    (worktree.path / "vendor/lib/inner/deep.c").unlink()
    place.write({"a.txt": "A\n"}, worktree.path)
    summary = await changes_of(worktree)
    assert {file.path: file.status for file in summary.files} == {
        "a.txt": "modified",
        "vendor/lib/inner/deep.c": "deleted",
        "vendor/lib/lib.c": "modified",
        "vendor/lib/new.c": "added",
    }
    assert all(("in_submodule" in file.flags) == file.path.startswith("vendor/") for file in summary.files)
    file = (await with_hunks(worktree.store, summary)).file("vendor/lib/lib.c")
    assert file is not None and [line for line in (file.hunks or ())[0].lines if line[0] != " "] == ["+more\n"]
    place.sh(f"git --git-dir {worktree.store.path} fsck --strict {summary.result_tree}")


@pytest.mark.case("U39")
@pytest.mark.case("U01")
async def test_a_rewind_and_a_restore_cover_the_files_of_submodules(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": "1\n", "vendor/lib/inner/deep.c": "2\n", "vendor/lib/new/n.c": "3\n"}, worktree.path)
    one, files = await worktree.snapshot(), tree_of_folder(worktree.path)
    undo = await worktree.restore(worktree.base.tree)
    assert undo.tree == one.tree and not (worktree.path / "vendor/lib/new").exists()
    assert (worktree.path / "vendor/lib/lib.c").read_text() == LINES
    assert await changed(worktree) == {}
    await worktree.restore(one.tree)
    assert tree_of_folder(worktree.path) == files and (await worktree.snapshot()).tree == one.tree
    place.sh(f"git --git-dir {worktree.store.path} gc -q --prune=now")
    await worktree.remove()
    again = await worktree.recreate()
    assert tree_of_folder(again.path) == files and (await again.snapshot()).tree == one.tree


async def test_a_submodule_that_is_deleted_is_shown_as_deleted_and_comes_back(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": "1\n"}, worktree.path)
    one, files = await worktree.snapshot(), tree_of_folder(worktree.path)
    place.sh("rm -rf vendor/lib", cwd=worktree.path)
    assert await changed(worktree) == {"vendor/lib": "deleted"}
    place.write({"vendor/lib": "a file\n"}, worktree.path)
    assert await changed(worktree) == {"vendor/lib": "type-changed"}
    await worktree.restore(one.tree)
    assert tree_of_folder(worktree.path) == files and (await worktree.snapshot()).tree == one.tree


async def test_a_link_in_the_place_of_a_submodule_is_recorded_and_never_followed(place: Place):
    worktree = await place.task()
    elsewhere = place.top / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "lib.c").write_text("mine\n")
    place.sh(f"rm -rf vendor/lib && ln -s {elsewhere} vendor/lib", cwd=worktree.path)
    assert await changed(worktree) == {"vendor/lib": "type-changed"}
    await worktree.restore(worktree.base.tree)
    assert (worktree.path / "vendor/lib/lib.c").read_text() == LINES and not (worktree.path / "vendor/lib").is_symlink()
    assert [path.name for path in elsewhere.iterdir()] == ["lib.c"] and (elsewhere / "lib.c").read_text() == "mine\n"


async def test_changes_inside_a_submodule_land_in_its_checkout_and_are_not_committed(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": LINES + "more\n", "vendor/lib/inner/deep.c": "x\n", "a.txt": "A\n"}, worktree.path)
    approval = await approve_all(worktree)
    place.write({"vendor/lib/lib.c": "mine\n"})
    before = state(place)
    with pytest.raises(UncommittedOverlap, match=r"vendor/lib/lib\.c"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert state(place) == before
    place.sh("git checkout -q lib.c", cwd=place.root / "vendor/lib")
    place.write({"vendor/lib/lib.c": "0.5\n" + LINES})
    place.sh("git commit -qam moved", cwd=place.root / "vendor/lib")
    applied = await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert sorted(applied.files) == ["a.txt", "vendor/lib/inner/deep.c", "vendor/lib/lib.c"]
    assert applied.merged == ("vendor/lib/lib.c",)
    assert (place.root / "vendor/lib/lib.c").read_text() == "0.5\n" + LINES + "more\n"
    assert place.sh("git status --porcelain", cwd=place.root / "vendor/lib") == " M inner\n M lib.c\n"


async def test_a_submodule_that_is_not_checked_out_is_refused_and_nothing_is_written(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": "x\n", "a.txt": "A\n"}, worktree.path)
    approval = await approve_all(worktree)
    place.sh("git submodule deinit -q -f --all")
    before = state(place)
    with pytest.raises(CannotApply, match="vendor/lib cannot be applied: it is not checked out"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert state(place) == before


async def test_no_commit_of_the_superproject_takes_them_and_leaving_them_out_lets_the_rest_land(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": "x\n", "a.txt": "A\n"}, worktree.path)
    with pytest.raises(CannotApply, match="inside the submodule vendor/lib"):
        await prepare_landing(worktree, await approve_all(worktree), "main", "both")
    changes = await changes_of(worktree)
    tree = await selected_tree(worktree.store, changes, fold(changes, [decision(changes, "a.txt")]))
    approval = Approval(changes.base_tree, changes.result_tree, tree)
    landing = await prepare_landing(worktree, approval, "main", "one")
    assert await land(await place.open(), worktree.store, landing, place.scratch) == Followed(("a.txt",))
    assert place.sh("git status --porcelain") == ""


async def test_parts_of_a_file_inside_a_submodule_can_be_kept(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": f"first\n{LINES}last\n", "vendor/lib/new.c": "n\n"}, worktree.path)
    changes = await with_hunks(worktree.store, await changes_of(worktree))
    file = changes.file("vendor/lib/lib.c")
    assert file is not None and file.hunks is not None
    hunk = file.hunks[0]
    keep = Decision(ChangeDecided(path=file.path, hunk=hunk.id, verdict="keep", content=hunk.id))
    tree = await selected_tree(worktree.store, changes, fold(changes, [keep]))
    await apply_to_working_tree(
        await place.open(), worktree.store, Approval(changes.base_tree, changes.result_tree, tree), place.scratch
    )
    assert (place.root / "vendor/lib/lib.c").read_text() == f"first\n{LINES}"
    assert not (place.root / "vendor/lib/new.c").exists()
    whole = [decision(changes, each.path) for each in changes.files]
    assert await selected_tree(worktree.store, changes, fold(changes, whole)) == changes.result_tree
    assert await selected_tree(worktree.store, changes, fold(changes, [])) == changes.base_tree


async def test_a_branch_that_moved_its_submodule_is_merged_file_by_file_in_a_rebase(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.c": LINES + "task\n"}, worktree.path)
    place.write({"vendor/lib/lib.c": "theirs\n" + LINES, "vendor/lib/other.c": "o\n"})
    place.sh("git add -A && git commit -qm moved && cd ../.. && git commit -qam bump", cwd=place.root / "vendor/lib")
    planned = await plan_rebase(worktree, "main")
    assert planned is not None and planned.conflicts == ()
    worktree, _ = await rebase(worktree, planned.base, planned.tree)
    assert (worktree.path / "vendor/lib/lib.c").read_text() == f"theirs\n{LINES}task\n"
    assert await changed(worktree) == {"vendor/lib/lib.c": "modified"}

    place.write({"vendor/lib/lib.c": f"theirs\n{LINES}branch\n"})
    place.sh("git commit -qam again && cd ../.. && git commit -qam bump", cwd=place.root / "vendor/lib")
    planned = await plan_rebase(worktree, "main")
    assert planned is not None and planned.conflicts == ("vendor/lib/lib.c",)
    assert "+branch" not in planned.prompt and "branch\n" in planned.prompt and "task\n" in planned.prompt
    worktree, before = await rebase(worktree, planned.base, planned.tree, planned.conflicts)
    text = (worktree.path / "vendor/lib/lib.c").read_text()
    assert "<<<<<<<" in text and "branch\n" in text and "task\n" in text
    await worktree.restore(before.undo)
    assert (worktree.path / "vendor/lib/lib.c").read_text() == f"theirs\n{LINES}task\n"


@pytest.mark.case("H02")
async def test_a_base_with_changes_has_the_moved_submodule_and_what_was_changed_in_it(place: Place):
    place.write({"vendor/lib/lib.c": "moved\n"})
    place.sh("git commit -qam moved", cwd=place.root / "vendor/lib")
    base = await base_with_changes(await place.open(), place.scratch)
    assert base.warnings == ()
    place.write({"vendor/lib/lib.c": "not committed\n", "vendor/lib/new.c": "n\n"})
    before = state(place)
    base = await base_with_changes(await place.open(), place.scratch)
    assert base.warnings == () and state(place) == before
    worktree = await place.task("t2", base)
    assert (worktree.path / "vendor/lib/lib.c").read_text() == "not committed\n" and worktree.empty == ()
    assert (worktree.path / "vendor/lib/new.c").read_text() == "n\n"
    assert await changed(worktree) == {}
    # It is the task's own from here on, and what the task adds goes back beside it.
    shutil.rmtree(place.root / ".git/modules/vendor/lib/objects" / loose_of(place, base.recorded))
    place.write({"vendor/lib/new.c": "n\nmore\n"}, worktree.path)
    assert await changed(worktree) == {"vendor/lib/new.c": "modified"}
    tree = (await worktree.snapshot()).tree
    await apply_to_working_tree(await place.open(), worktree.store, Approval(base.tree, tree, tree), place.scratch)
    assert (place.root / "vendor/lib/new.c").read_text() == "n\nmore\n"
    assert (place.root / "vendor/lib/lib.c").read_text() == "not committed\n"


def loose_of(place: Place, commit: str) -> str:
    """The folder of the object that stands for the submodule's files in a recorded base."""
    return place.sh(f"git rev-parse {commit}:vendor/lib").strip()[:2]


@pytest.mark.case("A21")
@pytest.mark.case("A23")
async def test_nothing_that_a_submodule_brings_along_is_executed(place: Place):
    script = place.top / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {place.top}/marker\nexec cat\n")
    script.chmod(0o755)
    module, library = place.root / ".git/modules/vendor/lib", place.root / "vendor/lib"
    place.write({".gitattributes": "* filter=x diff=x merge=x\n"}, library)
    place.sh("git add -A && git commit -qm attributes && cd ../.. && git commit -qam bump", cwd=library)
    for key in ("core.fsmonitor", "filter.x.clean", "filter.x.smudge", "filter.x.process", "diff.x.textconv", "merge.x.driver"):
        place.sh(f"git config {key} {script}", cwd=library)
    for hook in ("post-checkout", "post-index-change", "reference-transaction"):
        (module / "hooks" / hook).write_bytes(script.read_bytes())
        (module / "hooks" / hook).chmod(0o755)
    place.sh("git status || true")
    assert (place.top / "marker").exists(), "the trap does not fire under plain git"
    (place.top / "marker").unlink()

    worktree = await place.task()
    place.write({"vendor/lib/lib.c": LINES + "more\n"}, worktree.path)
    approval = await approve_all(worktree)
    await with_hunks(worktree.store, await changes_of(worktree))
    await worktree.restore(worktree.base.tree)
    await worktree.restore(approval.tree)
    await worktree.remove()
    await worktree.recreate()
    applying = apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    with contextlib.suppress(CannotApply):  # the trap's filter may have made the checkout's file look changed
        await applying
    assert not (place.top / "marker").exists()


async def test_objects_are_taken_from_within_the_repository_only(place: Place):
    """Files that a stranger sent may point to another repository of this user."""
    stranger = Place(place.top / "stranger")
    stranger.commit({"a.txt": "a\n"})
    secret = place.sh("git rev-parse HEAD", cwd=place.root / "vendor/lib").strip()
    stranger.sh(f"git update-index --add --cacheinfo 160000,{secret},lib && git commit -qm link && mkdir -p .git/modules/x")
    modules = stranger.root / ".git" / "modules"
    (modules / "whole").symlink_to(place.root / ".git/modules/vendor/lib")
    (modules / "x" / "HEAD").write_text("ref: refs/heads/main\n")
    (modules / "x" / "objects").symlink_to(place.root / ".git/modules/vendor/lib/objects")
    worktree = await stranger.task()
    assert worktree.empty == ("lib",) and not list((worktree.path / "lib").iterdir())


def decision(changes: ChangeSet, path: str) -> Decision:
    file = changes.file(path)
    assert file is not None
    return Decision(ChangeDecided(path=path, verdict="keep", content=file.id))


@pytest.mark.case("R35")
async def test_what_a_submodule_ignores_is_known_to_be_in_no_snapshot(place: Place):
    worktree = await place.task()
    place.write({"vendor/lib/lib.o": "built\n", "vendor/lib/inner/deep.txt": "recorded\n"}, worktree.path)
    assert await worktree.ignored_files() == [b"vendor/lib/lib.o"]
    assert set(await changed(worktree)) == {"vendor/lib/inner/deep.txt"}


def links(place: Place, commit: str, count: int) -> str:
    """A commit whose tree links so many times to another one."""
    rows = "".join(f"160000 commit {commit}\\tm{number}\\n" for number in range(count))
    tree = place.sh(f"printf '{rows}' | git mktree --missing").strip()
    return place.sh(f"git commit-tree -m links -p {commit} {tree}").strip()


async def unfolded(place: Place, wide: int, levels: int) -> tuple[PrivateStore, dict[bytes, str]]:
    commit = place.commit({"a.txt": "a\n"})
    for _ in range(levels):
        commit = links(place, commit, wide)
    store = await PrivateStore.create(await place.open(), place.top / "store")
    return store, await links_of(store, f"{commit}^{{tree}}")


@pytest.mark.case("R40")
async def test_links_that_would_unfold_without_end_are_filled_up_to_a_bound(tmp_path: Path):
    store, top = await unfolded(Place(tmp_path), wide=10, levels=12)
    found = await fillable(store, top)
    assert len(found.filled) == MOST and found.empty


@pytest.mark.case("R40")
async def test_submodules_that_never_end_are_filled_as_deep_as_was_said(tmp_path: Path):
    store, top = await unfolded(Place(tmp_path), wide=1, levels=3 * DEEPEST)
    checkout = Checkout(store, tmp_path / "files")
    checkout.root.mkdir()
    said = await fillable(store, top)
    assert await fill_submodules(checkout, top) == said
    assert (len(said.filled), len(said.empty)) == (DEEPEST, 1)


@pytest.mark.case("R40")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
async def test_a_store_that_may_not_be_read_leaves_its_submodule_empty(place: Place):
    modules = place.root / ".git" / "modules" / "vendor"
    modules.chmod(0)
    try:
        assert (await place.task()).empty == ("vendor/lib",)
    finally:
        modules.chmod(0o700)


@pytest.mark.case("R40")
async def test_stores_are_looked_for_however_deep_the_names_of_submodules_are(place: Place):
    folder = os.open(place.root / ".git" / "modules", os.O_RDONLY | os.O_DIRECTORY)
    try:
        for _ in range(1500):
            os.mkdir("a", dir_fd=folder)
            inner = os.open("a", os.O_RDONLY | os.O_DIRECTORY, dir_fd=folder)
            os.close(folder)
            folder = inner
    finally:
        os.close(folder)
    found = module_stores(await place.open())
    place.sh("rm -rf .git/modules/a")  # which Python's own way of removing folders cannot
    assert len(found) == 2


async def test_a_pipe_in_the_place_of_what_names_submodules_is_not_waited_for(place: Place):
    place.sh("git submodule deinit -q -f --all && rm -rf .git/modules")
    worktree = await place.task()
    (worktree.path / "vendor/lib").rmdir()
    (worktree.path / ".gitmodules").unlink()
    os.mkfifo(worktree.path / ".gitmodules")
    assert await changed(worktree) == {".gitmodules": "deleted", "vendor/lib": "deleted"}
