"""The turn loop: ask the model, run its calls, until it stops asking and nothing stands against stopping.

A function without a session: it knows no storage, no screen, no configuration. What it reads comes from `next_request`,
what it does goes out through `emit`, and whoever may refuse is behind `authorize` and `may_finish`.
"""

from collections.abc import Awaitable, Callable
from contextlib import aclosing

import msgspec

from goose_py.agent.ports import Authorize, Emit, Model, Tools
from goose_py.agent.tool_calls import run_calls
from goose_py.protocol.errors import LimitReached, ModelError
from goose_py.protocol.events import ContextAdded, DurableEvent, ModelReplied, Outcome, Phase
from goose_py.protocol.messages import AssistantMessage, Text, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest

MAX_NUDGES = 2
MAX_INVALID_BATCHES = 3

EMPTY_REPLY = "Your last reply was empty. Go on with the task, or say in words that it is done or what blocks you."
CUT_REPLY = (
    "Your last reply was cut off by the output limit and any tool call in it was not run. "
    "Go on in smaller pieces: shorter text, and large files written in several calls."
)


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
    nudges = invalid = 0
    try:
        while True:
            message = await _ask(ports)
            if calls := message.tool_calls():
                nudges = 0
                all_invalid = await run_calls(calls, ports.tools, ports.authorize, ports.emit, ports.now)
                invalid = invalid + 1 if all_invalid else 0
                if invalid == MAX_INVALID_BATCHES:
                    raise Stuck("The model's tool calls could not be used three times in a row.")
                continue
            correction: DurableEvent | Ending | None = _correction(message)
            if isinstance(correction, Ending):
                return correction
            if correction is not None:
                nudges += 1
                if nudges > MAX_NUDGES:
                    return Ending(outcome="failed", detail="The model gave no usable reply, also after being asked again.")
            else:
                correction = await ports.may_finish(message)
            if correction is None:
                return Ending(outcome="done")
            ports.emit(correction)
    except LimitReached as limit:
        return Ending(outcome="limit", detail=str(limit))
    except Stuck as stuck:
        return Ending(outcome="stuck", detail=str(stuck))
    except ModelError as error:
        return Ending(outcome="provider_error", detail=str(error))


async def _ask(ports: TurnPorts) -> AssistantMessage:
    request = await ports.next_request()
    phase = ports.phase()
    started = ports.now()
    first: float | None = None
    async with aclosing(ports.model.stream(request)) as stream:
        async for item in stream:
            if first is None:
                first = ports.now() - started
            if not isinstance(item, ModelReply):
                ports.emit(item)
                continue
            ports.emit(
                ModelReplied(
                    message=item.message, phase=phase, seconds=round(ports.now() - started, 4), first_seconds=round(first, 4)
                )
            )
            ports.record_usage(item.usage, phase)
            return item.message
    raise AssertionError("a model stream ended without a reply and without an error")


def _correction(message: AssistantMessage) -> ContextAdded | Ending | None:
    """What a reply without tool calls still lacks, if anything."""
    match message.stop_reason:
        case "refusal":
            return Ending(outcome="failed", detail=f"The model refused: {message.text().strip() or 'it gave no reason'}")
        case "content_filter":
            return Ending(outcome="failed", detail="The provider's content filter stopped the reply.")
        case "length":
            return ContextAdded(source="output limit", text=CUT_REPLY)
        case _:
            has_text = any(isinstance(part, Text) and part.text.strip() for part in message.parts)
            return None if has_text else ContextAdded(source="empty reply", text=EMPTY_REPLY)
