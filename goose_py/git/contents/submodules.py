"""Submodules in a task's worktree: filled from what the user's repository has of them, and recorded like everything else.

A submodule that we filled has a private git directory of its own below the task's, with an index and a configuration that
are ours; its objects are the task's store, which borrows from the stores of `.git/modules`. Nothing in `.git/modules` is
executed or even opened as a repository: only its objects are read, by the id that the superproject records.

In a recorded tree a submodule is what it is in any tree of git, a link to a commit. Where its files differ from every commit
that we know of, we make one (`MADE`) that nobody else ever sees: it is in no branch and is never published. To be shown and
chosen from, such links are replaced by the files behind them (`opened`, `closed`).
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.git.contents.lfs import mentions_lfs, put_contents
from goose_py.git.paths import below_symlink, located, parents
from goose_py.git.private import ABSENT, PrivateStore, index_info, make_git_dir
from goose_py.git.runner import Git
from goose_py.git.trees.patch import RawChange, parse_raw
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

LINK = "160000"
MADE = "The files of a submodule as a task left them\n"

_FOLDER = "submodules"
_NAME = "path"


@dataclass(frozen=True)
class Checkout:
    """A folder whose files an index of ours records: a task's worktree, or a submodule in it, whose path with a slash is
    `prefix` then."""

    store: PrivateStore
    worktree: Path
    prefix: bytes = b""

    @property
    def root(self) -> Path:
        return located(self.worktree, self.prefix.rstrip(b"/"))

    @property
    def on(self) -> Git:
        """Git on these files, by their index of ours."""
        if not self.prefix:
            return self.store.on(self.worktree)
        bound = self.store.git.at(
            self._git_dir, work_tree=self.root, index=self.index, objects=self.store.path / "objects"
        )
        return bound.with_env(GIT_OPTIONAL_LOCKS="1", **self.store.identity())

    def rules_on(self, work_tree: Path, index: Path) -> Git:
        """Git on files elsewhere by an index that is not ours, with the rules of this checkout besides those in the files."""
        bound = self.store.git.at(self._git_dir if self.prefix else self.store.path, work_tree=work_tree, index=index)
        return bound.with_env(GIT_OPTIONAL_LOCKS="0")

    @property
    def index(self) -> Path:
        return self._git_dir / "index" if self.prefix else self.store.index

    async def put_contents(self, paths: Sequence[str] | None = None) -> None:
        """Replace pointers of LFS among `paths` (all that the index has by default), which git has just written."""
        if paths is None:
            listing = await self.on.out("ls-files", "-z")
            paths = [path_from_bytes(path) for path in listing.split(b"\0") if path]
        if mentions_lfs(self.store, self.root, paths):
            raw = [path_to_bytes(path) for path in paths]
            await put_contents(self.store, self.on, self.root, self.index, raw)

    @property
    def usable(self) -> bool:
        """Its folder is there and is no way out of the worktree."""
        return self.root.is_dir() and not self.root.is_symlink() and not below_symlink(self.worktree, self.prefix.rstrip(b"/"))

    def within(self, path: bytes) -> Checkout:
        return Checkout(self.store, self.worktree, self.prefix + path + b"/")

    def filled(self) -> dict[bytes, Checkout]:
        """The submodules of this folder that were filled, by their path in it."""
        known = filled_paths(self.store)
        inside = [path.removeprefix(self.prefix) for path in known if path.startswith(self.prefix)]
        return {path: self.within(path) for path in inside if not any(parent in inside for parent in parents(path))}

    def begin(self) -> None:
        """Makes the private git directory of a submodule. An earlier one stays as it is."""
        if not (self._git_dir / "HEAD").exists():
            make_git_dir(self._git_dir, self.store.object_format)
            self.store.configure(self._git_dir, of_submodule=True)
        # What makes it one of the filled comes last.
        (self._git_dir / _NAME).write_bytes(self.prefix.rstrip(b"/"))

    def remember(self, tree: str, commit: str) -> None:
        """`commit` of the submodule has this tree."""
        (self._git_dir / tree).write_text(commit)

    def remembered(self, tree: str) -> str | None:
        try:
            return (self._git_dir / tree).read_text()
        except FileNotFoundError:
            return None

    @property
    def _git_dir(self) -> Path:
        return self.store.path / _FOLDER / hashlib.sha256(self.prefix).hexdigest()[:16]


def filled_paths(store: PrivateStore) -> list[bytes]:
    """The submodules that were ever filled for this task, by their path in the worktree, nested ones too."""
    folder = store.path / _FOLDER
    if not folder.is_dir():
        return []
    return sorted(name.read_bytes() for name in folder.glob(f"*/{_NAME}"))


async def commit_with(checkout: Checkout, tree: str, since: str | None) -> str:
    """The commit of a submodule that its files are those of: one that was checked out there, or one that is made and kept.
    `since` is the commit that was recorded before."""
    known = checkout.remembered(tree)
    if known is not None:
        return known
    store = checkout.store
    commit = await made_commit(store, tree)
    if since is not None:
        await store.own(tree, since=since)
    checkout.remember(tree, commit)
    return commit


async def made_commit(store: PrivateStore, tree: str) -> str:
    """The same for the same tree, whoever asks and whenever, and kept by a ref."""
    person = {f"GIT_{who}_{what}": value for who in ("AUTHOR", "COMMITTER") for what, value in _NOBODY}
    commit = await store.bound.with_env(**person).line("commit-tree", tree, stdin=MADE.encode())
    await store.bound.run("update-ref", f"refs/goose/submodules/{commit}", commit)
    return commit


_NOBODY = (("NAME", "goose-py"), ("EMAIL", "goose-py@localhost"), ("DATE", "@1 +0000"))


async def readable_commits(store: PrivateStore, commits: list[str]) -> dict[str, str]:
    """Those that can be read, each with its tree."""
    wanted = "".join(f"{commit}^{{tree}}\n" for commit in commits)
    if not wanted:
        return {}
    output = await store.bound.out("cat-file", "--batch-check", stdin=wanted.encode())
    rows = [line.split(" ") for line in output.decode("utf-8", "replace").splitlines()]
    return {commit: row[0] for commit, row in zip(commits, rows, strict=True) if len(row) == 3 and row[1] == "tree"}


async def links_of(store: PrivateStore, tree: str) -> dict[bytes, str]:
    """The submodules of a tree, by path, with their commits."""
    return links_in(await store.bound.out("ls-tree", "-r", "-z", tree))


def links_in(listing: bytes) -> dict[bytes, str]:
    """The same from the output of `ls-tree -r -z`."""
    rows = (row.partition(b"\t") for row in listing.split(b"\0") if row.startswith(b"160000 "))
    return {path: head.split(b" ")[2].decode() for head, _, path in rows}


@dataclass(frozen=True)
class Filling:
    """Paths in the worktree: what was filled, and what stays empty because its commit cannot be read."""

    filled: tuple[bytes, ...] = ()
    empty: tuple[bytes, ...] = ()


MOST = 1000
"""Submodules of one worktree that are filled, in the order of their paths; the others stay empty. Ten links to a commit that
has ten links, and so on, are a few kilobytes in a repository and would be more files than any disk holds."""
DEEPEST = 16
"""Submodules within each other."""


class _Room:
    """How many submodules may still be filled."""

    def __init__(self) -> None:
        self._left = MOST

    def taken(self, above: int) -> bool:
        """Whether there is room for one more that is within `above` others. Whatever is asked about takes some."""
        self._left -= 1
        return self._left >= 0 and above < DEEPEST


async def fillable(
    store: PrivateStore, links: Mapping[bytes, str], room: _Room | None = None, above: int = 0
) -> Filling:
    """What `fill_submodules` would do in empty folders."""
    room = room or _Room()
    trees = await readable_commits(store, sorted(set(links.values())))
    filled: list[bytes] = []
    empty: list[bytes] = []
    for path, commit in sorted(links.items()):
        if not room.taken(above) or commit not in trees:
            empty.append(path)
            continue
        below = await fillable(store, await links_of(store, trees[commit]), room, above + 1)
        filled += [path, *(path + b"/" + inner for inner in below.filled)]
        empty += [path + b"/" + inner for inner in below.empty]
    return Filling(tuple(filled), tuple(empty))


async def fill_submodules(
    checkout: Checkout, links: Mapping[bytes, str], room: _Room | None = None, above: int = 0
) -> Filling:
    """Puts the files of submodules into their empty folders below `checkout`, at the commits of `links`, and nested ones."""
    room = room or _Room()
    trees = await readable_commits(checkout.store, sorted(set(links.values())))
    filled: list[bytes] = []
    empty: list[bytes] = []
    for path, commit in sorted(links.items()):
        inner = checkout.within(path)
        if not room.taken(above) or commit not in trees or not _may_fill(inner):
            empty.append(inner.prefix.rstrip(b"/"))
            continue
        await asyncio.to_thread(inner.begin)
        await inner.on.run("read-tree", "--reset", "-u", trees[commit])
        inner.remember(trees[commit], commit)
        await inner.put_contents()
        below = await fill_submodules(inner, await links_of(checkout.store, trees[commit]), room, above + 1)
        filled += [inner.prefix.rstrip(b"/"), *below.filled]
        empty += below.empty
    return Filling(tuple(filled), tuple(empty))


def _may_fill(checkout: Checkout) -> bool:
    if os.path.lexists(checkout.root) or below_symlink(checkout.worktree, checkout.prefix.rstrip(b"/")):
        return checkout.usable and not any(checkout.root.iterdir())
    checkout.root.mkdir(parents=True)
    return True


@dataclass(frozen=True)
class Opened:
    """Two trees in which submodules that differ in files of their own are folders with these files. `links` are their
    commits on both sides, by path, outer ones first."""

    base: str
    result: str
    links: Mapping[bytes, tuple[str, str]]

    def inside(self, path: bytes) -> bool:
        """Whether it is a file of a submodule."""
        return any(parent in self.links for parent in parents(path))


async def opened(store: PrivateStore, base: str, result: str) -> Opened:
    """Where no submodule was ever filled, the trees themselves."""
    links: dict[bytes, tuple[str, str]] = {}
    while base != result and (store.path / _FOLDER).is_dir():
        found = await _made_links(store, base, result)
        if not found:
            break
        trees = await readable_commits(store, sorted({commit for pair in found.values() for commit in pair}))
        base = await _with_folders(store, base, {path: trees[old] for path, (old, _) in found.items()})
        result = await _with_folders(store, result, {path: trees[new] for path, (_, new) in found.items()})
        links |= found
    return Opened(base, result, links)


async def closed(store: PrivateStore, both: Opened, tree: str) -> str:
    """`tree`, which has folders where `both` has them, with links in their places again."""
    for path, pair in reversed(both.links.items()):
        name = f"{tree}:{os.fsdecode(path)}"
        done = await store.bound.run("rev-parse", "--verify", "--quiet", name, ok=(0, 1, 128))
        inner = done.stdout.decode().strip() or await store.bound.line("mktree")
        known = {found: commit for commit, found in (await readable_commits(store, list(pair))).items()}
        commit = known.get(inner) or await made_commit(store, inner)
        tree = await _with_link(store, tree, path, commit)
    return tree


async def edited_tree(store: PrivateStore, base: str, result: str, changes: Mapping[bytes, tuple[str, str]]) -> str:
    """`base` with some paths set to an entry; the paths are those of the difference between `base` and `result`, which may
    lie inside submodules."""
    both = await opened(store, base, result)
    tree = await store.edited_tree(both.base, changes)
    return await closed(store, both, tree)


async def made_among(store: PrivateStore, changes: Mapping[bytes, tuple[str, str]]) -> dict[bytes, tuple[str, str]]:
    """Those of `changes`, pairs of the old and the new commit of submodules, that are about files: one side was made by us,
    and both can be read."""
    commits = sorted({commit for pair in changes.values() for commit in pair})
    there = await readable_commits(store, commits)
    texts = await store.read_blobs(there)
    made = {commit for commit, text in texts.items() if text.endswith(f"\n\n{MADE}".encode())}
    return {path: pair for path, pair in changes.items() if set(pair) & made and set(pair) <= set(there)}


def link_changes(changes: Iterator[RawChange]) -> dict[bytes, tuple[str, str]]:
    """The old and the new commit of each submodule that is on both sides."""
    return {each.path: (each.old_oid, each.new_oid) for each in changes if each.old_mode == each.new_mode == LINK}


async def _made_links(store: PrivateStore, base: str, result: str) -> dict[bytes, tuple[str, str]]:
    output = await store.bound.out("diff-tree", "-r", "-z", "--raw", "--no-renames", "--full-index", base, result)
    changed = link_changes(parse_raw(iter(output.split(b"\0"))))
    return await made_among(store, changed) if changed else {}


async def _with_folders(store: PrivateStore, tree: str, folders: Mapping[bytes, str]) -> str:
    with store.scratch("opened") as folder:
        # Without a working tree git refuses --prefix; this one stays empty.
        on = store.git.at(store.path, index=Path(folder) / "index", work_tree=Path(folder))
        await on.run("read-tree", tree)
        gone = index_info(dict.fromkeys(folders, ABSENT), store.null_oid)
        await on.run("update-index", "-z", "--index-info", stdin=gone)
        for path, inner in folders.items():
            await on.run("read-tree", f"--prefix={os.fsdecode(path)}/", inner)
        return await on.line("write-tree")


async def _with_link(store: PrivateStore, tree: str, path: bytes, commit: str) -> str:
    listing = await store.bound.out("ls-tree", "-r", "-z", "--name-only", tree, "--", os.fsdecode(path + b"/"))
    changes = dict.fromkeys((name for name in listing.split(b"\0") if name), ABSENT)
    return await store.edited_tree(tree, {**changes, path: (LINK, commit)})
