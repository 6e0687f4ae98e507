"""Prompts, the turns that they begin, and what the model says in them."""

from typing import Any

from msgspec.structs import replace

from goose_py.protocol.deltas import TextDelta, ThinkingDelta, ToolCallDelta
from goose_py.protocol.events import (
    ModelReplied,
    ModelRetried,
    PromptDelivered,
    PromptReceived,
    PromptWithdrawn,
    TurnEnded,
    TurnStarted,
    UsageRecorded,
)
from goose_py.protocol.messages import Image, Text, Thinking
from goose_py.tui.state.cases.items import Cases, append, notice
from goose_py.tui.state.cases.tool_calls import open_call
from goose_py.tui.state.view_state import (
    CallDraftItem,
    NoticeKind,
    Queued,
    Retry,
    TextItem,
    ThinkingItem,
    ToolItem,
    ToolState,
    UserItem,
    ViewState,
)

FEEDBACK = "review-"
"""How the ids of prompts begin that tell the agent of a review (`tasks.changes.FEEDBACK`)."""


def _prompt_received(state: ViewState, event: PromptReceived) -> ViewState:
    text, images = _prompt_text(event.parts)
    if event.prompt_id.startswith(FEEDBACK):
        state = replace(state, told=len(state.decisions))
    if event.delivery == "now":
        return append(
            _without_finished_plan(state), UserItem(seq=state.seq, prompt_id=event.prompt_id, text=text, images=images)
        )
    queued = Queued(prompt_id=event.prompt_id, text=text, images=images, delivery=event.delivery)
    return replace(state, queued=(*state.queued, queued))


def _prompt_delivered(state: ViewState, event: PromptDelivered) -> ViewState:
    queued = next((prompt for prompt in state.queued if prompt.prompt_id == event.prompt_id), None)
    if queued is None:
        return state
    item = UserItem(
        seq=state.seq,
        prompt_id=queued.prompt_id,
        text=queued.text,
        images=queued.images,
        steered=queued.delivery == "steer" and state.running,
    )
    return append(_without_finished_plan(_without_queued(state, event.prompt_id)), item)


def _prompt_withdrawn(state: ViewState, event: PromptWithdrawn) -> ViewState:
    return _without_queued(state, event.prompt_id)


def _turn_started(state: ViewState, event: TurnStarted) -> ViewState:
    return replace(
        state,
        turn=event.turn,
        running=True,
        turn_started=state.at,
        turn_tokens=0,
        outcome=None,
        outcome_detail="",
        retry=None,
        live=(),
    )


def _model_replied(state: ViewState, event: ModelReplied) -> ViewState:
    state = replace(state, live=(), retry=None)
    for part in event.message.parts:
        if isinstance(part, Text):
            if part.text.strip():
                state = append(state, TextItem(seq=state.seq, text=part.text, phase=event.phase))
        elif isinstance(part, Thinking):
            if part.text.strip():
                state = append(state, ThinkingItem(seq=state.seq, text=part.text))
        else:
            state = open_call(state, part)
    return state


def _model_retried(state: ViewState, event: ModelRetried) -> ViewState:
    retry = Retry(attempt=event.attempt, due=state.at + event.delay, reason=event.reason)
    return notice(
        replace(state, live=(), retry=retry),
        "warning",
        f"request failed, attempt {event.attempt} follows",
        event.reason,
    )


def _usage_recorded(state: ViewState, event: UsageRecorded) -> ViewState:
    return replace(
        state,
        usage=state.usage + event.usage,
        context_tokens=event.usage.context_tokens,
        turn_tokens=state.turn_tokens + event.usage.output_tokens,
        cost=state.cost + (event.cost or 0.0),
        unpriced=state.unpriced or event.cost is None,
    )


def _turn_ended(state: ViewState, event: TurnEnded) -> ViewState:
    for _, index in state.open_calls:
        item = state.items[index]
        assert isinstance(item, ToolItem)
        closed: ToolState = "unknown" if item.state == "running" else "denied" if item.state == "denied" else "skipped"
        state = replace(state, items=state.items.replace(index, replace(item, state=closed, result=item.output or None)))
    state = replace(
        state,
        running=False,
        open_calls=(),
        approvals=(),
        retry=None,
        step="",
        outcome=event.outcome,
        outcome_detail=event.detail,
        live=tuple(replace(item, open=False, cut=True) for item in state.live if not isinstance(item, CallDraftItem)),
    )
    if event.outcome in ("done", "awaiting_plan"):
        return state
    return notice(state, _OUTCOME_KINDS[event.outcome], _OUTCOMES[event.outcome], event.detail)


def cut_off(state: ViewState) -> ViewState:
    """The same where the worker has ended: a turn that was under way is not going on."""
    if not state.running:
        return state
    return _turn_ended(state, TurnEnded(outcome="interrupted", detail="Its process ended; your next message goes on."))


_OUTCOMES = {
    "failed": "the agent failed",
    "interrupted": "interrupted",
    "limit": "a limit was reached",
    "provider_error": "the model could not be reached",
    "denied": "stopped: an approval was needed that nobody could give",
    "stuck": "stopped: the same call gave the same result again and again",
}
_OUTCOME_KINDS: dict[str, NoticeKind] = {"interrupted": "outcome", "limit": "warning"} | dict.fromkeys(
    ("failed", "provider_error", "denied", "stuck"), "error"
)


def _text_delta(state: ViewState, delta: TextDelta) -> ViewState:
    return _streamed(state, TextItem(text=delta.text, open=True))


def _thinking_delta(state: ViewState, delta: ThinkingDelta) -> ViewState:
    return _streamed(state, ThinkingItem(text=delta.text, open=True))


def _tool_call_delta(state: ViewState, delta: ToolCallDelta) -> ViewState:
    live = state.live
    if live and isinstance(live[-1], CallDraftItem) and live[-1].name == delta.name and delta.size >= live[-1].size:
        return replace(state, live=(*live[:-1], replace(live[-1], size=delta.size)))
    return replace(state, live=(*_settled(live), CallDraftItem(name=delta.name, size=delta.size)), retry=None)


CASES: Cases = {
    PromptReceived: _prompt_received,
    PromptDelivered: _prompt_delivered,
    PromptWithdrawn: _prompt_withdrawn,
    TurnStarted: _turn_started,
    ModelReplied: _model_replied,
    ModelRetried: _model_retried,
    UsageRecorded: _usage_recorded,
    TurnEnded: _turn_ended,
    TextDelta: _text_delta,
    ThinkingDelta: _thinking_delta,
    ToolCallDelta: _tool_call_delta,
}


def _prompt_text(parts: tuple[Text | Image, ...]) -> tuple[str, int]:
    """(all text, number of images)"""
    text = "\n".join(part.text for part in parts if isinstance(part, Text))
    return text, sum(isinstance(part, Image) for part in parts)


def _without_queued(state: ViewState, prompt_id: str) -> ViewState:
    return replace(state, queued=tuple(prompt for prompt in state.queued if prompt.prompt_id != prompt_id))


def _without_finished_plan(state: ViewState) -> ViewState:
    """A plan that was carried out ends with the next prompt (as in `agent.planner.PlanState`)."""
    if state.plan is None or not state.plan.finished:
        return state
    return replace(state, plan=None, plan_item=None, plan_approved=False)


def _streamed(state: ViewState, more: TextItem | ThinkingItem) -> ViewState:
    live = state.live
    if live and type(live[-1]) is type(more) and live[-1].open:
        return replace(state, live=(*live[:-1], replace(live[-1], text=live[-1].text + more.text)))
    return replace(state, live=(*_settled(live), more), retry=None)


def _settled(live: tuple[Any, ...]) -> tuple[Any, ...]:
    if live and not isinstance(live[-1], CallDraftItem) and live[-1].open:
        return (*live[:-1], replace(live[-1], open=False))
    return live
