"""The user's repository, read without executing anything of it and without discovery by git."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from goose_py.git.doubts import Accepted, Doubt, identity_of, nobody, of_another_owner, unclaimed
from goose_py.git.environment import disabled_hooks, with_configuration
from goose_py.git.errors import (
    BareRepository,
    Doubted,
    GitError,
    GitFailed,
    NotARepository,
    RefMoved,
    RepositoryBusy,
    UnbornHead,
    UnknownRevision,
)
from goose_py.git.runner import Git, together

Operation = Literal["rebase", "merge", "cherry-pick", "revert", "bisect", "am"]

_OPERATIONS: tuple[tuple[str, Operation], ...] = (
    ("rebase-merge", "rebase"),
    ("rebase-apply/applying", "am"),
    ("rebase-apply", "rebase"),
    ("MERGE_HEAD", "merge"),
    ("CHERRY_PICK_HEAD", "cherry-pick"),
    ("REVERT_HEAD", "revert"),
    ("BISECT_LOG", "bisect"),
)


_IS_BARE = re.compile(r"^\s*bare\s*=\s*true\b", re.MULTILINE | re.IGNORECASE)


@dataclass(frozen=True)
class Head:
    """`branch` is the short name, None when HEAD is detached; `commit` and its `tree` are None when there is no commit yet."""

    branch: str | None
    commit: str | None
    tree: str | None = None

    @property
    def detached(self) -> bool:
        return self.branch is None

    @property
    def unborn(self) -> bool:
        return self.commit is None


@dataclass(frozen=True)
class Repository:
    """A checkout as it was when it was opened. `root` and the git directories are real paths. `git_dir` belongs to this
    checkout, `common_dir` (objects, refs, config) is shared with its worktrees; they differ in a linked worktree. `accepted`
    is who vouched for it."""

    git: Git
    root: Path
    git_dir: Path
    common_dir: Path
    head: Head
    operation: Operation | None
    shallow: bool
    object_format: str
    index_locked: bool
    accepted: Accepted = field(default=nobody, repr=False, compare=False)

    @classmethod
    async def open(cls, git: Git, path: Path, accepted: Accepted = nobody) -> Repository:
        """The repository that `path` is in. Raises NotARepository, BareRepository, Doubted or another GitError; an unborn or
        detached HEAD, a shallow clone and an operation under way are no errors but said in the value."""
        root, git_dir = _find(path.resolve())
        for doubt in await _doubts(git, root, git_dir):
            if not accepted(doubt):
                raise Doubted(doubt.reason)
        common_dir = _common_dir(git_dir)
        (head, object_format), git = await together(
            _read_head(git.at(git_dir), root), _without_configured_hooks(git, git_dir)
        )
        return cls(
            git=git,
            root=root,
            git_dir=git_dir,
            common_dir=common_dir,
            head=head,
            operation=next((name for entry, name in _OPERATIONS if (git_dir / entry).exists()), None),
            shallow=(common_dir / "shallow").exists(),
            object_format=object_format,
            index_locked=(git_dir / "index.lock").exists(),
            accepted=accepted,
        )

    async def reopened(self) -> Repository:
        return await Repository.open(self.git, self.root, self.accepted)

    async def beside(self, place: Path) -> Repository:
        """Another checkout of it, or that of a submodule: who vouched for this one vouched for these."""
        known = ({"owner": self.root.lstat().st_uid}, identity_of(self.common_dir))
        return await Repository.open(self.git, place, lambda doubt: self.accepted(doubt) or doubt.about in known)

    @property
    def bound(self) -> Git:
        """Git on the user's git directory without a working tree: for refs and objects only."""
        return self.git.at(self.git_dir)

    @property
    def objects(self) -> Path:
        return self.common_dir / "objects"

    @property
    def is_linked_worktree(self) -> bool:
        return self.git_dir != self.common_dir

    def require_commit(self) -> str:
        if self.head.commit is None:
            raise UnbornHead(self.root)
        return self.head.commit

    async def commit_of(self, revision: str) -> str:
        """The full id of the commit that a branch, tag or abbreviation names. Raises UnknownRevision."""
        if revision.startswith("-"):
            raise UnknownRevision(revision, self.root)
        done = await self.bound.run("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", ok=(0, 1, 128))
        if done.exit_code:
            raise UnknownRevision(revision, self.root)
        return done.stdout.decode().strip()

    async def tree_of(self, revision: str) -> str:
        """The id of the tree of a commit. Raises UnknownRevision."""
        done = await self.bound.run("rev-parse", "--verify", "--quiet", f"{revision}^{{tree}}", ok=(0, 1, 128))
        if done.exit_code or revision.startswith("-"):
            raise UnknownRevision(revision, self.root)
        return done.stdout.decode().strip()

    async def branch_tip(self, branch: str) -> str | None:
        return await read_ref(self.bound, f"refs/heads/{branch}")

    async def checkouts_of(self, branch: str) -> tuple[Path, ...]:
        """Working trees (this one and linked ones) that have `branch` checked out."""
        listing = await self.bound.out("worktree", "list", "--porcelain")
        found = []
        for block in listing.decode("utf-8", "surrogateescape").split("\n\n"):
            lines = block.strip("\n").split("\n")
            if f"branch refs/heads/{branch}" in lines and lines[0].startswith("worktree "):
                found.append(Path(lines[0].removeprefix("worktree ")))
        return tuple(found)

    async def is_ancestor(self, ancestor: str, descendant: str) -> bool:
        done = await self.bound.run("merge-base", "--is-ancestor", ancestor, descendant, ok=(0, 1))
        return done.exit_code == 0


async def read_ref(bound: Git, name: str) -> str | None:
    """The object that a full ref name points to, or None."""
    done = await bound.run("rev-parse", "--verify", "--quiet", name, ok=(0, 1, 128))
    return done.stdout.decode().strip() if done.exit_code == 0 else None


async def update_ref(bound: Git, name: str, new: str, old: str | None, message: str = "goose-py") -> None:
    """Move a ref from exactly `old` (None: it must not exist yet). Raises RefMoved where it is elsewhere."""
    zero = "0" * len(new)
    await _change_ref(bound, ("update-ref", "-m", message, name, new, old or zero), name)


async def delete_ref(bound: Git, name: str, old: str) -> None:
    """Raises RefMoved where the ref is not at `old`."""
    await _change_ref(bound, ("update-ref", "-d", name, old), name)


async def _change_ref(bound: Git, args: tuple[str, ...], name: str) -> None:
    try:
        await bound.run(*args)
    except GitFailed as error:
        if re.search(r"but expected|reference already exists|is at .* but|unable to resolve reference", error.stderr):
            short = name.removeprefix("refs/heads/")
            raise RefMoved(f"{short} has moved meanwhile; nothing was changed. Look at it again and retry.") from None
        if "cannot lock ref" in error.stderr and "exists" in error.stderr:
            raise RepositoryBusy(f"{name} cannot be written now: {error.stderr.strip().splitlines()[-1]}") from None
        raise


def common_dir_of(path: Path) -> Path:
    """The git directory that a checkout shares with its worktrees, found without running git. Raises GitError."""
    return _common_dir(_find(path.resolve())[1])


async def doubts_about(git: Git, path: Path) -> tuple[Doubt, ...]:
    """What a person has to be asked before the repository that `path` is in is opened. Raises GitError."""
    return await _doubts(git, *_find(path.resolve()))


async def _doubts(git: Git, root: Path, git_dir: Path) -> tuple[Doubt, ...]:
    back = (git_dir / "gitdir").is_file()  # of a linked worktree, which `_belonging` has compared
    found = (None if back else unclaimed(root, git_dir), await of_another_owner(git, root, git_dir))
    return tuple(doubt for doubt in found if doubt is not None)


def _find(start: Path) -> tuple[Path, Path]:
    for folder in (start, *start.parents):
        entry = folder / ".git"
        if entry.is_file():
            return folder, _belonging(folder, _followed(entry))
        if entry.is_dir() and _looks_like_git_dir(entry):
            return folder, _belonging(folder, entry.resolve())
        if folder.name == ".git" and _looks_like_git_dir(folder):
            raise NotARepository(start)
        if _looks_like_git_dir(folder):
            raise BareRepository(folder, _worktrees_of(folder))
    raise NotARepository(start)


def _belonging(folder: Path, git_dir: Path) -> Path:
    """The git directory, where it may be this checkout's own. Raises GitError where it is another's for certain."""
    pointer = folder / ".git"
    back = git_dir / "gitdir"
    if back.is_file():
        belongs = os.path.realpath(git_dir / _small_text(back).strip()) == os.path.realpath(pointer)
    else:
        belongs = not (git_dir / "commondir").exists()
        config, usual = git_dir / "config", git_dir == folder / ".git"
        if not usual and config.is_file() and _IS_BARE.search(_small_text(config)):
            raise BareRepository(folder, _worktrees_of(git_dir))
    if not belongs:
        raise GitError(
            f"{pointer} leads to a git directory that belongs elsewhere ({git_dir}); if you moved the checkout yourself, "
            "`git worktree repair` mends it."
        )
    return git_dir


def _worktrees_of(git_dir: Path) -> list[Path]:
    """Those that a person works in. The worktrees of tasks are locked."""
    found = sorted(each for each in (git_dir / "worktrees").glob("*/gitdir") if not each.with_name("locked").exists())
    places = [Path(os.path.realpath(each.parent / _small_text(each).strip())).parent for each in found]
    return [place for place in places if place.is_dir()]


def _looks_like_git_dir(folder: Path) -> bool:
    try:
        if (folder / "commondir").is_file() and (folder / "HEAD").exists():
            return True
        has_head = (folder / "HEAD").is_file() or (folder / "HEAD").is_symlink()
        return has_head and (folder / "objects").is_dir() and (folder / "refs").is_dir()
    except OSError:
        return False


def _followed(pointer: Path) -> Path:
    content = _small_text(pointer)
    if not content.startswith("gitdir:"):
        raise GitError(f"{pointer} is not a valid git pointer file; repair it with `git worktree repair`.")
    target = (pointer.parent / content.removeprefix("gitdir:").strip()).resolve()
    if not _looks_like_git_dir(target):
        raise GitError(f"{pointer} points to {target}, which is no git directory; repair it with `git worktree repair`.")
    return target


def _common_dir(git_dir: Path) -> Path:
    pointer = git_dir / "commondir"
    if not pointer.is_file():
        return git_dir
    return (git_dir / _small_text(pointer).strip()).resolve()


def _small_text(path: Path) -> str:
    with path.open("rb") as file:
        return os.fsdecode(file.read(8192))


async def _without_configured_hooks(git: Git, git_dir: Path) -> Git:
    found = await git.at(git_dir).run("config", "--includes", "-z", "--name-only", "--get-regexp", r"^hook\.", ok=(0, 1))
    keys = found.stdout.decode("utf-8", "surrogateescape").split("\0")
    names = {key.removeprefix("hook.").rpartition(".")[0] for key in keys if key.count(".") > 1}
    return replace(git, env=with_configuration(git.env, disabled_hooks(sorted(names)))) if names else git


async def _read_head(bound: Git, root: Path) -> tuple[Head, str]:
    """HEAD and the object format, by one process in the usual case."""
    wanted = ("--show-object-format", "HEAD^{commit}", "HEAD^{tree}", "--symbolic-full-name", "HEAD")
    done = await bound.run("rev-parse", *wanted, ok=(0, 128))
    lines = done.stdout.decode("utf-8", "surrogateescape").removesuffix("\n").split("\n")
    if done.exit_code or len(lines) != len(wanted) - 1:
        return await _read_unusual_head(bound, root)
    object_format, commit, tree, name = lines
    return Head(None if name == "HEAD" else name.removeprefix("refs/heads/"), commit, tree), object_format


async def _read_unusual_head(bound: Git, root: Path) -> tuple[Head, str]:
    """Step by step: one without a commit, or with a branch of its own name. Raises GitError for one that cannot be read."""
    formats = await bound.run("rev-parse", "--show-object-format", ok=(0, 128))
    if formats.exit_code:
        text = formats.stderr.decode("utf-8", "replace").strip().splitlines()
        raise GitError(f"git cannot read the repository at {root}: {text[-1] if text else 'no reason given'}")
    symbolic = await bound.run("symbolic-ref", "--quiet", "HEAD", ok=(0, 1, 128))
    branch = symbolic.stdout.decode("utf-8", "surrogateescape").strip().removeprefix("refs/heads/") or None
    commit = await read_ref(bound, "HEAD^{commit}")
    if commit is None and branch is None:
        raise GitError(f"HEAD of {root} names no commit; check out a branch first.")
    tree = await read_ref(bound, "HEAD^{tree}") if commit else None
    return Head(branch, commit, tree), formats.stdout.decode().strip()
