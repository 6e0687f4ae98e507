"""Bytes of all kinds, in a real terminal, wherever the program takes keys: it goes on, runs nothing and sends nothing.

A prompt is sent, and a question answered, by a key that comes alone; no burst here is one. What leaves the program on purpose
(Ctrl+C, Ctrl+D, Ctrl+Q) comes within pastes only, and so does what chooses a mode or says something with one letter."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from command import FIXING, GOOSE, User, answered, calls
from tui.terminal import Terminal

OPEN, CLOSE = b"\x1b[200~", b"\x1b[201~"
ACTING = [
    b"\x1b[A", b"\x1b[B", b"\x1b[C", b"\x1b[D", b"\x1bOP", b"\x1bOQ", b"\x1bOR", b"\x7f", b"\x15", b"\x0f", b"\x12", b"\x07",
    b"\x0c", b"\x14", b"\x1b[5~", b"\x1b[6~", b"\x1b[1;5H", b"\x1b[1;5F", b"\x1b[1;3A", b"\x1b[H", b"\x0a",
]  # fmt: skip
ESCAPE = b"\x1b"
REPORTS = [
    b"\x1b[<35;40;10M", b"\x1b[<64;40;10M", b"\x1b[<65;40;10M", b"\x1b[I", b"\x1b[O", b"\x1b[?2026;2$y", b"\x1b[5;9R",
]  # fmt: skip
JUNK = [
    b"\x1b[999z", b"\x1b[99999999u", b"\x1b[55296u", b"\x1b[48;99999;99999;1;1t", b"\xff\xfe", b"\x9b31m", b"\x1bP1$r0m\x1b\\",
]  # fmt: skip
TEXT = [
    b"!touch F", b"/quit", b"/new", b"y\r", b"yes\r", b"\r", b"\r\n", b"\t", b"@cart", b"\x03\x03", b"\x04", b"\x11", b"\x00",
    ESCAPE,
]  # fmt: skip
PLACES = ("prompt", "question", "review", "board", "help", "line")


def bursts(rng: random.Random, count: int, acting: list[bytes]) -> Iterator[bytes]:
    for _ in range(count):
        everything = [rng.choice((TEXT, acting, REPORTS, JUNK)) for _ in range(rng.randrange(1, 6))]
        text = b"".join(rng.choice(some) for some in everything) + rng.randbytes(rng.randrange(4))
        match rng.randrange(4):
            case 0:
                yield OPEN + text.replace(OPEN, b"") + CLOSE
            case 1:
                yield OPEN + text + CLOSE + b"\r" + text + CLOSE
            case 2:
                yield b"abc" + text + rng.choice((b"\r", b"\n", b"z"))
            case _:
                yield b"".join(rng.choice((*acting, *REPORTS, *JUNK[:4])) for _ in range(rng.randrange(1, 4)))


class Place:
    """The installed command on a terminal of its own, at one of the places that take keys."""

    def __init__(self, user: User) -> None:
        self.user = user
        self.terminal = Terminal(110, 32)

    async def reach(self, place: str) -> None:
        keeping = self.user.root / "shell"
        keeping.write_text(f'#!/bin/sh\necho "$@" >> {self.executed}\n')
        keeping.chmod(0o755)
        env = {**self.user.environment(), "TERM": "xterm-256color", "SHELL": str(keeping), "EDITOR": "true"}
        await self.terminal.start(str(GOOSE), env=env, cwd=self.user.repository)
        await self.shows("Say what should be done", " ready")
        self.terminal.press(b"Mend it")
        await self.shows("Mend it")
        await self.press(b"\r")
        await self.shows("enter answer" if place == "question" else "ready for review")
        steps = {"review": [b"\x1bOR"], "board": [b"\x1bOQ"], "line": [b"\x1bOQ", b"n"], "help": [b"\x1bOP"]}
        for key in steps.get(place, []):
            await self.press(key)
        said = {"review": "hunk 1 of", "board": "n new", "line": "describe a task", "help": "keys and commands"}
        await self.shows(said.get(place, "Take the discount off" if place == "prompt" else ""))

    async def press(self, key: bytes) -> None:
        await asyncio.sleep(0.15)  # alone, as a hand presses it
        self.terminal.press(key)

    async def shows(self, *texts: str) -> None:
        await self.terminal.until(lambda: all(text in self.terminal.text for text in texts))

    async def goes_on(self) -> None:
        """It still does what keys say: the way back to the conversation, and help."""
        shows_help = asyncio.create_task(self.shows("keys and commands"))
        while not shows_help.done():
            assert self.terminal.process is not None and self.terminal.process.returncode is None, self.terminal.text
            await self.press(b"\x03" if "Say what should be done" in self.terminal.text else b"\x1b")
            await self.press(b"\x1bOP")
            await asyncio.wait([shows_help], timeout=2)  # the next key would close it again
        await shows_help

    @property
    def executed(self) -> Path:
        return self.user.root / "executed"

    def log(self) -> list[bytes]:
        """What happened to the task, but for servers that come up in their own time."""
        (file,) = (self.user.state / "tasks").glob("*/log.jsonl")
        return [line for line in file.read_bytes().splitlines() if b'"extension_changed"' not in line]


@pytest.mark.case("T01")
@pytest.mark.case("T03")
@pytest.mark.parametrize("place", PLACES)
async def test_no_bytes_end_the_program_run_something_or_send_something(user: User, place: str):
    asking = [calls(("shell", {"command": "touch asked-for-5150"})), {"text": "Done."}]
    config = 'mode = "ask"\n[sandbox]\nlevel = "none"' if place == "question" else 'mode = "auto"'
    async with answered(user, asking * 4 if place == "question" else FIXING, config=config) as server:
        at = Place(user)
        try:
            await at.reach(place)
            log, requests = at.log(), len(server.requests)
            # Escape is an answer to a question: no.
            acting = ACTING if place == "question" else [*ACTING, ESCAPE]
            for burst in bursts(random.Random(f"{place} 1"), 60, acting):
                at.terminal.press(burst)
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.3)
            assert at.log() == log and len(server.requests) == requests
            await at.goes_on()
            assert len(server.requests) == requests
            assert not at.executed.exists() and not list(user.root.rglob("F"))
        finally:
            await at.terminal.close()
