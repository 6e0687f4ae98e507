"""What git ignores in a worktree, recorded beside its files: work that no tree of the files holds.

It has an index of its own, and a git directory for that in which no attribute changes a byte. What its programs make anew is
left out unsaid, what is too much of it by name.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goose_py.git.contents.submodules import Checkout
from goose_py.git.errors import GitFailed
from goose_py.git.paths import below_symlink, files_below, located, relative
from goose_py.git.private import PrivateStore, make_git_dir
from goose_py.git.runner import Git
from goose_py.git.trees.snapshot import refused_names, tree_of_index
from goose_py.protocol.changes import path_from_bytes

CACHES: Final = frozenset(
    {
        "__pycache__", ".pytest_cache", ".mypy_cache", ".ruff_cache", ".hypothesis", ".ipynb_checkpoints", ".nyc_output",
        "htmlcov", "coverage", ".parcel-cache", ".turbo", ".eslintcache", ".DS_Store", ".coverage", ".cache",
    }
)  # fmt: skip
"""Their programs make them anew."""


@dataclass(frozen=True)
class Bounds:
    """How much is recorded: of one file, and of all together."""

    file_bytes: int = 16 * 1024 * 1024
    files: int = 2_000
    bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True)
class Ignored:
    """`tree` holds what was recorded, "" for nothing; `left_out` are files and whole folders (with a slash) that it does
    not."""

    tree: str
    left_out: tuple[str, ...] = ()


class IgnoredFiles(Checkout):
    """The ignored files of a worktree as a checkout of their own, which a tree can be recorded of and switched to."""

    @classmethod
    def of(cls, store: PrivateStore, worktree: Path) -> IgnoredFiles:
        found = cls(store, worktree)
        folder = found._git_dir
        if not (folder / "info" / "attributes").exists():
            if not (folder / "HEAD").exists():
                make_git_dir(folder, store.object_format)
                store.configure(folder, of_submodule=True)
            (folder / "info").mkdir(exist_ok=True)
            (folder / "info" / "attributes").write_text("* -text -eol -ident -filter -working-tree-encoding\n")
        return found

    @property
    def on(self) -> Git:
        bound = self.store.git.at(
            self._git_dir, work_tree=self.root, index=self.index, objects=self.store.path / "objects"
        )
        return bound.with_env(GIT_OPTIONAL_LOCKS="1", **self.store.identity())

    @property
    def index(self) -> Path:
        return self._git_dir / "index"

    def filled(self) -> dict[bytes, Checkout]:
        return {}

    @property
    def _git_dir(self) -> Path:
        return self.store.path / "ignored"

    async def record(self, listed: Sequence[bytes], bounds: Bounds) -> Ignored:
        """Of `listed`, which are files and folders (with a slash) as git lists them."""
        try:
            return await self._record(listed, bounds)
        except GitFailed:
            # A file changed or vanished while it was being read: look again, once.
            return await self._record(listed, bounds)

    async def _record(self, listed: Sequence[bytes], bounds: Bounds) -> Ignored:
        kept, left_out = await asyncio.to_thread(_bounded, self.root, listed, bounds)
        if not kept and not self.index.exists():
            return Ignored("", left_out)
        on = self.on
        known = (await on.out("ls-files", "-z")).split(b"\0") if self.index.exists() else []
        paths = sorted({*kept, *filter(None, known)})
        gone = [path for path in paths if path not in kept]
        if gone:
            await on.run("update-index", "-z", "--force-remove", "--stdin", stdin=b"\0".join(gone) + b"\0")
        if kept:
            adding = ("update-index", "-z", "--add", "--remove", "--replace", "--stdin")
            done = await on.run(*adding, stdin=b"\0".join(sorted(kept)) + b"\0")
            left_out = (*left_out, *refused_names(done.stderr))
        tree = await tree_of_index(on)
        return Ignored(tree if kept else "", left_out)


def is_cache(path: bytes) -> bool:
    names = os.fsdecode(path).rstrip("/").split("/")
    return path.endswith(b".pyc") or not CACHES.isdisjoint(names)


def _bounded(root: Path, listed: Iterable[bytes], bounds: Bounds) -> tuple[set[bytes], tuple[str, ...]]:
    """Single files first; a folder that is too much is left out as a whole."""
    kept: set[bytes] = set()
    left_out: list[str] = []
    files, room = bounds.files, bounds.bytes
    for entry in sorted(listed, key=lambda path: (path.endswith(b"/"), path)):
        if is_cache(entry):
            continue
        found = list(itertools.islice(_sizes(root, entry), files + 1))
        # One that is too large does not keep the rest of its folder out.
        large = [path for path, size in found if size is None or size > bounds.file_bytes]
        fits = [(path, size) for path, size in found if size is not None and size <= bounds.file_bytes]
        total = sum(size for _, size in fits)
        if len(found) > files or total > room:
            left_out.append(path_from_bytes(entry))
            continue
        left_out += map(path_from_bytes, large)
        kept.update(path for path, _ in fits)
        files, room = files - len(found), room - total
    return kept, tuple(sorted(left_out))


def _sizes(root: Path, entry: bytes) -> Iterator[tuple[bytes, int | None]]:
    """The files of an entry; without a size where one cannot be read. What is no file holds nothing."""
    place = located(root, entry.rstrip(b"/"))
    for path in files_below(root, place) if entry.endswith(b"/") else [relative(root, place)]:
        here = located(root, path)
        try:
            status = here.lstat()
        except OSError:
            continue
        if is_cache(path) or below_symlink(root, path):
            continue
        if stat.S_ISLNK(status.st_mode):
            yield path, status.st_size
        elif stat.S_ISREG(status.st_mode):
            yield path, status.st_size if os.access(here, os.R_OK) else None
