"""Whether a call may run: the plan, the rules, and the person, asked in this order."""

from collections.abc import Callable

import msgspec

from goose_py.agent.ports import Emit
from goose_py.protocol.events import Warned
from goose_py.protocol.messages import ToolCall
from goose_py.protocol.tools import ToolSpec
from goose_py.session.approvals import Approvals, Judgement
from goose_py.session.ports import SessionPorts
from goose_py.session.state import SessionState


class Authorization:
    """One per turn. `check` is the closure that the loop is handed; `needs_plan` is asked first, so that nobody is asked
    about a call that would not run anyway. What it returns says how the call is carried out: one that was judged to change
    nothing, where nothing can be changed.

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
        self._wanted_to_write: list[ToolCall] = []

    async def check(self, call: ToolCall, spec: ToolSpec) -> ToolCall | str:
        allowed = self._needs_plan(call, spec) or await self._judged(call, spec)
        if isinstance(allowed, ToolCall) and self._ports.changes(call, spec):
            self.changes += 1
        return allowed

    async def check_again(self, call: ToolCall, spec: ToolSpec) -> ToolCall | str:
        """For a call that was taken for one that changes nothing, and wanted to: it is judged as one that writes, now and
        whenever it comes again in this turn. With the network it would get, it is not repeated unless somebody says so."""
        self._wanted_to_write.append(call)
        if self._ports.network and self._judgement(call, spec).verdict == "allow":
            return "It wanted to change something and was stopped. Send it again if that is meant."
        return await self._judged(call, spec)

    def _judgement(self, call: ToolCall, spec: ToolSpec) -> Judgement:
        writes = any((call.name, call.arguments) == (one.name, one.arguments) for one in self._wanted_to_write)
        recorded = self._state.recorded
        whole = recorded is not None and not recorded.left_out
        return self._ports.judge(call, spec, self._state.mode, writes, whole)

    async def _judged(self, call: ToolCall, spec: ToolSpec) -> ToolCall | str:
        judgement = self._judgement(call, spec)
        if judgement.verdict == "deny":
            return f"Not allowed: {judgement.reason} Find another way, or say why there is none."
        allowed = msgspec.structs.replace(call, reads_only=judgement.reads_only)
        if judgement.verdict == "allow":
            return allowed
        snapshot = await self._ports.workspace.snapshot()
        answer = await self._approvals.ask(call, judgement, snapshot)
        if answer.allow:
            if answer.scope != "once":
                self._ports.keep(answer, judgement, call)
            if judgement.snapshot_first and snapshot is not None:
                self._emit(Warned(text=self._way_back(snapshot)))
            return allowed
        if not self._ports.attended():
            self.denied = self.denied or f"{call.name} needed an approval and did not get one: {judgement.reason}"
        said = f" {answer.note}" if answer.note else ""
        return f"Denied: {judgement.reason}{said} Do not try the same in another form."

    def _way_back(self, snapshot: str) -> str:
        task = self._state.started.session_id if self._state.started else ""
        return (
            f"The files as they were before are kept: `goose-py task restore {task} --tree {snapshot[:12]}` brings them back."
        )
