"""From exec to the first thing a user or a model sees of us."""

from __future__ import annotations

import asyncio
import statistics

from command import GOOSE, User
from measure import REPEATS, milliseconds, python, run, show, side_by_side, title, user_with

ROADS = (("anthropic", "anthropic"), ("responses", "openai"))
"""A protocol, and the vendor's SDK for it."""
PEERS = "peers: Goose 242, Codex 342, Claude Code 660, vibe 2,582 ms; on 20,000 files Codex 404, Claude Code 798"


def answers_without_work() -> None:
    title("Answers without work")
    bare, version, help_ = side_by_side(python("pass"), [GOOSE, "--version"], [GOOSE, "--help"], repeats=21)
    show("goose-py --version", version, "ms", goal="<= 2 x, <= 20 ms", baseline=("python -c pass", bare))
    show("goose-py --help", help_, "ms", goal="<= 5 x", baseline=("python -c pass", bare))


async def first_request(user: User, files: int, protocol: str, sdk: str, transport: str) -> None:
    """The SDK alone, imported in a bare interpreter, is measured in turns with the whole way to the first request."""
    ours, theirs = [], []
    for _ in range(REPEATS):
        theirs.append(milliseconds(python(f"import {sdk}")))
        ours.append((await run(user, [{"text": "Hello."}], protocol=protocol, transport=transport)).first_request)
    goal = "<= 1.25 x" if transport == "sdk" else "< 242 ms, <= 1.25 x"
    what = f"first request, {files:,} files, {protocol} over {transport}"
    show(what, statistics.median(ours), "ms", goal=goal, baseline=(f"import {sdk}", statistics.median(theirs)))


async def main() -> None:
    answers_without_work()
    title(f"Start of a headless run to its first model request; {PEERS}")
    for files in (20, 20_000):
        with user_with(files) as user:
            await run(user, [{"text": "Hello."}])  # what only the first run of all writes: byte code, filters of the sandbox
            for protocol, sdk in ROADS:
                for transport in ("http", "sdk") if files == 20 else ("http",):
                    await first_request(user, files, protocol, sdk, transport)


if __name__ == "__main__":
    asyncio.run(main())
