"""What the screen costs, in CPU time. Prints, and never fails: `python tests/benchmarks/bench_tui.py`."""

import asyncio
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from tui.changed import long_file
from tui.harness import Scene, scene
from tui.recorded import Log, prompt, started
from tui.test_log_view import long_conversation

from goose_py.protocol import events as ev
from goose_py.tui.review.diff_rows import file_diff
from goose_py.tui.review.diff_view import DiffView
from goose_py.tui.state.view_state import TextItem


def show(name: str, seconds: float, budget: float) -> None:
    print(f"{name:<52} {seconds * 1000:8.1f} ms   budget {budget * 1000:6.0f} ms")


def imports() -> None:
    code = "import time; t = time.process_time(); import goose_py.tui.app; print(time.process_time() - t)"
    command = [sys.executable, "-c", code]
    runs = [subprocess.run(command, capture_output=True, text=True, check=True).stdout for _ in range(5)]
    show("import of the app (best of 5)", min(float(run) for run in runs), 0.25)


async def log(app: Scene) -> None:
    view = app.app.conversation.log_view
    state = long_conversation(10_000)
    begun = time.process_time()
    view.sync(state.items, ())
    await app.pilot.pause()
    show(f"open {len(state.items)} items", time.process_time() - begun, 1.0)
    begun = time.process_time()
    for number in range(20):
        view.sync(state.items, (TextItem(text=f"more {number}", open=True),))
        await app.pilot.pause()
    show("append one item", (time.process_time() - begun) / 20, 0.015)
    begun = time.process_time()
    for _ in range(20):
        view.scroll_page_up(animate=False)
        await app.pilot.pause()
    show("page up", (time.process_time() - begun) / 20, 0.02)
    begun = time.process_time()
    await app.pilot.press(*"abcdefghijklmnopqrst")
    show("a key in the prompt", (time.process_time() - begun) / 20, 0.05)
    view.follow()
    text, flushes = "", 0
    begun = time.process_time()
    while len(text) < 80_000:
        text += "some words in a row " * 9 + ("\n\n" if flushes % 5 == 0 else " ")
        view.sync(state.items, (TextItem(text=text, open=True),))
        await app.pilot.pause()
        flushes += 1
    show("flush of a reply that grows to 80 kB", (time.process_time() - begun) / flushes, 0.01)
    begun = time.process_time()
    await app.pilot.resize_terminal(100, 30)
    await app.pilot.pause()
    show("resize", time.process_time() - begun, 0.1)


async def diff(app: Scene) -> None:
    view = DiffView(app.app.look)
    await app.app.screen.mount(view)
    file = long_file(4_800)
    begun = time.process_time()
    view.show(file_diff(file))
    await app.pilot.pause()
    show("open a diff of 4,800 lines", time.process_time() - begun, 0.2)
    begun = time.process_time()
    for _ in range(20):
        view.action_half(1)
        await app.pilot.pause()
    show("page through it", (time.process_time() - begun) / 20, 0.02)


async def main() -> None:
    imports()
    records = Log().add(started(), prompt("x"), ev.TurnStarted(turn=1)).records
    with tempfile.TemporaryDirectory() as folder:
        async with scene(Path(folder) / "s", records) as app:
            print(f"{'nodes on the main screen':<52} {len(list(app.app.screen.walk_children())):8}      budget    120")
            await log(app)
            await diff(app)


if __name__ == "__main__":
    asyncio.run(main())
