"""What the benchmarks share: repositories of a size, the command run against a scripted model, and figures beside their goals.

Nothing here fails on time. Each figure is printed with a baseline of the same run, because only the ratio of the two means
something on another machine.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from command import GOOSE, User, answered, user_at
from wire import Recorded, WireServer

REPEATS = 7


def show(what: str, value: float, unit: str, *, goal: str = "", baseline: tuple[str, float] | None = None) -> None:
    """One line. `baseline` is what it is compared with and its value in the same unit."""
    digits = 1 if value < 100 else 0
    beside = f"{value / baseline[1]:6.2f} x {baseline[0]} ({baseline[1]:,.{digits}f})" if baseline is not None else ""
    print(f"{what:<52}{value:>11,.{digits}f} {unit:<7} {'goal ' + goal if goal else '':<26}{beside}", flush=True)


def title(text: str) -> None:
    load = os.getloadavg()[0]
    print(f"\n{text}   (load {load:.1f} on {os.cpu_count()} cores)", flush=True)


def milliseconds(argv: Sequence[str | Path], env: Mapping[str, str] | None = None) -> float:
    """From exec to exit."""
    began = time.perf_counter()
    subprocess.run(argv, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, env=env)
    return (time.perf_counter() - began) * 1000


def side_by_side(*commands: Sequence[str | Path], repeats: int = REPEATS) -> list[float]:
    """The median of each, in turns, so that all of them see the same machine."""
    rounds = [[milliseconds(command) for command in commands] for _ in range(repeats)]
    return [statistics.median(times) for times in zip(*rounds, strict=True)]


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


@contextmanager
def user_with(files: int) -> Iterator[User]:
    """Somebody with a repository of so many small files, packed as a clone would be."""
    with TemporaryDirectory(prefix="goose-py-bench-") as folder, user_at(Path(folder)) as user:
        for number in range(files - 2):
            path = user.repository / f"d{number % 100}" / f"s{number % 1000}" / f"f{number}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"value_{line} = {number}\n" for line in range(40)))
        user.git("config", "gc.auto", "0")  # the one below is enough
        user.commit("All of it")
        user.git("gc", "-q")
        yield user


@dataclass(frozen=True)
class Ran:
    """One run of the command. `began` is on the clock of `time.perf_counter`; `cpu` are the seconds that the process and its
    children computed; `peak` is the resident memory in MB of the largest of them, which is the process itself."""

    began: float
    cpu: float
    peak: float
    server: WireServer

    @property
    def requests(self) -> list[Recorded]:
        """Those to a model; a server on this machine is asked first what it can do."""
        return [request for request in self.server.requests if request.protocol]

    @property
    def first_request(self) -> float:
        """Milliseconds from exec to the first model request."""
        return (self.requests[0].arrived - self.began) * 1000

    @property
    def own_times(self) -> list[float]:
        """Milliseconds from the end of each answer to the next request: our work, and the tool's."""
        pairs = zip(self.server.answered, self.requests[1:], strict=False)
        return [(request.arrived - answered) * 1000 for answered, request in pairs]


async def run(user: User, turns: list[dict[str, Any]], *args: str, protocol: str = "anthropic", transport: str = "http") -> Ran:
    """`goose-py run` to its end. Raises RuntimeError with what it said where that is no success."""
    async with answered(user, turns, protocol, transport=transport) as server:
        began = time.perf_counter()
        code, cpu, peak = await asyncio.to_thread(_to_the_end, [GOOSE, "run", "-t", "Do it", "--quiet", *args], user)
    if code:
        raise RuntimeError((user.root / "said").read_text())
    return Ran(began, cpu, peak, server)


def _to_the_end(argv: Sequence[str | Path], user: User) -> tuple[int, float, float]:
    """The exit code, and what `subprocess` has no word for: seconds of CPU, and the peak of resident memory in MB."""
    with (user.root / "said").open("wb") as said:
        process = subprocess.Popen(
            argv, cwd=user.repository, env=user.environment(), stdin=subprocess.DEVNULL, stdout=said, stderr=said
        )
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1024**2
    return process.returncode, usage.ru_utime + usage.ru_stime, peak
