"""One turn of a session: the ports of the loop, built from the session's folds and what it was handed."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing

from goose_py.agent.completion import Completion, CompletionPorts, Evidence
from goose_py.agent.context import project
from goose_py.agent.limits import LimitedModel, exceeded
from goose_py.agent.loop import Ending, TurnPorts, run_turn
from goose_py.agent.loop_guard import LoopGuard
from goose_py.agent.planner import PlannedTools
from goose_py.agent.ports import Emit, Tools
from goose_py.agent.prompts import mode_note
from goose_py.agent.turn_context import TurnContext
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import AssistantMessage, ToolCall, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec
from goose_py.session.approvals import Approvals
from goose_py.session.ports import Answering, SessionPorts
from goose_py.session.state import SessionState

DIFF_FOR_CHECKLIST = 6000


class Turn:
    """`before` is the tree that the turn starts from. `run` returns how it ended and raises CancelledError when interrupted,
    with every call answered."""

    def __init__(
        self,
        state: SessionState,
        ports: SessionPorts,
        emit: Emit,
        approvals: Approvals,
        verify: Callable[[], Awaitable[Sequence[ev.VerificationFinished]]],
        before: str | None,
    ) -> None:
        self._state = state
        self._ports = ports
        self._emit = emit
        self._approvals = approvals
        self._before = before
        self._answering: Answering | None = None
        self._finishing = False
        self._denied = ""
        self._context = TurnContext()
        self._completion = Completion(
            CompletionPorts(evidence=self._evidence, verify=verify, plan=state.plan, checklist=ports.checklist)
        )

    async def run(self) -> Ending:
        """The time limit ends the turn whatever it is doing; the other limits are looked at before each request."""
        started = self._started()
        limit = started.limits.max_seconds
        left = None if limit is None else max(0.0, limit - self._state.spending.seconds)
        deadline = asyncio.timeout(left)
        try:
            async with deadline:
                return self._judge_end(await run_turn(self._loop_ports()))
        except TimeoutError:
            if not deadline.expired():
                raise
            return Ending(outcome="limit", detail=f"The time limit of {limit:g} seconds is reached.")

    def _loop_ports(self) -> TurnPorts:
        tools: Tools = self._ports.tools
        for wrap in self._ports.around_tools:
            tools = wrap(tools, self._emit)
        if self._ports.planning:
            tools = PlannedTools(tools, self._state.plan, self._emit, self._ports.changes, self._plan_is_automatic)
        return TurnPorts(
            next_request=self._next_request,
            model=LimitedModel(self, self._check_limits),
            tools=LoopGuard(tools),
            authorize=self._authorize,
            emit=self._emit,
            may_finish=self._may_finish,
            record_usage=self._record_usage,
            phase=self._phase,
            now=self._ports.monotonic,
        )

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        """The Model port: whoever answers this phase."""
        async with aclosing(self._who_answers().model.stream(request)) as stream:
            async for item in stream:
                yield item

    async def _next_request(self) -> ModelRequest:
        for prompt_id in self._state.steering:
            self._emit(ev.PromptDelivered(prompt_id=prompt_id))
        if (note := mode_note(self._state.mode, self._state.noted_mode)) is not None:
            self._emit(ev.ContextAdded(source="mode", text=note))
        limits = self._started().limits
        progress = self._context.note(self._state.plan.plan, self._state.spending, limits, self._ports.now())
        if progress is not None:
            self._emit(progress)
        answering = await self._ports.answering(self._state.model, self._phase(), self._on_retry)
        self._answering = answering
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
            cache_key=self._started().session_id,
        )

    async def _may_finish(self, message: AssistantMessage) -> ev.DurableEvent | None:
        if self._state.steering:
            return ev.PromptDelivered(prompt_id=self._state.steering[0])
        self._finishing = True
        return await self._completion.may_finish(message)

    def _judge_end(self, ending: Ending) -> Ending:
        """The truth about a turn that the model thinks is done."""
        if ending.outcome != "done":
            return ending
        plan = self._state.plan
        if plan.plan is not None and not plan.approved:
            return Ending(outcome="awaiting_plan", detail="The plan waits for a decision.")
        if failed := self._completion.failed:
            return Ending(outcome="failed", detail=f"The check `{failed[0].command}` does not pass.")
        if self._denied and not self._completion.verified:
            return Ending(outcome="denied", detail=self._denied)
        return ending

    async def _evidence(self) -> Evidence:
        tree = await self._ports.workspace.snapshot()
        since = self._started().base_tree or self._before
        changed = tree is not None and self._before is not None and tree != self._before
        diff = ""
        if changed and since is not None and tree is not None:
            diff = await self._ports.workspace.diff(since, tree, DIFF_FOR_CHECKLIST)
        return Evidence(tree=tree, changed=changed, diff=diff)

    async def _authorize(self, call: ToolCall, spec: ToolSpec) -> str | None:
        judgement = self._ports.judge(call, spec, self._state.mode)
        if judgement.verdict == "allow":
            return None
        if judgement.verdict == "deny":
            return f"Not allowed: {judgement.reason} Find another way, or say why there is none."
        snapshot = await self._ports.workspace.snapshot()
        answer = await self._approvals.ask(call, judgement, snapshot)
        if answer.allow:
            if answer.scope != "once":
                self._ports.keep(answer, judgement, call)
            return None
        self._denied = self._denied or f"{call.name} needed an approval and did not get one: {judgement.reason}"
        said = f" {answer.note}" if answer.note else ""
        return f"Denied: {judgement.reason}{said} Do not try the same in another form."

    def _phase(self) -> ev.Phase:
        if self._ports.planning and (self._state.plan.plan is None or not self._state.plan.approved):
            return "plan"
        return "verify" if self._finishing else "execute"

    def _plan_is_automatic(self) -> bool:
        return self._state.mode != "plan" and not (self._ports.plan_needs_approval and self._ports.attended())

    def _check_limits(self) -> None:
        reached = exceeded(self._state.spending, self._started().limits, self._ports.now())
        if reached is not None:
            raise reached

    def _record_usage(self, usage: Usage, phase: ev.Phase) -> None:
        answering = self._who_answers()
        self._emit(ev.UsageRecorded(model=answering.ref, usage=usage, cost=answering.cost(usage), phase=phase))

    def _on_retry(self, attempt: int, delay: float, reason: str) -> None:
        self._emit(ev.ModelRetried(attempt=attempt, delay=delay, reason=reason))

    def _started(self) -> ev.SessionStarted:
        assert self._state.started is not None, "a log begins with SessionStarted"
        return self._state.started

    def _who_answers(self) -> Answering:
        assert self._answering is not None, "a request comes before its answer"
        return self._answering
