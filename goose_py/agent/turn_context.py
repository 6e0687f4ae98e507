"""What the model is told about where it stands: plan, budget, time. It is added to the end of the history, never to the
prefix, and only when there is something new to say."""

from goose_py.agent.limits import Spending, seconds_spent
from goose_py.protocol.events import ContextAdded, Limits
from goose_py.protocol.plan import Plan

REMIND_EVERY = 8
THRESHOLDS = (0.5, 0.8, 0.95)


class TurnContext:
    """`note` is asked before each request and remembers what was already said."""

    def __init__(self) -> None:
        self._requests_since_plan = 0
        self._crossed: dict[str, float] = {}
        self._shown: Plan | None = None

    def note(self, plan: Plan | None, spending: Spending, limits: Limits, now: float) -> ContextAdded | None:
        lines = self._budget(spending, limits, now)
        if plan is not self._shown:
            self._shown, self._requests_since_plan = plan, 0
        self._requests_since_plan += 1
        if plan is not None and not plan.finished and self._requests_since_plan % REMIND_EVERY == 0:
            lines.append(describe(plan))
        return ContextAdded(source="progress", text="\n".join(lines)) if lines else None

    def _budget(self, spending: Spending, limits: Limits, now: float) -> list[str]:
        used = {
            "model turns": (spending.turns, limits.max_turns),
            "seconds": (seconds_spent(spending, now), limits.max_seconds),
            "dollars": (spending.cost, limits.max_cost),
            "tokens": (spending.tokens, limits.max_tokens),
        }
        lines: list[str] = []
        for name, (amount, limit) in used.items():
            if not limit:
                continue
            crossed = max((step for step in THRESHOLDS if amount / limit >= step), default=0.0)
            if crossed > self._crossed.get(name, 0.0):
                self._crossed[name] = crossed
                lines.append(_spent(name, amount, limit))
        return lines


def _spent(name: str, amount: float, limit: float) -> str:
    advice = " Bring the work to a state that can be handed over." if amount / limit >= 0.8 else ""
    return f"Used {amount:.4g} of {limit:g} {name}.{advice}"


def describe(plan: Plan) -> str:
    done, total = plan.progress()
    marks = {"completed": "x", "in_progress": ">", "pending": " ", "failed": "!"}
    steps = "\n".join(f"[{marks[step.status]}] {step.title}" for step in plan.steps)
    return f"Plan, {done} of {total} done:\n{steps}"
