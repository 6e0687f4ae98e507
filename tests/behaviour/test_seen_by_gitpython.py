"""Other programs look at a task's worktree too: editors and tools built on GitPython see an ordinary linked worktree."""

import pytest
from git import Repo  # GitPython
from git_repos import Place

from goose_py.git.repository import Repository
from goose_py.git.worktrees.base import base_from_head
from goose_py.git.worktrees.worktree import TaskWorktree


@pytest.fixture
def place(tmp_path):
    place = Place(tmp_path)
    place.commit({"a.txt": "one\n", "sub/b.txt": "two\n"})
    return place


async def test_a_task_is_a_clean_linked_worktree_on_no_branch_from_the_recorded_base(place):
    repository = await Repository.open(place.git, place.root)
    base = await base_from_head(repository)
    worktree = await TaskWorktree.create(
        repository, "1122-abc", where=place.top / "tree", store=place.top / "store", base=base
    )
    with Repo(worktree.path) as seen, Repo(place.root) as theirs:
        assert seen.head.is_detached
        assert not seen.is_dirty(untracked_files=True)
        assert seen.head.commit == theirs.head.commit and seen.head.commit.hexsha == base.commit
        (worktree.path / "a.txt").write_text("changed\n")
        (worktree.path / "new.txt").write_text("new\n")
        assert [item.a_path for item in seen.index.diff(None)] == ["a.txt"]
        assert seen.untracked_files == ["new.txt"]
        assert not theirs.is_dirty(untracked_files=True) and len(theirs.heads) == 1
    tree = (await worktree.snapshot()).tree
    with Repo(worktree.store.path) as private:
        assert private.git.cat_file("blob", f"{tree}:new.txt") == "new"
