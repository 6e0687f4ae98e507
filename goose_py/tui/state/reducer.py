"""One pure function from what the worker says to what the screen shows.

`CASES` has an entry for every durable event and delta; a test holds it to that. A log that is replayed gives the same state as
the one that was watched, but for a reply that was broken off: nobody wrote that down.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from goose_py.protocol.amounts import counted
from goose_py.protocol.call_summary import exit_code
from goose_py.protocol.deltas import Delta, Notice, TextDelta, ThinkingDelta, ToolCallDelta, ToolOutput
from goose_py.protocol.events import (
    UNDONE,
    ApprovalRequested,
    ApprovalResolved,
    ChangeDecided,
    ChangesApplied,
    ChangesRecorded,
    ContextAdded,
    ContextCompacted,
    ExtensionChanged,
    FinalOutput,
    LimitsSet,
    ModelReplied,
    ModelRetried,
    ModelSet,
    ModeSet,
    PlanDecided,
    PlanProposed,
    PlanStepFinished,
    PlanStepStarted,
    PrefixSet,
    PromptDelivered,
    PromptReceived,
    PromptWithdrawn,
    Rebased,
    Record,
    Rewound,
    SessionStarted,
    TaskEnded,
    TitleSet,
    ToolFinished,
    ToolStarted,
    TurnEnded,
    TurnStarted,
    UsageRecorded,
    VerificationFinished,
    Warned,
)
from goose_py.protocol.messages import Image, Text, Thinking, ToolCall
from goose_py.protocol.plan import Plan
from goose_py.protocol.starting import starting_point
from goose_py.review.verdicts import Decision
from goose_py.tui.state.view_state import (
    OUTPUT_TAIL,
    AnyItem,
    Approval,
    CallDraftItem,
    Changes,
    CheckItem,
    NoticeItem,
    NoticeKind,
    PlanItem,
    Queued,
    Retry,
    TextItem,
    ThinkingItem,
    ToolItem,
    ToolState,
    UserItem,
    ViewState,
)

SILENT_TOOLS = frozenset({"update_plan"})
"""Calls that have events of their own, which say more."""


def reduce(state: ViewState, item: Record | Delta) -> ViewState:
    """The state after `item`. A record that was seen already (`seq` not beyond the state's) changes nothing, so that a
    consumer may attach again from anywhere."""
    if not isinstance(item, Record):
        return CASES[type(item)](state, item)
    if item.seq <= state.seq:
        return state
    return CASES[type(item.event)](replace(state, seq=item.seq, at=item.at), item.event)


# Each case sees the state with `seq` and `at` already those of its record.


def _session_started(state: ViewState, event: SessionStarted) -> ViewState:
    return replace(
        state,
        session_id=event.session_id,
        title=event.title,
        workspace=event.workspace,
        repository=event.copy_of or event.repository,
        branch=event.branch,
        base_branch=event.base_branch,
        starts_from=starting_point(
            event.base_branch, event.base, event.uncommitted, includes_changes=event.includes_changes
        ),
        base_tree=event.base_tree,
        interactive=event.interactive,
        model=event.model,
        mode=event.mode,
        limits=event.limits,
        check_commands=event.checks,
    )


def _prefix_set(state: ViewState, event: PrefixSet) -> ViewState:
    return replace(state, system=event.system, tool_names=tuple(tool.name for tool in event.tools))


def _title_set(state: ViewState, event: TitleSet) -> ViewState:
    return replace(state, title=event.title)


def _mode_set(state: ViewState, event: ModeSet) -> ViewState:
    return _notice(replace(state, mode=event.mode), "info", f"mode: {event.mode}")


def _model_set(state: ViewState, event: ModelSet) -> ViewState:
    return _notice(replace(state, model=event.model), "info", f"model: {event.model}")


def _extension_changed(state: ViewState, event: ExtensionChanged) -> ViewState:
    state = replace(state, extensions={**state.extensions, event.extension: event.state})
    if event.state == "failed":
        return _notice(state, "warning", f"extension {event.extension} failed", event.detail)
    if event.state == "restarted":
        return _notice(state, "info", f"extension {event.extension} was restarted", event.detail)
    return state


FEEDBACK = "review-"
"""How the ids of prompts begin that tell the agent of a review (`tasks.changes.FEEDBACK`)."""


def _prompt_received(state: ViewState, event: PromptReceived) -> ViewState:
    text, images = _prompt_text(event.parts)
    if event.prompt_id.startswith(FEEDBACK):
        state = replace(state, told=len(state.decisions))
    if event.delivery == "now":
        return _append(
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
    return _append(_without_finished_plan(_without_queued(state, event.prompt_id)), item)


def _prompt_withdrawn(state: ViewState, event: PromptWithdrawn) -> ViewState:
    return _without_queued(state, event.prompt_id)


def _context_added(state: ViewState, event: ContextAdded) -> ViewState:
    return _notice(state, "context", f"told the model: {event.source}", event.text)


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
                state = _append(state, TextItem(seq=state.seq, text=part.text, phase=event.phase))
        elif isinstance(part, Thinking):
            if part.text.strip():
                state = _append(state, ThinkingItem(seq=state.seq, text=part.text))
        else:
            state = _open_call(state, part)
    return state


def _model_retried(state: ViewState, event: ModelRetried) -> ViewState:
    retry = Retry(attempt=event.attempt, due=state.at + event.delay, reason=event.reason)
    return _notice(
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


def _plan_proposed(state: ViewState, event: PlanProposed) -> ViewState:
    """The model writes its whole plan again whenever a step moves on: only other steps are news for the conversation."""
    replaced = state.plan is not None
    if state.plan is not None and _titles(state.plan) == _titles(event.plan):
        return replace(state, plan=event.plan)
    item = PlanItem(seq=state.seq, plan=event.plan, replaced=replaced)
    if replaced and state.plan_approved:
        item = replace(item, approved=True, by="policy")
    return _append(replace(state, plan=event.plan, plan_item=len(state.items)), item)


def _titles(plan: Plan) -> list[str]:
    return [step.title for step in plan.steps]


def _plan_decided(state: ViewState, event: PlanDecided) -> ViewState:
    steps = state.plan.steps if state.plan is not None and event.approved else ()
    # In plan mode no step is begun before this.
    begun = next((step.title for step in steps if step.status == "in_progress"), state.step)
    state = replace(state, plan_approved=event.approved, step=begun)
    if state.plan_item is None:
        return state
    item = state.items[state.plan_item]
    assert isinstance(item, PlanItem)
    decided = replace(item, approved=event.approved, by=event.by, comment=event.comment)
    return replace(state, items=state.items.replace(state.plan_item, decided))


def _plan_step_started(state: ViewState, event: PlanStepStarted) -> ViewState:
    if state.mode == "plan":
        return state  # it is being planned, not begun
    state = replace(_with_step(state, event.index, "in_progress"), step=event.title)
    of = f"/{len(state.plan.steps)}" if state.plan is not None else ""
    return _notice(state, "step", f"{event.index + 1}{of}  {event.title}")


def _plan_step_finished(state: ViewState, event: PlanStepFinished) -> ViewState:
    state = replace(_with_step(state, event.index, event.status), step="")
    if event.status == "completed":
        return state
    return _notice(state, "warning", f"step {event.index + 1} failed: {event.title}")


def _approval_requested(state: ViewState, event: ApprovalRequested) -> ViewState:
    approval = Approval(
        approval_id=event.approval_id,
        call=event.call,
        reason=event.reason,
        cause=event.cause,
        patterns=event.patterns,
        asked=state.at,
    )
    return _with_call(replace(state, approvals=(*state.approvals, approval)), event.call, state="asking")


def _approval_resolved(state: ViewState, event: ApprovalResolved) -> ViewState:
    approval = next((asked for asked in state.approvals if asked.approval_id == event.approval_id), None)
    if approval is None:
        return state
    rest = tuple(asked for asked in state.approvals if asked is not approval)
    outcome: ToolState = "pending" if event.allowed else "denied"
    return _with_call(replace(state, approvals=rest), approval.call, state=outcome)


def _tool_started(state: ViewState, event: ToolStarted) -> ViewState:
    return _with_call(state, event.call, state="running", started=state.at)


def _tool_finished(state: ViewState, event: ToolFinished) -> ViewState:
    result = event.result
    index = _index_of(state, result.call_id)
    if index is None:
        return state
    item = state.items[index]
    assert isinstance(item, ToolItem)
    failed: ToolState = "denied" if item.state == "denied" else "failed"
    finished = replace(
        item,
        state=failed if result.is_error or exit_code(result) else "ok",
        output="",
        result=result.text(),
        images=sum(isinstance(part, Image) for part in result.content),
        seconds=event.seconds,
    )
    rest = tuple(entry for entry in state.open_calls if entry[0] != result.call_id)
    return replace(state, items=state.items.replace(index, finished), open_calls=rest)


def _context_compacted(state: ViewState, event: ContextCompacted) -> ViewState:
    if event.method == "undo":
        return _notice(state, "context", "compaction undone: the model sees the whole conversation again")
    text = f"context made smaller ({event.method.replace('_', ' ')})"
    if event.tokens_before:
        text += f": {event.tokens_before:,} → {event.tokens_after:,} tokens"
    return _notice(replace(state, context_tokens=event.tokens_after or state.context_tokens), "context", text, event.summary)


def _changes_recorded(state: ViewState, event: ChangesRecorded) -> ViewState:
    changes = Changes(
        tree_before=event.tree_before,
        tree_after=event.tree_after,
        files=event.files,
        added=event.added,
        removed=event.removed,
        warnings=event.warnings,
    )
    state = replace(state, changes=changes)
    if event.tree_before == event.tree_after:
        return state
    files = counted(event.files, "file")
    return _notice(state, "changes", f"changed {files}  +{event.added} −{event.removed}", "\n".join(event.warnings))


def _verification_finished(state: ViewState, event: VerificationFinished) -> ViewState:
    item = CheckItem(
        seq=state.seq,
        command=event.command,
        exit_code=event.exit_code,
        tree=event.tree,
        seconds=event.seconds,
        output=event.output,
    )
    known = any(check.command == event.command for check in state.checks)
    checks = (
        tuple(item if check.command == event.command else check for check in state.checks) if known else (*state.checks, item)
    )
    return _append(replace(state, checks=checks, verified=state.verified.append(event)), item)


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
    return _notice(state, _OUTCOME_KINDS[event.outcome], _OUTCOMES[event.outcome], event.detail)


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


def _change_decided(state: ViewState, event: ChangeDecided) -> ViewState:
    return replace(state, decisions=state.decisions.append(Decision(event, state.at, state.seq)))


def _changes_applied(state: ViewState, event: ChangesApplied) -> ViewState:
    files = counted(len(event.files), "file")
    if event.how == UNDONE:
        return _notice(replace(state, applied=""), "applied", f"took {files} back from {event.target}", "\n".join(event.files))
    text = f"applied {files} to {event.target} ({event.how})" + (f" as {event.commit[:10]}" if event.commit else "")
    return _notice(replace(state, applied=text), "applied", text, "\n".join(event.files))


def _rewound(state: ViewState, event: Rewound) -> ViewState:
    return _notice(state, "changes", f"rewound {event.scope} to {event.tree[:10]}", f"undo with {event.undo}")


def _rebased(state: ViewState, event: Rebased) -> ViewState:
    text = f"rebased on {event.branch or event.base[:10]}"
    if event.conflicts:
        text += f" with conflicts in {', '.join(event.conflicts)}"
    return _notice(replace(state, base_tree=event.base_tree), "changes", text, f"undo with {event.undo}")


def _warned(state: ViewState, event: Warned) -> ViewState:
    return _notice(replace(state, warnings=(*state.warnings, event.text)), "warning", event.text)


def _told(state: ViewState, delta: Notice) -> ViewState:
    return _notice(state, "error", delta.text)


def _limits_set(state: ViewState, event: LimitsSet) -> ViewState:
    return replace(state, limits=event.limits)


def _final_output(state: ViewState, event: FinalOutput) -> ViewState:
    return _notice(replace(state, final_output=event.value), "outcome", "structured answer recorded", _pretty(event.value))


def _task_ended(state: ViewState, event: TaskEnded) -> ViewState:
    return _notice(replace(state, ended=event.state), "outcome", f"task {event.state}", event.detail)


# Deltas.


def _text_delta(state: ViewState, delta: TextDelta) -> ViewState:
    live = state.live
    if live and isinstance(live[-1], TextItem) and live[-1].open:
        return replace(state, live=(*live[:-1], replace(live[-1], text=live[-1].text + delta.text)))
    return replace(state, live=(*_settled(live), TextItem(text=delta.text, open=True)), retry=None)


def _thinking_delta(state: ViewState, delta: ThinkingDelta) -> ViewState:
    live = state.live
    if live and isinstance(live[-1], ThinkingItem) and live[-1].open:
        return replace(state, live=(*live[:-1], replace(live[-1], text=live[-1].text + delta.text)))
    return replace(state, live=(*_settled(live), ThinkingItem(text=delta.text, open=True)), retry=None)


def _tool_call_delta(state: ViewState, delta: ToolCallDelta) -> ViewState:
    live = state.live
    if live and isinstance(live[-1], CallDraftItem) and live[-1].name == delta.name and delta.size >= live[-1].size:
        return replace(state, live=(*live[:-1], replace(live[-1], size=delta.size)))
    return replace(state, live=(*_settled(live), CallDraftItem(name=delta.name, size=delta.size)), retry=None)


def _tool_output(state: ViewState, delta: ToolOutput) -> ViewState:
    index = _index_of(state, delta.call_id)
    if index is None:
        return state
    item = state.items[index]
    assert isinstance(item, ToolItem)
    tail = (item.output + delta.text)[-OUTPUT_TAIL:]
    return replace(state, items=state.items.replace(index, replace(item, output=tail)))


CASES: dict[type, Callable[[ViewState, Any], ViewState]] = {
    SessionStarted: _session_started,
    PrefixSet: _prefix_set,
    TitleSet: _title_set,
    ModeSet: _mode_set,
    ModelSet: _model_set,
    LimitsSet: _limits_set,
    ExtensionChanged: _extension_changed,
    PromptReceived: _prompt_received,
    PromptDelivered: _prompt_delivered,
    PromptWithdrawn: _prompt_withdrawn,
    ContextAdded: _context_added,
    TurnStarted: _turn_started,
    ModelReplied: _model_replied,
    ModelRetried: _model_retried,
    UsageRecorded: _usage_recorded,
    PlanProposed: _plan_proposed,
    PlanDecided: _plan_decided,
    PlanStepStarted: _plan_step_started,
    PlanStepFinished: _plan_step_finished,
    ApprovalRequested: _approval_requested,
    ApprovalResolved: _approval_resolved,
    ToolStarted: _tool_started,
    ToolFinished: _tool_finished,
    ContextCompacted: _context_compacted,
    ChangesRecorded: _changes_recorded,
    VerificationFinished: _verification_finished,
    TurnEnded: _turn_ended,
    ChangeDecided: _change_decided,
    ChangesApplied: _changes_applied,
    Rewound: _rewound,
    Rebased: _rebased,
    Warned: _warned,
    FinalOutput: _final_output,
    TaskEnded: _task_ended,
    TextDelta: _text_delta,
    ThinkingDelta: _thinking_delta,
    ToolCallDelta: _tool_call_delta,
    ToolOutput: _tool_output,
    Notice: _told,
}


def _append(state: ViewState, item: AnyItem) -> ViewState:
    return replace(state, items=state.items.append(item))


def _notice(state: ViewState, kind: NoticeKind, text: str, detail: str = "") -> ViewState:
    return _append(state, NoticeItem(seq=state.seq, kind=kind, text=text, detail=detail))


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


def _settled(live: tuple[Any, ...]) -> tuple[Any, ...]:
    if live and not isinstance(live[-1], CallDraftItem) and live[-1].open:
        return (*live[:-1], replace(live[-1], open=False))
    return live


def _open_call(state: ViewState, call: ToolCall) -> ViewState:
    if call.name in SILENT_TOOLS:
        return state
    opened = (*state.open_calls, (call.id, len(state.items)))
    return _append(replace(state, open_calls=opened), ToolItem(seq=state.seq, call=call))


def _index_of(state: ViewState, call_id: str) -> int | None:
    return next((index for known, index in state.open_calls if known == call_id), None)


def _with_call(view: ViewState, called: ToolCall, /, **changes: Any) -> ViewState:
    """The state with `changes` made to the call's item. A call that no reply announced (one by a recipe, or by the
    harness) gets its item now."""
    if called.name in SILENT_TOOLS:
        return view
    index = _index_of(view, called.id)
    if index is None:
        index = len(view.items)
        view = _open_call(view, called)
    item = view.items[index]
    assert isinstance(item, ToolItem)
    return replace(view, items=view.items.replace(index, replace(item, call=called, **changes)))


def _with_step(state: ViewState, index: int, status: Any) -> ViewState:
    if state.plan is None or not 0 <= index < len(state.plan.steps):
        return state
    steps = state.plan.steps
    step = replace(steps[index], status=status)
    return replace(state, plan=Plan(steps=(*steps[:index], step, *steps[index + 1 :]), note=state.plan.note))


def _pretty(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=2)
