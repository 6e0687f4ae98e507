"""How long the git layer takes. Prints, never fails: `python tests/benchmarks/bench_git.py [FILES ...]` (20000, 50000 and
100000 by default).

Each number is the median of several runs beside the plain git command that does the same kind of work, in one process and on
one repository, so that the two can be compared whatever the machine is doing.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.trees.diff import changeset_summary, file_change, with_hunks
from goose_py.git.worktrees.base import base_from_head, base_with_changes
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval

REPEATS = 5


def plain(command: str, cwd: Path) -> None:
    subprocess.run(["/bin/sh", "-c", command], cwd=cwd, check=True, capture_output=True)


def timed(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


async def timed_async(work: Callable[[], Awaitable[object]]) -> float:
    start = time.perf_counter()
    await work()
    return (time.perf_counter() - start) * 1000


def show(what: str, times: list[float], note: str = "") -> None:
    print(f"{what:<58} {statistics.median(times):9.1f} ms  (min {min(times):.1f}) {note}", flush=True)


def make_repository(root: Path, files: int) -> None:
    """So many files on top of what is on main. By `git fast-import`, which makes 100,000 in seconds."""
    plain("git init -q -b main .", root)
    begun = subprocess.run(["git", "rev-parse", "-q", "--verify", "main"], cwd=root, capture_output=True).returncode == 0
    with subprocess.Popen(["git", "-C", root, "fast-import", "--quiet"], stdin=subprocess.PIPE) as importing:
        assert importing.stdin is not None
        importing.stdin.write(b"commit refs/heads/main\ncommitter b <b> 0 +0000\ndata 4\nbase\n")
        importing.stdin.write(b"from refs/heads/main^0\n" if begun else b"")
        for number in range(files):
            content = "".join(f"line {line} of {number}\n" for line in range(40)).encode()
            importing.stdin.write(b"M 100644 inline %s\ndata %d\n%s\n" % (name_of(number).encode(), len(content), content))
        importing.stdin.write(b"done\n")
    assert importing.returncode == 0
    plain("git reset -q --hard", root)


def name_of(number: int) -> str:
    return f"d{number % 100}/s{number % 1000}/f{number}.py"


def disk(folder: Path) -> float:
    """MB that are taken, not what files say to be long."""
    done = subprocess.run(["du", "-sk", folder], check=True, capture_output=True, text=True)
    return int(done.stdout.split()[0]) / 1024


async def snapshots(worktree: TaskWorktree) -> None:
    def status() -> float:
        return timed(lambda: plain("git status --porcelain", worktree.path))

    async def edited(round_: int) -> float:
        for number in range(50):
            (worktree.path / name_of(number)).write_text(f"round {round_}\n")
        return await timed_async(worktree.snapshot)

    show("first snapshot", [await timed_async(worktree.snapshot)], "beside the first request")
    unchanged, few, rewinds, beside = [], [], [], []
    for round_ in range(REPEATS):  # in turns, so that all see the same machine
        beside.append(status())
        unchanged.append(await timed_async(worktree.snapshot))
        few.append(await edited(round_))
        trees = await worktree.snapshots()
        for tree in (trees[0], trees[-1]):
            beside.append(status())
            rewinds.append(await timed_async(lambda tree=tree: worktree.restore(tree)))
    plainly = statistics.median(beside)
    show("git status in the worktree", beside)
    for what, times in (
        ("checkpoint, nothing changed", unchanged),
        ("checkpoint, 50 files edited", few),
        ("rewind of 50 files, with the checkpoint before it", rewinds),
    ):
        show(what, times, f"{statistics.median(times) / plainly:.2f} x git status")
    trees = await worktree.snapshots()
    show("summary of 50 changed files", [await timed_async(lambda: changeset_summary(worktree.store, trees[0], trees[-1]))])


async def one_size(git: Git, top: Path, files: int) -> None:
    print(f"\n{files:,} files")
    root = top / f"repo-{files}"
    root.mkdir()
    make_repository(root, files)
    plain_times, ours = [], []
    repository = await Repository.open(git, root)
    base = await base_from_head(repository)
    for round_ in range(3):
        plain_times.append(timed(lambda n=round_: plain(f"git worktree add -q ../plain-{files}-{n} HEAD --detach", root)))
        start = time.perf_counter()
        where, store = top / f"wt-{files}-{round_}", top / f"state-{files}-{round_}"
        worktree = await TaskWorktree.create(repository, f"t{files}-{round_}", where=where, store=store, base=base)
        ours.append((time.perf_counter() - start) * 1000)
        if round_ < 2:
            shutil.rmtree(where)
            shutil.rmtree(top / f"plain-{files}-{round_}")
    show("git worktree add", plain_times)
    show("TaskWorktree.create", ours, f"{statistics.median(ours) / statistics.median(plain_times):.2f} x git worktree add")
    admin = root / ".git" / "worktrees"
    kept = disk(worktree.path) + disk(worktree.store.path) + disk(admin / worktree.path.name)
    by_git = disk(top / f"plain-{files}-2") + disk(admin / f"plain-{files}-2")
    print(f"disk: {kept:,.0f} MB, by git worktree add {by_git:,.0f} MB")
    show("Repository.open", [await timed_async(lambda: Repository.open(git, root)) for _ in range(REPEATS)])
    show("base with the user's changes", [await timed_async(lambda: base_with_changes(repository, top / "scratch"))])
    await snapshots(worktree)
    tree = (await worktree.snapshot()).tree
    approval = Approval(base.tree, tree, tree)
    await_apply = [await timed_async(lambda: apply_to_working_tree(repository, worktree.store, approval, top / "scratch"))]
    show("apply 50 files to the checkout", await_apply)


async def large_changeset(git: Git, top: Path) -> None:
    print("\nchangeset of 5,000 files and 500,000 lines")
    root = top / "large"
    root.mkdir()
    make_repository(root, 5000)
    repository = await Repository.open(git, root)
    base = await base_from_head(repository)
    worktree = await TaskWorktree.create(repository, "large", where=top / "wt-large", store=top / "state-large", base=base)
    for number, path in enumerate(sorted(worktree.path.rglob("*.py"))):
        path.write_text(path.read_text() + "".join(f"new line {line} of {number}\n" for line in range(100)))
    start = time.perf_counter()
    tree = (await worktree.snapshot()).tree
    show("snapshot of it", [(time.perf_counter() - start) * 1000])
    start = time.perf_counter()
    summary = await changeset_summary(worktree.store, base.tree, tree)
    show("summary (opens the review)", [(time.perf_counter() - start) * 1000], f"{len(summary.files)} files")
    path = summary.files[2500].path
    show("hunks of one file", [await timed_async(lambda: file_change(worktree.store, summary, path)) for _ in range(REPEATS)])
    page = [file.path for file in summary.files[:100]]
    show("hunks of a page of 100 files", [await timed_async(lambda: with_hunks(worktree.store, summary, page))])
    show("hunks of everything", [await timed_async(lambda: with_hunks(worktree.store, summary))])
    approval = Approval(base.tree, tree, tree)
    start = time.perf_counter()
    await apply_to_working_tree(repository, worktree.store, approval, top / "scratch")
    show("apply all of it to the checkout", [(time.perf_counter() - start) * 1000])


async def main(sizes: list[int]) -> None:
    executable = Path(shutil.which("git") or "git").resolve()
    git = Git.create(executable, os.environ)
    with tempfile.TemporaryDirectory(prefix="bench-git-") as folder:
        for files in sizes:
            await one_size(git, Path(folder), files)
        await large_changeset(git, Path(folder))


if __name__ == "__main__":
    asyncio.run(main([int(each) for each in sys.argv[1:]] or [20_000, 50_000, 100_000]))
