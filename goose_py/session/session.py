"""A session: commands come in, turns run, events go to the log and then to everybody else.

It holds nothing that cannot be had from the log again: creating a session and opening one end in the same object.
"""

import asyncio
from collections.abc import Iterable, Sequence

from goose_py.agent.loop import Ending
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import Delta
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.messages import ToolMessage, UserMessage
from goose_py.session.approvals import Approvals
from goose_py.session.bus import Bus
from goose_py.session.log import Log
from goose_py.session.ports import SessionPorts
from goose_py.session.state import SessionState
from goose_py.session.turn import Turn


class Session:
    """`perform` takes commands and raises UserError where one cannot be taken now; its effects are events. `idle` waits until
    no turn runs. A turn runs as a task of its own."""

    def __init__(self, log: Log, bus: Bus, ports: SessionPorts, records: Iterable[ev.Record] = ()) -> None:
        self._log = log
        self._bus = bus
        self._ports = ports
        self._task: asyncio.Task[None] | None = None
        self.state = SessionState(records)
        self._approvals = Approvals(self.emit, lambda: not ports.attended(), ports.new_id)

    def emit(self, item: ev.DurableEvent | Delta) -> None:
        """Log first, then fan out; deltas are only fanned out."""
        if not isinstance(item, ev.Event):
            self._bus.publish(item)
            return
        record = self._log.append(item)
        self.state.feed(record)
        self._bus.publish(record)

    def running(self) -> bool:
        return self._task is not None and not self._task.done()

    def recover(self) -> None:
        """After opening a log that a crash may have cut: close the turn that was open. Calls without a result are closed by
        the fold of the conversation."""
        if self.state.open_turn:
            self.emit(ev.TurnEnded(outcome="interrupted", detail="The program ended while this turn was running."))

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
            case cmd.SetTitle():
                self.emit(ev.TitleSet(title=command.title))
            case cmd.RunChecks():
                await self.check()
            case _:
                raise UserError(f"A session cannot take the command {type(command).__name__}.")

    async def interrupt(self) -> None:
        """Cancels the running turn and waits until its tools are gone. Nothing that was queued starts by itself."""
        if self._task is not None and not self._task.done():
            self._task.cancel()
            await asyncio.wait({self._task})

    async def idle(self) -> None:
        """Waits until no turn runs and none follows. Raises what a turn died of, if that was a bug."""
        while (task := self._task) is not None:
            await asyncio.wait({task})
            if self._task is not task:
                continue
            self._task = None
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def check(self) -> Sequence[ev.VerificationFinished]:
        """Runs the session's checks on the present files and logs each result."""
        checks = self.state.started.checks if self.state.started is not None else ()
        tree = await self._ports.workspace.snapshot()
        results: list[ev.VerificationFinished] = []
        for command in checks:
            result = await self._ports.workspace.verify(command, tree)
            self.emit(result)
            results.append(result)
        return results

    def _prompt(self, command: cmd.Prompt) -> None:
        if not command.parts:
            raise UserError("The message is empty.")
        running = self.running()
        delivery = command.delivery if running else "now"
        self.emit(ev.PromptReceived(prompt_id=command.prompt_id, parts=command.parts, delivery=delivery))
        if not running:
            self._start_turn()

    def _withdraw(self, command: cmd.WithdrawPrompt) -> None:
        if command.prompt_id not in self.state.conversation.undelivered():
            raise UserError("That message has already been delivered.")
        self.emit(ev.PromptWithdrawn(prompt_id=command.prompt_id))

    def _continue(self) -> None:
        if self.running():
            raise UserError("A turn is already running.")
        if not self._deliver_waiting():
            messages = self.state.conversation.messages()
            if not messages or not isinstance(messages[-1], (UserMessage, ToolMessage)):
                raise UserError("There is nothing to continue: the last turn came to its end. Say what to do next.")
        self._start_turn()

    def _decide_plan(self, command: cmd.DecidePlan) -> None:
        if self.state.plan.plan is None or self.state.plan.approved:
            raise UserError("There is no plan that waits for a decision.")
        self.emit(ev.PlanDecided(approved=command.approve, by="user", comment=command.comment))
        if command.approve and self.state.mode == "plan":
            self.emit(ev.ModeSet(mode="ask"))
        text = "The user approved the plan. Carry it out." if command.approve else "The user did not approve the plan."
        if command.comment:
            text += f" They say: {command.comment}"
        self.emit(ev.ContextAdded(source="plan decision", text=text))
        if not self.running() and (command.approve or command.comment):
            self._start_turn()

    def _start_turn(self) -> None:
        name = f"turn {self.state.turns + 1}"
        self._task = asyncio.get_running_loop().create_task(self._run_turn(), name=name)

    async def _run_turn(self) -> None:
        self.emit(ev.TurnStarted(turn=self.state.turns + 1))
        before: str | None = None
        ending = Ending(outcome="failed", detail="A bug in goose-py ended this turn.")
        try:
            before = await self._ports.workspace.snapshot()
            ending = await Turn(self.state, self._ports, self.emit, self._approvals, self.check, before).run()
        except asyncio.CancelledError:
            ending = Ending(outcome="interrupted")
            raise
        except GooseError as error:
            ending = Ending(outcome="failed", detail=str(error))
        finally:
            # The changes are recorded after a cancel too, and a second cancel must not stop that half way.
            await asyncio.shield(asyncio.ensure_future(self._end_turn(before, ending)))
        if ending.outcome in ("done", "failed", "denied", "awaiting_plan") and self._deliver_waiting():
            self._start_turn()

    async def _end_turn(self, before: str | None, ending: Ending) -> None:
        try:
            after = await self._ports.workspace.snapshot()
            if before is not None and after is not None and before != after:
                self.emit(await self._ports.workspace.changes(before, after))
        except GooseError as error:
            self.emit(ev.Warned(text=f"The changes of this turn could not be recorded: {error}"))
        self.emit(ev.TurnEnded(outcome=ending.outcome, detail=ending.detail))

    def _deliver_waiting(self) -> bool:
        """Steering that came too late goes in whole, queued prompts one a turn."""
        waiting = self.state.steering or self.state.queued[:1]
        for prompt_id in waiting:
            self.emit(ev.PromptDelivered(prompt_id=prompt_id))
        return bool(waiting)
