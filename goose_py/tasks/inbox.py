"""Everything that waits for a person, over all tasks: a fold of their logs, so that nothing can hang unseen."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Literal

import msgspec

from goose_py.protocol import events as ev
from goose_py.protocol.amounts import counted
from goose_py.protocol.call_summary import summarize_call
from goose_py.protocol.errors import UserError
from goose_py.session.log import read_log
from goose_py.tasks.store import TaskFolder, TaskStore
from goose_py.tasks.summary import TaskSummary, summarise, summary_of

Kind = Literal["approval", "plan", "review", "trouble"]


class Question(msgspec.Struct, frozen=True, kw_only=True):
    """`id` names it within its task ("plan" and "review" for those). `text` is one line, `details` the rest: a command, the
    steps of a plan, what a change consists of. `reason` is why a person is asked; `patterns` are the grants that an allowance
    for longer would keep. `asked_at` is Unix time."""

    task_id: str
    title: str
    kind: Kind
    id: str
    text: str
    details: tuple[str, ...] = ()
    reason: str = ""
    patterns: tuple[str, ...] = ()
    workspace: str = ""
    repository: str = ""
    asked_at: float = 0.0


def questions(summary: TaskSummary, records: Iterable[ev.Record]) -> tuple[Question, ...]:
    """What one task waits for, oldest first. An approval that nobody waits for any more is no question."""
    match summary.state:
        case "awaiting approval":
            return _approvals(summary, records)
        case "awaiting plan approval":
            return (_plan(summary, records),)
        case "awaiting review":
            details = (f"{counted(summary.files, 'file')}, +{summary.added} −{summary.removed}", f"checks: {summary.checks}")
            text = "Its changes are ready to be reviewed"
            if summary.unresolved:
                text = f"It left conflict markers in {', '.join(summary.unresolved)}"
            if summary.undelivered:
                details = (*details, summary.undelivered)
            return (_question(summary, "review", "review", text, details),)
        case "failed":
            return (_question(summary, "trouble", "trouble", summary.detail or "It failed"),)
        case _:
            return ()


def inbox(store: TaskStore, stuck: Mapping[str, str] = MappingProxyType({})) -> tuple[Question, ...]:
    """Of all tasks: approvals first, for there a worker stands still; then the oldest. `stuck` are those that wait in the queue
    until a person does something, with the reason."""
    found = [question for folder in store.all() for question in questions_of(folder)]
    found += [_question(summary_of(store.folder(task)), "trouble", "trouble", f"It waits: {stuck[task]}") for task in stuck]
    order = ("approval", "plan", "trouble", "review")
    return tuple(sorted(found, key=lambda question: (order.index(question.kind), question.asked_at)))


def questions_of(folder: TaskFolder) -> tuple[Question, ...]:
    if not folder.made_here():
        return ()
    try:
        records = read_log(folder.path).records
    except UserError:
        records = ()
    if not records:
        return questions(summary_of(folder), ())
    return questions(summarise(folder.task_id, records, alive=folder.owned()), records)


def _approvals(summary: TaskSummary, records: Iterable[ev.Record]) -> tuple[Question, ...]:
    waiting: dict[str, ev.Record] = {}
    for record in records:
        match record.event:
            case ev.ApprovalRequested(approval_id=approval):
                waiting[approval] = record
            case ev.ApprovalResolved(approval_id=approval):
                waiting.pop(approval, None)
            case ev.TurnEnded():
                waiting.clear()
            case _:
                pass
    found = []
    for record in waiting.values():
        event = record.event
        assert isinstance(event, ev.ApprovalRequested)
        shown = event.call.arguments.get("command")
        details = tuple(str(shown).splitlines()) if shown else (" ".join(summarize_call(event.call)),)
        details += (f"It would get of your variables: {', '.join(event.variables)}",) if event.variables else ()
        text = f"May it run {event.call.name}?"
        reason = f"{event.reason} ({event.cause})" if event.cause else event.reason
        found.append(
            msgspec.structs.replace(
                _question(summary, "approval", event.approval_id, text, details),
                reason=reason,
                patterns=event.patterns,
                asked_at=record.at,
            )
        )
    return tuple(found)


def _plan(summary: TaskSummary, records: Iterable[ev.Record]) -> Question:
    plan = next((r.event.plan for r in reversed(list(records)) if isinstance(r.event, ev.PlanProposed)), None)
    steps = tuple(f"{number}. {step.title}" for number, step in enumerate(plan.steps, 1)) if plan else ()
    return _question(summary, "plan", "plan", "May it carry out this plan?", steps)


def _question(summary: TaskSummary, kind: Kind, name: str, text: str, details: tuple[str, ...] = ()) -> Question:
    return Question(
        task_id=summary.task_id,
        title=summary.title,
        kind=kind,
        id=name,
        text=text,
        details=details,
        workspace=summary.workspace,
        repository=summary.place,
        asked_at=summary.updated_at,
    )
