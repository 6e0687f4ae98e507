"""What a session is handed by the composition root: everything that reaches outside it."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from goose_py.agent.ports import Model, Tools
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.messages import ModelRef, ToolCall, Usage
from goose_py.protocol.modes import Mode
from goose_py.protocol.resolving import Resolving
from goose_py.protocol.tools import ToolSpec
from goose_py.session.approvals import Judgement


class Answering(msgspec.Struct, frozen=True, kw_only=True):
    """Who answers a request, and what has to be known of the model to ask it. `context_window` is in tokens, None where it is
    not known; `cost` is None where no price is."""

    ref: ModelRef
    model: Model
    images: bool = True
    context_window: int | None = None
    max_output_tokens: int | None = None
    temperature: float | None = None
    cost: Callable[[Usage], float | None] = lambda usage: None


class State(Protocol):
    """What was recorded of a workspace: see `StateRecorded`. `ignored_left_out` are those of `left_out` that git ignores."""

    @property
    def state(self) -> str: ...
    @property
    def tree(self) -> str: ...
    @property
    def left_out(self) -> tuple[str, ...]: ...
    @property
    def ignored_left_out(self) -> tuple[str, ...]: ...


class Workspace(msgspec.Struct, frozen=True, kw_only=True):
    """The workspace as far as a session sees it. All of it works on git trees; none touches the user's repository.

    `snapshot` records the files as they are and returns the tree, None where nothing can be recorded; `record` records all that
    can be brought back, looking only at those places that can have changed where they are known. `changes` compares two
    trees; `diff` is their difference as text, cut to a number of characters. `unresolved` tells which files of a rebase still
    hold conflict markers in a tree. `verify` runs one check command on the present files, whose tree is given."""

    snapshot: Callable[[], Awaitable[str | None]]
    record: Callable[[Sequence[Path] | None], Awaitable[State | None]]
    changes: Callable[[str, str], Awaitable[ev.ChangesRecorded]]
    diff: Callable[[str, str, int], Awaitable[str]]
    unresolved: Callable[[Sequence[Resolving], str], Awaitable[tuple[str, ...]]]
    verify: Callable[[str, str | None], Awaitable[ev.VerificationFinished]]


OnRetry = Callable[[int, float, str], None]
"""(attempt, delay in seconds, reason)"""


class SessionPorts(msgspec.Struct, frozen=True, kw_only=True):
    """`answering` chooses the model for a phase, given the session's own choice. `tools` is wrapped anew for each turn by
    `around_tools`, outermost last. `judge` is the permission rules with everything bound but the call, the mode, whether the
    call was seen to write, and whether all that it could destroy was recorded; `keep` stores the grant that an answer asked
    for; `changes` tells whether a call would change anything at all, `touched` which places at most, None for any. `attended`
    is true where a person can answer. `planning`: nothing is changed before there is a plan. `warn` are the amounts at which a
    person is told what was spent. `check_unchanged`: the checks are part of what was asked for and run also where nothing was
    changed. `response_schema`: no turn is done before a final output that fits it was handed over. `redact` takes secrets out
    of a text before it is logged. `variables` are the names of those of the user's that commands get; `network`: those that may
    write reach it. `now` is Unix time, `monotonic` seconds from anywhere."""

    tools: Tools
    workspace: Workspace
    answering: Callable[[ModelRef, ev.Phase, OnRetry], Awaitable[Answering]]
    judge: Callable[[ToolCall, ToolSpec, Mode, bool, bool], Judgement]
    keep: Callable[[cmd.ResolveApproval, Judgement, ToolCall], None]
    changes: Callable[[ToolCall, ToolSpec], bool]
    attended: Callable[[], bool]
    now: Callable[[], float]
    monotonic: Callable[[], float]
    new_id: Callable[[], str]
    touched: Callable[[ToolCall, ToolSpec], Sequence[Path] | None] = lambda call, spec: None
    around_tools: tuple[Callable[[Tools, Callable[[ev.DurableEvent], None]], Tools], ...] = ()
    warn: ev.Limits = ev.Limits()
    redact: Callable[[str], str] | None = None
    variables: tuple[str, ...] = ()
    network: bool = False
    response_schema: dict[str, Any] | None = None
    checklist: bool = True
    check_unchanged: bool = False
    planning: bool = True
    plan_needs_approval: bool = False
