"""Text for people: progress on standard error through Rich, the final answer alone on standard output.

Foreign text (the model's, a tool's, a file's name) is made safe and never read as markup.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from functools import cached_property
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

from goose_py.headless.result import EXIT_DONE, RunResult, ending_code, fold
from goose_py.headless.streams import QuietStream
from goose_py.protocol.amounts import counted
from goose_py.protocol.call_summary import exit_code, full_call, one_line, summarize_call
from goose_py.protocol.deltas import Delta, Notice
from goose_py.protocol.events import (
    UNDONE,
    ApprovalRequested,
    ApprovalResolved,
    ChangeDecided,
    ChangesApplied,
    ChangesRecorded,
    ContextCompacted,
    ExtensionChanged,
    ModelReplied,
    ModelRetried,
    PlanDecided,
    PlanProposed,
    PlanStepFinished,
    PlanStepStarted,
    Rebased,
    Record,
    Rewound,
    SessionStarted,
    TaskEnded,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    VerificationFinished,
    Warned,
)
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.plan import Plan
from goose_py.protocol.safe_text import safe_text
from goose_py.protocol.starting import starting_point

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

RESULT_LINES = 3
FAILURE_LINES = 12
SILENT_TOOLS = frozenset({"update_plan"})
"""Calls that have events of their own, which say more."""
_MARKS = {
    "ok": ("✓", "green"),
    "failed": ("✗", "red"),
    "running": ("●", "blue"),
    "open": ("○", "dim"),
    "asks": ("!", "yellow"),
    "note": ("·", "dim"),
}
_ASCII = str.maketrans(
    {"✓": "+", "✗": "x", "●": "*", "○": "o", "·": "-", "−": "-", "⎿": "|", "⏎": "\\n", "…": "...", "–": "-", "→": "->"}
)


class TextOutput:
    """`width` None: as wide as `err` says. `raw` leaves the answer on `out` as the model wrote it, control characters and
    all. `quiet` writes no progress; errors and the closing line remain."""

    def __init__(
        self,
        out: TextIO,
        err: TextIO,
        *,
        color: bool = False,
        width: int | None = None,
        raw: bool = False,
        quiet: bool = False,
    ) -> None:
        self._out = QuietStream(out)
        self._err = QuietStream(err)
        self._raw = raw
        self._quiet = quiet
        self._color = color
        self._width = width
        self._ascii = "utf" not in self._err.encoding.lower()
        self._run = RunResult()
        self._plan = Plan()
        self._calls: dict[str, ToolCall] = {}
        self._requests: dict[str, ApprovalRequested] = {}

    @cached_property
    def _console(self) -> "Console":
        """Loaded with the first line: a quiet run needs none of it."""
        from rich.console import Console

        return Console(
            file=self._err,
            color_system="standard" if self._color else None,
            force_terminal=self._color,
            no_color=not self._color,
            width=self._width,
            markup=False,
            highlight=False,
            emoji=False,
            soft_wrap=self._width is None,
        )

    def recall(self, records: Iterable[Record]) -> None:
        """See `outputs.Output`."""
        for record in records:
            self._run = fold(self._run, record)

    def consume(self, item: Record | Delta) -> None:
        self._run = fold(self._run, item)
        if isinstance(item, Notice):
            self._line("failed", item.text)
        if not isinstance(item, Record) or self._quiet:
            return
        show = self._cases.get(type(item.event))
        if show is not None:
            show(self, item.event)

    def finish(self, *, timed_out: bool = False, error: str = "", code: int | None = None) -> int:
        ending = ending_code(self._run, timed_out=timed_out, error=error, code=code)
        self._closing_line(ending, error, timed_out)
        self._err.flush()
        if self._run.has_output:
            text = json.dumps(self._run.output, ensure_ascii=not self._raw, indent=2)
        elif self._run.outcome == "done" or self._run.planned:
            text = "\n".join(filter(None, (_planned(self._run), self._run.result)))
            text = text if self._raw else safe_text(text)
        else:
            text = ""
        if text:
            self._out.write(text if text.endswith("\n") else text + "\n")
        self._out.flush()
        return ending

    # One method an event.

    def _session_started(self, event: SessionStarted) -> None:
        start = starting_point(
            event.base_branch, event.base, event.uncommitted, includes_changes=event.includes_changes
        )
        if start:
            self._line("note", f"starts from {start}")
        worktree = event.worktree if event.worktree != event.workspace else ""
        beside = ", ".join(filter(None, (f"worktree {worktree}" if worktree else "", event.branch or "")))
        where = str(PurePosixPath(event.workspace, event.folder)) + (f" ({beside})" if beside else "")
        self._line("note", f"{event.model} · {event.mode} · {where}")
        if event.checks:
            self._line("note", f"checks: {'; '.join(_named(check, event.found_checks) for check in event.checks)}")
        if event.shared:
            self._line("note", f"shares of yours, what it changes there stays in the task: {', '.join(event.shared)}")
        if event.variables:
            self._line("note", f"commands get of your variables: {', '.join(event.variables)}")

    def _plan_proposed(self, event: PlanProposed) -> None:
        before, self._plan = self._plan, event.plan
        if [step.title for step in before.steps] == [step.title for step in event.plan.steps]:
            return
        done, steps = event.plan.progress()
        self._line("note", f"plan  {done}/{steps}" + (f"  {one_line(event.plan.note)}" if event.plan.note else ""))
        for step in event.plan.steps:
            self._line(_STEP_MARKS[step.status], step.title, indent=2)

    def _plan_decided(self, event: PlanDecided) -> None:
        if event.by != "policy":
            self._line("ok" if event.approved else "failed", "plan approved" if event.approved else "plan rejected")

    def _plan_step_started(self, event: PlanStepStarted) -> None:
        if self._run.mode == "plan":
            return  # it is being planned, not begun
        self._line("running", f"step {event.index + 1}/{len(self._plan.steps) or '?'}  {event.title}", style="bold")

    def _plan_step_finished(self, event: PlanStepFinished) -> None:
        self._line("ok" if event.status == "completed" else "failed", f"step {event.index + 1}  {event.title}")

    def _model_replied(self, event: ModelReplied) -> None:
        text = event.message.text().strip()
        if text and event.message.tool_calls():
            from rich.padding import Padding

            self._console.print(Padding(self._text(text), (0, 0, 0, 2), expand=False), no_wrap=False, soft_wrap=False)

    def _model_retried(self, event: ModelRetried) -> None:
        self._line("asks", f"request failed ({one_line(event.reason)}); attempt {event.attempt} in {event.delay:.0f} s")

    def _approval_requested(self, event: ApprovalRequested) -> None:
        self._requests[event.approval_id] = event
        self._line("asks", f"needs approval: {event.call.name}  ({event.reason})")
        self._block(full_call(event.call), "")
        if event.variables:
            self._block(f"it would get of your variables: {', '.join(event.variables)}", "dim")

    def _approval_resolved(self, event: ApprovalResolved) -> None:
        request = self._requests.pop(event.approval_id, None)
        name = request.call.name if request else event.approval_id
        if event.allowed:
            self._line("ok", f"allowed by {event.by}: {name}")
        else:
            self._line("failed", f"denied by {event.by}: {name}" + (f"  ({event.note})" if event.note else ""))

    def _tool_started(self, event: ToolStarted) -> None:
        self._calls[event.call.id] = event.call

    def _tool_finished(self, event: ToolFinished) -> None:
        call = self._calls.pop(event.result.call_id, None)
        if call is None or (call.name in SILENT_TOOLS and not event.result.is_error):
            return
        verb, subject = summarize_call(call)
        code = exit_code(event.result)
        ended = f"exit {code}  {event.seconds:.1f}s" if code else f"{event.seconds:.1f}s"
        self._line("failed" if event.result.is_error or code else "ok", f"{verb}  {subject}", after=ended)
        lines = [line for line in event.result.text().split("\n") if line.strip()]
        if event.result.is_error or code:
            self._block("\n".join(lines[-FAILURE_LINES:]), "red" if event.result.is_error else "dim")
        elif lines and call.name.rsplit("__", 1)[-1] not in ("read", "list"):
            rest = len(lines) - RESULT_LINES
            self._block("\n".join(lines[:RESULT_LINES]) + (f"\n… {rest} more lines" if rest > 0 else ""), "dim")

    def _verification_finished(self, event: VerificationFinished) -> None:
        check = f"check  {one_line(event.command)}"
        if event.came_to == "passed":
            self._line("ok", check, after=f"passed in {event.seconds:.1f}s")
            return
        if event.came_to != "failed":
            self._line("failed" if event.stands_in_the_way else "asks", check, after=f"{event.came_to} in {event.seconds:.1f}s")
            self._block(event.reason, "dim")
            return
        how = "did not end" if event.exit_code is None else f"exit code {event.exit_code}"
        self._line("failed", check, after=f"{how} in {event.seconds:.1f}s")
        self._block(event.reason, "dim")
        self._block("\n".join(event.output.rstrip("\n").split("\n")[-FAILURE_LINES:]), "red")

    def _changes_recorded(self, event: ChangesRecorded) -> None:
        if event.tree_before != event.tree_after:
            self._line("note", f"changed {counted(event.files, 'file')}  +{event.added} −{event.removed}")
        for warning in event.warnings:
            self._line("asks", warning)

    def _change_decided(self, event: ChangeDecided) -> None:
        what = event.path + (f" hunk {event.hunk[:8]}" if event.hunk else "")
        did = "comment taken back" if event.withdraws and not event.comment else event.verdict
        self._line({"keep": "ok", "drop": "failed", "undecided": "open"}[event.verdict], f"{did}  {what}")

    def _changes_applied(self, event: ChangesApplied) -> None:
        if event.how == UNDONE:
            self._line("note", f"took {counted(len(event.files), 'file')} back from {event.target}")
            return
        commit = f" as {event.commit[:10]}" if event.commit else ""
        self._line("ok", f"applied {counted(len(event.files), 'file')} to {event.target} ({event.how}){commit}")

    def _context_compacted(self, event: ContextCompacted) -> None:
        self._line("note", f"context made smaller: {event.tokens_before:,} → {event.tokens_after:,} tokens")

    def _extension_changed(self, event: ExtensionChanged) -> None:
        if event.state in ("failed", "restarted"):
            self._line("asks", f"extension {event.extension} {event.state}: {one_line(event.detail)}")

    def _rewound(self, event: Rewound) -> None:
        self._line("note", f"rewound {event.scope} to {event.tree[:10]}")

    def _rebased(self, event: Rebased) -> None:
        conflicts = f", conflicts in {', '.join(event.conflicts)}" if event.conflicts else ""
        self._line("note", f"rebased on {event.branch or event.base[:10]}{conflicts}")

    def _warned(self, event: Warned) -> None:
        self._line("asks", event.text)

    def _task_ended(self, event: TaskEnded) -> None:
        self._line("note", f"task {event.state}" + (f": {event.detail}" if event.detail else ""))

    def _turn_ended(self, event: TurnEnded) -> None:
        if event.outcome not in ("done", "awaiting_plan"):
            self._line("failed", event.outcome.replace("_", " ") + (f": {event.detail}" if event.detail else ""))

    _cases: ClassVar[dict[type, Callable[["TextOutput", Any], None]]] = {
        SessionStarted: _session_started,
        PlanProposed: _plan_proposed,
        PlanDecided: _plan_decided,
        PlanStepStarted: _plan_step_started,
        PlanStepFinished: _plan_step_finished,
        ModelReplied: _model_replied,
        ModelRetried: _model_retried,
        ApprovalRequested: _approval_requested,
        ApprovalResolved: _approval_resolved,
        ToolStarted: _tool_started,
        ToolFinished: _tool_finished,
        VerificationFinished: _verification_finished,
        ChangesRecorded: _changes_recorded,
        ChangeDecided: _change_decided,
        ChangesApplied: _changes_applied,
        ContextCompacted: _context_compacted,
        ExtensionChanged: _extension_changed,
        Rewound: _rewound,
        Rebased: _rebased,
        Warned: _warned,
        TaskEnded: _task_ended,
        TurnEnded: _turn_ended,
    }

    # How it looks.

    def _line(self, mark: str, text: str, *, after: str = "", style: str = "", indent: int = 0) -> None:
        glyph, color = _MARKS[mark]
        from rich.text import Text

        line = Text(" " * indent)
        line.append_text(self._text(glyph, color))
        line.append(" ")
        line.append_text(self._text(one_line(text), style))
        if after:
            line.append("  ")
            line.append_text(self._text(after, "dim"))
        self._console.print(line)

    def _block(self, text: str, style: str) -> None:
        for number, line in enumerate(text.split("\n") if text.strip() else ()):
            self._console.print(self._text(("  ⎿ " if number == 0 else "    ") + line, style))

    def _text(self, text: str, style: str = "") -> "Text":
        from rich.text import Text

        safe = safe_text(text)
        return Text(safe.translate(_ASCII) if self._ascii else safe, style)

    def _closing_line(self, code: int, error: str, timed_out: bool) -> None:
        facts = self._facts()
        if code == EXIT_DONE:
            if not self._quiet:
                self._line("ok", "done", after=" · ".join(facts), style="bold")
                self._how_to_go_on()
            return
        reason, _, rest = (error or ("out of time" if timed_out else _REASONS.get(code, "failed"))).partition("\n")
        self._line("failed", reason, after=" · ".join([*facts, f"exit code {code}"]), style="bold red")
        if rest:
            self._block(rest, "")
        if not self._quiet:
            self._how_to_go_on()

    def _facts(self) -> list[str]:
        """What a run came to, as far as there was one."""
        run = self._run
        if not run.session_id:
            return []
        facts = [f"{run.seconds:.0f} s", "1 request" if run.requests == 1 else f"{run.requests} requests"]
        if run.cost:
            facts.append(f"${run.cost:.2f}" + ("" if run.cost_complete else " or more"))
        if run.checks:
            facts.append(_standing(run))
        return [*facts, f"session {run.session_id}"]

    def _how_to_go_on(self) -> None:
        ways = [f"{each.command} {each.does}" for each in self._run.next_commands()]
        if ways:
            self._line("note", ", ".join(ways))


def _named(check: str, found: Mapping[str, str]) -> str:
    return f"{check} (found: {found[check]})" if check in found else check


def _standing(run: RunResult) -> str:
    others = dict.fromkeys(check.outcome for check in run.checks if check.outcome not in ("passed", "failed"))
    if run.failed_checks or not others:
        return "checks passed" if run.verified else "checks not passed"
    return f"checks: {', '.join(others)}"


def _planned(run: RunResult) -> str:
    """The plan as the answer of a run that was asked for one."""
    if not run.planned:
        return ""
    steps = [
        f"{number}. {step.title}" + (f" ({step.acceptance})" if step.acceptance else "")
        for number, step in enumerate(run.plan.steps, 1)
    ]
    return "\n".join([*steps, ""])


_REASONS = {
    3: "an approval was needed that was not given",
    4: "a limit was reached",
    5: "the model could not be reached",
    6: "a check failed",
    124: "out of time",
    130: "interrupted",
}
_STEP_MARKS: dict[str, str] = {"pending": "open", "in_progress": "running", "completed": "ok", "failed": "failed"}
