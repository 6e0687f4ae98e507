"""Whether a call may run: the plan, the rules, and the person, asked in this order."""

from collections.abc import Callable

from goose_py.agent.ports import Emit
from goose_py.protocol.events import Warned
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.tools import ToolSpec
from goose_py.session.approvals import Approvals
from goose_py.session.ports import SessionPorts
from goose_py.session.state import SessionState


class Authorization:
    """One per turn. `check` is the closure that the loop is handed; `needs_plan` is asked first, so that nobody is asked
    about a call that would not run anyway.

    `changes` counts the calls that may have changed something, `denied` is the first refusal for want of a person."""

    def __init__(
        self,
        state: SessionState,
        ports: SessionPorts,
        approvals: Approvals,
        needs_plan: Callable[[ToolCall, ToolSpec], str | None],
        emit: Emit,
    ) -> None:
        self._state = state
        self._ports = ports
        self._approvals = approvals
        self._needs_plan = needs_plan
        self._emit = emit
        self.changes = 0
        self.denied = ""

    async def check(self, call: ToolCall, spec: ToolSpec) -> str | None:
        refusal = self._needs_plan(call, spec) or await self._judged(call, spec)
        if refusal is None and self._ports.changes(call, spec):
            self.changes += 1
        return refusal

    async def _judged(self, call: ToolCall, spec: ToolSpec) -> str | None:
        judgement = self._ports.judge(call, spec, self._state.mode)
        if judgement.verdict == "allow":
            return None
        if judgement.verdict == "deny":
            return f"Not allowed: {judgement.reason} Find another way, or say why there is none."
        snapshot = await self._ports.workspace.snapshot()
        answer = await self._approvals.ask(call, judgement, snapshot)
        if answer.allow:
            if answer.scope != "once":
                self._ports.keep(answer, judgement, call)
            if judgement.snapshot_first and snapshot is not None:
                self._emit(Warned(text=self._way_back(snapshot)))
            return None
        if not self._ports.attended():
            self.denied = self.denied or f"{call.name} needed an approval and did not get one: {judgement.reason}"
        said = f" {answer.note}" if answer.note else ""
        return f"Denied: {judgement.reason}{said} Do not try the same in another form."

    def _way_back(self, snapshot: str) -> str:
        task = self._state.started.session_id if self._state.started else ""
        return (
            f"The files as they were before are kept: `goose-py task restore {task} --tree {snapshot[:12]}` brings them back."
        )
