"""What a merge has left for somebody to resolve: files with conflict markers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from goose_py.git.contents.submodules import LINK
from goose_py.git.paths import parents
from goose_py.git.private import ABSENT, PrivateStore
from goose_py.git.trees.merge import Merged
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.protocol.resolving import Resolving

_MARKER = re.compile(rb"(?:<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)[ \t\r]|(?:=======|<<<<<<<|>>>>>>>|\|\|\|\|\|\|\|)\s*\Z")


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


async def conflicting_text(store: PrivateStore, merged: Merged, path: str) -> str:
    """The file of a conflicted merge with its markers, for the task that has to resolve it. Raises KeyError, also for a
    submodule."""
    return await _text(store, merged.tree, path_to_bytes(path))


async def _text(store: PrivateStore, tree: str, raw: bytes) -> str:
    entries = await store.entries(tree, [raw, *parents(raw)])
    for parent in parents(raw):
        if entries.get(parent, ABSENT)[0] == LINK:
            return await _text(store, f"{entries[parent][1]}^{{tree}}", raw.removeprefix(parent + b"/"))
    if entries[raw][0] == LINK:
        raise KeyError(path_from_bytes(raw))
    blob = (await store.read_blobs([entries[raw][1]]))[entries[raw][1]]
    return blob.decode("utf-8", "replace")
