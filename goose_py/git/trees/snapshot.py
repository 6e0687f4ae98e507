"""What a folder holds now, as a tree: by a private index, never by the index or the git directory of the folder itself."""

from __future__ import annotations

import asyncio
import itertools
import os
import re
import stat
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from goose_py.git.contents.lfs import Known, known_contents, record_known
from goose_py.git.contents.submodules import LINK, Checkout, commit_with
from goose_py.git.errors import GitFailed, WorktreeMissing
from goose_py.git.paths import below_symlink, files_below, located, walk
from goose_py.git.private import ABSENT, PrivateStore, index_info
from goose_py.git.runner import Git, together
from goose_py.git.trees.patch import RawChange, parse_raw
from goose_py.git.untrusted import read_small
from goose_py.protocol.changes import path_from_bytes, path_to_bytes
from goose_py.protocol.redact import looks_secret
from goose_py.protocol.secret_files import holds_secrets

PIPE_PATIENCE = 4.0
"""Seconds after which a snapshot that is not done looks for what holds it up; doubled each time."""
_RULES = frozenset({".gitignore", ".gitattributes"})
_RULE_NAMES = frozenset({b".gitignore", b".gitattributes", b".gitmodules"})
_LARGE_INDEX = 1024 * 1024
_SMALL_FILE = 64 * 1024
INCLUDE = ".worktreeinclude"
"""The file in which a user names what a task needs besides what git knows."""
_SUBMODULE_PATH = re.compile(r"^\s*path\s*=\s*(.+?)\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Caps:
    """What a snapshot leaves out. A file above `file_bytes`, new files beyond `new_files` or beyond `new_bytes` together, and
    with `without_secrets` new files that look as if they held credentials are reported instead of recorded; they stay on disk,
    and a worktree that holds any is never removed without keeping them aside."""

    file_bytes: int = 64 * 1024 * 1024
    new_files: int = 100_000
    new_bytes: int | None = None
    without_secrets: bool = False


@dataclass(frozen=True)
class Snapshot:
    """`tree` holds every file that git does not ignore, but for `left_out`; `warnings` are sentences for a person."""

    tree: str
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Differences:
    """How files differ from an index, as git says it: the raw output of `diff-files -z`, and the paths that it does not have
    and that no rule ignores."""

    modified: bytes
    untracked: tuple[bytes, ...]


@dataclass
class _Found:
    """Paths that differ from the index, sorted by what has to be done with them."""

    present: list[bytes]
    gone: list[bytes]
    left_out: list[bytes]
    warnings: list[str]
    links: dict[bytes, str]
    lfs: dict[bytes, Known] = field(default_factory=dict)


async def record_with_submodules(checkout: Checkout, caps: Caps, also: Sequence[bytes] = ()) -> Snapshot:
    """`record`, with the files of those submodules that were filled: each is a link to a commit with its files."""
    inside = checkout.filled()
    if not inside:
        return await record(checkout.store, checkout.on, checkout.root, caps, also=also)
    links = await _links_of_index(checkout.on, list(inside))
    recorded = {path: inside[path] for path in links if inside[path].usable}
    snapshots = await together(*(record_with_submodules(inner, caps) for inner in recorded.values()))
    commits: dict[bytes, str | None] = dict.fromkeys(links)
    for (path, inner), snapshot in zip(recorded.items(), snapshots, strict=True):
        commits[path] = await commit_with(inner, snapshot.tree, links[path])
    whole = await record(checkout.store, checkout.on, checkout.root, caps, commits, also)
    for path, snapshot in zip(recorded, snapshots, strict=True):
        name = path_from_bytes(path)
        left_out = tuple(path_from_bytes(path + b"/" + path_to_bytes(each)) for each in snapshot.left_out)
        warnings = tuple(f"In the submodule {name}: {warning}" for warning in snapshot.warnings)
        whole = replace(whole, left_out=whole.left_out + left_out, warnings=whole.warnings + warnings)
    return whole


async def _links_of_index(on: Git, paths: Sequence[bytes]) -> dict[bytes, str]:
    listing = await on.out("ls-files", "-z", "--stage", "--", *(os.fsdecode(path) for path in paths))
    rows = (row.partition(b"\t") for row in listing.split(b"\0") if row.startswith(b"160000 "))
    found = {path: head.split(b" ")[1].decode() for head, _, path in rows}
    return {path: found[path] for path in paths if path in found}


async def record(
    store: PrivateStore,
    on: Git,
    root: Path,
    caps: Caps,
    submodules: Mapping[bytes, str | None] | None = None,
    also: Sequence[bytes] = (),
    seen: Differences | None = None,
) -> Snapshot:
    """Bring the private index up to date with the files below `root` and write it as a tree. `on` is git bound to
    `store`, that index and `root`. `submodules` are those that were filled: linked to a commit, or None where the folder is
    gone. `also` are files that are recorded although they are ignored; `seen` is what differs, where that was asked already.
    Runs no program of the repository: no filter, no hook, no nested git. Raises WorktreeMissing, NoSpace."""
    async with _freed_from_pipes(root):
        await _settle(on)
        found = await _find_changes(store, on, root, caps, submodules or {}, also, seen)
        try:
            await _update_index(store, on, found)
        except GitFailed:
            # A file changed or vanished while it was being read: look again, once.
            found = await _find_changes(store, on, root, caps, submodules or {}, also, None)
            await _update_index(store, on, found)
        tree = await tree_of_index(on)
    return Snapshot(tree, tuple(path_from_bytes(path) for path in found.left_out), tuple(found.warnings))


@asynccontextmanager
async def _freed_from_pipes(root: Path) -> AsyncIterator[None]:
    """Git waits for ever at a pipe in the place of a file of rules, which an agent may have made: where it takes long, they are
    looked for and removed. Nothing is lost, since a pipe holds nothing."""

    async def look() -> None:
        patience = PIPE_PATIENCE
        while True:
            await asyncio.sleep(patience)
            await asyncio.to_thread(_remove_pipes, root)
            patience *= 2

    looking = asyncio.ensure_future(look())
    try:
        yield
    finally:
        looking.cancel()


def _remove_pipes(root: Path) -> None:
    for here, _, files in walk(root):
        for place in (here / name for name in files if name in _RULES):
            with suppress(OSError):
                if stat.S_ISFIFO(place.lstat().st_mode):
                    # Whoever waits for a writer goes on when there was one.
                    writer = os.open(place, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
                    place.unlink()
                    os.close(writer)


def index_of(on: Git) -> Path:
    """The index that `on` is bound to."""
    return Path(on.env["GIT_INDEX_FILE"])


def mark_fresh(index: Path) -> None:
    """To be said of an index whose files have all just been written, see `_settle`."""
    _beside(index, "fresh").touch(mode=0o600)


async def _settle(on: Git) -> None:
    """Git takes a file that was written in the same second as the index for one that may have changed unnoticed, and reads
    it each time that it is asked (git's documentation, racy-git): after a checkout that is nearly all of them. A second
    later the index is written once more, and from then on times are enough."""
    index = index_of(on)
    mark = _beside(index, "fresh")
    if not mark.exists():
        return
    os.utime(mark)  # the file system's idea of now
    if int(mark.stat().st_mtime) > int(index.stat().st_mtime):
        await on.run("update-index", "-q", "--refresh", "--force-write-index", ok=(0, 1))
        mark.unlink()


async def tree_of_index(on: Git) -> str:
    """The index as a tree. To find that out git reads all of it: of a large one it is remembered for as long as the index is
    the same."""
    index = index_of(on)
    if not index.exists() or index.stat().st_size < _LARGE_INDEX:
        return await on.line("write-tree")
    note = _beside(index, "tree")
    try:
        known, tree = note.read_text().split(" ")
    except (OSError, ValueError):
        known = tree = ""
    if known == _signature(index):
        return tree
    tree = await on.line("write-tree")
    # Written whole or not at all, and after the index, which write-tree itself may write.
    fresh = note.with_name(f"{note.name}.new")
    fresh.write_text(f"{_signature(index)} {tree}")
    fresh.replace(note)
    return tree


def _signature(index: Path) -> str:
    status = index.stat()
    return f"{status.st_ino}-{status.st_size}-{status.st_mtime_ns}"


def _beside(index: Path, what: str) -> Path:
    return index.with_name(f"{index.name}.{what}")


async def _differences(on: Git) -> Differences:
    modified, untracked = await asyncio.gather(
        # "dirty" keeps git from starting a `git status` inside a submodule, whose configuration is not ours.
        on.out("diff-files", "-z", "--raw", "--ignore-submodules=dirty"),
        on.out("ls-files", "-z", "--others", "--exclude-standard"),
    )
    return Differences(modified, tuple(path for path in untracked.split(b"\0") if path))


async def changed_among(on: Git, root: Path, paths: Sequence[bytes]) -> Differences | None:
    """How `paths` differ from the index. None where that is not all that they may have changed: one of them says which files
    are ignored, is ignored itself, or lies where git does not look."""
    if any(path.rpartition(b"/")[2] in _RULE_NAMES or below_symlink(root, path) for path in paths):
        return None
    named = [os.fsdecode(path) for path in paths]
    modified, listing = await asyncio.gather(
        on.out("diff-files", "-z", "--raw", "--ignore-submodules=dirty", "--", *named),
        on.out("ls-files", "-z", "-t", "--cached", "--others", "--exclude-standard", "--", *named),
    )
    rows = [row.split(b" ", 1) for row in listing.split(b"\0") if row]
    untracked = tuple(path for tag, path in rows if tag == b"?")
    known = {path for _, path in rows}
    if any(path not in known and os.path.lexists(located(root, path)) for path in paths):
        return None
    return Differences(modified, untracked)


async def _find_changes(
    store: PrivateStore,
    on: Git,
    root: Path,
    caps: Caps,
    submodules: Mapping[bytes, str | None],
    also: Sequence[bytes],
    seen: Differences | None,
) -> _Found:
    if not root.is_dir():
        raise WorktreeMissing(root)
    seen = seen or await _differences(on)
    links = {path: commit for path, commit in submodules.items() if commit is not None}
    found = _Found([], [], [], [], await _moved_links(on, links) if links else {})
    nested = [path for path in seen.untracked if path.endswith(b"/")]
    fresh = [path for path in seen.untracked if not path.endswith(b"/")]
    fresh += sorted(set(also) - set(fresh))
    for folder in nested:
        fresh += await _files_of_nested_repository(on, root, folder, caps, found)
    if caps.without_secrets:
        fresh = await asyncio.to_thread(_without_secrets, root, fresh, found)
    fresh = await asyncio.to_thread(_bounded, root, fresh, caps, found)
    changes = list(parse_raw(iter(seen.modified.split(b"\0"))))
    kept = (_empty_submodules(root, changes) - set(submodules)) | set(links)
    differing = {change.path for change in changes} - kept
    found.lfs = await known_contents(store, on, root, sorted(differing | set(fresh)))
    _sort_by_state(root, differing - set(found.lfs), (path for path in fresh if path not in found.lfs), caps, found)
    return found


def _without_secrets(root: Path, fresh: Sequence[bytes], found: _Found) -> list[bytes]:
    kept = []
    for path in fresh:
        name = path_from_bytes(path)
        if holds_secrets(name):
            reason = "files of this name usually hold secrets"
        elif looks_secret(read_small(located(root, path), _SMALL_FILE) or ""):
            reason = "something in it looks like a secret"
        else:
            kept.append(path)
            continue
        found.left_out.append(path)
        found.warnings.append(f"{name} is left out: {reason}. Where the task needs it, `git add` it or name it in {INCLUDE}.")
    return kept


def _bounded(root: Path, fresh: Sequence[bytes], caps: Caps, found: _Found) -> list[bytes]:
    """As many as may be recorded: what is generated comes by the folder, so files with few new ones beside them go first."""
    beside = Counter(path.rpartition(b"/")[0] for path in fresh) if len(fresh) > caps.new_files or caps.new_bytes else {}
    ordered = sorted(fresh, key=lambda path: (beside.get(path.rpartition(b"/")[0], 0), path))
    kept, beyond = ordered[: caps.new_files], ordered[caps.new_files :]
    if caps.new_bytes is not None:
        room = caps.new_bytes
        for path in kept:
            size = _size(located(root, path))
            if room < size <= caps.file_bytes:
                beyond.append(path)
            elif size <= caps.file_bytes:  # a larger one is said by itself
                room -= size
        kept = sorted(set(kept) - set(beyond)) if beyond else kept
    if beyond:
        found.left_out += sorted(beyond)
        found.warnings.append(
            f"{len(beyond)} of {len(fresh)} new files are not recorded, the first is {path_from_bytes(min(beyond))}; add what "
            "is generated to .gitignore."
        )
    return sorted(kept)


def _size(place: Path) -> int:
    try:
        return place.lstat().st_size
    except OSError:
        return 0


async def _moved_links(on: Git, links: Mapping[bytes, str]) -> dict[bytes, str]:
    """Those that the index does not have yet."""
    known = await _links_of_index(on, list(links))
    return {path: commit for path, commit in links.items() if known.get(path) != commit}


def _empty_submodules(root: Path, changes: Sequence[RawChange]) -> set[bytes]:
    """Submodules whose folder is gone, yet still named in `.gitmodules`: an empty folder that was tidied away."""
    links = [change.path for change in changes if change.old_mode == "160000"]
    gone = {path for path in links if not os.path.lexists(located(root, path))}
    if not gone:
        return gone
    text = read_small(root / ".gitmodules", _LARGE_INDEX) or ""
    named = {path.encode("utf-8", "replace") for path in _SUBMODULE_PATH.findall(text)}
    return gone & named


def _sort_by_state(root: Path, modified: set[bytes], fresh: Iterable[bytes], caps: Caps, found: _Found) -> None:
    for path in sorted(modified | set(fresh)):
        place = located(root, path)
        try:
            status = place.lstat()
        except OSError:
            status = None
        if status is None or below_symlink(root, path):
            found.gone.append(path)
        elif stat.S_ISDIR(status.st_mode):
            # A submodule whose commit moved; or a folder where a file was (its files are listed one by one).
            (found.present if os.path.lexists(place / ".git") else found.gone).append(path)
        elif not (stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
            found.gone.append(path)
            found.warnings.append(f"{path_from_bytes(path)} is a pipe, socket or device and is not recorded.")
        elif status.st_size > caps.file_bytes and stat.S_ISREG(status.st_mode):
            found.left_out.append(path)
            found.warnings.append(
                f"{path_from_bytes(path)} is not recorded: {status.st_size:,} bytes are more than {caps.file_bytes:,}."
            )
        elif stat.S_ISREG(status.st_mode) and not os.access(place, os.R_OK):
            found.left_out.append(path)
            found.warnings.append(f"{path_from_bytes(path)} is not recorded: it cannot be read.")
        else:
            found.present.append(path)


async def _update_index(store: PrivateStore, on: Git, found: _Found) -> None:
    entries = {**dict.fromkeys(found.gone, ABSENT), **{path: (LINK, commit) for path, commit in found.links.items()}}
    if entries:
        await on.run("update-index", "-z", "--index-info", stdin=index_info(entries, store.null_oid))
    if found.present:
        done = await on.run(
            "update-index", "-z", "--add", "--remove", "--replace", "--stdin", stdin=b"\0".join(found.present) + b"\0"
        )
        refused = refused_names(done.stderr)
        found.warnings += [f"{name} is not recorded: git refuses its name." for name in refused]
        found.left_out += [name.encode() for name in refused]
    await record_known(store, on, index_of(on), found.lfs)


def refused_names(stderr: bytes) -> list[str]:
    """What `update-index` did not take."""
    lines = stderr.decode("utf-8", "replace").splitlines()
    return [line.removeprefix("Ignoring path ") for line in lines if line.startswith("Ignoring path ")]


async def _files_of_nested_repository(
    on: Git, root: Path, folder: bytes, caps: Caps, found: _Found
) -> Sequence[bytes]:
    """Git would record a repository inside the worktree as a mere link, without one of its files. We list the files."""
    name = path_from_bytes(folder.rstrip(b"/"))
    found.warnings.append(f"{name} is a git repository of its own; its files are recorded, its history is not.")
    inside = files_below(root, located(root, folder.rstrip(b"/")))
    paths = await asyncio.to_thread(list, itertools.islice(inside, caps.new_files + 1))
    if not paths:
        return []
    ignored = await ignored_paths(on, paths)
    return [path for path in paths if path not in ignored]


async def ignored_paths(on: Git, paths: Sequence[bytes]) -> set[bytes]:
    """Those of `paths` that an ignore rule of the working tree matches, tracked or not."""
    # check-ignore refuses literal pathspecs; "./" keeps a leading ":" from being one with magic.
    stdin = b"".join(b"./" + path + b"\0" for path in paths)
    plain = on.with_env(GIT_LITERAL_PATHSPECS="0")
    done = await plain.run("check-ignore", "-z", "--stdin", "--no-index", stdin=stdin, ok=(0, 1))
    return {path.removeprefix(b"./") for path in done.stdout.split(b"\0") if path}
