"""What the model is told about where it stands: plan, budget, time. It is added to the end of the history, never to the
prefix, and only when there is something new to say."""

from goose_py.agent.limits import Spending, Used, amount, used
from goose_py.protocol.events import ContextAdded, Limits
from goose_py.protocol.plan import Plan

REMIND_EVERY = 8
THRESHOLDS = (0.5, 0.8, 0.95)


class ProgressNote:
    """One per turn; `note` is asked before each request and remembers what it said. An unfinished plan is shown when the
    turn begins, and again whenever `REMIND_EVERY` requests have passed without a word about it."""

    def __init__(self) -> None:
        self._silent_for = REMIND_EVERY
        self._plan: Plan | None = None
        self._crossed: dict[str, float] = {}

    def note(self, plan: Plan | None, spending: Spending, limits: Limits, now: float) -> ContextAdded | None:
        """`now` is Unix time."""
        lines = [*self._budget(used(spending, limits, now)), *self._reminder(plan)]
        return ContextAdded(source="progress", text="\n".join(lines)) if lines else None

    def _reminder(self, plan: Plan | None) -> list[str]:
        changed, self._plan = plan != self._plan, plan
        if changed and self._silent_for < REMIND_EVERY:
            self._silent_for = 0  # the model has just written it
        if plan is None or plan.finished:
            self._silent_for = 0
            return []
        self._silent_for += 1
        if self._silent_for <= REMIND_EVERY:
            return []
        self._silent_for = 0
        return [describe(plan)]

    def _budget(self, limits: tuple[Used, ...]) -> list[str]:
        lines: list[str] = []
        for item in limits:
            share = item.amount / item.limit if item.limit else 0.0
            crossed = max((step for step in THRESHOLDS if share >= step), default=0.0)
            if crossed > self._crossed.get(item.name, 0.0):
                self._crossed[item.name] = crossed
                advice = " Bring the work to a state that can be handed over." if share >= 0.8 else ""
                lines.append(f"Used {amount(item)} of {item.limit:g} {item.unit}.{advice}")
        return lines


def describe(plan: Plan) -> str:
    """One line a step."""
    done, total = plan.progress()
    marks = {"completed": "x", "in_progress": ">", "pending": " ", "failed": "!"}
    steps = "\n".join(f"[{marks[step.status]}] {step.title}" for step in plan.steps)
    return f"Plan, {done} of {total} done:\n{steps}"
