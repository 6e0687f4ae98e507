"""What stands between "the model stopped" and "done".

The harness runs the checks, not the model; a failing check goes back with its output; a checklist is asked once, with the
diff and the checks in view. The order is always the same: unfinished plan, conflicts, checks, checklist, final output.
"""

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from goose_py.agent.final_output import MISSING
from goose_py.agent.planner import PlanState
from goose_py.protocol import events as ev

MAX_REPAIRS = 3
MAX_RESOLUTIONS = 3
MAX_PLAN_NUDGES = 2
MAX_OUTPUT_NUDGES = 2
CHECKLIST_SOURCE = "completion"

CHECKLIST = """\
You say the task is done. Before it is handed over, look at it once more with the diff and the checks below in view:
- Requirements: is each thing that was asked for there, and nothing that was not?
- Robustness: wrong input, empty input, what calls this code elsewhere?
- As a tester: which case would you try to break it with? If it breaks, mend it.
- As the user: would you understand the result and the message that goes with it?
If something is missing, go on working. If nothing is, answer with a short final report: what was changed, what was checked \
and with what result, what was assumed or left open. Claim only what ran."""


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """What the session knows when the model stops. `tree` None: nothing can be recorded in this workspace. `changed`: this
    piece of work changed something. `differs`: the files are not those that the task began with, or the checks were asked for
    whatever was changed. `checks` are the results of all checks on exactly these files, None where one has not run on them.
    `diff` is a bounded text of the changes, "" where there are none. `unresolved` are files that a rebase left with conflict
    markers, and that still hold some."""

    tree: str | None
    changed: bool
    differs: bool
    checks: tuple[ev.VerificationFinished, ...] | None
    diff: str = ""
    unresolved: tuple[str, ...] = ()


class CompletionPorts(msgspec.Struct, frozen=True, kw_only=True):
    """`evidence` takes a snapshot; `verify` runs every check on the present tree and logs the results. `checklist`: the model
    is asked once to look over its changes before they are handed over. `output_missing`: a final output is wanted and has
    not been given."""

    evidence: Callable[[], Awaitable[Evidence]]
    verify: Callable[[], Awaitable[Sequence[ev.VerificationFinished]]]
    plan: PlanState
    checklist: bool
    output_missing: Callable[[], bool] = lambda: False


class Completion:
    """One per turn. `may_finish` is handed to the loop."""

    def __init__(self, ports: CompletionPorts) -> None:
        self._ports = ports
        self._plan_nudges = 0
        self._output_nudges = 0
        self._repairs = 0
        self._resolutions = 0
        self._asked = False
        self._results: Sequence[ev.VerificationFinished] = ()
        self.unresolved: tuple[str, ...] = ()
        """Files that held conflict markers when the model last stopped."""

    @property
    def failed(self) -> tuple[ev.VerificationFinished, ...]:
        """The checks that stood in the way when they last ran."""
        return tuple(result for result in self._results if result.stands_in_the_way)

    @property
    def verified(self) -> bool:
        """True where checks ran on the final changes and all passed."""
        passed = all(result.came_to == "passed" for result in self._results)
        return bool(self._results) and passed and not self.unresolved

    async def may_finish(self) -> ev.ContextAdded | None:
        """None: the turn may end. It may also end when a check keeps failing: the log says so, and the exit code."""
        if self._ports.plan.undecided:
            return None
        return self._unfinished_plan() or await self._unchecked() or self._missing_output()

    async def _unchecked(self) -> ev.ContextAdded | None:
        found = await self._ports.evidence()
        self.unresolved = found.unresolved
        if self.unresolved:
            # What is no program any more need not be checked.
            self._resolutions += 1
            return None if self._resolutions > MAX_RESOLUTIONS else _conflict_note(self.unresolved)
        evidence = await self._checked(found)
        if self.failed:
            self._repairs += 1
            # What the model has no means to bring here is said once.
            most = 1 if all(result.came_to == "cannot run" for result in self.failed) else MAX_REPAIRS
            return None if self._repairs > most else _repair_note(self.failed, last=self._repairs == most)
        if evidence.changed and self._ports.checklist and not self._asked:
            self._asked = True
            return ev.ContextAdded(source=CHECKLIST_SOURCE, text=_checklist(evidence, self._results))
        return None

    async def _checked(self, evidence: Evidence) -> Evidence:
        """Checks the present files, unless these very files were checked already. Checks that leave files of their own
        behind are run once more on what they left, so that the result holds for what is handed over."""
        for _ in range(2):
            if not evidence.differs or evidence.checks is not None:
                break
            self._results = await self._ports.verify()
            if self.failed:
                return evidence
            evidence = await self._ports.evidence()
        if not evidence.differs:
            self._results = ()  # what failed was taken back
        elif evidence.changed and evidence.checks is not None:
            self._results = evidence.checks
        return evidence

    def _missing_output(self) -> ev.ContextAdded | None:
        if self.failed or self.unresolved or not self._ports.output_missing() or self._output_nudges >= MAX_OUTPUT_NUDGES:
            return None
        self._output_nudges += 1
        return ev.ContextAdded(source="final output", text=MISSING)

    def _unfinished_plan(self) -> ev.ContextAdded | None:
        plan = self._ports.plan.plan
        if plan is None or self._plan_nudges >= MAX_PLAN_NUDGES:
            return None
        open_steps = [step.title for step in plan.steps if step.status in ("pending", "in_progress")]
        if not open_steps:
            return None
        self._plan_nudges += 1
        text = (
            "The plan still has open steps: "
            + "; ".join(open_steps)
            + ". Do them, or call update_plan to mark what is done and to drop what is no longer needed, with a note why."
        )
        return ev.ContextAdded(source="plan", text=text)


def _conflict_note(files: Sequence[str]) -> ev.ContextAdded:
    text = (
        f"The task is not done: conflict markers are left in {', '.join(files)}. Resolve each conflict so that both changes "
        "keep their meaning, and remove every line that begins with <<<<<<<, |||||||, ======= or >>>>>>>."
    )
    return ev.ContextAdded(source="conflict", text=text)


def _repair_note(failed: Sequence[ev.VerificationFinished], *, last: bool) -> ev.ContextAdded:
    parts = ["The task is not done: the program ran the checks on your changes and they did not pass."]
    for result in failed:
        parts.append(f"$ {result.command}\n{result.output.strip()}\n[{_status(result)}]")
    parts.append(
        "Find the cause, revise the plan with update_plan if it no longer fits, and mend it. The checks are then run again."
        + (" This is the last time." if last else "")
    )
    return ev.ContextAdded(source="check", text="\n\n".join(parts))


def _checklist(evidence: Evidence, results: Sequence[ev.VerificationFinished]) -> str:
    checks = "\n".join(f"$ {result.command}\n{_tail(result.output)}\n[{_status(result)}]" for result in results)
    return (
        f"{CHECKLIST}\n\nThe diff:\n{evidence.diff or '(no text changed)'}\n\nThe checks:\n"
        f"{checks or 'None is configured, so nothing has been verified: say so.'}"
    )


def _status(result: ev.VerificationFinished) -> str:
    ended = f"exit code {result.exit_code}" if result.exit_code is not None else "did not end"
    told = result.came_to if result.came_to not in ("passed", "failed") else ""
    return ": ".join(part for part in (told, ended, result.reason) if part)


def _tail(text: str, limit: int = 1500) -> str:
    text = text.strip()
    return text if len(text) <= limit else f"[{len(text) - limit} characters omitted]\n{text[-limit:]}"
