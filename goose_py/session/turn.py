"""One turn of a session: the ports of the loop, built from the session's folds and what it was handed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from goose_py.agent.completion import CHECKLIST_SOURCE, Completion, CompletionPorts, Evidence
from goose_py.agent.context import project
from goose_py.agent.final_output import FinalOutputTools
from goose_py.agent.limits import LimitedModel, Warnings, exceeded, seconds_spent
from goose_py.agent.loop import Ending, TurnPorts, run_turn
from goose_py.agent.loop_guard import LoopGuard
from goose_py.agent.planner import PlannedTools
from goose_py.agent.ports import Emit, Tools
from goose_py.agent.progress_note import ProgressNote
from goose_py.agent.prompts import mode_note
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import AssistantMessage, ToolCall, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec
from goose_py.session.approvals import Approvals
from goose_py.session.authorization import Authorization
from goose_py.session.compaction import Compaction, CompactionPorts, FittingModel
from goose_py.session.ports import Answering, SessionPorts
from goose_py.session.recording import Recording, RecordingTools
from goose_py.session.rejudging import RejudgingTools
from goose_py.session.state import SessionState

DIFF_FOR_CHECKLIST = 6000


class Turn:
    """`run` returns how it ended and raises CancelledError when interrupted, with every call answered. `verify` runs the
    session's checks and logs them."""

    def __init__(
        self,
        state: SessionState,
        ports: SessionPorts,
        emit: Emit,
        approvals: Approvals,
        verify: Callable[[], Awaitable[Sequence[ev.VerificationFinished]]],
        recording: Recording,
    ) -> None:
        assert state.started is not None, "a log begins with SessionStarted"
        self._started = state.started
        self._state = state
        self._ports = ports
        self._emit = emit
        self._verify = verify
        self._recording = recording
        self._start: asyncio.Task[str | None] | None = None
        self._checked_changes = 0
        self._last_checks: tuple[ev.VerificationFinished, ...] = ()
        self._deadline: asyncio.Timeout | None = None
        self._answering: Answering | None = None
        self._looking_over = False
        self._authorization = Authorization(state, ports, approvals, self._needs_plan, emit)
        self._tools = self._wrapped_tools()
        self._progress = ProgressNote()
        self._began = ports.monotonic()
        self._warnings = Warnings(ports.warn, state.spending, self._now())
        self._completion = Completion(
            CompletionPorts(
                evidence=self._evidence,
                verify=self._run_checks,
                plan=state.plan,
                checklist=ports.checklist,
                output_missing=self._output_missing,
            )
        )
        self._compaction = Compaction(
            state, CompactionPorts(emit=emit, summariser=self._summariser, check_limits=self._check_limits)
        )

    async def run(self, before: asyncio.Task[str | None]) -> Ending:
        """`before` gives the tree that the turn starts from; the first call waits for it. The time limit ends the turn whatever
        it is doing; the other limits are looked at before each request."""
        self._start = before
        self._deadline = asyncio.timeout_at(self._ends_at())
        try:
            async with self._deadline:
                return self._judge_end(await run_turn(self._loop_ports()))
        except TimeoutError:
            if not self._deadline.expired():
                raise
            return Ending(outcome="limit", detail=f"The time limit of {self._state.limits.max_seconds:g} s is reached.")

    @property
    def seconds(self) -> float:
        """Since it began, by a clock that nobody sets."""
        return self._ports.monotonic() - self._began

    def _now(self) -> float:
        """Unix time as it would be had nobody set the clock since the turn began: limits are about how long it really took."""
        return (self._state.spending.turn_started_at or 0.0) + self.seconds

    def limits_changed(self) -> None:
        """The time that is left is counted anew; the other limits are looked at before each request anyway."""
        if self._deadline is not None and not self._deadline.expired():
            self._deadline.reschedule(self._ends_at())

    def _ends_at(self) -> float | None:
        """By the event loop's clock."""
        limit = self._state.limits.max_seconds
        if limit is None:
            return None
        left = limit - seconds_spent(self._state.spending, self._now())
        return asyncio.get_running_loop().time() + max(0.0, left)

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        """The Model port: whoever answers this phase."""
        async with aclosing(self._who_answers().model.stream(request)) as stream:
            async for item in stream:
                yield item

    def _wrapped_tools(self) -> Tools:
        tools: Tools = RejudgingTools(self._ports.tools, self._authorize_again)
        for wrap in self._ports.around_tools:
            tools = wrap(tools, self._emit)
        if self._ports.response_schema is not None:
            tools = FinalOutputTools(tools, self._ports.response_schema, self._emit)
        self._planned: PlannedTools | None = None
        if self._ports.planning:
            tools = self._planned = PlannedTools(
                tools, self._state.plan, self._emit, self._ports.changes, self._plan_is_automatic
            )
        return tools

    def _loop_ports(self) -> TurnPorts:
        guard = LoopGuard(self._tools, self._authorize)
        return TurnPorts(
            next_request=self._next_request,
            model=FittingModel(LimitedModel(self, self._check_limits), self._make_room, self._request),
            tools=RecordingTools(guard, self._recording.after),
            authorize=guard.authorize,
            emit=self._emit,
            may_finish=self._may_finish,
            record_usage=self._record_usage,
            phase=self._phase,
            now=self._ports.monotonic,
        )

    async def _authorize(self, call: ToolCall, spec: ToolSpec) -> ToolCall | str:
        await self._before()
        return await self._once_settled(await self._authorization.check(call, spec), spec)

    async def _authorize_again(self, call: ToolCall, spec: ToolSpec) -> ToolCall | str:
        return await self._once_settled(await self._authorization.check_again(call, spec), spec)

    async def _once_settled(self, allowed: ToolCall | str, spec: ToolSpec) -> ToolCall | str:
        """What may write runs once the state before it is recorded."""
        if isinstance(allowed, ToolCall) and not (allowed.reads_only or spec.read_only):
            await self._recording.settled()
        return allowed

    async def _before(self) -> str | None:
        """The tree that the turn starts from. Cancelled, it leaves the recording of it alone."""
        assert self._start is not None, "a turn runs before it asks"
        await asyncio.wait({self._start})
        return self._start.result()

    async def _next_request(self) -> ModelRequest:
        if self._state.steering:
            await self._recording.settled()
        for prompt_id in self._state.steering:
            self._emit(ev.PromptDelivered(prompt_id=prompt_id))
        self._answering = await self._ports.answering(self._state.model, self._phase(), self._on_retry)
        await self._compaction.fit(self._answering)
        for note in self._notes():
            self._emit(note)
        return self._request()

    def _notes(self) -> list[ev.DurableEvent]:
        """What the model, or the user, must be told before the next request."""
        state, now = self._state, self._now()
        mode = mode_note(state.mode, state.noted_mode)
        progress = self._progress.note(state.plan.plan, state.spending, self._state.limits, now)
        notes: list[ev.DurableEvent] = [] if mode is None else [ev.ContextAdded(source="mode", text=mode)]
        return [*notes, *([] if progress is None else [progress]), *self._warnings.due(state.spending, now)]

    def _request(self) -> ModelRequest:
        answering = self._who_answers()
        prefix = self._state.prefix
        if prefix is None:
            raise UserError("This session has no system prompt yet: it was not set up to its end.")
        return ModelRequest(
            model=answering.ref.model,
            system=prefix.system,
            messages=project(self._state.conversation.messages(), answering.ref, images=answering.images),
            tools=prefix.tools,
            effort=answering.ref.effort,
            temperature=answering.temperature,
            max_output_tokens=answering.max_output_tokens,
            cache_key=self._started.session_id,
        )

    async def _make_room(self, refusals: int) -> bool:
        """After the provider refused a request as too long: whether a smaller one may be sent."""
        before = self._state.last_seq
        if refusals == 1:
            await self._compaction.after_overflow(self._who_answers())
        if refusals == 2 or self._state.last_seq == before:
            return refusals <= 2 and self._compaction.cut()
        return refusals == 1

    async def _may_finish(self, message: AssistantMessage) -> ev.DurableEvent | None:
        if self._state.steering:
            await self._recording.settled()
            return ev.PromptDelivered(prompt_id=self._state.steering[0])
        note = await self._completion.may_finish()
        self._looking_over = note is not None and note.source == CHECKLIST_SOURCE
        return note

    def _judge_end(self, ending: Ending) -> Ending:
        """The truth about a turn that the model thinks is done."""
        if ending.outcome != "done":
            return ending
        if self._state.plan.undecided:
            return Ending(outcome="awaiting_plan", detail="The plan waits for a decision.")
        if left := self._completion.unresolved:
            return Ending(outcome="failed", detail=f"Conflict markers are left in {', '.join(left)}.")
        if failed := self._completion.failed:
            how = "cannot run here" if failed[0].came_to == "cannot run" else "does not pass"
            reason = f" {failed[0].reason}" if failed[0].reason else ""
            return Ending(outcome="failed", detail=f"The check `{failed[0].command}` {how}.{reason}")
        if self._output_missing():
            return Ending(outcome="failed", detail="The model did not hand over a final output.")
        if self._authorization.denied and not self._completion.verified:
            return Ending(outcome="denied", detail=self._authorization.denied)
        return ending

    async def _evidence(self) -> Evidence:
        before = await self._before()
        tree = await self._ports.workspace.snapshot()
        if tree is None or before is None:
            changes = self._authorization.changes
            checks = self._last_checks if changes == self._checked_changes else None
            return Evidence(tree=tree, changed=changes > 0, differs=changes > 0, checks=checks)
        changed = tree != (self._state.work_from or before)
        base = self._state.base_tree or before
        diff = await self._ports.workspace.diff(base, tree, DIFF_FOR_CHECKLIST) if changed else ""
        unresolved = await self._ports.workspace.unresolved(self._state.resolving, tree)
        differs = tree != base or (self._ports.check_unchanged and bool(self._started.checks))
        return Evidence(
            tree=tree, changed=changed, differs=differs, checks=self._checks_of(tree), diff=diff, unresolved=unresolved
        )

    def _checks_of(self, tree: str) -> tuple[ev.VerificationFinished, ...] | None:
        results = [self._state.checked.get(command) for command in self._started.checks]
        found = tuple(result for result in results if result is not None and result.tree == tree)
        return found if len(found) == len(results) else None

    async def _run_checks(self) -> Sequence[ev.VerificationFinished]:
        self._checked_changes = self._authorization.changes
        self._last_checks = tuple(await self._verify())
        return self._last_checks

    def _output_missing(self) -> bool:
        return self._ports.response_schema is not None and not self._state.answered

    def _needs_plan(self, call: ToolCall, spec: ToolSpec) -> str | None:
        return self._planned.refusal(call, spec) if self._planned is not None else None

    def _phase(self) -> ev.Phase:
        if self._ports.planning and not self._state.plan.approved:
            return "plan"
        return "verify" if self._looking_over else "execute"

    def _plan_is_automatic(self) -> bool:
        return self._state.mode != "plan" and not (self._ports.plan_needs_approval and self._ports.attended())

    async def _summariser(self) -> Answering:
        return await self._ports.answering(self._state.model, "summarise", self._on_retry)

    def _check_limits(self) -> None:
        reached = exceeded(self._state.spending, self._state.limits, self._now())
        if reached is not None:
            raise reached

    def _record_usage(self, usage: Usage, phase: ev.Phase) -> None:
        answering = self._who_answers()
        self._emit(ev.UsageRecorded(model=answering.ref, usage=usage, cost=answering.cost(usage), phase=phase))

    def _on_retry(self, attempt: int, delay: float, reason: str) -> None:
        self._emit(ev.ModelRetried(attempt=attempt, delay=delay, reason=reason))

    def _who_answers(self) -> Answering:
        assert self._answering is not None, "a request comes before its answer"
        return self._answering
