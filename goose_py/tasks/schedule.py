"""Which of the waiting tasks may begin, and why the others may not yet. Pure: everything it knows is handed in.

The queue is no file of its own: a task waits while its folder holds `waiting`, and what runs is known from the locks and logs
of the tasks themselves. So there is nothing that could disagree with them after a crash."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from goose_py.tasks.glob_overlap import may_overlap
from goose_py.tasks.spec import TaskSpec
from goose_py.tasks.summary import TaskSummary

WORKING = ("planning", "running", "verifying", "queued")
"""States in which a live task takes one of the places. One that waits for a person does not: it would hold up all others."""
ENDED_WELL = ("merged", "awaiting review", "delivered", "idle")
ENDED_BADLY = ("failed", "rejected", "cancelled", "foreign")


@dataclass(frozen=True)
class Known:
    """A task that waits or works, and what it was asked to be."""

    spec: TaskSpec
    summary: TaskSummary

    @property
    def working(self) -> bool:
        return self.summary.alive and self.summary.state in WORKING


@dataclass(frozen=True)
class Schedule:
    """`start`: tasks that begin now, the oldest first. `reasons`: why each of the others waits, as a sentence; those that are
    `stuck` wait until a person does something. `working`: how many are at work already."""

    start: tuple[str, ...]
    reasons: Mapping[str, str]
    working: int = 0
    stuck: frozenset[str] = frozenset()


def schedule(waiting: Iterable[Known], working: Iterable[Known], others: Mapping[str, TaskSummary], limit: int) -> Schedule:
    """`others` are the tasks that somebody waits for, by id. Tasks are taken in the order in which they were created; one that
    may not begin yet does not hold up those behind it."""
    busy = [known for known in working if known.working]
    working = len(busy)
    start: list[str] = []
    reasons: dict[str, str] = {}
    stuck: set[str] = set()
    for known in sorted(waiting, key=lambda known: (known.spec.created_at, known.spec.task_id)):
        reason, passes = _waits_for(known.spec, others)
        if not passes:
            stuck.add(known.spec.task_id)
        reason = reason or _beside(known, busy)
        if not reason and len(busy) >= limit:
            reason = f"{limit} tasks are at work, which is as many as tasks.parallel allows"
        if reason:
            reasons[known.spec.task_id] = reason
        else:
            start.append(known.spec.task_id)
            busy.append(known)
    return Schedule(tuple(start), reasons, working, frozenset(stuck))


def unmerged(spec: TaskSpec, others: Mapping[str, TaskSummary]) -> tuple[str, ...]:
    """Those of the tasks it comes after whose changes are in no branch yet: it starts from what they made."""
    return tuple(task for task in spec.after if (known := others.get(task)) and _unmerged(known))


def _unmerged(summary: TaskSummary) -> bool:
    """What was delivered is in nobody's branch but its own."""
    return summary.state != "merged" and (summary.changed or bool(summary.delivered))


def _waits_for(spec: TaskSpec, others: Mapping[str, TaskSummary]) -> tuple[str, bool]:
    """The reason, "" where there is none, and whether it passes by itself."""
    for task in spec.after:
        known = others.get(task)
        if known is None:
            return f"it comes after {task}, which does not exist any more", False
        resume = f"`goose-py task resume {spec.task_id}` starts it all the same"
        if known.state in ENDED_BADLY:
            return f"it comes after {task}, which is {known.state}; {resume}", False
        if known.state == "awaiting review" and known.outcome not in (None, "done"):
            return f"it comes after {task}, which ended before it was done; {resume}", False
        if known.state not in ENDED_WELL:
            return f"it comes after {task}, which is {known.state}", True
    if len(several := unmerged(spec, others)) > 1:
        return f"it can start from one task that is not merged, not from {' and '.join(several)}: merge one of them", False
    return "", True


def _beside(known: Known, busy: Iterable[Known]) -> str:
    if known.spec.together:
        return ""
    for other in busy:
        if other.summary.repository != known.summary.repository:
            continue
        if (pair := may_overlap(known.spec.touches, other.spec.touches)) is not None:
            return f"{other.spec.task_id} works on {pair[1]}, which overlaps with its {pair[0]}"
    return ""
