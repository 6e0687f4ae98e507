"""`goose-py review --audit`: each review of a task that came to an end, and the one that is open."""

from collections.abc import Iterator, Sequence

from goose_py.actions.review.inspection import InspectedTask
from goose_py.bootstrap.workspace.worktree import start_of
from goose_py.git.trees.diff import changeset_summary
from goose_py.protocol.events import ChangesApplied, Record, VerificationFinished
from goose_py.review.audit import audit_markdown
from goose_py.review.evidence import evidence
from goose_py.review.selection import reviewed
from goose_py.review.verdicts import decisions_of


async def audit_of(inspected: InspectedTask) -> str:
    """Markdown. What was applied is judged by the trees that it was applied from, whatever the task stands on today."""
    documents = []
    store, started = inspected.worktree.store, start_of(inspected.records)
    runs = [record.event for record in inspected.records if isinstance(record.event, VerificationFinished)]
    for base, result, records, applied in _reviews(inspected):
        changes = await changeset_summary(store, base, result)
        decisions = decisions_of(records)
        loaded, _ = await reviewed(store, changes, decisions)
        found = evidence(started.checks if started else (), runs, result)
        documents.append(audit_markdown(loaded, decisions, found, applied))
    return "\n".join(documents)


def _reviews(inspected: InspectedTask) -> Iterator[tuple[str, str, Sequence[Record], tuple[ChangesApplied, ...]]]:
    """(base tree, result tree, its records, how it ended); the open one last, where there is anything to say of it."""
    begin = 0
    for number, record in enumerate(inspected.records):
        if isinstance(record.event, ChangesApplied):
            yield record.event.base_tree, record.event.result_tree, inspected.records[begin:number], (record.event,)
            begin = number + 1
    rest = inspected.records[begin:]
    if not begin or inspected.changes.files or decisions_of(rest):
        yield inspected.changes.base_tree, inspected.changes.result_tree, rest, ()
