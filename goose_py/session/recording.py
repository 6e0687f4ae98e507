"""The state of a task after each call that may have changed it, recorded while the model thinks."""

import asyncio
from collections.abc import Callable

from goose_py.agent.ports import Emit, Resolved, Tools
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import StateRecorded, Warned
from goose_py.protocol.messages import ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec
from goose_py.session.ports import SessionPorts, State


class Recording:
    """One per session. `after` begins to record, `settled` waits until nothing is being recorded: whoever may write next, ends
    a turn or goes back waits for it, whoever reads or asks a model does not."""

    def __init__(self, ports: SessionPorts, emit: Emit) -> None:
        self._ports = ports
        self._emit = emit
        self._latest: asyncio.Task[None] | None = None
        self._background = False
        self._named: set[str] = set()

    def after(self, call: ToolCall, spec: ToolSpec, result: ToolResult | None) -> None:
        """`result` None: it was cancelled."""
        during = self._background
        self._background = self._background or (result is not None and result.still_running)
        self._latest = asyncio.get_running_loop().create_task(
            self._record(self._latest, call, spec, during), name=f"recording {call.id}"
        )

    async def settled(self) -> None:
        """Cancelled, it leaves the recording alone. Raises what is a bug."""
        if self._latest is not None:
            await asyncio.wait({self._latest})
            self._latest.result()

    async def look(self, call_id: str = "") -> State | None:
        """Records the state as it is now, after `call_id` if that was cut short. Raises GooseError."""
        await self.settled()
        state = await self._ports.workspace.record(None)
        if state is not None:
            self._tell(state, call_id, self._background)
        return state

    async def _record(self, before: "asyncio.Task[None] | None", call: ToolCall, spec: ToolSpec, during: bool) -> None:
        if before is not None:
            await asyncio.wait({before})
        touched = self._ports.touched(call, spec)
        try:
            state = await self._ports.workspace.record(touched)
        except GooseError as error:
            self._emit(Warned(text=f"The changes could not be recorded: {error}"))
            return
        if state is not None:
            self._tell(state, call.id, during and touched is None)

    def _tell(self, state: State, call_id: str, during: bool) -> None:
        self._emit(
            StateRecorded(tree=state.tree, state=state.state, call_id=call_id, left_out=state.left_out, during=during)
        )
        if fresh := [path for path in state.ignored_left_out if path not in self._named]:
            self._named.update(fresh)
            more = f" and {len(fresh) - 8} more" if len(fresh) > 8 else ""
            what = f"{', '.join(fresh[:8])}{more}"
            self._emit(Warned(text=f"Ignored by git, and too much to be recorded, so that no rewind brings it back: {what}."))


class RecordingTools:
    """A wrapper of Tools, the outermost: after a call that may have changed something the state is recorded."""

    def __init__(self, tools: Tools, after: Callable[[ToolCall, ToolSpec, ToolResult | None], None]) -> None:
        self._tools = tools
        self._after = after

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    def resolve(self, call: ToolCall) -> Resolved | str:
        return self._tools.resolve(call)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        meant = self._tools.resolve(call)
        result: ToolResult | None = None
        try:
            result = await self._tools.call(call, on_output)
            return result
        finally:
            wrote = not call.reads_only or (result is not None and result.refused_write)
            if wrote and not isinstance(meant, str) and not meant.spec.read_only:
                self._after(call, meant.spec, result)
