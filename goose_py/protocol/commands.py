"""Commands: the only way in. A consumer sends one over the task's socket; the session answers with events."""

from typing import Literal

import msgspec

from goose_py.protocol.events import Limits, Verdict
from goose_py.protocol.messages import Image, ModelRef, Text
from goose_py.protocol.modes import Mode


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all commands."""


class Prompt(Command, frozen=True, kw_only=True, tag="prompt"):
    """Say something. While a turn runs, `delivery` "steer" goes in at the next safe boundary, "queue" after the turn;
    when none runs, either starts one. `prompt_id` is the sender's, so that its echo can be recognised."""

    prompt_id: str
    parts: tuple[Text | Image, ...]
    delivery: Literal["steer", "queue"] = "steer"


class WithdrawPrompt(Command, frozen=True, kw_only=True, tag="withdraw_prompt"):
    """Take back a prompt that has not been delivered yet."""

    prompt_id: str


class Continue(Command, frozen=True, kw_only=True, tag="continue"):
    """Go on from where the log ends, without a new message."""


class Interrupt(Command, frozen=True, kw_only=True, tag="interrupt"):
    """Stop the running turn: its tools are killed, every call gets a result, the session stays usable."""


class ResolveApproval(Command, frozen=True, kw_only=True, tag="resolve_approval"):
    """`pattern` replaces the offered grant pattern where the user edited it."""

    approval_id: str
    allow: bool
    scope: Literal["once", "task", "project", "always"] = "once"
    pattern: str | None = None
    note: str = ""


class DecidePlan(Command, frozen=True, kw_only=True, tag="decide_plan"):
    approve: bool
    comment: str = ""


class SetMode(Command, frozen=True, kw_only=True, tag="set_mode"):
    mode: Mode


class SetModel(Command, frozen=True, kw_only=True, tag="set_model"):
    model: ModelRef


class SetLimits(Command, frozen=True, kw_only=True, tag="set_limits"):
    """Replace the limits, so that work which a limit ended can go on."""

    limits: Limits


class SetTitle(Command, frozen=True, kw_only=True, tag="set_title"):
    title: str


class DecideChange(Command, frozen=True, kw_only=True, tag="decide_change"):
    """See `events.ChangeDecided`."""

    path: str
    hunk: str | None = None
    lines: tuple[int, ...] = ()
    verdict: Verdict
    comment: str = ""
    edit: str | None = None
    content: str = ""
    withdraws: int = 0


class DecideChanges(Command, frozen=True, kw_only=True, tag="decide_changes"):
    """Several at once: all of them are taken, or none."""

    decisions: tuple[DecideChange, ...]


class ApplyChanges(Command, frozen=True, kw_only=True, tag="apply_changes"):
    """Apply what was kept. `base_tree` and `result_tree` are those the user looked at: it is refused when they are no
    longer the task's. `all`: keep everything that is undecided. "squash" and "commits" rebase it on the tip of `into` (the
    branch that the task began at, by default), run the task's checks on the result, and fast-forward the branch; `message` is
    the commit's, the task's title by default. Unless `verify`, no checks run and conflict markers are applied as well."""

    base_tree: str
    result_tree: str
    how: Literal["worktree", "squash", "commits"] = "worktree"
    all: bool = False
    into: str = ""
    message: str = ""
    verify: bool = True
    with_changes: bool = False


class UndoApply(Command, frozen=True, kw_only=True, tag="undo_apply"):
    """Put the user's files back to what they were before the last ApplyChanges with `how` "worktree". Refused, with nothing
    changed, where one of them is no longer as it was left."""


class Rebase(Command, frozen=True, kw_only=True, tag="rebase"):
    """Bring the task onto the tip of `into` (the branch that it began at, by default). Files that conflict get conflict
    markers, and resolving them becomes the task's next prompt."""

    into: str = ""


class SendFeedback(Command, frozen=True, kw_only=True, tag="send_feedback"):
    """Say to the agent what was rejected, edited or commented since it was told last, as one prompt: now where nothing
    runs, else at the next safe boundary. `note` comes first."""

    note: str = ""


class RunChecks(Command, frozen=True, kw_only=True, tag="run_checks"):
    """Run the task's check commands on the tree as it is now."""


class Rewind(Command, frozen=True, kw_only=True, tag="rewind"):
    """Put the workspace back to a recorded tree or, with ignored files and refs, to the recorded `state` that it is part of,
    and with `scope` the conversation to what it was after record `to_seq`. `undo`: take the last one back instead, whatever its
    scope."""

    tree: str = ""
    state: str = ""
    undo: bool = False
    scope: Literal["files", "conversation", "both"] = "files"
    to_seq: int | None = None


class Compact(Command, frozen=True, kw_only=True, tag="compact"):
    """Make room in the model's window now; `undo` takes the last compaction back."""

    undo: bool = False


class Reject(Command, frozen=True, kw_only=True, tag="reject"):
    """Close the task without applying it. Nothing is deleted."""

    reason: str = ""


class Deliver(Command, frozen=True, kw_only=True, tag="deliver"):
    """Put what the task made on a branch of its own and, with `push`, send it on as a draft pull request. `remote` and `into`
    as in the task's `Delivery`, whose values stand where they are empty. `with_changes` as for ApplyChanges."""

    push: bool = False
    remote: str = ""
    into: str = ""
    with_changes: bool = False


class Shutdown(Command, frozen=True, kw_only=True, tag="shutdown"):
    """End the worker after the running turn was interrupted. The task stays and can be resumed."""


AnyCommand = (
    Prompt
    | WithdrawPrompt
    | Continue
    | Interrupt
    | ResolveApproval
    | DecidePlan
    | SetMode
    | SetModel
    | SetLimits
    | SetTitle
    | DecideChange
    | DecideChanges
    | ApplyChanges
    | UndoApply
    | Rebase
    | SendFeedback
    | RunChecks
    | Rewind
    | Compact
    | Reject
    | Deliver
    | Shutdown
)
