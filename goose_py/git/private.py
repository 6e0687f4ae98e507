"""A task's private git directory: bare, 0700, with its own objects, index and refs, borrowing the user's objects.

Its configuration is written by us and names no program, so git can work on files that an agent controls without executing
anything; the user's index, refs and configuration are not involved.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import hashlib
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.git.contents.submodule_stores import module_stores
from goose_py.git.errors import GitError, MissingObjects, from_os_error
from goose_py.git.inert import InertSettings, read_inert_settings
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.patch import parse_raw

Entry = tuple[str, str]
"""(mode, oid) of a path in a tree."""

# No object of ours: nothing, or a submodule's commit.
_ELSEWHERE = ("000000", "160000")

LANDED = "refs/goose/landed"
"""The tree of the last approval that was applied."""

ABSENT: Entry = ("000000", "")


@dataclass(frozen=True)
class PrivateStore:
    """`path` is the git directory, `user_objects` and `module_objects` (the submodules') the object stores that it borrows
    from. `lfs_objects` are where the repository, then its submodules, keep contents for Git LFS; they need not exist.
    `others` are further object stores that are read, not borrowed from."""

    git: Git
    path: Path
    user_objects: Path
    object_format: str
    settings: InertSettings
    module_objects: tuple[Path, ...] = ()
    lfs_objects: tuple[Path, ...] = ()
    others: tuple[Path, ...] = ()

    @classmethod
    async def create(cls, repository: Repository, path: Path) -> PrivateStore:
        """Raises GitError where `path` exists already."""
        if path.exists():
            raise GitError(f"{path} already exists; a task's private git directory is made once.")
        settings = await read_inert_settings(repository)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            path.mkdir(mode=0o700)
            make_git_dir(path, repository.object_format)
            store = cls._of(repository, path, settings)
            store._borrow()
            store.configure(path)
            store._copy_info(repository)
        except OSError as error:
            shutil.rmtree(path, ignore_errors=True)
            raise from_os_error(error) from None
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        return store

    @classmethod
    async def open(cls, repository: Repository, path: Path) -> PrivateStore:
        """Re-attach to the repository, which may have been moved since. Raises GitError where there is no store."""
        if not (path / "HEAD").is_file():
            raise GitError(f"there is no private git directory at {path}; its task was removed or never created.")
        settings = await read_inert_settings(repository)
        store = cls._of(repository, path, settings)
        store._borrow()
        return store

    @classmethod
    def _of(cls, repository: Repository, path: Path, settings: InertSettings) -> PrivateStore:
        modules = module_stores(repository)
        homes = (repository.common_dir / (settings.lfs_storage or "lfs"), *(objects.with_name("lfs") for objects in modules))
        return cls(
            git=repository.git,
            path=path,
            user_objects=repository.objects,
            object_format=repository.object_format,
            settings=settings,
            module_objects=modules,
            lfs_objects=tuple(home / "objects" for home in homes),
        )

    @property
    def bound(self) -> Git:
        """For objects and refs: no working tree, so no attributes file of an agent is ever read."""
        return self.git.at(self.path, alternates=self.others).with_env(**self.identity())

    def beside(self, *stores: PrivateStore) -> PrivateStore:
        """This store, able to read the trees of other tasks too: to compare them and to see whether they conflict."""
        return replace(self, others=(*self.others, *(store.path / "objects" for store in stores)))

    @property
    def index(self) -> Path:
        return self.path / "index"

    def on(self, work_tree: Path, *, index: Path | None = None) -> Git:
        """Git on the files of `work_tree` with an index of ours (this store's own by default). Optional locks are on: the
        index is ours, and a refreshed one makes the next snapshot cheap."""
        bound = self.git.at(self.path, work_tree=work_tree, index=index or self.index)
        return bound.with_env(GIT_OPTIONAL_LOCKS="1", **self.identity())

    def scratch(self, prefix: str) -> tempfile.TemporaryDirectory[str]:
        """A temporary folder inside the private directory."""
        return tempfile.TemporaryDirectory(prefix=f"{prefix}-", dir=self.path)

    @contextlib.asynccontextmanager
    async def locked(self) -> AsyncIterator[None]:
        """One writer of the private index at a time, across processes. The kernel drops the lock when its holder dies, so
        an `index.lock` found under it was left by a killed git and is removed."""
        descriptor = os.open(self.path / "writer.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            await _flock(descriptor)
            (self.path / "index.lock").unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    # Objects

    async def read_blobs(self, oids: Iterable[str]) -> dict[str, bytes]:
        """The contents of blobs. Raises MissingObjects."""
        wanted = sorted(set(oids))
        if not wanted:
            return {}
        data = await self.bound.out("cat-file", "--batch", stdin="".join(f"{oid}\n" for oid in wanted).encode())
        found: dict[str, bytes] = {}
        position = 0
        while position < len(data):
            end = data.index(b"\n", position)
            header = data[position:end].decode().split(" ")
            if len(header) != 3:
                raise MissingObjects(f"object {header[0]} is missing from the repository; fetch it and try again.")
            size = int(header[2])
            found[header[0]] = data[end + 1 : end + 1 + size]
            position = end + size + 2
        return found

    async def blob_sizes(self, oids: Iterable[str]) -> dict[str, int]:
        wanted = sorted(set(oids))
        if not wanted:
            return {}
        output = await self.bound.out("cat-file", "--batch-check", stdin="".join(f"{oid}\n" for oid in wanted).encode())
        rows = (line.split(" ") for line in output.decode().splitlines())
        return {row[0]: int(row[2]) for row in rows if len(row) == 3 and row[2].isdigit()}

    async def write_blobs(self, contents: Sequence[bytes]) -> list[str]:
        """Store contents as they are (no conversion) and return their oids in the same order."""
        return await self.write_objects("blob", contents)

    async def write_objects(self, kind: str, contents: Sequence[bytes]) -> list[str]:
        """The same for objects of any kind."""
        if not contents:
            return []
        with self.scratch("objects") as folder:
            paths = [Path(folder) / str(number) for number in range(len(contents))]
            try:
                await asyncio.to_thread(_write_all, paths, contents)
            except OSError as error:
                raise from_os_error(error) from None
            listing = "".join(f"{path}\n" for path in paths).encode()
            output = await self.bound.out("hash-object", "-w", "-t", kind, "--no-filters", "--stdin-paths", stdin=listing)
        return output.decode().split()

    async def write_files(self, places: Sequence[Path]) -> list[str]:
        """The same for the contents of files, whatever they are called."""
        if not places:
            return []
        with self.scratch("files") as folder:
            links = [Path(folder) / str(number) for number in range(len(places))]
            for link, place in zip(links, places, strict=True):
                link.symlink_to(place)
            listing = "".join(f"{link}\n" for link in links).encode()
            output = await self.bound.out("hash-object", "-w", "--no-filters", "--stdin-paths", stdin=listing)
        return output.decode().split()

    def oid_of(self, kind: str, content: bytes) -> str:
        """What git calls an object with this content."""
        return hashlib.new(self.object_format, f"{kind} {len(content)}\0".encode() + content).hexdigest()

    async def entries(self, tree: str, paths: Sequence[bytes] | None = None) -> dict[bytes, Entry]:
        """Files, symlinks and submodules of a tree by path; with `paths` only those (absent ones are left out)."""
        arguments = ["ls-tree", "-r", "-z", "--full-tree", tree]
        if paths is None or len(paths) > 500:
            listing = await self.bound.out(*arguments)
            found = _parsed_entries(listing)
            return found if paths is None else {path: found[path] for path in paths if path in found}
        if not paths:
            return {}
        listing = await self.bound.out(*arguments, "--", *(os.fsdecode(path) for path in paths))
        found = _parsed_entries(listing)
        return {path: found[path] for path in paths if path in found}

    async def edited_tree(self, tree: str, changes: Mapping[bytes, Entry]) -> str:
        """`tree` with some paths set to an entry, or removed where the entry is ABSENT."""
        return await self._indexed(changes, "read-tree", tree) if changes else tree

    async def tree_of(self, entries: Mapping[bytes, Entry]) -> str:
        """A tree with nothing else in it."""
        return await self._indexed(entries, "read-tree", "--empty")

    async def _indexed(self, changes: Mapping[bytes, Entry], *beginning: str) -> str:
        with self.scratch("tree") as folder:
            on = self.git.at(self.path, index=Path(folder) / "index")
            await on.run(*beginning)
            await on.run("update-index", "-z", "--index-info", stdin=index_info(changes, self.null_oid))
            return await on.line("write-tree")

    async def flat_tree(self, blobs: Sequence[str | None]) -> str:
        """A tree of files named by their position, zero-padded so that git's order is theirs; None leaves a position out."""
        rows = (f"100644 blob {oid}\t{number:08d}\n" for number, oid in enumerate(blobs) if oid)
        return await self.bound.line("mktree", stdin="".join(rows).encode())

    async def commit(self, tree: str, parents: Sequence[str], message: str) -> str:
        """A commit in this store by the user's configured identity. Unsigned; no hook runs."""
        flags = [word for parent in parents for word in ("-p", parent)]
        return await self.bound.line("commit-tree", *flags, tree, stdin=message.encode("utf-8", "surrogateescape"))

    async def commit_like(self, original: str, tree: str, parents: Sequence[str]) -> str:
        """A commit with the author, dates and message of `original`, committed by the user's identity."""
        layout = "--format=%an%x00%ae%x00%ad%x00%B"
        shown = await self.bound.out("show", "-s", "--encoding=UTF-8", "--date=raw", layout, original)
        name, email, date, message = shown.decode("utf-8", "surrogateescape").rstrip("\n").split("\0", 3)
        flags = [word for parent in parents for word in ("-p", parent)]
        bound = self.bound.with_env(GIT_AUTHOR_NAME=name, GIT_AUTHOR_EMAIL=email, GIT_AUTHOR_DATE=date)
        return await bound.line("commit-tree", *flags, tree, stdin=f"{message}\n".encode("utf-8", "surrogateescape"))

    async def own(self, tree: str, since: str) -> None:
        """Copy into this store the objects of `tree` that it does not hold itself and that `since`, which is safe already,
        does not have. Git does not write what it finds in the user's store, whose own gc knows nothing of us."""
        if tree == since:
            return
        output = await self.bound.out("diff-tree", "-r", "-t", "-z", "--raw", "--no-renames", "--full-index", since, tree)
        fresh = {change.new_oid for change in parse_raw(iter(output.split(b"\0"))) if change.new_mode not in _ELSEWHERE}
        objects = self.path / "objects"
        borrowed = [oid for oid in (*fresh, tree) if not (objects / oid[:2] / oid[2:]).exists()]
        if borrowed:
            await self.copy(borrowed)

    async def copy(self, oids: Sequence[str]) -> None:
        """These objects, and nothing that they lead to, into this store itself."""
        pack = await self.bound.out("pack-objects", "--stdout", "-q", stdin="".join(f"{oid}\n" for oid in oids).encode())
        await self.bound.run("index-pack", "--stdin", stdin=pack)

    async def take(self, other: PrivateStore, tree: str, since: str) -> None:
        """Copy into this store what `tree` of another task's store has and `since`, which both have, does not."""
        wanted = f"{tree}\n^{since}\n".encode()
        pack = await other.bound.out("pack-objects", "--revs", "--stdout", "-q", stdin=wanted)
        await self.bound.run("index-pack", "--stdin", stdin=pack)

    async def mark_landed(self, tree: str) -> None:
        """Remember that everything in `tree` has reached the user's repository."""
        await self.bound.run("update-ref", LANDED, tree)

    async def publish(self, commits: Sequence[str], known: Sequence[str], repository: Repository) -> None:
        """Copy what `commits` need and the user's repository lacks into its object store. No ref is written."""
        revisions = "".join(f"{oid}\n" for oid in commits) + "".join(f"^{oid}\n" for oid in known)
        pack = await self.bound.out("pack-objects", "--revs", "--local", "--stdout", "-q", stdin=revisions.encode())
        await repository.bound.run("unpack-objects", "-q", stdin=pack)

    @property
    def null_oid(self) -> str:
        return "0" * (64 if self.object_format == "sha256" else 40)

    def identity(self) -> dict[str, str]:
        """Whose commits they are, as environment variables of git."""
        settings = self.settings
        return {
            "GIT_AUTHOR_NAME": settings.author_name,
            "GIT_AUTHOR_EMAIL": settings.author_email,
            "GIT_COMMITTER_NAME": settings.committer_name,
            "GIT_COMMITTER_EMAIL": settings.committer_email,
        }

    def configure(self, git_dir: Path, *, of_submodule: bool = False) -> None:
        """Give a private git directory the settings that name no program. A sparse checkout is the superproject's alone."""
        settings = (*self.settings.values, ("gc.auto", "0"), ("checkout.workers", "0"))
        with (git_dir / "config").open("a") as config:
            config.writelines(
                _config_line(key, value) for key, value in settings if not (of_submodule and key.startswith("core.sparse"))
            )

    def _copy_info(self, repository: Repository) -> None:
        info = self.path / "info"
        info.mkdir(exist_ok=True)
        for source in (repository.common_dir / "info" / "exclude", repository.common_dir / "info" / "attributes"):
            _copy_if_there(source, info / source.name)
        if self.settings.sparse:
            _copy_if_there(repository.git_dir / "info" / "sparse-checkout", info / "sparse-checkout")

    @property
    def own_rules(self) -> Path:
        """What `ignore` was told, as lines of an exclude file."""
        return self.path / "own-rules"

    def ignore(self, paths: Iterable[bytes]) -> None:
        """These files, or with a slash at the end folders, are in no tree from here on, unless one has them already or a rule
        in the files says otherwise. A name that no line can hold is left out."""
        rules = [b"/" + re.sub(rb"([\\*?\[\]!# ])", rb"\\\1", path) for path in paths if b"\n" not in path]
        known = self.own_rules.read_bytes().splitlines() if self.own_rules.is_file() else []
        fresh = b"".join(rule + b"\n" for rule in rules if rule not in known)
        for file in (self.path / "info" / "exclude", self.own_rules) if fresh else ():
            before = file.read_bytes() if file.is_file() else b""
            file.write_bytes(before + (b"\n" if before and not before.endswith(b"\n") else b"") + fresh)

    def _borrow(self) -> None:
        alternates = self.path / "objects" / "info" / "alternates"
        alternates.parent.mkdir(parents=True, exist_ok=True)
        wanted = b"".join(_alternate_line(store) for store in (self.user_objects, *self.module_objects))
        if not alternates.exists() or alternates.read_bytes() != wanted:
            alternates.write_bytes(wanted)


def index_info(changes: Mapping[bytes, Entry], null_oid: str) -> bytes:
    """Input for `update-index -z --index-info`. Removals come first, so that a file can become a folder."""
    removed = [b"0 " + null_oid.encode() + b"\t" + path + b"\0" for path, entry in changes.items() if entry == ABSENT]
    kept = [
        f"{entry[0]} {entry[1]}\t".encode() + path + b"\0" for path, entry in changes.items() if entry != ABSENT
    ]
    return b"".join(removed + kept)


def _parsed_entries(listing: bytes) -> dict[bytes, Entry]:
    found: dict[bytes, Entry] = {}
    for row in listing.split(b"\0"):
        head, separator, path = row.partition(b"\t")
        if separator:
            mode, _, oid = head.decode().split(" ")
            found[path] = (mode, oid)
    return found


def make_git_dir(path: Path, object_format: str) -> None:
    """What `git init --bare` makes without a template (gitrepository-layout(5), repository-version in git's documentation),
    but for what it finds out about the file system: that is taken from the user's repository."""
    for folder in ("objects/info", "objects/pack", "refs/heads"):
        (path / folder).mkdir(parents=True)
    core = "[core]\n\tbare = true\n\trepositoryformatversion = "
    config = f"{core}0\n" if object_format == "sha1" else f"{core}1\n[extensions]\n\tobjectFormat = {object_format}\n"
    (path / "config").write_text(config)
    # An unborn HEAD: newer versions of git would read attributes from it.
    (path / "HEAD").write_text("ref: refs/heads/none\n")


def _config_line(key: str, value: str) -> str:
    section, name = key.split(".")
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'[{section}]\n\t{name} = "{escaped}"\n'


def _alternate_line(path: Path) -> bytes:
    raw = os.fsencode(path)
    if raw.startswith((b'"', b"#")) or b"\n" in raw:
        raw = b'"' + raw.replace(b"\\", b"\\\\").replace(b'"', b'\\"').replace(b"\n", b"\\n") + b'"'
    return raw + b"\n"


def _copy_if_there(source: Path, target: Path) -> None:
    if source.is_file():
        shutil.copyfile(source, target)


def _write_all(paths: Sequence[Path], contents: Sequence[bytes]) -> None:
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)


async def _flock(descriptor: int) -> None:
    """Wait for the lock without a thread, which could not be taken back when the waiting task is cancelled."""
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            await asyncio.sleep(0.01)
        else:
            return
