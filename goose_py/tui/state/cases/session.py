"""What a task is, and what is said of it as a whole."""

from typing import Any

from msgspec.structs import replace

from goose_py.protocol.deltas import Notice
from goose_py.protocol.events import (
    ContextAdded,
    ContextCompacted,
    ExtensionChanged,
    FinalOutput,
    LimitsSet,
    ModelSet,
    ModeSet,
    PrefixSet,
    SessionStarted,
    TaskEnded,
    TitleSet,
    Warned,
)
from goose_py.protocol.starting import starting_point
from goose_py.tui.state.cases.items import Cases, notice
from goose_py.tui.state.view_state import ViewState


def _session_started(state: ViewState, event: SessionStarted) -> ViewState:
    state = replace(
        state,
        session_id=event.session_id,
        title=event.title,
        workspace=event.worktree or event.workspace,
        folder=event.folder,
        repository=event.copy_of or event.repository,
        branch=event.branch,
        base_branch=event.base_branch,
        starts_from=starting_point(
            event.base_branch, event.base, event.uncommitted, includes_changes=event.includes_changes
        ),
        shared=event.shared,
        base_tree=event.base_tree,
        interactive=event.interactive,
        model=event.model,
        mode=event.mode,
        limits=event.limits,
        check_commands=event.checks,
    )
    return notice(state, "info", f"commands get of your variables: {', '.join(event.variables)}") if event.variables else state


def _prefix_set(state: ViewState, event: PrefixSet) -> ViewState:
    return replace(state, system=event.system, tool_names=tuple(tool.name for tool in event.tools))


def _title_set(state: ViewState, event: TitleSet) -> ViewState:
    return replace(state, title=event.title)


def _mode_set(state: ViewState, event: ModeSet) -> ViewState:
    return notice(replace(state, mode=event.mode), "info", f"mode: {event.mode}")


def _model_set(state: ViewState, event: ModelSet) -> ViewState:
    return notice(replace(state, model=event.model), "info", f"model: {event.model}")


def _limits_set(state: ViewState, event: LimitsSet) -> ViewState:
    return replace(state, limits=event.limits)


def _extension_changed(state: ViewState, event: ExtensionChanged) -> ViewState:
    state = replace(state, extensions={**state.extensions, event.extension: event.state})
    if event.state == "failed":
        return notice(state, "warning", f"extension {event.extension} failed", event.detail)
    if event.state == "restarted":
        return notice(state, "info", f"extension {event.extension} was restarted", event.detail)
    return state


def _context_added(state: ViewState, event: ContextAdded) -> ViewState:
    return notice(state, "context", f"told the model: {event.source}", event.text)


def _context_compacted(state: ViewState, event: ContextCompacted) -> ViewState:
    if event.method == "undo":
        return notice(state, "context", "compaction undone: the model sees the whole conversation again")
    text = f"context made smaller ({event.method.replace('_', ' ')})"
    if event.tokens_before:
        text += f": {event.tokens_before:,} → {event.tokens_after:,} tokens"
    return notice(replace(state, context_tokens=event.tokens_after or state.context_tokens), "context", text, event.summary)


def _warned(state: ViewState, event: Warned) -> ViewState:
    return notice(replace(state, warnings=(*state.warnings, event.text)), "warning", event.text)


def _final_output(state: ViewState, event: FinalOutput) -> ViewState:
    return notice(replace(state, final_output=event.value), "outcome", "structured answer recorded", _pretty(event.value))


def _task_ended(state: ViewState, event: TaskEnded) -> ViewState:
    return notice(replace(state, ended=event.state), "outcome", f"task {event.state}", event.detail)


def _told(state: ViewState, delta: Notice) -> ViewState:
    return notice(state, "error", delta.text)


CASES: Cases = {
    SessionStarted: _session_started,
    PrefixSet: _prefix_set,
    TitleSet: _title_set,
    ModeSet: _mode_set,
    ModelSet: _model_set,
    LimitsSet: _limits_set,
    ExtensionChanged: _extension_changed,
    ContextAdded: _context_added,
    ContextCompacted: _context_compacted,
    Warned: _warned,
    FinalOutput: _final_output,
    TaskEnded: _task_ended,
    Notice: _told,
}


def _pretty(value: Any) -> str:
    import json

    return json.dumps(value, ensure_ascii=False, indent=2)
