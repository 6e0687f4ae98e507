"""Where a task starts from: what is recorded of the user's checkout, whatever becomes of it afterwards."""

from __future__ import annotations

import os
import re
import shutil
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Final

import msgspec

from goose_py.git.contents.submodule_stores import module_stores
from goose_py.git.contents.submodules import made_commit
from goose_py.git.errors import GitFailed
from goose_py.git.paths import below_symlink, located
from goose_py.git.private import ABSENT, Entry, PrivateStore, index_info
from goose_py.git.repository import Repository
from goose_py.git.runner import Git, together
from goose_py.git.trees.patch import RawChange, parse_raw
from goose_py.git.trees.snapshot import Caps, Differences, Snapshot, record
from goose_py.git.worktrees.checkout import viewed
from goose_py.git.worktrees.task_file import BaseRecord
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

BASE_CAPS: Final = Caps(new_files=10_000, new_bytes=128 * 1024 * 1024, without_secrets=True)
"""What comes along of a checkout's new files. Nobody chose them one by one, and a start must not take long."""

_MARKED: Final = re.compile(rb"(?:\A|\0)([a-zS]) ([^\0]+)")
_UNTRACKED: Final = re.compile(rb"(?:\A|\0)\? ([^\0]+)")
_TOLD: Final = {
    "merge": "A merge", "rebase": "A rebase", "cherry-pick": "A cherry-pick", "revert": "A revert", "am": "A `git am`",
}  # fmt: skip


@dataclass(frozen=True)
class Base:
    """`commit` is where HEAD was, `tree` what the task's files are at the beginning and its changes are counted from. Where the
    user had uncommitted work the two differ: `recorded` is then a commit with that tree, made like one of `git stash`: its
    parents are `commit` and a commit of `index`, the tree of what was staged. `uncommitted` is the number of their files,
    `left_out` are those that did not come along. `marks` are files that the user's index treats in its own way: "intended"
    (`git add -N`), "assumed" (assume-unchanged) or "skipped" (skip-worktree). `branch` is the branch that the commit was taken
    from, None where HEAD was detached or a revision was named. `warnings` say what a person should know of all that.

    Of earlier versions, and before the first commit, `commit` itself is one of ours that holds the uncommitted work."""

    commit: str
    tree: str
    branch: str | None
    includes_changes: bool = False
    warnings: tuple[str, ...] = ()
    index: str = ""
    recorded: str = ""
    uncommitted: int = 0
    left_out: tuple[str, ...] = ()
    marks: tuple[tuple[str, str], ...] = ()

    @property
    def standing(self) -> str:
        """The commit whose tree is `tree`."""
        return self.recorded or self.commit

    @classmethod
    def of(cls, record: BaseRecord) -> Base:
        return cls(**msgspec.structs.asdict(record))

    @property
    def record(self) -> BaseRecord:
        return BaseRecord(**asdict(self))


async def base_from_head(repository: Repository) -> Base:
    """Raises UnbornHead."""
    commit = repository.require_commit()
    return Base(commit, repository.head.tree or await repository.tree_of(commit), repository.head.branch)


async def base_from_revision(repository: Repository, revision: str) -> Base:
    """A branch, remote branch, tag or commit, without fetching anything. Raises UnknownRevision."""
    commit = await repository.commit_of(revision)
    branch = revision if await repository.branch_tip(revision) == commit else None
    return Base(commit, await repository.tree_of(commit), branch)


async def base_with_changes(repository: Repository, scratch: Path, caps: Caps = BASE_CAPS) -> Base:
    """The checkout as it is now, index included. Of a clean one that is HEAD, and nothing is made. Else only objects are added
    to the user's repository: index, stash, refs and files stay as they are and no hook or filter runs, so that what git would
    pass through a filter (LFS, git-crypt) comes as the bytes on disk where it differs. `scratch` is a folder of ours for
    temporary files."""
    if not repository.head.unborn:
        try:
            return await _recorded(repository, scratch, caps, trusted=True)
        except GitFailed:
            pass  # an index that git cannot read, say: HEAD's stands in for it
    return await _recorded(repository, scratch, caps, trusted=False)


async def _recorded(repository: Repository, scratch: Path, caps: Caps, *, trusted: bool) -> Base:
    async with viewed(repository, scratch, trusted=trusted) as (store, on):
        if repository.head.unborn:
            return await _before_the_first_commit(repository, store, on, caps)
        seen = await _look(repository, store, on)
        links, told = await _submodules(repository, scratch, caps)
        told = (*_operation(repository), *told)
        if seen.clean and not links:
            return replace(await base_from_head(repository), warnings=told)
        head = repository.require_commit()
        index = await _index_tree(repository, store, seen)
        if seen.marks:
            await _unmark(on, seen.marks)
        marked = [path_to_bytes(path) for path, mark in seen.marks if mark != "intended"]
        snapshot, staged = await together(
            record(store, on, repository.root, caps, links, marked, seen.differences),
            store.commit(index, [head], f"index on {repository.head.branch or 'a detached HEAD'}\n"),
        )
        if index == snapshot.tree == repository.head.tree:
            return replace(await base_from_head(repository), warnings=(*snapshot.warnings, *told), left_out=snapshot.left_out)
        commit = await store.commit(snapshot.tree, [head, staged], _message(repository))
        await store.publish([commit], [head], repository)
    return Base(
        head,
        snapshot.tree,
        repository.head.branch,
        includes_changes=True,
        warnings=(*snapshot.warnings, *told),
        index=index,
        recorded=commit,
        uncommitted=len((seen.paths | set(links)) - {path_to_bytes(path) for path in snapshot.left_out}),
        left_out=snapshot.left_out,
        marks=seen.marks,
    )


async def uncommitted_paths(repository: Repository, scratch: Path) -> tuple[str, ...]:
    """Paths that differ between HEAD and the checkout (staged, unstaged, untracked), sorted. `scratch` is a folder of ours
    for temporary files. The user's index is read, never refreshed."""
    async with viewed(repository, scratch) as (_, on):
        output = await on.out(
            "status", "--porcelain=v1", "-z", "--untracked-files=normal", "--no-renames", "--ignore-submodules=dirty"
        )
    return tuple(sorted(path_from_bytes(row[3:]) for row in output.split(b"\0") if row))


def _message(repository: Repository) -> str:
    return f"Uncommitted work on {repository.head.branch or 'a detached HEAD'}, recorded as the base of a goose-py task\n"


def _operation(repository: Repository) -> tuple[str, ...]:
    name = _TOLD.get(repository.operation or "")
    if name is None:
        return ()
    return (f"{name} is under way in {repository.root}: its files come along as they are, the operation itself does not.",)


async def _before_the_first_commit(repository: Repository, store: PrivateStore, on: Git, caps: Caps) -> Base:
    snapshot: Snapshot = await record(store, on, repository.root, caps)
    commit = await store.commit(snapshot.tree, [], _message(repository))
    await store.publish([commit], [], repository)
    return Base(
        commit,
        snapshot.tree,
        repository.head.branch,
        includes_changes=True,
        warnings=snapshot.warnings,
        left_out=snapshot.left_out,
    )


@dataclass(frozen=True)
class _Seen:
    """How a checkout differs from its index, and the index from HEAD."""

    differences: Differences
    changes: tuple[RawChange, ...]
    staged: tuple[RawChange, ...]
    marks: tuple[tuple[str, str], ...]

    @property
    def paths(self) -> set[bytes]:
        changed = {change.path for change in (*self.changes, *self.staged)}
        return changed | {path.rstrip(b"/") for path in self.differences.untracked}

    @property
    def clean(self) -> bool:
        return not (self.changes or self.staged or self.differences.untracked or self.marks)

    @property
    def unmerged(self) -> list[bytes]:
        return sorted({change.path for change in (*self.changes, *self.staged) if change.letter == "U"})


async def _look(repository: Repository, store: PrivateStore, on: Git) -> _Seen:
    listing, modified, staged = await together(
        on.out("ls-files", "-z", "-v", "--cached", "--others", "--exclude-standard"),
        # "dirty" keeps git from starting a `git status` inside a submodule, whose configuration is not ours.
        on.out("diff-files", "-z", "--raw", "--ignore-submodules=dirty"),
        on.out("diff-index", "-z", "--raw", "--cached", "--no-renames", repository.require_commit()),
    )
    changes = tuple(parse_raw(iter(modified.split(b"\0"))))
    marks = [(path, "intended") for path in (change.path for change in changes if change.letter == "A")]
    for tag, path in _MARKED.findall(listing):
        # In a sparse checkout the bit says that the file is not here; elsewhere, that the user keeps a version of their own.
        kept = tag in b"Ss" and not store.settings.sparse and os.path.lexists(located(repository.root, path))
        if tag.islower() or kept:
            marks.append((path, "assumed" if tag.islower() else "skipped"))
    return _Seen(
        Differences(modified, tuple(_UNTRACKED.findall(listing))),
        changes,
        tuple(parse_raw(iter(staged.split(b"\0")))),
        tuple(sorted((path_from_bytes(path), mark) for path, mark in marks)),
    )


async def _index_tree(repository: Repository, store: PrivateStore, seen: _Seen) -> str:
    """What is staged, as a tree. Of a file in conflict that is what HEAD has of it."""
    if not seen.staged and not seen.unmerged:
        return repository.head.tree or await repository.tree_of(repository.require_commit())
    with store.scratch("staged") as folder:
        index = Path(folder) / "index"
        shutil.copy2(store.index, index)
        for shared in store.path.glob("sharedindex.*"):
            shutil.copy2(shared, index.with_name(shared.name))
        on = store.on(repository.root, index=index)
        if seen.unmerged:
            ours = await store.entries(repository.require_commit(), seen.unmerged)
            entries: dict[bytes, Entry] = dict.fromkeys(seen.unmerged, ABSENT)
            await on.run("update-index", "-z", "--index-info", stdin=index_info(entries, store.null_oid))
            await on.run("update-index", "-z", "--index-info", stdin=index_info(ours, store.null_oid))
        return await on.line("write-tree")


async def _unmark(on: Git, marks: tuple[tuple[str, str], ...]) -> None:
    """Git does not look at what it was told to take for unchanged; what is there is the user's all the same."""
    for kind, option in (("assumed", "--no-assume-unchanged"), ("skipped", "--no-skip-worktree")):
        paths = [path_to_bytes(path) for path, mark in marks if mark == kind]
        if paths:
            await on.run("update-index", option, "-z", "--stdin", stdin=b"\0".join(paths) + b"\0")


async def _submodules(repository: Repository, scratch: Path, caps: Caps) -> tuple[dict[bytes, str], tuple[str, ...]]:
    """For each submodule with work in it that is in no commit, a commit of its files (see `git.contents.submodules`), which
    is written into the submodule's own store: from there a task reads it. And what a person should know of the others."""
    if not (repository.root / ".gitmodules").is_file():
        return {}, ()
    listing = await repository.bound.out("ls-files", "-z", "--stage")
    rows = (row.partition(b"\t") for row in listing.split(b"\0") if row.startswith(b"160000 "))
    paths = sorted({path for _, _, path in rows if not below_symlink(repository.root, path)})
    readable = {store.resolve() for store in module_stores(repository)}
    links: dict[bytes, str] = {}
    told: list[str] = []
    for path in paths:
        place = located(repository.root, path)
        if place.is_symlink() or not os.path.lexists(place / ".git"):
            continue
        inner = await repository.beside(place)
        if inner.root != place or inner.head.unborn:
            continue
        base = await base_with_changes(inner, scratch, caps)
        name = path_from_bytes(path)
        told += [f"In the submodule {name}: {warning}" for warning in base.warnings]
        if not base.recorded:
            continue
        if inner.objects.resolve() in readable:
            links[path] = await _made(inner, base, scratch)
        else:
            told.append(f"What you changed inside the submodule {name} is not included: commit it in the submodule first.")
    return links, tuple(told)


async def _made(inner: Repository, base: Base, scratch: Path) -> str:
    async with viewed(inner, scratch) as (store, _):
        commit = await made_commit(store, base.tree)
        await store.publish([commit], [base.recorded], inner)
    return commit
