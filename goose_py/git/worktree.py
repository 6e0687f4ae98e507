"""A task's worktree: a real linked worktree for the agent, looked at by us through a private git directory only."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from goose_py.git.base import Base
from goose_py.git.errors import GitError, GitFailed, WorktreeExists, WorktreeMissing, from_os_error
from goose_py.git.paths import located, relative
from goose_py.git.private import PrivateStore
from goose_py.git.repository import Repository, delete_ref, read_ref, update_ref
from goose_py.git.rewind import switch
from goose_py.git.runner import Git
from goose_py.git.snapshot import Caps, Snapshot, ignored_paths, record
from goose_py.protocol.changes import path_from_bytes, path_to_bytes

_METADATA = "goose-task.json"


@dataclass(frozen=True)
class TaskWorktree:
    """`path` is where the agent works, on `branch`; `store` is the private git directory that survives the worktree.
    `submodules` are left empty in the worktree. All ids are full."""

    repository: Repository
    store: PrivateStore
    task_id: str
    path: Path
    branch: str
    base: Base
    submodules: tuple[str, ...] = ()
    caps: Caps = field(default=Caps())

    @classmethod
    async def create(
        cls,
        repository: Repository,
        task_id: str,
        *,
        where: Path,
        store: Path,
        base: Base,
        branch: str | None = None,
        caps: Caps | None = None,
    ) -> TaskWorktree:
        """Make the worktree at `where` on a new branch (`goose/<task_id>`, or the next free name) that starts at `base`,
        with its files in place. `store` is where the private git directory is made; keep it outside every folder that the
        agent can write. Runs no hook and no filter, touches no index, file or existing ref of the user's.
        On failure or cancellation nothing stays behind. Raises WorktreeExists, NoSpace, MissingObjects, GitError."""
        if where.exists() and (not where.is_dir() or any(where.iterdir())):
            raise WorktreeExists(where)
        private = await PrivateStore.create(repository, store)
        adding = asyncio.ensure_future(_add_worktree(repository, where, branch or f"goose/{task_id}", base.commit))
        try:
            made = await asyncio.shield(adding)
            worktree = cls(repository, private, task_id, where.resolve(), made, base, caps=caps or Caps())
            await update_ref(repository.bound, worktree._keep_ref, base.commit, None)
            submodules = await worktree._fill()
            worktree = replace(worktree, submodules=submodules)
            worktree._save()
            await worktree.keep(base.tree)
        except BaseException:
            await asyncio.shield(_undo_creation(repository, where, adding, base.commit, task_id, private))
            raise
        return worktree

    @classmethod
    async def open(cls, repository: Repository, store: Path, caps: Caps | None = None) -> TaskWorktree:
        """The worktree that was made with this private git directory. Raises GitError where there is none; that the folder
        itself is gone is found out when it is used (WorktreeMissing)."""
        metadata = read_metadata(store)
        return cls(
            repository=repository,
            store=await PrivateStore.open(repository, store),
            task_id=metadata["task_id"],
            path=Path(metadata["path"]),
            branch=metadata["branch"],
            base=Base(**{**metadata["base"], "warnings": tuple(metadata["base"]["warnings"])}),
            submodules=tuple(metadata["submodules"]),
            caps=caps or Caps(),
        )

    @property
    def exists(self) -> bool:
        return self.path.is_dir()

    @property
    def _keep_ref(self) -> str:
        # The private git directory borrows the base's objects: this ref keeps `git gc` from pruning them, even where the
        # branch they came from is deleted or rebased.
        return f"refs/goose/{self.task_id}/base"

    def _on(self) -> Git:
        if not self.exists:
            raise WorktreeMissing(self.path)
        return self.store.on(self.path)

    async def snapshot(self) -> Snapshot:
        """The files as they are now, as a tree that is kept for good under `refs/goose/snapshots/N` of the private git
        directory. Raises WorktreeMissing, NoSpace."""
        on = self._on()
        async with self.store.locked():
            snapshot = await record(self.store, on, self.path, self.caps)
            await self.keep(snapshot.tree)
        warnings = tuple(
            f"{path_from_bytes(relative(self.path, folder))} is a submodule; the files in it are not recorded."
            for folder in self._filled_submodules()
        )
        return replace(snapshot, warnings=snapshot.warnings + warnings)

    async def keep(self, tree: str) -> None:
        """Protect a tree of the private store for good. Keeping the newest one again does nothing."""
        listing = await self.store.bound.out(
            "for-each-ref", "--format=%(refname:lstrip=3) %(objectname)", "--sort=-version:refname", "--count=1",
            "refs/goose/snapshots/",
        )  # fmt: skip
        newest = listing.decode().split()
        if newest and newest[1] == tree:
            return
        number = int(newest[0]) + 1 if newest else 1
        await update_ref(self.store.bound, f"refs/goose/snapshots/{number}", tree, None)

    async def snapshots(self) -> tuple[str, ...]:
        """All trees that were recorded, oldest first; neighbours differ."""
        listing = await self.store.bound.out(
            "for-each-ref", "--format=%(objectname)", "--sort=version:refname", "refs/goose/snapshots/"
        )
        return tuple(listing.decode().split())

    async def restore(self, tree: str) -> Snapshot:
        """Make the files those of `tree`: what came since is removed, what is gone comes back. Returns the snapshot taken
        just before, which undoes it. Ignored files, the index and the git directory stay as they are. Where a file that no
        snapshot holds stands in the way, nothing is changed and WouldOverwrite is raised."""
        on = self._on()
        async with self.store.locked():
            before = await record(self.store, on, self.path, self.caps)
            await self.keep(before.tree)
            await switch(self.store, on, self.path, before.tree, tree)
            for folder in await _submodules(on):
                located(self.path, folder).mkdir(parents=True, exist_ok=True)
            await self.keep(tree)
        return before

    async def tip(self) -> str | None:
        """The commit that the task's branch is at, None where the branch is gone."""
        return await self.repository.branch_tip(self.branch)

    async def remove(self) -> Snapshot | None:
        """Take the worktree and its branch away after everything in it is recorded: files as a snapshot, commits under
        `refs/goose/<task>/tip`, files too large for a snapshot moved beside the private git directory. Ignored files go.
        Returns the last snapshot (None where the folder was gone already). `recreate` brings all of it back."""
        snapshot = await self.snapshot() if self.exists else None
        if snapshot is not None:
            await self._set_aside(snapshot.left_out)
        await self.keep_tip()
        await _remove_worktree(self.repository, self.path)
        tip = await self.tip()
        if tip is not None:
            await delete_ref(self.repository.bound, f"refs/heads/{self.branch}", tip)
        return snapshot

    async def recreate(self, tree: str | None = None) -> TaskWorktree:
        """Bring a removed or hand-deleted worktree back, at the same place, on its branch where it was, with the files of
        `tree` (the last snapshot by default). Raises WorktreeExists where something stands there."""
        if self.exists and any(self.path.iterdir()):
            raise WorktreeExists(self.path)
        tree = tree or (await self.snapshots())[-1]
        tip = await self.tip()
        start = tip or await read_ref(self.repository.bound, f"refs/goose/{self.task_id}/tip") or self.base.commit
        await _forget_worktree(self.repository, self.path)
        if tip is None:
            branch = await _add_worktree(self.repository, self.path, self.branch, start)
        else:
            branch = self.branch
            await self.repository.bound.run(
                "worktree", "add", "--quiet", "--no-checkout", "--lock", "--", str(self.path), branch
            )
        worktree = replace(self, branch=branch)
        async with self.store.locked():
            self.store.index.unlink(missing_ok=True)
            on = worktree._on()
            await on.run("read-tree", "-m", "-u", await self.repository.tree_of(start))
            await worktree._adopt_index()
            await switch(self.store, on, self.path, await self.repository.tree_of(start), tree)
            await asyncio.to_thread(worktree._bring_back)
        worktree._save()
        return worktree

    async def keep_tip(self) -> None:
        """Protect the commits of the task's branch under `refs/goose/<task>/tip` of the user's repository."""
        tip = await self.tip()
        name = f"refs/goose/{self.task_id}/tip"
        kept = await read_ref(self.repository.bound, name)
        if tip is not None and tip != kept:
            await update_ref(self.repository.bound, name, tip, kept)

    async def _fill(self) -> tuple[str, ...]:
        on = self._on()
        await on.run("read-tree", "-m", "-u", self.base.tree)
        await self._adopt_index()
        return tuple(path_from_bytes(path) for path in await _submodules(on))

    async def _adopt_index(self) -> None:
        """Give the agent's own git the index that belongs to the files, so that its `git status` is clean and fast. The copy
        keeps its time: git tells by it which entries may have changed unnoticed."""
        git_dir = await self._admin_dir()
        await asyncio.to_thread(shutil.copy2, self.store.index, git_dir / "index")

    async def _admin_dir(self) -> Path:
        wanted = os.path.realpath(self.path / ".git")
        for folder in (self.repository.common_dir / "worktrees").iterdir():
            pointer = folder / "gitdir"
            if pointer.is_file() and os.path.realpath(pointer.read_text().strip()) == wanted:
                return folder
        raise GitError(f"git has no record of the worktree {self.path}; repair it with `git worktree repair`.")

    def _save(self) -> None:
        base = self.base
        content = {
            "version": 1,
            "task_id": self.task_id,
            "repository": str(self.repository.root),
            "path": str(self.path),
            "branch": self.branch,
            "base": {
                "commit": base.commit,
                "tree": base.tree,
                "branch": base.branch,
                "includes_changes": base.includes_changes,
                "warnings": list(base.warnings),
            },
            "submodules": list(self.submodules),
        }
        temporary = self.store.path / f"{_METADATA}.new"
        try:
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w") as file:
                json.dump(content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(self.store.path / _METADATA)
        except OSError as error:
            raise from_os_error(error) from None

    # What no tree can hold, and yet somebody made: files above the cap, the history of repositories inside the worktree,
    # the files of submodules. A removed worktree keeps them in `left-out`, numbered, with a list of where they were.

    @property
    def _aside(self) -> Path:
        return self.store.path / "left-out"

    def _filled_submodules(self) -> list[Path]:
        folders = (located(self.path, path_to_bytes(path)) for path in self.submodules)
        return [folder for folder in folders if folder.is_dir() and any(folder.iterdir())]

    async def _set_aside(self, left_out: Sequence[str]) -> None:
        places = [located(self.path, path_to_bytes(path)) for path in left_out] + self._filled_submodules()
        places += await self._nested_git_dirs()
        await asyncio.to_thread(self._move_aside, [place for place in places if os.path.lexists(place)])

    async def _nested_git_dirs(self) -> list[Path]:
        found = await asyncio.to_thread(_git_dirs_below, self.path)
        if not found:
            return []
        owners = [relative(self.path, place.parent) for place in found]
        ignored = await ignored_paths(self._on(), owners)
        return [place for place, owner in zip(found, owners, strict=True) if owner not in ignored]

    def _move_aside(self, places: Sequence[Path]) -> None:
        moved = self._moved()
        self._aside.mkdir(exist_ok=True)
        for place in places:
            name = f"{len(moved)}-{os.urandom(3).hex()}"
            moved[name] = path_from_bytes(relative(self.path, place))
            (self._aside / "list.json").write_text(json.dumps(moved, indent=1))
            shutil.move(place, self._aside / name)

    def _moved(self) -> dict[str, str]:
        listing = self._aside / "list.json"
        return json.loads(listing.read_text()) if listing.is_file() else {}

    def _bring_back(self) -> None:
        moved = self._moved()
        for name, path in sorted(moved.items()):
            target = located(self.path, path_to_bytes(path))
            if target.is_dir() and not target.is_symlink() and not any(target.iterdir()):
                target.rmdir()
            if (self._aside / name).exists() and not os.path.lexists(target):
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.move(self._aside / name, target)
                del moved[name]
        if self._aside.is_dir():
            (self._aside / "list.json").write_text(json.dumps(moved, indent=1))


async def _submodules(on: Git) -> list[bytes]:
    listing = await on.out("ls-files", "-z", "--stage")
    return [row.partition(b"\t")[2] for row in listing.split(b"\0") if row.startswith(b"160000 ")]


def _git_dirs_below(root: Path) -> list[Path]:
    found = []
    for current, folders, files in os.walk(root):
        if Path(current) != root and ".git" in (*folders, *files):
            found.append(Path(current) / ".git")
        folders[:] = [name for name in folders if name != ".git"]
    return found


def read_metadata(store: Path) -> dict:
    """What `create` wrote into a private git directory. Raises GitError where it is missing or damaged."""
    try:
        content = json.loads((store / _METADATA).read_text())
    except FileNotFoundError:
        raise GitError(f"{store} holds no task's worktree.") from None
    except (OSError, ValueError) as error:
        raise GitError(f"{store / _METADATA} cannot be read: {error}.") from None
    if not isinstance(content, dict) or content.get("version") != 1:
        raise GitError(f"{store / _METADATA} was written by another version of goose-py.")
    return content


async def _add_worktree(repository: Repository, where: Path, wanted: str, commit: str) -> str:
    """`git worktree add` on the first free name; returns the branch. The lock keeps `git worktree prune` and other tools
    from removing it."""
    for branch in _names(wanted):
        done = await repository.bound.run(
            "worktree", "add", "--quiet", "--no-checkout", "--lock", "-b", branch, "--", str(where), commit,
            ok=(0, 128, 255),
        )  # fmt: skip
        if done.exit_code == 0:
            return branch
        stderr = done.stderr.decode("utf-8", "replace")
        # The last is the case of a branch `goose`, beside which git cannot store `goose/...`.
        if not any(text in stderr for text in ("already exists", "cannot lock ref", "is already checked out")):
            break
        if f"'{where}' already exists" in stderr:
            raise WorktreeExists(where)
    raise GitFailed(("worktree", "add"), done.exit_code, stderr)


def _names(wanted: str) -> Sequence[str]:
    flat = wanted.replace("/", "-")
    return (wanted, *(f"{wanted}-{number}" for number in range(2, 50)), flat, *(f"{flat}-{n}" for n in range(2, 50)))


async def _undo_creation(
    repository: Repository, where: Path, adding: asyncio.Future[str], commit: str, task_id: str, store: PrivateStore
) -> None:
    """Only what `create` itself has made, and only while nobody else can have worked in it."""
    await asyncio.wait([adding])
    if adding.exception() is None:
        branch = adding.result()
        await _remove_worktree(repository, where)
        for name in (f"refs/heads/{branch}", f"refs/goose/{task_id}/base"):
            if await read_ref(repository.bound, name) == commit:
                await delete_ref(repository.bound, name, commit)
    await asyncio.to_thread(shutil.rmtree, store.path, True)


async def _remove_worktree(repository: Repository, where: Path) -> None:
    """Move the folder away in one step, let git forget it, then delete it. Git itself is never let near its content."""
    gone = where.with_name(f".{where.name}.removed-{os.urandom(4).hex()}")
    if where.exists():
        where.rename(gone)
    await _forget_worktree(repository, where)
    if gone.exists():
        await asyncio.to_thread(_delete_folder, gone)


async def _forget_worktree(repository: Repository, where: Path) -> None:
    """Remove git's own record of a worktree whose folder is gone."""
    done = await repository.bound.run("worktree", "remove", "--force", "--force", "--", str(where), ok=(0, 128))
    if done.exit_code and b"is not a working tree" not in done.stderr:
        raise GitFailed(("worktree", "remove"), done.exit_code, done.stderr.decode("utf-8", "replace"))


def _delete_folder(folder: Path) -> None:
    def make_writable(function: Callable[[str], object], name: str, _: object) -> None:
        # Read-only folders, as Go makes them in its module cache.
        path = Path(name)
        for entry in (path.parent, path):
            if not entry.is_symlink():
                entry.chmod(0o700)
        function(name)

    shutil.rmtree(folder, onerror=make_writable)
