"""Which steps of a task made its changes: each is a tree that was recorded, with what the task was doing then."""

from collections.abc import Iterable
from dataclasses import dataclass

from goose_py.protocol import events as ev
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.messages import Text


@dataclass(frozen=True)
class Origin:
    """`tree` is what the step left behind; the other fields say what it was: the turn and its prompt, the plan step that was in
    progress, and the calls that may have written, in order. Turn 0 is a person's own edit, a rewind or a rebase."""

    tree: str
    turn: int
    prompt: str = ""
    plan_step: str = ""
    calls: tuple[str, ...] = ()

    def sentence(self) -> str:
        if not self.turn:
            return "by hand, by a rewind or by a rebase, between two turns"
        step = f", step “{self.plan_step}”" if self.plan_step else ""
        return f"turn {self.turn} (“{self.prompt[:60]}”){step}"


def origins(records: Iterable[ev.Record]) -> tuple[Origin, ...]:
    """The first is the tree that the task is judged from. Neighbours differ. Pure."""
    found: list[Origin] = []
    before: list[Origin] = []
    turn, prompt, step = 0, "", ""
    calls: list[str] = []

    def reached(tree: str, origin: Origin) -> None:
        if not found or found[-1].tree != tree:
            found.append(origin)

    for record in records:
        match record.event:
            case ev.SessionStarted(base_tree=str(tree)):
                found = [Origin(tree, 0)]
            case ev.ChangesApplied(how=ev.UNDONE):
                found = [*before, *found[1:]]
            case ev.ChangesApplied(tree=tree) | ev.Rebased(base_tree=tree):
                before, found = found, [Origin(tree, 0)]
                if isinstance(record.event, ev.Rebased):
                    reached(record.event.tree, Origin(record.event.tree, 0))
            case ev.PromptReceived(parts=parts):
                prompt = " ".join(" ".join(part.text for part in parts if isinstance(part, Text)).split())
            case ev.TurnStarted():
                turn, calls = record.event.turn, []
            case ev.PlanStepStarted(title=title):
                step = title
            case ev.ToolStarted(call=call):
                calls.append(" ".join(summarize_call(call)))
            case ev.ChangesRecorded(tree_before=before, tree_after=after):
                reached(before, Origin(before, 0))
                reached(after, Origin(after, turn, prompt, step, tuple(calls)))
            case ev.Rewound(tree=tree):
                reached(tree, Origin(tree, 0))
            case _:
                pass
    return tuple(found)
