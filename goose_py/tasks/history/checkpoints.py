"""The states a task can be put back to: one before each of its turns, and one before each call that may have changed something.
Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from goose_py.protocol import events as ev
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text


@dataclass(frozen=True)
class Checkpoint:
    """Before turn `turn`: `tree` are the files, `state` all that was recorded ("" in logs of earlier versions), `to_seq` the
    last record that the conversation keeps. `prompt` began the turn; `at` is Unix time."""

    turn: int
    tree: str
    to_seq: int
    at: float
    prompt: str = ""
    state: str = ""


@dataclass(frozen=True)
class CallCheckpoint:
    """Before the call `call_id`, which `name` calls by its turn and its number among the recorded ones of that turn; `words`
    say what it was, `changed` whether it changed anything."""

    name: str
    call_id: str
    tree: str
    state: str
    at: float
    words: str
    changed: bool


def checkpoints(records: Iterable[ev.Record]) -> tuple[Checkpoint, ...]:
    """In the order of the turns. Turns that a rewind took out of the conversation stay in the list: their files can be had."""
    found: list[Checkpoint] = []
    tree, state = "", ""
    prompt: ev.Record | None = None
    open_turn, fresh = False, False
    for record in records:
        match record.event:
            case ev.SessionStarted(base_tree=str(base)):
                tree = base
            case ev.PromptReceived(delivery="now"):
                prompt = record
            case ev.TurnStarted(turn=turn):
                begun = prompt or record
                text = _text(prompt.event) if prompt is not None else ""
                found.append(Checkpoint(turn, tree, begun.seq - 1, record.at, text, state))
                prompt, open_turn, fresh = None, True, True
            case ev.StateRecorded():
                if fresh and not record.event.call_id:
                    # A person may have changed files between the turns: what the turn itself saw counts.
                    found[-1] = replace(found[-1], tree=record.event.tree, state=record.event.state)
                tree, state, fresh = record.event.tree, record.event.state, False
            case ev.ChangesRecorded(tree_before=before, tree_after=after):
                if open_turn and found and not found[-1].state:
                    found[-1] = replace(found[-1], tree=before)
                tree = after
            case ev.Rewound(tree=after, state=whole):
                tree, state = after, whole
            case ev.Rebased(tree=after):
                tree, state = after, ""
            case ev.ToolStarted():
                fresh = False
            case ev.TurnEnded():
                open_turn = False
            case _:
                pass
    return tuple(found)


def call_checkpoints(records: Iterable[ev.Record]) -> tuple[CallCheckpoint, ...]:
    """In the order of the calls; none for logs of earlier versions."""
    found: list[CallCheckpoint] = []
    words: dict[str, str] = {}
    tree, state, turn, number = "", "", 0, 0
    for record in records:
        match record.event:
            case ev.TurnStarted():
                turn, number = record.event.turn, 0
            case ev.ToolStarted(call=call):
                words[call.id] = " ".join(summarize_call(call)).strip()
            case ev.StateRecorded(call_id=call_id):
                number += bool(call_id)
                if call_id and state:
                    changed, what = record.event.state != state, words.get(call_id, "")
                    name = f"{turn}.{number}"
                    found.append(CallCheckpoint(name, call_id, tree, state, record.at, what, changed))
                tree, state = record.event.tree, record.event.state
            case ev.Rewound(tree=after, state=whole):
                tree, state = after, whole
            case _:
                pass
    return tuple(found)


def chosen_call(found: Iterable[CallCheckpoint], name: str) -> CallCheckpoint:
    """By `turn.number` or by the beginning of its id. Raises UserError."""
    points = list(found)
    fits = [point for point in points if name in (point.name, point.call_id)]
    fits = fits or [point for point in points if point.call_id.startswith(name)]
    if len(fits) != 1:
        raise UserError(f"{name} names {len(fits) or 'no'} calls that may have changed something; `--list` shows them.")
    return fits[0]


def chosen(found: Iterable[Checkpoint], name: str | None) -> Checkpoint:
    """By the number of a turn; None is the last. Raises UserError."""
    points = list(found)
    if not points:
        raise UserError("The task has had no turn yet, so there is nothing to go back to.")
    if name is None:
        return points[-1]
    fits = [point for point in points if str(point.turn) == name]
    if not fits:
        raise UserError(f"There is no turn {name}; the last one is {points[-1].turn}. `--list` shows them.")
    return fits[-1]


def _text(event: ev.DurableEvent) -> str:
    parts = event.parts if isinstance(event, ev.PromptReceived) else ()
    return " ".join(" ".join(part.text for part in parts if isinstance(part, Text)).split())
