"""What the toolbox tests share: real servers as extensions, and a toolbox that remembers what it told."""

import asyncio
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from goose_py.protocol.messages import Text, ToolCall, ToolResult
from goose_py.toolbox import ExtensionHost, ExtensionSpec, Places, StateChange, Stdio, Toolbox

BAD = Path(__file__).parent / "bad.py"
ENVIRONMENT = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
PATIENCE = 30.0
"""Seconds after which a test gives up. Nothing waits this long but a test that fails."""


def bad(behaviour: str = "good", argument: object = "", *, name: str = "", **fields: Any) -> Stdio:
    """A server of `bad.py` as an extension; -S -E because it needs nothing but the standard library."""
    return Stdio(name=name or behaviour, cmd=sys.executable, args=("-S", "-E", str(BAD), behaviour, str(argument)), **fields)


class Watched:
    """A toolbox, the changes that it told, and ways to wait for them."""

    def __init__(
        self,
        extensions: Sequence[ExtensionSpec],
        workspace: Path,
        *,
        bundled: Mapping[str, Path] | None = None,
        host: Mapping[str, Any] | None = None,
        places: Places | None = None,
        **options: Any,
    ) -> None:
        self.changes: list[StateChange] = []
        self._told = asyncio.Event()
        self.toolbox = Toolbox(
            extensions,
            host=ExtensionHost(workspace=workspace, **{"environment": ENVIRONMENT, **(host or {})}),
            bundled=bundled or {},
            places=places,
            on_change=self._on_change,
            **{"backoff": (0.01, 0.02, 0.04), **options},
        )

    def _on_change(self, change: StateChange) -> None:
        self.changes.append(change)
        told, self._told = self._told, asyncio.Event()
        told.set()

    async def __aenter__(self) -> "Watched":
        self.toolbox.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.toolbox.close()

    async def settled(self, seconds: float = PATIENCE) -> list[str]:
        return [spec.name for spec in await self.toolbox.settle(seconds)]

    async def told(self, wanted: Callable[[StateChange], bool]) -> StateChange:
        """The first change that is wanted, waiting for it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for change in self.changes:
                    if wanted(change):
                        return change
                await self._told.wait()

    async def state(self, extension: str, state: str) -> StateChange:
        return await self.told(lambda change: (change.extension, change.state) == (extension, state))

    async def call(self, tool: str, on_output: Callable[[str], None] = lambda text: None, **arguments: Any) -> ToolResult:
        async with asyncio.timeout(PATIENCE):
            return await self.toolbox.call(ToolCall(id="call-1", name=tool, arguments=arguments), on_output)

    async def text(self, tool: str, **arguments: Any) -> str:
        """The text of a call that succeeds."""
        result = await self.call(tool, **arguments)
        assert not result.is_error, result
        return words(result)


def words(result: ToolResult) -> str:
    return "\n".join(part.text for part in result.content if isinstance(part, Text))


def alive(pid: int) -> bool:
    """Whether the process still runs; a zombie does not."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat[stat.rindex(")") + 2] != "Z"
