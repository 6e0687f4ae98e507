"""Bringing an approved tree onto a tip that has moved, and what a difference of trees is about."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from goose_py.git.contents.filters import filtered_in
from goose_py.git.contents.lfs import FILES
from goose_py.git.contents.submodules import LINK, filled_paths, made_among, readable_commits
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.git.trees.merge import Merged, merge_trees
from goose_py.git.trees.patch import parse_raw
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.approval import Approval
from goose_py.review.errors import BaseMoved, CannotApply, listed


@dataclass(frozen=True)
class PathChange:
    """One path of a difference of trees, without renames."""

    path: bytes
    old: Entry
    new: Entry


async def path_changes(store: PrivateStore, old_tree: str, new_tree: str) -> tuple[PathChange, ...]:
    """Every path that differs, in git's order; a rename is two of them."""
    if old_tree == new_tree:
        return ()
    output = await store.bound.out("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", old_tree, new_tree)
    return tuple(
        PathChange(change.path, _entry(change.old_mode, change.old_oid), _entry(change.new_mode, change.new_oid))
        for change in parse_raw(iter(output.split(b"\0")))
    )


async def changed_submodules(store: PrivateStore, changes: Sequence[PathChange]) -> dict[bytes, Approval]:
    """Those of `changes` that are about files in a submodule: by its path, as an approval of its own."""
    links = {each.path: (each.old[1], each.new[1]) for each in changes if each.old[0] == each.new[0] == LINK}
    made = await made_among(store, links) if links else {}
    trees = await readable_commits(store, sorted({commit for pair in made.values() for commit in pair}))
    return {path: Approval(trees[old], trees[new], trees[new]) for path, (old, new) in made.items()}


async def merged_onto(
    store: PrivateStore, base_tree: str, tree: str, tip_tree: str, names: tuple[str, str] = ("tip", "task")
) -> Merged:
    """The changes from `base_tree` to `tree`, carried over to `tip_tree`; `names` are those of the tip and of the task. Raises
    BaseMoved, naming the files, where git finds a conflict."""
    merged = await merge_trees(store, base_tree, tip_tree, tree, names)
    if not merged.clean:
        raise base_moved(merged, merged.conflicting)
    return merged


def name_in_markers(task_id: str) -> str:
    """What git calls a task's side."""
    return f"task-{task_id}"


def base_moved(merged: Merged, paths: Sequence[str]) -> BaseMoved:
    """What git says of a conflict that is not about lines tells more than its files do."""
    said = [each.message for each in merged.conflicts if not each.kind.startswith("CONFLICT (content")]
    reasons = f" {' '.join(dict.fromkeys(said))}" if said else ""
    driver = f"{not_run(merged.as_text)}. " if merged.as_text else ""
    return BaseMoved(
        f"{listed(paths)} changed in the repository since the task began, in the same places; nothing was changed.{reasons} "
        f"{driver}Leave these files out of what you approve, or have the task revised on the current state.",
        paths,
    )


def not_run(paths: Sequence[str]) -> str:
    """For people: which files a merge driver of theirs would have merged."""
    return f"{listed(paths)} merged as text, since no merge driver of yours is run"


def _entry(mode: str, oid: str) -> Entry:
    return ABSENT if mode == "000000" else (mode, oid)


async def refuse_submodules(store: PrivateStore, base_tree: str, tree: str) -> None:
    """Raises CannotApply where files in a submodule changed: their commit would have to be made there first."""
    if not filled_paths(store):
        return
    inside = sorted(await changed_submodules(store, await path_changes(store, base_tree, tree)))
    if inside:
        names = [path_from_bytes(path) for path in inside]
        raise CannotApply(
            f"files inside the submodule {listed(names)} changed, which no commit of this repository can hold; nothing was "
            "changed. Leave the change in your checkout instead (`goose-py apply` without --how) and commit it in the "
            "submodule, or leave these files out of what you approve.",
            names,
        )


async def refuse_filtered(store: PrivateStore, base_tree: str, tree: str) -> None:
    """Raises CannotApply where a file changed that git passes through a program of the user's on its way into a commit: nobody
    but that program knows what the commit may hold. Files of Git LFS are no such files: what they become is known."""
    programs = store.settings.filters - {"lfs"}
    if not programs:
        return
    changes = await path_changes(store, base_tree, tree)
    known = {change.old[1] for change in changes}
    fresh = [change.path for change in changes if change.new[0] in FILES and change.new[1] not in known]
    filters = {path: name for path, name in (await filtered_in(store, tree, fresh)).items() if name in programs}
    if filters:
        names = [path_from_bytes(path) for path in sorted(filters)]
        raise CannotApply(
            f"{listed(names)} changed, whose content passes through the filter {filters[min(filters)]!r} on its way into a "
            "commit, a program that goose-py does not run; nothing was changed. Leave the change in your files instead "
            "(`goose-py apply` without --how) and commit it there, or leave these files out of what you approve.",
            names,
        )
