"""What a task's changes are compared with: what it began as, or what of it has been applied since. Pure."""

from collections.abc import Iterable

from goose_py.protocol.events import (
    UNDONE,
    ChangesApplied,
    ChangesRecorded,
    Rebased,
    Record,
    Rewound,
    SessionStarted,
)


def review_base(records: Iterable[Record], default: str) -> str:
    """The id of a tree. After a part was applied the rest is still a change, and later turns are judged on their own;
    `default` is the base of the worktree, for a log that does not say."""
    found = default
    for record in records:
        match record.event:
            case SessionStarted(base_tree=str(tree)) | Rebased(base_tree=tree) | ChangesApplied(tree=tree):
                found = tree
            case _:
                pass
    return found


def recorded_tree(records: Iterable[Record]) -> str | None:
    """The tree that the files had when they were last recorded; None for a log that does not say."""
    found = None
    for record in records:
        match record.event:
            case SessionStarted(base_tree=tree) | ChangesRecorded(tree_after=tree) | Rewound(tree=tree) | Rebased(tree=tree):
                found = tree
            case _:
                pass
    return found


def last_applied(records: Iterable[Record]) -> ChangesApplied | None:
    """What was left in the user's files last and can be taken back; None where there is none, or where the task stands on
    another base since."""
    found: list[ChangesApplied] = []
    for record in records:
        match record.event:
            case ChangesApplied(how="worktree") as applied:
                found.append(applied)
            case ChangesApplied(how=how) if how == UNDONE:
                del found[-1:]
            case SessionStarted() | Rebased() | ChangesApplied():
                found.clear()
            case _:
                pass
    return found[-1] if found else None
