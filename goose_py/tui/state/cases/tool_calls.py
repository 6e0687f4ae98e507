"""Calls, the approvals they wait for, and what they give."""

from typing import Any

from msgspec.structs import replace

from goose_py.protocol.call_summary import exit_code
from goose_py.protocol.deltas import ToolOutput
from goose_py.protocol.events import ApprovalRequested, ApprovalResolved, ToolFinished, ToolStarted
from goose_py.protocol.messages import Image, ToolCall
from goose_py.tui.state.cases.items import Cases, append
from goose_py.tui.state.view_state import OUTPUT_TAIL, Approval, ToolItem, ToolState, ViewState

SILENT_TOOLS = frozenset({"update_plan"})
"""Calls that have events of their own, which say more."""


def _approval_requested(state: ViewState, event: ApprovalRequested) -> ViewState:
    approval = Approval(
        approval_id=event.approval_id,
        call=event.call,
        reason=event.reason,
        cause=event.cause,
        patterns=event.patterns,
        variables=event.variables,
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


def _tool_output(state: ViewState, delta: ToolOutput) -> ViewState:
    index = _index_of(state, delta.call_id)
    if index is None:
        return state
    item = state.items[index]
    assert isinstance(item, ToolItem)
    tail = (item.output + delta.text)[-OUTPUT_TAIL:]
    return replace(state, items=state.items.replace(index, replace(item, output=tail)))


CASES: Cases = {
    ApprovalRequested: _approval_requested,
    ApprovalResolved: _approval_resolved,
    ToolStarted: _tool_started,
    ToolFinished: _tool_finished,
    ToolOutput: _tool_output,
}


def open_call(state: ViewState, call: ToolCall) -> ViewState:
    if call.name in SILENT_TOOLS:
        return state
    opened = (*state.open_calls, (call.id, len(state.items)))
    return append(replace(state, open_calls=opened), ToolItem(seq=state.seq, call=call))


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
        view = open_call(view, called)
    item = view.items[index]
    assert isinstance(item, ToolItem)
    return replace(view, items=view.items.replace(index, replace(item, call=called, **changes)))
