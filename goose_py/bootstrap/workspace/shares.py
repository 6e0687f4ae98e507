"""What a task shares with its user besides the files of its base: their dependencies and what else git ignores.

No list of languages says what that is. What git ignores in the checkout is the user's own environment, less caches, which their
programs make anew, and secrets. Folders of it are mounted, single small files copied. `worktree.share` adds and takes away.
"""

import asyncio
import itertools
import os
import shutil
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.files import recall, remember
from goose_py.git.contents.submodules import Checkout
from goose_py.git.errors import GitError
from goose_py.git.paths import below_symlink, located
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.snapshot import ignored_paths
from goose_py.git.worktrees.ignored import is_cache
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.protocol.redact import looks_secret
from goose_py.protocol.secret_files import holds_secrets
from goose_py.sandbox.policy import Share
from goose_py.tasks.caches import share_blocks

MOST_FOLDERS: Final = 20
MOST_FILES: Final = 200
MOST_SUBMODULES: Final = 50
MOST_BYTES: Final = 64 * 1024 * 1024
_LOOKED_INTO: Final = 64 * 1024
_NAMES_LOOKED_AT: Final = 2_000
_INSTALLED: Final = frozenset({"site-packages", "node_modules", "dist-packages", ".git", "vendor", "lib64", "include"})
_ENVIRONMENTS: Final = ("VIRTUAL_ENV", "CONDA_PREFIX")


class Shares(msgspec.Struct, frozen=True):
    """`folders` to mount and `files` to copy; what is left out for its secrets, as a link out of the checkout, for there being
    too much of it, and for its name."""

    folders: tuple[Share, ...] = ()
    files: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    too_many: tuple[str, ...] = ()
    unnamable: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    def sentences(self) -> Iterator[str]:
        """What a person should know of it."""
        kinds = (
            ("it looks like secrets", self.secret),
            ("it is a link out of the checkout", self.outside),
            ("there is too much of it", self.too_many),
        )
        for why, names in kinds:
            if names:
                yield f"Not shared with the task because {why}: {_some(names)} (worktree.share brings what it names)."
        if self.unnamable:
            yield f"Not shared with the task because the name is no UTF-8: {_some(self.unnamable)}."
        yield from self.warnings


async def shares_of(host: Host, settings: Settings, worktree: TaskWorktree, start: str) -> Shares:
    """What a task that begins in the folder `start` of this worktree shares, its single files copied already: each once, since
    what the task has made of a copy is its work."""
    entries, ours = settings.worktree.share, (host.paths.state, worktree.path, worktree.repository.common_dir)
    tracked = await worktree.base_files()
    shares = await find_shares(worktree, tracked, entries, host.env, host.home, keep_out=ours, near=start)
    wanted = Wanted.of(entries or ())
    kept_out = tuple(path for path in worktree.base.left_out if wanted.adds(path) and not wanted.refuses(path))
    # They come to the task and into no tree, whatever it makes of the rules that leave them out.
    hung = (os.fsencode(share.path) + b"/" for share in shares.folders if not share.path.is_absolute())
    worktree.store.ignore((*map(path_to_bytes, kept_out), *hung))
    files = (*shares.files, *kept_out)
    note = worktree.note_of_copies
    copied = recall(note, tuple[str, ...]) or ()
    fresh = tuple(name for name in files if name not in copied)
    told = await asyncio.to_thread(copy_files, worktree.repository.root, worktree.path, fresh)
    if fresh:
        with suppress(OSError):  # the same are copied once more then, where they are gone
            remember(note, (*copied, *fresh))
    return msgspec.structs.replace(shares, files=files, warnings=(*shares.warnings, *told))


class Wanted(msgspec.Struct, frozen=True):
    """`worktree.share`, parsed: what it adds to what is found, and what it takes away (written with a `!`)."""

    added: tuple[str, ...]
    refused: tuple[str, ...]

    @classmethod
    def of(cls, entries: Iterable[str]) -> "Wanted":
        names = tuple(entry.rstrip("/") for entry in entries)
        return cls(tuple(n for n in names if not n.startswith("!")), tuple(n[1:] for n in names if n.startswith("!")))

    def adds(self, path: str) -> bool:
        return any(_matches(path, pattern) for pattern in self.added)

    def refuses(self, path: str) -> bool:
        return any(_matches(path, pattern) for pattern in self.refused)


def _matches(path: str, pattern: str) -> bool:
    """Whether a path of the checkout, or a folder above it, is what a pattern names: by its whole path, or by its last name
    where the pattern has no slash."""
    parts = path.split("/")
    heads = ["/".join(parts[: number + 1]) for number in range(len(parts))]
    return any(fnmatchcase(name, pattern) for name in (heads if "/" in pattern else [*heads, *parts]))


async def find_shares(
    worktree: TaskWorktree,
    tracked: Iterable[str],
    entries: Sequence[str] | None,
    env: Mapping[str, str],
    home: Path,
    *,
    keep_out: Sequence[Path] = (),
    near: str = "",
) -> Shares:
    """What the task shares. `tracked` are the files of its base, which nothing is laid over; those of its submodules are in
    the worktree by now. `entries` is `worktree.share`: None is what git ignores, and an empty one nothing. No folder that
    holds one of `keep_out` is shared; those that the folder `near` lies in come before others of the same depth. Runs no
    program of the repository."""
    if entries is not None and not entries:
        return Shares()
    root = worktree.repository.root
    try:
        ignored = await _ignored(worktree)
    except GitError as error:
        return Shares(warnings=(f"What git ignores in {root} could not be listed, so none of it is shared: {error}",))
    filled = _filled(worktree)
    search = _Search(root, Wanted.of(entries or ()), sorted(set(tracked) - set(filled)), (home, *keep_out))
    shares = await asyncio.to_thread(search.run, ignored, env, home, near)
    beyond = tuple(f"what git ignores in {path}" for path in filled[MOST_SUBMODULES:])
    return msgspec.structs.replace(shares, too_many=(*shares.too_many, *beyond))


async def _ignored(worktree: TaskWorktree) -> list[str]:
    """The ignored files and folders of the checkout and of the submodules in it; a folder ends with a slash."""
    root, top = worktree.repository.root, Checkout(worktree.store, worktree.path)
    found = await _ignored_in(top.rules_on(root, worktree.repository.git_dir / "index"))
    for path in _filled(worktree)[:MOST_SUBMODULES]:
        raw = path_to_bytes(path)
        place = located(root, raw)
        if below_symlink(root, raw) or place.is_symlink() or not os.path.lexists(place / ".git"):
            continue
        with suppress(GitError):  # one that git cannot read is nobody's environment
            inner = await Repository.open(worktree.repository.git, place)
            if inner.root == place.resolve():
                on = top.within(raw).rules_on(place, inner.git_dir / "index")
                found += [raw + b"/" + each for each in await _ignored_in(on)]
    return [path_from_bytes(path) for path in found]


def _filled(worktree: TaskWorktree) -> list[str]:
    """The submodules that the task has files of."""
    return sorted(set(worktree.submodules) - set(worktree.empty))


async def _ignored_in(on: Git) -> list[bytes]:
    """A folder that only holds ignored files without being ignored itself is none: what the task makes there is its work."""
    listing = await on.out("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    found = [path for path in listing.split(b"\0") if path]
    rules = await ignored_paths(on, found) if found else set()
    # A folder that ignores itself (`*` in a .gitignore of its own, as uv makes it) is listed with what is in it.
    return [path for path in found if path in rules and not _within(path, rules)]


def _within(path: bytes, folders: Collection[bytes]) -> bool:
    parts = path.rstrip(b"/").split(b"/")
    return any(b"/".join(parts[:number]) + b"/" in folders for number in range(1, len(parts)))


class _Search:
    """Goes through what is ignored, once."""

    def __init__(self, root: Path, wanted: Wanted, tracked: Sequence[str], keep_out: Sequence[Path]) -> None:
        self._root = root
        self._wanted = wanted
        self._tracked = tracked
        self._keep_out = keep_out
        self._folders: dict[Path, Share] = {}
        self._files: list[str] = []
        self._secret: list[str] = []
        self._outside: list[str] = []
        self._too_many: list[str] = []
        self._unnamable: list[str] = []
        self._warnings: list[str] = []
        self._room = MOST_BYTES

    def run(self, ignored: Sequence[str], env: Mapping[str, str], home: Path, near: str) -> Shares:
        for path in (*ignored, *_named_below(self._root, self._wanted.added, ignored)):
            self._consider(path_from_bytes(path_to_bytes(path).rstrip(b"/")))
        for place in (*_environments(env, self._root), *_named_outside(self._wanted.added, home)):
            if not place.is_dir():
                self._warnings.append(f"worktree.share names {place}, which is no folder, so it is not shared.")
            elif not self._wanted.refuses(str(place)):
                self._add_folder(place, place)
        shown = _outermost(self._folders.values())
        shown.sort(key=lambda share: self._rank(share.path, near))
        too_many = (*self._too_many, *(str(share.path) for share in shown[MOST_FOLDERS:]))
        return Shares(
            folders=tuple(shown[:MOST_FOLDERS]),
            files=tuple(self._files),
            secret=tuple(self._secret),
            outside=tuple(self._outside),
            too_many=too_many,
            unnamable=tuple(self._unnamable),
            warnings=tuple(self._warnings),
        )

    def _rank(self, path: Path, near: str) -> tuple[bool, int, bool, Path]:
        """What is named or active comes first, then what is shallow, then what is near."""
        asked = path.is_absolute() or self._wanted.adds(str(path))
        return not asked, len(path.parts) if not path.is_absolute() else 0, not _leads_to(path, near), path

    def _consider(self, name: str) -> None:
        if self._wanted.refuses(name) or self._holds_tracked(name):
            return
        named = self._wanted.adds(name)
        if not named and is_cache(path_to_bytes(name)):
            return
        source = located(self._root, path_to_bytes(name))
        if source.is_symlink() and not Path(os.path.realpath(source)).is_relative_to(self._root):
            if named and source.is_dir():
                self._add_folder(source.resolve(), Path(name))
            else:
                self._outside.append(name)
        elif source.is_dir() and not source.is_symlink():
            if named or not holds_secrets(name):
                self._add_folder(source, Path(name))
            else:
                self._secret.append(name)
        elif not named and holds_secrets(name):
            self._secret.append(name)
        else:
            self._add_file(source, name, named)

    def _add_folder(self, source: Path, path: Path) -> None:
        real = Path(os.path.realpath(source))
        raw = os.fsencode(path) if path.is_absolute() else path_to_bytes(str(path))
        if not _is_text(raw):
            self._unnamable.append(path_from_bytes(raw))
        elif not any(kept.is_relative_to(real) for kept in self._keep_out):
            self._folders[path] = Share(source, path, hidden=self._secrets_in(source, path))

    def _add_file(self, source: Path, name: str, named: bool) -> None:
        try:
            size = source.lstat().st_size
            if len(self._files) >= MOST_FILES or size > self._room:
                self._too_many.append(name)
            elif not named and size <= _LOOKED_INTO and not source.is_symlink() and looks_secret(_text(source)):
                self._secret.append(name)
            else:
                self._room -= size
                self._files.append(name)
        except OSError:
            return  # gone meanwhile, or not readable for the user either

    def _holds_tracked(self, name: str) -> bool:
        """Whether the base has a file of this name, below it, or in place of a folder above it."""
        parts = name.split("/")
        at = bisect_left(self._tracked, f"{name}/")
        below = at < len(self._tracked) and self._tracked[at].startswith(f"{name}/")
        return below or any(self._is_tracked("/".join(parts[: number + 1])) for number in range(len(parts)))

    def _is_tracked(self, path: str) -> bool:
        at = bisect_left(self._tracked, path)
        return at < len(self._tracked) and self._tracked[at] == path

    def _secrets_in(self, folder: Path, path: Path) -> tuple[str, ...]:
        """Secrets by their names: a bounded look, and not into what package managers install."""
        found: list[str] = []
        waiting, looked = [""] if folder.name not in _INSTALLED else [], 0
        while waiting and looked < _NAMES_LOOKED_AT:
            here = waiting.pop(0)
            for entry in _entries(folder / here):
                looked += 1
                inner = f"{here}/{entry.name}".lstrip("/")
                if holds_secrets(entry.name) and not self._wanted.adds(f"{path}/{inner}"):
                    found.append(inner)
                elif entry.name not in _INSTALLED and entry.is_dir(follow_symlinks=False):
                    waiting.append(inner)
        return tuple(found)


def _is_text(path: bytes) -> bool:
    try:
        path.decode()
    except UnicodeDecodeError:
        return False
    return True


def _entries(folder: Path) -> list["os.DirEntry[str]"]:
    try:
        with os.scandir(folder) as entries:
            return list(itertools.islice(entries, _NAMES_LOOKED_AT))
    except OSError:
        return []


def _text(file: Path) -> str:
    return file.read_bytes().decode("utf-8", "replace") if file.is_file() else ""


def _named_below(root: Path, added: Sequence[str], ignored: Sequence[str]) -> Iterator[str]:
    """Paths of the checkout that are named outright although git does not list them: they lie in an ignored folder."""
    listed = {path.rstrip("/") for path in ignored}
    for name in added:
        path = os.path.normpath(name)
        if path.startswith(("/", "~", "..")) or path in listed or not (root / path).exists():
            continue
        if not below_symlink(root, path_to_bytes(path)) and any(parent in listed for parent in map(str, Path(path).parents)):
            yield path


def _named_outside(added: Sequence[str], home: Path) -> Iterator[Path]:
    for name in added:
        if name.startswith(("/", "~/")):
            yield Path(os.path.realpath(home / name.removeprefix("~/")))


def _environments(env: Mapping[str, str], root: Path) -> Iterator[Path]:
    """Virtual environments that are active and lie outside the checkout."""
    for name in _ENVIRONMENTS:
        place = Path(os.path.realpath(env.get(name) or "/"))
        if place.is_dir() and place != Path("/") and not place.is_relative_to(root) and not _system(place):
            yield place


def _system(place: Path) -> bool:
    return any(place.is_relative_to(folder) for folder in ("/usr", "/bin", "/opt"))


def _outermost(shares: Iterable[Share]) -> list[Share]:
    kept: list[Share] = []
    for share in sorted(shares, key=lambda share: len(share.path.parts)):
        if not any(share.path.is_relative_to(outer.path) for outer in kept):
            kept.append(share)
    return kept


def _leads_to(path: Path, near: str) -> bool:
    """Whether it lies on the way to the folder `near` or below it."""
    return bool(near) and (Path(near).is_relative_to(path.parent) or path.is_relative_to(near))


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (f" and {len(names) - 8} more" if len(names) > 8 else "")


def copy_files(root: Path, worktree: Path, files: Iterable[str]) -> tuple[str, ...]:
    """Copies single files into the worktree with their modes and times; what stands there already stays. Returns a sentence
    where some could not be."""
    failed = []
    for name in files:
        path = path_to_bytes(name)
        source, copy = located(root, path), located(worktree, path)
        try:
            if os.path.lexists(copy) or below_symlink(worktree, path) or not worktree.is_dir():
                continue
            copy.parent.mkdir(parents=True, exist_ok=True)
            if source.is_symlink():
                copy.symlink_to(os.readlink(source))  # noqa: PTH115 - exactly as it is written
            elif source.is_file():
                _copy(source, copy)
        except OSError:
            failed.append(name)
    return (f"Could not be copied into the worktree: {_some(failed)}.",) if failed else ()


def _copy(source: Path, copy: Path) -> None:
    with source.open("rb") as reading, copy.open("xb") as writing:
        if not share_blocks(reading, writing):
            shutil.copyfileobj(reading, writing)
    shutil.copystat(source, copy)
