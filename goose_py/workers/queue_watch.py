"""The queue, looked after by everybody who works: whoever would have started the next task may have been killed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from goose_py.bootstrap.host import Host
from goose_py.protocol.errors import GooseError

LOOK_EVERY = 5.0
"""Seconds."""


@asynccontextmanager
async def queue_kept_moving(host: Host) -> AsyncIterator[None]:
    """Starts what may begin, again and again for as long as the block lasts."""

    async def look() -> None:
        while True:
            await asyncio.sleep(LOOK_EVERY)
            await start_next(host)

    looking = asyncio.create_task(look())
    try:
        yield
    finally:
        looking.cancel()
        await asyncio.wait({looking})


async def start_next(host: Host) -> None:
    """Starts what may begin by now. What is wrong with a task is said in its own line, what is wrong with the settings to
    whoever looks at the tasks."""
    from goose_py.workers.queue import start_waiting  # not before there is time for it

    with suppress(GooseError):
        await start_waiting(host)
