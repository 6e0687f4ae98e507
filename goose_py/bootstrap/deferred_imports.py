"""Slow imports that the first request does not need wait until it is on its way.

Python runs one thread at a time: half a second of imports beside the preparation of the first request makes it late by as much,
while the time until the first word of an answer is there for the taking.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import TypeVar

import msgspec

from goose_py.agent.ports import Model
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.events import Phase
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.session.ports import Answering, OnRetry
from goose_py.toolbox.imports import imported

T = TypeVar("T")
AnsweringPort = Callable[[ModelRef, Phase, OnRetry], Awaitable[Answering]]

ON_ITS_WAY = 0.1
"""Seconds after which a request that was begun has left this process, however busy the machine is."""


class Later:
    """`load` runs a slow import in a thread, once `now` was called or a model has been asked through `asked`; `alone` runs one
    at once. Never two side by side."""

    def __init__(self) -> None:
        self._begun = asyncio.Event()

    def now(self) -> None:
        self._begun.set()

    async def load(self, work: Callable[[], T]) -> T:
        await self._begun.wait()
        return await self.alone(work)

    async def alone(self, work: Callable[[], T]) -> T:
        return await asyncio.to_thread(imported, work)

    def asked(self, answering: AnsweringPort) -> AnsweringPort:
        """The same port; the first request of its models is what everybody waits for."""

        async def watched(ref: ModelRef, phase: Phase, on_retry: OnRetry) -> Answering:
            found = await answering(ref, phase, on_retry)
            if self._begun.is_set():
                return found
            return msgspec.structs.replace(found, model=_Watched(found.model, self._soon, self.now))

        return watched

    def _soon(self) -> None:
        asyncio.get_running_loop().call_later(ON_ITS_WAY, self.now)


class _Watched:
    def __init__(self, model: Model, asked: Callable[[], None], answered: Callable[[], None]) -> None:
        self._model = model
        self._asked = asked
        self._answered = answered

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        self._asked()
        async with aclosing(self._model.stream(request)) as items:  # type: ignore[type-var]
            async for item in items:
                self._answered()
                yield item
