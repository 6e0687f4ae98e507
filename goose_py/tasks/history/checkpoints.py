"""The states a task can be put back to: one before each of its turns. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text


@dataclass(frozen=True)
class Checkpoint:
    """Before turn `turn`: `tree` are the files, `to_seq` the last record that the conversation keeps. `prompt` began the
    turn; `at` is Unix time."""

    turn: int
    tree: str
    to_seq: int
    at: float
    prompt: str = ""


def checkpoints(records: Iterable[ev.Record]) -> tuple[Checkpoint, ...]:
    """In the order of the turns. Turns that a rewind took out of the conversation stay in the list: their files can be had."""
    found: list[Checkpoint] = []
    tree = ""
    prompt: ev.Record | None = None
    open_turn = False
    for record in records:
        match record.event:
            case ev.SessionStarted(base_tree=str(base)):
                tree = base
            case ev.PromptReceived(delivery="now"):
                prompt = record
            case ev.TurnStarted(turn=turn):
                begun = prompt or record
                text = _text(prompt.event) if prompt is not None else ""
                found.append(Checkpoint(turn, tree, begun.seq - 1, record.at, text))
                prompt, open_turn = None, True
            case ev.ChangesRecorded(tree_before=before, tree_after=after):
                if open_turn and found:
                    # A person may have changed files between the turns: what the turn itself saw counts.
                    found[-1] = Checkpoint(found[-1].turn, before, found[-1].to_seq, found[-1].at, found[-1].prompt)
                tree = after
            case ev.Rewound(tree=after) | ev.Rebased(tree=after):
                tree = after
            case ev.TurnEnded():
                open_turn = False
            case _:
                pass
    return tuple(found)


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
