"""Everything that a task is at one moment, as one object: a tree with its files, its ignored files and its refs.

The states of a task are kept by a chain of commits, the newest of which has a ref in the private git directory.
"""

from __future__ import annotations

from dataclasses import dataclass

from goose_py.git.private import PrivateStore
from goose_py.git.runner import together

SNAPSHOTS = "refs/goose/snapshots/"
"""Trees of files, numbered from 1; neighbours differ."""
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

    async def newest(self) -> Parts | None:
        """What was recorded last."""
        done = await self.store.bound.run("ls-tree", "-z", _REF, ok=(0, 128))
        return _parts_in(done.stdout) if done.stdout else None

    async def add(self, parts: Parts, base: str) -> str:
        """Keeps a state for good, and its files as a snapshot, with copies of those of its objects that git had found in the
        user's store and might prune there; not of those of the tree `base`. The newest one again is nothing new."""
        state, (commit, before, kept) = await together(self._tree(parts), self._refs())
        updates = [] if kept[-1:] == [parts.files] else [f"create {SNAPSHOTS}{len(kept) + 1} {parts.files}\n"]
        if state != before:
            since = before or await self._tree(Parts(base))
            making = self.store.commit(state, [commit] if commit else [], "A recorded state\n")
            new, _ = await together(making, self.store.own(state, since=since))
            updates.append(f"update {_REF} {new} {commit or self.store.null_oid}\n")
        if updates:
            await self.store.bound.run("update-ref", "--stdin", stdin="".join(updates).encode())
        return state

    async def parts(self, state: str) -> Parts:
        return _parts_in(await self.store.bound.out("ls-tree", "-z", state))

    async def kept(self, state: str) -> bool:
        """Whether it is one of the task's."""
        listing = await self.store.bound.run("log", "--format=%T", _REF, ok=(0, 128))
        return state in listing.stdout.decode().split()

    async def _tree(self, parts: Parts) -> str:
        rows = [f"040000 tree {parts.files}\tfiles\0"]
        rows += [f"040000 tree {parts.ignored}\tignored\0"] if parts.ignored else []
        rows += [f"100644 blob {parts.refs}\trefs\0"] if parts.refs else []
        return await self.store.bound.line("mktree", "-z", stdin="".join(rows).encode())

    async def _refs(self) -> tuple[str | None, str | None, list[str]]:
        """The newest commit of the chain and its tree, and the trees of all snapshots."""
        layout = ("--format=%(objectname) %(tree)", "--sort=version:refname", _REF, SNAPSHOTS)
        told = await self.store.bound.line("for-each-ref", *layout)
        rows = [line.split(" ") for line in told.splitlines()]
        commits = [row for row in rows if row[1]]
        commit, tree = commits[0] if commits else (None, None)
        return commit, tree, [row[0] for row in rows if not row[1]]


def _parts_in(listing: bytes) -> Parts:
    rows = (row.partition("\t") for row in listing.decode().split("\0") if row)
    found = {name: head.split(" ")[2] for head, _, name in rows}
    return Parts(found["files"], found.get("ignored", ""), found.get("refs", ""))
