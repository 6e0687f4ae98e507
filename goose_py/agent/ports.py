"""The two ports through which the loop reaches the world, and the closures that it is handed.

Wrappers implement a port around another one (limits, loop guard, plan, conventions): a feature that can be a wrapper is one,
and the loop has no branch for it.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Protocol

from goose_py.protocol.deltas import Delta, ModelDelta
from goose_py.protocol.events import DurableEvent
from goose_py.protocol.messages import ToolCall, ToolResult
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.protocol.tools import ToolSpec


class Model(Protocol):
    def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        """Deltas as they arrive, then exactly one `ModelReply`, which is the last item. Raises `ModelError` where no
        complete reply was received; a consumer closes the iterator (`aclose`) to abandon the request."""
        ...


class Resolved(Protocol):
    """What a call really runs: `call` has the tool's own name and mended arguments, `spec` is the tool, `notes` say what
    was mended. Permission is asked for this."""

    @property
    def call(self) -> ToolCall: ...
    @property
    def spec(self) -> ToolSpec: ...
    @property
    def notes(self) -> tuple[str, ...]: ...


class Tools(Protocol):
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools on offer, sorted by name: they are part of the request's stable prefix."""
        ...

    def resolve(self, call: ToolCall) -> Resolved | str:
        """What `call` would run, or the sentence that tells the model why it cannot run."""
        ...

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        """Run a call that `resolve` gave. A failure of the tool, of its server, or a timeout is a result with `is_error`;
        this never raises but for cancellation, which ends what the tool had started. `on_output` receives what the tool
        prints while it runs, in order; it never blocks."""
        ...


Emit = Callable[[DurableEvent | Delta], None]
"""Durable events are in the log when it returns. Raises GooseError where the log cannot be written."""

Authorize = Callable[[ToolCall, ToolSpec], Awaitable[ToolCall | str]]
"""The call as it may be carried out, or the sentence that the model is given instead of a result."""
