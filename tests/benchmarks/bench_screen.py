"""How soon the screen is there, in a real pseudo-terminal, and what it costs while nothing happens."""

from __future__ import annotations

import asyncio
import statistics
import time

import psutil
from command import User, answered
from measure import REPEATS, milliseconds, python, show, title, user_with
from tui.terminal import Terminal

QUIET = 1.0
"""Seconds without a change after which the screen counts as settled."""
PEERS = "peers: Goose 124 / 124 (a line prompt), Codex 453 / 507, Claude Code 700 / 776, vibe 57 (a splash) / 3,018 ms"


async def opened(user: User) -> tuple[float, float, float, float]:
    """Milliseconds to the first frame and to the last change, and the memory in MB of the screen and of its worker."""
    terminal = Terminal(120, 40)
    env = {**user.environment(), "TERM": "xterm-256color"}
    began = changed = time.perf_counter()
    first, shown = 0.0, ""
    await terminal.start("-P", "-m", "goose_py", "--new", env=env, cwd=user.repository)
    assert terminal.process is not None
    while not first or time.perf_counter() - changed < QUIET:
        await asyncio.sleep(0.002)
        if terminal.process.returncode is not None:
            raise RuntimeError(terminal.text)
        if terminal.text != shown:
            shown, changed = terminal.text, time.perf_counter()
            first = first or (changed if shown.strip() else 0.0)
    screen, *others = (process.memory_info().rss / 1024**2 for process in _family(terminal.process.pid))
    terminal.process.terminate()
    await terminal.process.wait()
    user.leave()  # its worker lives on when the screen is closed, as it should
    return (first - began) * 1000, (changed - began) * 1000, screen, max(others, default=0.0)


def _family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


async def main() -> None:
    title(f"From exec to the first frame, and until nothing changes any more; {PEERS}")
    with user_with(20) as user:
        async with answered(user, [{"text": "Hello."}]):
            await opened(user)
            textual, runs = [], []
            for _ in range(REPEATS):
                textual.append(milliseconds(python("import textual.app")))
                runs.append(await opened(user))
    first, settled, screen, worker = (statistics.median(values) for values in zip(*runs, strict=True))
    baseline = ("import textual.app", statistics.median(textual))
    show("first frame", first, "ms", goal="< 300 ms", baseline=baseline)
    show("settled", settled, "ms", goal="< 450 ms", baseline=baseline)
    show("memory of the screen, idle", screen, "MB", goal="< 77 MB")
    show("memory of its worker, idle", worker, "MB")


if __name__ == "__main__":
    asyncio.run(main())
