"""The plan and its steps."""

from typing import Any

from msgspec.structs import replace

from goose_py.protocol.events import PlanDecided, PlanProposed, PlanStepFinished, PlanStepStarted
from goose_py.protocol.plan import Plan
from goose_py.tui.state.cases.items import Cases, append, notice
from goose_py.tui.state.view_state import PlanItem, ViewState


def _plan_proposed(state: ViewState, event: PlanProposed) -> ViewState:
    """The model writes its whole plan again whenever a step moves on: only other steps are news for the conversation."""
    replaced = state.plan is not None
    if state.plan is not None and _titles(state.plan) == _titles(event.plan):
        return replace(state, plan=event.plan)
    item = PlanItem(seq=state.seq, plan=event.plan, replaced=replaced)
    if replaced and state.plan_approved:
        item = replace(item, approved=True, by="policy")
    return append(replace(state, plan=event.plan, plan_item=len(state.items)), item)


def _plan_decided(state: ViewState, event: PlanDecided) -> ViewState:
    steps = state.plan.steps if state.plan is not None and event.approved else ()
    # In plan mode no step is begun before this.
    begun = next((step.title for step in steps if step.status == "in_progress"), state.step)
    state = replace(state, plan_approved=event.approved, step=begun)
    if state.plan_item is None:
        return state
    item = state.items[state.plan_item]
    assert isinstance(item, PlanItem)
    decided = replace(item, approved=event.approved, by=event.by, comment=event.comment)
    return replace(state, items=state.items.replace(state.plan_item, decided))


def _plan_step_started(state: ViewState, event: PlanStepStarted) -> ViewState:
    if state.mode == "plan":
        return state  # it is being planned, not begun
    state = replace(_with_step(state, event.index, "in_progress"), step=event.title)
    of = f"/{len(state.plan.steps)}" if state.plan is not None else ""
    return notice(state, "step", f"{event.index + 1}{of}  {event.title}")


def _plan_step_finished(state: ViewState, event: PlanStepFinished) -> ViewState:
    state = replace(_with_step(state, event.index, event.status), step="")
    if event.status == "completed":
        return state
    return notice(state, "warning", f"step {event.index + 1} failed: {event.title}")


CASES: Cases = {
    PlanProposed: _plan_proposed,
    PlanDecided: _plan_decided,
    PlanStepStarted: _plan_step_started,
    PlanStepFinished: _plan_step_finished,
}


def _titles(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps]


def _with_step(state: ViewState, index: int, status: Any) -> ViewState:
    if state.plan is None or not 0 <= index < len(state.plan.steps):
        return state
    steps = state.plan.steps
    step = replace(steps[index], status=status)
    return replace(state, plan=Plan(steps=(*steps[:index], step, *steps[index + 1 :]), note=state.plan.note))
