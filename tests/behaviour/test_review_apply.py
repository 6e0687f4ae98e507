"""From a changeset and decisions to the user's files: exactly the approved bytes, or nothing."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest
from git_repos import GIT, Place, tree_of_folder
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from goose_py.git.errors import NoSpace
from goose_py.git.runner import Git
from goose_py.git.trees.diff import changeset_summary, diff, diff_text, file_change, with_hunks
from goose_py.git.worktrees.base import base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import ChangeSet
from goose_py.review.apply import apply_to_working_tree, outlook
from goose_py.review.approval import Approval
from goose_py.review.errors import BaseMoved, CannotApply, UncommittedOverlap
from goose_py.review.selection import SelectionImpossible, reviewed, selected_tree
from goose_py.review.verdicts import Decision, changed_lines, decide_file, decide_hunk, fold, keep_undecided

NUMBERS = [f"{number}\n" for number in range(1, 41)]


def numbers(**changes: str) -> str:
    lines = list(NUMBERS)
    for key, text in changes.items():
        lines[int(key.removeprefix("n")) - 1] = text
    return "".join(lines)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit(
        {
            "a.txt": numbers(), "crlf.txt": "one\r\ntwo\r\n", "latin.txt": b"caf\xe9\nth\xe9\n", "nonl.txt": "x\ny",
            "gone.txt": "g\n", "dir/old.txt": numbers(), "bin.dat": b"\x00\x01", "tool.sh": "#!/bin/sh\n", "empty": "",
            "kind": "file\n", "mine.txt": "mine\n",
        }
    )  # fmt: skip
    (place.root / "link").symlink_to("a.txt")
    place.commit()
    return place


def everything(place: Place, root: Path) -> None:
    """One change of every kind there is."""
    place.write(
        {
            "a.txt": numbers(n3="three\n", n20="twenty\ntwenty and a half\n", n38=""), "crlf.txt": "one\r\nTWO\r\nthree\n",
            "latin.txt": b"caf\xe9s\nth\xe9\n", "nonl.txt": "x\ny\nz", "bin.dat": b"\x00\x02", "new/empty": "",
            "new/script": "#!/bin/sh\necho\n", "unicode\u2028.txt": "a\u2028b\n",
        },
        root,
    )  # fmt: skip
    (root / "gone.txt").unlink()
    (root / "dir" / "old.txt").unlink()
    (root / "dir").rmdir()
    place.write({"dir2/new name.txt": numbers(n5="five\n")}, root)
    for name in ("tool.sh", "new/script"):
        (root / name).chmod(0o755)
    (root / "kind").unlink()
    (root / "kind").symlink_to("a.txt")
    (root / "link").unlink()
    (root / "link").symlink_to("nonl.txt")
    (root / os.fsdecode(b"caf\xe9.txt")).write_bytes(b"\xe9\n")


async def changes_of(worktree: TaskWorktree) -> ChangeSet:
    return await diff(worktree.store, worktree.base.tree, (await worktree.snapshot()).tree)


async def approve_all(worktree: TaskWorktree) -> Approval:
    tree = (await worktree.snapshot()).tree
    return Approval(worktree.base.tree, tree, tree)


async def approved(worktree: TaskWorktree, changes: ChangeSet, events) -> Approval:
    tree = await selected_tree(worktree.store, changes, fold(changes, [Decision(event) for event in events]))
    return Approval(changes.base_tree, changes.result_tree, tree)


# The changeset


async def test_every_kind_of_change_is_shown_for_what_it_is(place: Place):
    worktree = await place.task()
    everything(place, worktree.path)
    changes = await changes_of(worktree)
    assert {file.path: (file.status, file.old_path) for file in changes.files} == {
        "a.txt": ("modified", None), "bin.dat": ("modified", None), '"caf\\351.txt"': ("added", None),
        "crlf.txt": ("modified", None), "dir2/new name.txt": ("renamed", "dir/old.txt"), "gone.txt": ("deleted", None),
        "kind": ("type-changed", None), "latin.txt": ("modified", None), "link": ("modified", None),
        "new/empty": ("added", None), "new/script": ("added", None), "nonl.txt": ("modified", None),
        "tool.sh": ("mode", None), "unicode\u2028.txt": ("added", None),
    }  # fmt: skip
    assert {file.path: file.flags for file in changes.files if file.flags} == {
        "bin.dat": ("binary",), '"caf\\351.txt"': ("encoding",), "kind": ("symlink",), "latin.txt": ("encoding",),
        "link": ("symlink",), "new/script": ("executable",), "tool.sh": ("executable",),
    }  # fmt: skip
    a = changes.file("a.txt")
    assert a is not None and (a.added, a.removed) == (3, 3) and len(a.hunks or ()) == 3
    latin = changes.file("latin.txt")
    assert latin is not None and latin.hunks is not None and latin.hunks[0].encoding == "latin-1"
    assert latin.hunks[0].lines == ("-café\n", "+cafés\n", " thé\n")


async def test_hunks_can_be_loaded_file_by_file_and_are_the_same(place: Place):
    worktree = await place.task()
    everything(place, worktree.path)
    whole = await changes_of(worktree)
    summary = await changeset_summary(worktree.store, whole.base_tree, whole.result_tree)
    assert all(file.hunks is None for file in summary.files)
    assert tuple([await file_change(worktree.store, summary, file.path) for file in whole.files]) == whole.files
    some = await with_hunks(worktree.store, summary, ["a.txt"])
    assert [file.path for file in some.files if file.hunks is not None] == ["a.txt"]
    with pytest.raises(KeyError):
        await file_change(worktree.store, summary, "nowhere")


async def test_a_diff_as_text_is_cut_at_a_line_and_says_so(place: Place):
    worktree = await place.task()
    place.write({"a.txt": numbers(n1="one\n"), "mine.txt": "theirs\n" * 500}, worktree.path)
    tree = (await worktree.snapshot()).tree
    whole = await diff_text(worktree.store, worktree.base.tree, tree, 100_000)
    assert whole.count("+theirs\n") == 500 and "+one\n" in whole
    cut = await diff_text(worktree.store, worktree.base.tree, tree, 1000)
    missing = whole.count("\n") - cut.count("\n") + 1
    assert len(cut) < 1100 and cut.endswith(f"... {missing} more lines of the diff are not shown\n")
    assert await diff_text(worktree.store, tree, tree, 1000) == ""


# The approved tree


async def test_keeping_all_is_the_result_and_keeping_nothing_the_base(place: Place):
    worktree = await place.task()
    everything(place, worktree.path)
    changes = await changes_of(worktree)
    nothing = fold(changes, [])
    assert await selected_tree(worktree.store, changes, nothing) == changes.base_tree
    assert await selected_tree(worktree.store, changes, keep_undecided(changes, nothing)) == changes.result_tree
    one_by_one = [event for file in changes.files for event in decide_file(file, "keep")]
    assert (await approved(worktree, changes, one_by_one)).tree == changes.result_tree


async def test_single_lines_and_an_edit_make_a_tree_of_their_own(place: Place):
    worktree = await place.task()
    everything(place, worktree.path)
    changes = await changes_of(worktree)
    a, crlf = changes.file("a.txt"), changes.file("crlf.txt")
    assert a and crlf and a.hunks and crlf.hunks
    added = a.hunks[1].lines.index("+twenty and a half\n")
    events = [
        decide_hunk(a, a.hunks[0], "keep", edit="1\n2\nTHREE\n4\n5\n6\n"),
        decide_hunk(a, a.hunks[1], "keep", lines=[added]),
        *decide_file(crlf, "keep"),
    ]
    approval = await approved(worktree, changes, events)
    await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert (place.root / "a.txt").read_text() == numbers(n3="THREE\n", n20="20\ntwenty and a half\n")
    assert (place.root / "crlf.txt").read_bytes() == b"one\r\nTWO\r\nthree\n"
    assert place.sh("git status --porcelain").split() == ["M", "a.txt", "M", "crlf.txt"]


contents = st.lists(st.sampled_from([b"a\n", b"b\n", b"c\r\n", b"\xe9\n", b"\x00\n", b"d"]), max_size=8).map(b"".join)
entries = st.one_of(
    st.none(), st.tuples(st.sampled_from(["file", "exec"]), contents), st.tuples(st.just("link"), st.sampled_from([b"x", b"y"]))
)
folders = st.fixed_dictionaries({name: entries for name in ("a", "b", "d/c", "d/e", "f")})


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=folders, after=folders, data=st.data())
async def test_any_choice_within_any_change_gives_a_tree(
    tmp_path_factory: pytest.TempPathFactory, before: dict, after: dict, data: st.DataObject
):
    place = Place(tmp_path_factory.mktemp("choice"))
    lay_out(place.root, before)
    place.commit()
    worktree = await place.task()
    place.sh("rm -rf a b d f", cwd=worktree.path)
    lay_out(worktree.path, after)
    changes = await changes_of(worktree)
    assert await selected_tree(worktree.store, changes, keep_undecided(changes, fold(changes, []))) == changes.result_tree
    events = []
    for file in changes.files:
        verdict = data.draw(st.sampled_from(["keep", "drop", "undecided"]))
        events += decide_file(file, verdict)
        for hunk in file.hunks or ():
            lines = data.draw(st.sets(st.sampled_from(changed_lines(hunk))))
            events += [decide_hunk(file, hunk, data.draw(st.sampled_from(["keep", "drop"])), lines=lines)] if lines else []
    approval = await approved(worktree, changes, events)
    await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    place.sh(f"mkdir out; git --git-dir {worktree.store.path} archive {approval.tree} | tar x -C out", cwd=place.top)
    assert tree_of_folder(place.root) == tree_of_folder(place.top / "out")


def lay_out(root: Path, files: dict[str, tuple[str, bytes] | None]) -> None:
    for name, entry in files.items():
        if entry is None:
            continue
        path = root / name
        path.parent.mkdir(exist_ok=True)
        if entry[0] == "link":
            path.symlink_to(os.fsdecode(entry[1]))
        else:
            path.write_bytes(entry[1])
            path.chmod(0o755 if entry[0] == "exec" else 0o644)


async def test_a_file_and_a_folder_of_one_name_cannot_both_be_kept(place: Place):
    worktree = await place.task()
    (worktree.path / "gone.txt").unlink()
    place.write({"gone.txt/inside": "i\n"}, worktree.path)
    changes = await changes_of(worktree)
    inside = changes.file("gone.txt/inside")
    assert inside is not None
    with pytest.raises(SelectionImpossible, match=r"gone\.txt and gone\.txt/inside cannot both be there"):
        await approved(worktree, changes, decide_file(inside, "keep"))
    every = [event for file in changes.files for event in decide_file(file, "keep")]
    assert (await approved(worktree, changes, every)).tree == changes.result_tree


async def test_decisions_hold_after_a_revision_but_for_what_changed(place: Place):
    worktree = await place.task()
    place.write({"a.txt": numbers(n3="three\n", n30="thirty\n"), "mine.txt": "theirs\n"}, worktree.path)
    first = await changes_of(worktree)
    decisions = [Decision(event) for file in first.files for event in decide_file(file, "keep")]
    place.write({"a.txt": "0\n" + numbers(n3="three\n", n30="THIRTY\n")}, worktree.path)
    second = await changeset_summary(worktree.store, first.base_tree, (await worktree.snapshot()).tree)
    changes, review = await reviewed(worktree.store, second, decisions)
    a = changes.file("a.txt")
    assert a is not None and a.hunks is not None
    assert review.of("mine.txt").attributes == "keep"
    assert len(review.outdated) == 2  # both hunks of a.txt show something else now
    place.write({"a.txt": numbers(n3="three\n", n30="THIRTY\n")}, worktree.path)
    third = await changeset_summary(worktree.store, first.base_tree, (await worktree.snapshot()).tree)
    changes, review = await reviewed(worktree.store, third, decisions)
    assert [found.verdict for found in review.of("a.txt").hunks.values()] == ["keep"]
    assert len(review.outdated) == 1
    tree = await selected_tree(worktree.store, changes, review)
    assert place.sh(f"git --git-dir {worktree.store.path} show {tree}:a.txt") == numbers(n3="three\n")


# Applying


@pytest.mark.case("U09")
async def test_applying_keeps_the_users_other_work_and_refuses_to_touch_what_overlaps(place: Place):
    place.write({"mine.txt": "my uncommitted work\n", "untracked.txt": "u\n"})
    place.sh("echo stash >> crlf.txt && git stash push -q crlf.txt && echo staged > tool.sh && git add tool.sh")
    before = place.state()
    worktree = await place.task()
    place.write({"a.txt": numbers(n3="three\n"), "mine.txt": "theirs\n", "untracked.txt": "t\n"}, worktree.path)
    everything_approved = await approve_all(worktree)
    found = await outlook(await place.open(), worktree.store, everything_approved, place.scratch)
    assert found.dirty == ("mine.txt", "untracked.txt")
    with pytest.raises(UncommittedOverlap, match=r"uncommitted work in mine\.txt, untracked\.txt") as refused:
        await apply_to_working_tree(await place.open(), worktree.store, everything_approved, place.scratch)
    assert refused.value.paths == ("mine.txt", "untracked.txt")
    assert place.state() == before

    changes = await changes_of(worktree)
    a = changes.file("a.txt")
    assert a is not None
    approval = await approved(worktree, changes, decide_file(a, "keep"))
    applied = await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert applied.files == ("a.txt",)
    after = place.state()
    assert {name for name in before | after if before.get(name) != after.get(name)} == {str(place.root / "a.txt")}
    assert (place.root / "a.txt").read_text() == numbers(n3="three\n")
    assert place.sh("git stash list").count("\n") == 1


async def test_every_kind_of_change_arrives_exactly_and_only_once(place: Place):
    worktree = await place.task()
    everything(place, worktree.path)
    approval = await approve_all(worktree)
    index = (place.root / ".git" / "index").read_bytes()
    applied = await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert tree_of_folder(place.root) == tree_of_folder(worktree.path)
    assert (place.root / ".git" / "index").read_bytes() == index
    assert not list((place.root / ".git").glob(".goose*"))
    again = await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert again.files == () and set(again.already) == set(applied.files)


async def test_the_users_permission_bits_stay(place: Place):
    (place.root / "a.txt").chmod(0o600)
    (place.root / "tool.sh").chmod(0o640)
    worktree = await place.task()
    place.write({"a.txt": "changed\n"}, worktree.path)
    (worktree.path / "tool.sh").chmod(0o755)
    await apply_to_working_tree(await place.open(), worktree.store, await approve_all(worktree), place.scratch)
    assert (place.root / "a.txt").stat().st_mode & 0o777 == 0o600
    assert (place.root / "tool.sh").stat().st_mode & 0o777 == 0o750


async def test_changes_that_the_base_included_are_built_upon(place: Place):
    place.write({"a.txt": numbers(n1="mine\n"), "untracked.txt": "u\n"})
    place.sh("git add a.txt")
    worktree = await place.task("t1", await base_with_changes(await place.open(), place.scratch))
    place.write({"a.txt": numbers(n1="mine\n", n30="thirty\n"), "untracked.txt": "u\nmore\n"}, worktree.path)
    applied = await apply_to_working_tree(await place.open(), worktree.store, await approve_all(worktree), place.scratch)
    assert set(applied.files) == {"a.txt", "untracked.txt"}
    assert (place.root / "a.txt").read_text() == numbers(n1="mine\n", n30="thirty\n")


async def test_a_base_that_moved_elsewhere_is_merged_and_said(place: Place):
    worktree = await place.task()
    place.write({"a.txt": numbers(n3="three\n"), "crlf.txt": "x\r\n"}, worktree.path)
    approval = await approve_all(worktree)
    place.commit({"a.txt": numbers(n30="thirty\n"), "mine.txt": "moved\n"})
    applied = await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert applied.merged == ("a.txt",) and set(applied.files) == {"a.txt", "crlf.txt"}
    assert (place.root / "a.txt").read_text() == numbers(n3="three\n", n30="thirty\n")


@pytest.mark.parametrize("how", ["same line", "deleted", "binary", "added twice", "became a folder"])
async def test_a_base_that_moved_in_the_same_place_is_refused_and_nothing_changes(place: Place, how: str):
    worktree = await place.task()
    path, theirs, mine = {
        "same line": ("a.txt", numbers(n3="theirs\n"), numbers(n3="mine\n")),
        "deleted": ("a.txt", numbers(n3="theirs\n"), None),
        "binary": ("bin.dat", b"\x00theirs", b"\x00mine"),
        "added twice": ("new.txt", "theirs\n", "mine\n"),
        "became a folder": ("new", "theirs\n", {"new/inside": "mine\n"}),
    }[how]
    place.write({path: theirs, "crlf.txt": "fine\n"}, worktree.path)
    approval = await approve_all(worktree)
    if mine is None:
        (place.root / path).unlink()
    place.commit(mine if isinstance(mine, dict) else {path: mine} if mine is not None else {})
    before = place.state()
    with pytest.raises((BaseMoved, CannotApply), match=rf"{path}.*[Nn]othing was changed"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert place.state() == before


async def test_a_folder_replaced_by_a_symlink_is_not_written_through(place: Place):
    worktree = await place.task()
    place.write({"dir/more.txt": "more\n"}, worktree.path)
    approval = await approve_all(worktree)
    outside = place.top / "outside"
    place.sh(f"rm -r dir && mkdir {outside} && ln -s {outside} dir")
    with pytest.raises(CannotApply, match="dir is a symlink in your checkout"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert not list(outside.iterdir())


async def test_files_become_folders_and_folders_files(place: Place):
    worktree = await place.task()
    place.sh("rm gone.txt && mkdir -p gone.txt/deep && echo i > gone.txt/deep/i", cwd=worktree.path)
    place.sh("rm -r dir && echo d > dir", cwd=worktree.path)
    await apply_to_working_tree(await place.open(), worktree.store, await approve_all(worktree), place.scratch)
    assert tree_of_folder(place.root) == tree_of_folder(worktree.path)


async def test_a_folder_with_the_users_own_files_is_not_replaced(place: Place):
    worktree = await place.task()
    place.sh("rm -r dir && echo d > dir", cwd=worktree.path)
    approval = await approve_all(worktree)
    place.write({"dir/notes.txt": "mine\n"})
    before = place.state()
    with pytest.raises(CannotApply, match="a folder with other files is in its place"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert place.state() == before


@pytest.mark.case("R33")
async def test_a_full_disk_while_applying_leaves_every_file_as_it_was(place: Place):
    worktree = await place.task()
    place.write({"a.txt": "changed\n", "big.txt": "x" * 100_000, "z.txt": "z\n"}, worktree.path)
    approval = await approve_all(worktree)
    before = place.state()
    wrapper = place.top / "limited-git"
    wrapper.write_text(f'#!/bin/sh\nulimit -f 64\nexec {GIT} "$@"\n')
    wrapper.chmod(0o755)
    whole, place.git = place.git, Git.create(wrapper, place.env)
    cramped = await TaskWorktree.open(await place.open(), worktree.store.path)
    with pytest.raises(NoSpace, match="no space left"):
        await apply_to_working_tree(await place.open(), cramped.store, approval, place.scratch)
    assert place.state() == before
    place.git = whole
    await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert (place.root / "big.txt").stat().st_size == 100_000


async def test_submodules_and_filtered_files_are_refused_with_the_reason(place: Place):
    place.sh("git config filter.x.clean 'tr a-z A-Z'")
    place.commit({".gitattributes": "*.enc filter=x\n", "s.enc": "secret\n"})
    worktree = await place.task()
    place.write({"s.enc": "OTHER\n"}, worktree.path)
    approval = await approve_all(worktree)
    place.write({"s.enc": "local\n"})
    before = place.state()
    with pytest.raises(CannotApply, match=r"s\.enc cannot be applied: its content passes through the filter 'x'"):
        await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
    assert place.state() == before


async def test_line_endings_of_the_checkout_are_those_that_git_gives_it(place: Place):
    place.sh("git config core.autocrlf true && rm a.txt && git checkout -q -- a.txt")
    assert (place.root / "a.txt").read_bytes().startswith(b"1\r\n2\r\n")
    worktree = await place.task()
    place.write({"a.txt": numbers(n3="three\n").replace("\n", "\r\n"), "new.txt": "n\r\n"}, worktree.path)
    await apply_to_working_tree(await place.open(), worktree.store, await approve_all(worktree), place.scratch)
    assert (place.root / "a.txt").read_bytes() == numbers(n3="three\n").replace("\n", "\r\n").encode()
    assert (place.root / "new.txt").read_bytes() == b"n\r\n"
    assert place.sh("git diff --stat a.txt").startswith(" a.txt | 2 +-")


KILLED_APPLY = """
import asyncio, os, signal, sys
from pathlib import Path
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval

git, root, store, scratch, base, result, step = sys.argv[1:]

async def main():
    repository = await Repository.open(Git.create(Path(git), os.environ), Path(root))
    worktree = await TaskWorktree.open(repository, Path(store))
    steps = 0

    def die(event, arguments):
        nonlocal steps
        if event in ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir", "shutil.rmtree"):
            if any(str(argument).startswith(root) for argument in arguments):
                steps += 1
                if steps == int(step):
                    os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(die)
    await apply_to_working_tree(repository, worktree.store, Approval(base, result, result), Path(scratch))

asyncio.run(main())
"""


async def test_killed_at_any_step_an_apply_loses_nothing_and_can_be_done_again(place: Place):
    worktree = await place.task()
    place.write({"a.txt": "new a\n", "fresh/new.txt": "n\n", "crlf.txt": b"\x00\x01"}, worktree.path)
    place.sh("rm gone.txt && mkdir gone.txt && echo i > gone.txt/i && rm -r dir && echo d > dir", cwd=worktree.path)
    approval = await approve_all(worktree)
    place.write({"mine.txt": "my own work\n"})
    place.sh(f"cp -a {place.root} {place.top}/saved")
    wanted = {**tree_of_folder(worktree.path), "mine.txt": ("file", b"my own work\n")}
    old = tree_of_folder(place.root)
    step = 0
    while True:
        step += 1
        arguments = [str(GIT), str(place.root), str(worktree.store.path), str(place.scratch), approval.base_tree, approval.tree]
        killed = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KILLED_APPLY, *arguments, str(step), env={**place.env, "PYTHONPATH": ":".join(sys.path)}
        )
        if await killed.wait() == 0:
            break
        assert killed.returncode == -signal.SIGKILL
        found = tree_of_folder(place.root)
        for name, content in found.items():
            assert content in (old.get(name), wanted.get(name)), name
        applied = await apply_to_working_tree(await place.open(), worktree.store, approval, place.scratch)
        assert tree_of_folder(place.root) == wanted
        assert set(applied.files) | set(applied.already) >= {"a.txt", "fresh/new.txt", "gone.txt/i"}
        assert not list((place.root / ".git").glob(".goose*"))
        place.sh(f"rm -rf {place.root} && cp -a saved {place.root}", cwd=place.top)
    assert step > 12
    assert tree_of_folder(place.root) == wanted
