"""A task's files switched to another tree, and back again where that does not come to its end, whatever happens meanwhile.

Checks of a merge need what no tree holds (installed dependencies, `.env`, caches): so they run where the task works, not in a
bare copy. A rebase and a rewind stay; but files, branch and log belong together, and a process can die between them.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.events import ChangesRecorded, Rebased, Record, Rewound

NOTE = "trial"


class _Note(msgspec.Struct, frozen=True):
    """What the worktree was: its files, its base, the tip of its branch, and the last record of its log; without that, only
    the files are switched. `state` is all that it was, "" where only its files are switched."""

    tree: str
    base: Base
    tip: str | None
    seq: int | None = None
    state: str = ""


@asynccontextmanager
async def on_trial(worktree: TaskWorktree, tree: str, scratch: Path) -> AsyncIterator[None]:
    """The files are those of `tree` inside the block. What the worktree held is recorded before, and noted in `scratch`, so
    that after a crash `end_trial` brings it back: of trials within each other, what the outermost one had put aside. Raises
    WouldOverwrite; then nothing was changed."""
    if (scratch / NOTE).exists():
        before = (await worktree.snapshot()).tree
        try:
            await worktree.restore(tree)
            yield
        finally:
            await asyncio.shield(worktree.restore(before))
        return
    note = await _noted(worktree, scratch, None)
    try:
        await worktree.restore(tree)
        yield
    finally:
        await asyncio.shield(_back(worktree, note, scratch))


@asynccontextmanager
async def switching(worktree: TaskWorktree, scratch: Path, records: Iterable[Record]) -> AsyncIterator[None]:
    """For a switch that stays once it is logged, as the block's last act. Where the block raises or the process dies before,
    the worktree becomes again what it was. `records` are the log's up to now."""
    note = await _noted(worktree, scratch, _last(records))
    try:
        yield
    except BaseException:
        await asyncio.shield(_back(worktree, note, scratch))
        raise
    (scratch / NOTE).unlink(missing_ok=True)


async def end_trial(worktree: TaskWorktree, scratch: Path, records: Iterable[Record]) -> TaskWorktree | None:
    """Brings back what a trial or a switch that was killed had put aside, and returns the worktree as it is then. None where
    there was none, or where it had come to its end: its record is among `records`."""
    try:
        note = msgspec.json.decode((scratch / NOTE).read_bytes(), type=_Note)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError:
        note = None  # not written whole, so it never began
    if note is None or not worktree.intact or _logged(note, records):
        # A worktree that is gone is recreated from its snapshots.
        (scratch / NOTE).unlink()
        return None
    return await _back(worktree, note, scratch)


async def _noted(worktree: TaskWorktree, scratch: Path, seq: int | None) -> _Note:
    now = await worktree.record()
    state = now.state if seq is not None else ""
    note = _Note(tree=now.tree, base=worktree.base, tip=await worktree.tip(), seq=seq, state=state)
    (scratch / NOTE).write_bytes(msgspec.json.encode(note))
    return note


async def _back(worktree: TaskWorktree, note: _Note, scratch: Path) -> TaskWorktree:
    if note.state and worktree.base == note.base:
        await worktree.put_back(note.state)
    elif note.seq is None or (worktree.base, await worktree.tip()) == (note.base, note.tip):
        await worktree.restore(note.tree)
    else:
        worktree, _ = await worktree.rebase(note.base, note.tree)
        if note.tip not in (None, note.base.commit):
            # The commits of the task itself.
            await worktree.move_tip(note.tip, note.base.commit, "goose-py: take a rebase back")
    (scratch / NOTE).unlink(missing_ok=True)
    return worktree


def _logged(note: _Note, records: Iterable[Record]) -> bool:
    return note.seq is not None and any(
        record.seq > note.seq and isinstance(record.event, (Rebased, Rewound, ChangesRecorded)) for record in records
    )


def _last(records: Iterable[Record]) -> int:
    return max((record.seq for record in records), default=0)
