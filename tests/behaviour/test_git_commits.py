"""Commits that arrive from a sandbox: taken over when sound, kept when the branch is elsewhere, harmless when hostile."""

import os
import subprocess
from pathlib import Path

import pytest
from git_repos import Place

from goose_py.git.repository import read_ref
from goose_py.git.worktrees.worktree import TaskWorktree


@pytest.fixture
async def worktree(tmp_path: Path) -> TaskWorktree:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    worktree = await place.task("t1")
    await worktree.commits.prepare()
    return worktree


def inside(worktree: TaskWorktree, command: str) -> str:
    """As the sandbox shows it: our folders in the places of the user's. The mounts themselves are proven elsewhere."""
    folder = worktree.commits.folder
    view = folder.parent / "view"
    if not view.exists():
        view.mkdir()
        (view / "HEAD").write_text(f"ref: refs/heads/{worktree.branch}\n")
        (view / "config").write_text("[core]\n\trepositoryformatversion = 0\n[user]\n\tname = An Agent\n\temail = a@b\n")
        (view / "refs").symlink_to(folder / "refs")
        (view / "objects").symlink_to(folder / "objects")
        (folder / "objects" / "info" / "alternates").write_text(f"{worktree.repository.objects}\n")
    env = {"PATH": "/usr/bin:/bin", "GIT_DIR": str(view), "GIT_WORK_TREE": str(worktree.path), "GIT_CONFIG_GLOBAL": "/dev/null"}
    done = subprocess.run(["/bin/bash", "-c", command], env=env, cwd=worktree.path, capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.mark.case("U40")
async def test_a_commit_made_inside_reaches_the_tasks_branch_and_the_next_one_builds_upon_it(worktree: TaskWorktree) -> None:
    made = []
    for number in (1, 2):
        (worktree.path / "a.txt").write_text(f"{number}\n")
        made.append(inside(worktree, f"git add -A && git commit -qm 'number {number}' && git rev-parse HEAD"))
        snapshot = await worktree.snapshot()
        assert snapshot.warnings == ()
        assert await worktree.tip() == made[-1]
    log = await worktree.repository.bound.line("log", "--format=%s %an", worktree.branch, "-2")
    assert log == "number 2 An Agent\nnumber 1 An Agent"
    # The user's own git sees a clean worktree.
    assert users_status(worktree) == ""


def users_status(worktree: TaskWorktree) -> str:
    plain = ["git", "-C", str(worktree.path), "status", "--porcelain"]
    return subprocess.run(plain, capture_output=True, text=True, check=True).stdout


@pytest.mark.case("U40")
async def test_where_the_branch_was_moved_meanwhile_both_are_kept(worktree: TaskWorktree) -> None:
    theirs = inside(worktree, "git commit --allow-empty -qm theirs && git rev-parse HEAD")
    bound = worktree.repository.bound.with_env(**worktree.store.identity())
    tree = await bound.line("rev-parse", f"{worktree.branch}^{{tree}}")
    ours = await bound.line("commit-tree", tree, "-p", worktree.base.commit, "-m", "ours")
    await bound.run("update-ref", f"refs/heads/{worktree.branch}", ours)
    warnings = (await worktree.snapshot()).warnings
    assert any("refs/goose/t1/agent" in warning for warning in warnings)
    assert (await worktree.tip(), await read_ref(worktree.repository.bound, "refs/goose/t1/agent")) == (ours, theirs)
    assert inside(worktree, "git rev-parse HEAD") == ours, "and the sandbox goes on from where the branch is"


@pytest.mark.case("U40")
async def test_a_commit_beside_the_branch_is_kept_too(worktree: TaskWorktree) -> None:
    made = inside(worktree, "git commit-tree -m aside -p HEAD HEAD^{tree}")
    (worktree.commits.folder / "worktree" / "HEAD").write_text(f"{made}\n")
    await worktree.snapshot()
    assert await read_ref(worktree.repository.bound, "refs/goose/t1/head") == made


@pytest.mark.case("U40")
async def test_commits_come_back_with_a_worktree_that_was_removed(worktree: TaskWorktree) -> None:
    made = inside(worktree, "git commit --allow-empty -qm kept && git rev-parse HEAD")
    await worktree.remove()
    again = await worktree.recreate()
    assert await again.tip() == made and not again.commits.folder.exists()


HOSTILE = {
    "a branch that is no commit": lambda folder, ref: ref.write_text("f" * 40),
    "a branch that is text": lambda folder, ref: ref.write_text("../../../config"),
    "a branch that is an option": lambda folder, ref: ref.write_text("--upload-pack=touch p"),
    "a branch that is a pipe": lambda folder, ref: (ref.unlink(), os.mkfifo(ref)),
    "a branch that is a folder": lambda folder, ref: (ref.unlink(), ref.mkdir()),
    "a branch that is a link": lambda folder, ref: (ref.unlink(), ref.symlink_to(folder.parents[2] / "victim")),
    "a branch that is gone": lambda folder, ref: ref.unlink(),
    "a branch that is huge": lambda folder, ref: ref.write_text("a" * 10_000_000),
    "a HEAD that is a pipe": lambda folder, ref: _pipe(folder / "worktree" / "HEAD"),
    "an index that is a link": lambda folder, ref: _link(folder / "worktree" / "index", folder.parents[2] / "victim"),
    "an index that is a folder": lambda folder, ref: _folder(folder / "worktree" / "index"),
    "objects that are pipes": lambda folder, ref: _objects(folder, ref, os.mkfifo),
    "objects that are links": lambda folder, ref: _objects(folder, ref, lambda path: path.symlink_to("/etc/passwd")),
    "objects that are rubbish": lambda folder, ref: _objects(folder, ref, lambda path: path.write_bytes(b"rubbish")),
    "objects in a linked folder": lambda folder, ref: (
        (folder / "objects" / "ab").symlink_to("/dev"), ref.write_text("ab" + "c" * 38),
    ),
}  # fmt: skip


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _link(path: Path, target: Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _objects(folder: Path, ref: Path, make) -> None:
    (folder / "objects" / "ab").mkdir()
    make(folder / "objects" / "ab" / ("c" * 38))
    ref.write_text("ab" + "c" * 38)


@pytest.mark.case("A20")
@pytest.mark.parametrize("attack", HOSTILE)
async def test_what_a_task_puts_where_its_commits_are_expected_harms_nothing(worktree: TaskWorktree, attack: str) -> None:
    folder = worktree.commits.folder
    victim = folder.parents[2] / "victim"
    victim.write_text("untouched")
    before = await worktree.tip()
    HOSTILE[attack](folder, folder / "refs" / "heads" / worktree.branch)
    snapshot = await worktree.snapshot()
    (worktree.path / "a.txt").write_text("two\n")
    await worktree.restore(snapshot.tree)
    assert await worktree.tip() == before
    assert victim.read_text() == "untouched"
    assert (worktree.path / "a.txt").read_text() == "one\n"
    await worktree.remove()
    await worktree.recreate()


async def test_objects_that_git_finds_unsound_are_not_taken_over(worktree: TaskWorktree) -> None:
    """A tree with an entry named `.git`: a checkout of it elsewhere would write into somebody's repository."""
    evil = inside(
        worktree,
        "blob=$(echo x | git hash-object -w --stdin); inner=$(printf '100644 blob %s\\tconfig\\n' $blob | git mktree); "
        "tree=$(printf '040000 tree %s\\t.git\\n' $inner | git mktree); "
        "commit=$(git commit-tree -m evil -p HEAD $tree); git update-ref HEAD $commit; git rev-parse HEAD",
    )
    assert len(evil) == 40
    before = await worktree.tip()
    warnings = (await worktree.snapshot()).warnings
    assert any("could not be taken over" in warning for warning in warnings)
    assert await worktree.tip() == before
