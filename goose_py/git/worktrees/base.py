"""Where a task starts from: a commit that is recorded, whatever the user's checkout does afterwards."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.filters import filtered_paths
from goose_py.git.paths import below_symlink, located
from goose_py.git.private import PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.snapshot import Caps, record
from goose_py.git.worktrees.checkout import viewed
from goose_py.protocol.changes import path_from_bytes


@dataclass(frozen=True)
class Base:
    """`branch` is the branch that the commit was taken from, None where HEAD was detached or a revision was named.
    `warnings` say what of the user's changes could not be included."""

    commit: str
    tree: str
    branch: str | None
    includes_changes: bool = False
    warnings: tuple[str, ...] = ()


async def base_from_head(repository: Repository) -> Base:
    """Raises UnbornHead."""
    commit = repository.require_commit()
    return Base(commit, repository.head.tree or await repository.tree_of(commit), repository.head.branch)


async def base_from_revision(repository: Repository, revision: str) -> Base:
    """A branch, remote branch, tag or commit, without fetching anything. Raises UnknownRevision."""
    commit = await repository.commit_of(revision)
    branch = revision if await repository.branch_tip(revision) == commit else None
    return Base(commit, await repository.tree_of(commit), branch)


async def uncommitted_paths(repository: Repository, scratch: Path) -> tuple[str, ...]:
    """Paths that differ between HEAD and the checkout (staged, unstaged, untracked), sorted. `scratch` is a folder of ours
    for temporary files. The user's index is read, never refreshed."""
    async with viewed(repository, scratch) as (_, on):
        output = await on.out(
            "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames", "--ignore-submodules=dirty"
        )
    return tuple(sorted(path_from_bytes(row[3:]) for row in output.split(b"\0") if row))


async def base_with_changes(repository: Repository, scratch: Path, caps: Caps | None = None) -> Base:
    """A commit of the checkout as it is now, on top of HEAD (a root commit where there is none yet). Only objects are
    added to the user's repository: its index, stash, refs and files stay as they are and no hook or filter runs. Files that
    git would pass through a filter (LFS, git-crypt) stay as they are in HEAD where they differ, and are named."""
    async with viewed(repository, scratch) as (store, on):
        snapshot = await record(store, on, repository.root, caps or Caps())
        tree, kept_back = await _without_filtered(repository, store, on, snapshot.tree)
        parents = [repository.head.commit] if repository.head.commit else []
        commit = await store.commit(tree, parents, "Uncommitted changes, recorded as the base of a goose-py task\n")
        await store.publish([commit], parents, repository)
    warnings = snapshot.warnings + kept_back + await _changed_submodules(repository, commit, scratch)
    return Base(commit, tree, repository.head.branch, includes_changes=True, warnings=warnings)


async def _changed_submodules(repository: Repository, commit: str, scratch: Path) -> tuple[str, ...]:
    """A sentence for each submodule of the checkout with work in it that is in no commit, which a base cannot include."""
    if not (repository.root / ".gitmodules").is_file():
        return ()
    listing = await repository.bound.out("ls-tree", "-r", "-z", commit)
    paths = [row.partition(b"\t")[2] for row in listing.split(b"\0") if row.startswith(b"160000 ")]
    places = {path: located(repository.root, path) for path in paths if not below_symlink(repository.root, path)}
    told = []
    for path, place in places.items():
        if not place.is_symlink() and os.path.lexists(place / ".git"):
            inner = await Repository.open(repository.git, place)
            if inner.root == place and await uncommitted_paths(inner, scratch):
                name = path_from_bytes(path)
                told.append(f"What you changed inside the submodule {name} is not included: commit it in the submodule first.")
    return tuple(told)


async def _without_filtered(
    repository: Repository, store: PrivateStore, on: Git, tree: str
) -> tuple[str, tuple[str, ...]]:
    """Undo what was recorded of files under a `filter` attribute: their raw bytes are not what git stores for them."""
    if repository.head.commit is None:
        return tree, ()
    names = await store.bound.out(
        "diff-tree", "-r", "-z", "--name-only", "--no-renames", repository.head.commit, tree
    )
    paths = [path for path in names.split(b"\0") if path]
    filtered = await filtered_paths(on, paths)
    if not filtered:
        return tree, ()
    in_head = await store.entries(repository.head.commit, sorted(filtered))
    kept = {path: in_head.get(path, ("000000", "")) for path in filtered}
    warnings = tuple(
        f"{path_from_bytes(path)} is left as it is in HEAD: its filter {name!r} is a program that goose-py does not run."
        for path, name in sorted(filtered.items())
    )
    return await store.edited_tree(tree, kept), warnings
