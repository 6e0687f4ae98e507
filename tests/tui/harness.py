"""A worker that replays a log over a real socket, and the app attached to it through the real client."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from goose_py.protocol import events as ev
from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.commands import AnyCommand
from goose_py.protocol.deltas import Delta
from goose_py.session.bus import Bus
from goose_py.tasks.client import TaskClient
from goose_py.tasks.history.causes import Cause
from goose_py.tasks.server import TaskServer
from goose_py.tui.app import GooseApp
from goose_py.tui.services import Options, Services
from goose_py.tui.state.task_line import TaskLine
from goose_py.tui.state.view_state import ViewState

DEADLINE = 20.0


class ReplayWorker:
    """Serves `records`, then whatever is emitted. Commands are kept; `answers` may emit events for them, or raise."""

    def __init__(self, socket: Path, records: list[ev.Record]) -> None:
        self.records = list(records)
        self.commands: list[AnyCommand] = []
        self.answers: Callable[[AnyCommand], Awaitable[None]] | None = None
        self._socket = socket
        self._bus = Bus()
        self._server = TaskServer("7f3a9c21", self._bus, lambda: self.records, self._perform)
        self._came = asyncio.Condition()

    async def start(self) -> None:
        await self._server.listen(self._socket)

    async def stop(self) -> None:
        await self._server.close()

    def emit(self, *items: ev.DurableEvent | Delta) -> None:
        for item in items:
            if isinstance(item, ev.Event):
                at = self.records[-1].at + 1.0 if self.records else 0.0
                record = ev.Record(seq=len(self.records) + 1, at=at, event=item)
                self.records.append(record)
                self._bus.publish(record)
            else:
                self._bus.publish(item)

    async def _perform(self, command: AnyCommand) -> None:
        self.commands.append(command)
        if self.answers is not None:
            await self.answers(command)
        async with self._came:
            self._came.notify_all()

    async def received(self, count: int) -> list[AnyCommand]:
        """Waits until so many commands have come."""
        async with asyncio.timeout(DEADLINE):
            async with self._came:
                await self._came.wait_for(lambda: len(self.commands) >= count)
        return self.commands


async def eventually(condition: Callable[[], bool], pilot=None) -> None:  # type: ignore[no-untyped-def]
    """Waits, with a deadline, until `condition` holds; the app goes on meanwhile."""
    async with asyncio.timeout(DEADLINE):
        while not condition():
            await (pilot.pause() if pilot is not None else asyncio.sleep(0))
            await asyncio.sleep(0.005)
    if pilot is not None:
        await pilot.pause()


class Scene:
    """The app under a pilot, and its worker."""

    def __init__(self, app: GooseApp, pilot, worker: ReplayWorker) -> None:  # type: ignore[no-untyped-def]
        self.app = app
        self.pilot = pilot
        self.worker = worker

    async def shown(self, condition: Callable[[], bool]) -> None:
        await eventually(condition, self.pilot)

    async def caught_up(self) -> None:
        """Everything that the worker has recorded is in the state and drawn."""
        await self.shown(lambda: self.app.state.seq == len(self.worker.records) and self.app._pending is None)

    def show(self, state: ViewState) -> None:
        """Draws `state` as if its records had just come; so does whatever draws later."""
        assert self.app.attachment is not None
        self.app.attachment.state = state
        self.app.draw()

    def text(self) -> str:
        return screen_text(self.app)


def screen_text(app: GooseApp) -> str:
    """What is on the screen, a line per row."""
    lines = app.screen._compositor.render_strips(app.size)
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


@asynccontextmanager
async def scene(
    socket: Path,
    records: list[ev.Record],
    *,
    size: tuple[int, int] = (120, 35),
    options: Options | None = None,
    changes: ChangeSet | None = None,
    files: dict[str, FileChange] | None = None,
    tasks: tuple[TaskLine, ...] = (),
    monotonic: Callable[[], float] | None = None,
    window: int | None = 200_000,
    causes: Mapping[str, tuple[Cause, ...]] | None = None,
    **more: Any,
) -> AsyncIterator[Scene]:
    import time

    worker = ReplayWorker(socket, records)
    await worker.start()
    ids = iter(range(1, 1_000))

    async def connect(task: str, after: int) -> TaskClient:
        return await TaskClient.connect(socket, after)

    async def load_changes(task: str) -> ChangeSet:
        return changes or ChangeSet(base_tree="a" * 40, result_tree="b" * 40)

    async def load_file(task: str, path: str) -> FileChange:
        return (files or {})[path]

    async def load_causes(task: str, path: str) -> Mapping[str, tuple[Cause, ...]]:
        return causes or {}

    async def start_task() -> str:
        return "7f3a9c21"

    async def list_tasks() -> tuple[TaskLine, ...]:
        return tasks

    last = records[-1].at if records else 0.0
    services = Services(
        connect=connect,
        load_changes=load_changes,
        load_file=load_file,
        start_task=start_task,
        list_tasks=list_tasks,
        now=lambda: last + 42.0,
        monotonic=monotonic or time.monotonic,
        new_id=lambda: f"prompt-{next(ids)}",
        window_of=lambda model: window,
        load_causes=load_causes,
    )
    services = replace(services, **more)
    app = GooseApp(services, options or Options(grace=0.0, typing_pause=0.0, slow_link=True), "7f3a9c21")
    async with app.run_test(size=size, notifications=True) as pilot:
        made = Scene(app, pilot, worker)
        await made.caught_up()
        yield made
    await worker.stop()
