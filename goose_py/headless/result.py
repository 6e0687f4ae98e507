"""What a run came to: a pure fold of its records, and the exit code that says so."""

from typing import Any

import msgspec
from msgspec.structs import replace

from goose_py.protocol.deltas import Delta
from goose_py.protocol.events import (
    ApprovalRequested,
    ApprovalResolved,
    ChangesRecorded,
    CheckOutcome,
    DurableEvent,
    FinalOutput,
    Limits,
    LimitsSet,
    ModelReplied,
    ModelSet,
    ModeSet,
    Outcome,
    PlanProposed,
    Rebased,
    Record,
    Rewound,
    SessionStarted,
    TitleSet,
    TurnEnded,
    TurnStarted,
    UsageRecorded,
    VerificationFinished,
    Warned,
)
from goose_py.protocol.messages import ModelRef, Usage
from goose_py.protocol.modes import Mode
from goose_py.protocol.plan import Plan
from goose_py.tasks.next_commands import Next, next_commands

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_APPROVAL = 3
EXIT_BUDGET = 4
EXIT_PROVIDER = 5
EXIT_VERIFY = 6
EXIT_TIMEOUT = 124
EXIT_INTERRUPTED = 130


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """The last run of one check command. `found`: nobody asked for it; `stands_in_the_way`: the work is not done with this."""

    command: str
    exit_code: int | None
    passed: bool
    outcome: CheckOutcome = "passed"
    reason: str = ""
    found: bool = False
    stands_in_the_way: bool = False
    seconds: float = 0.0
    tree: str | None = None


class Changed(msgspec.Struct, frozen=True, kw_only=True):
    """Trees of the first and the last record of changes. The figures are those of the last turn that changed something."""

    tree_before: str
    tree_after: str
    files: int = 0
    added: int = 0
    removed: int = 0


class Denied(msgspec.Struct, frozen=True, kw_only=True):
    """A call that was not allowed; `by` is "policy" where nobody could answer."""

    tool: str
    reason: str
    by: str


class RunResult(msgspec.Struct, frozen=True, kw_only=True):
    """`result` is the text of the last reply that called no tools. `cost` is a lower bound where `cost_complete` is false.
    `seconds` run from the first turn's start to the last one's end, `worked` is the sum of the turns: limits are on that."""

    session_id: str = ""
    title: str = ""
    workspace: str = ""
    worktree: str = ""
    branch: str | None = None
    model: ModelRef | None = None
    limits: Limits = Limits()
    outcome: Outcome | None = None
    detail: str = ""
    result: str = ""
    output: Any = None
    has_output: bool = False
    turns: int = 0
    requests: int = 0
    usage: Usage = Usage()
    cost: float = 0.0
    cost_complete: bool = True
    started: float | None = None
    turn_started: float = 0.0
    turn_seconds: float = 0.0
    worked: float = 0.0
    seconds: float = 0.0
    mode: Mode = "ask"
    plan: Plan = Plan()
    changes: Changed | None = None
    checks: tuple[Check, ...] = ()
    pending: tuple[ApprovalRequested, ...] = ()
    denied: tuple[Denied, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def planned(self) -> bool:
        """A plan is all that plan mode is asked for: it is there, and waits for a word."""
        return self.outcome == "awaiting_plan" and self.mode == "plan"

    @property
    def verified(self) -> bool:
        """Checks ran, the last run of each passed, and none on a tree that is not the final one."""
        return bool(self.checks) and all(check.passed and self._is_final(check) for check in self.checks)

    @property
    def failed_checks(self) -> tuple[Check, ...]:
        """Those that stand in the way of calling it done."""
        return tuple(check for check in self.checks if check.stands_in_the_way)

    def next_commands(self) -> tuple[Next, ...]:
        """How to go on with the task from here, where there is one."""
        if not self.session_id:
            return ()
        return next_commands(self.session_id, self.outcome, changed=bool(self.changes and self.changes.files))

    def _is_final(self, check: Check) -> bool:
        return check.tree is None or self.changes is None or check.tree == self.changes.tree_after


def fold(run: RunResult, item: Record | Delta) -> RunResult:
    """The run after `item`; deltas change nothing."""
    return _fold_event(run, item.event, item.at) if isinstance(item, Record) else run


def _fold_event(run: RunResult, event: DurableEvent, at: float) -> RunResult:
    match event:
        case SessionStarted():
            # Of a fork, what came before is its parent's.
            return RunResult(
                session_id=event.session_id,
                title=event.title,
                workspace=event.workspace,
                worktree=event.worktree or event.workspace,
                branch=event.branch,
                model=event.model,
                mode=event.mode,
                limits=event.limits,
            )
        case LimitsSet():
            return replace(run, limits=event.limits)
        case TitleSet():
            return replace(run, title=event.title)
        case ModeSet():
            return replace(run, mode=event.mode)
        case ModelSet():
            return replace(run, model=event.model)
        case TurnStarted():
            started = at if run.started is None else run.started
            return replace(run, turns=run.turns + 1, started=started, turn_started=at, outcome=None, detail="", result="")
        case ModelReplied():
            text = "" if event.message.tool_calls() else event.message.text().strip()
            return replace(run, result=text or run.result)
        case UsageRecorded():
            return replace(
                run,
                requests=run.requests + 1,
                usage=run.usage + event.usage,
                cost=run.cost + (event.cost or 0.0),
                cost_complete=run.cost_complete and event.cost is not None,
            )
        case PlanProposed():
            return replace(run, plan=event.plan)
        case ApprovalRequested():
            return replace(run, pending=(*run.pending, event))
        case ApprovalResolved():
            return _resolved(run, event)
        case ChangesRecorded():
            return _changed(run, event)
        case Rewound() | Rebased():
            return replace(run, changes=replace(run.changes, tree_after=event.tree)) if run.changes else run
        case VerificationFinished():
            return _checked(run, event)
        case FinalOutput():
            return replace(run, output=event.value, has_output=True)
        case Warned():
            return replace(run, warnings=(*run.warnings, event.text))
        case TurnEnded():
            return replace(
                run,
                outcome=event.outcome,
                detail=event.detail,
                turn_seconds=at - run.turn_started,
                worked=run.worked + at - run.turn_started,
                seconds=at - (run.started if run.started is not None else at),
            )
    return run


def _resolved(run: RunResult, event: ApprovalResolved) -> RunResult:
    asked = next((pending for pending in run.pending if pending.approval_id == event.approval_id), None)
    if asked is None:
        return run
    run = replace(run, pending=tuple(pending for pending in run.pending if pending is not asked))
    if event.allowed:
        return run
    return replace(run, denied=(*run.denied, Denied(tool=asked.call.name, reason=event.note or asked.reason, by=event.by)))


def _changed(run: RunResult, event: ChangesRecorded) -> RunResult:
    before = run.changes.tree_before if run.changes else event.tree_before
    if run.changes and event.tree_before == event.tree_after:
        return replace(run, changes=replace(run.changes, tree_after=event.tree_after))
    changed = Changed(
        tree_before=before, tree_after=event.tree_after, files=event.files, added=event.added, removed=event.removed
    )
    return replace(run, changes=changed, warnings=(*run.warnings, *event.warnings))


def _checked(run: RunResult, event: VerificationFinished) -> RunResult:
    check = Check(
        command=event.command,
        exit_code=event.exit_code,
        passed=event.came_to == "passed",
        outcome=event.came_to,
        reason=event.reason,
        found=event.found,
        stands_in_the_way=event.stands_in_the_way,
        seconds=event.seconds,
        tree=event.tree,
    )
    others = tuple(known for known in run.checks if known.command != event.command)
    return replace(run, checks=(*others, check))


def exit_code(run: RunResult, *, timed_out: bool = False) -> int:
    """The process's exit code for a run that came to this.

    0 done, and every check that ran passed, or planned where a plan was all that was asked for; 1 the agent failed, got stuck,
    or never ended; 3 an approval was needed that was not given (also where the agent went on without it and no check speaks for
    the result); 4 a limit on turns, tokens or cost; 5 the provider; 6 a check failed; 124 out of time; 130 interrupted. 2 is
    for bad usage, which has no run."""
    if timed_out:
        return EXIT_TIMEOUT
    if run.outcome == "limit":
        limit = run.limits.max_seconds
        return EXIT_TIMEOUT if limit is not None and run.worked >= limit else EXIT_BUDGET
    if run.outcome == "done":
        return _done_code(run)
    if run.outcome == "failed" and run.failed_checks:
        return EXIT_VERIFY
    if run.planned:
        return EXIT_DONE
    return _CODES.get(run.outcome or "", EXIT_FAILED)


def _done_code(run: RunResult) -> int:
    if run.failed_checks:
        return EXIT_VERIFY
    unanswered = run.pending or any(denied.by == "policy" for denied in run.denied)
    return EXIT_APPROVAL if unanswered and not run.verified else EXIT_DONE


_CODES = {
    "interrupted": EXIT_INTERRUPTED,
    "provider_error": EXIT_PROVIDER,
    "denied": EXIT_APPROVAL,
    "awaiting_plan": EXIT_APPROVAL,
    "stuck": EXIT_FAILED,
    "failed": EXIT_FAILED,
}


def ending_code(run: RunResult, *, timed_out: bool, error: str, code: int | None) -> int:
    """The exit code where an end may have come from outside the log: `code` if there is one; an `error` after or without
    a good end is a failure."""
    if code is not None:
        return code
    if error and run.outcome in (None, "done"):
        return EXIT_TIMEOUT if timed_out else EXIT_FAILED
    return exit_code(run, timed_out=timed_out)


ENVELOPE_VERSION = 1


def envelope(run: RunResult, *, code: int, error: str = "") -> dict[str, Any]:
    """The versioned result document of `--output json` and of the last line of `stream-json`.

    `changes` names trees of the task's private repository; `output` is the structured answer of a recipe with a response
    schema, absent where there was none. `next`: commands that go on from here."""
    document: dict[str, Any] = {
        "type": "result",
        "format": "goose-py result",
        "version": ENVELOPE_VERSION,
        "session_id": run.session_id,
        "title": run.title,
        "workspace": run.workspace,
        "worktree": run.worktree,
        "branch": run.branch,
        "provider": run.model.provider if run.model else None,
        "model": run.model.model if run.model else None,
        "effort": run.model.effort if run.model else None,
        "outcome": run.outcome,
        "detail": error or run.detail,
        "exit_code": code,
        "result": run.result,
        "turns": run.turns,
        "requests": run.requests,
        "seconds": round(run.seconds, 3),
        "usage": msgspec.to_builtins(run.usage),
        "cost": round(run.cost, 6),
        "cost_complete": run.cost_complete,
        "verified": run.verified,
        "plan": {"done": run.plan.progress()[0], "steps": [msgspec.to_builtins(step) for step in run.plan.steps]},
        "changes": msgspec.to_builtins(run.changes),
        "checks": msgspec.to_builtins(run.checks),
        "denied": msgspec.to_builtins(run.denied),
        "pending": [request.call.name for request in run.pending],
        "warnings": list(run.warnings),
    }
    document["next"] = [each.command for each in run.next_commands()]
    if run.has_output:
        document["output"] = run.output
    return document
