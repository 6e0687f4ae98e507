"""The plan as a tool, and as a condition: nothing is changed before there is one.

`PlannedTools` wraps the toolbox. It adds `update_plan`, whose calls become plan events, and tells which calls are refused
until a plan stands. The plan's state is a fold of those events, so it survives a resume.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Literal

from goose_py.agent.own_tool import OwnTool
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
AWAITS_DECISION = "Nothing was run: the plan has not been approved yet. End your turn with a short summary of it."
WAS_REJECTED = (
    "Nothing was run: the user did not approve the plan. Call update_plan with one that does what they say, then end your turn."
)


class PlanState:
    """A fold: the plan as it stands, and what was decided about it. A decision holds while the plan is revised; only a plan
    that was turned down is open again once it has changed. A finished plan ends with the next prompt."""

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self.decision: Literal["open", "approved", "rejected"] = "open"
        self._history: list[tuple[int, Plan | None, Literal["open", "approved", "rejected"]]] = []
        self._forgotten: dict[int, list[tuple[int, Plan | None, Literal["open", "approved", "rejected"]]]] = {}

    @property
    def approved(self) -> bool:
        return self.plan is not None and self.decision == "approved"

    @property
    def undecided(self) -> bool:
        """There is a plan, and it may not be carried out (yet)."""
        return self.plan is not None and self.decision != "approved"

    def feed(self, record: ev.Record) -> None:
        before = (self.plan, self.decision)
        match record.event:
            case ev.PlanProposed(plan=plan):
                self.plan = plan
                if self.decision == "rejected":
                    self.decision = "open"
            case ev.PlanDecided(approved=approved) if self.plan is not None:
                self.decision = "approved" if approved else "rejected"
            case ev.PromptReceived(delivery="now") | ev.PromptDelivered():
                if self.plan is not None and self.plan.finished:
                    self.plan, self.decision = None, "open"
            case ev.Rewound(undoes=int(seq)):
                self._history = self._forgotten.pop(seq, self._history)
                _, self.plan, self.decision = self._history[-1] if self._history else (0, None, "open")
            case ev.Rewound(scope="conversation" | "both", to_seq=int(seq)):
                self._forgotten[record.seq] = self._history
                self._history = [item for item in self._history if item[0] <= seq]
                _, self.plan, self.decision = self._history[-1] if self._history else (0, None, "open")
            case _:
                pass
        if (self.plan, self.decision) != before:
            self._history.append((record.seq, self.plan, self.decision))


class PlannedTools(OwnTool):
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
        super().__init__(tools, UPDATE_PLAN_SPEC)
        self._state = state
        self._emit = emit
        self._changes = changes
        self._automatic = automatic

    def refusal(self, call: ToolCall, spec: ToolSpec) -> str | None:
        """Why this call has to wait for a plan, if it has to. Asked before a person is asked anything."""
        if self._state.approved or spec is UPDATE_PLAN_SPEC or not self._changes(call, spec):
            return None
        if self._state.plan is None:
            return NEEDS_PLAN
        if self._approve_by_policy():
            return None
        return AWAITS_DECISION if self._state.decision == "open" else WAS_REJECTED

    def _approve_by_policy(self) -> bool:
        if self._state.decision == "open" and self._automatic():
            self._emit(ev.PlanDecided(approved=True, by="policy"))
        return self._state.approved

    def _answer(self, call: ToolCall) -> ToolResult:
        before = self._state.plan
        steps = tuple(
            PlanStep(title=step["title"].strip(), acceptance=step.get("acceptance", ""), status=step["status"])
            for step in call.arguments["steps"]
        )
        if sum(step.status == "in_progress" for step in steps) > 1:
            text = "The plan was not changed: only one step can be in_progress at a time."
            return ToolResult(call_id=call.id, content=(Text(text),), is_error=True)
        plan = Plan(steps=steps, note=call.arguments.get("note", ""))
        self._emit(ev.PlanProposed(plan=plan))
        self._approve_by_policy()
        for event in step_events(before, plan):
            self._emit(event)
        return ToolResult(call_id=call.id, content=(Text(self._state_of(plan)),))

    def _state_of(self, plan: Plan) -> str:
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
    """What changed between two states of a plan, in plan order. Steps are matched by title; steps of one title, by order."""
    old = {key: step.status for key, step in _keyed(before.steps)} if before is not None else {}
    found: list[ev.PlanStepStarted | ev.PlanStepFinished] = []
    for index, (key, step) in enumerate(_keyed(after.steps)):
        if old.get(key, "pending") == step.status:
            continue
        if step.status in ("completed", "failed"):
            found.append(ev.PlanStepFinished(index=index, title=step.title, status=step.status))
        elif step.status == "in_progress":
            found.append(ev.PlanStepStarted(index=index, title=step.title))
    return found


def _keyed(steps: Sequence[PlanStep]) -> list[tuple[tuple[str, int], PlanStep]]:
    seen: Counter[str] = Counter()
    keyed = []
    for step in steps:
        keyed.append(((step.title, seen[step.title]), step))
        seen[step.title] += 1
    return keyed
