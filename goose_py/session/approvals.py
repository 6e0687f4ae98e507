"""Approvals: how a verdict of "ask" waits for a person, and what it becomes when there is none."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from goose_py.agent.ports import Emit
from goose_py.protocol.commands import ResolveApproval
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import ApprovalRequested, ApprovalResolved
from goose_py.protocol.messages import ToolCall


class Judgement(Protocol):
    """What the permission rules say of one call; `permissions.Decision` is one."""

    @property
    def verdict(self) -> Literal["allow", "ask", "deny"]: ...
    @property
    def reason(self) -> str: ...
    @property
    def cause(self) -> str: ...
    @property
    def snapshot_first(self) -> bool: ...
    @property
    def reads_only(self) -> bool: ...
    @property
    def patterns(self) -> Sequence[str]: ...
    @property
    def wider(self) -> Sequence[str]: ...


class Approvals:
    """The open questions of one session. `nobody()` tells that no person can answer: then a question is denied at once.
    `variables` are the names of those of the user's that commands get."""

    def __init__(
        self, emit: Emit, nobody: Callable[[], bool], new_id: Callable[[], str], variables: tuple[str, ...] = ()
    ) -> None:
        self._emit = emit
        self._nobody = nobody
        self._new_id = new_id
        self._variables = variables
        self._waiting: dict[str, asyncio.Future[ResolveApproval]] = {}

    async def ask(self, call: ToolCall, judgement: Judgement, snapshot: str | None) -> ResolveApproval:
        """Waits for the answer, however long it takes; being cancelled withdraws the question as denied."""
        approval_id = self._new_id()
        self._emit(
            ApprovalRequested(
                approval_id=approval_id,
                call=call,
                reason=judgement.reason,
                cause=judgement.cause,
                patterns=tuple(judgement.patterns),
                wider=tuple(judgement.wider),
                snapshot=snapshot,
                variables=self._variables if "command" in call.arguments else (),
            )
        )
        if self._nobody():
            note = "Nobody can answer here, so it was denied."
            self._emit(ApprovalResolved(approval_id=approval_id, allowed=False, by="policy", note=note))
            return ResolveApproval(approval_id=approval_id, allow=False, note=note)
        future = asyncio.get_running_loop().create_future()
        self._waiting[approval_id] = future
        try:
            answer = await future
        except asyncio.CancelledError:
            self._emit(ApprovalResolved(approval_id=approval_id, allowed=False, by="user", note="Interrupted."))
            raise
        finally:
            del self._waiting[approval_id]
        self._emit(
            ApprovalResolved(approval_id=approval_id, allowed=answer.allow, by="user", scope=answer.scope, note=answer.note)
        )
        return answer

    def resolve(self, answer: ResolveApproval) -> None:
        future = self._waiting.get(answer.approval_id)
        if future is None or future.done():
            raise UserError("That question is no longer open.")
        future.set_result(answer)
