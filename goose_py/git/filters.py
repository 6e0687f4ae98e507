"""Files that git would pass through a filter program. We run none, so what is on disk may not be what git stores."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
from collections.abc import Sequence
from pathlib import Path

from goose_py.git.paths import located
from goose_py.git.private import PrivateStore
from goose_py.git.runner import Git

# https://github.com/git-lfs/git-lfs/blob/main/docs/spec.md: a pointer is less than 1024 bytes long.
_POINTER = re.compile(rb"version https://git-lfs\.github\.com/spec/v1\n(?:ext-.*\n)*oid sha256:([0-9a-f]{64})\nsize (\d+)\n")
_POINTER_BYTES = 1024


async def filtered_paths(on: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
    """Those of `paths` that git attributes assign a filter, with the filter's name."""
    if not paths:
        return {}
    output = await on.out("check-attr", "-z", "--stdin", "filter", stdin=b"\0".join(paths) + b"\0")
    fields = output.split(b"\0")
    rows = zip(fields[0::3], fields[2::3], strict=False)
    return {path: value.decode("utf-8", "replace") for path, value in rows if value not in (b"unspecified", b"unset", b"")}


async def unchanged_lfs_files(store: PrivateStore, on: Git, root: Path, paths: Sequence[bytes]) -> set[bytes]:
    """Those of `paths` that hold the very content that the LFS pointer in the index stands for."""
    filtered = [path for path, name in (await filtered_paths(on, paths)).items() if name == "lfs"]
    if not filtered:
        return set()
    staged = await _staged_blobs(on, filtered)
    sizes = await store.blob_sizes(staged.values())
    small = {path: oid for path, oid in staged.items() if sizes.get(oid, _POINTER_BYTES) < _POINTER_BYTES}
    blobs = await store.read_blobs(small.values())
    return {
        path
        for path, oid in small.items()
        if (pointer := _POINTER.fullmatch(blobs[oid])) and await asyncio.to_thread(_holds, located(root, path), pointer)
    }


async def _staged_blobs(on: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
    limited = ("--", *(os.fsdecode(path) for path in paths)) if len(paths) <= 200 else ()
    wanted = set(paths)
    found = {}
    for row in (await on.out("ls-files", "-z", "--stage", *limited)).split(b"\0"):
        head, separator, path = row.partition(b"\t")
        if separator and path in wanted and head.endswith(b" 0"):
            found[path] = head.split(b" ")[1].decode()
    return found


def _holds(place: Path, pointer: re.Match[bytes]) -> bool:
    try:
        if place.is_symlink() or place.stat().st_size != int(pointer[2]):
            return False
        with place.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest() == pointer[1].decode()
    except OSError:
        return False
