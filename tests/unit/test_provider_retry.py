"""The gate that all requests to one provider go through."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from goose_py.protocol.errors import RateLimited
from goose_py.protocol.messages import AssistantMessage, ModelRef, Text, Usage
from goose_py.protocol.model_io import ModelReply, ModelRequest
from goose_py.providers import resolve
from goose_py.providers.retry import Gate, Retrying


class Time:
    """A clock that moves only when somebody sleeps on it: the earliest sleeper first, once nothing else can run."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._sleepers.append((self.now + seconds, len(self._sleepers), future))
        await future

    async def run(self, *tasks: asyncio.Task) -> None:
        while not all(task.done() for task in tasks):
            for _ in range(50):
                await asyncio.sleep(0)
            waiting = sorted(entry for entry in self._sleepers if not entry[2].done())
            if waiting:
                self.now = max(self.now, waiting[0][0])
                waiting[0][2].set_result(None)
        await asyncio.gather(*tasks)


class Provider:
    """Answers at most `allowed` requests a window of ten seconds, and 429 with Retry-After beyond."""

    profile = resolve(ModelRef(provider="openai", model="gpt-5.5"))

    def __init__(self, time: Time, allowed: int) -> None:
        self._time = time
        self._allowed = allowed
        self._window = 0.0
        self._count = 0
        self.arrivals: list[float] = []
        self.refused: list[float] = []
        self.answered = 0
        self.running = 0
        self.most = 0

    async def stream(self, request: ModelRequest) -> AsyncIterator[ModelReply]:
        self.arrivals.append(self._time.now)
        if self._time.now - self._window >= 10:
            self._window, self._count = self._time.now, 0
        self._count += 1
        if self._count > self._allowed:
            self.refused.append(self._time.now)
            wait = self._window + 10 - self._time.now
            raise RateLimited("HTTP 429: slow down", provider="openai", status=429, retry_after=wait)
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self._time.sleep(1)
        finally:
            self.running -= 1
        self.answered += 1
        message = AssistantMessage(parts=(Text("ok"),), origin=ModelRef(provider="openai", model=request.model))
        yield ModelReply(message=message, usage=Usage(input_tokens=1))

    async def close(self) -> None: ...


async def asked(model: Retrying) -> str:
    async for item in model.stream(ModelRequest(model="gpt-5.5", system="", messages=())):
        if isinstance(item, ModelReply):
            return item.message.origin.model
    raise AssertionError("no reply")


def rising() -> Callable[[], float]:
    """Numbers from 0 to 1 that differ from each other."""
    count = 0

    def draw() -> float:
        nonlocal count
        count += 1
        return (count * 0.37) % 1

    return draw


async def test_one_429_slows_all_tasks_of_the_provider_and_none_fails_or_changes_its_model() -> None:
    time = Time()
    provider = Provider(time, allowed=5)
    gate = Gate(now=time, sleep=time.sleep, random=rising(), limit=8)
    told: list[tuple[int, float, str]] = []
    models = [
        Retrying(provider, gate=gate, sleep=time.sleep, random=rising(), on_retry=lambda *what: told.append(what))
        for _ in range(20)
    ]
    tasks = [asyncio.create_task(asked(model)) for model in models]
    await time.run(*tasks)
    assert [task.result() for task in tasks] == ["gpt-5.5"] * 20
    assert provider.answered == 20, "each request was answered once: no token was paid twice"
    assert len(provider.refused) <= 12
    first = provider.refused[0]
    assert [moment for moment in provider.arrivals if first < moment < first + 10] == [], "nobody asks while it is closed"
    assert any(attempt == 0 for attempt, _, _ in told), "those who only wait are told so"
    assert len({round(moment, 3) for moment in provider.arrivals if moment > 1_005}) > 5, "they do not return in one moment"


async def test_the_limit_halves_once_for_a_burst_and_grows_again_with_success() -> None:
    time = Time()
    gate = Gate(now=time, sleep=time.sleep, limit=8)
    gate.slow_down(5)
    gate.slow_down(7)
    assert gate.limit == 4 and gate.closed_for == 7
    time.now += 7
    gate.slow_down(1)
    assert gate.limit == 2
    for _ in range(2 + 3 + 4 + 5):
        gate.succeeded()
    assert gate.limit >= 5


async def test_no_more_run_at_once_than_the_limit_says_and_a_cancelled_waiter_takes_no_place() -> None:
    time = Time()
    provider = Provider(time, allowed=1_000)
    gate = Gate(now=time, sleep=time.sleep, limit=2, largest=2)
    tasks = [asyncio.create_task(asked(Retrying(provider, gate=gate, on_retry=lambda *_: None))) for _ in range(9)]
    await asyncio.sleep(0)
    for task in tasks[2:6:2]:
        task.cancel()
    rest = [task for task in tasks if task not in tasks[2:6:2]]
    await time.run(*rest)
    assert provider.most == 2 and provider.answered == 7


async def test_a_429_reaches_the_other_processes_through_the_gates_file(tmp_path: Path) -> None:
    time = Time()
    shared = tmp_path / "openai.gate"
    here = Gate(now=time, sleep=time.sleep, shared=shared)
    there = Gate(now=time, sleep=time.sleep, shared=shared)
    assert there.closed_for == 0
    here.slow_down(30)
    assert there.closed_for == 30
    there.slow_down(5)
    assert here.closed_for == 30, "the later time wins"
    assert shared.stat().st_mode & 0o777 == 0o600
    shared.write_bytes(b'{"closed_un')
    assert there.closed_for == 5 and here.closed_for == 30, "what cannot be read leaves each with what it knows"


@pytest.mark.case("P20")
@pytest.mark.parametrize("step", [-31_536_000, -3_600, 3_600, 31_536_000])
async def test_a_clock_that_is_set_neither_lengthens_nor_shares_a_wait(tmp_path: Path, step: float) -> None:
    time, wall = Time(), Time()
    shared = tmp_path / "openai.gate"
    wall.now = 1_800_000_000
    here, there = (Gate(now=time, epoch=wall, sleep=time.sleep, shared=shared) for _ in range(2))
    here.slow_down(30)
    assert there.closed_for == here.closed_for == 30
    wall.now += step
    assert here.closed_for == 30, "its own wait goes by a clock that nobody sets"
    assert there.closed_for == 0, "what was written by another clock is not believed"
    assert Gate(now=time, epoch=wall, shared=shared).closed_for == 0
    here.slow_down(5)
    assert there.closed_for == 30, "and the next word counts again"
    time.now, wall.now = time.now + 30, wall.now + 30
    assert here.closed_for == there.closed_for == 0


async def test_a_gate_whose_file_cannot_be_written_still_works(tmp_path: Path) -> None:
    time = Time()
    gate = Gate(now=time, sleep=time.sleep, shared=tmp_path / "missing" / "gate")
    gate.slow_down(3)
    assert gate.closed_for == 3
