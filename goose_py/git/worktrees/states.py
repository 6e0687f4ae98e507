"""Everything that a task is at one moment, as one object: a tree with its files, its ignored files and its refs.

The states of a task are kept by a chain of commits, the newest of which has a ref in the private git directory.
"""

from __future__ import annotations

from dataclasses import dataclass

from goose_py.git.private import PrivateStore
from goose_py.git.repository import update_ref

_REF = "refs/goose/records"


@dataclass(frozen=True)
class Parts:
    """Object ids: `files` and `ignored` are trees, `refs` is a text (see `TaskRefs`). "" where there is none."""

    files: str
    ignored: str = ""
    refs: str = ""


@dataclass(frozen=True)
class States:
    store: PrivateStore

    async def latest(self) -> str | None:
        """The state that was recorded last."""
        return (await self._tip())[1]

    async def add(self, parts: Parts, base: str) -> str:
        """Keeps a state for good, with copies of those of its objects that git had found in the user's store and might prune
        there; not of those of the tree `base`. The newest one again is nothing new."""
        state = await self._tree(parts)
        commit, before = await self._tip()
        if state == before:
            return state
        await self.store.own(state, since=before or await self._tree(Parts(base)))
        new = await self.store.commit(state, [commit] if commit else [], "A recorded state\n")
        await update_ref(self.store.bound, _REF, new, commit)
        return state

    async def parts(self, state: str) -> Parts:
        listing = (await self.store.bound.out("ls-tree", "-z", state)).decode()
        rows = (row.partition("\t") for row in listing.split("\0") if row)
        found = {name: head.split(" ")[2] for head, _, name in rows}
        return Parts(found["files"], found.get("ignored", ""), found.get("refs", ""))

    async def kept(self, state: str) -> bool:
        """Whether it is one of the task's."""
        listing = await self.store.bound.run("log", "--format=%T", _REF, ok=(0, 128))
        return state in listing.stdout.decode().split()

    async def _tree(self, parts: Parts) -> str:
        rows = [f"040000 tree {parts.files}\tfiles\0"]
        rows += [f"040000 tree {parts.ignored}\tignored\0"] if parts.ignored else []
        rows += [f"100644 blob {parts.refs}\trefs\0"] if parts.refs else []
        return await self.store.bound.line("mktree", "-z", stdin="".join(rows).encode())

    async def _tip(self) -> tuple[str | None, str | None]:
        """The newest commit of the chain, and its tree."""
        told = await self.store.bound.line("for-each-ref", "--format=%(objectname) %(tree)", _REF)
        commit, _, tree = told.partition(" ")
        return commit or None, tree or None
