"""Git LFS without its program: contents come from the stores of the user's repository, and go there when a change lands.

Pointers and the layout of a store: https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md. In a recorded tree a file whose
content such a store has is its pointer, as in any commit of the repository; content that none has is recorded itself, so that
it can be shown, gone back to and lost by nobody, and becomes a pointer in the commit that it lands in.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.filters import filtered_paths, staged_blobs
from goose_py.git.errors import from_os_error
from goose_py.git.paths import below_symlink, located
from goose_py.git.private import Entry, PrivateStore, index_info
from goose_py.git.runner import Git
from goose_py.git.trees.index_file import write_stats
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_POINTER_BYTES = 1024
_FILTER = re.compile(rb"\bfilter=lfs\b")
FILES = ("100644", "100755")
_NOTE = "lfs.json"


@dataclass(frozen=True)
class Pointer:
    """`oid` is the SHA-256 of the content in hexadecimal digits, `size` in bytes."""

    oid: str
    size: int

    @classmethod
    def parsed(cls, blob: bytes) -> Pointer | None:
        found = _POINTER.fullmatch(blob) if len(blob) < _POINTER_BYTES else None
        return None if found is None else cls(found[1].decode(), int(found[2]))

    def text(self) -> bytes:
        return f"version https://git-lfs.github.com/spec/v1\noid sha256:{self.oid}\nsize {self.size}\n".encode()

    def below(self, folder: Path) -> Path:
        return folder / self.oid[:2] / self.oid[2:4] / self.oid


def uses_lfs(store: PrivateStore) -> bool:
    """Whether files of LFS were ever met in this task."""
    return (store.path / _NOTE).exists()


def missing_contents(store: PrivateStore) -> tuple[str, ...]:
    """The files that are pointers in the worktree since it was made, because no store has their content."""
    try:
        return tuple(json.loads((store.path / _NOTE).read_text()))
    except FileNotFoundError:
        return ()


def mentions_lfs(store: PrivateStore, root: Path, paths: Iterable[str]) -> bool:
    """Whether an attributes file among `paths`, or one of the user's, names the filter. Cheap."""
    own = [path for key, path in store.settings.values if key == "core.attributesfile"]
    attributes = (path for path in paths if path == ".gitattributes" or path.endswith("/.gitattributes"))
    named = [located(root, path_to_bytes(path)) for path in attributes]
    for file in (*named, store.path / "info" / "attributes", *map(Path, own)):
        with contextlib.suppress(OSError):
            if not file.is_symlink() and _FILTER.search(file.read_bytes()):
                return True
    return False


async def pointers_among(store: PrivateStore, oids: Iterable[str]) -> dict[str, Pointer]:
    """Those of these blobs that are pointers."""
    sizes = await store.blob_sizes(oids)
    blobs = await store.read_blobs(oid for oid, size in sizes.items() if size < _POINTER_BYTES)
    found = {oid: Pointer.parsed(blob) for oid, blob in blobs.items()}
    return {oid: pointer for oid, pointer in found.items() if pointer is not None}


async def put_contents(store: PrivateStore, on: Git, root: Path, index: Path, paths: Sequence[bytes]) -> None:
    """Where `paths` are pointers of LFS that git has just written below `root`, put their contents there: copies, which share
    blocks where the file system can. A hard link would let a task write into the user's store. Those that no store has stay
    pointers, see `missing_contents`."""
    lfs = [path for path, name in (await filtered_paths(on, paths)).items() if name == "lfs"]
    staged = await staged_blobs(on, lfs)
    pointers = await pointers_among(store, staged.values())
    wanted = {path: pointers[oid] for path, oid in staged.items() if oid in pointers}
    stats, missing = await asyncio.to_thread(_put_all, store, root, wanted, index.stat().st_mtime_ns)
    await asyncio.to_thread(write_stats, index, stats, store.object_format)
    note = {*missing_contents(store), *(path_from_bytes(path) for path in missing)}
    (store.path / _NOTE).write_text(json.dumps(sorted(note)))


def _put_all(
    store: PrivateStore, root: Path, wanted: Mapping[bytes, Pointer], before: int
) -> tuple[dict[bytes, os.stat_result], list[bytes]]:
    stats: dict[bytes, os.stat_result] = {}
    missing = []
    for path, pointer in wanted.items():
        source, target = found_in(store, pointer), located(root, path)
        if below_symlink(root, path) or not os.path.lexists(target):
            continue  # outside a sparse checkout
        if source is None:
            missing.append(path)
        else:
            try:
                stats[path] = _put(source, target, before)
            except OSError as error:
                raise from_os_error(error) from None
    return stats, missing


async def contents_of(store: PrivateStore, on: Git, blobs: Mapping[bytes, str]) -> dict[bytes, Path]:
    """Where the contents of those of these files are that are pointers of LFS, by path."""
    lfs = {path for path, name in (await filtered_paths(on, list(blobs))).items() if name == "lfs"}
    pointers = await pointers_among(store, {blobs[path] for path in lfs})
    found = {path: found_in(store, pointers[blobs[path]]) for path in lfs if blobs[path] in pointers}
    return {path: place for path, place in found.items() if place is not None}


def found_in(store: PrivateStore, pointer: Pointer) -> Path | None:
    """The file with the content, in a store of the user's repository."""
    for folder in store.lfs_objects:
        place = pointer.below(folder)
        with contextlib.suppress(OSError):
            status = place.lstat()
            if stat.S_ISREG(status.st_mode) and status.st_size == pointer.size:
                return place
    return None


def _put(source: Path, target: Path, before: int) -> os.stat_result:
    """Older than the index (`before`, in nanoseconds), so that git trusts the file's numbers."""
    fresh = target.with_name(f".{target.name}.{os.urandom(6).hex()}")
    mode = stat.S_IMODE(target.lstat().st_mode)
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "wb") as writing, source.open("rb") as reading:
            _copy(reading.fileno(), descriptor)
            os.fchmod(descriptor, mode)
            when = min(os.fstat(reading.fileno()).st_mtime_ns, before) - 2 * 10**9
            os.utime(descriptor, ns=(when, when))
            writing.flush()
        fresh.replace(target)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise
    return target.lstat()


def _copy(source: int, target: int) -> None:
    if hasattr(os, "copy_file_range"):
        with contextlib.suppress(OSError):
            while os.copy_file_range(source, target, 1 << 30):
                pass
            return
        os.lseek(source, 0, os.SEEK_SET)
        os.lseek(target, 0, os.SEEK_SET)
        os.ftruncate(target, 0)
    while chunk := os.read(source, 1 << 20):
        os.write(target, chunk)


@dataclass(frozen=True)
class Known:
    """A file on disk that a tree records as `pointer`; `blob` is what the index has for it already, if it is that. `status`
    was read before the content."""

    pointer: Pointer
    status: os.stat_result
    blob: str | None = None

    @property
    def mode(self) -> str:
        return "100755" if self.status.st_mode & 0o100 else "100644"


async def known_contents(store: PrivateStore, on: Git, root: Path, paths: Sequence[bytes]) -> dict[bytes, Known]:
    """Those of `paths` whose content their pointer in the index stands for, or a store of the user's repository has."""
    lfs = [path for path, name in (await filtered_paths(on, paths)).items() if name == "lfs"]
    if not lfs:
        return {}
    staged = await staged_blobs(on, lfs)
    pointers = await pointers_among(store, staged.values())
    found: dict[bytes, Known] = {}
    for path in lfs:
        seen = await asyncio.to_thread(_seen, root, path)
        if seen is None:
            continue
        pointer, status = seen
        if pointers.get(staged.get(path, "")) == pointer:
            found[path] = Known(pointer, status, staged[path])
        elif found_in(store, pointer) is not None:
            found[path] = Known(pointer, status)
    return found


def _seen(root: Path, path: bytes) -> tuple[Pointer, os.stat_result] | None:
    if below_symlink(root, path):
        return None
    try:
        descriptor = os.open(located(root, path), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            return None
        return Pointer(hashlib.file_digest(file, "sha256").hexdigest(), status.st_size), status


async def record_known(store: PrivateStore, on: Git, index: Path, known: Mapping[bytes, Known]) -> None:
    """The index has pointers for these files, and takes them for unchanged from now on."""
    if not known:
        return
    fresh = {path: each for path, each in known.items() if each.blob is None}
    oids = await store.write_blobs([each.pointer.text() for each in fresh.values()])
    entries = {path: (each.mode, oid) for (path, each), oid in zip(fresh.items(), oids, strict=True)}
    if dict(store.settings.values).get("core.filemode") != "false":
        entries |= {path: (each.mode, each.blob) for path, each in known.items() if each.blob is not None}
    if entries:
        await on.run("update-index", "-z", "--index-info", stdin=index_info(entries, store.null_oid))
    stats = {path: each.status for path, each in known.items()}
    await asyncio.to_thread(write_stats, index, stats, store.object_format)


async def with_pointers(store: PrivateStore, since: str, tree: str) -> str:
    """`tree` as a commit has it: files of LFS that differ from the tree `since` and hold their content become pointers, and
    the content goes to the store of the user's repository. Attributes are those of `tree`. Raises NoSpace."""
    if since == tree or not uses_lfs(store):
        return tree
    with store.scratch("attributes") as folder:
        on = store.git.at(store.path, index=Path(folder) / "index")
        await on.run("read-tree", tree)
        names = await on.out("diff-index", "--cached", "-z", "--name-only", "--diff-filter=d", "--no-renames", since)
        changed = [path for path in names.split(b"\0") if path]
        lfs = [path for path, name in (await filtered_paths(on, changed, cached=True)).items() if name == "lfs"]
        entries = {path: entry for path, entry in (await store.entries(tree, lfs)).items() if entry[0] in FILES}
    pointers = await pointers_among(store, [oid for _, oid in entries.values()])
    edited: dict[bytes, Entry] = {}
    for path, (mode, oid) in entries.items():
        if oid not in pointers:
            # One after the other: they may be large.
            content = (await store.read_blobs([oid]))[oid]
            pointer = await asyncio.to_thread(_stored, store.lfs_objects[0], content) if content else None
            if pointer is not None:
                edited[path] = (mode, (await store.write_blobs([pointer.text()]))[0])
    return await store.edited_tree(tree, edited)


def _stored(folder: Path, content: bytes) -> Pointer:
    pointer = Pointer(hashlib.sha256(content).hexdigest(), len(content))
    place = pointer.below(folder)
    if not place.exists():
        fresh = place.with_name(f".{place.name}.{os.urandom(6).hex()}")
        try:
            place.parent.mkdir(parents=True, exist_ok=True)
            fresh.write_bytes(content)
            fresh.replace(place)
        except OSError as error:
            fresh.unlink(missing_ok=True)
            raise from_os_error(error) from None
    return pointer
