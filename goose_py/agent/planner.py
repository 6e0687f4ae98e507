"""The plan as a tool, and as a condition: nothing is changed before there is one.

`PlannedTools` wraps the toolbox. It adds `update_plan`, whose calls become plan events, and answers every call that would
change something with a refusal until a plan stands. The plan's state is a fold of those events, so it survives a resume.
"""

from collections.abc import Callable

from goose_py.agent.ports import Emit, Tools
from goose_py.protocol import events as ev
from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.protocol.plan import Plan, PlanStep
from goose_py.protocol.tools import ToolAnnotations, ToolSpec

UPDATE_PLAN = "update_plan"

UPDATE_PLAN_SPEC = ToolSpec(
    name=UPDATE_PLAN,
    description=(
        "Set the plan: the whole list of steps, each with a status. Call it before the first change, whenever a step starts "
        "or ends (one step in_progress at a time), and when the plan no longer fits."
    ),
    input_schema={
        "type": "object",
        "properties": {
            "steps": {
                "type": "array",
                "minItems": 1,
                "maxItems": 40,
                "items": {
                    "type": "object",
                    "properties": {
                        "title": {"type": "string"},
                        "status": {"type": "string", "enum": ["pending", "in_progress", "completed", "failed"]},
                        "acceptance": {"type": "string", "description": "how anyone can see that it is done"},
                    },
                    "required": ["title", "status"],
                },
            },
            "note": {"type": "string", "description": "why the plan changed"},
        },
        "required": ["steps"],
    },
    annotations=ToolAnnotations(read_only=True, destructive=False, idempotent=True, open_world=False),
    trusted=True,
)

NEEDS_PLAN = (
    "Nothing was run: there is no plan yet, and changes wait for one. Call update_plan with the steps you mean to take "
    "(a small task has one step), then send this call again."
)
AWAITS_DECISION = (
    "Nothing was run: the plan has not been approved yet. In plan mode nothing is changed; end your turn with the plan."
)


class PlanState:
    """A fold: the plan as it stands, and whether it was approved."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.approved = False

    def feed(self, record: ev.Record) -> None:
        match record.event:
            case ev.PlanProposed(plan=plan):
                self.plan = plan
            case ev.PlanDecided(approved=approved):
                self.approved = approved
            case ev.PromptReceived(delivery="now") | ev.PromptDelivered():
                if self.plan is not None and self.plan.finished:
                    self.plan, self.approved = None, False
            case _:
                pass


class PlannedTools:
    """`state` is the fold that the session feeds; `changes(call, spec)` tells whether a call would change anything;
    `automatic` is asked whether a plan is approved without waiting for a person."""

    def __init__(
        self,
        tools: Tools,
        state: PlanState,
        emit: Emit,
        changes: Callable[[ToolCall, ToolSpec], bool],
        automatic: Callable[[], bool],
    ) -> None:
        self._tools = tools
        self._state = state
        self._emit = emit
        self._changes = changes
        self._automatic = automatic

    def specs(self) -> tuple[ToolSpec, ...]:
        return tuple(sorted((*self._tools.specs(), UPDATE_PLAN_SPEC), key=lambda spec: spec.name))

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        if call.name == UPDATE_PLAN:
            return self._update(call)
        refusal = self._refusal(call)
        if refusal is not None:
            return ToolResult(call_id=call.id, content=(Text(refusal),), is_error=True)
        return await self._tools.call(call, on_output)

    def _refusal(self, call: ToolCall) -> str | None:
        if self._state.plan is not None and self._state.approved:
            return None
        spec = next((spec for spec in self._tools.specs() if spec.name == call.name), None)
        if spec is None or not self._changes(call, spec):
            return None
        return NEEDS_PLAN if self._state.plan is None else AWAITS_DECISION

    def _update(self, call: ToolCall) -> ToolResult:
        before = self._state.plan
        steps = tuple(
            PlanStep(title=step["title"].strip(), acceptance=step.get("acceptance", ""), status=step["status"])
            for step in call.arguments["steps"]
        )
        plan = Plan(steps=steps, note=call.arguments.get("note", ""))
        if sum(step.status == "in_progress" for step in steps) > 1:
            return ToolResult(
                call_id=call.id,
                content=(Text("The plan was not changed: only one step can be in_progress at a time."),),
                is_error=True,
            )
        self._emit(ev.PlanProposed(plan=plan))
        if not self._state.approved and self._automatic():
            self._emit(ev.PlanDecided(approved=True, by="policy"))
        for event in step_events(before, plan):
            self._emit(event)
        return ToolResult(call_id=call.id, content=(Text(self._answer(plan)),))

    def _answer(self, plan: Plan) -> str:
        done, total = plan.progress()
        state = f"Plan recorded: {done} of {total} done."
        if not self._state.approved:
            return f"{state} It waits for approval: end your turn with a short summary of it."
        failed = [step.title for step in plan.steps if step.status == "failed"]
        if failed:
            names = "; ".join(failed)
            return f"{state} Failed: {names}. Revise the plan so that the goal is still reached, or say why it cannot be."
        return state


def step_events(before: Plan | None, after: Plan) -> list[ev.PlanStepStarted | ev.PlanStepFinished]:
    """What changed between two states of a plan, steps matched by title, in plan order."""
    old = {step.title: step.status for step in before.steps} if before is not None else {}
    found: list[ev.PlanStepStarted | ev.PlanStepFinished] = []
    for index, step in enumerate(after.steps):
        if old.get(step.title, "pending") == step.status:
            continue
        if step.status in ("completed", "failed"):
            found.append(ev.PlanStepFinished(index=index, title=step.title, status=step.status))
        elif step.status == "in_progress":
            found.append(ev.PlanStepStarted(index=index, title=step.title))
    return found
