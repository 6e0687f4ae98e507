"""Repositories that are not plain: submodules, LFS pointers, sparse checkouts, filters, worktrees in worktrees, full disks."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest
from git_repos import GIT, Place

from goose_py.git.errors import NoSpace
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.diff import changeset_summary
from goose_py.git.worktrees.base import base_from_head, base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def changed(worktree: TaskWorktree) -> dict[str, str]:
    snapshot = await worktree.snapshot()
    changes = await changeset_summary(worktree.store, worktree.base.tree, snapshot.tree)
    return {file.path: file.status for file in changes.files}


def pointer(content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    return f"version https://git-lfs.github.com/spec/v1\noid sha256:{digest}\nsize {len(content)}\n"


def with_lacking_submodule(place: Place, path: str) -> None:
    library = Place(place.top / "library")
    library.commit({"lib.c": "int x;\n"})
    place.commit({"a.txt": "a\n"})
    place.sh(f"git -c protocol.file.allow=always submodule -q add {library.root} {path} && git commit -qm sub")
    place.sh("git submodule deinit -q -f --all && rm -rf .git/modules")


@pytest.mark.case("R40")
async def test_submodules_that_the_checkout_lacks_are_reported_empty_and_not_shown_as_deleted(place: Place):
    with_lacking_submodule(place, "vendor/lib")
    worktree = await place.task()
    assert worktree.submodules == worktree.empty == ("vendor/lib",)
    assert (worktree.path / "vendor" / "lib").is_dir() and not list((worktree.path / "vendor" / "lib").iterdir())
    assert await changed(worktree) == {}
    place.write({"a.txt": "b\n"}, worktree.path)
    (worktree.path / "vendor" / "lib").rmdir()
    (worktree.path / "vendor").rmdir()
    assert await changed(worktree) == {"a.txt": "modified"}
    await worktree.restore(worktree.base.tree)
    assert place.sh("git status --porcelain", cwd=worktree.path) == ""


async def test_files_in_a_submodule_that_the_checkout_lacks_are_kept_when_the_worktree_is_removed(place: Place):
    with_lacking_submodule(place, "lib")
    worktree = await place.task()
    place.write({"lib/mine.c": "int mine;\n"}, worktree.path)
    assert any("lib is a submodule" in warning for warning in (await worktree.snapshot()).warnings)
    await worktree.remove()
    again = await worktree.recreate()
    assert (again.path / "lib" / "mine.c").read_text() == "int mine;\n"


def with_lfs(place: Place, content: bytes) -> None:
    """As `git lfs` leaves a repository: the blob is a pointer, the checkout holds the content, a filter joins them."""
    place.sh("git init -q -b main .")
    script = place.top / "clean.sh"
    script.write_text(
        "#!/bin/sh\nf=$(mktemp); cat > $f; printf 'version https://git-lfs.github.com/spec/v1\\noid sha256:%s\\nsize %s\\n' "
        "$(sha256sum < $f | cut -d' ' -f1) $(wc -c < $f); rm $f\n"
    )
    script.chmod(0o755)
    place.sh(f"git config filter.lfs.clean {script}; git config filter.lfs.smudge false")
    place.commit({".gitattributes": "*.psd filter=lfs diff=lfs merge=lfs -text\n", "art.psd": content, "a.txt": "a\n"})
    assert place.sh("git show HEAD:art.psd") == pointer(content)


@pytest.mark.case("R40")
async def test_lfs_content_is_left_as_pointers_and_not_shown_as_changed(place: Place):
    content = b"\x00\x01art" * 100
    with_lfs(place, content)
    worktree = await place.task()
    assert (worktree.path / "art.psd").read_text() == pointer(content)
    assert await changed(worktree) == {}
    place.write({"a.txt": "b\n"}, worktree.path)
    assert await changed(worktree) == {"a.txt": "modified"}


@pytest.mark.case("R40")
async def test_lfs_content_in_the_checkout_is_no_change_of_the_users(place: Place):
    content = b"\x00\x01art" * 100
    with_lfs(place, content)
    place.write({"a.txt": "mine\n", "art.psd": content})  # written again: its times differ, its content does not
    base = await base_with_changes(await place.open(), place.scratch)
    assert base.warnings == ()
    assert place.sh(f"git show {base.recorded}:art.psd") == pointer(content)
    assert place.sh(f"git diff --name-only HEAD {base.recorded}") == "a.txt\n"


@pytest.mark.case("H02")
async def test_content_of_lfs_or_another_filter_that_the_user_changed_comes_as_the_bytes_on_disk(place: Place):
    with_lfs(place, b"\x00old")
    place.write({"art.psd": b"\x00new", "new.psd": b"\x00newer"})
    base = await base_with_changes(await place.open(), place.scratch)
    assert base.warnings == ()
    worktree = await place.task("t1", base)
    assert (worktree.path / "art.psd").read_bytes() == b"\x00new" and (worktree.path / "new.psd").read_bytes() == b"\x00newer"
    assert await changed(worktree) == {}


async def test_lfs_content_fetched_by_the_agent_is_not_shown_as_changed(place: Place):
    content = b"\x00\x01art" * 100
    with_lfs(place, content)
    worktree = await place.task()
    place.write({"art.psd": content}, worktree.path)
    assert await changed(worktree) == {}
    place.write({"art.psd": content + b"!"}, worktree.path)
    assert await changed(worktree) == {"art.psd": "modified"}


@pytest.mark.case("R40")
async def test_paths_outside_a_sparse_checkout_are_not_shown_as_deleted(place: Place):
    place.commit({"in/a.txt": "a\n", "out/b.txt": "b\n", "top.txt": "t\n"})
    place.sh("git sparse-checkout set in")
    worktree = await place.task()
    assert (worktree.path / "in" / "a.txt").exists() and not (worktree.path / "out").exists()
    assert place.sh("git status --porcelain", cwd=worktree.path) == ""
    assert await changed(worktree) == {}
    place.write({"in/a.txt": "A\n", "out/new.txt": "new\n"}, worktree.path)
    assert await changed(worktree) == {"in/a.txt": "modified", "out/new.txt": "added"}
    await worktree.restore(worktree.base.tree)
    assert await changed(worktree) == {}
    await worktree.remove()
    again = await worktree.recreate()
    assert not (again.path / "out").exists() and await changed(again) == {}


@pytest.mark.case("R40")
async def test_a_symlinked_root_works(place: Place):
    place.commit({"a.txt": "a\n"})
    (place.top / "link").symlink_to(place.root)
    repository = await Repository.open(place.git, place.top / "link")
    worktree = await TaskWorktree.create(
        repository, "t", where=place.top / "wt", store=place.top / "state" / "t", base=await base_from_head(repository)
    )
    place.write({"a.txt": "b\n"}, worktree.path)
    assert await changed(worktree) == {"a.txt": "modified"}


@pytest.mark.case("R40")
async def test_a_worktree_inside_a_worktree_is_not_recorded_as_its_content(place: Place):
    place.commit({"a.txt": "a\n", ".gitignore": ".worktrees/\n"})
    place.sh("git worktree add -q .worktrees/outer -b outer")
    outer = await Repository.open(place.git, place.root / ".worktrees" / "outer")
    worktree = await TaskWorktree.create(
        outer, "t", where=place.root / ".worktrees" / "outer" / ".worktrees" / "inner", store=place.top / "state" / "t",
        base=await base_from_head(outer),
    )  # fmt: skip
    place.write({"a.txt": "b\n"}, worktree.path)
    assert await changed(worktree) == {"a.txt": "modified"}
    assert place.sh("git status --porcelain", cwd=outer.root) == ""
    assert place.sh("git status --porcelain") == ""


async def test_line_endings_are_those_of_the_users_settings(place: Place):
    place.sh("git init -q -b main . && git config core.autocrlf true")
    place.commit({"a.txt": "one\r\ntwo\r\n", ".gitattributes": "*.sh eol=lf\n", "run.sh": "#!/bin/sh\n"})
    worktree = await place.task()
    assert (worktree.path / "a.txt").read_bytes() == b"one\r\ntwo\r\n"
    assert (worktree.path / "run.sh").read_bytes() == b"#!/bin/sh\n"
    assert await changed(worktree) == {}
    place.write({"a.txt": "one\r\nTWO\r\n"}, worktree.path)
    snapshot = await worktree.snapshot()
    assert place.sh(f"git --git-dir {worktree.store.path} show {snapshot.tree}:a.txt") == "one\nTWO\n"


@pytest.mark.case("R33")
async def test_a_full_disk_loses_nothing_and_snapshots_work_again_with_space(place: Place):
    """A file size limit stands in for the disk: the kernel refuses the same write calls, and root is bound by it too."""
    place.commit({"a.txt": "a\n", "b.txt": "b\n"})
    worktree = await place.task()
    first = await worktree.snapshot()
    place.write({"a.txt": "changed\n", "noise.bin": os.urandom(200_000)}, worktree.path)

    wrapper = place.top / "limited-git"
    wrapper.write_text(f'#!/bin/sh\nulimit -f 16\nexec {GIT} "$@"\n')
    wrapper.chmod(0o755)
    limited = Git.create(wrapper, place.env)
    cramped = await TaskWorktree.open(await Repository.open(limited, place.root), worktree.store.path)
    with pytest.raises(NoSpace, match="no space left"):
        await cramped.snapshot()
    assert (worktree.path / "a.txt").read_text() == "changed\n"
    assert await worktree.snapshots() == (first.tree,)

    snapshot = await worktree.snapshot()
    assert snapshot.tree != first.tree
    place.sh(f"git --git-dir {worktree.store.path} fsck --strict {snapshot.tree}")
