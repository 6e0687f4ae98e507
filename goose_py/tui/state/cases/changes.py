"""What a task changed, what was found and decided about it, and where it went."""

from msgspec.structs import replace

from goose_py.protocol.amounts import counted
from goose_py.protocol.events import (
    UNDONE,
    ChangeDecided,
    ChangesApplied,
    ChangesRecorded,
    Rebased,
    RepositoryMoved,
    Rewound,
    StateRecorded,
    VerificationFinished,
)
from goose_py.review.verdicts import Decision
from goose_py.tui.state.cases.items import Cases, append, notice
from goose_py.tui.state.view_state import Changes, CheckItem, ViewState


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
    return notice(state, "changes", f"changed {files}  +{event.added} −{event.removed}", "\n".join(event.warnings))


def _verification_finished(state: ViewState, event: VerificationFinished) -> ViewState:
    item = CheckItem(
        seq=state.seq,
        command=event.command,
        exit_code=event.exit_code,
        tree=event.tree,
        seconds=event.seconds,
        output=event.output,
        outcome=event.came_to,
        reason=event.reason,
        found=event.found,
        blocks=event.stands_in_the_way,
    )
    known = any(check.command == event.command for check in state.checks)
    checks = (
        tuple(item if check.command == event.command else check for check in state.checks) if known else (*state.checks, item)
    )
    return append(replace(state, checks=checks, verified=state.verified.append(event)), item)


def _change_decided(state: ViewState, event: ChangeDecided) -> ViewState:
    return replace(state, decisions=state.decisions.append(Decision(event, state.at, state.seq)))


def _changes_applied(state: ViewState, event: ChangesApplied) -> ViewState:
    files = counted(len(event.files), "file")
    if event.how == UNDONE:
        return notice(replace(state, applied=""), "applied", f"took {files} back from {event.target}", "\n".join(event.files))
    text = f"applied {files} to {event.target} ({event.how})" + (f" as {event.commit[:10]}" if event.commit else "")
    return notice(replace(state, applied=text), "applied", text, "\n".join(event.files))


def _state_recorded(state: ViewState, event: StateRecorded) -> ViewState:
    return state


def _rewound(state: ViewState, event: Rewound) -> ViewState:
    return notice(state, "changes", f"rewound {event.scope} to {event.tree[:10]}", f"undo with {event.undo}")


def _rebased(state: ViewState, event: Rebased) -> ViewState:
    text = f"rebased on {event.branch or event.base[:10]}"
    if event.conflicts:
        text += f" with conflicts in {', '.join(event.conflicts)}"
    return notice(replace(state, base_tree=event.base_tree), "changes", text, f"undo with {event.undo}")


def _repository_moved(state: ViewState, event: RepositoryMoved) -> ViewState:
    return notice(state, "changes", f"the repository is at {event.repository} now")


CASES: Cases = {
    ChangesRecorded: _changes_recorded,
    StateRecorded: _state_recorded,
    VerificationFinished: _verification_finished,
    ChangeDecided: _change_decided,
    ChangesApplied: _changes_applied,
    Rewound: _rewound,
    Rebased: _rebased,
    RepositoryMoved: _repository_moved,
}
