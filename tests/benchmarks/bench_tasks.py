"""How long tasks take. Prints, never fails: `python tests/benchmarks/bench_tasks.py [create|rewind|parallel] [NUMBERS]`, which
are files, or tasks at once.

`create`: the whole of `goose-py task start` until the worker's socket is open, beside plain `git worktree add` on the same
repository. `rewind`: back over a turn that changed 20 files of many. `parallel`: N tasks at once on a model of fixed latency:
time until all have ended, and for each the memory (proportional set size: of what several processes share, each has its part)
and the processor time of its worker; then those of the fork server.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from bench_git import make_repository, plain, show, timed, timed_async
from command import User, answered, calls, user_at
from parallel import folder_of, fork_servers, pid_of

from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.base import base_from_head
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.tasks.summary import summary_of

REPEATS = 3
LATENCY = 0.05
"""Seconds before each event of an answer, of which there are about ten."""
OVER = ("idle", "awaiting review", "failed")


async def create(files: int) -> None:
    with tempfile.TemporaryDirectory(prefix="b") as folder, user_at(Path(folder)) as user:
        make_repository(user.repository, files)
        repeats = REPEATS if files <= 20_000 else 1
        async with answered(user, [{"text": "Done."}] * 50, config="[tasks]\nparallel = 99"):
            times = [await timed_async(lambda: _started(user)) for _ in range(repeats)]
            empty = User(Path(folder) / "small", env=user.env)
            empty.configure((user.root / "home" / "config" / "config.toml").read_text())
            small = [await timed_async(lambda: _started(empty)) for _ in range(repeats)]
            for each in (empty.state / "tasks").glob("*"):
                await empty.goose("task", "stop", each.name)
        places = iter(range(99))
        git = [
            timed(lambda: plain(f"git worktree add -q ../plain-{next(places)} HEAD", user.repository)) for _ in range(repeats)
        ]
        worktree = Path(summary_of(folder_of(user, next((user.state / "tasks").iterdir()).name)).workspace)
        store = worktree.parent.parent / "git"
        show(f"git worktree add, {files} files", git)
        show(f"goose-py task start, {files} files", times, f"of which {statistics.median(small):.0f} ms with 2 files")
        disk = f"{_megabytes(worktree):9.1f} MB and {_megabytes(store):.1f} MB"
        print(f"{'disk: worktree beside private git directory':<58} {disk}")


async def _started(user: User) -> None:
    done = await user.goose("task", "start", "Do it", "--base", "head", seconds=300)
    assert done.code == 0, done


def _megabytes(folder: Path) -> float:
    return sum(path.lstat().st_blocks * 512 for path in folder.rglob("*")) / 1e6


async def rewind(files: int) -> None:
    with tempfile.TemporaryDirectory(prefix="b") as folder:
        root = Path(folder) / "repo"
        root.mkdir()
        make_repository(root, files)
        git = Git.create(Path("/usr/bin/git"), {"PATH": os.environ["PATH"], "HOME": folder})
        repository = await Repository.open(git, root)
        worktree = await TaskWorktree.create(
            repository, "t", where=Path(folder) / "w", store=Path(folder) / "s", base=await base_from_head(repository)
        )
        await worktree.snapshot()
        names = [path for path in sorted(worktree.path.rglob("*.py"))[:20]]
        times = []
        for round_ in range(5):
            before = (await worktree.snapshot()).tree
            for name in names:
                name.write_text(f"round {round_}\n")
            (worktree.path / f"new-{round_}.txt").write_text("new\n")
            times.append(await timed_async(lambda tree=before: worktree.restore(tree)))
        show(f"rewind over 21 changed files of {files}, recorded for undo", times)
        show("  snapshot alone, nothing changed", [await timed_async(worktree.snapshot) for _ in range(5)])


async def parallel(counts: list[int]) -> None:
    heads = f"{'all ended':>10} {'each':>8} {'memory each':>12} {'cpu each':>9} {'fork server':>18}"
    print(f"{'tasks':>5} {heads}   ({LATENCY} s an event)")
    for count in counts:
        with tempfile.TemporaryDirectory(prefix="b") as folder, user_at(Path(folder)) as user:
            slow = {"delay": LATENCY}
            turns = [{**calls(("read", {"path": "cart.py"})), **slow}] * (count * 2) + [{"text": "Done.", **slow}] * (count * 4)
            async with answered(user, turns, config=f"[tasks]\nparallel = {count}"):
                start = time.perf_counter()
                text = "\n".join(f"task {number}" for number in range(count))
                started = await user.goose("task", "start", "--each", "-", "--mode", "auto", stdin=text, seconds=300)
                folders = [folder_of(user, task) for task in started.out.split()]
                peaks, used = [0.0] * count, [0.0] * count
                while not all(summary_of(each).state in OVER for each in folders):
                    for number, each in enumerate(folders):
                        if (pid := pid_of(each)) is not None:
                            peaks[number], used[number] = _cost(pid, peaks[number], used[number])
                    await asyncio.sleep(0.2)
                took = time.perf_counter() - start
                shared = [_cost(pid, 0.0, 0.0) for pid in fork_servers(user)]
            print(
                f"{count:>5} {took:>9.2f}s {took / count:>7.2f}s {statistics.median(peaks):>9.0f} MB "
                f"{statistics.median(used):>7.2f} s", *(f"{size:>8.0f} MB {cpu:>5.2f} s" for size, cpu in shared), flush=True,
            )  # fmt: skip


def _cost(pid: int, peak: float, used: float) -> tuple[float, float]:
    """Peak memory in MB and processor time in seconds of a process so far."""
    try:
        memory = Path(f"/proc/{pid}/smaps_rollup").read_text()
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return peak, used
    now = next((int(line.split()[1]) / 1000 for line in memory.splitlines() if line.startswith("Pss:")), peak)
    return max(peak, now), (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def main() -> None:
    what = sys.argv[1] if len(sys.argv) > 1 else "all"
    numbers = [int(argument) for argument in sys.argv[2:]]
    if what in ("create", "all"):
        for files in numbers or [20_000]:
            await create(files)
    if what in ("rewind", "all"):
        for files in numbers or [50_000]:
            await rewind(files)
    if what in ("parallel", "all"):
        await parallel(numbers or [1, 2, 4, 8, 16])


if __name__ == "__main__":
    asyncio.run(main())
