"""The developer extension as a host loads it: from its folder, under a name of the host's own."""

import asyncio
import importlib
import importlib.util
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parents[1] / "extensions" / "developer"
_PACKAGE = "developer_under_test"


def module(name: str) -> ModuleType:
    """A module of the extension."""
    if _PACKAGE not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            _PACKAGE, FOLDER / "__init__.py", submodule_search_locations=[str(FOLDER)]
        )
        assert spec is not None and spec.loader is not None
        package = importlib.util.module_from_spec(spec)
        sys.modules[_PACKAGE] = package
        spec.loader.exec_module(package)
    return importlib.import_module(f"{_PACKAGE}.{name}")


def command_env() -> dict[str, str]:
    """What commands of the tests see: no more than they need."""
    return {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}


@dataclass
class Tools:
    """A connected client, with the shortest way to call a tool and to see it refuse."""

    client: Any
    workspace: Path

    async def result(self, tool: str, **arguments: Any) -> Any:
        return await self.client.call_tool(tool, arguments)

    async def __call__(self, tool: str, **arguments: Any) -> str:
        """The text of a call that succeeds."""
        result = await self.result(tool, **arguments)
        text = result.content[0].text
        assert not result.is_error, text
        return text

    async def refusal(self, tool: str, **arguments: Any) -> str:
        """The text of a call that is refused."""
        result = await self.result(tool, **arguments)
        assert result.is_error, result.content[0].text
        return result.content[0].text


@asynccontextmanager
async def connected(workspace: Path, **options: Any) -> AsyncIterator[Tools]:
    """A client connected in memory to a server of its own. To be entered and left in one task."""
    from mcp import Client

    options.setdefault("env", command_env())
    server = module("server").create_server(workspace, **options)
    async with Client(server) as client:
        yield Tools(client, workspace)


async def until(condition: Callable[[], bool | Awaitable[bool]], seconds: float = 30.0) -> None:
    """Waits until something becomes true. Raises TimeoutError."""
    async with asyncio.timeout(seconds):
        while True:
            answer = condition()
            if await answer if isinstance(answer, Awaitable) else answer:
                return
            await asyncio.sleep(0.01)
