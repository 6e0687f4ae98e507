"""The lines that a difference of trees brings, and where else they are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Final

from goose_py.git.private import Entry, PrivateStore

_MOST_BYTES: Final = 1024 * 1024
_MOST_LOOKED_FOR: Final = 200
_FILES: Final = frozenset({"100644", "100755"})


async def added_lines(store: PrivateStore, changes: Sequence[tuple[Entry, Entry]]) -> list[frozenset[bytes]]:
    """For each pair of an old and a new entry the lines that only the new one has, without the white space around them. Of
    binary files, and of those above a megabyte, there are none."""
    sizes = await store.blob_sizes(oid for pair in changes for mode, oid in pair if mode in _FILES)
    blobs = await store.read_blobs(oid for oid, size in sizes.items() if size <= _MOST_BYTES)
    lines = {oid: frozenset(map(bytes.strip, data.split(b"\n"))) for oid, data in blobs.items() if b"\0" not in data}
    nothing = frozenset[bytes]()
    return [lines.get(new, nothing) - lines.get(old, nothing) for (_, old), (_, new) in changes]


async def lines_in(store: PrivateStore, tree: str, lines: Collection[bytes]) -> frozenset[bytes]:
    """Those that some file of the tree has, be it as a part of a line. Only the longest of very many are looked for: the others
    are where these all are."""
    wanted = sorted(lines, key=len, reverse=True)
    if not wanted:
        return frozenset()
    with store.scratch("lines") as folder:
        patterns = Path(folder) / "patterns"
        patterns.write_bytes(b"".join(line + b"\n" for line in wanted[:_MOST_LOOKED_FOR]))
        done = await store.bound.run("grep", "-h", "-o", "-I", "-F", "-f", str(patterns), tree, ok=(0, 1))
    found = set(done.stdout.split(b"\n"))
    there = {line for line in wanted[:_MOST_LOOKED_FOR] if line in found or any(line in each for each in found)}
    rest = wanted[_MOST_LOOKED_FOR:] if len(there) == _MOST_LOOKED_FOR else []
    return frozenset(there | set(rest))
