"""The plan of a turn: steps with acceptance criteria, and their status."""

from typing import Literal

import msgspec

StepStatus = Literal["pending", "in_progress", "completed", "failed"]


class PlanStep(msgspec.Struct, frozen=True, kw_only=True):
    """`acceptance` says how anyone can see that the step is done."""

    title: str
    acceptance: str = ""
    status: StepStatus = "pending"


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """Steps in the order in which they are meant to be done. `note` is why the plan changed, in the model's words."""

    steps: tuple[PlanStep, ...] = ()
    note: str = ""

    @property
    def finished(self) -> bool:
        return bool(self.steps) and all(step.status == "completed" for step in self.steps)

    def progress(self) -> tuple[int, int]:
        """(completed, all)"""
        return sum(step.status == "completed" for step in self.steps), len(self.steps)
