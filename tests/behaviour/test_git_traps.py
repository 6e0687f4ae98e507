"""Everything by which a repository, or an agent that writes a worktree, can make git run a program. Each trap first proves
that it fires under plain git; then the harness does all it ever does, and the marker must not exist."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from git_repos import Place

from goose_py.git.errors import GitError
from goose_py.git.repository import Repository
from goose_py.git.trees.diff import diff
from goose_py.git.trees.merge import Side, merge_sides
from goose_py.git.worktrees.base import base_with_changes, uncommitted_paths
from goose_py.git.worktrees.cleanup import find_worktrees
from goose_py.git.worktrees.included import copy_included
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval
from goose_py.review.errors import CannotApply
from goose_py.review.landing import commit_on_task_branch, land, prepare_landing


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.commit({"a.txt": "one\ntwo\nthree\n", "src/b.txt": "b\n", ".gitignore": "*.log\n"})
    return place


def marker_script(place: Place) -> str:
    """A program that leaves the marker and passes its input on, so that it can serve as hook, filter or monitor."""
    script = place.top / "trap.sh"
    script.write_text(f"#!/bin/sh\ntouch {place.top}/marker\nexec cat\n")
    script.chmod(0o755)
    return str(script)


def fired(place: Place) -> bool:
    marker = place.top / "marker"
    was = marker.exists()
    marker.unlink(missing_ok=True)
    return was


async def everything_before_a_task(place: Place) -> TaskWorktree:
    """Opening, looking, making a worktree of HEAD and of the changes."""
    place.write({"a.txt": "one\nTWO\nthree\n", ".worktreeinclude": "*.log\n", "x.log": "log\n"})
    repository = await place.open()
    await uncommitted_paths(repository, place.scratch)
    base = await base_with_changes(repository, place.scratch)
    worktree = await place.task("with-changes", base)
    await copy_included(repository, worktree.path, place.scratch)
    await worktree.snapshot()
    return await place.task("t1")


async def everything_after_a_turn(place: Place, worktree: TaskWorktree) -> None:
    """Snapshot, diff, conflicts, apply, commit, merge, rewind, clean up, remove, bring back."""
    snapshot = await worktree.snapshot()
    store, base_tree = worktree.store, worktree.base.tree
    await diff(store, base_tree, snapshot.tree)
    base = worktree.base
    await merge_sides(store, [(Side(snapshot.tree, base.commit, "task"), Side(base.tree, base.commit, "main"))])
    approval = Approval(base_tree, snapshot.tree, snapshot.tree)
    place.write({"a.txt": "one\ntwo\nthree\n"})
    await apply_to_working_tree(await place.open(), store, approval, place.scratch)
    if store.settings.filters:
        for committing in (commit_on_task_branch(worktree, approval, "x"), prepare_landing(worktree, approval, "main", "x")):
            with pytest.raises(CannotApply, match="the filter 'x' on its way into a commit"):
                await committing
    else:
        await commit_on_task_branch(worktree, approval, "approved\n")
        landing = await prepare_landing(worktree, approval, "main", "approved\n")
        await land(await place.open(), store, landing, place.scratch)
    await find_worktrees(await place.open(), place.top / "state" / "tasks")
    await worktree.restore(base_tree)
    await worktree.restore(snapshot.tree)
    await worktree.remove()
    await worktree.recreate()


@dataclass(frozen=True)
class Trap:
    """`set` arms the user's repository; `spring` is plain git that must fire it."""

    name: str
    set: Callable[[Place, str], None]
    spring: str


def _hook(name: str) -> Callable[[Place, str], None]:
    def arm(place: Place, script: str) -> None:
        hook = place.root / ".git" / "hooks" / name
        hook.parent.mkdir(exist_ok=True)
        hook.write_text(f"#!/bin/sh\ntouch {place.top}/marker\n")
        hook.chmod(0o755)

    return arm


def _config(*pairs: tuple[str, str], attributes: str = "") -> Callable[[Place, str], None]:
    def arm(place: Place, script: str) -> None:
        for key, value in pairs:
            place.sh(f"git config {key} '{value.format(script=script)}'")
        if attributes:
            place.write({".git/info/attributes": attributes})

    return arm


def _tracked_hook(place: Place, script: str) -> None:
    place.write({".husky/post-checkout": f"#!/bin/sh\ntouch {place.top}/marker\n"})
    (place.root / ".husky" / "post-checkout").chmod(0o755)
    place.commit()
    place.sh("git config core.hooksPath .husky")


REPOSITORY_TRAPS = [
    pytest.param(Trap("fsmonitor", _config(("core.fsmonitor", "{script}")), "git status"),
                 id="fsmonitor", marks=pytest.mark.case("A19")),
    pytest.param(Trap("post-checkout", _hook("post-checkout"), "git worktree add -q ../plain HEAD"),
                 id="post-checkout", marks=pytest.mark.case("A23")),
    pytest.param(Trap("husky", _tracked_hook, "git checkout -q -b plain HEAD"),
                 id="core.hooksPath in the repository", marks=pytest.mark.case("A23")),
    pytest.param(Trap("reference-transaction", _hook("reference-transaction"), "git branch plain"),
                 id="reference-transaction"),
    pytest.param(Trap("post-index-change", _hook("post-index-change"), "touch a.txt; git status"),
                 id="post-index-change"),
    pytest.param(Trap("pre-commit", _hook("pre-commit"), "git commit -q --allow-empty -m x"), id="pre-commit"),
    pytest.param(
        Trap("smudge", _config(("filter.x.smudge", "{script}"), ("filter.x.clean", "{script}"), attributes="* filter=x\n"),
             "rm a.txt; git checkout -- a.txt"),
        id="filter", marks=pytest.mark.case("A22")),
    pytest.param(
        Trap("process", _config(("filter.x.process", "{script}"), attributes="* filter=x\n"),
             "touch a.txt; git add a.txt || true"),
        id="filter process"),
    pytest.param(Trap("textconv", _config(("diff.x.textconv", "{script}"), attributes="* diff=x\n"),
                      "echo z >> a.txt; git diff"), id="textconv", marks=pytest.mark.case("A22")),
    pytest.param(Trap("diff.external", _config(("diff.external", "{script}")), "echo z >> a.txt; git diff"),
                 id="diff.external"),
    pytest.param(
        Trap("merge driver", _config(("merge.x.driver", "{script}"), attributes="* merge=x\n"),
             "git checkout -q -b o; echo z >> a.txt; git commit -qam o; git checkout -q main; echo y >> a.txt; "
             "git commit -qam m; git merge -q o || true; git merge --abort || true"),
        id="merge driver", marks=pytest.mark.case("A22")),
    pytest.param(Trap("gpg", _config(("commit.gpgSign", "true"), ("gpg.program", "{script}")),
                      "git commit -q --allow-empty -m x || true"), id="gpg.program"),
    pytest.param(Trap("core.editor", _config(("core.editor", "{script}")), "git commit --allow-empty || true"),
                 id="core.editor"),
]  # fmt: skip


@pytest.mark.parametrize("trap", REPOSITORY_TRAPS)
async def test_nothing_that_a_repository_configures_runs_when_the_harness_works_on_it(place: Place, trap: Trap):
    trap.set(place, marker_script(place))
    copy = place.top / "control"
    place.sh(f"cp -a {place.root} {copy}")
    place.sh(trap.spring, cwd=copy)
    assert fired(place), "the trap does not fire under plain git: the test would prove nothing"
    place.sh(f"rm -rf {copy} {place.top}/plain")
    place.top.joinpath("marker").unlink(missing_ok=True)

    worktree = await everything_before_a_task(place)
    assert not fired(place)
    place.write({"a.txt": "one\ntwo\nthree\nfour\n", "new.txt": "new\n"}, worktree.path)
    await everything_after_a_turn(place, worktree)
    assert not fired(place)


@pytest.mark.case("A23")
@pytest.mark.parametrize("key", ["core.attributesfile", "core.excludesfile"])
async def test_a_device_in_the_place_of_a_file_of_patterns_is_not_read(place: Place, key: str):
    place.sh(f"mkfifo {place.top}/pipe; git config {key} {place.top}/pipe")
    async with asyncio.timeout(30):
        worktree = await place.task()
        place.write({"a.txt": "two\n"}, worktree.path)
        snapshot = await worktree.snapshot()
    assert place.sh(f"git --git-dir {worktree.store.path} show {snapshot.tree}:a.txt") == "two\n"


async def test_hooks_that_stand_in_the_configuration_are_switched_off(place: Place):
    """Git 2.54 and newer run them in spite of core.hooksPath; older ones do not know them, so that there is no control."""
    for event in ("post-checkout", "reference-transaction"):
        place.sh(f"git config hook.evil.{event}.event {event}; git config hook.evil.{event}.command {marker_script(place)}")
    place.sh("git worktree add -q ../plain HEAD")
    if (await place.git.version()) >= (2, 54):
        assert fired(place), "the trap does not fire under plain git"
    place.sh("git worktree remove ../plain")
    fired(place)
    worktree = await everything_before_a_task(place)
    bound = (await place.open()).bound
    assert await bound.line("config", "hook.evil.post-checkout.enabled") == "false"
    assert await bound.line("config", "hook.reference-transaction.enabled") == "false"
    place.write({"a.txt": "one\ntwo\nthree\nfour\n"}, worktree.path)
    await everything_after_a_turn(place, worktree)
    assert not fired(place)


def _pointer_to_evil(place: Place, worktree: Path, script: str) -> None:
    evil = place.top / "evil"
    place.sh(f"git init -q {evil} && git -C {evil} config core.fsmonitor {script}")
    (worktree / ".git").write_text(f"gitdir: {evil}/.git\n")


def _real_repository(place: Place, worktree: Path, script: str) -> None:
    (worktree / ".git").unlink()
    place.sh(f"git init -q . && git config core.fsmonitor {script}", cwd=worktree)


@pytest.mark.case("A20")
@pytest.mark.parametrize("replace", [_pointer_to_evil, _real_repository])
async def test_a_replaced_git_pointer_in_the_worktree_is_never_followed(place: Place, replace):
    worktree = await place.task()
    replace(place, worktree.path, marker_script(place))
    place.sh("git status", cwd=worktree.path)
    assert fired(place), "the trap does not fire under plain git"
    place.write({"a.txt": "one\ntwo\nthree\nfour\n"}, worktree.path)
    await everything_after_a_turn(place, worktree)
    assert not fired(place)


@pytest.mark.case("A21")
async def test_nested_repositories_are_recorded_as_files_with_a_warning_and_run_nothing(place: Place):
    worktree = await place.task()
    script = marker_script(place)
    place.sh(
        "git init -q --bare sub && git init -q dep && cd dep && echo hi > f.txt && echo no > skip.log && git add . && "
        f"git commit -qm x && git config core.fsmonitor {script} && mkdir deeper && echo deep > deeper/g.txt",
        cwd=worktree.path,
    )
    place.sh("git status", cwd=worktree.path / "dep")
    assert fired(place), "the trap does not fire under plain git"

    snapshot = await worktree.snapshot()
    changes = await diff(worktree.store, worktree.base.tree, snapshot.tree)
    names = {file.path for file in changes.files}
    assert {"dep/f.txt", "dep/deeper/g.txt", "sub/HEAD", "sub/config"} <= names
    assert "dep/skip.log" not in names
    assert all(file.new_mode != "160000" for file in changes.files)
    assert any("dep is a git repository of its own" in warning for warning in snapshot.warnings)
    place.write({"dep/f.txt": "changed\n", "dep/later.txt": "later\n"}, worktree.path)
    later = await diff(worktree.store, snapshot.tree, (await worktree.snapshot()).tree)
    assert {file.path for file in later.files} == {"dep/f.txt", "dep/later.txt"}
    await worktree.restore(worktree.base.tree)
    assert not fired(place)


@pytest.mark.case("A21")
async def test_a_submodule_that_the_agent_filled_is_not_asked_for_its_status(place: Place):
    other = Place(place.top / "other")
    other.commit({"lib.c": "int x;\n"})
    place.sh(f"git -c protocol.file.allow=always submodule -q add {other.root} lib && git commit -qm submodule")
    place.sh("git submodule deinit -q -f --all && rm -rf .git/modules")
    worktree = await place.task()
    place.sh(f"git clone -q {other.root} lib && git -C lib config core.fsmonitor {marker_script(place)}", cwd=worktree.path)
    place.write({"lib/lib.c": "int y;\n"}, worktree.path)
    place.sh("git status", cwd=worktree.path)
    assert fired(place), "the trap does not fire under plain git"
    snapshot = await worktree.snapshot()
    assert snapshot.tree == worktree.base.tree
    assert any("lib is a submodule" in warning for warning in snapshot.warnings)
    assert not fired(place)


@pytest.mark.case("A22")
async def test_attributes_written_by_the_agent_neither_run_nor_hide_anything(place: Place):
    worktree = await place.task()
    script = marker_script(place)
    for key in ("filter.x.clean", "filter.x.smudge", "diff.x.textconv", "merge.x.driver"):
        place.sh(f"git config {key} {script}")
    place.write({".gitattributes": "* filter=x diff=x merge=x\n*.txt -diff\n"}, worktree.path)
    place.write({"a.txt": "one\ntwo\nthree\nfour\n"}, worktree.path)
    place.sh("git add a.txt", cwd=worktree.path)
    assert fired(place), "the trap does not fire under plain git"
    place.sh("git config --remove-section filter.x; git reset -q", cwd=worktree.path)

    snapshot = await worktree.snapshot()
    changes = await diff(worktree.store, worktree.base.tree, snapshot.tree)
    file = changes.file("a.txt")
    assert file is not None and not file.binary and [hunk.lines[-1] for hunk in file.hunks or ()] == ["+four\n"]
    for key in ("filter.x.clean", "filter.x.smudge"):
        place.sh(f"git config {key} {script}")
    await everything_after_a_turn(place, worktree)
    assert not fired(place)


@pytest.mark.case("A24")
async def test_a_commondir_planted_in_the_main_repository_does_not_affect_the_harness(place: Place):
    worktree = await place.task()
    evil = place.top / "evil"
    place.sh(f"git init -q --bare {evil} && git -C {evil} config core.fsmonitor {marker_script(place)}")
    before = (await worktree.snapshot()).tree
    (place.root / ".git" / "commondir").write_text(f"{evil}\n")
    assert (await worktree.snapshot()).tree == before
    assert not fired(place)


@pytest.mark.case("A24")
@pytest.mark.parametrize("spoof", ["pointer", "link", "commondir", "worktree", "bare"])
async def test_a_checkout_that_points_to_another_repository_is_refused(place: Place, spoof: str):
    """Files that a stranger sent: what they point to would be checked out into a task, and shown to its model."""
    place.sh("git worktree add -q ../linked && git clone -q --bare . ../mirror.git")
    sent = place.top / "sent"
    sent.mkdir()
    private = place.root / ".git"
    if spoof == "link":
        (sent / ".git").symlink_to(private)
    elif spoof == "commondir":
        (sent / ".git").mkdir()
        (sent / ".git" / "HEAD").write_text("ref: refs/heads/main\n")
        (sent / ".git" / "commondir").write_text(f"{private}\n")
    else:
        where = {"pointer": private, "worktree": private / "worktrees" / "linked", "bare": place.top / "mirror.git"}[spoof]
        (sent / ".git").write_text(f"gitdir: {where}\n")
    shown = place.sh(f"git -C {sent} --git-dir={sent}/.git log --format=%s -1 || true")
    asked = "does not say that it belongs here"
    said = {"pointer": asked, "link": asked, "bare": "bare repository"}
    with pytest.raises(GitError, match=said.get(spoof, "belongs elsewhere")):
        await Repository.open(place.git, sent)
    assert (await Repository.open(place.git, place.top / "linked")).common_dir == private.resolve(), shown
