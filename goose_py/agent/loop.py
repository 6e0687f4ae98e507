"""The turn loop: ask the model, run its calls, until it stops asking and nothing stands against stopping.

A function without a session: it knows no storage, no screen, no configuration. What it reads comes from `next_request`,
what it does goes out through `emit`, and whoever may refuse is behind `authorize` and `may_finish`.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import msgspec

from goose_py.agent.ports import Authorize, Emit, Model, Tools
from goose_py.agent.tool_calls import Batch
from goose_py.protocol.errors import LimitReached, ModelError, StreamInterrupted
from goose_py.protocol.events import ContextAdded, DurableEvent, ModelReplied, Outcome, Phase
from goose_py.protocol.messages import AssistantMessage, Text, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest

MAX_NUDGES = 2
MAX_INVALID_BATCHES = 3

EMPTY_REPLY = "Your last reply was empty. Go on with the task, or say in words that it is done or what blocks you."
CUT_REPLY = (
    "Your last reply was cut off by the output limit. Go on where it stopped, in smaller pieces: shorter text, and large "
    "files written in several calls."
)
CUT_CALLS = (
    "Not run: the reply was cut off by the output limit, so this call may be incomplete. Send it again in a shorter reply; "
    "write a large file in several calls."
)

_GAVE_UP = {
    False: "The model gave no usable reply, also after being asked again.",
    True: "The model's replies were cut off by its output limit again and again.",
}


class Stuck(Exception):
    """The same thing happens again and again: `str(error)` says what."""


class Ending(msgspec.Struct, frozen=True, kw_only=True):
    """Why the turn ended; `detail` is a sentence for the user, empty where the last message says it all."""

    outcome: Outcome
    detail: str = ""


class TurnPorts(msgspec.Struct, frozen=True, kw_only=True):
    """All that a turn needs from its session.

    `next_request` folds the log into the next request (and delivers what waits for a safe boundary). `phase` names what the
    next reply is for. `may_finish` gets the reply with which the model wants to stop and returns None, or the event that puts
    before the model what is still to be done. `record_usage` books one reply. `now` is a monotonic clock in seconds."""

    next_request: Callable[[], Awaitable[ModelRequest]]
    model: Model
    tools: Tools
    authorize: Authorize
    emit: Emit
    may_finish: Callable[[AssistantMessage], Awaitable[DurableEvent | None]]
    record_usage: Callable[[Usage, Phase], None]
    phase: Callable[[], Phase]
    now: Callable[[], float]


async def run_turn(ports: TurnPorts) -> Ending:
    """Runs until the model stops, a limit is reached, or a request fails for good. Cancelling it settles every open call
    before `CancelledError` passes on."""
    try:
        return await _steps(ports)
    except LimitReached as limit:
        return Ending(outcome="limit", detail=str(limit))
    except Stuck as stuck:
        return Ending(outcome="stuck", detail=str(stuck))
    except ModelError as error:
        return Ending(outcome="provider_error", detail=str(error))


async def _steps(ports: TurnPorts) -> Ending:
    nudges = invalid = 0
    while True:
        message = await _ask(ports)
        batch = Batch(message.tool_calls(), ports.emit, ports.now)
        if (refused := _refused(message)) is not None:
            batch.refuse("Not run: the reply was stopped.")
            return refused
        if (note := _correction(message)) is not None:
            batch.refuse(CUT_CALLS)
            nudges += 1
            if nudges > MAX_NUDGES:
                return Ending(outcome="failed", detail=_GAVE_UP[message.stop_reason == "length"])
            ports.emit(note)
        elif message.tool_calls():
            nudges = 0
            invalid = 0 if await batch.run(ports.tools, ports.authorize) else invalid + 1
            if invalid == MAX_INVALID_BATCHES:
                raise Stuck("The model's tool calls could not be used three times in a row.")
        elif message.stop_reason != "pause":
            unfinished = await ports.may_finish(message)
            if unfinished is None:
                return Ending(outcome="done")
            ports.emit(unfinished)


async def _ask(ports: TurnPorts) -> AssistantMessage:
    request = await ports.next_request()
    phase = ports.phase()
    began = ports.now()
    first: float | None = None
    message: AssistantMessage | None = None
    async with aclosing(ports.model.stream(request)) as stream:
        async for item in stream:
            if first is None:
                first = ports.now() - began
            if not isinstance(item, ModelReply):
                ports.emit(item)
                continue
            message = item.message
            seconds = ports.now() - began
            ports.emit(ModelReplied(message=message, phase=phase, seconds=round(seconds, 4), first_seconds=round(first, 4)))
            ports.record_usage(item.usage, phase)
    if message is None:
        raise StreamInterrupted("The model's answer ended without a reply.")
    return message


def _refused(message: AssistantMessage) -> Ending | None:
    match message.stop_reason:
        case "refusal":
            said = message.text().strip() or "it gave no reason."
            return Ending(outcome="failed", detail=f"The model refused: {said}")
        case "content_filter":
            return Ending(outcome="failed", detail="The provider's content filter stopped the reply.")
        case _:
            return None


def _correction(message: AssistantMessage) -> ContextAdded | None:
    """What is wrong with a reply that cannot be taken as it stands, if anything."""
    if message.stop_reason == "length":
        return ContextAdded(source="output limit", text=CUT_REPLY)
    if message.tool_calls() or any(isinstance(part, Text) and part.text.strip() for part in message.parts):
        return None
    return ContextAdded(source="empty reply", text=EMPTY_REPLY)
