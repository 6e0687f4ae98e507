"""Another tree in a task's worktree for as long as it takes to check it, and back again whatever happens meanwhile.

Checks need what no tree holds (installed dependencies, `.env`, caches): so they run where the task works, not in a bare copy.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from goose_py.git.worktree import TaskWorktree

NOTE = "trial"


@asynccontextmanager
async def on_trial(worktree: TaskWorktree, tree: str, scratch: Path) -> AsyncIterator[None]:
    """The files are those of `tree` inside the block. What the worktree held is recorded before, and noted in `scratch`, so
    that after a crash `end_trial` brings it back. Raises WouldOverwrite; then nothing was changed."""
    await end_trial(worktree, scratch)
    before = (await worktree.snapshot()).tree
    note = scratch / NOTE
    note.write_text(before)
    try:
        await worktree.restore(tree)
        yield
    finally:
        await asyncio.shield(_back(worktree, before, note))


async def end_trial(worktree: TaskWorktree, scratch: Path) -> bool:
    """Brings back what a trial that was killed had put aside. False where there was none."""
    note = scratch / NOTE
    try:
        before = note.read_text()
    except FileNotFoundError:
        return False
    if not worktree.exists or len(before) < 40:
        # The note was not written whole, so the trial never began; a worktree that is gone is recreated from its snapshots.
        note.unlink()
        return False
    await _back(worktree, before, note)
    return True


async def _back(worktree: TaskWorktree, tree: str, note: Path) -> None:
    await worktree.restore(tree)
    note.unlink(missing_ok=True)
