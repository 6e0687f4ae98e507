"""Single files of a tree, as a checkout of the whole tree would write them."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from goose_py.git.paths import parents
from goose_py.git.private import PrivateStore, index_info

_ATTRIBUTES = b".gitattributes"


async def extract(store: PrivateStore, tree: str, paths: Iterable[bytes], folder: Path) -> None:
    """Writes those of `paths` that `tree` has below `folder`, which exists: links as links, and with the line ends and the
    encoding that the tree's `.gitattributes` and the copied settings ask for. The attribute files that apply are written
    beside them; what stands there already is written anew. Runs no filter."""
    wanted = set(paths)
    attributes = {folder + b"/" + _ATTRIBUTES for path in wanted for folder in parents(path)} | {_ATTRIBUTES}
    found = await store.entries(tree, sorted(wanted | attributes))
    with store.scratch("extract") as scratch:
        on = store.on(folder, index=Path(scratch) / "index")
        await on.run("update-index", "-z", "--index-info", stdin=index_info(found, store.null_oid))
        await on.run("checkout-index", "--all", "--force", "--quiet")
