"""Two lines of work as git merges them: on commits made for it, in a git directory of ours, with no driver of the user's."""

from __future__ import annotations

import asyncio
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.git.contents.submodules import LINK, made_among, made_commit, readable_commits
from goose_py.git.paths import located
from goose_py.git.private import ABSENT, PrivateStore
from goose_py.git.runner import Git
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

WITH_MERGE_TREE = (2, 38)
"""The git from which trees are merged by `git merge-tree`: an older one needs files and an index for it."""

_ATTRIBUTES = b".gitattributes"
_DRIVER = re.compile(rb"\smerge=(\S+)")
_BUILT_IN = frozenset((b"text", b"binary", b"union", b"set", b"unset", b"unspecified"))
_UNKNOWN_OPTION = 129
_STYLE = ("-c", "merge.conflictStyle=diff3")
_SAID = re.compile(r"^(CONFLICT \([^)]*\)|Auto-merging)[: ]")
_UNSAID = "CONFLICT"
_NOBODY = "goose-py <goose-py@localhost> 1 +0000"


@dataclass(frozen=True)
class Conflict:
    """`kind` is git's word for it, for example "CONFLICT (contents)"; `message` its sentence."""

    paths: tuple[str, ...]
    kind: str
    message: str


@dataclass(frozen=True)
class Merged:
    """`tree` is the result; where there are conflicts, its files carry git's conflict markers. `joined` are files in which both
    sides had changed the content, `as_text` those of them for which the attributes name a merge driver that is not git's own:
    it is not run."""

    tree: str
    conflicts: tuple[Conflict, ...] = ()
    joined: tuple[str, ...] = ()
    as_text: tuple[str, ...] = ()

    @property
    def clean(self) -> bool:
        return not self.conflicts

    @property
    def conflicting(self) -> tuple[str, ...]:
        """Every file that is in a conflict."""
        return tuple(sorted({path for conflict in self.conflicts for path in conflict.paths}))


@dataclass(frozen=True)
class Side:
    """A tree and the commit that it started from. `name` is what conflict markers call it: one that a branch may have, and not
    the other side's."""

    tree: str
    base: str
    name: str


Pair = tuple[Side, Side]
"""Ours, theirs."""


async def merge_sides(store: PrivateStore, pairs: Sequence[Pair]) -> list[Merged]:
    """What `git merge` says of each pair where the first one is checked out, with the merge base taken from the history of
    their bases and the attributes of the first. Of a name there is one side. Only objects are written, into `store`, which must
    be able to read all trees (`PrivateStore.beside`)."""
    return await _merged(store, pairs)


async def merge_trees(
    store: PrivateStore, base: str, ours: str, theirs: str, names: tuple[str, str] = ("ours", "theirs")
) -> Merged:
    """The same for two trees that both come from the tree `base`."""
    if ours == theirs or base == theirs:
        return Merged(ours)
    if base == ours:
        return Merged(theirs)
    root = _commit(base, (), "base")
    start = store.oid_of("commit", root)
    one, other = names if names[0] != names[1] else (names[0], f"{names[1]}-2")  # a branch may have any name
    return (await _merged(store, [(Side(ours, start, one), Side(theirs, start, other))], root))[0]


async def _merged(store: PrivateStore, pairs: Sequence[Pair], *roots: bytes) -> list[Merged]:
    sides = list(dict.fromkeys(side for pair in pairs for side in pair))
    texts = [_commit(side.tree, (side.base,), side.name) for side in sides]
    commits = await store.write_objects("commit", [*texts, *roots])
    groups: dict[tuple[tuple[bytes, bytes], ...], list[Pair]] = {}
    attributes = {tree: await attribute_files(store, tree) for tree in dict.fromkeys(ours.tree for ours, _ in pairs)}
    for pair in pairs:
        groups.setdefault(tuple(attributes[pair[0].tree].items()), []).append(pair)
    found: dict[Pair, Merged] = {}
    with store.scratch("merge") as folder:
        # Git calls the sides in its markers as it is given them, so they get their names in a git directory of their own.
        git_dir = Path(folder)
        names = {side.name: commit for side, commit in zip(sides, commits, strict=False)}
        await asyncio.to_thread(_make_git_dir, git_dir, store, names)
        for number, (files, group) in enumerate(groups.items()):
            root = git_dir / f"files-{number}"
            await asyncio.to_thread(_lay_out, root, dict(files))
            on = store.git.at(
                git_dir, work_tree=root, index=git_dir / "index", objects=store.path / "objects", alternates=store.others
            ).with_env(**store.identity())
            found |= zip(group, await _with_these_attributes(on, root, group, dict(files)), strict=True)
    merged = [found[pair] for pair in pairs]
    return [
        each if each.clean else await _with_submodules(store, each, *pair) for pair, each in zip(pairs, merged, strict=True)
    ]


async def _with_these_attributes(
    on: Git, files: Path, pairs: Sequence[Pair], attributes: Mapping[bytes, bytes]
) -> list[Merged]:
    command = ("merge-tree", "--write-tree", "--messages", "--allow-unrelated-histories")
    asked = "".join(f"{ours.name} {theirs.name}\n" for ours, theirs in pairs).encode("utf-8", "surrogateescape")
    done = await on.run(*_STYLE, *command, "--stdin", stdin=asked, ok=(0, _UNKNOWN_OPTION))
    if done.exit_code == 0:
        found = _parsed(done.stdout)
    else:
        found = []
        for number, (ours, theirs) in enumerate(pairs):  # a git that takes one pair at a time, or no trees alone
            done = await on.run(*_STYLE, *command, "-z", ours.name, theirs.name, ok=(0, 1, _UNKNOWN_OPTION))
            if done.exit_code == _UNKNOWN_OPTION:
                root = files.with_name(f"{files.name}-{number}")
                await asyncio.to_thread(_lay_out, root, attributes)
                alone = on.at(files.parent, work_tree=root, index=root.with_suffix(".index"))
                found.append(await _with_files(alone, root, ours, theirs, attributes))
            else:
                found += _parsed(b"1\0" + done.stdout)
    if any(set(_DRIVER.findall(content)) - _BUILT_IN for content in attributes.values()):
        touched = [(*each.joined, *each.conflicting) for each in found]
        found = [replace(each, as_text=await _with_drivers(on, paths)) for each, paths in zip(found, touched, strict=True)]
    return found


def _commit(tree: str, parents: Sequence[str], name: str) -> bytes:
    """The same for the same work, whoever asks and whenever: objects do not pile up."""
    above = "".join(f"parent {parent}\n" for parent in parents)
    return f"tree {tree}\n{above}author {_NOBODY}\ncommitter {_NOBODY}\n\n{name}\n".encode("utf-8", "surrogateescape")


async def attribute_files(store: PrivateStore, tree: str) -> dict[bytes, bytes]:
    """The attributes files of a tree, by path."""
    listing = await store.bound.out("ls-tree", "-r", "-z", "--full-tree", tree)
    if _ATTRIBUTES not in listing:
        return {}
    rows = (row.partition(b"\t") for row in listing.split(b"\0") if row.endswith(_ATTRIBUTES) and row.startswith(b"100"))
    found = {path: head.split(b" ")[2].decode() for head, _, path in rows if path.split(b"/")[-1] == _ATTRIBUTES}
    blobs = await store.read_blobs(found.values())
    return {path: blobs[oid] for path, oid in found.items()}


def _make_git_dir(folder: Path, store: PrivateStore, commits: Mapping[str, str]) -> None:
    """A git directory with these commits as branches, configured as the store is."""
    (folder / "refs").mkdir()
    (folder / "info").mkdir()
    (folder / "HEAD").write_text("ref: refs/heads/none\n")
    shutil.copyfile(store.path / "config", folder / "config")
    # Where the history of a shallow clone ends is said beside its objects: without that, its sides have no common beginning.
    borrowed = {store.path / "info" / "attributes": "info/attributes", store.user_objects.with_name("shallow"): "shallow"}
    for source, target in borrowed.items():
        with suppress(FileNotFoundError):
            shutil.copyfile(source, folder / target)
    refs = "".join(f"{oid} refs/heads/{name}\n" for name, oid in commits.items())
    (folder / "packed-refs").write_bytes(refs.encode("utf-8", "surrogateescape"))


def _lay_out(root: Path, files: Mapping[bytes, bytes]) -> None:
    """Attributes are read from a working tree, so there is one with nothing else in it."""
    root.mkdir()
    for path, content in files.items():
        if not {b"", b".", b".."} & set(path.split(b"/")):  # a tree from a stranger may hold any name
            place = located(root, path)
            with suppress(FileExistsError, NotADirectoryError):
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(content)


async def _with_drivers(on: Git, paths: Iterable[str]) -> tuple[str, ...]:
    asked = b"".join(path_to_bytes(path) + b"\0" for path in dict.fromkeys(paths))
    fields = (await on.out("check-attr", "-z", "--stdin", "merge", stdin=asked)).split(b"\0")
    rows = zip(fields[0::3], fields[2::3], strict=False)
    return tuple(sorted(path_from_bytes(path) for path, driver in rows if driver not in _BUILT_IN))


def _parsed(output: bytes) -> list[Merged]:
    """git-merge-tree(1), "OUTPUT", once for each pair: status NUL oid NUL, conflicted file entries where there are any, an
    empty field, then messages as count NUL path... kind NUL text NUL, and another empty field, in which git's advice on
    submodules may stand."""
    fields = output.split(b"\0")
    found: list[Merged] = []
    position = 0
    while position + 2 < len(fields):
        tree, end = fields[position + 1].decode().strip(), fields.index(b"", position + 2)
        unmerged = {path_from_bytes(row.partition(b"\t")[2]) for row in fields[position + 2 : end]}
        position = end + 1
        said: list[Conflict] = []
        while position < len(fields) and fields[position].isdigit():
            last = position + 1 + int(fields[position])
            names = tuple(map(path_from_bytes, fields[position + 1 : last]))
            said.append(Conflict(names, fields[last].decode(), fields[last + 1].decode("utf-8", "replace").strip()))
            position = last + 2
        found.append(_told(tree, said, unmerged))
        position += 1
    return found


def _told(tree: str, said: Sequence[Conflict], unmerged: set[str]) -> Merged:
    conflicts = [each for each in said if each.kind.startswith("CONFLICT")]
    unsaid = sorted(unmerged - {path for each in conflicts for path in each.paths})
    conflicts += [Conflict((path,), _UNSAID, f"CONFLICT: {path} could not be merged.") for path in unsaid]
    joined = {path for each in said if each.kind == "Auto-merging" for path in each.paths}
    return Merged(tree, tuple(conflicts), tuple(sorted(joined)))


async def _with_files(on: Git, files: Path, ours: Side, theirs: Side, attributes: Iterable[bytes]) -> Merged:
    """The same by a git that cannot merge trees alone, on the scratch working tree `files`. What it says is for people, so the
    files of a conflict are those that the index has in several versions."""
    bases = (await on.out("merge-base", "--all", ours.name, theirs.name)).decode().split()
    await on.run("read-tree", ours.name)
    await on.run("checkout-index", "-u", "-f", "-q", "-z", "--stdin", stdin=b"".join(path + b"\0" for path in attributes))
    done = await on.run(*_STYLE, "merge-recursive", *bases, "--", ours.name, theirs.name, ok=(0, 1))
    texts = done.stdout.decode("utf-8", "replace").splitlines()
    said = [Conflict((text.removeprefix("Auto-merging "),), "Auto-merging", text) for text in texts if text[:5] == "Auto-"]
    rows = (await on.out("ls-files", "-z", "-u")).split(b"\0")
    paths = {row.partition(b"\t")[2] for row in rows if row}
    unmerged = {path_from_bytes(path) for path in paths}
    for text in texts:
        if found := _SAID.match(text):
            said += [Conflict(named, found[1], text)] if (named := tuple(p for p in sorted(unmerged) if p in text)) else []
    # Beside the versions of a file lies what git made of them, maybe under another name.
    paths |= {path for path in (await on.out("ls-files", "-z", "-o")).split(b"\0") if path}
    there = {path for path in paths if (place := located(files, path)).is_symlink() or place.is_file()}
    for option, these in (("--force-remove", paths - there), ("--add", there)):
        await on.run("update-index", option, "-z", "--stdin", stdin=b"".join(path + b"\0" for path in sorted(these)))
    return _told(await on.line("write-tree"), said, unmerged)


async def _with_submodules(store: PrivateStore, found: Merged, ours: Side, theirs: Side) -> Merged:
    """Where both sides have another commit of a submodule and it is about files, these files are merged like all others: git
    itself would leave that to somebody who works in the submodule."""
    if not any("submodule" in each.kind or each.kind == _UNSAID for each in found.conflicts):
        return found
    paths = [path_to_bytes(path) for path in found.conflicting]
    base, left, right = [await store.entries(tree, paths) for tree in (theirs.base, ours.tree, theirs.tree)]
    links = [path for path in base if LINK == base[path][0] == left.get(path, ABSENT)[0] == right.get(path, ABSENT)[0]]
    made = await made_among(store, {path: (base[path][1], right[path][1]) for path in links})
    trees = await readable_commits(store, [side[path][1] for path in made for side in (base, left, right)])
    inner, entries = {}, {}
    for path in made:
        start, one, other = (trees.get(side[path][1]) for side in (base, left, right))
        if start is None or one is None or other is None:
            continue
        inner[path] = await merge_trees(store, start, one, other, (ours.name, theirs.name))
        entries[path] = (LINK, await made_commit(store, inner[path].tree))
    if not inner:
        return found
    left_over = [each for each in found.conflicts if not {path_to_bytes(path) for path in each.paths} & set(inner)]
    inside = [_below(path, conflict) for path, merged in inner.items() for conflict in merged.conflicts]
    return replace(found, tree=await store.edited_tree(found.tree, entries), conflicts=(*left_over, *inside))


def _below(path: bytes, conflict: Conflict) -> Conflict:
    names = tuple(path_from_bytes(path + b"/" + path_to_bytes(name)) for name in conflict.paths)
    return replace(conflict, paths=names, message=f"{conflict.message} (in the submodule {path_from_bytes(path)})")
