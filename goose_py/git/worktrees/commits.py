"""Commits that an agent makes in its sandbox, taken over into the user's repository.

There git works on a directory of the task's own (`own_git_dir.py`). From the moment a command has run, what lies in it was
written by somebody else's program: no git of ours ever runs on it. Refs are read as files, objects copied one by one, and
git checks them as it would objects that it was sent.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from goose_py.files import delete_folder
from goose_py.git.errors import GitError, from_os_error
from goose_py.git.inert import InertSettings
from goose_py.git.repository import Repository, read_ref, update_ref
from goose_py.git.runner import Git
from goose_py.git.untrusted import UntrustedFolder, put_in_place, read_small
from goose_py.git.worktrees.linked import admin_dir, move_head, put_index
from goose_py.git.worktrees.own_git_dir import OwnGitDir, Plan, Ref, object_stores, replace_git_dir, shown_refs
from goose_py.git.worktrees.task_refs import OID, TaskRefs, loose, packed, text_of

# git-check-ref-format(1).
_NAME: Final = re.compile(r"refs/(?:heads|tags|notes)/[^\x00-\x20\x7f~^:?*\[\\]+")
_ANY_NAME: Final = re.compile(r"refs/[^\x00-\x20\x7f~^:?*\[\\]+")
_NO_NAME: Final = re.compile(r"\.\.|//|@\{|/\.|\.lock(?:/|\Z)|[./]\Z")
_AT_MOST: Final = 1024**3
_DEADLINE: Final = 120.0
_MOST_REFS: Final = 200
_MOST_FILES: Final = 5000
_DEEPEST: Final = 16
_PACKED_BYTES: Final = 64 * 1024 * 1024
_LOG_BYTES: Final = 256 * 1024
_RULES_BYTES: Final = 4 * 1024 * 1024
_LONGEST_NAME: Final = 200


class _State(msgspec.Struct, frozen=True):
    """What the refs inside are: `loose` by name, `stash` its entries. `packed` tells whether the file of the others is still
    the one that we wrote."""

    head: str = ""
    loose: dict[str, str] = {}
    stash: tuple[str, ...] = ()
    packed: tuple[int, int, int] = (0, 0, 0)


class _Note(msgspec.Struct, frozen=True):
    """Where both sides agreed last: the task's commit, and what the refs inside were then. `objects` are the stores that it was
    made to borrow from; `left`: something of it could not be taken over."""

    tip: str
    objects: tuple[str, ...]
    state: _State
    left: bool = False


@dataclass(frozen=True)
class CommitStore:
    """`folder` is the git directory; what is known about it lies beside it, out of reach from inside. `where` is the worktree.
    The task's commits are kept at `reference` in the user's repository, and other refs that it made below
    `refs/goose/<task_id>`. `branch` is what HEAD is called inside, None where it is on no branch. `own_rules` is a file of what
    git leaves out there besides what the user's leaves out."""

    folder: Path
    repository: Repository
    settings: InertSettings
    where: Path
    task_id: str
    reference: str
    branch: str | None
    own_rules: Path

    async def prepare(self) -> OwnGitDir | None:
        """Makes what is missing, from how things stand in the repository. None where the task's commits are gone, or the
        repository's objects are elsewhere: where a link leads is not shown to commands. Raises GitError."""
        tip = await read_ref(self.repository.bound, self.reference)
        if tip is None or self.repository.objects.is_symlink():
            return None
        stores = await asyncio.to_thread(object_stores, self.repository.objects)
        note = self._note()
        if note is None or (note.tip, note.objects) != (tip, tuple(map(str, stores))) or not self.folder.is_dir():
            await self.adopt()
            await self._make(await read_ref(self.repository.bound, self.reference) or tip, stores)
        return OwnGitDir(self.folder, stores)

    async def adopt(self) -> tuple[str, ...]:
        """Takes over what was committed since. Returns what a person should know: a commit that could not be taken over stays
        in `folder`."""
        note = self._note() or self._earlier_note()
        if note is None:
            return ()
        state = await asyncio.to_thread(self._read_state)
        if state == note.state:
            return ()
        tip = await read_ref(self.repository.bound, self.reference)
        if tip is None:
            return ()
        warnings: list[str] = []
        kept = tip
        try:
            kept = await self._adopt(note, state, tip, warnings)
        except OSError as error:
            warnings.append(f"The commits of the task could not be looked at: {error.strerror or error}.")
        if self._earlier:
            self._write_note(_Note(kept, (), state, left=bool(warnings)))  # of today's form it is none, so it is made anew
            await asyncio.to_thread(self.forget)
        elif tip != note.tip:
            await self._make(tip, tuple(map(Path, note.objects)))
        else:
            self._write_note(_Note(kept, note.objects, state, left=note.left or bool(warnings)))
        return tuple(warnings)

    def refs(self) -> TaskRefs:
        """As they stand inside."""
        return TaskRefs.read(self.folder) if self._note() is not None else TaskRefs()

    async def put_refs(self, refs: TaskRefs, tip: str) -> None:
        """Inside they are these from here on, but for what the repository does not have; the task is at `tip`. To be called
        after `adopt`."""
        note = self._note()
        if note is None:
            return
        named = "".join(f"{oid}\n" for oid in sorted(refs.objects())).encode()
        listing = (await self.repository.bound.out("cat-file", "--batch-check", stdin=named)).decode("utf-8", "replace")
        lost = {line.split(" ")[0] for line in listing.splitlines() if line.endswith(" missing")}
        kept = {name: value for name, value in refs.named.items() if value not in lost and _is_safe(name)}
        rows = tuple(
            Ref("", name, value.removeprefix("ref: ")) if value.startswith("ref: ") else Ref(value, name, "")
            for name, value in kept.items()
        )
        branch = refs.branch if refs.branch is None or _is_name(f"refs/heads/{refs.branch}") else self.branch
        at = refs.commit if refs.commit not in lost else None
        plan = Plan(
            self.repository, self.settings, branch, at, tuple(map(Path, note.objects)), rows, refs.stash if not lost else b""
        )
        try:
            await asyncio.to_thread(self._write, plan, tip)
        except OSError as error:
            raise from_os_error(error) from None

    async def show(self, tip: str) -> None:
        """HEAD and its branch inside are at `tip` from here on. To be called after `adopt`."""
        note = self._note()
        if note is not None and note.tip != tip and not self._earlier:
            await self._make(tip, tuple(map(Path, note.objects)))

    def show_index(self, index: Path) -> None:
        """Gives the git inside the index that belongs to the files."""
        if self.folder.is_dir() and not self._earlier:
            put_in_place(index, self.folder / "index")

    def show_rules(self) -> None:
        """Gives the git inside the rules of `own_rules`. One that is made later has them."""
        with UntrustedFolder.opened(self.folder) as folder:
            if folder is None or self._earlier:
                return
            with folder.within("info") as info:
                if info is None:
                    return
                before = info.read("exclude", _RULES_BYTES) or b""
                if (now := _with_rules(before, self.own_rules)) != before:
                    info.write("exclude", now)

    def forget(self) -> None:
        """After everything was adopted: what comes next begins anew. What could not be taken over stays, beside it."""
        note = self._note()
        if note is not None and note.left and self.folder.is_dir():
            self.folder.rename(self.folder.with_name(f"{self.folder.name}.left-{os.urandom(4).hex()}"))
        self._note_file.unlink(missing_ok=True)
        for folder in (self.folder, self.folder.with_name(f"{self.folder.name}.fixed")):
            with suppress(OSError):
                delete_folder(folder)

    # What is known of it

    @property
    def _note_file(self) -> Path:
        return self.folder.with_name(f"{self.folder.name}.json")

    @property
    def _handed_out(self) -> Path:
        """The packed refs as we wrote them."""
        return self.folder.with_name(f"{self.folder.name}.refs")

    def _note(self) -> _Note | None:
        try:
            return msgspec.convert(json.loads(self._note_file.read_text("ascii")), _Note)
        except (OSError, ValueError, msgspec.MsgspecError):
            return None

    def _write_note(self, note: _Note) -> None:
        fresh = self._note_file.with_suffix(".new")
        # Names of refs and folders need not be UTF-8, which msgspec's own codec insists upon.
        fresh.write_text(json.dumps(msgspec.to_builtins(note)), "ascii")
        fresh.replace(self._note_file)

    @property
    def _earlier(self) -> bool:
        """Whether it has the form that earlier versions gave it: single folders, laid over those of the user's repository."""
        return not self._note_file.exists() and (self.folder / "seen").is_file()

    def _earlier_note(self) -> _Note | None:
        seen = (read_small(self.folder / "seen") or "").strip()
        if self.branch is None or not OID.fullmatch(seen):
            return None
        name = f"refs/heads/{self.branch}"
        return _Note(seen, (), _State(f"ref: {name}", {name: seen}))

    # Reading what an agent may have written

    def _read_state(self, place: Path | None = None) -> _State:
        with UntrustedFolder.opened(place or self.folder) as folder:
            if folder is None:
                return _State()
            with folder.within(*(["worktree"] if self._earlier and place is None else [])) as home:
                head = text_of(home.read("HEAD") if home is not None else None)
            found: dict[str, str] = {}
            room = iter(range(_MOST_FILES))
            for kind in ("heads", "tags", "notes"):
                with folder.within("refs", kind) as refs:
                    if refs is not None:
                        found.update(loose(refs, f"refs/{kind}", _DEEPEST, room))
            with folder.within("logs", "refs") as logs:
                stash = _entries_of(logs.read("stash", _LOG_BYTES) if logs is not None else None)
            with folder.within("refs") as refs:
                top = _oid(refs.read("stash") if refs is not None else None)
            status = folder.status("packed-refs")
            listed = (status.st_ino, status.st_size, status.st_mtime_ns) if status is not None else (0, 0, 0)
        by_name = {name: oid for name, oid in found.items() if OID.fullmatch(oid)}
        return _State(head, by_name, tuple(dict.fromkeys((*stash, *([top] if top else [])))), listed)

    def _head_of(self, state: _State, packed: Mapping[str, str] | None = None) -> str | None:
        """The commit that HEAD is at inside."""
        if OID.fullmatch(state.head):
            return state.head
        name = state.head.removeprefix("ref: ").strip()
        return state.loose.get(name) or (packed or {}).get(name)

    def _packed_inside(self) -> dict[str, str]:
        with UntrustedFolder.opened(self.folder) as folder:
            return packed(folder.read("packed-refs", _PACKED_BYTES) or b"" if folder is not None else b"")

    # Taking over

    async def _adopt(self, note: _Note, state: _State, tip: str, warnings: list[str]) -> str:
        """The tip that the task has then."""
        known = packed(self._handed_out.read_bytes()) if self._handed_out.is_file() else {}
        inside = await asyncio.to_thread(self._packed_inside) if state.packed != note.state.packed else known
        ours = self._head_of(state, inside)
        now = {**inside, **state.loose}
        before = {**known, **note.state.loose}
        head = state.head.removeprefix("ref: ").strip()
        others = {name: oid for name, oid in now.items() if before.get(name) != oid and name != head and _is_name(name)}
        wanted = {f"refs/goose/{self.task_id}/{name.removeprefix('refs/')}": oid for name, oid in others.items()}
        wanted |= {f"refs/goose/{self.task_id}/stash/{oid[:16]}": oid for oid in state.stash if oid not in note.state.stash}
        if len(wanted) > _MOST_REFS:
            warnings.append(f"{len(wanted) - _MOST_REFS} of {len(wanted)} branches and tags that the task made are not kept.")
            wanted = dict(sorted(wanted.items())[:_MOST_REFS])
        moved = {ours} if ours is not None and ours != note.tip else set[str]()
        if not moved and not wanted:
            return tip
        with tempfile.TemporaryDirectory(prefix="commits-", dir=self.folder.parent) as scratch:
            sound = await self._fetched(Path(scratch), moved, set(wanted.values()), warnings)
        for name, oid in wanted.items():
            if oid in sound:
                await self._keep(oid, name, warnings)
        if ours is not None and ours in moved & sound:
            tip = await self._take_over(ours, note.tip, tip, warnings)
        return tip

    async def _take_over(self, ours: str, seen: str, tip: str, warnings: list[str]) -> str:
        """The tip that the task has then."""
        if tip == ours:  # the program ended right after it had been taken over
            await self._show_user(ours)
            return tip
        if tip != seen:
            name = f"refs/goose/{self.task_id}/agent"
            await self._keep(ours, name, warnings)
            branch = self.reference.removeprefix("refs/heads/")
            warnings.append(f"{branch} was moved while the task committed to it: the task's commits are kept at {name}.")
            return tip
        try:
            if not await self.repository.is_ancestor(tip, ours):
                await self._keep(tip, f"refs/goose/{self.task_id}/left/{tip[:16]}", warnings)
            await update_ref(self.repository.bound, self.reference, ours, tip, "commit in the task")
            await self._show_user(ours)
        except GitError as error:
            warnings.append(f"A commit of the task could not be taken over into the repository: {error}")
        return await read_ref(self.repository.bound, self.reference) or tip

    async def _keep(self, oid: str, name: str, warnings: list[str]) -> None:
        kept = await read_ref(self.repository.bound, name)
        if kept == oid:
            return
        left = f"refs/goose/{self.task_id}/left/"
        if kept is not None and not name.startswith(left) and not await self.repository.is_ancestor(kept, oid):
            await self._keep(kept, f"{left}{kept[:16]}", warnings)  # a recorded state may name it
        try:
            await update_ref(self.repository.bound, name, oid, kept)
        except GitError as error:
            aside = f"refs/goose/{self.task_id}/left/{oid[:16]}"
            if name == aside:
                warnings.append(f"A commit of the task could not be kept: {error}")
            else:  # an earlier branch, say, has the name of a folder
                await self._keep(oid, aside, warnings)

    async def _fetched(self, scratch: Path, first: set[str], others: set[str], warnings: list[str]) -> set[str]:
        """Copies what these objects need into the user's object store, where git finds all of it sound. Returns those of which
        that is so; where something among `others` is not, those in `first` still are."""
        try:
            async with asyncio.timeout(_DEADLINE):
                objects = scratch / "objects"
                await asyncio.to_thread(self._copy_objects, objects)
                bound = self.repository.git.at(self.repository.git_dir, objects=objects, alternates=(self.repository.objects,))
                for pack in sorted((objects / "pack").glob("*.pack")):
                    await bound.run("index-pack", str(pack))
                try:
                    return await self._import(bound, first | others)
                except GitError:
                    if not (first and others):
                        raise
                warnings.append("Other branches, tags or stashes of the task are not kept: something in them is unsound.")
                return await self._import(bound, first)
        except TimeoutError:
            warnings.append(f"The task's commits are not taken over: reading them took longer than {_DEADLINE:g} seconds.")
        except GitError as error:
            warnings.append(f"A commit of the task could not be taken over into the repository: {error}")
        return set()

    async def _import(self, bound: Git, wanted: set[str]) -> set[str]:
        listing = await bound.out("cat-file", "--batch-check", stdin="".join(f"{oid}\n" for oid in sorted(wanted)).encode())
        rows = [line.split(" ") for line in listing.decode("utf-8", "replace").splitlines()]
        found = {row[0] for row in rows if len(row) == 3 and row[1] in ("commit", "tag")}
        if not found:
            return found
        known = (await self.repository.bound.out("for-each-ref", "--format=^%(objectname)")).decode()
        # Only what the user's own store lacks: all else is borrowed from it.
        named = "".join(f"{oid}\n" for oid in sorted(found)) + known
        pack = await bound.out("pack-objects", "--revs", "--local", "--stdout", "-q", stdin=named.encode())
        await self.repository.bound.run("unpack-objects", "--strict", "-q", stdin=pack)
        return found

    def _copy_objects(self, target: Path) -> None:
        """Loose objects and packs, each a regular file with the name of one. Raises GitError for more than can be meant."""
        (target / "pack").mkdir(parents=True)
        room = _AT_MOST
        with UntrustedFolder.opened(self.folder) as folder:
            if folder is None:
                return
            for fan in map("{:02x}".format, range(256)):
                with folder.within("objects", fan) as loose:
                    names = [name for name in loose.names() if OID.fullmatch(fan + name)] if loose is not None else []
                    if loose is None or not names:
                        continue
                    (target / fan).mkdir()
                    room = _copied(loose, names, target / fan, room)
            with folder.within("objects", "pack") as packs:
                if packs is not None:
                    names = [name for name in packs.names() if re.fullmatch(r"pack-[0-9a-f]{40,64}\.pack", name)]
                    _copied(packs, names, target / "pack", room)

    async def _show_user(self, tip: str) -> None:
        """The worktree as the user's own git sees it: at the task's commit, nothing staged."""
        if not self.reference.startswith("refs/heads/"):
            await move_head(self.repository, self.where, tip)
        with tempfile.TemporaryDirectory(prefix="commits-", dir=self.folder.parent) as scratch:
            index = Path(scratch) / "index"
            await self.repository.git.at(self.repository.git_dir, index=index).run("read-tree", tip)
            await asyncio.to_thread(put_index, self.repository, self.where, index)

    async def _make(self, tip: str, stores: tuple[Path, ...]) -> None:
        """The index and the objects of an earlier one stay; everything else is made anew."""
        refs = await shown_refs(self.repository, self.branch)
        try:
            await asyncio.to_thread(self._write, Plan(self.repository, self.settings, self.branch, tip, stores, refs), tip)
        except OSError as error:
            raise from_os_error(error) from None

    def _write(self, plan: Plan, tip: str) -> None:
        with tempfile.TemporaryDirectory(prefix="commits-", dir=self.folder.parent) as scratch:
            fresh, fixed = Path(scratch) / "git", self.folder.with_name(f"{self.folder.name}.fixed")
            plan.write(fresh)
            exclude = fresh / "info" / "exclude"
            exclude.write_bytes(_with_rules(exclude.read_bytes() if exclude.is_file() else b"", self.own_rules))
            self._handed_out.write_bytes((fresh / "packed-refs").read_bytes())
            plan.write_fixed(fresh, fixed)
            state = self._read_state(fresh)
            self.folder.mkdir(mode=0o700, exist_ok=True)
            replace_git_dir(self.folder, fresh, Path(scratch) / "old")
        index = admin_dir(self.repository, self.where) / "index"
        if not os.path.lexists(self.folder / "index") and index.is_file():
            # Handed out at the same time it comes either with this copy, or after the folder is there.
            put_in_place(index, self.folder / "index")
        self._write_note(_Note(tip, tuple(map(str, plan.stores)), state))


def _with_rules(before: bytes, rules: Path) -> bytes:
    lines = before.split(b"\n")
    added = [line for line in rules.read_bytes().split(b"\n") if line not in lines] if rules.is_file() else []
    return b"\n".join([before.removesuffix(b"\n"), *added, b""]) if added else before


def _is_name(name: str) -> bool:
    return len(name) < _LONGEST_NAME and _NAME.fullmatch(name) is not None and _NO_NAME.search(name) is None


def _is_safe(name: str) -> bool:
    """Of a ref of any kind: it may be a file's name below the git directory."""
    return len(name) < _LONGEST_NAME and _ANY_NAME.fullmatch(name) is not None and _NO_NAME.search(name) is None


def _copied(folder: UntrustedFolder, names: list[str], target: Path, room: int) -> int:
    for name in names:
        status = folder.status(name)
        if status is not None and status.st_size > room:
            raise GitError("it has more than a gigabyte of new objects.")
        room -= folder.copy(name, target / name, room) or 0
    return room


def _entries_of(log: bytes | None) -> list[str]:
    """What a reflog says that the ref has been, newest first."""
    rows = [line.split(b" ", 2) for line in (log or b"").splitlines()]
    oids = [row[1].decode("ascii", "replace") for row in rows if len(row) == 3]
    return [oid for oid in reversed(oids) if OID.fullmatch(oid)]


def _oid(content: bytes | None) -> str | None:
    text = text_of(content)
    return text if OID.fullmatch(text) else None
