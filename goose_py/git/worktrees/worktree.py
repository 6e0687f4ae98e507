"""A task's worktree: a real linked worktree for the agent, looked at by us through a private git directory only."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec

from goose_py.git.contents.lfs import missing_contents, uses_lfs
from goose_py.git.contents.submodules import (
    LINK,
    Checkout,
    fill_submodules,
    fillable,
    filled_paths,
    links_in,
    links_of,
    made_among,
    made_commit,
    readable_commits,
)
from goose_py.git.errors import GitError, MissingObjects, RefMoved, WorktreeExists, WorktreeMissing
from goose_py.git.paths import below_symlink, located, relative
from goose_py.git.private import ABSENT, PrivateStore
from goose_py.git.repository import Repository, delete_ref, read_ref, update_ref
from goose_py.git.runner import together
from goose_py.git.trees.rewind import switch
from goose_py.git.trees.snapshot import (
    Caps,
    Snapshot,
    changed_among,
    ignored_paths,
    mark_fresh,
    record,
    record_with_submodules,
)
from goose_py.git.untrusted import read_small
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.commits import CommitStore
from goose_py.git.worktrees.ignored import Bounds, IgnoredFiles
from goose_py.git.worktrees.linked import (
    add_detached,
    add_linked,
    attach_linked,
    forget_linked,
    free_branch,
    head_of,
    move_head,
    put_index,
    remove_linked,
)
from goose_py.git.worktrees.states import SNAPSHOTS, Parts, States
from goose_py.git.worktrees.task_file import NAME, TaskFile
from goose_py.git.worktrees.task_refs import OID, TaskRefs
from goose_py.git.worktrees.unrecordable import IGNORED, WORK, bring_back, move_aside, nested_git_dirs
from goose_py.git.worktrees.user_index import make_user_index
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

EMPTY_TREES = (
    "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
)
"""Git's id of a tree without entries, by SHA-1 and by SHA-256."""


@dataclass(frozen=True)
class Recorded:
    """Everything that the task was: `state` holds the files, which are `tree`, the ignored files and the refs. `left_out` are
    paths that it does not hold, those of `ignored_left_out` because git ignores them; `warnings` are sentences for a person."""

    state: str
    tree: str
    left_out: tuple[str, ...] = ()
    ignored_left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class TaskWorktree:
    """`path` is where the agent works; `store` is the private git directory that survives the worktree. `branch` is the task's
    branch where an earlier version made one.
    `submodules` are all that the base has, nested ones too where they can be filled; `empty` those of them that cannot, as it
    was when the worktree was begun. `listed` are the paths of the base, where this value has seen them: see `base_files`. All
    ids are full."""

    repository: Repository
    store: PrivateStore
    task_id: str
    path: Path
    base: Base
    branch: str | None = None
    submodules: tuple[str, ...] = ()
    empty: tuple[str, ...] = ()
    caps: Caps = field(default=Caps())
    bounds: Bounds = field(default=Bounds())
    listed: tuple[str, ...] | None = field(default=None, repr=False, compare=False)

    @classmethod
    async def create(
        cls,
        repository: Repository,
        task_id: str,
        *,
        where: Path,
        store: Path,
        base: Base,
        caps: Caps | None = None,
    ) -> TaskWorktree:
        """Make the worktree with its files in place: `begin`, then `fill`."""
        worktree = await cls.begin(repository, task_id, where=where, store=store, base=base, caps=caps)
        await worktree.fill()
        return worktree

    @classmethod
    async def begin(
        cls,
        repository: Repository,
        task_id: str,
        *,
        where: Path,
        store: Path,
        base: Base,
        caps: Caps | None = None,
    ) -> TaskWorktree:
        """Make the worktree at `where`, on no branch, at the commit of `base` and still without its files: nobody works in it
        before `fill`. `store` is where the private git directory is made; keep
        it outside every folder that the agent can write. Runs no hook and no filter, touches no index, file or existing ref
        of the user's.
        On failure or cancellation nothing stays behind; what a crash left of the same creation is cleared away first.
        Raises WorktreeExists, NoSpace, MissingObjects, GitError."""
        where = where.absolute()
        await _clear_unfinished(repository, store)
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise WorktreeExists(where)
        private = await PrivateStore.create(repository, store)
        adding: asyncio.Future[None] | None = None
        try:
            _task_file(repository, task_id, where, base).write(store)
            adding = asyncio.ensure_future(add_detached(repository, where, base.commit))
            # The first snapshot is the base, which the other ref keeps with all its objects.
            refs = {_base_ref(task_id): base.standing, _head_ref(task_id): base.commit}
            _, _, _, (files, links) = await together(
                _uncut(adding),
                _set_refs(repository, refs),
                update_ref(private.bound, f"{SNAPSHOTS}1", base.tree, None),
                _listing(private, base.tree),
            )
            where = where.resolve()
            _task_file(repository, task_id, where, base).write(store)
            submodules = await fillable(private, links)
            worktree = cls(
                repository=repository,
                store=private,
                task_id=task_id,
                path=where,
                base=base,
                submodules=tuple(path_from_bytes(path) for path in sorted((*submodules.filled, *submodules.empty))),
                empty=tuple(path_from_bytes(path) for path in submodules.empty),
                caps=caps or Caps(),
                listed=files,
            )
        except BaseException:
            if adding is not None:
                await asyncio.shield(asyncio.wait([adding]))
            added = adding is not None and not adding.cancelled() and adding.exception() is None
            await asyncio.shield(_undo_creation(repository, where, base, task_id, store, added=added))
            raise
        return worktree

    @classmethod
    async def begin_again(cls, repository: Repository, store: Path) -> TaskWorktree:
        """The worktree whose files a crash kept from arriving, begun anew from the same base. Raises GitError where there was
        none or it was finished."""
        known = TaskFile.read(store)
        if known.ready:
            raise GitError(f"the worktree of task {known.task_id} is not one that was only begun.")
        return await cls.begin(
            repository, known.task_id, where=Path(known.path), store=store, base=Base.of(known.base)
        )

    async def fill(self) -> None:
        """Put the files of the base in place, once, after `begin`. Whoever opens the worktree or asks for a snapshot of it
        meanwhile waits, in other processes too. On failure or cancellation nothing of the worktree stays behind.
        Raises NoSpace, MissingObjects, GitError."""
        async with self.store.locked():
            try:
                checkout = self._checkout()
                await checkout.on.run("read-tree", "-m", "-u", self.base.tree)
                await checkout.put_contents(await self.base_files())
                if self.submodules:
                    await self._fill_submodules(checkout)
                await self._show_staged(self.base.tree)
                mark_fresh(self.store.index)
                self._save()
            except BaseException:
                undoing = asyncio.ensure_future(
                    _undo_creation(self.repository, self.path, self.base, self.task_id, self.store.path, added=True)
                )
                while not undoing.done():
                    with suppress(asyncio.CancelledError):  # whoever misses the worktree meanwhile hears the reason
                        await asyncio.wait([undoing])
                raise

    async def _fill_submodules(self, checkout: Checkout) -> None:
        links = await links_of(self.store, self.base.tree)
        await fill_submodules(checkout, links)
        if not self.base.index:
            return
        # What the user changed in one is a commit of ours, in a store that knows nothing of this task.
        before = await links_of(self.store, self.base.index)
        made = await made_among(self.store, {path: (before[path], links[path]) for path in links if path in before})
        trees = await readable_commits(self.store, sorted({new for _, new in made.values()}))
        for old, new in made.values():
            await self.store.own(trees[new], since=old)
            await self.store.copy([new])
            await made_commit(self.store, trees[new])

    @classmethod
    async def open(cls, repository: Repository, store: Path, caps: Caps | None = None) -> TaskWorktree:
        """The worktree that was made with this private git directory; one that is being filled now is waited for. Raises
        GitError where there is none or a crash kept it from being finished; that the folder itself is gone is found out when
        it is used (WorktreeMissing)."""
        known = TaskFile.read(store)
        private = await PrivateStore.open(repository, store)
        if not known.ready:
            async with private.locked():
                known = TaskFile.read(store)
        if not known.ready:
            raise GitError(f"the worktree of task {known.task_id} was never finished and holds no work; start the task again.")
        return cls(
            repository=repository,
            store=private,
            task_id=known.task_id,
            path=Path(known.path),
            base=Base.of(known.base),
            branch=known.branch,
            submodules=known.submodules,
            empty=known.empty,
            caps=caps or Caps(),
        )

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def intact(self) -> bool:
        """Whether what stands there is the task's worktree: neither another folder in its place nor one that somebody has
        emptied, which would pass for a task that deleted everything."""
        try:
            names = {entry.name for entry in os.scandir(self.path)}
        except OSError:
            return False
        return ".git" in names and (len(names) > 1 or self.base.tree in EMPTY_TREES)

    @property
    def pointers(self) -> tuple[str, ...]:
        """Files of Git LFS that are pointers in the worktree, because the user's repository lacks their content."""
        return missing_contents(self.store)

    async def base_files(self) -> tuple[str, ...]:
        """The paths of the base's tree: what the task found when it began."""
        return self.listed if self.listed is not None else (await _listing(self.store, self.base.tree))[0]

    async def snapshot(self) -> Snapshot:
        """The files as they are now, as a tree that is kept for good under `refs/goose/snapshots/N` of the private git
        directory. Raises WorktreeMissing, NoSpace."""
        checkout = self._checkout()
        async with self.store.locked():
            adopted = await self._adopt()
            snapshot = await record_with_submodules(checkout, self.caps, await self._committed_ignored(checkout))
            await self.keep(snapshot.tree)
        return replace(snapshot, warnings=(*snapshot.warnings, *adopted, *self._warnings_of_submodules()))

    def _warnings_of_submodules(self) -> tuple[str, ...]:
        return tuple(
            f"{path_from_bytes(relative(self.path, folder))} is a submodule; the files in it are not recorded."
            for folder in self._unrecorded_submodules()
        )

    async def record(self, paths: Sequence[bytes] | None = None) -> Recorded:
        """Everything as it is now, kept for good. With `paths` nothing else can have changed since the last time: only they are
        looked at. Raises WorktreeMissing, NoSpace."""
        checkout = self._checkout()
        async with self.store.locked():
            if paths is not None and (found := await self._recorded_paths(checkout, paths)) is not None:
                return found
            return await self._recorded(checkout)

    async def _recorded(self, checkout: Checkout) -> Recorded:
        adopted = await self._adopt()
        also = await self._committed_ignored(checkout)
        snapshot, refs = await together(record_with_submodules(checkout, self.caps, also), self._recorded_refs())
        # By the index as it is then: below what was a tracked file before git would list nothing.
        listed = [path for path in await self.ignored_files() if path not in also]
        ignored = await IgnoredFiles.of(self.store, self.path).record(listed, self.bounds)
        state = await self.states.add(Parts(snapshot.tree, ignored.tree, refs), self.base.tree)
        warnings = (*snapshot.warnings, *adopted, *self._warnings_of_submodules())
        return Recorded(state, snapshot.tree, (*snapshot.left_out, *ignored.left_out), ignored.left_out, warnings)

    async def _recorded_paths(self, checkout: Checkout, paths: Sequence[bytes]) -> Recorded | None:
        """None where it takes a look at everything."""
        if checkout.filled():
            return None
        seen, newest = await together(changed_among(checkout.on, self.path, paths), self.states.newest())
        if seen is None or newest is None:
            return None
        snapshot = await record(self.store, checkout.on, checkout.root, self.caps, seen=seen)
        state = await self.states.add(replace(newest, files=snapshot.tree), self.base.tree)
        return Recorded(state, snapshot.tree, snapshot.left_out, (), snapshot.warnings)

    async def _recorded_refs(self) -> str:
        refs = await asyncio.to_thread(self.commits.refs)
        if not refs.head:  # git works on the worktree itself
            refs = TaskRefs(head_of(self.repository, self.path) or "")
        return await self.store.bound.line("hash-object", "-w", "--stdin", stdin=refs.encode())

    async def put_back(self, state: str) -> Recorded:
        """Make everything what it was in a recorded state: files, ignored files and refs. Returns what it was just before,
        which undoes it. Raises WouldOverwrite where something that no state holds stands in the way, and then nothing was
        changed."""
        checkout = self._checkout()
        async with self.store.locked():
            before = await self._recorded(checkout)
            await self._switch(checkout, await self.states.parts(before.state), await self.states.parts(state))
            await self._put_refs(await self.states.parts(before.state), await self.states.parts(state))
            await self.states.add(await self.states.parts(state), self.base.tree)
        return before

    async def take_files(self, state: str) -> None:
        """The files and the ignored files become those of a state of another task, whose objects are here already."""
        parts = await self.states.parts(state)
        async with self.store.locked():
            now = await self.states.parts((await self._recorded(self._checkout())).state)
            await self._switch(self._checkout(), now, parts)
            await self.states.add(replace(now, files=parts.files, ignored=parts.ignored), self.base.tree)

    async def _switch(self, checkout: Checkout, now: Parts, wanted: Parts) -> None:
        ignored = IgnoredFiles.of(self.store, self.path)
        there, coming = now.ignored or self._empty_tree, wanted.ignored or self._empty_tree
        here, then = await self.store.entries(there), await self.store.entries(coming)
        # What was ignored may be among the files then, and the other way round: first what has to go, goes.
        stays = await self.store.edited_tree(there, {path: ABSENT for path in here if here[path] != then.get(path)})
        await switch(ignored, there, stays)
        try:
            await switch(checkout, now.files, wanted.files)
            try:
                await switch(ignored, stays, coming)
            except BaseException:
                await asyncio.shield(switch(checkout, wanted.files, now.files))
                raise
        except BaseException:
            await asyncio.shield(switch(ignored, stays, there))
            raise
        for folder in await self._empty_submodules(wanted.files):
            folder.mkdir(parents=True, exist_ok=True)

    async def _put_refs(self, now: Parts, wanted: Parts) -> None:
        if now.refs == wanted.refs or not wanted.refs:
            return
        texts = await self.store.read_blobs([wanted.refs])
        refs, tip = TaskRefs.decode(texts[wanted.refs]), await self.tip()
        commit = refs.commit or (refs.head if OID.fullmatch(refs.head) else tip)
        if commit is not None and await read_ref(self.repository.bound, f"{commit}^{{commit}}") is None:
            commit = tip
        if commit is None:
            return
        if commit != tip:
            await update_ref(self.repository.bound, self.reference, commit, tip, "goose-py: rewind the task")
            if self.branch is None:
                await move_head(self.repository, self.path, commit)
        await self.commits.put_refs(refs, commit)
        if commit != tip:
            await self._show_index(await self.repository.tree_of(commit))

    async def _adopt(self) -> tuple[str, ...]:
        """Takes over what was committed: in the sandbox, or in the worktree itself where commands work there."""
        warnings = await self.commits.adopt()
        if self.branch is not None:
            return warnings
        head = head_of(self.repository, self.path)
        if head in (None, self._loose_tip()):
            return warnings
        tip, commit = await self.tip(), await read_ref(self.repository.bound, f"{head}^{{commit}}")
        if commit is None or tip in (None, commit):
            return warnings
        await self._keep_left(tip, commit)
        await update_ref(self.repository.bound, self.reference, commit, tip, "commit in the task")
        await self.commits.show(commit)
        return warnings

    async def _keep_left(self, tip: str, commit: str) -> None:
        """Keeps the task's commits where it goes on from another one."""
        if not await self.repository.is_ancestor(tip, commit):
            name = f"refs/goose/{self.task_id}/left/{tip[:16]}"
            await update_ref(self.repository.bound, name, tip, await read_ref(self.repository.bound, name))

    def _loose_tip(self) -> str | None:
        """The tip, where it can be had without a process."""
        return (read_small(self.repository.common_dir / self.reference) or "").strip() or None

    async def _committed_ignored(self, checkout: Checkout) -> list[bytes]:
        """Files that the agent has committed although they are ignored: work like all other. Once they are recorded, they
        are known."""
        if self._loose_tip() == self.base.commit:
            return []  # the usual case, without a process
        tip = await self.tip()
        if tip in (None, self.base.commit):
            return []
        differing = ("diff-tree", "-r", "-z", "--name-only", "--no-renames", "--diff-filter=A")
        added = [path for path in (await self.repository.bound.out(*differing, self.base.commit, tip)).split(b"\0") if path]
        present = [path for path in added if _is_file(located(self.path, path)) and not below_symlink(self.path, path)]
        return sorted(await ignored_paths(checkout.on, present)) if present else []

    async def ignored_files(self) -> list[bytes]:
        """What git ignores here and in the submodules that were filled: no tree of the files has it. A folder of nothing else
        is one entry, which ends with a slash."""
        found: list[bytes] = []
        waiting = [self._checkout()]
        while waiting:
            checkout = waiting.pop()
            listing = await checkout.on.out(
                "ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory"
            )
            found += [checkout.prefix + path for path in listing.split(b"\0") if path]
            waiting += [inner for inner in checkout.filled().values() if inner.usable]
        return found

    @property
    def note_of_copies(self) -> Path:
        """What was copied into the worktree besides its base: kept as long as the worktree is there."""
        return self.store.path / "copied.json"

    @property
    def commits(self) -> CommitStore:
        """The git directory that a sandboxed task sees, and the way of its commits from there."""
        return CommitStore(
            folder=self.store.path / "commits",
            repository=self.repository,
            settings=self.store.settings,
            where=self.path,
            task_id=self.task_id,
            reference=self.reference,
            branch=self.branch or self.base.branch,
            own_rules=self.store.own_rules,
        )

    @property
    def states(self) -> States:
        """What was recorded of it."""
        return States(self.store)

    @property
    def _empty_tree(self) -> str:
        return EMPTY_TREES[self.store.object_format == "sha256"]

    @property
    def reference(self) -> str:
        """The ref of the user's repository that keeps the task's commits."""
        return f"refs/heads/{self.branch}" if self.branch else _head_ref(self.task_id)

    async def keep(self, tree: str) -> None:
        """Protect a tree for good: with a ref, and with copies of those of its objects that git had found in the user's
        store (an agent's commit, say) and might prune there. Keeping the newest one again does nothing."""
        await self._keep_after(await self.snapshots(), tree)

    async def _keep_after(self, kept: Sequence[str], tree: str) -> tuple[str, ...]:
        """`kept` are the trees so far; what is returned are those that there are then."""
        if kept and kept[-1] == tree:
            return tuple(kept)
        if tree not in kept:
            # The base is kept in the user's repository by a ref of its own.
            await self.store.own(tree, since=kept[-1] if kept else self.base.tree)
        await update_ref(self.store.bound, f"{SNAPSHOTS}{len(kept) + 1}", tree, None)
        return (*kept, tree)

    async def snapshots(self) -> tuple[str, ...]:
        """All trees that were recorded, oldest first; neighbours differ."""
        listing = await self.store.bound.out(
            "for-each-ref", "--format=%(objectname)", "--sort=version:refname", SNAPSHOTS
        )
        return tuple(listing.decode().split())

    async def restore(self, tree: str) -> Snapshot:
        """Make the files those of `tree`: what came since is removed, what is gone comes back. Returns the snapshot taken
        just before, which undoes it. Ignored files, the index and the git directory stay as they are. Where a file that no
        snapshot holds stands in the way, nothing is changed and WouldOverwrite is raised."""
        checkout = self._checkout()
        async with self.store.locked():
            await self._adopt()
            before = await record_with_submodules(checkout, self.caps, await self._committed_ignored(checkout))
            kept = await self._keep_after(await self.snapshots(), before.tree)
            await switch(checkout, before.tree, tree)
            for folder in await self._empty_submodules(tree):
                folder.mkdir(parents=True, exist_ok=True)
            await self._keep_after(kept, tree)
        return before

    async def require_base(self) -> None:
        """Raises MissingObjects where the repository does not have the base's commit (any more)."""
        if await read_ref(self.repository.bound, f"{self.base.commit}^{{commit}}") is None:
            raise MissingObjects(
                f"the commit {self.base.commit[:12]} that it began at is not in {self.repository.root}; where that was made "
                "anew, `git fetch` it from where it is still kept."
            )

    async def tip(self) -> str | None:
        """The commit that the task is at, None where its ref is gone."""
        return await read_ref(self.repository.bound, self.reference)

    async def move_tip(self, commit: str, tip: str, message: str) -> None:
        """From exactly `tip` to another commit; HEAD follows, files and index do not. Raises RefMoved."""
        await update_ref(self.repository.bound, self.reference, commit, tip, message)
        if self.branch is None and self.exists:
            await move_head(self.repository, self.path, commit)
        await self.commits.show(commit)

    @property
    def published(self) -> str:
        """The branch that the task's result was delivered on, "" before."""
        return TaskFile.read(self.store.path).published

    async def publish_branch(self, commit: str) -> str:
        """A branch of the user's at this commit of the task: `goose/<task>`, or the next free name, the same one each time.
        Raises RefMoved where somebody else has moved it on."""
        if self.branch is not None:
            return self.branch
        bound, name = self.repository.bound, self.published
        tip = await self.repository.branch_tip(name) if name else None
        if tip is not None and not await self.repository.is_ancestor(tip, commit):
            raise RefMoved(f"the branch {name} has commits that the task does not know; nothing was changed.")
        if tip is None:
            name = await free_branch(self.repository, f"goose/{self.task_id}", commit)
            msgspec.structs.replace(TaskFile.read(self.store.path), published=name).write(self.store.path)
        elif tip != commit:
            await update_ref(bound, f"refs/heads/{name}", commit, tip, "goose-py: deliver")
        return name

    async def detached_head(self) -> str | None:
        """The commit that the worktree is at where that is not its branch's: an agent may have left the branch."""
        head = head_of(self.repository, self.path) if self.branch is not None else None
        if head is None or head == self.reference:
            return None
        commit = await read_ref(self.repository.bound, f"{head}^{{commit}}")
        return None if commit in (None, await self.tip(), self.base.commit) else commit

    async def keep_tip(self) -> None:
        """Protect the task's commits under refs of the user's repository: `refs/goose/<task>/tip` for its branch, and
        `refs/goose/<task>/head` where the worktree was at another commit."""
        for name, commit in (("tip", await self.tip()), ("head", await self.detached_head())):
            reference = f"refs/goose/{self.task_id}/{name}"
            kept = await read_ref(self.repository.bound, reference)
            if commit is not None and commit != kept:
                await update_ref(self.repository.bound, reference, commit, kept)

    async def remove(self) -> Recorded | None:
        """Take the worktree away, and a branch of its own, after everything in it is recorded: files, ignored files and refs as
        a state, commits under `refs/goose/<task>`, what no state can hold moved beside the private git directory. Only caches
        go. Returns what was recorded (None where the worktree was gone already: another folder in its place stays). `recreate`
        brings all of it back."""
        snapshot = None
        if self.intact:
            snapshot = await self.record()
            await self._set_aside([path for path in snapshot.left_out if path not in snapshot.ignored_left_out])
            ignored = [located(self.path, path_to_bytes(path).rstrip(b"/")) for path in snapshot.ignored_left_out]
            await asyncio.to_thread(move_aside, self.store.path, self.path, ignored, IGNORED)
            await self.keep_tip()
            await remove_linked(self.repository, self.path)
        else:
            await self.keep_tip()
            await self._clear_remains()
        tip = await self.tip()
        if tip is not None and self.branch is not None:
            await delete_ref(self.repository.bound, self.reference, tip)
        await asyncio.to_thread(self.commits.forget)
        return snapshot

    async def recreate(self, tree: str | None = None) -> TaskWorktree:
        """Bring a removed or hand-deleted worktree back, at the same place and commit, with the files of `tree` (the last
        snapshot by default). Raises WorktreeExists where something stands there."""
        if self.intact or not await self._clear_remains():
            raise WorktreeExists(self.path)
        await self.commits.adopt()
        await asyncio.to_thread(self.commits.forget)
        tree = tree or (await self.snapshots())[-1]
        tip = await self.tip()
        start = tip or await read_ref(self.repository.bound, self._tip_ref) or self.base.commit
        worktree = self
        if self.branch is None:
            await add_detached(self.repository, self.path, start)
            if tip is None:
                await _set_refs(self.repository, {self.reference: start})
        elif tip is None:
            worktree = replace(self, branch=await add_linked(self.repository, self.path, self.branch, start))
        else:
            await attach_linked(self.repository, self.path, self.branch)
        async with self.store.locked():
            self.store.index.unlink(missing_ok=True)
            checkout = worktree._checkout()
            start_tree = await self.repository.tree_of(start)
            await checkout.on.run("read-tree", "-m", "-u", start_tree)
            if uses_lfs(self.store):
                await checkout.put_contents()
            await worktree._adopt_index()
            links = await links_of(self.store, start_tree) if self.submodules else {}
            await fill_submodules(checkout, links)
            await switch(checkout, start_tree, tree)
            if self.base.index and start == self.base.commit:
                await worktree._show_staged(tree)
            await worktree._bring_ignored(start)
            for kind in (WORK, IGNORED):
                await asyncio.to_thread(bring_back, self.store.path, self.path, kind)
        worktree._save()
        return worktree

    async def _bring_ignored(self, tip: str) -> None:
        """What the state that was recorded last has besides the files."""
        parts, ignored = await self.states.newest(), IgnoredFiles.of(self.store, self.path)
        if parts is None:
            self.note_of_copies.unlink(missing_ok=True)  # what was copied once has to come again
            return
        ignored.index.unlink(missing_ok=True)
        if parts.ignored:
            await switch(ignored, self._empty_tree, parts.ignored)
        refs = TaskRefs.decode((await self.store.read_blobs([parts.refs]))[parts.refs]) if parts.refs else TaskRefs()
        if refs.named and await self.commits.prepare() is not None:
            await self.commits.put_refs(refs, tip)

    async def _clear_remains(self) -> bool:
        """Takes away what is left of an emptied worktree, and git's record of it. False where there is something else."""
        with suppress(OSError):
            if [entry.name for entry in os.scandir(self.path)] == [".git"] and _is_file(self.path / ".git"):
                (self.path / ".git").unlink()
            self.path.rmdir()
        if os.path.lexists(self.path):
            return False
        await forget_linked(self.repository, self.path)
        return True

    async def rebase(self, base: Base, tree: str) -> tuple[TaskWorktree, Snapshot]:
        """Stand on another base: the task is at its commit and the files become those of `tree`. What was there before
        is kept, the files as the returned snapshot, the task's commits under `refs/goose/<task>/tip`. Raises WouldOverwrite,
        and then nothing was changed."""
        before = await self.restore(tree)
        await self.keep_tip()
        bound, tip = self.repository.bound, await self.tip()
        kept = await read_ref(bound, self._keep_ref)
        if kept != base.standing:
            await update_ref(bound, self._keep_ref, base.standing, kept)
        worktree = replace(self, base=base)
        if tip is not None and tip != base.commit:
            await worktree.move_tip(base.commit, tip, "goose-py: rebase the task")
        worktree._save()
        await worktree._show_index(base.index or base.tree)
        return worktree, before

    async def _show_index(self, tree: str) -> None:
        """The agent's own index becomes that of a tree, with the times of the files that are the same."""
        with self.store.scratch("index") as folder:
            index = Path(folder) / "index"
            await asyncio.to_thread(shutil.copy2, self.store.index, index)
            await self.store.on(self.path, index=index).run("read-tree", "-m", tree)
            await self._hand_out(index)

    async def _show_staged(self, files: str) -> None:
        """The agent's own index says what the user's did; the files are those of the tree `files`."""
        if not self.base.index:
            return await self._adopt_index()
        with self.store.scratch("index") as folder:
            index = Path(folder) / "index"
            await make_user_index(self.store, self.path, self.base, files, index)
            await self._hand_out(index)

    @property
    def _keep_ref(self) -> str:
        # The private git directory borrows the base's objects: this ref keeps `git gc` from pruning them, even where the
        # branch they came from is deleted or rebased.
        return _base_ref(self.task_id)

    @property
    def _tip_ref(self) -> str:
        return f"refs/goose/{self.task_id}/tip"

    def _checkout(self) -> Checkout:
        if not self.exists:
            raise WorktreeMissing(self.path, self.task_id)
        return Checkout(self.store, self.path)

    async def _adopt_index(self) -> None:
        """Give the agent's own git the index that belongs to the files, so that its `git status` is clean and fast. The copy
        keeps its time: git tells by it which entries may have changed unnoticed."""
        await self._hand_out(self.store.index)

    async def _hand_out(self, index: Path) -> None:
        await asyncio.to_thread(put_index, self.repository, self.path, index)
        await asyncio.to_thread(self.commits.show_index, index)

    def _save(self) -> None:
        known = _task_file(self.repository, self.task_id, self.path, self.base)
        msgspec.structs.replace(
            known, branch=self.branch, published=self.published, submodules=self.submodules, empty=self.empty, ready=True
        ).write(self.store.path)

    async def _empty_submodules(self, tree: str) -> list[Path]:
        paths = [path_to_bytes(path) for path in self.empty]
        entries = await self.store.entries(tree, paths)
        return [located(self.path, path) for path, entry in entries.items() if entry[0] == LINK]

    def _unrecorded_submodules(self) -> list[Path]:
        """Those into which somebody else put files: no snapshot holds them."""
        recorded = filled_paths(self.store)
        paths = (path_to_bytes(path) for path in self.empty)
        folders = (located(self.path, path) for path in paths if path not in recorded)
        return [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]

    async def _set_aside(self, left_out: Sequence[str]) -> None:
        places = [located(self.path, path_to_bytes(path)) for path in left_out] + self._unrecorded_submodules()
        nested = await asyncio.to_thread(nested_git_dirs, self.path)
        owners = [relative(self.path, place.parent) for place in nested]
        ignored = await ignored_paths(self._checkout().on, owners) if owners else set()
        places += [place for place, owner in zip(nested, owners, strict=True) if owner not in ignored]
        await asyncio.to_thread(move_aside, self.store.path, self.path, places)


_FRESH_STORE = {"HEAD", "config", "description", "objects", "refs", "info", "branches", "hooks"}


def _is_file(place: Path) -> bool:
    return place.is_symlink() or place.is_file()


async def _uncut(work: asyncio.Future[None]) -> None:
    """Waits for what goes on where the waiting is cancelled."""
    await asyncio.shield(work)


async def pin_base(repository: Repository, tasks: Sequence[str], base: Base) -> None:
    """Keeps what these tasks start from, under `refs/goose/<task>/base`, from being pruned."""
    await _set_refs(repository, {_base_ref(task): base.standing for task in tasks})


async def unpin_base(repository: Repository, tasks: Sequence[str]) -> None:
    """For tasks that never began."""
    await repository.bound.run("update-ref", "--stdin", stdin="".join(f"delete {_base_ref(t)}\n" for t in tasks).encode())


async def _set_refs(repository: Repository, refs: Mapping[str, str]) -> None:
    lines = "".join(f"update {name} {commit}\n" for name, commit in refs.items())
    await repository.bound.run("update-ref", "--stdin", stdin=lines.encode())


def _base_ref(task_id: str) -> str:
    return f"refs/goose/{task_id}/base"


def _head_ref(task_id: str) -> str:
    return f"refs/goose/{task_id}/head"


def _task_file(repository: Repository, task_id: str, where: Path, base: Base) -> TaskFile:
    return TaskFile(
        task_id=task_id,
        repository=str(repository.root),
        common_dir=str(repository.common_dir),
        path=os.fspath(where),
        base=base.record,
    )


async def _listing(store: PrivateStore, tree: str) -> tuple[tuple[str, ...], dict[bytes, str]]:
    """The paths of a tree, and the commits of its submodules by path."""
    listing = await store.bound.out("ls-tree", "-r", "-z", tree)
    return tuple(path_from_bytes(row.partition(b"\t")[2]) for row in listing.split(b"\0") if row), links_in(listing)


async def _clear_unfinished(repository: Repository, store: Path) -> None:
    """Take away what a crash left of a creation: nobody can have worked in a worktree that was never ready."""
    if not (store / NAME).exists():
        if store.is_dir() and {path.name for path in store.iterdir()} <= _FRESH_STORE:
            # The crash came before the task's file, which is the first thing written: there is only an empty store.
            await asyncio.to_thread(shutil.rmtree, store)
        return
    known = TaskFile.read(store)
    if not known.ready:
        where = Path(known.path)
        branch = known.branch or (head_of(repository, where) or "")
        # An earlier version had a branch made with the worktree; what git knows nothing of was never added.
        name = branch.removeprefix("refs/heads/") if known.branch or branch.startswith("refs/heads/") else None
        base, added = Base.of(known.base), head_of(repository, where) is not None
        await _undo_creation(repository, where, base, known.task_id, store, added=added, branch=name)


async def _undo_creation(
    repository: Repository,
    where: Path,
    base: Base,
    task_id: str,
    store: Path,
    *,
    added: bool,
    branch: str | None = None,
) -> None:
    """Only what `begin` itself has made, and only while nobody else can have worked in it."""
    if added:
        await remove_linked(repository, where)
    made = {_base_ref(task_id): base.standing, _head_ref(task_id): base.commit}
    if branch is not None:
        made[f"refs/heads/{branch}"] = base.commit
    for name, commit in made.items():
        if await read_ref(repository.bound, name) == commit:
            await delete_ref(repository.bound, name, commit)
    await asyncio.to_thread(shutil.rmtree, store, True)
