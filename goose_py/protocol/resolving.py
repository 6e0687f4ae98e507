"""Files that a rebase left with conflict markers, for a task to resolve: a fold of its log. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

from goose_py.protocol import events as ev


@dataclass(frozen=True)
class Resolving:
    """A file that was merged with conflicts. `sides` are trees: what was merged or, after the file was applied, what was. A
    marker that they do not hold either is one that is left."""

    path: str
    sides: tuple[str, ...]


def resolving_after(before: tuple[Resolving, ...], event: ev.DurableEvent) -> tuple[Resolving, ...]:
    """What there is to resolve after one more event."""
    match event:
        case ev.SessionStarted():
            return ()
        case ev.Rebased(conflicts=conflicts) if conflicts:
            sides = (event.base_tree, event.undo)
            kept = tuple(each for each in before if each.path not in conflicts)
            return (*kept, *(Resolving(path, sides) for path in conflicts))
        case ev.ChangesApplied(tree=tree, how=how) if how != ev.DELIVERED:
            return tuple(Resolving(each.path, (tree,)) for each in before)
        case _:
            return before


def resolving(records: Iterable[ev.Record]) -> tuple[Resolving, ...]:
    found: tuple[Resolving, ...] = ()
    for record in records:
        found = resolving_after(found, record.event)
    return found
