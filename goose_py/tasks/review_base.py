"""What a task's changes are compared with: what it began as, or what of it has been applied since. Pure."""

from collections.abc import Iterable

from goose_py.protocol.events import ChangesApplied, ChangesRecorded, Rebased, Record, Rewound, SessionStarted


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
