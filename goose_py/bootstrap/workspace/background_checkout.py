"""The files of a new worktree, on their way while the model is asked for the first time.

Writing twenty thousand files takes longer than everything else before a first request, which needs none of them. What works on
files waits for them here, through the ports that a session has anyway.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import ParamSpec, TypeVar

from goose_py.agent.ports import Resolved, Tools
from goose_py.agent.tool_calls import failure
from goose_py.protocol.errors import GooseError
from goose_py.protocol.messages import ToolCall, ToolResult
from goose_py.protocol.tools import ToolSpec

P = ParamSpec("P")
T = TypeVar("T")


class Checkout:
    """`failed` is what kept the files from arriving, None as long as nothing did."""

    def __init__(self, arriving: "asyncio.Task[None]") -> None:
        self._arriving = arriving

    @property
    def failed(self) -> BaseException | None:
        ended = self._arriving.done() and not self._arriving.cancelled()
        return self._arriving.exception() if ended else None

    async def done(self) -> None:
        """Waits for the files. Raises the GooseError that kept them from arriving."""
        await asyncio.wait({self._arriving})
        self._arriving.result()

    def arrived(self, record: Callable[P, Awaitable[T | None]]) -> Callable[P, Awaitable[T | None]]:
        """The same port, of all files; None where they never came."""

        async def waiting(*args: P.args, **named: P.kwargs) -> T | None:
            await asyncio.wait({self._arriving})
            return None if self.failed is not None else await record(*args, **named)

        return waiting

    def tools(self, tools: Tools) -> Tools:
        return _Waiting(tools, self)


class _Waiting:
    """A wrapper of Tools: no call runs before the files are there."""

    def __init__(self, tools: Tools, checkout: Checkout) -> None:
        self._tools = tools
        self._checkout = checkout

    def specs(self) -> tuple[ToolSpec, ...]:
        return self._tools.specs()

    def resolve(self, call: ToolCall) -> Resolved | str:
        return self._tools.resolve(call)

    async def call(self, call: ToolCall, on_output: Callable[[str], None]) -> ToolResult:
        try:
            await self._checkout.done()
        except GooseError as error:
            return failure(call, str(error))
        return await self._tools.call(call, on_output)


@asynccontextmanager
async def checkout(fill: Callable[[], Awaitable[None]]) -> AsyncIterator[Checkout]:
    """Begins `fill`, and cancels the block where it fails: what it failed with is then raised, whatever the block ended with.
    A block that ends well waits for the files; one that fails itself cancels what is still to come."""
    owner, left = asyncio.current_task(), False
    assert owner is not None, "a coroutine runs in a task"
    arriving = asyncio.ensure_future(fill())

    def ended(_: object) -> None:
        if not left and there.failed is not None:
            owner.cancel()

    there = Checkout(arriving)
    arriving.add_done_callback(ended)
    try:
        yield there
        left = True
        await asyncio.wait({arriving})
    except BaseException:
        left = True
        if not arriving.done():
            arriving.cancel()
            await asyncio.wait({arriving})
        if there.failed is None:
            raise
        owner.uncancel()
    if there.failed is not None:
        raise there.failed
