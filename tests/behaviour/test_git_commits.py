"""Commits that arrive from a sandbox: taken over when sound, kept when the branch is elsewhere, harmless when hostile."""

import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from git_repos import Place

from goose_py.git.repository import read_ref
from goose_py.git.worktrees import own_git_dir
from goose_py.git.worktrees.own_git_dir import OBJECTS
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.sandbox import policy


@pytest.fixture
async def worktree(tmp_path: Path) -> TaskWorktree:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    worktree = await place.task("t1")
    await worktree.commits.prepare()
    return worktree


def inside(worktree: TaskWorktree, command: str) -> str:
    """As the sandbox shows it: the task's own git directory. The mounts themselves are proven elsewhere."""
    env = {
        "PATH": "/usr/bin:/bin", "GIT_DIR": str(worktree.commits.folder), "GIT_WORK_TREE": str(worktree.path),
        "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(worktree.repository.objects), "GIT_CONFIG_GLOBAL": "/dev/null",
    }  # fmt: skip
    done = subprocess.run(["/bin/bash", "-c", command], env=env, cwd=worktree.path, capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.mark.case("U40")
async def test_a_commit_made_inside_is_kept_for_the_task_and_the_next_one_builds_upon_it(worktree: TaskWorktree) -> None:
    made = []
    for number in (1, 2):
        (worktree.path / "a.txt").write_text(f"{number}\n")
        made.append(inside(worktree, f"git add -A && git commit -qm 'number {number}' && git rev-parse HEAD"))
        snapshot = await worktree.snapshot()
        assert snapshot.warnings == ()
        assert await worktree.tip() == made[-1]
    log = await worktree.repository.bound.line("log", "--format=%s %an", "refs/goose/t1/head", "-2")
    assert log == "number 2 Ada\nnumber 1 Ada"
    # The user's own git sees a clean worktree, and no branch of theirs has moved or come.
    assert users_git(worktree, "status", "--porcelain") == ""
    assert users_git(worktree, "rev-parse", "HEAD").strip() == made[-1]
    assert users_git(worktree, "for-each-ref", "--format=%(refname)", "refs/heads", "refs/tags").split() == ["refs/heads/main"]
    assert users_git(worktree, "rev-parse", "main").strip() == worktree.base.commit


def users_git(worktree: TaskWorktree, *words: str) -> str:
    plain = ["git", "-C", str(worktree.path), *words]
    return subprocess.run(plain, capture_output=True, text=True, check=True).stdout


async def test_inside_head_is_on_the_users_branch_and_their_other_branches_are_there(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    place.sh("git branch topic && git tag -a v1 -m v1 && git update-ref refs/remotes/origin/main HEAD")
    place.sh("git symbolic-ref refs/remotes/origin/HEAD refs/remotes/origin/main && git config branch.main.remote origin")
    place.sh("git config remote.origin.url https://me:secret-word@example.org/x")
    place.sh("git config branch.main.merge refs/heads/main")
    place.sh("git config remote.origin.fetch +refs/heads/*:refs/remotes/origin/* && git config core.pager 'touch p'")
    place.write({"a.txt": "two\n"})
    place.sh("git stash -q && git branch -q --set-upstream-to=origin/main")
    worktree = await place.task("t1")
    await worktree.commits.prepare()
    assert inside(worktree, "git branch -a") == place.sh("git branch -a").strip()
    assert inside(worktree, "git status") == place.sh("git status").strip()
    assert inside(worktree, "git describe --tags") == "v1" and inside(worktree, "git stash list") == ""
    config = inside(worktree, "git config --list")
    assert "secret-word" not in config and "touch p" not in config and "me:[redacted" in config
    assert "refs/goose" not in inside(worktree, "git for-each-ref")


@pytest.mark.case("U40")
async def test_what_a_task_makes_besides_its_commits_is_kept_too(worktree: TaskWorktree) -> None:
    inside(worktree, "git checkout -qb side && echo s > s && git add s && git commit -qm side && git checkout -q main")
    inside(worktree, "git tag -a v1 -m v1 && git tag light side && echo later >> a.txt && git stash -q")
    side, tag, stash = (inside(worktree, f"git rev-parse {name}") for name in ("side", "v1", "stash@{0}"))
    inside(worktree, "echo more >> a.txt && git stash -q")
    second = inside(worktree, "git rev-parse stash@{0}")
    assert (await worktree.snapshot()).warnings == ()
    bound = worktree.repository.bound
    kept = {name: await read_ref(bound, f"refs/goose/t1/{name}") for name in ("heads/side", "tags/v1", "tags/light")}
    assert kept == {"heads/side": side, "tags/v1": tag, "tags/light": side}
    for oid in (stash, second):
        assert await read_ref(bound, f"refs/goose/t1/stash/{oid[:16]}") == oid
    assert await worktree.tip() == worktree.base.commit
    await worktree.remove()
    assert users_git_of(worktree, "stash", "show", "-p", stash).endswith("+later\n")


def users_git_of(worktree: TaskWorktree, *words: str) -> str:
    plain = ["git", "-C", str(worktree.repository.root), *words]
    return subprocess.run(plain, capture_output=True, text=True, check=True).stdout


@pytest.mark.case("U40")
async def test_commits_in_packs_arrive_as_well(worktree: TaskWorktree) -> None:
    commits = "for n in 1 2 3; do echo $n > a.txt; git commit -qam $n; done"
    made = inside(worktree, f"{commits}; git gc -q && git pack-refs --all && git rev-parse HEAD")
    assert list((worktree.commits.folder / "objects" / "pack").glob("*.pack"))
    assert not (worktree.commits.folder / "refs" / "heads" / "main").exists()
    assert (await worktree.snapshot()).warnings == () and await worktree.tip() == made
    assert users_git_of(worktree, "fsck", "--strict", "--connectivity-only") == ""


@pytest.mark.case("U40")
async def test_earlier_commits_are_kept_where_the_task_goes_on_from_another_one(worktree: TaskWorktree) -> None:
    left = inside(worktree, "git commit --allow-empty -qm first && git rev-parse HEAD")
    await worktree.snapshot()
    inside(worktree, "git checkout -q --detach HEAD~1")
    await worktree.snapshot()
    assert await worktree.tip() == worktree.base.commit
    assert await read_ref(worktree.repository.bound, f"refs/goose/t1/left/{left[:16]}") == left


@pytest.mark.case("U40")
async def test_where_the_branch_of_an_earlier_versions_task_was_moved_meanwhile_both_are_kept(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    worktree = with_a_branch(place, await place.task("t1"))
    await worktree.commits.prepare()
    assert inside(worktree, "git symbolic-ref HEAD") == "refs/heads/goose/t1"
    theirs = inside(worktree, "git commit --allow-empty -qm theirs && git rev-parse HEAD")
    ours = place.sh("git commit-tree -p goose/t1 -m ours goose/t1^{tree}").strip()
    place.sh(f"git update-ref refs/heads/goose/t1 {ours}")
    warnings = (await worktree.snapshot()).warnings
    assert any("refs/goose/t1/agent" in warning for warning in warnings)
    assert (await worktree.tip(), await read_ref(worktree.repository.bound, "refs/goose/t1/agent")) == (ours, theirs)
    assert inside(worktree, "git rev-parse HEAD") == ours, "and the sandbox goes on from where the branch is"


def with_a_branch(place: Place, worktree: TaskWorktree) -> TaskWorktree:
    """As an earlier version would have made it."""
    place.sh(f"git checkout -q -b goose/{worktree.task_id}", cwd=worktree.path)
    return replace(worktree, branch=f"goose/{worktree.task_id}")


@pytest.mark.case("U40")
async def test_commits_come_back_with_a_worktree_that_was_removed(worktree: TaskWorktree) -> None:
    made = inside(worktree, "git commit --allow-empty -qm kept && git rev-parse HEAD")
    await worktree.remove()
    again = await worktree.recreate()
    assert await again.tip() == made
    await again.commits.prepare()
    assert inside(again, "git rev-parse main") == made and users_git(again, "rev-parse", "HEAD").strip() == made


@pytest.mark.case("P26")
async def test_stores_that_the_repository_borrows_from_are_borrowed_from_too(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    place.sh("git clone -q --shared . ../second && git clone -q --shared ../second ../third")
    place.root = place.top / "third"
    place.commit({"b.txt": "two\n"})
    worktree = await place.task("t1")
    own = await worktree.commits.prepare()
    stores = [place.top / name / ".git" / "objects" for name in ("third", "second", "repo")]
    assert own is not None and own.objects == tuple(stores)
    assert (own.folder / "objects" / "info" / "alternates").read_text() == "".join(f"{OBJECTS}/{n}\n" for n in range(3))


HOSTILE = {
    "a branch that is no commit": lambda folder, ref: ref.write_text("f" * 40),
    "a branch that is text": lambda folder, ref: ref.write_text("../../../config"),
    "a branch that is an option": lambda folder, ref: ref.write_text("--upload-pack=touch p"),
    "a branch that is a pipe": lambda folder, ref: (ref.unlink(), os.mkfifo(ref)),
    "a branch that is a folder": lambda folder, ref: (ref.unlink(), ref.mkdir()),
    "a branch that is a link": lambda folder, ref: (ref.unlink(), ref.symlink_to(folder.parents[2] / "victim")),
    "a branch that is gone": lambda folder, ref: ref.unlink(),
    "a branch that is huge": lambda folder, ref: ref.write_text("a" * 10_000_000),
    "a HEAD that is a pipe": lambda folder, ref: _pipe(folder / "HEAD"),
    "a HEAD that names a file elsewhere": lambda folder, ref: (folder / "HEAD").write_text("ref: refs/../../../victim\n"),
    "an index that is a link": lambda folder, ref: _link(folder / "index", folder.parents[2] / "victim"),
    "an index that is a folder": lambda folder, ref: _folder(folder / "index"),
    "refs that are a link": lambda folder, ref: (shutil.rmtree(folder / "refs"), (folder / "refs").symlink_to("/")),
    "refs within each other": lambda folder, ref: (folder / "refs" / "heads" / "/".join("d" * 90)).mkdir(parents=True),
    "refs with names that git refuses": lambda folder, ref: (ref.with_name("a..b").write_text("1" * 40)),
    "refs without end": lambda folder, ref: [ref.with_name(f"b{n}").write_text("1" * 40) for n in range(3000)],
    "packed refs that are a pipe": lambda folder, ref: _pipe(folder / "packed-refs"),
    "packed refs that are rubbish": lambda folder, ref: (folder / "packed-refs").write_bytes(os.urandom(9999)),
    "a stash that is rubbish": lambda folder, ref: _stash(folder),
    "objects that are pipes": lambda folder, ref: _objects(folder, ref, os.mkfifo),
    "objects that are links": lambda folder, ref: _objects(folder, ref, lambda path: path.symlink_to("/etc/passwd")),
    "objects that are rubbish": lambda folder, ref: _objects(folder, ref, lambda path: path.write_bytes(b"rubbish")),
    "objects in a linked folder": lambda folder, ref: (
        (folder / "objects" / "ab").symlink_to("/dev"), ref.write_text("ab" + "c" * 38),
    ),
    "a pack that is rubbish": lambda folder, ref: (
        (folder / "objects" / "pack" / f"pack-{'a' * 40}.pack").write_bytes(b"PACK" + b"\0" * 99),
        ref.write_text("ab" + "c" * 38),
    ),
    "a configuration with programs": lambda folder, ref: (
        (folder / "config").write_text("[core]\n\tfsmonitor = touch /tmp/p\n\thooksPath = /tmp\n"), ref.write_text("f" * 40),
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


def _stash(folder: Path) -> None:
    (folder / "logs" / "refs").mkdir(parents=True, exist_ok=True)
    (folder / "logs" / "refs" / "stash").write_text(f"{'0' * 40} {'a' * 40} x\n" * 2000 + "\n\n \0")


def _objects(folder: Path, ref: Path, make) -> None:
    (folder / "objects" / "ab").mkdir()
    make(folder / "objects" / "ab" / ("c" * 38))
    ref.write_text("ab" + "c" * 38)


async def test_objects_of_another_repository_are_not_reached_through_a_link(worktree: TaskWorktree, tmp_path: Path) -> None:
    other = Place(tmp_path / "private")
    secret = other.commit({"secret.txt": "nobody's business\n"})
    objects = worktree.commits.folder / "objects"
    objects.rename(objects.with_name("moved"))
    objects.symlink_to(other.root / ".git" / "objects")
    (worktree.commits.folder / "refs" / "heads" / "main").write_text(f"{secret}\n")
    await worktree.snapshot()
    assert await read_ref(worktree.repository.bound, f"{secret}^{{commit}}") is None
    assert other.sh("git fsck --strict") == "" and await worktree.tip() == worktree.base.commit


@pytest.mark.case("A20")
@pytest.mark.parametrize("attack", HOSTILE)
async def test_what_a_task_puts_where_its_commits_are_expected_harms_nothing(worktree: TaskWorktree, attack: str) -> None:
    folder = worktree.commits.folder
    victim = folder.parents[2] / "victim"
    victim.write_text("untouched")
    before = await worktree.tip()
    HOSTILE[attack](folder, folder / "refs" / "heads" / "main")
    snapshot = await worktree.snapshot()
    (worktree.path / "a.txt").write_text("two\n")
    await worktree.restore(snapshot.tree)
    assert await worktree.tip() == before
    assert victim.read_text() == "untouched"
    assert (worktree.path / "a.txt").read_text() == "one\n"
    await worktree.commits.show(before)
    await worktree.commits.prepare()
    assert victim.read_text() == "untouched"
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


async def test_a_repository_that_was_sent_shows_no_file_of_the_users_through_its_git_directory(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    secret = place.top / "home" / "id_rsa"
    secret.write_text("PRIVATE\n")
    git_dir = place.root / ".git"
    place.sh(f"git config core.excludesFile {secret} && git config core.attributesFile {secret}")
    for name in ("info/exclude", "info/attributes", "shallow", "logs/HEAD", "hooks/pre-commit"):
        (git_dir / name).unlink(missing_ok=True)
        if name != "shallow":
            (git_dir / name).symlink_to(secret)
    secret.chmod(0o755)
    worktree = await place.task("t1")
    own = await worktree.commits.prepare()
    assert own is not None
    for folder in (own.folder, own.folder.with_name("commits.fixed")):
        assert not any("PRIVATE" in path.read_text(errors="replace") for path in folder.rglob("*") if path.is_file())


async def test_patterns_that_the_user_ignores_everywhere_are_ignored_inside(tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n"})
    (place.top / "home" / ".config" / "git").mkdir(parents=True)
    (place.top / "home" / ".config" / "git" / "ignore").write_text("*.swp\n")
    worktree = await place.task("t1")
    own = await worktree.commits.prepare()
    assert own is not None and (own.folder / "excludes").read_text() == "*.swp\n"
    assert 'excludesfile = "/run/goose-py/git/excludes"' in (own.folder / "config").read_text()


def test_both_sides_of_the_mount_name_the_same_places() -> None:
    assert (own_git_dir.FOLDER, own_git_dir.OBJECTS) == (policy.GIT_DIR, policy.GIT_OBJECTS)
