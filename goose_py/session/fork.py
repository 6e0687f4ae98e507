"""Going on from somewhere in a session without touching it: a fork's log names its parent and the last record that is part of
it, and copies nothing (see `protocol.codec.Header`)."""

from collections.abc import Sequence

import msgspec

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.session.state import SessionState

SOURCE = "fork"


class ForkPoint(msgspec.Struct, frozen=True, kw_only=True):
    """Where a session is forked: after the record `seq`. `state` is that of the parent there; `tree` its files (None where
    nothing was recorded), and `recorded` all that was recorded of it ("" in logs of earlier versions)."""

    seq: int
    state: SessionState
    tree: str | None
    recorded: str = ""


def fork_point(records: Sequence[ev.Record], at: int | None) -> ForkPoint:
    """The point after record `at`, the last one by default. Raises UserError where there is no such record, or nothing that
    could be gone on from. Any record will do: what is open there is closed in the fork."""
    if not records:
        raise UserError("This session holds nothing that could be gone on from.")
    last = records[-1].seq
    seq = last if at is None else at
    kept = [record for record in records if record.seq <= seq]
    if not kept or seq > last:
        raise UserError(f"There is no record {seq} in this session: its records are {records[0].seq} to {last}.")
    state = SessionState(kept)
    if state.started is None:
        raise UserError(f"This session had not begun at record {seq}.")
    if state.recorded is not None:
        return ForkPoint(seq=kept[-1].seq, state=state, tree=state.recorded.tree, recorded=state.recorded.state)
    return ForkPoint(seq=kept[-1].seq, state=state, tree=state.tree)


def opening_words(parent: str, workspace: str) -> str:
    """What the model is told at the beginning of a fork."""
    return (
        f"This conversation goes on from another one ({parent}), of which everything above is part. Your workspace is now "
        f"{workspace}, a copy of the files as they were at that point; what stood at other paths of the old workspace is there."
    )
