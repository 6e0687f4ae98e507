"""Task worktrees: made without side effects, usable by an agent, removed without losing a byte."""

from __future__ import annotations

import asyncio
import os
import signal
import stat
import sys
from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.errors import GitError, RefMoved, WorktreeExists, WorktreeMissing, WouldOverwrite
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.trees.snapshot import Caps
from goose_py.git.worktrees.base import base_from_head
from goose_py.git.worktrees.cleanup import find_worktrees
from goose_py.git.worktrees.included import copy_included
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n", "src/b.py": "b\n", "bin/run": "#!/bin/sh\n", ".gitignore": "*.log\nbuild/\n.env\n"})
    (place.root / "bin" / "run").chmod(0o755)
    (place.root / "link").symlink_to("src/b.py")
    place.commit()
    return place


async def test_a_worktree_has_the_files_of_its_base_and_is_clean_for_the_agent(place: Place):
    before = place.state()
    worktree = await place.task()
    assert tree_of_folder(worktree.path) == tree_of_folder(place.root)
    assert place.sh("git status --porcelain", cwd=worktree.path) == ""
    assert place.sh("git rev-parse --abbrev-ref HEAD", cwd=worktree.path).strip() == "HEAD", "on no branch"
    assert place.sh("git branch --list 'goose*'") == ""
    place.write({"a.txt": "two\n"}, worktree.path)
    assert place.sh("git status --porcelain", cwd=worktree.path) == " M a.txt\n"
    place.sh("git commit -qam agent", cwd=worktree.path)
    assert place.state() == before


async def test_the_private_git_directory_is_for_its_owner_alone(place: Place):
    old = os.umask(0)
    try:
        worktree = await place.task()
    finally:
        os.umask(old)
    assert stat.S_IMODE(worktree.store.path.stat().st_mode) == 0o700
    assert stat.S_IMODE((worktree.store.path / "goose-task.json").stat().st_mode) == 0o600


async def test_a_taken_branch_name_gets_the_next_free_one(place: Place):
    place.sh("git branch goose/t1 && git branch goose/t1-2")
    worktree = await place.task()
    assert await worktree.publish_branch(worktree.base.commit) == "goose/t1-3"
    assert await worktree.publish_branch(worktree.base.commit) == worktree.published == "goose/t1-3", "each time the same"


async def test_a_branch_called_goose_is_no_obstacle(place: Place):
    place.sh("git branch goose")
    worktree = await place.task()
    assert await worktree.publish_branch(worktree.base.commit) == "goose-t1"


async def test_a_branch_that_somebody_moved_on_is_not_delivered_to(place: Place):
    worktree = await place.task()
    await worktree.publish_branch(worktree.base.commit)
    theirs = place.sh("git commit-tree -p HEAD -m theirs HEAD^{tree}").strip()
    place.sh(f"git update-ref refs/heads/goose/t1 {theirs}")
    with pytest.raises(RefMoved, match="goose/t1 has commits"):
        await worktree.publish_branch(worktree.base.commit)
    assert place.sh("git rev-parse goose/t1").strip() == theirs


async def test_a_place_that_is_taken_is_refused_and_nothing_stays_behind(place: Place):
    place.write({"worktrees/t1/mine": "mine\n"}, place.top)
    before = place.state()
    with pytest.raises(WorktreeExists, match="already exists and is not empty"):
        await place.task()
    assert (place.top / "worktrees" / "t1" / "mine").read_text() == "mine\n"
    assert not (place.top / "state" / "tasks" / "t1").exists()
    assert place.state() == before


async def test_a_failed_creation_leaves_nothing_behind(place: Place):
    repository = await place.open()
    base = await base_from_head(repository)
    blob = place.sh("git rev-parse HEAD:a.txt").strip()
    (place.root / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(GitError, match="lacks content"):
        await place.task("t1", base)
    assert not (place.top / "worktrees" / "t1").exists()
    assert not (place.top / "state" / "tasks" / "t1").exists()
    assert place.sh("git worktree list").count("\n") == 1
    assert place.sh("git for-each-ref").count("\n") == 1


@pytest.mark.parametrize("subcommand", ["config", "ls-tree", "read-tree", "update-ref"])
async def test_a_cancelled_creation_leaves_nothing_behind(place: Place, subcommand: str):
    base = await base_from_head(await place.open())
    place.git = place.stopping_git(subcommand)
    creating = asyncio.create_task(place.task("t1", base))
    await asyncio.to_thread((place.top / "stopped").read_bytes)
    place.sh(f"rm {place.top}/stopped")
    creating.cancel()
    with pytest.raises(asyncio.CancelledError):
        await creating
    assert not list((place.top / "worktrees").glob("*"))
    assert not (place.top / "state" / "tasks" / "t1").exists()
    assert place.sh("git worktree list").count("\n") == 1
    assert place.sh("git for-each-ref").count("\n") == 1


KILLED_CREATION = """
import asyncio, os, sys
from pathlib import Path
from git_repos import Place
from goose_py.git.runner import Git

place = Place.__new__(Place)
place.top, place.root = Path(sys.argv[1]), Path(sys.argv[1]) / "repo"
place.git = Git.create(place.top / "stopping-git", os.environ)
asyncio.run(place.task())
"""


@pytest.mark.parametrize("subcommand", ["config", "worktree", "ls-tree", "read-tree"])
async def test_a_creation_that_was_killed_is_told_apart_and_done_again(place: Place, subcommand: str):
    before = place.state()
    place.stopping_git(subcommand)
    creating = await asyncio.create_subprocess_exec(
        sys.executable, "-c", KILLED_CREATION, str(place.top), env={**place.env, "PYTHONPATH": ":".join(sys.path)}
    )
    git_pid = int(await asyncio.to_thread((place.top / "stopped").read_text))
    creating.kill()
    await creating.wait()
    os.kill(git_pid, signal.SIGKILL)
    found = await find_worktrees(await place.open(), place.top / "state" / "tasks")
    assert not any(status.removable for status in found)
    assert [status.state for status in found] == ([] if subcommand == "config" else ["unfinished"])
    worktree = await place.task()
    assert tree_of_folder(worktree.path) == tree_of_folder(place.root)
    assert place.sh("git worktree list").count("\n") == 2
    assert place.state() == before


async def test_a_store_that_was_only_begun_is_done_again(place: Place):
    begun = place.top / "state" / "tasks" / "t1"
    (begun / "objects" / "info").mkdir(parents=True)
    (begun / "config").write_text("[core]\n")
    worktree = await place.task()
    assert tree_of_folder(worktree.path) == tree_of_folder(place.root)


async def test_what_an_agent_committed_and_dropped_again_stays_in_the_snapshots(place: Place):
    worktree = await place.task()
    place.write({"dropped/work.txt": "precious\n"}, worktree.path)
    place.sh("git add -A && git commit -qm work", cwd=worktree.path)
    tree = (await worktree.snapshot()).tree
    place.sh("git reset -q --hard HEAD~1 && git reflog expire --expire=now --all && git gc -q --prune=now", cwd=worktree.path)
    assert not (worktree.path / "dropped").exists()
    await worktree.restore(tree)
    assert (worktree.path / "dropped" / "work.txt").read_text() == "precious\n"


async def test_snapshots_see_everything_that_commands_do(place: Place):
    worktree = await place.task()
    place.sh(
        "sed -i s/one/two/ a.txt && rm src/b.py && chmod -x bin/run && ln -sf a.txt link && mkdir -p new/deep && "
        "printf 'x' > new/deep/file && echo no > ignored.log && touch empty && printf 'x' > $(printf 'caf\\351')",
        cwd=worktree.path,
    )
    snapshot = await worktree.snapshot()
    place.sh(f"git --git-dir {worktree.store.path} archive {snapshot.tree} | (mkdir ../out && tar x -C ../out)")
    expected = tree_of_folder(worktree.path)
    del expected["ignored.log"]
    assert tree_of_folder(place.top / "out") == expected
    assert (await worktree.snapshot()).tree == snapshot.tree


async def test_an_index_that_is_as_old_as_its_files_is_settled_once_and_hides_no_change(place: Place):
    worktree = await place.task()
    place.write({"a.txt": "ONE\n"}, worktree.path)  # as long as it was, and no older than the index
    os.utime(worktree.store.index, (0, 0))
    first = await worktree.snapshot()
    assert first.tree != worktree.base.tree
    written = worktree.store.index.stat().st_mtime_ns
    assert written > 0
    assert (await worktree.snapshot()).tree == first.tree and worktree.store.index.stat().st_mtime_ns == written
    place.write({"a.txt": "TWO\n"}, worktree.path)
    assert (await worktree.snapshot()).tree not in (first.tree, worktree.base.tree)


async def test_the_tree_of_a_large_index_is_remembered_and_never_stale(place: Place):
    place.commit({f"folder-{number % 40}/a file with a rather long name, number {number}": "x\n" for number in range(12_000)})
    worktree = await place.task()
    assert worktree.store.index.stat().st_size > 1024 * 1024
    on = worktree.store.on(worktree.path)
    place.write({"a.txt": "changed\n"}, worktree.path)
    changed = (await worktree.snapshot()).tree
    for tree in (worktree.base.tree, changed, worktree.base.tree):
        await worktree.restore(tree)
        assert (await worktree.snapshot()).tree == tree == await on.line("write-tree")
    place.write({"a.txt": "changed\n"}, worktree.path)
    assert (await worktree.snapshot()).tree == changed


async def test_a_file_may_become_a_folder_and_the_other_way_round(place: Place):
    worktree = await place.task()
    place.sh("rm a.txt && mkdir a.txt && echo x > a.txt/x && rm -r src && echo src > src", cwd=worktree.path)
    tree = (await worktree.snapshot()).tree
    names = place.sh(f"git --git-dir {worktree.store.path} ls-tree -r --name-only {tree}").split()
    assert "a.txt/x" in names and "src" in names and "src/b.py" not in names
    await worktree.restore(worktree.base.tree)
    assert tree_of_folder(worktree.path) == tree_of_folder(place.root)
    await worktree.restore(tree)
    assert (worktree.path / "a.txt" / "x").read_text() == "x\n"


async def test_what_is_too_large_or_no_file_is_left_out_and_said(place: Place):
    repository = await place.open()
    worktree = await TaskWorktree.create(
        repository, "t", where=place.top / "wt", store=place.top / "state" / "t",
        base=await base_from_head(repository), caps=Caps(file_bytes=1000),
    )  # fmt: skip
    place.write({"big.bin": b"x" * 1001, "fits.bin": b"x" * 1000, ".GIT/hooks/x": "x"}, worktree.path)
    os.mkfifo(worktree.path / "pipe")
    (worktree.path / "a.txt").unlink()
    os.mkfifo(worktree.path / "a.txt")
    snapshot = await worktree.snapshot()
    names = place.sh(f"git --git-dir {worktree.store.path} ls-tree -r --name-only {snapshot.tree}").split()
    assert "fits.bin" in names and "big.bin" not in names and "a.txt" not in names
    assert set(snapshot.left_out) == {"big.bin", ".GIT/hooks/x"}
    said = " ".join(snapshot.warnings)
    assert "big.bin is not recorded: 1,001 bytes" in said
    assert "a.txt is a pipe, socket or device" in said
    assert ".GIT/hooks/x is not recorded: git refuses its name" in said


async def test_a_file_tracked_and_grown_too_large_keeps_its_last_recorded_content(place: Place):
    repository = await place.open()
    worktree = await TaskWorktree.create(
        repository, "t", where=place.top / "wt", store=place.top / "state" / "t",
        base=await base_from_head(repository), caps=Caps(file_bytes=1000),
    )  # fmt: skip
    place.write({"a.txt": b"x" * 2000}, worktree.path)
    snapshot = await worktree.snapshot()
    assert snapshot.tree == worktree.base.tree and snapshot.left_out == ("a.txt",)


async def test_a_lock_left_by_a_killed_git_does_not_stop_the_next_snapshot(place: Place):
    worktree = await place.task()
    (worktree.store.path / "index.lock").touch()
    place.write({"a.txt": "two\n"}, worktree.path)
    assert (await worktree.snapshot()).tree != worktree.base.tree


async def test_snapshots_at_the_same_time_wait_for_each_other(place: Place):
    worktree = await place.task()
    again = await TaskWorktree.open(await place.open(), worktree.store.path)
    place.write({f"n{number}": str(number) for number in range(50)}, worktree.path)
    snapshots = await asyncio.gather(*(each.snapshot() for each in (worktree, again, worktree, again)))
    assert len({snapshot.tree for snapshot in snapshots}) == 1


async def test_snapshots_survive_gc_in_both_repositories_and_a_deleted_base_branch(place: Place):
    place.sh("git checkout -q -b topic")
    place.commit({"only-here.txt": "topic\n"})
    worktree = await place.task()
    place.write({"new.txt": "new\n"}, worktree.path)
    tree = (await worktree.snapshot()).tree
    await worktree.remove()
    place.sh("git checkout -q main && git branch -D topic && git reflog expire --expire=now --all && git gc -q --prune=now")
    place.sh(f"git --git-dir {worktree.store.path} gc -q --prune=now")
    again = await TaskWorktree.open(await place.open(), worktree.store.path)
    restored = await again.recreate(tree)
    assert (restored.path / "only-here.txt").read_text() == "topic\n"
    assert (restored.path / "new.txt").read_text() == "new\n"


async def test_a_base_outlives_its_branch_the_tasks_ref_and_the_worktree(place: Place):
    place.sh("git checkout -q -b topic")
    place.commit({"only-here.txt": "topic\n"})
    worktree = await place.task()
    place.write({"new.txt": "new\n"}, worktree.path)
    await worktree.snapshot()
    place.sh(f"rm -rf {worktree.path} && git worktree unlock {worktree.path} && git worktree prune")
    place.sh("git checkout -q main && git branch -q -D topic && git update-ref -d refs/goose/t1/head")
    place.sh("git reflog expire --expire=now --all && git gc -q --prune=now")
    again = await worktree.recreate()
    assert (again.path / "only-here.txt").read_text() == "topic\n" and (again.path / "new.txt").exists()


@pytest.mark.case("U39")
async def test_a_rewind_covers_shell_changes_and_new_files_and_can_be_undone(place: Place):
    worktree = await place.task()
    place.write({"a.txt": "turn 1\n", "one/new.txt": "new\n"}, worktree.path)
    first = await worktree.snapshot()
    place.sh("git add a.txt && git commit -qm agent && git add -A", cwd=worktree.path)
    place.sh("rm -r src && echo 2 > a.txt && echo two > two.txt && echo keep > build.log && rm one/new.txt", cwd=worktree.path)
    now = tree_of_folder(worktree.path)
    git_dir = Path(place.sh("git rev-parse --absolute-git-dir", cwd=worktree.path).strip())
    index, head = (git_dir / "index").read_bytes(), (git_dir / "HEAD").read_bytes()
    tip = place.sh("git rev-parse HEAD", cwd=worktree.path)

    before = await worktree.restore(first.tree)
    assert (worktree.path / "a.txt").read_text() == "turn 1\n"
    assert (worktree.path / "one" / "new.txt").exists() and (worktree.path / "src" / "b.py").exists()
    assert not (worktree.path / "two.txt").exists()
    assert (worktree.path / "build.log").read_text() == "keep\n"

    preview = await changeset_summary(worktree.store, first.tree, before.tree)
    assert {file.path for file in preview.files} == {"a.txt", "src/b.py", "two.txt", "one/new.txt"}
    await worktree.restore(before.tree)
    assert tree_of_folder(worktree.path) == now
    assert (git_dir / "index").read_bytes() == index and (git_dir / "HEAD").read_bytes() == head
    assert place.sh("git rev-parse refs/goose/t1/head") == tip


async def test_a_rewind_does_not_overwrite_what_no_snapshot_holds(place: Place):
    worktree = await place.task()
    place.write({"data.bin": "small\n"}, worktree.path)
    first = await worktree.snapshot()
    place.write({"data.bin": "", ".gitignore": "data.bin\n"}, worktree.path)
    (worktree.path / "data.bin").unlink()
    await worktree.snapshot()
    place.write({"data.bin": "precious and ignored\n"}, worktree.path)
    now = tree_of_folder(worktree.path)
    with pytest.raises(WouldOverwrite, match=r"data\.bin, which no snapshot holds") as refused:
        await worktree.restore(first.tree)
    assert refused.value.paths == ("data.bin",)
    assert tree_of_folder(worktree.path) == now


@pytest.mark.case("U01")
async def test_every_byte_of_a_removed_worktree_comes_back(place: Place):
    repository = await place.open()
    worktree = await TaskWorktree.create(
        repository, "t1", where=place.top / "wt", store=place.top / "state" / "t1",
        base=await base_from_head(repository), caps=Caps(file_bytes=1000),
    )  # fmt: skip
    place.write({"committed.txt": "c\n"}, worktree.path)
    place.sh("git add -A && git commit -qm agent", cwd=worktree.path)
    tip = place.sh("git rev-parse HEAD", cwd=worktree.path)
    place.write({"a.txt": "modified\n", "untracked/u.txt": b"\xff\x00u", "big.bin": b"b" * 2000}, worktree.path)
    place.sh("git init -q dep && cd dep && echo 1 > f && git add . && git commit -qm dep", cwd=worktree.path)
    place.sh("mkdir -p ro && echo x > ro/x.log && chmod -w ro", cwd=worktree.path)
    dep = place.sh("git -C dep rev-parse HEAD", cwd=worktree.path)
    now = tree_of_folder(worktree.path)
    assert "ro/x.log" in now, "what is ignored comes back too"

    await worktree.remove()
    assert not worktree.path.exists() and not list(place.top.glob(".wt*"))
    assert place.sh("git branch --list 'goose/*'") == "" and place.sh("git worktree list").count("\n") == 1
    place.sh("git reflog expire --expire=now --all && git gc -q --prune=now")

    worktree = await TaskWorktree.open(await place.open(), worktree.store.path)
    again = await worktree.recreate()
    assert tree_of_folder(again.path) == now
    assert place.sh("git rev-parse HEAD", cwd=again.path) == tip
    assert place.sh("git -C dep rev-parse HEAD", cwd=again.path) == dep
    assert place.sh("git -C dep status --porcelain", cwd=again.path) == ""
    assert " M a.txt" in place.sh("git status --porcelain", cwd=again.path)


async def test_commits_beside_the_branch_are_kept_too(place: Place):
    worktree = await place.task()
    place.sh("git checkout -q --detach && echo x > x && git add x && git commit -qm beside", cwd=worktree.path)
    beside = place.sh("git rev-parse HEAD", cwd=worktree.path).strip()
    (status,) = await find_worktrees(await place.open(), place.top / "state" / "tasks")
    assert status.state == "unmerged"
    await worktree.remove()
    place.sh("git reflog expire --expire=now --all && git gc -q --prune=now")
    assert place.sh("git rev-parse refs/goose/t1/head").strip() == beside
    assert ((await worktree.recreate()).path / "x").read_text() == "x\n"


async def test_what_cannot_be_read_is_left_out_and_said(place: Place):
    worktree = await place.task()
    place.write({"closed.txt": "c\n", "open.txt": "o\n"}, worktree.path)
    (worktree.path / "closed.txt").chmod(0)
    readable = os.access(worktree.path / "closed.txt", os.R_OK)  # root may read everything
    snapshot = await worktree.snapshot()
    names = place.sh(f"git --git-dir {worktree.store.path} ls-tree -r --name-only {snapshot.tree}").split()
    assert "open.txt" in names and ("closed.txt" in names) == readable
    assert snapshot.warnings == (() if readable else ("closed.txt is not recorded: it cannot be read.",))


async def test_a_worktree_deleted_by_hand_is_recreated_from_its_last_snapshot(place: Place):
    worktree = await place.task()
    place.write({"a.txt": "two\n"}, worktree.path)
    await worktree.snapshot()
    place.sh(f"rm -rf {worktree.path}")
    with pytest.raises(WorktreeMissing, match="is gone"):
        await worktree.snapshot()
    again = await worktree.recreate()
    assert (again.path / "a.txt").read_text() == "two\n"


async def test_a_moved_repository_is_found_again(place: Place):
    worktree = await place.task()
    place.write({"a.txt": "two\n"}, worktree.path)
    await worktree.snapshot()
    place.root.rename(place.top / "moved")
    place.root = place.top / "moved"
    place.sh(f"git worktree repair {worktree.path}")
    again = await TaskWorktree.open(await place.open(), worktree.store.path)
    assert (await again.snapshot()).tree == (await worktree.snapshots())[-1]


async def test_the_main_checkout_is_the_same_before_and_after_a_whole_task(place: Place):
    place.write({"a.txt": "mine\n", "notes.txt": "n\n"})
    place.sh("echo stashed > src/b.py && git stash push -q src/b.py && git add notes.txt")
    before = place.state()
    worktree = await place.task()
    place.sh("echo x > a.txt && rm -r src && git add -A && git commit -qm x && echo y > y", cwd=worktree.path)
    snapshot = await worktree.snapshot()
    await worktree.restore(worktree.base.tree)
    await worktree.restore(snapshot.tree)
    await worktree.remove()
    await worktree.recreate()
    await find_worktrees(await place.open(), place.top / "state" / "tasks")
    assert place.state() == before


@pytest.mark.case("R35")
async def test_only_clean_and_merged_worktrees_are_ever_offered_for_removal(place: Place):
    tasks = {name: await place.task(name) for name in ("clean", "dirty", "untracked", "committed", "merged", "applied", "gone")}
    place.write({"a.txt": "x\n"}, tasks["dirty"].path)
    place.write({"new.txt": "x\n"}, tasks["untracked"].path)
    for name in ("committed", "merged"):
        place.write({f"{name}.txt": "x\n"}, tasks[name].path)
        place.sh("git add -A && git commit -qm x", cwd=tasks[name].path)
    place.sh("git branch keep", cwd=tasks["merged"].path)
    place.write({"src/b.py": "applied\n"}, tasks["applied"].path)
    tree = (await tasks["applied"].snapshot()).tree
    approval = Approval(tasks["applied"].base.tree, tree, tree)
    await apply_to_working_tree(await place.open(), tasks["applied"].store, approval, place.scratch)
    place.sh(f"rm -rf {tasks['gone'].path}")

    found = await find_worktrees(await place.open(), place.top / "state" / "tasks")
    assert {status.task_id: status.state for status in found} == {
        "clean": "clean", "dirty": "dirty", "untracked": "dirty", "committed": "unmerged", "merged": "merged",
        "applied": "merged", "gone": "missing",
    }  # fmt: skip
    assert {status.task_id for status in found if status.removable} == {"clean", "merged", "applied"}
    for name, worktree in tasks.items():
        assert worktree.path.exists() == (name != "gone")


async def test_included_files_are_copied_privately_and_nothing_else_is(place: Place):
    place.write(
        {
            ".worktreeinclude": ".env\nbuild/keep.txt\n*.txt\nout\n",
            ".env": "SECRET=1\n",
            "build/keep.txt": "k\n",
            "build/other.bin": "o\n",
            "not-ignored.txt": "n\n",
        }
    )
    (place.root / ".env").chmod(0o644)
    (place.root / ".git" / "info" / "exclude").write_text("out\nin.txt\n")
    (place.root / "out").symlink_to("/etc/passwd")
    (place.root / "in.txt").symlink_to("build/keep.txt")
    before = place.state()
    worktree = await place.task()
    included = await copy_included(await place.open(), worktree.path, place.scratch)
    assert included.copied == (".env", "build/keep.txt", "in.txt")
    assert included.skipped == (("out", "it is a symlink out of the checkout"),)
    assert (worktree.path / ".env").read_text() == "SECRET=1\n"
    assert stat.S_IMODE((worktree.path / ".env").stat().st_mode) == 0o600
    assert os.readlink(worktree.path / "in.txt") == "build/keep.txt"  # noqa: PTH115
    assert not (worktree.path / "not-ignored.txt").exists()
    assert (await worktree.snapshot()).tree == worktree.base.tree
    assert place.state() == before
    again = await copy_included(await place.open(), worktree.path, place.scratch)
    assert again.copied == () and (".env", "it exists in the worktree already") in again.skipped


async def test_the_worktrees_own_files_are_never_reached_through_a_symlink(place: Place):
    place.write({".worktreeinclude": "conf/.env\n", "conf/.env": "SECRET=1\n"})
    worktree = await place.task()
    (place.top / "outside").mkdir()
    (worktree.path / "conf").symlink_to(place.top / "outside")
    included = await copy_included(await place.open(), worktree.path, place.scratch)
    assert included.skipped == (("conf/.env", "a symlink or file stands in its way"),)
    assert not list((place.top / "outside").iterdir())


@pytest.mark.case("R35")
@pytest.mark.parametrize("levels", [1500, 6000])
async def test_folders_without_end_are_removed_like_all_others_and_their_files_come_back(place: Place, levels: int):
    worktree = await place.task()
    place.write({"made/by/agent.txt": "work\n"}, worktree.path)
    deep = os.open(worktree.path / "made", os.O_RDONLY)
    for _ in range(levels):
        os.mkdir("a", dir_fd=deep)
        inner = os.open("a", os.O_RDONLY, dir_fd=deep)
        os.close(deep)
        deep = inner
    os.close(deep)
    (worktree.path / "closed" / "within").mkdir(parents=True)
    (worktree.path / "closed").chmod(0)
    await worktree.remove()
    assert list(worktree.path.parent.iterdir()) == []
    again = await worktree.recreate()
    assert (again.path / "made" / "by" / "agent.txt").read_text() == "work\n"


@pytest.mark.parametrize("name", [".gitignore", ".gitattributes", "new/.gitignore"])
async def test_a_pipe_in_the_place_of_a_file_of_rules_holds_no_snapshot_up(place: Place, name: str):
    place.commit({".gitignore": "*.o\n", ".gitattributes": "* text\n"})
    worktree = await place.task()
    place.write({"new/work.txt": "work\n"}, worktree.path)
    (worktree.path / name).unlink(missing_ok=True)
    os.mkfifo(worktree.path / name)
    async with asyncio.timeout(60):
        snapshot = await worktree.snapshot()
    assert b"new/work.txt" in await worktree.store.entries(snapshot.tree)


@pytest.mark.case("P34")
async def test_in_a_repository_that_users_share_the_index_is_readable_for_them(place: Place):
    place.sh("git config core.sharedRepository group")
    worktree = await place.task()
    (index,) = (place.root / ".git" / "worktrees").glob("*/index")
    assert stat.S_IMODE(index.stat().st_mode) & 0o060 == 0o060
    place.write({"a.txt": "x\n"}, worktree.path)
    assert place.sh("git status --porcelain", cwd=worktree.path) == " M a.txt\n"
