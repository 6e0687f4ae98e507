"""What safety costs per command. Prints, never fails: `python tests/benchmarks/bench_sandbox.py`.

The sandboxed start is measured beside the plain one, in turns, in one process, so that both see the same machine."""

import asyncio
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

from msgspec.structs import replace

from goose_py.permissions.decide import decide
from goose_py.permissions.decision import Place
from goose_py.permissions.rules import parse_rule
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.redact import redact
from goose_py.protocol.safe_text import safe_text
from goose_py.protocol.tools import ToolSpec
from goose_py.sandbox.detection import _make, find_sandbox
from goose_py.sandbox.environment import child_env
from goose_py.sandbox.mounts.overlays import mounted
from goose_py.sandbox.policy import Policy, SandboxError, Share
from goose_py.sandbox.probe_cache import circumstances
from goose_py.sandbox.spawn import bind
from goose_py.sandbox.toolchains import python_roots
from goose_py.sandbox.unconfined import Plain

REPEATS = 40
PYTHON = Path(sys.executable)
ROOTS = python_roots(PYTHON, [Path(sys.prefix), Path(sys.base_prefix)])


def median(samples: list[float]) -> str:
    return f"{statistics.median(samples):6.2f} ms (p90 {sorted(samples)[int(len(samples) * 0.9)]:.2f})"


async def start_once(start, policy: Policy, env: dict[str, str]) -> float:
    begun = time.perf_counter()
    process = await start(
        ["/bin/bash", "--norc", "--noprofile", "-c", "true"],
        cwd=str(policy.workspace), env=env, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    code = await process.wait()
    assert code == 0, code
    return (time.perf_counter() - begun) * 1000


async def measure_starts(folder: Path) -> None:
    (folder / "state").mkdir()
    policy = Policy(workspace=folder, home=folder / "home")
    begun = time.perf_counter()
    found = await find_sandbox(
        platform=sys.platform, machine=platform.machine(), state=folder / "state", python=PYTHON, readable=ROOTS
    )
    print(found.sentence)
    print(f"  finding and probing it        {(time.perf_counter() - begun) * 1000:6.2f} ms, once a boot")
    for _ in range(2):
        begun = time.perf_counter()
        await find_sandbox(
            platform=sys.platform, machine=platform.machine(), state=folder / "state", python=PYTHON, readable=ROOTS,
            circumstances=circumstances(sys.platform),
        )  # fmt: skip
    print(f"  taking the verdict again      {(time.perf_counter() - begun) * 1000:6.2f} ms, once a start")
    starts = {"plain": bind(Plain(), policy)}
    for name in ("sandbox-exec",) if sys.platform == "darwin" else ("bubblewrap", "landlock"):
        try:
            starts[name] = bind(_make(name, platform.machine(), folder / "state", PYTHON), policy)
        except SandboxError as error:
            print(f"  {name}: not here ({error})")
    env = child_env(os.environ)
    samples: dict[str, list[float]] = {name: [] for name in starts}
    for _ in range(REPEATS):
        for name, start in starts.items():
            samples[name].append(await start_once(start, policy, env))
    for name, taken in samples.items():
        print(f"  bash -c true, {name:<15} {median(taken)}")
    overhead = statistics.median(samples.get(found.backend, [0])) - statistics.median(samples["plain"])
    print(f"  overhead of the sandbox found {overhead:6.2f} ms")


async def measure_shares(folder: Path) -> None:
    """Ten shared folders, one of them with 30,000 files, beside none: the mounting, once a task, and each command."""
    for name in ("checkout", "worktree", "sandbox", "home"):
        (folder / name).mkdir()
    for number in range(10):
        for package in range(300 if number == 0 else 1):
            place = folder / "checkout" / f"share{number}" / f"package{package}"
            place.mkdir(parents=True)
            for file in range(100):
                (place / f"{file}.js").touch()
    shares = tuple(Share(folder / "checkout" / f"share{number}", Path(f"share{number}")) for number in range(10))
    sandbox = _make("bubblewrap", platform.machine(), folder / "sandbox", PYTHON)
    policy = Policy(workspace=folder / "worktree", home=folder / "home", place=folder / "checkout")
    begun = time.perf_counter()
    async with mounted(folder / "worktree", shares, folder / "layers", PYTHON) as found:
        print("ten shared folders, one of 30,000 files")
        print(f"  mounting them                 {(time.perf_counter() - begun) * 1000:6.2f} ms, once a task ({found.reason})")
        kinds = {
            "at its own path": replace(policy, place=None),
            "at the checkout's": policy,
            "with ten overlays": found.seen_by(policy),
            "read-only instead": replace(policy, shares=shares),
        }
        samples: dict[str, list[float]] = {name: [] for name in kinds}
        env = child_env(os.environ)
        for _ in range(REPEATS):
            for name, chosen in kinds.items():
                samples[name].append(await start_once(bind(sandbox, chosen), chosen, env))
    for name, taken in samples.items():
        print(f"  bash -c true, {name:<18} {median(taken)}, least {min(taken):.2f}")


def measure_decisions(folder: Path) -> None:
    spec = ToolSpec(name="developer__shell", description="", input_schema={}, extension="developer", trusted=True)
    place = Place(
        workspace=str(folder), home="/home/u", sandbox="full", realpath=os.path.realpath, exists=os.path.exists,
        which=lru_cache(lambda name: shutil.which(name, path="/usr/bin:/bin")),
    )  # fmt: skip
    rules = tuple(rule for number in range(50) for rule in parse_rule({"verdict": "deny", "pattern": f"tool{number} *"}))
    print("decide(), with 50 rules")
    for label, command in {
        "ls": "ls",
        "a usual one": "cd src && rg -n needle . | head -20 && cat a.txt b.txt > out.txt",
        "60 parts": " && ".join(["cat file.txt | grep -c x"] * 30),
        "refused": "for f in *.py; do echo $f $(basename $f); done",
        "a here-document of 20 kB": "cat > f.py <<'EOF'\n" + "print('x')\n" * 1800 + "EOF",
        "1 MB, denied unread": "x" * 1_000_000,
    }.items():
        samples = []
        for number in range(60):
            call = ToolCall(id=str(number), name=spec.name, arguments={"command": command})
            begun = time.perf_counter()
            decide(call, spec, rules, "ask", place)
            samples.append((time.perf_counter() - begun) * 1000)
        print(f"  {label:<29} {median(samples)}")


def measure_text() -> None:
    print("text leaving us, per MB")
    text = "def function(argument):\n    return argument + 1\n" * 21_000
    for label, work in {"safe_text": lambda: safe_text(text), "redact": lambda: redact(text, ["a-known-secret"])}.items():
        samples = []
        for _ in range(5):
            begun = time.perf_counter()
            work()
            samples.append((time.perf_counter() - begun) * 1000)
        print(f"  {label:<29} {median(samples)}")


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure_starts(Path(name).resolve()))
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure_shares(Path(name).resolve()))
    measure_decisions(Path("/tmp"))
    measure_text()
