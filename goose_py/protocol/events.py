"""Durable events: what a session's log is made of. Everything a user or a model ever sees of a session is a fold of these.

An event is past tense, frozen, and complete: it never refers to anything that is not in the log, in a blob beside the log,
or in a git tree that the task's private repository keeps. New fields get defaults, so that older logs still load; a field
is never renamed or given another meaning.
"""

from typing import Any, Literal

import msgspec

from goose_py.protocol.messages import AssistantMessage, Image, ModelRef, Text, ToolCall, ToolResult, Usage
from goose_py.protocol.modes import Mode
from goose_py.protocol.plan import Plan
from goose_py.protocol.tools import ToolSpec

Outcome = Literal["done", "failed", "interrupted", "limit", "provider_error", "denied", "stuck", "awaiting_plan"]
"""How a turn ended. `done`: the model stopped and nothing stood against it. `denied`: it needed an approval that nobody
could give. `stuck`: the loop guard ended it. `awaiting_plan`: a plan waits for a decision."""

DELIVERED = "pull request"
"""`ChangesApplied.how` of a result that went to a branch of its own for others to review."""

Phase = Literal["plan", "execute", "verify", "summarise"]
Verdict = Literal["keep", "drop", "undecided"]


class Event(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of all durable events."""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a turn may spend. None means no limit. Seconds, US dollars, tokens of any kind, model requests."""

    max_turns: int | None = None
    max_seconds: float | None = None
    max_cost: float | None = None
    max_tokens: int | None = None


class SessionStarted(Event, frozen=True, kw_only=True, tag="session_started"):
    """The first event of every log. `workspace` is the folder the tools are bound to, by the path that the model is told, and
    `folder` the one in it that relative paths and commands begin in ("" for itself). `worktree` is where it lies on this
    machine, "" in older logs: at that path; `shared` are the folders of the user's that are seen in it, `variables` the names
    of those of the user's environment that commands get. Where the session works in a worktree, `repository` is the checkout it
    was made from, `base` the commit and `base_tree` the tree it started as, in which `uncommitted` files of the user's differ
    from the commit. `program` is the version that wrote it. `interactive`: somebody can answer questions. `copy_of` is the
    folder of the user's where `repository` is a copy of ours, made because that folder is none. `found_checks` are those of
    `checks` that nobody asked for, with the files that gave them away."""

    session_id: str
    title: str = ""
    workspace: str
    repository: str | None = None
    branch: str | None = None
    base: str | None = None
    base_tree: str | None = None
    base_branch: str | None = None
    includes_changes: bool = False
    uncommitted: int = 0
    model: ModelRef
    mode: Mode = "ask"
    interactive: bool = True
    limits: Limits = Limits()
    checks: tuple[str, ...] = ()
    program: str = ""
    recipe: dict[str, Any] | None = None
    copy_of: str = ""
    variables: tuple[str, ...] = ()
    worktree: str = ""
    folder: str = ""
    shared: tuple[str, ...] = ()
    found_checks: dict[str, str] = {}


class PrefixSet(Event, frozen=True, kw_only=True, tag="prefix_set"):
    """The system prompt and tools that every following request begins with. Logged, so that a resumed session sends the
    same bytes again, and that a replay needs nothing else."""

    system: str
    tools: tuple[ToolSpec, ...] = ()


class TitleSet(Event, frozen=True, kw_only=True, tag="title_set"):
    title: str


class ModeSet(Event, frozen=True, kw_only=True, tag="mode_set"):
    mode: Mode


class ModelSet(Event, frozen=True, kw_only=True, tag="model_set"):
    model: ModelRef


class LimitsSet(Event, frozen=True, kw_only=True, tag="limits_set"):
    """From here on these limits hold, for all that the session has spent and will spend."""

    limits: Limits


class ExtensionChanged(Event, frozen=True, kw_only=True, tag="extension_changed"):
    """An MCP server came, went or could not be started. `detail` says why, with the tail of its stderr."""

    extension: str
    state: Literal["ready", "failed", "restarted", "closed"]
    detail: str = ""
    tools: int = 0


class PromptReceived(Event, frozen=True, kw_only=True, tag="prompt_received"):
    """What the user said. With `delivery` "now" it starts a turn or is part of the running one from here on; "steer" waits
    for the next safe boundary and "queue" for the end of the turn: both count from their `PromptDelivered`."""

    prompt_id: str
    parts: tuple[Text | Image, ...]
    delivery: Literal["now", "steer", "queue"] = "now"


class PromptDelivered(Event, frozen=True, kw_only=True, tag="prompt_delivered"):
    prompt_id: str


class PromptWithdrawn(Event, frozen=True, kw_only=True, tag="prompt_withdrawn"):
    prompt_id: str


class ContextAdded(Event, frozen=True, kw_only=True, tag="context_added"):
    """Text that the harness, not the user, put before the model: the environment, nested conventions, the result of a
    check, a nudge. `source` names the mechanism; the model sees it as a user message marked as the harness's."""

    source: str
    text: str


class TurnStarted(Event, frozen=True, kw_only=True, tag="turn_started"):
    turn: int


class ModelReplied(Event, frozen=True, kw_only=True, tag="model_replied"):
    """One completely received reply. `seconds` from request to end; `first_seconds` to the first byte of content."""

    message: AssistantMessage
    phase: Phase = "execute"
    seconds: float = 0.0
    first_seconds: float | None = None


class ModelRetried(Event, frozen=True, kw_only=True, tag="model_retried"):
    """A request failed and is sent again after `delay` seconds."""

    attempt: int
    delay: float
    reason: str


class UsageRecorded(Event, frozen=True, kw_only=True, tag="usage_recorded"):
    """`cost` in US dollars; None where no price is known."""

    model: ModelRef
    usage: Usage
    cost: float | None = None
    phase: Phase = "execute"


class PlanProposed(Event, frozen=True, kw_only=True, tag="plan_proposed"):
    """The plan as it stands now: the first one, or one that replaces it (re-planning keeps the steps already done)."""

    plan: Plan


class PlanDecided(Event, frozen=True, kw_only=True, tag="plan_decided"):
    """`by` is "user" or "policy" (modes that do not wait for an approval)."""

    approved: bool
    by: str
    comment: str = ""


class PlanStepStarted(Event, frozen=True, kw_only=True, tag="plan_step_started"):
    index: int
    title: str


class PlanStepFinished(Event, frozen=True, kw_only=True, tag="plan_step_finished"):
    index: int
    title: str
    status: Literal["completed", "failed"]


class ApprovalRequested(Event, frozen=True, kw_only=True, tag="approval_requested"):
    """A call waits for a person. `call` is the frozen object that will run if it is allowed; `reason` and `cause` are the
    policy's; `patterns` are the grants that "always" would keep, editable, and `wider` those that would cover more, where there
    are such. `snapshot` is the tree taken before. `variables` are the names of the user's that the call would get."""

    approval_id: str
    call: ToolCall
    reason: str
    cause: str = ""
    patterns: tuple[str, ...] = ()
    wider: tuple[str, ...] = ()
    snapshot: str | None = None
    variables: tuple[str, ...] = ()


class ApprovalResolved(Event, frozen=True, kw_only=True, tag="approval_resolved"):
    """`by`: "user", "policy" (nobody could answer) or "grant". `scope` is how long an allowance lasts."""

    approval_id: str
    allowed: bool
    by: str
    scope: Literal["once", "task", "project", "always"] = "once"
    note: str = ""


class ToolStarted(Event, frozen=True, kw_only=True, tag="tool_started"):
    """Written before anything can happen: a start without an end is "interrupted, outcome unknown"."""

    call: ToolCall


class ToolFinished(Event, frozen=True, kw_only=True, tag="tool_finished"):
    """The one answer to a call, also where it was refused or never started."""

    result: ToolResult
    seconds: float = 0.0


class ContextCompacted(Event, frozen=True, kw_only=True, tag="context_compacted"):
    """From here on the model sees less. Nothing is removed: what it sees is a view of the whole log (`agent.history`).

    `summary` and `window`: it sees `summary` in place of all that stands before the record `keep_from`, but for what the view
    keeps verbatim; a summary was written by a model, a window without one. `clear_results`: tool results before `keep_from`,
    and those of the calls named in `results` wherever they stand, are cut to `result_limit` characters. `undo` takes back the
    last one that is still in force. Tokens are estimates."""

    summary: str
    keep_from: int
    method: Literal["clear_results", "summary", "window", "undo"]
    tokens_before: int = 0
    tokens_after: int = 0
    results: tuple[str, ...] = ()
    result_limit: int = 0


class ChangesRecorded(Event, frozen=True, kw_only=True, tag="changes_recorded"):
    """The workspace's tree at the start and the end of a turn. Trees are git object ids in the task's private repository.
    `unresolved` are files of a rebase that still hold conflict markers in `tree_after`."""

    tree_before: str
    tree_after: str
    files: int = 0
    added: int = 0
    removed: int = 0
    warnings: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()


class StateRecorded(Event, frozen=True, kw_only=True, tag="state_recorded"):
    """What the workspace was after the call `call_id`, and before the next one that may have written; "": no call, the files
    were looked at when a turn began or ended. `state` is a git object in the task's private repository that holds the tree of
    the files, which is `tree`, the ignored files and the refs of the task's own git directory. `left_out` are paths that it
    does not hold. `during`: something else was running in the background, so that the call need not have been what made the
    change."""

    tree: str
    state: str
    call_id: str = ""
    left_out: tuple[str, ...] = ()
    during: bool = False


CheckOutcome = Literal["passed", "failed", "failed before", "timed out", "cannot run"]
"""`failed before`: as it did on the files that the work began with. `cannot run`: what it needs is not there, whatever the
files are."""


class VerificationFinished(Event, frozen=True, kw_only=True, tag="verification_finished"):
    """A check that we ran, not the model. `exit_code` None: it did not end (timeout, could not start). `outcome` None: the exit
    code says it; `reason` says why in sentences, and what would change it. `found`: nobody asked for it, it was found in the
    project."""

    command: str
    exit_code: int | None
    tree: str | None
    seconds: float = 0.0
    output: str = ""
    log: str | None = None
    outcome: CheckOutcome | None = None
    reason: str = ""
    found: bool = False

    @property
    def came_to(self) -> CheckOutcome:
        return self.outcome or ("passed" if self.exit_code == 0 else "failed")

    @property
    def stands_in_the_way(self) -> bool:
        """Whether the work is not done with this. Of what nobody asked for only a failure is that was none before."""
        return self.came_to == "failed" or (not self.found and self.came_to != "passed")


class TurnEnded(Event, frozen=True, kw_only=True, tag="turn_ended"):
    """`seconds`: how long it took, by a clock that nobody sets. None where a process died before it could say."""

    outcome: Outcome
    detail: str = ""
    seconds: float | None = None


class ChangeDecided(Event, frozen=True, kw_only=True, tag="change_decided"):
    """A person's word on a part of the changeset. `hunk` None: the whole file. `lines`: only those lines of the hunk.
    `content` is the hash of exactly what was judged, so that a mark dies with the content that it was made on. `withdraws` is
    the record of an earlier one whose comment no longer stands; the comment of this one, if any, takes its place."""

    path: str
    hunk: str | None = None
    lines: tuple[int, ...] = ()
    verdict: Verdict
    comment: str = ""
    edit: str | None = None
    content: str = ""
    by: str = "user"
    withdraws: int = 0


UNDONE = "undone"


class ChangesApplied(Event, frozen=True, kw_only=True, tag="changes_applied"):
    """`tree` is the approved tree, bound to `base_tree` and `result_tree`; `how` is the way it was merged, `target` the
    branch or folder that received it, `commit` what was made there, if anything, `branch` the task's own that it was delivered
    on. `by_hand` are shell commands that are left to the user to send it on. `before` and `after` are trees with the very bytes
    that `files` had on disk and were given. With `how` UNDONE the files of `target` are `tree`
    again, which they were before the last one was applied."""

    base_tree: str
    result_tree: str
    tree: str
    how: str
    target: str
    commit: str | None = None
    branch: str = ""
    files: tuple[str, ...] = ()
    by_hand: tuple[str, ...] = ()
    before: str = ""
    after: str = ""


class Rewound(Event, frozen=True, kw_only=True, tag="rewound"):
    """The workspace was put back to `tree`; `undo` is what it was before. With a scope beyond files, messages made by records
    after `to_seq` are forgotten. `undoes` is the record of an earlier one that this one takes back. `state` and `undo_state`
    are the whole of both (see `StateRecorded`), "" where only files went back."""

    tree: str
    undo: str
    scope: Literal["files", "conversation", "both"] = "files"
    to_seq: int | None = None
    undoes: int | None = None
    state: str = ""
    undo_state: str = ""


class Rebased(Event, frozen=True, kw_only=True, tag="rebased"):
    """The task stands on another base from here on: `base` is the commit, `base_tree` its tree, `tree` the files of the
    workspace afterwards, and `undo` what they were before. `conflicts` are the files that carry conflict markers."""

    base: str
    base_tree: str
    tree: str
    undo: str
    branch: str | None = None
    conflicts: tuple[str, ...] = ()


class RepositoryMoved(Event, frozen=True, kw_only=True, tag="repository_moved"):
    """What `SessionStarted` calls by these names stands there now: the user has moved it since, or their home folder."""

    repository: str
    worktree: str = ""
    copy_of: str = ""


class Warned(Event, frozen=True, kw_only=True, tag="warned"):
    """Something a person should know that ends nothing. `about` a delivery: it failed, and is still to be done."""

    text: str
    about: Literal["", "delivery"] = ""


class FinalOutput(Event, frozen=True, kw_only=True, tag="final_output"):
    """The structured answer of a recipe with a response schema, valid against it."""

    value: Any


class TaskEnded(Event, frozen=True, kw_only=True, tag="task_ended"):
    """The last word on a task. `state` is one of merged, rejected, failed, cancelled."""

    state: Literal["merged", "rejected", "failed", "cancelled"]
    detail: str = ""


DurableEvent = (
    SessionStarted
    | PrefixSet
    | TitleSet
    | ModeSet
    | ModelSet
    | LimitsSet
    | ExtensionChanged
    | PromptReceived
    | PromptDelivered
    | PromptWithdrawn
    | ContextAdded
    | TurnStarted
    | ModelReplied
    | ModelRetried
    | UsageRecorded
    | PlanProposed
    | PlanDecided
    | PlanStepStarted
    | PlanStepFinished
    | ApprovalRequested
    | ApprovalResolved
    | ToolStarted
    | ToolFinished
    | ContextCompacted
    | ChangesRecorded
    | StateRecorded
    | VerificationFinished
    | TurnEnded
    | ChangeDecided
    | ChangesApplied
    | Rewound
    | Rebased
    | RepositoryMoved
    | Warned
    | FinalOutput
    | TaskEnded
)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a log: `seq` counts from 1 without a gap, `at` is Unix time in seconds."""

    seq: int
    at: float
    event: DurableEvent
