"""What the log knows of each recorded state of a task's files: when it was, and how it came about. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from goose_py.protocol import events as ev
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.messages import Text


@dataclass(frozen=True)
class RecordedState:
    """`cause` is a few words; `said` is the prompt of the turn that made it, "" where no turn did. `at` is Unix time, None
    where the log does not tell: the state was recorded when somebody looked at the task."""

    tree: str
    cause: str
    at: float | None = None
    said: str = ""


def recorded_states(records: Iterable[ev.Record], trees: Sequence[str]) -> tuple[RecordedState, ...]:
    """One for each of `trees`, in their order, which is the order of time. A tree that occurs several times is told of in the
    order in which the log does."""
    known: dict[str, list[RecordedState]] = {}
    for state in _told(records):
        known.setdefault(state.tree, []).append(state)
    found = []
    for tree in trees:
        states = known.get(tree, [])
        found.append(states[0] if states else RecordedState(tree, "changed between two turns"))
        if len(states) > 1:
            states.pop(0)
    return tuple(found)


def _told(records: Iterable[ev.Record]) -> Iterable[RecordedState]:
    tree, turn, said = "", 0, ""
    words: dict[str, str] = {}
    exact = fresh = False
    for record in records:
        at, made = record.at, []
        match record.event:
            case ev.SessionStarted(base_tree=str(base)):
                made = [RecordedState(base, "as it began", at)]
            case ev.PromptReceived(parts=parts):
                said = " ".join(" ".join(part.text for part in parts if isinstance(part, Text)).split())
            case ev.TurnStarted():
                turn, fresh = record.event.turn, True
            case ev.StateRecorded(tree=after, call_id=call_id):
                by_hand = RecordedState(after, f"by hand, before turn {turn}", at)
                exact, made = True, [by_hand]
                if not fresh or call_id:
                    what = f": {words.get(call_id, 'a call')}" if call_id else ""
                    made = [RecordedState(after, f"turn {turn}{what}", at, said)]
                fresh = False
            case ev.ToolStarted(call=call):
                words[call.id] = " ".join(summarize_call(call)).strip()
            case ev.ChangesRecorded(tree_after=after) if exact:
                made = [RecordedState(after, f"turn {turn}", at, said)]
            case ev.ChangesRecorded(tree_before=before, tree_after=after):
                by_hand = RecordedState(before, f"by hand, before turn {turn}", at)
                made = [by_hand, RecordedState(after, f"turn {turn}", at, said)]
            case ev.Rewound(tree=after, undo=before):
                made = [RecordedState(before, "by hand, before a rewind", at), RecordedState(after, "rewound to", at)]
            case ev.Rebased(tree=after, undo=before, branch=branch):
                here = f"rebased on {branch}" if branch else "rebased"
                made = [RecordedState(before, "by hand, before a rebase", at), RecordedState(after, here, at)]
            case _:
                pass
        for state in made:
            if state.tree != tree:
                yield state
            tree = state.tree
