"""A session: commands come in, turns run, events go to the log and then to everybody else.

It holds nothing that cannot be had from the log again: creating a session and opening one end in the same object.
"""

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any

import msgspec

from goose_py.agent.history import PROMPT
from goose_py.agent.limits import exceeded
from goose_py.agent.loop import Ending
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import Delta, Notice
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.messages import Image, ToolMessage, UserMessage
from goose_py.session.approvals import Approvals
from goose_py.session.bus import Bus
from goose_py.session.compaction import Compaction, CompactionPorts
from goose_py.session.log import Log
from goose_py.session.ports import Answering, SessionPorts
from goose_py.session.recording import Recording
from goose_py.session.redaction import redacted
from goose_py.session.state import SessionState
from goose_py.session.turn import Turn

DIED = "The program ended while this turn was running."
LEFT = "The program was ended, and did not wait for what still ran."
GO_ON = "The turn was stopped before you were done. Go on from where you stopped."


class Session:
    """`perform` takes commands and raises GooseError where one cannot be taken now; its effects are events. `idle` waits
    until nothing runs.

    What takes long (a turn, checks, a compaction) is one asyncio task, the work, watched by a second one: only the work is
    ever cancelled, so that a turn's end is always recorded."""

    def __init__(self, log: Log, bus: Bus, ports: SessionPorts, records: Iterable[ev.Record] = ()) -> None:
        self._log = log
        self._bus = bus
        self._ports = ports
        self._work: asyncio.Task[Any] | None = None
        self._watch: asyncio.Task[None] | None = None
        self._turn: Turn | None = None
        self._before: str | None = None
        self._held: frozenset[str] = frozenset()
        self._failure: BaseException | None = None
        self.state = SessionState(records)
        self._recording = Recording(ports, self._emit_state)
        self._approvals = Approvals(self.emit, lambda: not ports.attended(), ports.new_id, ports.variables)

    def emit(self, item: ev.DurableEvent | Delta) -> None:
        """Log first, then fan out; deltas are only fanned out. Raises GooseError where the log cannot be written, and says so
        on the bus: nobody would hear of it otherwise."""
        if not isinstance(item, ev.Event):
            self._bus.publish(item)
            return
        if self._ports.redact is not None:
            item = redacted(item, self._ports.redact)
        try:
            record = self._log.append(item)
        except GooseError as error:
            self._bus.publish(Notice(str(error)))
            raise
        self.state.feed(record)
        self._bus.publish(record)

    def _emit_state(self, event: ev.DurableEvent | Delta) -> None:
        """A look that shows what was known already is not told."""
        known = self.state.recorded.state if self.state.recorded is not None else ""
        if not (isinstance(event, ev.StateRecorded) and not event.call_id and event.state == known):
            self.emit(event)

    def running(self) -> bool:
        return self._watch is not None and not self._watch.done()

    async def recover(self, detail: str = DIED) -> None:
        """Closes what an earlier process left open: files that changed since they were last recorded, calls without a result,
        questions without an answer, the turn itself."""
        cut = [result.call_id for result in self.state.conversation.unanswered()]
        await self._record_changes(self.state.tree, cut[0] if cut else "")
        self._close(detail)

    def _close(self, detail: str) -> None:
        for result in self.state.conversation.unanswered():
            self.emit(ev.ToolFinished(result=result))
        for approval_id in self.state.questions:
            self.emit(ev.ApprovalResolved(approval_id=approval_id, allowed=False, by="policy", note=detail))
        if self.state.open_turn:
            self.emit(ev.TurnEnded(outcome="interrupted", detail=detail))

    async def perform(self, command: cmd.AnyCommand) -> None:
        match command:
            case cmd.Prompt():
                self._prompt(command)
            case cmd.WithdrawPrompt():
                self._withdraw(command)
            case cmd.Continue():
                self._continue()
            case cmd.Interrupt():
                await self.interrupt()
            case cmd.ResolveApproval():
                self._approvals.resolve(command)
            case cmd.DecidePlan():
                self._decide_plan(command)
            case cmd.SetMode():
                self.emit(ev.ModeSet(mode=command.mode))
            case cmd.SetModel():
                self.emit(ev.ModelSet(model=command.model))
            case cmd.SetLimits():
                self._set_limits(command)
            case cmd.SetTitle():
                self.emit(ev.TitleSet(title=command.title))
            case cmd.RunChecks():
                await self.aside(self.check())
            case cmd.Compact(undo=True):
                self._undo_compaction()
            case cmd.Compact():
                await self.aside(self._compact())
            case _:
                raise UserError(f"A session cannot take the command {type(command).__name__}.")

    async def interrupt(self) -> None:
        """Cancels what runs and waits until its tools are gone. Prompts that are waiting now do not start by themselves."""
        self._held = frozenset(self._waiting())
        if self._work is not None and self._watch is not None and not self._watch.done():
            self._work.cancel()
            await asyncio.wait({self._watch})

    async def end(self, within: float) -> None:
        """As `interrupt`, for a process that is about to be gone: what does not end within so many seconds is left to itself,
        and the log says how it stands. Files that changed meanwhile are recorded when the session is opened again."""
        if self._watch is None or self._watch.done():
            return
        try:
            async with asyncio.timeout(within):
                await self.interrupt()
        except TimeoutError:
            self._watch.cancel()
            await asyncio.wait({self._watch}, timeout=within / 5)
            self._close(LEFT)

    async def idle(self) -> None:
        """Waits until nothing runs and nothing follows. Raises what a turn died of: a bug, or a log that cannot be
        written."""
        while (watch := self._watch) is not None:
            await asyncio.wait({watch})
            if self._watch is watch:
                self._watch = None
                self._failure = self._failure or watch.exception()
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    async def check(self) -> Sequence[ev.VerificationFinished]:
        """Runs the session's checks on the present files and logs each result."""
        checks = self.state.started.checks if self.state.started is not None else ()
        tree = await self._ports.workspace.snapshot() if checks else None
        results: list[ev.VerificationFinished] = []
        for command in checks:
            result = await self._ports.workspace.verify(command, tree)
            self.emit(result)
            results.append(result)
        return results

    # Commands

    def _prompt(self, command: cmd.Prompt) -> None:
        if not any(isinstance(part, Image) or part.text.strip() for part in command.parts):
            raise UserError("The message is empty.")
        if self.running():
            delivery = command.delivery
        else:
            delivery = "now"
            self._close_broken_turn()
            self._deliver(self.state.steering)
        self.emit(ev.PromptReceived(prompt_id=command.prompt_id, parts=command.parts, delivery=delivery))
        if not self.running():
            self._start_turn()

    def _withdraw(self, command: cmd.WithdrawPrompt) -> None:
        if command.prompt_id not in self._waiting():
            raise UserError("That message has already been delivered.")
        self.emit(ev.PromptWithdrawn(prompt_id=command.prompt_id))

    def _continue(self) -> None:
        if self.running():
            raise UserError("A turn is already running.")
        self._close_broken_turn()
        if waiting := self.state.steering or self.state.queued[:1]:
            self._deliver(waiting)
        elif not any(entry.source == PROMPT for entry in self.state.conversation.entries()):
            raise UserError("There is nothing to continue: nothing has been asked yet.")
        elif not self._owes_an_answer():
            outcome = self.state.outcome
            if outcome is None or outcome.outcome in ("done", "awaiting_plan"):
                raise UserError("There is nothing to continue: the last turn came to its end. Say what to do next.")
            self.emit(ev.ContextAdded(source="continue", text=GO_ON))
        self._start_turn()

    def _decide_plan(self, command: cmd.DecidePlan) -> None:
        if not self.state.plan.undecided:
            raise UserError("There is no plan that waits for a decision.")
        self.emit(ev.PlanDecided(approved=command.approve, by="user", comment=command.comment))
        if command.approve and self.state.mode == "plan":
            # Where nobody can be asked, asking would be a refusal.
            self.emit(ev.ModeSet(mode="ask" if self._ports.attended() else "auto"))
        text = "The user approved the plan. Carry it out." if command.approve else "The user did not approve the plan."
        if command.comment:
            text += f" They say: {command.comment}"
        self.emit(ev.ContextAdded(source="plan decision", text=text))
        if not self.running() and (command.approve or command.comment):
            self._start_turn()

    def _set_limits(self, command: cmd.SetLimits) -> None:
        self.emit(ev.LimitsSet(limits=command.limits))
        if self._turn is not None and self.running():
            self._turn.limits_changed()

    def _undo_compaction(self) -> None:
        self._must_be_idle()
        if not self.state.conversation.compactions():
            raise UserError("There is no compaction to undo.")
        self.emit(ev.ContextCompacted(summary="", keep_from=0, method="undo"))

    async def _compact(self) -> None:
        ports = CompactionPorts(emit=self.emit, summariser=self._summariser, check_limits=self._check_limits)
        if not await Compaction(self.state, ports).compact():
            raise UserError("There is nothing to compact: the conversation is as short as it can be.")

    async def _summariser(self) -> Answering:
        def retried(attempt: int, delay: float, reason: str) -> None:
            self.emit(ev.ModelRetried(attempt=attempt, delay=delay, reason=reason))

        return await self._ports.answering(self.state.model, "summarise", retried)

    def _check_limits(self) -> None:
        if (reached := exceeded(self.state.spending, self.state.limits, self._ports.now())) is not None:
            raise reached

    # What runs

    def _start_turn(self) -> None:
        self.emit(ev.TurnStarted(turn=self.state.turns + 1))
        self._held = frozenset()
        self._before = None
        self._work = self._task(self._run_turn(), f"turn {self.state.turns}")
        self._watch = self._task(self._watch_turn(self._work), f"end of turn {self.state.turns}")

    async def _run_turn(self) -> Ending:
        self._turn = Turn(self.state, self._ports, self.emit, self._approvals, self.check, self._recording)
        # The model thinks meanwhile; no call runs before it is known what the turn starts from.
        recording = self._task(self._record_start(), f"start of turn {self.state.turns}")
        try:
            ending = await self._turn.run(recording)
        finally:
            await asyncio.wait({recording})
            failure = recording.exception()
        if failure is not None:
            raise failure
        return ending

    async def _record_start(self) -> str | None:
        self._before = await self._record_changes(self.state.tree)
        return self._before

    async def _watch_turn(self, work: "asyncio.Task[Ending]") -> None:
        await asyncio.wait({work})
        ending = self._ending_of(work)
        try:
            await self._record_changes(self._before)
            seconds = None if self._turn is None else round(self._turn.seconds, 3)
            self.emit(ev.TurnEnded(outcome=ending.outcome, detail=ending.detail, seconds=seconds))
        except GooseError as error:
            self._failure = self._failure or error
            return
        self._follow_up(ending)

    def _ending_of(self, work: "asyncio.Task[Ending]") -> Ending:
        if work.cancelled():
            return Ending(outcome="interrupted")
        error = work.exception()
        if error is None:
            return work.result()
        if isinstance(error, GooseError):
            return Ending(outcome="failed", detail=str(error))
        self._failure = error
        return Ending(outcome="failed", detail=f"A bug in goose-py ended this turn: {type(error).__name__}.")

    async def _record_changes(self, before: str | None, call_id: str = "") -> str | None:
        """The tree as it is now, logged where it is not the one before; `call_id` was cut short."""
        try:
            state = await self._recording.look(call_id)
            now = state.tree if state is not None else None
            changes = await self._changes(before, now) if before and now and before != now else None
        except GooseError as error:
            self.emit(ev.Warned(text=f"The changes could not be recorded: {error}"))
            return before
        if changes is not None:
            self.emit(changes)
        return now

    async def _changes(self, before: str, now: str) -> ev.ChangesRecorded:
        changes = await self._ports.workspace.changes(before, now)
        left = await self._ports.workspace.unresolved(self.state.resolving, now)
        return msgspec.structs.replace(changes, unresolved=left)

    def _follow_up(self, ending: Ending) -> None:
        """Steering that came too late goes in whole, queued prompts one a turn. After an interrupt only what was said since
        starts another turn, and what is queued behind a plan waits for its decision. A turn that failed for a reason that is
        still there starts no other one."""
        if ending.outcome in ("limit", "provider_error", "stuck"):
            return
        self._begin_with(self.state.steering, () if ending.outcome == "awaiting_plan" else self.state.queued)

    def _begin_with(self, steering: Sequence[str], queued: Sequence[str]) -> None:
        """Starts a turn with what may start by itself, if anything."""
        waiting = [item for item in steering if item not in self._held]
        waiting = waiting or [item for item in queued if item not in self._held][:1]
        if waiting:
            self._deliver(waiting)
            self._start_turn()

    async def aside(self, work: Coroutine[Any, Any, Any]) -> None:
        """Work that is no turn: nothing else runs meanwhile, and it can be interrupted. What is said meanwhile waits for its
        end. Raises what it raises, UserError where something runs."""
        try:
            self._must_be_idle()
        except UserError:
            work.close()
            raise
        task = self._work = self._task(work, "aside")
        self._watch = self._task(self._watch_aside(task), "end of aside")
        await asyncio.wait({self._watch})
        if task.cancelled():
            raise UserError("It was interrupted.")
        task.result()

    async def _watch_aside(self, work: "asyncio.Task[Any]") -> None:
        await asyncio.wait({work})
        try:
            self._begin_with(self.state.steering, self.state.queued)
        except GooseError as error:
            self._failure = error

    def _must_be_idle(self) -> None:
        if self.running():
            raise UserError("A turn is running: wait for its end, or interrupt it.")

    def _task(self, work: Coroutine[Any, Any, Any], name: str) -> "asyncio.Task[Any]":
        return asyncio.get_running_loop().create_task(work, name=name)

    # What waits

    def _waiting(self) -> tuple[str, ...]:
        return (*self.state.steering, *self.state.queued)

    def _deliver(self, prompts: Sequence[str]) -> None:
        for prompt_id in prompts:
            self.emit(ev.PromptDelivered(prompt_id=prompt_id))

    def _owes_an_answer(self) -> bool:
        messages = self.state.conversation.messages()
        return bool(messages) and isinstance(messages[-1], (UserMessage, ToolMessage))

    def _close_broken_turn(self) -> None:
        """A turn whose end could not be logged, because there was no space left."""
        if self.state.open_turn:
            self._close("The session log could not be written when this turn ended.")
