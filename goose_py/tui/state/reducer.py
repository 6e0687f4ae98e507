"""One pure function from what the worker says to what the screen shows.

`CASES` has an entry for every durable event and delta; a test holds it to that. A log that is replayed gives the same state as
the one that was watched, but for a reply that was broken off: nobody wrote that down.
"""

from msgspec.structs import replace

from goose_py.protocol.deltas import Delta
from goose_py.protocol.events import Record
from goose_py.tui.state.cases import changes, plan, session, tool_calls, turns
from goose_py.tui.state.cases.items import Cases
from goose_py.tui.state.view_state import ViewState

CASES: Cases = session.CASES | turns.CASES | plan.CASES | tool_calls.CASES | changes.CASES


def reduce(state: ViewState, item: Record | Delta) -> ViewState:
    """The state after `item`. A record that was seen already (`seq` not beyond the state's) changes nothing, so that a
    consumer may attach again from anywhere."""
    if not isinstance(item, Record):
        return CASES[type(item)](state, item)
    if item.seq <= state.seq:
        return state
    return CASES[type(item.event)](replace(state, seq=item.seq, at=item.at), item.event)
