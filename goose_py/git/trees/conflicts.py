"""Whether two lines of work can be merged, without touching either."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.git.contents.submodules import LINK, made_among, made_commit, readable_commits
from goose_py.git.errors import GitUnavailable
from goose_py.git.paths import parents
from goose_py.git.private import ABSENT, PrivateStore
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.protocol.resolving import Resolving

_MERGE_TREE = (2, 38)
_MARKER = re.compile(rb"(?:<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)[ \t\r]|(?:=======|<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)\s*\Z")


@dataclass(frozen=True)
class Conflict:
    """`kind` is git's word for it, for example "CONFLICT (contents)"; `message` its sentence."""

    paths: tuple[str, ...]
    kind: str
    message: str


@dataclass(frozen=True)
class MergePreview:
    """`tree` is the merge result; where there are conflicts, its files carry git's conflict markers."""

    tree: str
    conflicts: tuple[Conflict, ...]

    @property
    def clean(self) -> bool:
        return not self.conflicts


@dataclass(frozen=True)
class Side:
    """A tree and the commit that it started from. `name` is what conflict markers call it: one that a branch may have, and not
    the other side's."""

    tree: str
    base: str
    name: str


async def preview_merge(store: PrivateStore, ours: Side, theirs: Side) -> MergePreview:
    """What `git merge` would say about the two, with the merge base taken from their base commits' history. Only objects are
    written, into `store`, which must be able to read both trees (`PrivateStore.beside`). Raises GitUnavailable where git is
    older than 2.38."""
    if await store.git.version() < _MERGE_TREE:
        raise GitUnavailable("previewing merge conflicts needs git 2.38 or newer.")
    commits = {
        side.name: await store.bound.line("commit-tree", "-p", side.base, side.tree, stdin=side.name.encode() + b"\n")
        for side in (ours, theirs)
    }
    with store.scratch("merge") as folder:
        # Git calls the sides in its markers as it is given them, so they get their names in a git directory of their own.
        await asyncio.to_thread(_name_commits, Path(folder), store, commits)
        on = store.git.at(Path(folder), objects=store.path / "objects", alternates=store.others)
        done = await on.with_env(**store.identity()).run(
            "-c", "merge.conflictStyle=diff3", "merge-tree", "--write-tree", "-z", "--messages",
            "--allow-unrelated-histories", *commits, ok=(0, 1),
        )  # fmt: skip
    preview = _parsed(done.stdout, conflicted=done.exit_code == 1)
    return preview if preview.clean else await _with_submodules(store, preview, ours, theirs)


async def _with_submodules(store: PrivateStore, preview: MergePreview, ours: Side, theirs: Side) -> MergePreview:
    """Where both sides have another commit of a submodule and it is about files, these files are merged like all others: git
    itself would leave that to somebody who works in the submodule."""
    paths = [path_to_bytes(path) for conflict in preview.conflicts for path in conflict.paths]
    base, left, right = [await store.entries(tree, paths) for tree in (theirs.base, ours.tree, theirs.tree)]
    links = [path for path in base if LINK == base[path][0] == left.get(path, ABSENT)[0] == right.get(path, ABSENT)[0]]
    made = await made_among(store, {path: (base[path][1], right[path][1]) for path in links})
    trees = await readable_commits(store, [side[path][1] for path in made for side in (base, left, right)])
    found, entries = {}, {}
    for path in made:
        start, one, other = (trees.get(side[path][1]) for side in (base, left, right))
        if start is None or one is None or other is None:
            continue
        common = await made_commit(store, start)
        found[path] = await preview_merge(store, Side(one, common, ours.name), Side(other, common, theirs.name))
        entries[path] = (LINK, await made_commit(store, found[path].tree))
    if not found:
        return preview
    left_over = [each for each in preview.conflicts if not {path_to_bytes(path) for path in each.paths} & set(found)]
    inside = [_below(path, conflict) for path, merged in found.items() for conflict in merged.conflicts]
    return MergePreview(await store.edited_tree(preview.tree, entries), (*left_over, *inside))


def _below(path: bytes, conflict: Conflict) -> Conflict:
    names = tuple(path_from_bytes(path + b"/" + path_to_bytes(name)) for name in conflict.paths)
    return replace(conflict, paths=names, message=f"{conflict.message} (in the submodule {path_from_bytes(path)})")


def _name_commits(folder: Path, store: PrivateStore, commits: Mapping[str, str]) -> None:
    """A bare git directory with these commits as branches, configured as the store is."""
    (folder / "refs").mkdir()
    shutil.copyfile(store.path / "HEAD", folder / "HEAD")
    shutil.copyfile(store.path / "config", folder / "config")
    if (attributes := store.path / "info" / "attributes").exists():
        (folder / "info").mkdir()
        shutil.copyfile(attributes, folder / "info" / "attributes")
    refs = "".join(f"{oid} refs/heads/{name}\n" for name, oid in commits.items())
    (folder / "packed-refs").write_bytes(refs.encode("utf-8", "surrogateescape"))


async def left_in_conflict(store: PrivateStore, resolving: Sequence[Resolving], tree: str) -> tuple[str, ...]:
    """Those of the files that hold more conflict markers in `tree` than all sides held together, in order."""
    if not resolving:
        return ()
    trees = sorted({tree, *(side for each in resolving for side in each.sides)})
    paths = sorted({path_to_bytes(each.path) for each in resolving})
    entries = {each: await store.entries(each, paths) for each in trees}
    texts = {entry for found in entries.values() for entry in found.values() if entry[0] in ("100644", "100755")}
    blobs = await store.read_blobs(oid for _, oid in texts)

    def markers(path: str, *of_trees: str) -> Counter[bytes]:
        found = (entries[each].get(path_to_bytes(path)) for each in of_trees)
        return sum((conflict_markers(blobs[entry[1]]) for entry in found if entry in texts), Counter())

    return tuple(sorted(each.path for each in resolving if markers(each.path, tree) - markers(each.path, *each.sides)))


def conflict_markers(content: bytes) -> Counter[bytes]:
    """The lines that `git diff --check` takes for leftover conflict markers: seven of a kind, followed by white space. They
    are counted by their kind, since a label may be edited. Pure."""
    return Counter(line[:7] for line in content.split(b"\n") if _MARKER.match(line))


async def conflicting_text(store: PrivateStore, preview: MergePreview, path: str) -> str:
    """The file of a conflicted preview with its markers, for the task that has to resolve it. Raises KeyError, also for a
    submodule."""
    return await _text(store, preview.tree, path_to_bytes(path))


async def _text(store: PrivateStore, tree: str, raw: bytes) -> str:
    entries = await store.entries(tree, [raw, *parents(raw)])
    for parent in parents(raw):
        if entries.get(parent, ABSENT)[0] == LINK:
            return await _text(store, f"{entries[parent][1]}^{{tree}}", raw.removeprefix(parent + b"/"))
    if entries[raw][0] == LINK:
        raise KeyError(path_from_bytes(raw))
    blob = (await store.read_blobs([entries[raw][1]]))[entries[raw][1]]
    return blob.decode("utf-8", "replace")


def _parsed(output: bytes, conflicted: bool) -> MergePreview:
    """git-merge-tree(1), "OUTPUT": oid NUL, conflicted file entries, an empty field, then messages as
    count NUL path... kind NUL text NUL."""
    fields = output.split(b"\0")
    tree = fields[0].decode().strip()
    if not conflicted:
        return MergePreview(tree, ())
    position = fields.index(b"", 1) + 1
    conflicts = []
    while position < len(fields) and fields[position].isdigit():
        count = int(fields[position])
        paths = fields[position + 1 : position + 1 + count]
        kind, text = fields[position + 1 + count : position + 3 + count]
        if kind.startswith(b"CONFLICT"):
            names = tuple(path_from_bytes(path) for path in paths)
            conflicts.append(Conflict(names, kind.decode(), text.decode("utf-8", "replace").strip()))
        position += 3 + count
    return MergePreview(tree, tuple(conflicts))


def overlapping(ours: Sequence[str], theirs: Sequence[str]) -> tuple[str, ...]:
    """Declared or changed paths that two tasks share; a folder ("src/") overlaps with everything below it. Pure."""

    def within(path: str, folder: str) -> bool:
        return path == folder or path.startswith(folder.rstrip("/") + "/")

    return tuple(sorted({a for a in ours for b in theirs if within(a, b) or within(b, a)}))
