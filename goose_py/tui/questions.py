"""Which question the state asks of the user, and which command an answer is. Pure."""

from __future__ import annotations

from pathlib import PurePosixPath

from goose_py.protocol.call_summary import full_call
from goose_py.protocol.commands import AnyCommand, DecidePlan, Interrupt, ResolveApproval
from goose_py.tui.state.view_state import Approval, ViewState
from goose_py.tui.widgets.question import Option, Question

SCOPES = {"y": "once", "s": "task", "p": "project", "a": "always"}


def question_of(state: ViewState) -> Question | None:
    """The oldest approval that waits, else the plan that waits. One at a time, in order."""
    if state.approvals:
        return approval_question(state.approvals[0], len(state.approvals), _place(state))
    return plan_question(state) if state.plan_waits else None


def _place(state: ViewState) -> str:
    return str(PurePosixPath(state.workspace, state.folder)) if state.workspace else ""


def approval_question(approval: Approval, waiting: int, workspace: str) -> Question:
    of = f" 1 of {waiting}" if waiting > 1 else ""
    body = full_call(approval.call)
    known = approval.reason + body
    why = approval.reason + (f"  ({approval.cause})" if approval.cause and approval.cause not in known else "")
    facts = [f"in {workspace}"] if workspace else []
    facts += [f"gets of your variables: {', '.join(approval.variables)}"] if approval.variables else []
    options = [Option("y", "Allow once", assent=True)]
    if approval.patterns:
        options += [
            Option("s", "Allow in this task", assent=True, variants=approval.patterns),
            Option("p", "Always in this project", assent=True, variants=approval.patterns),
            Option("a", "Always, everywhere", assent=True, variants=approval.patterns),
        ]
    options += [Option("n", "Deny and tell the agent why"), Option("escape", "Deny and stop the turn")]
    return Question(
        id=f"approval {approval.approval_id}",
        title=f"Permission{of}: {approval.call.name}",
        body=body,
        facts=(*facts, f"asks because: {why}"),
        options=tuple(options),
    )


def plan_question(state: ViewState) -> Question:
    assert state.plan is not None
    lines = []
    for number, step in enumerate(state.plan.steps, start=1):
        lines.append(f"{number}. {step.title}")
        if step.acceptance:
            lines.append(f"   done when: {step.acceptance}")
    count = len(state.plan.steps)
    return Question(
        id=f"plan {state.plan_item} {state.turn}",
        title=f"The plan: {count} {'step' if count == 1 else 'steps'}",
        body="\n".join(lines),
        facts=(state.plan.note,) if state.plan.note else (),
        options=(
            Option("y", "Approve and carry it out", assent=True),
            Option("n", "Say what should be different"),
            Option("escape", "Decide later"),
        ),
        code=False,
    )


def wants_text(question: Question, option: Option) -> str:
    """What the user is asked to write with this answer, or "" where the answer is complete."""
    if option.key != "n":
        return ""
    return "what should be different" if question.id.startswith("plan ") else "tell the agent what to do instead"


def commands_for(question: Question, option: Option, variant: int, note: str = "") -> tuple[AnyCommand, ...]:
    """What to send, in order; empty where the answer is to decide later."""
    kind, _, name = question.id.partition(" ")
    if kind == "plan":
        if option.key == "escape":
            return ()
        return (DecidePlan(approve=option.key == "y", comment=note),)
    if option.key in SCOPES:
        pattern = option.variants[variant] if option.variants else None
        return (ResolveApproval(approval_id=name, allow=True, scope=SCOPES[option.key], pattern=pattern),)  # type: ignore[arg-type]
    denial = ResolveApproval(approval_id=name, allow=False, note=note)
    return (denial, Interrupt()) if option.key == "escape" else (denial,)
