"""What every step of opening a task works with."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from typing import Any, TypeVar

import msgspec

from goose_py.bootstrap.deferred_imports import Later
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.opening.coming_session import ComingSession
from goose_py.bootstrap.settings import secret_store
from goose_py.config.secrets import SecretStore
from goose_py.tasks.spec import TaskSpec, read_spec
from goose_py.tasks.store import TaskFolder

T = TypeVar("T")


class Opening(msgspec.Struct, frozen=True, kw_only=True):
    """`later` runs slow imports once the first request has left. What has to be closed is on `stack`."""

    host: Host
    folder: TaskFolder
    spec: TaskSpec
    secrets: SecretStore
    redact: Callable[[str], str]
    coming: ComingSession
    later: Later
    stack: AsyncExitStack

    @classmethod
    def of(cls, host: Host, folder: TaskFolder) -> "Opening":
        """Raises UserError where the folder holds no task, or one that was not made here."""
        folder.require_made_here()
        spec, secrets = read_spec(folder.path), secret_store(host)
        return cls(
            host=host,
            folder=folder,
            spec=spec,
            secrets=secrets,
            redact=redaction(host, secrets),
            coming=ComingSession(),
            later=Later(),
            stack=AsyncExitStack(),
        )

    def meanwhile(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Starts what need not be waited for yet, and does not outlive the task."""
        task = asyncio.create_task(work)
        self.stack.push_async_callback(_settled, task)
        return task


async def _settled(task: asyncio.Task[Any]) -> None:
    await asyncio.wait({task})
