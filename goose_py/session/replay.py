"""A recorded session as a script that can be run again: what the user did and when, what the model answered.

Everything else (tools, checks, files, permissions) is done anew, so that a difference between the recording and its replay is
a difference of the world or of this program. Nothing is asked of any model."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

import msgspec

from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.deltas import ModelDelta, TextDelta, ThinkingDelta
from goose_py.protocol.errors import LimitReached, RequestRejected
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, Thinking, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest

Perform = Callable[[cmd.AnyCommand], Awaitable[None]]


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One recorded reply; `then` is what the user did between it and the next one."""

    message: AssistantMessage
    usage: Usage
    cost: float | None
    then: tuple[cmd.AnyCommand, ...] = ()


class RecordedTurn(msgspec.Struct, frozen=True, kw_only=True):
    """`ended` is None where the recording stops in the midst of it."""

    replies: tuple[Said, ...] = ()
    ended: ev.TurnEnded | None = None


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """`acts` are the user's commands outside of turns, in order; some of them start turns, which `turns` holds by number.
    `summaries` are those that a model wrote to make room. `answers` tells by call what became of a question, `left_out` what
    the recording has and a replay does not repeat."""

    started: ev.SessionStarted
    acts: tuple[cmd.AnyCommand, ...]
    turns: dict[int, RecordedTurn]
    summaries: tuple[str, ...]
    answers: dict[str, ev.ApprovalResolved]
    left_out: tuple[str, ...]


def read_recording(records: Iterable[ev.Record]) -> Recording | None:
    """None where the records do not begin with a session's start."""
    reader = _Reader()
    for record in records:
        reader.feed(record.event)
    return reader.result()


class _Reader:
    def __init__(self) -> None:
        self._started: ev.SessionStarted | None = None
        self._acts: list[cmd.AnyCommand] = []
        self._turns: dict[int, RecordedTurn] = {}
        self._turn: int | None = None
        self._may_start = False
        self._replies: list[Said] = []
        self._summaries: list[str] = []
        self._asked: dict[str, str] = {}
        self._answers: dict[str, ev.ApprovalResolved] = {}
        self._left_out: dict[str, None] = {}

    def result(self) -> Recording | None:
        if self._started is None:
            return None
        self._close(None)
        return Recording(
            started=self._started,
            acts=tuple(self._acts),
            turns=self._turns,
            summaries=tuple(self._summaries),
            answers=self._answers,
            left_out=tuple(self._left_out),
        )

    def feed(self, event: ev.DurableEvent) -> None:
        match event:
            case ev.SessionStarted():
                self._started = self._started or event
            case ev.TurnStarted():
                if not self._may_start:
                    self._acts.append(cmd.Continue())
                self._close(None)
                self._turn, self._may_start = event.turn, False
            case ev.TurnEnded():
                self._close(event)
            case ev.ModelReplied():
                self._replies.append(Said(message=event.message, usage=Usage(), cost=None))
            case ev.UsageRecorded() if event.phase != "summarise" and self._replies:
                last = self._replies[-1]
                self._replies[-1] = msgspec.structs.replace(last, usage=event.usage, cost=event.cost)
            case ev.ApprovalRequested():
                self._asked[event.approval_id] = event.call.id
            case ev.ApprovalResolved() if event.approval_id in self._asked:
                self._answers[self._asked[event.approval_id]] = event
            case ev.ContextCompacted(method="summary" | "window"):
                self._summaries.append(event.summary)
                if self._turn is None:
                    self._act(cmd.Compact())
            case ev.ContextCompacted(method="undo"):
                self._act(cmd.Compact(undo=True))
            case ev.PromptDelivered() if self._turn is None:
                self._may_start = True
            case ev.Rewound():
                self._left_out["Files that were put back by hand stay as the replay makes them."] = None
            case ev.Rebased():
                self._left_out["The task had been moved to another base: it is replayed on its first one."] = None
            case _:
                self._of_the_user(event)

    def _of_the_user(self, event: ev.DurableEvent) -> None:
        match event:
            case ev.PromptReceived():
                delivery = "queue" if event.delivery == "queue" else "steer"
                self._may_start = self._may_start or event.delivery == "now"
                self._act(cmd.Prompt(prompt_id=event.prompt_id, parts=event.parts, delivery=delivery))
            case ev.PromptWithdrawn():
                self._act(cmd.WithdrawPrompt(prompt_id=event.prompt_id))
            case ev.PlanDecided(by="user"):
                self._may_start = True
                self._act(cmd.DecidePlan(approve=event.approved, comment=event.comment))
            case ev.ModeSet():
                self._act(cmd.SetMode(mode=event.mode))
            case ev.ModelSet():
                self._act(cmd.SetModel(model=event.model))
            case ev.LimitsSet():
                self._act(cmd.SetLimits(limits=event.limits))
            case ev.VerificationFinished() if self._turn is None:
                if not (self._acts and isinstance(self._acts[-1], cmd.RunChecks)):
                    self._act(cmd.RunChecks())
            case _:
                pass

    def _act(self, command: cmd.AnyCommand) -> None:
        if self._turn is None:
            self._acts.append(command)
        elif self._replies:
            last = self._replies[-1]
            self._replies[-1] = msgspec.structs.replace(last, then=(*last.then, command))
        else:
            self._left_out["What was said before the first reply of a turn was in is said before the turn."] = None
            self._acts.append(command)

    def _close(self, ended: ev.TurnEnded | None) -> None:
        if self._turn is not None:
            self._turns[self._turn] = RecordedTurn(replies=tuple(self._replies), ended=ended)
        self._turn, self._replies = None, []


class Player:
    """Plays a recording's replies. `turn` tells the number of the turn that runs now, `perform` takes the commands that the
    user gave in its midst, `interrupt` is called where the user had interrupted. `asked` counts the replies given, `notes` says
    what could not be repeated."""

    def __init__(self, recording: Recording, turn: Callable[[], int], perform: Perform, interrupt: Callable[[], None]) -> None:
        self._recording = recording
        self._turn = turn
        self._perform = perform
        self._interrupt = interrupt
        self._next: dict[int, int] = {}
        self._summaries = iter(recording.summaries)
        self._cost: float | None = None
        self.asked = 0
        self.notes: list[str] = []

    def cost(self, usage: Usage) -> float | None:
        """That of the reply which was given last."""
        return self._cost

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        number = self._turn()
        turn = self._recording.turns.get(number, RecordedTurn())
        place = self._next.get(number, 0)
        if place >= len(turn.replies):
            await self._end(number, turn)
        said = turn.replies[place]
        self._next[number] = place + 1
        self._cost = said.cost
        self.asked += 1
        for part in said.message.parts:
            if isinstance(part, Text):
                yield TextDelta(part.text)
            elif isinstance(part, Thinking) and part.text:
                yield ThinkingDelta(part.text)
        for command in said.then:
            await self._perform(command)
        yield ModelReply(message=said.message, usage=said.usage)

    async def summarise(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        text = next(self._summaries, "")
        self._cost = None
        origin = ModelRef(provider="", model=request.model)
        message = AssistantMessage(parts=(Text(text),) if text else (), origin=origin)
        yield ModelReply(message=message, usage=Usage())

    async def _end(self, number: int, turn: RecordedTurn) -> None:
        """The recording has no further reply in this turn: it ends as it did then. Never returns."""
        match turn.ended:
            case None | ev.TurnEnded(outcome="interrupted"):
                self._interrupt()
                await asyncio.Event().wait()
            case ev.TurnEnded(outcome="provider_error", detail=detail):
                raise RequestRejected(detail)
            case ev.TurnEnded(outcome="limit", detail=detail):
                raise LimitReached(detail, limit="time" if "time" in detail else "turns")
        raise RequestRejected(f"The recording has no further reply in turn {number}: the replay has left its path.")

