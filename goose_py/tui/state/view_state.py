"""What the screen knows of a task: frozen values, made by `reducer.reduce` alone.

Texts are kept as they came. Whoever draws them makes them safe first; the state stays byte for byte what the log says.
"""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from goose_py.protocol.events import CheckOutcome, Limits, Outcome, Phase, VerificationFinished
from goose_py.protocol.messages import ModelRef, ToolCall, Usage
from goose_py.protocol.modes import Mode
from goose_py.protocol.plan import Plan
from goose_py.review.verdicts import Decision
from goose_py.tui.state.persistent_vector import Vector

OUTPUT_TAIL = 16_384
"""Characters of a running tool's output that are kept for the screen; the log of the command has them all."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One block of the conversation. `seq` is the record that made it, 0 where none has yet."""

    seq: int = 0


class UserItem(Item, frozen=True, kw_only=True):
    prompt_id: str
    text: str
    images: int = 0
    steered: bool = False


class TextItem(Item, frozen=True, kw_only=True):
    """What the model says. `open`: more may come. `cut`: the reply was broken off and is no part of the conversation."""

    text: str
    phase: Phase = "execute"
    open: bool = False
    cut: bool = False


class ThinkingItem(Item, frozen=True, kw_only=True):
    text: str
    open: bool = False
    cut: bool = False


class CallDraftItem(Item, frozen=True, kw_only=True):
    """A call that the model is still writing."""

    name: str
    size: int = 0


ToolState = Literal["pending", "asking", "running", "ok", "failed", "denied", "unknown", "skipped"]
"""`pending`: asked for, not begun. `unknown`: begun and never answered, so nobody can say what it did. `skipped`: the
turn ended before it was begun."""


class ToolItem(Item, frozen=True, kw_only=True):
    """`output` is the tail of what a running call has printed, `result` its answer once it has one. `started` is Unix time."""

    call: ToolCall
    state: ToolState = "pending"
    output: str = ""
    result: str | None = None
    images: int = 0
    started: float | None = None
    seconds: float = 0.0


class PlanItem(Item, frozen=True, kw_only=True):
    plan: Plan
    replaced: bool = False
    approved: bool | None = None
    by: str = ""
    comment: str = ""


class CheckItem(Item, frozen=True, kw_only=True):
    """Evidence: a command that we ran. `tree` names what it ran on. `blocks`: the work is not done with this outcome."""

    command: str
    exit_code: int | None
    tree: str | None = None
    seconds: float = 0.0
    output: str = ""
    outcome: CheckOutcome = "passed"
    reason: str = ""
    found: bool = False
    blocks: bool = False

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


NoticeKind = Literal["info", "step", "warning", "error", "changes", "applied", "outcome", "context"]
"""`context`: what the harness told the model; shown only where everything is."""


class NoticeItem(Item, frozen=True, kw_only=True):
    """One line by the program, with `detail` behind it where there is more to say."""

    kind: NoticeKind
    text: str
    detail: str = ""


AnyItem = UserItem | TextItem | ThinkingItem | CallDraftItem | ToolItem | PlanItem | CheckItem | NoticeItem


class Queued(msgspec.Struct, frozen=True, kw_only=True):
    prompt_id: str
    text: str
    images: int = 0
    delivery: Literal["steer", "queue"]


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    approval_id: str
    call: ToolCall
    reason: str
    cause: str = ""
    patterns: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    asked: float = 0.0


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """`due` is Unix time: a countdown is `due - now`."""

    attempt: int
    due: float
    reason: str


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """The last turn's trees and figures; what the whole task changed is the changeset's to say."""

    tree_before: str
    tree_after: str
    files: int = 0
    added: int = 0
    removed: int = 0
    warnings: tuple[str, ...] = ()


class ViewState(msgspec.Struct, frozen=True, kw_only=True):
    """Everything on the screen that comes from the task. `seq` and `at` are the last record's.

    `workspace` is where it lies on this machine, `folder` the one in it that commands begin in ("" for itself). `items` are
    settled; `live` is what the model is writing now and stands after them."""

    seq: int = 0
    at: float = 0.0
    session_id: str = ""
    title: str = ""
    workspace: str = ""
    folder: str = ""
    repository: str | None = None
    branch: str | None = None
    base_branch: str | None = None
    starts_from: str = ""
    shared: tuple[str, ...] = ()
    base_tree: str | None = None
    interactive: bool = True
    model: ModelRef | None = None
    mode: Mode = "ask"
    limits: Limits = Limits()
    check_commands: tuple[str, ...] = ()
    system: str = ""
    tool_names: tuple[str, ...] = ()
    extensions: Mapping[str, str] = {}

    items: Vector[AnyItem] = Vector()
    live: tuple[TextItem | ThinkingItem | CallDraftItem, ...] = ()
    open_calls: tuple[tuple[str, int], ...] = ()
    """(call id, index in `items`) of the calls that have no result yet."""

    turn: int = 0
    running: bool = False
    turn_started: float = 0.0
    turn_tokens: int = 0
    outcome: Outcome | None = None
    outcome_detail: str = ""
    retry: Retry | None = None
    step: str = ""

    plan: Plan | None = None
    plan_item: int | None = None
    plan_approved: bool = False
    approvals: tuple[Approval, ...] = ()
    queued: tuple[Queued, ...] = ()

    usage: Usage = Usage()
    context_tokens: int = 0
    cost: float = 0.0
    unpriced: bool = False
    """Some request had no known price: `cost` is a lower bound."""

    changes: Changes | None = None
    checks: tuple[CheckItem, ...] = ()
    """The last run of each command, in the order in which the commands first ran."""
    decisions: Vector[Decision] = Vector()
    """Every word on the changes, in order: `review.verdicts.fold` says what they come to for the content at hand."""
    told: int = 0
    """How many of the decisions the agent has been told of."""
    verified: Vector[VerificationFinished] = Vector()
    """Every run of a check, in order: `review.evidence` says what they prove about the content at hand."""
    warnings: tuple[str, ...] = ()
    applied: str = ""
    ended: str = ""
    final_output: Any = None

    @property
    def plan_waits(self) -> bool:
        """A plan was made that nobody approved, and the turn that made it is over."""
        return self.plan is not None and not self.plan_approved and self.outcome == "awaiting_plan"
