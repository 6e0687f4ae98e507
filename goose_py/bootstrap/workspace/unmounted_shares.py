"""Shared folders where nothing can be mounted: clones that cost no space, or links where the sandbox forbids writing through
them, and one honest sentence about what would then test the checkout instead of the task."""

import asyncio
import itertools
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from goose_py.git.paths import below_symlink, located
from goose_py.git.trees.snapshot import ignored_paths
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.changes import path_to_bytes
from goose_py.sandbox.policy import Share
from goose_py.tasks.caches import can_clone, clone_caches

_POINTERS: Final = ("*.pth", "__editable__*", "*.dist-info/direct_url.json", "*.egg-link")
_AT_MOST: Final = 2_000
_BYTES: Final = 64 * 1024


async def bring(
    worktree: TaskWorktree, shares: Sequence[Share], platform: str, *, linked: bool
) -> tuple[tuple[Share, ...], tuple[str, ...]]:
    """Clones each folder into the worktree, or with `linked` links it there; what is there already stays. Returns those that
    are links now, to be made readable, and sentences for a person."""
    root, links, missing, there = worktree.repository.root, [], [], []
    for share in shares:
        name = share.path.as_posix()
        if share.path.is_absolute():
            links.append(share)  # seen where it is
        elif (worktree.path / share.path).is_symlink():
            links.append(share)
            there.append(share)
        elif (worktree.path / share.path).exists() or await _cloned(worktree, share, platform):
            there.append(share)
        elif linked and await _linked(worktree, share):
            links.append(share)
            there.append(share)
        else:
            missing.append(name)
    told = []
    if missing:
        told.append(f"Not shared with the task, because nothing can be mounted or cloned here: {', '.join(missing)}.")
    pointing = await asyncio.to_thread(lambda: [s.path.as_posix() for s in there if leads_to(s.source, root)])
    if pointing:
        told.append(
            f"{', '.join(pointing)} holds installations that lead to {root}: what runs from there uses your checkout's files, "
            "not the task's, until the task installs itself anew; in the sandbox of bubblewrap both have the same path."
        )
    return tuple(links), tuple(told)


async def _cloned(worktree: TaskWorktree, share: Share, platform: str) -> bool:
    if not await asyncio.to_thread(can_clone, share.source, worktree.path.parent, platform):
        return False
    return not await clone_caches(worktree.repository.root, worktree.path, (share.path.as_posix(),), platform)


async def _linked(worktree: TaskWorktree, share: Share) -> bool:
    """A link that git ignores: a rule with a slash at its end is about folders only, and the link would be in every diff."""
    raw = path_to_bytes(share.path.as_posix())
    link = located(worktree.path, raw)
    if below_symlink(worktree.path, raw) or not worktree.path.is_dir():
        return False
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(share.source)
    if await ignored_paths(worktree.store.on(worktree.path), [raw]):
        return True
    link.unlink()
    return False


def leads_to(folder: Path, root: Path) -> bool:
    """Whether an installation in `folder` points into the checkout: editable ones of Python, links of workspaces of npm."""
    text = os.fsencode(root)
    for file in itertools.islice(_pointers(folder), _AT_MOST):
        try:
            if file.is_symlink():
                target = Path(os.path.realpath(file))
                if target.is_relative_to(root) and not target.is_relative_to(folder):
                    return True
            elif file.is_file() and text in file.read_bytes()[:_BYTES]:
                return True
        except OSError:
            continue
    return False


def _pointers(folder: Path) -> Iterator[Path]:
    for packages in folder.glob("lib/python*/site-packages"):
        for pattern in _POINTERS:
            yield from packages.glob(pattern)
    if folder.name == "node_modules":
        yield from folder.glob("*")
        yield from folder.glob("@*/*")
