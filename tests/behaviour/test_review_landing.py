"""Approved changes as commits on branches, and previews of what would conflict."""

from __future__ import annotations

from pathlib import Path

import pytest
from git_repos import Place, tree_of_folder

from goose_py.git.errors import RefMoved, RepositoryBusy
from goose_py.git.repository import Repository
from goose_py.git.trees.conflicts import conflicting_text
from goose_py.git.trees.diff import diff
from goose_py.git.trees.merge import Side, merge_sides
from goose_py.git.worktrees.base import base_from_head, base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval
from goose_py.review.errors import ApprovalOutdated, BaseMoved, CannotApply, UncommittedOverlap
from goose_py.review.landing import Followed, commit_on_task_branch, land, prepare_landing

LINES = "".join(f"{number}\n" for number in range(1, 31))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit({"a.txt": LINES, "b.txt": "b\n", "dir/c.txt": "c\n"})
    return place


async def approve_all(worktree: TaskWorktree) -> Approval:
    tree = (await worktree.snapshot()).tree
    return Approval(worktree.base.tree, tree, tree)


async def edited_task(place: Place, files: dict[str, str | bytes], task_id: str = "t1") -> TaskWorktree:
    worktree = await place.task(task_id)
    place.write(files, worktree.path)
    return worktree


async def test_the_users_branch_is_fast_forwarded_with_its_checkout_and_index(place: Place):
    worktree = await edited_task(place, {"a.txt": LINES.replace("5\n", "five\n", 1), "new/n.txt": "n\n"})
    (worktree.path / "dir" / "c.txt").unlink()
    (worktree.path / "dir").rmdir()
    place.write({"b.txt": "my uncommitted work\n", "untracked.txt": "u\n"})
    tip = place.sh("git rev-parse main").strip()
    approval = await approve_all(worktree)

    landing = await prepare_landing(worktree, approval, "main", "Do it\n\nBecause.\n")
    assert place.sh("git rev-parse main").strip() == tip and (place.root / "dir").exists()
    written = await land(await place.open(), worktree.store, landing, place.scratch)
    assert set(written.files) == {"a.txt", "new/n.txt", "dir/c.txt"}
    assert place.sh("git rev-parse main").strip() == landing.commit
    assert place.sh("git log --format='%P %s' -1 main").strip() == f"{tip} Do it"
    assert place.sh("git status --porcelain") == " M b.txt\n?? untracked.txt\n"
    assert (place.root / "a.txt").read_text() == LINES.replace("5\n", "five\n", 1) and not (place.root / "dir").exists()
    assert (place.root / "b.txt").read_text() == "my uncommitted work\n"
    assert "goose-py: merge approved changes" in place.sh("git reflog -1 main")
    assert not list((place.root / ".git").glob(".goose*")) and not (place.root / ".git" / "index.lock").exists()
    place.sh("git fsck --strict")


async def test_a_branch_that_is_not_checked_out_moves_alone(place: Place):
    place.sh("git branch release")
    worktree = await edited_task(place, {"b.txt": "B\n"})
    before = place.state()
    landing = await prepare_landing(worktree, await approve_all(worktree), "release", "m\n")
    assert await land(await place.open(), worktree.store, landing, place.scratch) == Followed()
    assert place.sh("git show release:b.txt") == "B\n"
    after = place.state()
    before.pop("refs"), after.pop("refs")
    assert before == after


async def test_a_branch_checked_out_in_another_worktree_moves_with_that_one(place: Place):
    place.sh("git worktree add -q ../other -b other")
    worktree = await edited_task(place, {"b.txt": "B\n"})
    landing = await prepare_landing(worktree, await approve_all(worktree), "other", "m\n")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert (place.top / "other" / "b.txt").read_text() == "B\n"
    assert place.sh("git status --porcelain", cwd=place.top / "other") == ""
    assert (place.root / "b.txt").read_text() == "b\n"


async def test_a_moved_tip_is_rebased_upon(place: Place):
    worktree = await edited_task(place, {"a.txt": LINES.replace("5\n", "five\n", 1)})
    approval = await approve_all(worktree)
    place.commit({"a.txt": LINES.replace("25\n", "twenty-five\n"), "b.txt": "moved\n"})
    landing = await prepare_landing(worktree, approval, "main", "m\n")
    assert landing.merged == ("a.txt",)
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert (place.root / "a.txt").read_text() == LINES.replace("5\n", "five\n", 1).replace("25\n", "twenty-five\n")
    assert place.sh("git status --porcelain") == "" and place.sh("git log --oneline").count("\n") == 3


async def test_a_conflict_leaves_everything_as_it_was(place: Place):
    worktree = await edited_task(place, {"a.txt": LINES.replace("5\n", "five\n", 1)})
    approval = await approve_all(worktree)
    place.commit({"a.txt": LINES.replace("5\n", "FIVE\n", 1)})
    before, files = place.state(), tree_of_folder(worktree.path)
    with pytest.raises(BaseMoved, match=r"a\.txt changed in the repository"):
        await prepare_landing(worktree, approval, "main", "m\n")
    assert place.state() == before and tree_of_folder(worktree.path) == files
    with pytest.raises(BaseMoved, match="branch gone no longer exists"):
        await prepare_landing(worktree, approval, "gone", "m\n")


async def test_a_tip_that_moves_after_preparing_is_refused(place: Place):
    worktree = await edited_task(place, {"b.txt": "B\n"})
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    place.commit({"a.txt": "moved\n"})
    before = place.state()
    with pytest.raises(RefMoved, match="main has moved meanwhile; nothing was changed"):
        await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.state() == before


async def test_a_ref_that_cannot_be_moved_takes_files_and_index_back(place: Place):
    worktree = await edited_task(place, {"b.txt": "B\n", "new.txt": "n\n"})
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    before = place.state()
    (place.root / ".git" / "refs" / "heads" / "main.lock").touch()
    with pytest.raises(RepositoryBusy, match="another git process holds"):
        await land(await place.open(), worktree.store, landing, place.scratch)
    after = place.state()
    assert {name: value for name, value in after.items()} == before
    (place.root / ".git" / "refs" / "heads" / "main.lock").unlink()
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git status --porcelain") == "" and (place.root / "new.txt").read_text() == "n\n"


@pytest.mark.parametrize("work", ["echo mine > b.txt", "echo mine > b.txt && git add b.txt", "echo mine > new.txt"])
async def test_uncommitted_work_in_the_same_files_is_refused(place: Place, work: str):
    worktree = await edited_task(place, {"b.txt": "B\n", "new.txt": "n\n"})
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    place.sh(work)
    before = place.state()
    with pytest.raises(UncommittedOverlap, match=r"you have uncommitted work in (b|new)\.txt"):
        await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.state() == before


async def test_work_in_files_that_git_was_told_to_take_for_unchanged_is_refused_too(place: Place):
    place.sh("git update-index --assume-unchanged b.txt")
    worktree = await edited_task(place, {"b.txt": "B\n"})
    place.write({"b.txt": "mine\n"})
    approval = await approve_all(worktree)
    landing = await prepare_landing(worktree, approval, "main", "m\n")
    with pytest.raises(UncommittedOverlap, match=r"you have uncommitted work in b\.txt"):
        await land(await place.open(), worktree.store, landing, place.scratch)
    with pytest.raises(UncommittedOverlap, match=r"you have uncommitted work in b\.txt"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert (place.root / "b.txt").read_text() == "mine\n" and place.sh("git rev-parse main").strip() == landing.tip


async def test_a_file_whose_name_changes_only_in_case_arrives_where_names_are_told_apart(place: Place):
    """Also where the configuration comes from a system that does not."""
    place.sh("git config core.ignorecase true")
    worktree = await place.task()
    (worktree.path / "b.txt").rename(worktree.path / "B.txt")
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert (place.root / "B.txt").read_text() == "b\n" and not (place.root / "b.txt").exists()
    assert place.sh("git ls-tree --name-only main").split() == ["B.txt", "a.txt", "dir"]


async def test_a_branch_of_a_bare_repository_moves_with_the_worktree_that_has_it(place: Place):
    place.sh("git clone -q --bare . ../bare.git && cd ../bare.git && git worktree add -q ../one main")
    place.sh("git worktree add -q ../two -b two", cwd=place.top / "bare.git")
    repository = await Repository.open(place.git, place.top / "two")
    folders = {"where": place.top / "worktrees" / "t1", "store": place.top / "state" / "tasks" / "t1"}
    worktree = await TaskWorktree.create(repository, "t1", **folders, base=await base_from_head(repository))
    place.write({"b.txt": "B\n"}, worktree.path)
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    assert await land(repository, worktree.store, landing, place.scratch) == Followed(("b.txt",))
    for checkout, content in (("one", "B\n"), ("two", "b\n")):
        assert (place.top / checkout / "b.txt").read_text() == content
        assert place.sh("git status --porcelain", cwd=place.top / checkout) == ""


async def test_a_split_index_stays_whole(place: Place):
    place.commit({f"many/{number}": f"{number}\n" for number in range(40)})
    place.sh("git config core.splitIndex true && git update-index --split-index && git status")
    place.write({"many/3": "mine\n"})
    place.sh("git add many/3")
    worktree = await edited_task(place, {"many/1": "one\n", "n.txt": "n\n"})
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git status --porcelain") == "M  many/3\n" and place.sh("git ls-files").count("\n") == 44
    place.sh("git commit -qm mine && git fsck --strict")


async def test_a_locked_index_and_a_merge_under_way_are_refused(place: Place):
    worktree = await edited_task(place, {"b.txt": "B\n"})
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    (place.root / ".git" / "index.lock").touch()
    with pytest.raises(RepositoryBusy, match=r"another git process holds .*index\.lock"):
        await land(await place.open(), worktree.store, landing, place.scratch)
    assert (place.root / ".git" / "index.lock").exists()
    (place.root / ".git" / "index.lock").unlink()
    (place.root / ".git" / "MERGE_HEAD").write_text(landing.tip + "\n")
    with pytest.raises(RepositoryBusy, match="a merge is under way"):
        await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git rev-parse main").strip() == landing.tip


async def test_applying_first_and_merging_afterwards_is_no_conflict(place: Place):
    worktree = await edited_task(place, {"b.txt": "B\n", "new.txt": "n\n"})
    approval = await approve_all(worktree)
    await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    landing = await prepare_landing(worktree, approval, "main", "m\n")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git status --porcelain") == ""


async def test_the_tasks_own_commits_are_kept_with_their_authors(place: Place):
    worktree = await place.task()
    place.sh("echo 1 > one && git add . && git commit -qm 'first step' --author 'Agent <agent@x>'", cwd=worktree.path)
    place.sh("echo 2 > two && git add . && git commit -qm 'second step'", cwd=worktree.path)
    place.write({"three": "3\n"}, worktree.path)
    approval = await approve_all(worktree)
    place.commit({"b.txt": "moved\n"}, message="meanwhile")
    landing = await prepare_landing(worktree, approval, "main", "the rest\n", "commits")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git log --format='%an: %s' -4").splitlines() == [
        "Ada: the rest", "Ada: second step", "Agent: first step", "Ada: meanwhile"
    ]  # fmt: skip
    assert place.sh("git show --name-only --format= HEAD~1").split() == ["two"]
    partly = Approval(approval.base_tree, approval.result_tree, worktree.base.tree[::-1])
    with pytest.raises(ApprovalOutdated, match="whole change is approved"):
        await prepare_landing(worktree, partly, "main", "m\n", "commits")


async def test_a_file_that_was_committed_although_it_is_ignored_is_work_like_all_other(place: Place):
    place.commit({".gitignore": "*.log\n"})
    worktree = await place.task()
    place.write({"kept.log": "kept\n", "noise.log": "noise\n", "a.txt": "A\n"}, worktree.path)
    place.sh("git add -A && git add -f kept.log && git commit -qm 'Keep it'", cwd=worktree.path)
    tree = (await worktree.snapshot()).tree
    assert b"kept.log" in await worktree.store.entries(tree) and b"noise.log" not in await worktree.store.entries(tree)
    place.write({"kept.log": "edited\n"}, worktree.path)
    edited = (await worktree.snapshot()).tree
    assert edited != tree
    await worktree.restore(tree)
    assert (worktree.path / "kept.log").read_text() == "kept\n" and (worktree.path / "noise.log").read_text() == "noise\n"
    approval = Approval(worktree.base.tree, tree, tree)
    landing = await prepare_landing(worktree, approval, "main", "m\n", "commits")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git show main:kept.log") == "kept\n" and place.sh("git log -1 --format=%s main") == "Keep it\n"


async def test_the_task_gets_one_commit_or_one_more(place: Place):
    worktree = await place.task()
    place.sh("echo 1 > one && git add . && git commit -qm 'first step'", cwd=worktree.path)
    old_tip = place.sh("git rev-parse HEAD", cwd=worktree.path).strip()
    place.write({"two": "2\n"}, worktree.path)
    approval = await approve_all(worktree)
    kept = await commit_on_task_branch(worktree, approval, "rest\n", "commits")
    assert place.sh("git log --format=%s refs/goose/t1/head").splitlines() == ["rest", "first step", "change"]
    assert await commit_on_task_branch(worktree, approval, "rest\n", "commits") == kept
    squashed = await commit_on_task_branch(worktree, approval, "all of it\n", "squash")
    assert place.sh("git log --format=%s refs/goose/t1/head").splitlines() == ["all of it", "change"]
    assert place.sh(f"git rev-parse {squashed}^{{tree}}").strip() == approval.tree
    assert place.sh(f"git merge-base --is-ancestor {old_tip} refs/goose/t1/tip && echo kept") == "kept\n"


async def test_an_empty_approval_is_refused(place: Place):
    worktree = await place.task()
    nothing = Approval(worktree.base.tree, worktree.base.tree, worktree.base.tree)
    with pytest.raises(CannotApply, match="nothing of this change was kept"):
        await prepare_landing(worktree, nothing, "main", "m\n")
    with pytest.raises(CannotApply, match="nothing to commit"):
        await commit_on_task_branch(worktree, nothing, "m\n")


async def test_the_users_included_changes_do_not_slip_into_their_branch(place: Place):
    place.write({"b.txt": "my uncommitted work\n"})
    worktree = await place.task("t1", await base_with_changes(await place.open(), place.scratch))
    place.write({"a.txt": LINES.replace("5\n", "five\n", 1)}, worktree.path)
    landing = await prepare_landing(worktree, await approve_all(worktree), "main", "m\n")
    await land(await place.open(), worktree.store, landing, place.scratch)
    assert place.sh("git show main:b.txt") == "b\n"
    assert place.sh("git status --porcelain") == " M b.txt\n"


# Tasks beside each other


async def test_the_results_of_two_tasks_can_be_compared(place: Place):
    one = await edited_task(place, {"a.txt": LINES.replace("5\n", "five\n", 1), "same.txt": "s\n"}, "one")
    two = await edited_task(place, {"a.txt": LINES.replace("5\n", "FIVE\n", 1), "same.txt": "s\n"}, "two")
    trees = [(await worktree.snapshot()).tree for worktree in (one, two)]
    between = await diff(one.store.beside(two.store), *trees)
    assert [file.path for file in between.files] == ["a.txt"]
    assert "-five\n" in (between.files[0].hunks or ())[0].lines


async def test_two_tasks_that_will_conflict_are_told_before_either_is_merged(place: Place):
    one = await edited_task(place, {"a.txt": LINES.replace("5\n", "five\n", 1), "b.txt": "one\n"}, "one")
    two = await edited_task(place, {"a.txt": LINES.replace("5\n", "FIVE\n", 1), "dir/c.txt": "two\n"}, "two")
    far = await edited_task(place, {"a.txt": LINES.replace("25\n", "twenty-five\n")}, "far")
    gone = await place.task("gone")
    (gone.path / "dir" / "c.txt").unlink()
    before = place.state()

    def side(worktree: TaskWorktree, tree: str) -> Side:
        return Side(tree, worktree.base.commit, worktree.task_id)

    trees = {worktree.task_id: side(worktree, (await worktree.snapshot()).tree) for worktree in (one, two, far, gone)}
    every = one.store.beside(two.store, far.store, gone.store)
    clash = (await merge_sides(every, [(trees["one"], trees["two"])]))[0]
    assert [(conflict.paths, conflict.kind) for conflict in clash.conflicts] == [(("a.txt",), "CONFLICT (contents)")]
    text = await conflicting_text(every, clash, "a.txt")
    assert "five\n" in text and "FIVE\n" in text and "<<<<<<<" in text and "|||||||" in text
    assert ((await merge_sides(every, [(trees["one"], trees["far"])]))[0]).clean
    deleted = (await merge_sides(every, [(trees["two"], trees["gone"])]))[0]
    assert [conflict.kind for conflict in deleted.conflicts] == ["CONFLICT (modify/delete)"]

    tip = place.commit({"a.txt": LINES.replace("5\n", "cinq\n", 1)})
    assert not ((await merge_sides(one.store, [(trees["one"], Side(await one.repository.tree_of(tip), tip, "main"))]))[0]).clean
    assert ((await merge_sides(far.store, [(trees["far"], Side(await far.repository.tree_of(tip), tip, "main"))]))[0]).clean
    assert {name for name in before if "refs" in name} == {"refs"}
