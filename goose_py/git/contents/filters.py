"""Files that git would pass through a filter program. We run none, so what is on disk may not be what git stores."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from goose_py.git.private import PrivateStore
from goose_py.git.runner import Git


async def filtered_paths(on: Git, paths: Sequence[bytes], *, cached: bool = False) -> dict[bytes, str]:
    """Those of `paths` that git attributes assign a filter, with the filter's name. Attributes are those of the working tree
    or, with `cached`, of the index alone."""
    if not paths:
        return {}
    options = ("--cached",) if cached else ()
    output = await on.out("check-attr", "-z", "--stdin", *options, "filter", stdin=b"\0".join(paths) + b"\0")
    fields = output.split(b"\0")
    rows = zip(fields[0::3], fields[2::3], strict=False)
    return {path: value.decode("utf-8", "replace") for path, value in rows if value not in (b"unspecified", b"unset", b"")}


async def filtered_in(store: PrivateStore, tree: str, paths: Sequence[bytes]) -> dict[bytes, str]:
    """The same by the attributes of a tree."""
    with store.scratch("attributes") as folder:
        on = store.git.at(store.path, index=Path(folder) / "index")
        await on.run("read-tree", tree)
        return await filtered_paths(on, paths, cached=True)


async def staged_blobs(on: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
    """What the index has for those of `paths` that it knows."""
    limited = ("--", *(os.fsdecode(path) for path in paths)) if len(paths) <= 200 else ()
    wanted = set(paths)
    found = {}
    for row in (await on.out("ls-files", "-z", "--stage", *limited)).split(b"\0"):
        head, separator, path = row.partition(b"\t")
        if separator and path in wanted and head.endswith(b" 0"):
            found[path] = head.split(b" ")[1].decode()
    return found
