"""The very bytes of files in a checkout: what is there, and what is to be there where git would not write what is there."""

from __future__ import annotations

import asyncio
import filecmp
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.filters import filtered_paths
from goose_py.git.contents.lfs import FILES, contents_of, uses_lfs
from goose_py.git.paths import located
from goose_py.git.private import Entry, PrivateStore, index_info
from goose_py.git.repository import Repository
from goose_py.git.trees.merge import merge_trees
from goose_py.git.trees.patch import parse_raw
from goose_py.protocol.changes import path_from_bytes
from goose_py.review.checkout_state import CheckoutState
from goose_py.review.errors import CannotApply, listed
from goose_py.review.files import Signature, Write
from goose_py.review.merge import PathChange

_LINK = "120000"


@dataclass(frozen=True)
class _Foreign:
    """A file whose bytes on disk (`place`) are not what git writes for it (`written`), so that the new ones (`wanted`), as git
    writes them, cannot just take their place."""

    path: bytes
    place: Path
    written: Path
    wanted: Path


async def contents_to_write(
    repository: Repository, store: PrivateStore, state: CheckoutState, todo: Sequence[PathChange], tree: str, folder: Path
) -> list[Write]:
    """What `todo` puts into the checkout that is in `state`; `tree` is what it becomes. New contents have the line ends that
    git gives them there. Where the bytes on disk are others than git would write (a filter, line ends that it forgives), the
    change is merged into them: raises CannotApply where that does not go. `folder` is a scratch folder, where they are then."""
    signatures = {change.path: state.signature(change.path) for change in todo}
    new = await _as_git_writes(repository, store, {change.path: change.new for change in todo}, folder / "new")
    old = await _as_git_writes(repository, store, {change.path: change.old for change in todo}, folder / "old")
    there = {path: located(repository.root, path) for path, seen in signatures.items() if seen and stat.S_ISREG(seen[0])}
    differing = [path for path, place in there.items() if path in old and not await asyncio.to_thread(_same, place, old[path])]
    if differing:
        moved = await _renames(store, state.tree, tree) if any(path not in new for path in differing) else {}
        pairs = [(path, moved.get(path, path)) for path in differing]
        foreign = [_Foreign(goes, there[path], old[path], new[goes]) for path, goes in pairs if goes in new]
        new |= await _merged_on_disk(repository, store, foreign, folder)
    links = await store.read_blobs(change.new[1] for change in todo if change.new[0] == _LINK)
    return [
        Write(
            change.path, signatures[change.path], source=new.get(change.path),
            link=links[change.new[1]] if change.new[0] == _LINK else None, executable=change.new[0] == "100755",
        )
        for change in todo
    ]  # fmt: skip


async def raw_entries(store: PrivateStore, root: Path, seen: Mapping[bytes, Signature | None]) -> dict[bytes, Entry]:
    """Files and links as they are, kept in `store`; those that are not there are left out."""
    links = [path for path, each in seen.items() if each is not None and stat.S_ISLNK(each[0])]
    files = [path for path, each in seen.items() if each is not None and stat.S_ISREG(each[0])]
    oids = await store.write_files([located(root, path) for path in files])
    targets = await store.write_blobs([os.fsencode(os.readlink(located(root, path))) for path in links])  # noqa: PTH115
    modes = {path: "100755" if (seen[path] or (0,))[0] & 0o100 else "100644" for path in files}
    found = {path: (modes[path], oid) for path, oid in zip(files, oids, strict=True)}
    return found | {path: (_LINK, oid) for path, oid in zip(links, targets, strict=True)}


async def written_entries(store: PrivateStore, writes: Sequence[Write]) -> dict[bytes, Entry]:
    """The same of what is about to be written."""
    files = [(write, write.source) for write in writes if write.source is not None]
    links = [(write, write.link) for write in writes if write.link is not None]
    oids = await store.write_files([source for _, source in files])
    targets = await store.write_blobs([link for _, link in links])
    found = {
        write.path: ("100755" if write.executable else "100644", oid) for (write, _), oid in zip(files, oids, strict=True)
    }
    return found | {write.path: (_LINK, oid) for (write, _), oid in zip(links, targets, strict=True)}


async def _as_git_writes(
    repository: Repository, store: PrivateStore, entries: Mapping[bytes, Entry], folder: Path
) -> dict[bytes, Path]:
    """Files with the contents of those of `entries` that are files, as git writes them in this checkout, no filter run."""
    files = {path: entry for path, entry in entries.items() if entry[0] in FILES}
    if not files:
        return {}
    folder.mkdir(parents=True)
    on = store.on(repository.root, index=folder / "index")
    await on.run("update-index", "-z", "--index-info", stdin=index_info(files, store.null_oid))
    output = folder / "files"
    await on.run("checkout-index", "--quiet", "--force", "--all", f"--prefix={output}/")
    written = {path: located(output, path) for path in files}
    if uses_lfs(store):
        written |= await contents_of(store, on, {path: oid for path, (_, oid) in files.items()})
    return written


def _same(one: Path, other: Path) -> bool:
    return filecmp.cmp(one, other, shallow=False)


async def _renames(store: PrivateStore, old_tree: str, new_tree: str) -> dict[bytes, bytes]:
    """Where files have gone."""
    output = await store.bound.out("diff-tree", "-r", "-z", "--raw", "-M", "--full-index", old_tree, new_tree)
    return {each.old_path: each.path for each in parse_raw(iter(output.split(b"\0"))) if each.letter == "R"}


async def _merged_on_disk(
    repository: Repository, store: PrivateStore, foreign: Sequence[_Foreign], folder: Path
) -> dict[bytes, Path]:
    """The contents that these files get, by path: all of what is on disk, and the change."""
    sides = [await asyncio.to_thread(_sides, each) for each in foreign]
    trees = [await store.flat_tree(await store.write_blobs(list(contents))) for contents in zip(*sides, strict=True)]
    if not trees:
        return {}
    here, written, wanted = trees
    merged = await merge_trees(store, written, here, wanted)
    if not merged.clean:
        await _refuse(repository, store, [foreign[int(name)].path for name in merged.conflicting])
    blobs = await store.entries(merged.tree)
    contents = await store.read_blobs(oid for _, oid in blobs.values())
    found = {}
    for number, (name, (_, oid)) in enumerate(sorted(blobs.items())):
        found[foreign[int(name)].path] = place = folder / f"merged-{number}"
        place.write_bytes(contents[oid])
    return found


def _sides(each: _Foreign) -> tuple[bytes, bytes, bytes]:
    here, written, wanted = (place.read_bytes() for place in (each.place, each.written, each.wanted))
    if any(b"\0" in content for content in (here, written, wanted)):
        return here, written, wanted
    return here, _with_ends_of(here, written), _with_ends_of(here, wanted)


def _with_ends_of(here: bytes, content: bytes) -> bytes:
    """Lines end as they do on disk, where they all end in the same way there."""
    both, alone = here.count(b"\r\n"), here.count(b"\n")
    plain = content.replace(b"\r\n", b"\n")
    if both == alone:
        return plain.replace(b"\n", b"\r\n") if both else content
    return content if both else plain


async def _refuse(repository: Repository, store: PrivateStore, paths: Sequence[bytes]) -> None:
    filters = await filtered_paths(store.on(repository.root), paths)
    names = [path_from_bytes(path) for path in paths]
    reason = "its bytes on disk are not what git would write there, and the change is about the same lines"
    if name := filters.get(paths[0]):
        reason = f"its content passes through the filter {name!r}, a program that goose-py does not run"
    also = f" The same goes for {listed(names[1:])}." if names[1:] else ""
    raise CannotApply(f"{names[0]} cannot be applied: {reason}. Nothing was changed.{also}", names)
