"""How the paths of a change stand in a checkout: on disk, in its index and in HEAD. Reads only."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.filters import filtered_paths
from goose_py.git.contents.lfs import known_contents
from goose_py.git.paths import files_below, located, parents
from goose_py.git.private import ABSENT, Entry, PrivateStore
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.files import Signature, signature
from goose_py.review.merge import PathChange

_SPECIAL: Entry = ("000000", "special")
_UNMERGED: Entry = ("000000", "unmerged")


@dataclass(frozen=True)
class Standing:
    """`disk` is the entry that git would record for the file as it is, `signature` the file's when it was read. `obstacle`
    says why the path cannot be written whatever it holds."""

    disk: Entry
    staged: Entry
    head: Entry
    signature: Signature | None
    obstacle: str | None = None

    @property
    def clean(self) -> bool:
        """No uncommitted work in it."""
        return self.disk == self.staged == self.head


async def standings(
    repository: Repository, store: PrivateStore, on: Git, changes: Sequence[PathChange]
) -> dict[bytes, Standing]:
    """`on` is git on the checkout through a copy of its index (`git.checkout.viewed`)."""
    root = repository.root
    paths = [change.path for change in changes]
    staged, sparse, assumed = await _staged(on, paths)
    head = await store.entries(repository.head.commit, paths) if repository.head.commit else {}
    # Before the contents are read: what changes later is noticed by its signature.
    signatures = {path: signature(located(root, path)) for path in paths}
    trust_mode = dict(store.settings.values).get("core.filemode") != "false"
    disk = await _on_disk(store, on, root, signatures, staged, assumed, trust_mode)
    filtered = await filtered_paths(on, [path for path in paths if disk[path] != ABSENT])
    removed = {change.path for change in changes if change.new == ABSENT}
    found = {}
    for change in changes:
        path = change.path
        found[path] = Standing(
            disk=disk[path],
            staged=staged.get(path, ABSENT),
            head=head.get(path, ABSENT),
            signature=signatures[path] if disk[path] != ABSENT else None,
            obstacle=_obstacle(root, change, removed, disk[path], path in sparse, filtered.get(path)),
        )
    return found


async def _staged(on: Git, paths: Sequence[bytes]) -> tuple[dict[bytes, Entry], set[bytes], set[bytes]]:
    """The index's entries, the paths that a sparse checkout leaves out, and those that git was told to take for unchanged."""
    limited = ("--", *(os.fsdecode(path) for path in paths)) if len(paths) <= 200 else ()
    listing = await on.out("ls-files", "-z", "-v", "--stage", *limited)
    wanted = set(paths)
    found: dict[bytes, Entry] = {}
    sparse: set[bytes] = set()
    assumed: set[bytes] = set()
    for row in listing.split(b"\0"):
        head, separator, path = row.partition(b"\t")
        if separator and path in wanted:
            tag, mode, oid, stage = head.decode().split(" ")
            found[path] = (mode, oid) if stage == "0" else _UNMERGED
            if tag in "Ss":
                sparse.add(path)
            if tag.islower():
                assumed.add(path)
    return found, sparse, assumed


async def _on_disk(
    store: PrivateStore,
    on: Git,
    root: Path,
    signatures: dict[bytes, Signature | None],
    staged: dict[bytes, Entry],
    assumed: set[bytes],
    trust_mode: bool,
) -> dict[bytes, Entry]:
    """What git would record for each path. For what is as the index says, that is the index's entry: git alone knows which
    line endings it forgives there."""
    found: dict[bytes, Entry] = {}
    unsure: list[bytes] = []
    # Git does not look at what it was told to take for unchanged: what the user did there is work all the same.
    modified = assumed | await _modified(on, [path for path in signatures if path in staged])
    known = await known_contents(store, on, root, sorted(modified & set(signatures)))
    modified -= {path for path, each in known.items() if each.blob is not None}
    for path, seen in signatures.items():
        if seen is None or stat.S_ISDIR(seen[0]):
            found[path] = ABSENT
        elif path in staged and staged[path] != _UNMERGED and path not in modified:
            found[path] = staged[path]
        elif stat.S_ISLNK(seen[0]):
            target = os.fsencode(os.readlink(located(root, path)))  # noqa: PTH115  (exactly as it is written)
            found[path] = ("120000", await on.line("hash-object", "--stdin", "--no-filters", stdin=target))
        elif stat.S_ISREG(seen[0]):
            unsure.append(path)
        else:
            found[path] = _SPECIAL
    for path, oid in zip(unsure, await _hashes(on, unsure), strict=True):
        mode = "100755" if (signatures[path] or (0,))[0] & 0o100 else "100644"
        if not trust_mode and path in staged:
            mode = staged[path][0]
        found[path] = (mode, oid)
    return found


async def _modified(on: Git, paths: Sequence[bytes]) -> set[bytes]:
    if not paths:
        return set()
    limited = ("--", *(os.fsdecode(path) for path in paths)) if len(paths) <= 200 else ()
    # Compares contents where times differ, which plain diff-files does not.
    await on.run("update-index", "-q", "--refresh", ok=(0, 1))
    listing = await on.out("diff-files", "-z", "--name-only", "--ignore-submodules=dirty", *limited)
    return set(listing.split(b"\0"))


async def _hashes(on: Git, paths: Sequence[bytes]) -> list[str]:
    """Object ids of files as git would store them, line endings converted, filters not run."""
    plain = [path for path in paths if b"\n" not in path]
    oids: dict[bytes, str] = {}
    if plain:
        output = await on.out("hash-object", "--stdin-paths", stdin=b"".join(path + b"\n" for path in plain))
        oids = dict(zip(plain, output.decode().split(), strict=True))
    for path in paths:
        if path not in oids:
            oids[path] = await on.line("hash-object", "--", os.fsdecode(path))
    return [oids[path] for path in paths]


def _obstacle(
    root: Path, change: PathChange, removed: set[bytes], disk: Entry, sparse: bool, filter_name: str | None
) -> str | None:
    if "160000" in (change.old[0], change.new[0]):
        return "it is a submodule, whose new commit can only go into a commit"
    if sparse:
        return "it lies outside your sparse checkout"
    if filter_name is not None and disk != change.new and disk != change.old:
        return f"its content passes through the filter {filter_name!r}, a program that goose-py does not run"
    if change.new == ABSENT:
        return None
    place = located(root, change.path)
    if place.is_dir() and not place.is_symlink() and any(path not in removed for path in files_below(root, place)):
        return "a folder with other files is in its place"
    for parent in parents(change.path):
        above = located(root, parent)
        if parent in removed or not os.path.lexists(above):
            continue
        if above.is_symlink():
            return f"{path_from_bytes(parent)} is a symlink in your checkout"
        if not above.is_dir():
            return f"{path_from_bytes(parent)} is a file in your checkout"
    return None
