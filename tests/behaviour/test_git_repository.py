"""Opening repositories in every state that users have them in."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repos import GIT, Place

from goose_py.git.errors import BareRepository, GitError, GitUnavailable, NotARepository, UnbornHead, UnknownRevision
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.base import Base, base_from_head, base_from_revision, base_with_changes, uncommitted_paths
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def test_the_repository_is_found_from_a_folder_inside_it(place: Place):
    commit = place.commit({"src/deep/a.txt": "a\n"})
    repository = await Repository.open(place.git, place.root / "src" / "deep")
    assert repository.root == place.root
    assert (repository.head.branch, repository.head.commit) == ("main", commit)
    assert repository.operation is None and not repository.shallow


async def test_a_symlinked_root_opens_as_the_real_one(place: Place):
    place.commit({"a.txt": "a\n"})
    (place.top / "link").symlink_to(place.root)
    assert (await Repository.open(place.git, place.top / "link")).root == place.root


async def test_a_linked_worktree_is_a_repository_with_a_shared_common_directory(place: Place):
    place.commit({"a.txt": "a\n"})
    place.sh("git worktree add -q ../linked -b other")
    repository = await Repository.open(place.git, place.top / "linked")
    assert repository.root == place.top / "linked"
    assert repository.is_linked_worktree and repository.common_dir == place.root / ".git"
    assert repository.head.branch == "other"


@pytest.mark.case("R37")
async def test_no_repository_is_one_clear_sentence(tmp_path: Path):
    place = Place(tmp_path)
    with pytest.raises(NotARepository, match="not inside a git repository; start in one, or run `git init`"):
        await Repository.open(place.git, place.root)
    assert not (place.root / ".git").exists()


@pytest.mark.case("R37")
async def test_a_bare_repository_is_explained(place: Place):
    place.sh("git init -q --bare .")
    with pytest.raises(BareRepository, match="bare repository without working files"):
        await Repository.open(place.git, place.root)


@pytest.mark.case("R37")
async def test_an_unborn_head_is_explained_and_changes_can_still_be_a_base(place: Place):
    place.sh("git init -q -b main .")
    place.write({"a.txt": "a\n"})
    repository = await place.open()
    assert repository.head.unborn and repository.head.branch == "main"
    with pytest.raises(UnbornHead, match="has no commit yet"):
        await base_from_head(repository)
    before = place.state()
    worktree = await place.task("t1", await base_with_changes(repository, place.scratch))
    assert (worktree.path / "a.txt").read_text() == "a\n"
    place.write({"b.txt": "b\n"}, worktree.path)
    tree = (await worktree.snapshot()).tree
    assert place.state() == before
    await apply_to_working_tree(repository, worktree.store, Approval(worktree.base.tree, tree, tree), place.scratch)
    assert (place.root / "b.txt").read_text() == "b\n"


@pytest.mark.case("R37")
async def test_a_detached_head_is_a_base_without_a_branch(place: Place):
    commit = place.commit({"a.txt": "a\n"})
    place.sh("git checkout -q --detach")
    repository = await place.open()
    assert repository.head.detached
    base = await base_from_head(repository)
    assert (base.commit, base.branch) == (commit, None)


@pytest.mark.case("R37")
async def test_a_shallow_clone_works(place: Place):
    place.commit({"a.txt": "a\n"})
    place.commit({"a.txt": "b\n"})
    place.sh(f"git clone -q --depth 1 file://{place.root} {place.top}/shallow")
    shallow = await Repository.open(place.git, place.top / "shallow")
    assert shallow.shallow
    base = await base_from_head(shallow)
    worktree = await place_task(place, shallow, base)
    place.write({"a.txt": "c\n"}, worktree.path)
    assert (await worktree.snapshot()).tree != base.tree


async def place_task(place: Place, repository: Repository, base: Base) -> TaskWorktree:
    return await TaskWorktree.create(
        repository, "x", where=place.top / "wt-x", store=place.top / "state" / "x", base=base
    )


def _mid_rebase(place: Place) -> None:
    place.sh("git rebase -q other || true")


def _mid_merge(place: Place) -> None:
    place.sh("git merge -q other || true")


def _mid_cherry_pick(place: Place) -> None:
    place.sh("git cherry-pick other || true")


def _mid_bisect(place: Place) -> None:
    place.sh("git bisect start && git bisect bad && git bisect good HEAD~1")


def _index_lock(place: Place) -> None:
    (place.root / ".git" / "index.lock").touch()


@pytest.mark.case("R37")
@pytest.mark.parametrize(
    ("enter", "operation"),
    [(_mid_rebase, "rebase"), (_mid_merge, "merge"), (_mid_cherry_pick, "cherry-pick"), (_mid_bisect, "bisect"),
     (_index_lock, None)],
)  # fmt: skip
async def test_a_task_runs_in_the_middle_of_an_operation_and_leaves_it_as_it_is(place: Place, enter, operation):
    place.commit({"a.txt": "a\n", "b.txt": "b\n"})
    place.sh("git checkout -q -b other && echo other > a.txt && git commit -qam other && git checkout -q main")
    place.commit({"a.txt": "mine\n"})
    enter(place)
    before = place.state()

    repository = await place.open()
    assert repository.operation == operation
    assert repository.index_locked == (enter is _index_lock)
    await uncommitted_paths(repository, place.scratch)
    with_changes = await base_with_changes(repository, place.scratch)
    worktree = await place.task("t1", with_changes)
    place.write({"b.txt": "changed\n", "new.txt": "new\n"}, worktree.path)
    tree = (await worktree.snapshot()).tree
    await worktree.restore(with_changes.tree)
    await worktree.restore(tree)
    assert place.state() == before
    assert (await place.open()).operation == operation

    approval = Approval(worktree.base.tree, tree, tree)
    await apply_to_working_tree(repository, worktree.store, approval, place.scratch)
    assert (place.root / "b.txt").read_text() == "changed\n"
    assert (place.root / ".git" / "index").read_bytes() == before["index"]


async def test_uncommitted_paths_names_staged_unstaged_and_new_files_and_touches_nothing(place: Place):
    place.commit({"a.txt": "a\n", "b.txt": "b\n", "c.txt": "c\n"})
    place.write({"a.txt": "A\n", "n/new.txt": "n\n"})
    place.sh("git rm -q b.txt && git mv c.txt d.txt")
    before = place.state()
    assert await uncommitted_paths(await place.open(), place.scratch) == ("a.txt", "b.txt", "c.txt", "d.txt", "n/")
    assert place.state() == before
    assert not list(place.scratch.iterdir())


async def test_the_base_is_head_the_users_changes_or_a_named_revision_and_is_recorded(place: Place):
    first = place.commit({"a.txt": "a\n"})
    place.sh("git update-ref refs/remotes/origin/main HEAD")
    head = place.commit({"a.txt": "b\n"})
    place.write({"a.txt": "mine\n", "new.txt": "new\n"})
    place.sh("git add new.txt && echo later >> new.txt")
    place.sh("git stash list")
    before = place.state()
    repository = await place.open()

    assert (await base_from_head(repository)).commit == head
    remote = await base_from_revision(repository, "origin/main")
    assert remote.commit == first
    mine = await base_with_changes(repository, place.scratch)
    assert mine.commit == head and place.sh(f"git rev-parse {mine.recorded}^").strip() == head
    assert place.sh(f"git show {mine.recorded}:a.txt") == "mine\n"
    assert place.sh(f"git show {mine.recorded}:new.txt") == "new\nlater\n"
    # As in a stash, the second parent is what was staged.
    assert place.sh(f"git show {mine.recorded}^2:new.txt") == "new\n"
    assert place.sh(f"git show {mine.recorded}^2:a.txt") == "b\n"
    assert (mine.uncommitted, mine.index) == (2, place.sh(f"git rev-parse {mine.recorded}^2^{{tree}}").strip())
    assert place.state() == before

    for number, base in enumerate((remote, mine)):
        worktree = await place.task(f"t{number}", base)
        again = await TaskWorktree.open(repository, worktree.store.path)
        assert again.base == base and again.path == worktree.path and again.branch is None
        assert place.sh("git rev-parse HEAD", cwd=worktree.path).strip() == base.commit
    with pytest.raises(UnknownRevision, match="no-such-branch names no commit"):
        await base_from_revision(repository, "no-such-branch")
    with pytest.raises(UnknownRevision):
        await base_from_revision(repository, "--output=/tmp/x")


async def test_the_users_identity_and_line_endings_come_from_all_their_configuration(place: Place):
    place.commit({"a.txt": "a\n"})
    (place.top / "home" / ".gitconfig").write_text("[user]\nname = Grace\nemail = g@example.org\n[core]\nautocrlf = true\n")
    worktree = await place.task()
    assert worktree.store.settings.author_name == "Ada", "what the environment says comes first, as in git"
    assert dict(worktree.store.settings.values)["core.autocrlf"] == "true"
    assert (worktree.path / "a.txt").read_bytes() == b"a\r\n"


async def test_git_variables_of_the_users_environment_are_not_inherited(place: Place):
    place.commit({"a.txt": "a\n"})
    hostile = {**place.env, "GIT_DIR": "/nowhere", "GIT_INDEX_FILE": "/nowhere", "GIT_EXTERNAL_DIFF": "touch x"}
    repository = await Repository.open(Git.create(GIT, hostile), place.root)
    assert repository.head.branch == "main"


async def test_a_missing_git_is_one_clear_sentence(place: Place):
    with pytest.raises(GitUnavailable, match="git was not found on PATH"):
        Git.create(None, place.env)
    with pytest.raises(GitUnavailable, match="not found at /nowhere/git"):
        await Git.create(Path("/nowhere/git"), place.env).version()


async def test_a_damaged_pointer_file_is_one_clear_sentence(place: Place):
    (place.root / ".git").write_text("gitdir: /nowhere\n")
    with pytest.raises(GitError, match="is no git directory; repair it"):
        await place.open()


async def test_a_broken_head_is_one_clear_sentence(place: Place):
    place.commit({"a.txt": "a\n"})
    (place.root / ".git" / "HEAD").write_text("garbage\n")
    with pytest.raises(GitError, match="git cannot read the repository at"):
        await place.open()


async def test_a_repository_with_sha256_objects_works_whole(place: Place):
    place.sh("git init -q -b main --object-format=sha256 .")
    place.commit({"a.txt": "a\n"})
    worktree = await place.task()
    place.write({"a.txt": "b\n", "n.txt": "n\n"}, worktree.path)
    (worktree.path / "gone").mkdir()
    tree = (await worktree.snapshot()).tree
    assert len(tree) == 64
    approval = Approval(worktree.base.tree, tree, tree)
    await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert (place.root / "a.txt").read_text() == "b\n"
    (worktree.path / "a.txt").unlink()
    assert (await worktree.snapshot()).tree != tree
