"""Recording a large repository, beside what git takes to look at it."""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import time
from pathlib import Path

from command import User
from measure import REPEATS, milliseconds, show, title, user_with

from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.base import base_from_head
from goose_py.git.worktrees.worktree import TaskWorktree

FILES = 20_000


async def worktree_of(user: User) -> tuple[TaskWorktree, float]:
    git = Git.create(Path(shutil.which("git") or "git").resolve(), os.environ)
    began = time.perf_counter()
    repository = await Repository.open(git, user.repository)
    worktree = await TaskWorktree.create(
        repository, "bench", where=user.root / "tree", store=user.root / "store", base=await base_from_head(repository)
    )
    return worktree, (time.perf_counter() - began) * 1000


async def snapshot(worktree: TaskWorktree, edited: int) -> float:
    for number, path in enumerate(sorted(worktree.path.glob("d1/*/*.py"))[:edited]):
        path.write_text(f"round = {time.perf_counter()}, {number}\n")
    began = time.perf_counter()
    await worktree.snapshot()
    return (time.perf_counter() - began) * 1000


async def recorded(worktree: TaskWorktree, number: int, *, path_known: bool) -> float:
    (worktree.path / f"new{number}.txt").write_text(f"{number}\n")
    began = time.perf_counter()
    await worktree.record([f"new{number}.txt".encode()] if path_known else None)
    return (time.perf_counter() - began) * 1000


async def states() -> None:
    """What is done while the model thinks, beside what a turn's end has always taken."""
    title("All of a task's state after a call, 2,000 files")
    with user_with(2_000) as user:
        worktree, _ = await worktree_of(user)
        await worktree.commits.prepare()
        await worktree.record()
        await asyncio.sleep(1.1)  # the index is written once more, see `_settle`
        await worktree.record()
        taken: dict[str, list[float]] = {"command": [], "editor": [], "files alone": []}
        for number in range(REPEATS):
            taken["command"].append(await recorded(worktree, number, path_known=False))
            taken["editor"].append(await recorded(worktree, REPEATS + number, path_known=True))
            (worktree.path / f"s{number}").write_text("x")
            began = time.perf_counter()
            await worktree.snapshot()
            taken["files alone"].append((time.perf_counter() - began) * 1000)
        alone = statistics.median(taken.pop("files alone"))
        for what, times in taken.items():
            show(f"after a call of a {what}", statistics.median(times), "ms", baseline=("files alone", alone))


async def main() -> None:
    await states()
    title(f"A repository of {FILES:,} files")
    with user_with(FILES) as user:
        plain = milliseconds(["git", "-C", user.repository, "worktree", "add", "-q", "--detach", user.root / "plain"])
        worktree, made = await worktree_of(user)
        show("worktree with its first snapshot", made, "ms", baseline=("git worktree add", plain))
        for edited in (0, 50):
            ours, status = [], []
            for _ in range(REPEATS):
                status.append(milliseconds(["git", "-C", worktree.path, "status", "--porcelain"]))
                ours.append(await snapshot(worktree, edited))
            plain = statistics.median(status)
            what = f"second snapshot, {edited or 'no'} files edited"
            show(what, statistics.median(ours), "ms", goal=f"<= {plain + 100:,.0f} ms", baseline=("git status", plain))


if __name__ == "__main__":
    asyncio.run(main())
