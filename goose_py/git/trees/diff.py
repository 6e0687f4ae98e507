"""Diffs between two trees of a private store. No working tree is involved, so nothing an agent wrote (attributes, textconv)
decides how its changes are shown."""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import re
from collections.abc import Sequence

import msgspec

from goose_py.git.contents.lfs import FILES, pointers_among, uses_lfs
from goose_py.git.contents.submodules import opened
from goose_py.git.private import PrivateStore
from goose_py.git.trees.flags import flags_of, flags_of_hunks
from goose_py.git.trees.patch import RawChange, hunk_values, parse_numstat, parse_patch, parse_raw
from goose_py.protocol.changes import ChangeSet, FileChange, FileStatus, Flag, path_from_bytes, path_to_bytes

_OPTIONS = ("-r", "-z", "--raw", "-M", "--full-index", "--no-color", "--no-ext-diff", "--no-textconv", "--no-relative")
_PATCH_OPTIONS = ("-p", "--diff-algorithm=histogram", "-U3", "--inter-hunk-context=0", "--src-prefix=a/", "--dst-prefix=b/")

_CONTROL = re.compile(rb"[\x00-\x07\x0e-\x1a\x1c-\x1f]")
SYMLINK_MODE = "120000"
LARGE_FILE_BYTES = 8 * 1024 * 1024
"""A side of a text change above this gets no hunks: it is decided as a whole."""


async def changeset_summary(store: PrivateStore, base_tree: str, result_tree: str) -> ChangeSet:
    """Every changed file with its counts and without hunks: what a list of files needs, whatever the changes' size. What a
    task changed inside a submodule is there by file."""
    if base_tree == result_tree:
        return ChangeSet(base_tree=base_tree, result_tree=result_tree)
    both = await opened(store, base_tree, result_tree)
    output = await store.bound.out("diff-tree", *_OPTIONS, "--numstat", both.base, both.result)
    raw, counts = _raw_and_counts(output)
    lfs = await _lfs_changes(store, raw)
    unread = [each for each in raw if counts.get(each.path) == (None, None) and each.path not in lfs]
    counts |= await _hidden_text(store, unread)
    files = (
        _file_change(
            change, (None, None) if change.path in lfs else counts.get(change.path, (None, None)), None,
            {"in_submodule"} if both.inside(change.path) else set(), {"lfs"} if change.path in lfs else set(),
        )
        for change in raw
    )  # fmt: skip
    return ChangeSet(base_tree=base_tree, result_tree=result_tree, files=tuple(files))


async def diff(store: PrivateStore, base_tree: str, result_tree: str) -> ChangeSet:
    """The whole changeset with the hunks of every file."""
    summary = await changeset_summary(store, base_tree, result_tree)
    return await with_hunks(store, summary)


async def with_hunks(store: PrivateStore, changeset: ChangeSet, paths: Sequence[str] | None = None) -> ChangeSet:
    """The changeset with hunks loaded for `paths` (all of them by default); other files stay as they are."""
    wanted = None if paths is None else set(paths)
    chosen = [file for file in changeset.files if file.hunks is None and (wanted is None or file.path in wanted)]
    if not chosen:
        return changeset
    loaded = {file.path: file for file in await _load(store, chosen)}
    files = tuple(loaded.get(file.path, file) for file in changeset.files)
    return ChangeSet(base_tree=changeset.base_tree, result_tree=changeset.result_tree, files=files)


async def file_change(store: PrivateStore, changeset: ChangeSet, path: str) -> FileChange:
    """One file of a summary with its hunks. Raises KeyError where the changeset has no such path."""
    file = changeset.file(path)
    if file is None:
        raise KeyError(path)
    return file if file.hunks is not None else (await _load(store, [file]))[0]


async def diff_text(store: PrivateStore, base_tree: str, result_tree: str, limit: int) -> str:
    """The difference as a unified diff for a reader, at most about `limit` characters: cut at a line, with the number of
    lines that are missing. Bytes that are not UTF-8 are replaced."""
    if base_tree == result_tree:
        return ""
    options = [option for option in _OPTIONS if option not in ("-z", "--raw")]
    both = await opened(store, base_tree, result_tree)
    patch = await store.bound.out("diff-tree", *options, *_PATCH_OPTIONS, both.base, both.result)
    # Cut bytes before decoding: a patch may be many times larger than what is shown.
    text = patch[: limit * 4].decode("utf-8", "replace")
    if len(patch) <= limit * 4 and len(text) <= limit:
        return text
    shown = text[: text.rfind("\n", 0, limit) + 1]
    missing = patch.count(b"\n") - shown.count("\n")
    return f"{shown}... {missing} more lines of the diff are not shown\n"


async def _load(store: PrivateStore, chosen: Sequence[FileChange]) -> list[FileChange]:
    with_lines = [file for file in chosen if _is_text_pair(file)]
    sizes = await store.blob_sizes(oid for file in with_lines for oid in (file.old_oid, file.new_oid) if oid.strip("0"))
    large = {
        file.path for file in with_lines if max(sizes.get(file.old_oid, 0), sizes.get(file.new_oid, 0)) > LARGE_FILE_BYTES
    }
    readable = [file for file in with_lines if file.path not in large]
    patch = await _patch_of_pairs(store, readable)
    linked = await _with_links(store, chosen)
    return await asyncio.to_thread(_loaded, linked, large, [file.path for file in readable], patch)


async def _with_links(store: PrivateStore, files: Sequence[FileChange]) -> list[FileChange]:
    """The changes, those of symlinks with the places that they lead to."""
    old = {file.path: file.old_oid for file in files if file.old_mode == SYMLINK_MODE}
    new = {file.path: file.new_oid for file in files if file.new_mode == SYMLINK_MODE}
    blobs = await store.read_blobs({*old.values(), *new.values()}) if old or new else {}

    def leads(oid: str | None) -> str | None:
        return None if oid is None else path_from_bytes(blobs[oid])

    return [
        msgspec.structs.replace(file, old_link=leads(old.get(file.path)), new_link=leads(new.get(file.path)))
        if file.path in old or file.path in new
        else file
        for file in files
    ]


def _loaded(chosen: Sequence[FileChange], large: set[str], readable: Sequence[str], patch: bytes) -> list[FileChange]:
    sections = dict(zip(readable, parse_patch(patch), strict=True))
    files = []
    for file in chosen:
        section = sections.get(file.path)
        hunks = hunk_values(path_to_bytes(file.path), section) if section else ()
        flags = set(file.flags) | flags_of_hunks(hunks)
        if file.path in large:
            flags.add("large")
            file = msgspec.structs.replace(file, attributes_id=file.id)
        files.append(msgspec.structs.replace(file, hunks=hunks, flags=tuple(sorted(flags))))
    return files


async def _patch_of_pairs(store: PrivateStore, files: Sequence[FileChange] | Sequence[RawChange]) -> bytes:
    """One patch with one section for each file, in their order: blob against blob, under numbers for names. So it costs what
    these files cost, and which files are renames of which was decided once, for the whole changeset."""
    if not files:
        return b""
    old_tree, new_tree = [
        await store.flat_tree([oid if oid.strip("0") else None for oid in oids])
        for oids in ([file.old_oid for file in files], [file.new_oid for file in files])
    ]
    # --text: that they have lines was found out before, by content.
    options = [option for option in _OPTIONS if option not in ("-z", "--raw", "-M")]
    return await store.bound.out("diff-tree", *options, "--text", "--no-renames", *_PATCH_OPTIONS, old_tree, new_tree)


async def _hidden_text(store: PrivateStore, changes: Sequence[RawChange]) -> dict[bytes, tuple[int | None, int | None]]:
    """Lines added and removed by those of `changes` that are text, though git takes them for binary: because the attributes
    say so (`-diff`, `binary`), or for a stray NUL. What a person cannot read cannot be approved."""
    files = [each for each in changes if _both_are_files(each.old_mode, each.new_mode) and each.old_oid != each.new_oid]
    sizes = await store.blob_sizes(oid for each in files for oid in (each.old_oid, each.new_oid) if oid.strip("0"))
    text: list[RawChange] = []
    for each in files:
        sides = [oid for oid in (each.old_oid, each.new_oid) if oid.strip("0")]
        if all(sizes.get(oid, 0) <= LARGE_FILE_BYTES for oid in sides):
            contents = await store.read_blobs(sides)
            text += [each] if all(is_text(content) for content in contents.values()) else []
    # Not by --numstat, which never counts the lines of what it takes for binary.
    sections = parse_patch(await _patch_of_pairs(store, text))
    return {each.path: section.counts for each, section in zip(text, sections, strict=True)}


def is_text(content: bytes) -> bool:
    """By content alone, as git looks at it (its first 8,000 bytes). A NUL or two in what else is UTF-8 make nothing binary."""
    start = content[:8000]
    if b"\0" not in start:
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return False
    return len(_CONTROL.findall(start)) * 100 <= len(start)


def _raw_and_counts(output: bytes) -> tuple[list[RawChange], dict[bytes, tuple[int | None, int | None]]]:
    fields = output.split(b"\0")
    end = 0
    while end < len(fields) and fields[end].startswith(b":"):
        end += 3 if fields[end].rpartition(b" ")[2][:1] in (b"R", b"C") else 2
    return list(parse_raw(iter(fields[:end]))), parse_numstat(iter(fields[end:]))


async def _lfs_changes(store: PrivateStore, changes: Sequence[RawChange]) -> set[bytes]:
    """Files that were a pointer or become one: half of a pointer is none, so that they are decided as a whole."""
    if not uses_lfs(store):
        return set()
    both = [each for each in changes if each.letter in "MR" and {each.old_mode, each.new_mode} <= set(FILES)]
    pointers = await pointers_among(store, {oid for each in both for oid in (each.old_oid, each.new_oid)})
    return {each.path for each in both if each.old_oid != each.new_oid and {each.old_oid, each.new_oid} & set(pointers)}


def _file_change(
    change: RawChange, counts: tuple[int | None, int | None], hunks: None, *more: set[Flag]
) -> FileChange:
    binary = counts[0] is None and _both_are_files(change.old_mode, change.new_mode)
    path = path_from_bytes(change.path)
    old_path = path_from_bytes(change.old_path) if change.letter == "R" else None
    status = _status(change)
    attributes = (path, old_path or "", status, change.old_mode, change.new_mode)
    content = (change.old_oid, change.new_oid)
    flags = flags_of(path, change.old_mode, change.new_mode, binary).union(*more)
    return FileChange(
        id=_digest("file", *attributes, *content),
        # What is decided as a whole belongs to the attributes with its content.
        attributes_id=_digest("attributes", *attributes, *(() if _has_lines(change, binary) else content)),
        path=path,
        old_path=old_path,
        status=status,
        old_mode=change.old_mode,
        new_mode=change.new_mode,
        old_oid=change.old_oid,
        new_oid=change.new_oid,
        binary=binary,
        hunks=hunks,
        flags=tuple(sorted(flags)),
        added=None if binary else counts[0],
        removed=None if binary else counts[1],
    )


def _status(change: RawChange) -> FileStatus:
    if change.letter == "M" and change.old_oid == change.new_oid:
        return "mode"
    names: dict[str, FileStatus] = {
        "A": "added", "D": "deleted", "M": "modified", "R": "renamed", "T": "type-changed",
    }  # fmt: skip
    return names[change.letter]


def _both_are_files(old_mode: str, new_mode: str) -> bool:
    return all(mode in ("000000", "100644", "100755") for mode in (old_mode, new_mode))


def _has_lines(change: RawChange | FileChange, binary: bool) -> bool:
    return not binary and _both_are_files(change.old_mode, change.new_mode) and change.old_oid != change.new_oid


def _is_text_pair(file: FileChange) -> bool:
    return _has_lines(file, file.binary)


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
