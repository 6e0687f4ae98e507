"""Trying again: one budget for a request, and one gate for all requests to a provider.

`Retrying` wraps the Model port. It repeats what may work later and nothing else, waits as long as it is told, and never
changes the model. A reply that broke off in the middle begins anew: `on_retry` says so, and its consumer drops what it has
shown of the partial one.

`Gate` is shared by everything in a process that asks the same provider; through its file, by processes too. When one request
is told to slow down, all of them wait, and fewer run at once (additive increase, multiplicative decrease).
"""

import asyncio
import random as _random
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path

import msgspec

from goose_py.files import locked, recall, remember
from goose_py.protocol.deltas import ModelDelta
from goose_py.protocol.errors import ModelError, RateLimited
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers.model_port import OpenModel

OnRetry = Callable[[int, float, str], None]
"""attempt, delay in seconds, reason. `attempt` counts failed tries from 1; 0 where nothing failed here but the gate is
closed because another task was told to slow down. Called before the wait begins."""

Sleep = Callable[[float], Awaitable[None]]


LONGEST_SHARED = 700.0
"""Seconds. What another process wrote down counts up to this: a little more than any `Retry-After` that is waited for."""
CLOCKS_APART = 2.0
"""Seconds by which the clock may be corrected without anybody having set it."""


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """`attempts`: tries in all, the first included. `budget`: seconds that may be spent waiting for one reply. Without word
    from the server the n-th wait is `first` * 2^(n-1), at most `longest`, shortened at random by up to half. With
    `Retry-After` it is what was said, lengthened at random by up to a tenth; more than `longest_told` is not waited for."""

    attempts: int = 8
    budget: float = 900.0
    first: float = 1.0
    longest: float = 60.0
    longest_told: float = 600.0


_POLICY = RetryPolicy()


class Retrying:
    """A wrapper of the Model port. `sleep` and `random` (0 to 1) are handed in; a wait is cancelled with its task."""

    def __init__(
        self,
        inner: OpenModel,
        *,
        on_retry: OnRetry,
        gate: "Gate | None" = None,
        policy: RetryPolicy = _POLICY,
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self._inner = inner
        self._on_retry = on_retry
        self._gate = gate
        self._policy = policy
        self._sleep = sleep
        self._random = random

    async def close(self) -> None:
        await self._inner.close()

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        waited, attempt = 0.0, 0
        while True:
            try:
                async with aclosing(self._attempt(request)) as items:  # type: ignore[type-var]
                    async for item in items:
                        yield item
                return
            except ModelError as error:
                attempt += 1
                delay = self._delay(error, attempt)
                if given_up := self._given_up(error, attempt, delay, waited):
                    error.args = (f"{error} {given_up}".strip(),)
                    raise
                if self._gate and isinstance(error, RateLimited):
                    self._gate.slow_down(delay)
                self._on_retry(attempt, delay, str(error))
            waited += delay
            await self._sleep(delay)

    async def _attempt(self, request: ModelRequest) -> AsyncIterator[ModelDelta | ModelReply]:
        if self._gate is None:
            async with aclosing(self._inner.stream(request)) as items:  # type: ignore[type-var]
                async for item in items:
                    yield item
            return
        async with self._gate.slot(self._on_retry), aclosing(self._inner.stream(request)) as items:  # type: ignore[type-var]
            async for item in items:
                yield item
        self._gate.succeeded()

    def _delay(self, error: ModelError, attempt: int) -> float:
        if error.retry_after is not None:
            return error.retry_after * (1 + 0.1 * self._random())
        base = min(self._policy.longest, self._policy.first * 2 ** (attempt - 1))
        return base * (1 - 0.5 * self._random())

    def _given_up(self, error: ModelError, attempt: int, delay: float, waited: float) -> str:
        """Why there is no further try, for the end of the message; "" where there is one."""
        policy = self._policy
        if not error.transient:
            return " "
        if attempt >= policy.attempts:
            return f"(Given up after {attempt} tries.)"
        if error.retry_after is not None and error.retry_after > policy.longest_told:
            return f"(It asks to wait {error.retry_after:,.0f} s; at most {policy.longest_told:,.0f} s are waited for.)"
        if waited + delay > policy.budget:
            return f"(Given up after {attempt} tries: the next wait would exceed the {policy.budget:,.0f} s for one reply.)"
        return ""


class _Shared(msgspec.Struct, kw_only=True):
    """Unix times. `written_at` later than now means that the clock was set since, and the other one says nothing."""

    closed_until: float = 0.0
    written_at: float = 0.0


class Gate:
    """How many requests to one provider may run at once, and until when none may begin.

    `limit` is halved when a request is told to slow down (once for all that were running then) and grows by one with
    each `limit` successes, up to `largest`. `now` is a clock that nobody sets. `shared` is a small file through which the
    closing time reaches other processes, by the clock `epoch`: where it cannot be read or written, or says what no gate of ours
    would (somebody set the clock), each process is on its own."""

    def __init__(
        self,
        *,
        now: Callable[[], float],
        sleep: Sleep = asyncio.sleep,
        random: Callable[[], float] = _random.random,
        limit: float = 8.0,
        largest: float = 64.0,
        shared: Path | None = None,
        epoch: Callable[[], float] | None = None,
    ) -> None:
        self._now = now
        self._epoch = epoch or now
        self._sleep = sleep
        self._random = random
        self._limit = limit
        self._largest = largest
        self._file = shared
        self._closed_until = 0.0
        self._running = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    @property
    def limit(self) -> int:
        return int(self._limit)

    @property
    def closed_for(self) -> float:
        """Seconds until a request may begin; 0 where it may now."""
        return max(0.0, self._closed_until - self._now(), self._closed_elsewhere())

    @asynccontextmanager
    async def slot(self, on_wait: OnRetry | None = None) -> AsyncIterator[None]:
        """Held while a request runs. Those that waited for the gate to open do not start in one moment: each waits up to
        a tenth, and at least a quarter of a second, longer at random."""
        await self._take()
        try:
            while wait := self.closed_for:
                wait += max(0.25, 0.1 * wait) * self._random()
                if on_wait:
                    on_wait(0, wait, "Another task was asked to slow down; all tasks of this provider wait.")
                await self._sleep(wait)
            yield
        finally:
            self._running -= 1
            self._wake()

    def slow_down(self, seconds: float) -> None:
        """A request was told to. Those that were running at the same time and are told so too do not halve the limit
        again: the gate is closed then."""
        if self._closed_until <= self._now():
            self._limit = max(1.0, self._limit / 2)
        self._closed_until = max(self._closed_until, self._now() + seconds)
        self._write()

    def succeeded(self) -> None:
        self._limit = min(self._largest, self._limit + 1 / self._limit)
        self._wake()

    async def _take(self) -> None:
        if self._running >= self.limit or self._waiting:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn.done() and not turn.cancelled():
                    self._running -= 1  # the place was given just now; the next one has it
                    self._wake()
                else:
                    with suppress(ValueError):
                        self._waiting.remove(turn)
                raise
        else:
            self._running += 1

    def _wake(self) -> None:
        while self._waiting and self._running < self.limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    def _closed_elsewhere(self) -> float:
        """Seconds for which another process was told to wait, as far as they can be believed."""
        found = (self._file and recall(self._file, _Shared)) or _Shared()
        now = self._epoch()
        left = found.closed_until - now
        return left if found.written_at <= now + CLOCKS_APART and 0 < left <= LONGEST_SHARED else 0.0

    def _write(self) -> None:
        """The latest closing time wins."""
        if self._file is None:
            return
        with suppress(OSError), locked(self._file):
            left, now = max(self._closed_until - self._now(), self._closed_elsewhere()), self._epoch()
            remember(self._file, _Shared(closed_until=now + left, written_at=now))
