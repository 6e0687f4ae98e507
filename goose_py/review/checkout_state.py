"""A checkout as trees: its files as git would record them, its index, and what of both is not committed. Reads only."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.lfs import known_contents
from goose_py.git.contents.submodules import LINK
from goose_py.git.paths import files_below, located, parents
from goose_py.git.private import ABSENT, Entry, PrivateStore, index_info
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.files import Signature, standing_at
from goose_py.review.merge import PathChange, path_changes


@dataclass(frozen=True)
class CheckoutState:
    """`tree` is what git would record of the files, `index` what is staged. `disk` are the entries of the files that were read,
    the others are as the index says; `signatures` those of the same files when they were. `dirty` are files with uncommitted
    work; `sparse` lie outside of a sparse checkout; in the place of the `special` ones is something that git does not know."""

    root: Path
    tree: str
    index: str
    disk: Mapping[bytes, Entry]
    signatures: Mapping[bytes, Signature | None]
    dirty: frozenset[bytes]
    sparse: frozenset[bytes]
    special: frozenset[bytes]

    def obstacle(self, change: PathChange, removed: set[bytes]) -> str | None:
        """Why the path cannot be written whatever it holds; `removed` are files that go at the same time."""
        if LINK in (change.old[0], change.new[0]):
            return "it is a submodule, whose new commit can only go into a commit"
        if change.path in self.sparse:
            return "it lies outside your sparse checkout"
        if change.path in self.special:
            return "what is in its place is neither a file nor a link"
        return in_the_way(self.root, change.path, removed) if change.new != ABSENT else None

    def signature(self, path: bytes) -> Signature | None:
        """Of a file that is to be replaced or removed. One that nobody had a reason to read is looked at now: its content is
        compared later."""
        return self.signatures[path] if path in self.signatures else standing_at(self.root, path)


async def checkout_state(repository: Repository, store: PrivateStore, on: Git, paths: Sequence[bytes]) -> CheckoutState:
    """`on` is git on the checkout through a copy of its index (`git.checkout.viewed`); what is recorded goes to `store`. Read
    are `paths` and whatever git does not take for unchanged."""
    root = repository.root
    recording = on.with_env(GIT_OBJECT_DIRECTORY=str(store.path / "objects"))
    staged, unmerged, sparse, assumed = await _staged(on)
    modified = await _modified(on)
    # Git does not look at what it was told to take for unchanged: what the user did there is work all the same.
    read = (set(paths) | modified | assumed | unmerged) - sparse
    read -= {path for path in read if staged.get(path, ABSENT)[0] == LINK}
    # Before the contents are read: what changes later is noticed by its signature.
    signatures = {path: standing_at(root, path) for path in sorted(read)}
    unsure = {path: seen for path, seen in signatures.items() if path not in staged or path in modified | assumed}
    found, special = await _on_disk(store, recording, root, unsure, staged)
    disk = {path: found.get(path) or staged.get(path, ABSENT) for path in {*read, *paths}}
    head = await repository.tree_of(repository.head.commit) if repository.head.commit else await store.bound.line("mktree")
    index, tree = await _trees(store, recording, head, unmerged, {p: e for p, e in found.items() if staged.get(p, ABSENT) != e})
    dirty = {change.path for each in {index, tree} for change in await path_changes(store, head, each)}
    return CheckoutState(root, tree, index, disk, signatures, frozenset(dirty | special), frozenset(sparse), special)


async def _trees(
    store: PrivateStore, recording: Git, head: str, unmerged: set[bytes], edits: Mapping[bytes, Entry]
) -> tuple[str, str]:
    """That of the index, in which a file that is in conflict is as in HEAD, and that of the files."""
    index = Path(recording.env["GIT_INDEX_FILE"])
    copy = index.with_name(f"{index.name}-tree")
    if index.exists():
        shutil.copy2(index, copy)
    on = recording.with_env(GIT_INDEX_FILE=str(copy))
    trees: list[str] = []
    known = await store.entries(head, sorted(unmerged))
    for changes in ({path: known.get(path, ABSENT) for path in unmerged}, edits):
        if changes:
            await on.run("update-index", "-z", "--index-info", stdin=index_info(changes, store.null_oid))
        trees.append(await on.line("write-tree", "--missing-ok") if changes or not trees else trees[0])
    return trees[0], trees[1]


async def _staged(on: Git) -> tuple[dict[bytes, Entry], set[bytes], set[bytes], set[bytes]]:
    """The index's entries, and the paths that are unmerged, that a sparse checkout leaves out, and that git was told to take
    for unchanged."""
    found: dict[bytes, Entry] = {}
    unmerged: set[bytes] = set()
    sparse: set[bytes] = set()
    assumed: set[bytes] = set()
    for row in (await on.out("ls-files", "-z", "-v", "--stage")).split(b"\0"):
        head, separator, path = row.partition(b"\t")
        if separator:
            tag, mode, oid, stage = head.decode().split(" ")
            if stage == "0":
                found[path] = (mode, oid)
            else:
                unmerged.add(path)
            if tag in "Ss":
                sparse.add(path)
            elif tag.islower():
                assumed.add(path)
    return found, unmerged, sparse, assumed


async def _modified(on: Git) -> set[bytes]:
    # Compares contents where times differ, which plain diff-files does not.
    await on.run("update-index", "-q", "--refresh", ok=(0, 1))
    listing = await on.out("diff-files", "-z", "--name-only", "--ignore-submodules=dirty")
    return {path for path in listing.split(b"\0") if path}


async def _on_disk(
    store: PrivateStore, recording: Git, root: Path, seen: Mapping[bytes, Signature | None], staged: Mapping[bytes, Entry]
) -> tuple[dict[bytes, Entry], frozenset[bytes]]:
    """What git would record for each path, recorded, and those for which it would record nothing."""
    found: dict[bytes, Entry] = {}
    special: set[bytes] = set()
    files: list[bytes] = []
    trust_mode = dict(store.settings.values).get("core.filemode") != "false"
    for path, here in seen.items():
        if here is None:
            found[path] = ABSENT
        elif stat.S_ISLNK(here[0]):
            target = os.fsencode(os.readlink(located(root, path)))  # noqa: PTH115  (exactly as it is written)
            found[path] = ("120000", (await store.write_blobs([target]))[0])
        elif stat.S_ISREG(here[0]):
            files.append(path)
        else:
            found[path] = ABSENT
            special.add(path)
    known = await known_contents(store, recording, root, files) if files else {}
    fresh = await store.write_blobs([each.pointer.text() for each in known.values()])
    oids = dict(zip(known, fresh, strict=True)) | await _recorded(recording, [path for path in files if path not in known])
    for path, oid in oids.items():
        mode = "100755" if (seen[path] or (0,))[0] & 0o100 else "100644"
        found[path] = (staged[path][0] if not trust_mode and path in staged else mode, oid)
    return found, frozenset(special)


async def _recorded(recording: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Objects of files as git would store them, line endings converted, filters not run."""
    plain = [path for path in paths if b"\n" not in path]
    oids: dict[bytes, str] = {}
    if plain:
        output = await recording.out("hash-object", "-w", "--stdin-paths", stdin=b"".join(path + b"\n" for path in plain))
        oids = dict(zip(plain, output.decode().split(), strict=True))
    for path in paths:
        if path not in oids:
            oids[path] = await recording.line("hash-object", "-w", "--", os.fsdecode(path))
    return oids


def in_the_way(root: Path, path: bytes, removed: Iterable[bytes]) -> str | None:
    """Why no file can be made there, though the files in `removed` go."""
    place = located(root, path)
    if place.is_dir() and not place.is_symlink() and any(each not in removed for each in files_below(root, place)):
        return "a folder with other files is in its place"
    for parent in parents(path):
        above = located(root, parent)
        if parent in removed or not os.path.lexists(above):
            continue
        if above.is_symlink():
            return f"{path_from_bytes(parent)} is a symlink in your checkout"
        if not above.is_dir():
            return f"{path_from_bytes(parent)} is a file in your checkout"
    return None
