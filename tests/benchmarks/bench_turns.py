"""What a hundred turns cost: our own time between an answer and the next request, memory, and tokens."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable
from typing import Any

from measure import Ran, milliseconds, python, run, show, title, user_with

TURNS = 100
BYTES_PER_TOKEN = 4
PEERS = "peers: Goose 9.0, pi 9.8, Gemini 28, vibe 41 ms; Goose 131, kimi 154 MB; pi 490, Goose 720 k tokens"
Call = Callable[[int], dict[str, Any]]


def read(number: int) -> dict[str, Any]:
    return {"name": "read", "arguments": {"path": "cart.py", "offset": 1, "limit": 1 + number}}


def shell(number: int) -> dict[str, Any]:
    return {"name": "shell", "arguments": {"command": f"echo {number}"}}


async def several(call: Call, count: int) -> Ran:
    turns = [{"text": "", "calls": [call(number)]} for number in range(count)]
    with user_with(20) as user:
        return await run(user, [*turns, *[{"text": "Done."}] * 3], "--max-turns", str(count + 10))


def tokens(ran: Ran) -> list[int]:
    return [len(request.raw) // BYTES_PER_TOKEN for request in ran.requests]


async def main() -> None:
    title(f"{TURNS} turns with one trivial tool call each; {PEERS}")
    ran = {call.__name__: await several(call, TURNS) for call in (read, shell)}
    few = await several(shell, TURNS // 10)
    # The first turn waits for what the model's thinking usually hides: the import of MCP.
    own = {name: each.own_times[1:TURNS] for name, each in ran.items()}
    plain = statistics.median(milliseconds(["/bin/bash", "-c", "echo"]) for _ in range(21))
    show("own time per turn, read", statistics.median(own["read"]), "ms", goal="< 9 ms")
    show("own time per turn, shell echo (sandboxed)", statistics.median(own["shell"]), "ms", goal="< 9 ms",
         baseline=("bash -c echo", plain))  # fmt: skip
    computed = (ran["shell"].cpu - few.cpu) / (TURNS - TURNS // 10) * 1000
    show("  CPU of a turn with shell, sandbox and all", computed, "ms CPU")
    importing = milliseconds(python("import mcp"))
    for name, times in own.items():
        early, late = statistics.median(times[:10]), statistics.median(times[-10:])
        show(f"  the last ten of {name} against the first ten", late, "ms", baseline=("first ten", early))
        show(f"  first turn of {name}", ran[name].own_times[0], "ms", baseline=("import mcp", importing))
    show("peak memory", max(each.peak for each in ran.values()), "MB", goal="< 131 MB (issue: 150)")
    used = tokens(ran["shell"])
    first = ran["shell"].requests[0]
    prefix = len(first.raw) - len(str(first.body["messages"]))
    show("first request", used[0], "tokens", goal="< 2,000 (issue: 2,500)")
    show("  of which system prompt and tools", prefix / BYTES_PER_TOKEN, "tokens")
    show(f"all input of {len(used)} requests with shell", sum(used) / 1000, "k tok", goal="< 490 k")


if __name__ == "__main__":
    asyncio.run(main())
