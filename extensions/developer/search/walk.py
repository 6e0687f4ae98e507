"""The files of a workspace: everything but `.git` and what the .gitignore, .ignore and .rgignore files in it leave out.

Two engines, ripgrep and this module's own, give the same paths in the same order. Paths here begin in the workspace's root
(`Workspace.whole`): what the rules above a folder say is relative to the folders that they stand in.
"""

import os
import posixpath
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from ..files import read_head
from ..refusal import Refused
from ..shared import is_whiteout
from ..workspace import Workspace, refusal_of
from .gitignore import IgnoreFile, parse

_MAX_IGNORE_BYTES = 1_000_000


def path_order(path: str) -> tuple[bytes, ...]:
    """The sort key of every listing: depth first, names in a folder by their bytes."""
    return tuple(os.fsencode(part) for part in path.split("/"))


# Later ones win: what ripgrep's users put into .ignore and .rgignore goes before what git is told.
_IGNORE_NAMES = (".gitignore", ".ignore", ".rgignore")


@dataclass(frozen=True)
class Rules:
    """The ignore files in force in a folder: for each of _IGNORE_NAMES, (folder, patterns), outermost first.

    The innermost file that says anything decides. Those of git end at a nested repository, whose own start afresh.
    """

    files: tuple[tuple[tuple[str, IgnoreFile], ...], ...] = ((), (), ())

    def ignores(self, path: str, is_folder: bool) -> bool:
        for of_name in reversed(self.files):
            for folder, patterns in reversed(of_name):
                verdict = patterns.verdict(path if folder == "." else path[len(folder) + 1 :], is_folder)
                if verdict is not None:
                    return verdict
        return False

    def within(self, folder: str, names: set[str], workspace: Workspace) -> "Rules":
        """The rules in force in `folder`, whose entries are `names`."""
        if names.isdisjoint((".git", *_IGNORE_NAMES)):
            return self
        inner = []
        for name, inherited in zip(_IGNORE_NAMES, self.files, strict=True):
            kept = () if name == ".gitignore" and ".git" in names else inherited
            found = _patterns_of(workspace, posixpath.join(folder, name)) if name in names else None
            inner.append(kept if found is None else (*kept, (folder, found)))
        return Rules(tuple(inner))


def _patterns_of(workspace: Workspace, path: str) -> IgnoreFile | None:
    try:
        return parse(read_head(workspace, path, _MAX_IGNORE_BYTES))
    except Refused:
        return None


@dataclass(frozen=True)
class Entry:
    """Something in a folder; `path` is relative to the workspace. What is `shared` comes from elsewhere: it is ignored, since
    git leaves it out."""

    path: str
    is_folder: bool
    is_file: bool  # a regular one; links are neither
    ignored: bool
    link_to: str | None = None
    size: int = 0  # bytes, of regular files only
    shared: bool = False


def entries_of(workspace: Workspace, folder: str, rules: Rules) -> tuple[list[Entry], Rules]:
    """What is in a folder but `.git`, in order, and the rules in force in it. Raises Refused when it cannot be read."""
    try:
        descriptors = workspace.folders(folder)
    except OSError as error:
        raise refusal_of(error, folder, "list") from error
    shared = set(workspace.shared_in(folder))
    try:
        found = {name: (entry, descriptor) for name, entry, descriptor in _scanned(workspace, folder, descriptors)}
        rules = rules.within(folder, set(found), workspace)
        entries = []
        for name in sorted({*found, *shared} - {".git"}, key=os.fsencode):
            path = name if folder == "." else f"{folder}/{name}"
            if name in shared:
                entries.append(Entry(path, is_folder=True, is_file=False, ignored=True, shared=True))
                continue
            entry, descriptor = found[name]
            is_folder = entry.is_dir(follow_symlinks=False)
            is_file = entry.is_file(follow_symlinks=False)
            link_to = os.readlink(name, dir_fd=descriptor) if entry.is_symlink() else None
            ignored = rules.ignores(path, is_folder)
            size = entry.stat(follow_symlinks=False).st_size if is_file and not ignored else 0
            entries.append(Entry(path, is_folder, is_file, ignored, link_to, size))
    except OSError as error:
        raise refusal_of(error, folder, "list") from error
    finally:
        for descriptor in descriptors:
            os.close(descriptor)
    return entries, rules


def _scanned(workspace: Workspace, folder: str, layers: list[int]) -> Iterator[tuple[str, os.DirEntry[str], int]]:
    """The entries of a folder of several layers, topmost first: the first that has a name counts, or says that it is gone."""
    seen: set[str] = set()
    for layer in layers:
        with os.scandir(layer) as scan:
            for entry in scan:
                if entry.name in seen or workspace.hides(f"{folder}/{entry.name}"):
                    continue
                seen.add(entry.name)
                if not (len(layers) > 1 and is_whiteout(entry.stat(follow_symlinks=False))):
                    yield entry.name, entry, layer


def rules_at(workspace: Workspace, folder: str) -> Rules | None:
    """The rules that reach into `folder` from the folders above it; None when it is itself ignored by them, or lies outside the
    workspace: what is shared from elsewhere is searched like what is ignored, where it is asked for by name."""
    rules = Rules()
    if folder == ".":
        return rules
    if folder.startswith("/"):
        return None
    parts = folder.split("/")
    for depth in range(len(parts)):
        above = "/".join(parts[:depth]) or "."
        entries, rules = entries_of(workspace, above, rules)
        child = "/".join(parts[: depth + 1])
        if any(entry.path == child and entry.ignored for entry in entries):
            return None
    return rules


def walked_files(workspace: Workspace, folder: str, max_bytes: int | None = None) -> Iterator[str]:
    """The regular files beneath `folder` that are not ignored, nor larger than `max_bytes`, in `path_order`. Symlinks
    are neither listed nor followed.

    When `folder` itself is ignored, it was asked for by name: then only the rules written in it count. Raises Refused.
    """
    rules = rules_at(workspace, folder)
    entries, inner = entries_of(workspace, folder, Rules() if rules is None else rules)
    pending = [(iter(entries), inner)]
    while pending:
        entry = next(pending[-1][0], None)
        if entry is None:
            pending.pop()
        elif entry.ignored:
            continue
        elif entry.is_file:
            if max_bytes is None or entry.size <= max_bytes:
                yield entry.path
        elif entry.is_folder:
            with suppress(Refused):  # it vanished, or may not be read
                entries, rules = entries_of(workspace, entry.path, pending[-1][1])
                pending.append((iter(entries), rules))
