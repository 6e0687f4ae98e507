"""The git directory that a task has in its sandbox: what git sees there, and where it writes.

It is complete: HEAD on the user's branch, their refs, a configuration that names no programs and no credentials, and objects of
its own that borrow from the user's, which are mounted beside it. The user's repository is not there. Nothing is read through a
link: a repository may have been sent by somebody who would like to see more of this user's files.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from goose_py.git.inert import InertSettings
from goose_py.git.repository import Repository
from goose_py.git.untrusted import UntrustedFolder, read_small

FOLDER: Final = "/run/goose-py/git"
"""Where the git directory is seen inside."""
OBJECTS: Final = "/run/goose-py/objects"
"""The folder of the object stores that it borrows from, by their number."""

_ITSELF: Final = ".\n"
"""Of `commondir`: one that a command has put there would name another folder for the rest (gitrepository-layout(5))."""
_MOST_STORES: Final = 32
_STORE_ENTRY: Final = re.compile(r"[0-9a-f]{2}|pack|info|tmp_.*|.*\.lock")
_INFO_BYTES: Final = 4 * 1024 * 1024
_LOG_BYTES: Final = 256 * 1024
_HOOK_BYTES: Final = 1024 * 1024
_MOST_HOOKS: Final = 50


@dataclass(frozen=True)
class OwnGitDir:
    """`folder` is seen at FOLDER, `objects` below OBJECTS, in this order."""

    folder: Path
    objects: tuple[Path, ...]


class Ref(NamedTuple):
    """`target` is the ref that it stands for, "" where it has an object of its own."""

    oid: str
    name: str
    target: str


async def shown_refs(repository: Repository, branch: str | None) -> tuple[Ref, ...]:
    """The user's, but for their stash, ours, and what the task's own branch cannot stand beside."""
    layout = "%(objectname) %(refname) %(symref)"
    listing = (await repository.bound.out("for-each-ref", f"--format={layout}")).decode("utf-8", "surrogateescape")
    refs = (Ref(*line.split(" ")) for line in listing.splitlines() if line.count(" ") == 2)
    own = f"refs/heads/{branch}"

    def kept(name: str) -> bool:
        in_the_way = name.startswith(f"{own}/") or own.startswith(f"{name}/")
        return not in_the_way and name not in (own, "refs/stash") and not name.startswith("refs/goose/")

    return tuple(ref for ref in refs if kept(ref.name))


@dataclass(frozen=True)
class Plan:
    """What a git directory is made of. HEAD is on `branch` (None: on none), which is at `tip` (None: nothing was committed on
    it yet). `stash` is the log of the ref of that name."""

    repository: Repository
    settings: InertSettings
    branch: str | None
    tip: str | None
    stores: tuple[Path, ...]
    refs: Sequence[Ref]
    stash: bytes = b""

    def write(self, folder: Path) -> None:
        """Makes the folder, all but its index."""
        for name in ("objects/info", "objects/pack", "refs/heads", "refs/tags", "info", "logs", "hooks"):
            (folder / name).mkdir(parents=True)
        rows = sorted((os.fsencode(ref.name), ref.oid.encode()) for ref in self.refs if not ref.target)
        packed = b"".join(b"%s %s\n" % (oid, name) for name, oid in rows)
        (folder / "packed-refs").write_bytes(b"# pack-refs with: sorted \n" + packed)
        for ref in self.refs:
            if ref.target:
                _put(folder / ref.name, f"ref: {ref.target}\n")
        own = f"refs/heads/{self.branch}" if self.branch else None
        if own and self.tip:
            _put(folder / own, f"{self.tip}\n")
        _put(folder / "HEAD", f"ref: {own}\n" if own else f"{self.tip}\n")
        _put(folder / "objects" / "info" / "alternates", "".join(f"{OBJECTS}/{n}\n" for n in range(len(self.stores))))
        _put(folder / "commondir", _ITSELF)
        _put(folder / "config", "".join(_line(key, value) for key, value in self._configuration(folder)))
        self._copy_the_rest(folder)
        if self.stash:
            (folder / "logs" / "refs").mkdir(parents=True, exist_ok=True)
            (folder / "logs" / "refs" / "stash").write_bytes(self.stash)

    def write_fixed(self, folder: Path, fixed: Path) -> None:
        """What names programs, configuration, hooks and another folder for both, to be laid over what a command may write: a
        later one that only looks must not run what an earlier one has put there. The hooks are the user's, and run inside as
        they would outside."""
        shutil.rmtree(fixed, ignore_errors=True)
        (fixed / "hooks").mkdir(parents=True)
        shutil.copyfile(folder / "config", fixed / "config")
        _put(fixed / "commondir", _ITSELF)
        with UntrustedFolder.opened(self.repository.common_dir) as common:
            if common is None:
                return
            with common.within("hooks") as hooks:
                names = [name for name in hooks.names() if not name.endswith(".sample")] if hooks is not None else []
                for name in names[:_MOST_HOOKS]:
                    status = hooks.status(name) if hooks is not None else None
                    runs = status is not None and status.st_mode & 0o100
                    if hooks is not None and runs and hooks.copy(name, fixed / "hooks" / name, _HOOK_BYTES) is not None:
                        (fixed / "hooks" / name).chmod(0o755)

    def _configuration(self, folder: Path) -> list[tuple[str, str]]:
        settings = self.settings
        sha256 = self.repository.object_format == "sha256"
        partial = any(key == "extensions.partialclone" for key, _ in settings.shown)
        values = [("core.repositoryformatversion", "1" if sha256 or partial else "0"), ("core.bare", "false")]
        values += [("extensions.objectformat", "sha256")] if sha256 else []
        values += [*settings.shown]
        values += [(key, value) for key, value in settings.values if key not in ("core.excludesfile", "core.attributesfile")]
        for name, source in (("excludes", settings.excludes), ("attributes", settings.attributes)):
            if source is not None:
                shutil.copyfile(source, folder / name)
                values.append((f"core.{name}file", f"{FOLDER}/{name}"))
        values += [("user.name", settings.author_name), ("user.email", settings.author_email)]
        # Users may have other numbers inside; and nothing is to be started by git itself.
        return [
            *values, ("core.checkstat", "minimal"), ("core.logallrefupdates", "true"), ("gc.auto", "0"),
            ("maintenance.auto", "false"), ("commit.gpgsign", "false"), ("tag.gpgsign", "false"),
        ]  # fmt: skip

    def _copy_the_rest(self, folder: Path) -> None:
        common, git_dir = self.repository.common_dir, self.repository.git_dir
        wanted = [(common, "info/exclude"), (common, "info/attributes"), (common, "shallow"), (git_dir, "logs/HEAD")]
        if self.branch:
            wanted.append((common, f"logs/refs/heads/{self.branch}"))
        if self.settings.sparse:
            wanted.append((git_dir, "info/sparse-checkout"))
        for home, path in wanted:
            *above, name = path.split("/")
            limit = _LOG_BYTES if path.startswith("logs/") else _INFO_BYTES
            with UntrustedFolder.opened(home) as opened:
                if opened is None:
                    continue
                with opened.within(*above) as source:
                    if source is not None and source.status(name) is not None:
                        (folder / path).parent.mkdir(parents=True, exist_ok=True)
                        source.copy(name, folder / path, limit)


def replace_git_dir(folder: Path, fresh: Path, aside: Path) -> None:
    """The content of `folder` becomes that of `fresh`, but for its index and its objects, and what was there goes `aside`. The
    folder itself stays the one that it is, because it may be mounted."""
    aside.mkdir()
    with UntrustedFolder.opened(folder) as old:
        if old is None:
            return
        with old.within("objects") as objects:
            if objects is not None:
                for name in objects.names():
                    if re.fullmatch(r"[0-9a-f]{2}", name):
                        objects.move(name, fresh / "objects" / name)
        with old.within("objects", "pack") as packs:
            if packs is not None:
                for name in packs.names():
                    packs.move(name, fresh / "objects" / "pack" / name)
        for name in old.names():
            if name != "index":
                old.move(name, aside / name)
    for entry in sorted(fresh.iterdir()):
        entry.rename(folder / entry.name)


def object_stores(objects: Path) -> tuple[Path, ...]:
    """A store and those that it borrows from, nearest first (gitrepository-layout(5), objects/info/alternates). Only what
    holds nothing but objects counts."""
    found: dict[Path, None] = {}
    waiting = [objects]
    while waiting and len(found) < _MOST_STORES:
        store = Path(os.path.realpath(waiting.pop(0)))
        if store in found or not store.is_dir() or not all(_STORE_ENTRY.fullmatch(each.name) for each in store.iterdir()):
            continue  # a stranger's list may name any folder of the user's
        found[store] = None
        text = read_small(store / "info" / "alternates", _INFO_BYTES) or ""
        waiting += [store / line for line in text.splitlines() if line and not line.startswith(("#", '"'))]
    return tuple(found)


def _put(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8", "surrogateescape")


def _line(key: str, value: str) -> str:
    section, _, rest = key.partition(".")
    middle, _, name = rest.rpartition(".")
    quoted = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    below = ' "' + middle.replace("\\", "\\\\").replace('"', '\\"') + '"' if middle else ""
    return f'[{section}{below}]\n\t{name} = "{quoted}"\n'
