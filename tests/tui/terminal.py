"""A pseudo-terminal with the app in it, and pyte as the emulator that a user would look at."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import Callable, Mapping
from pathlib import Path

import pyte

DEADLINE = 60.0


class Terminal:
    """`raw` is every byte that reached the terminal; `text` what it shows."""

    def __init__(self, width: int, height: int) -> None:
        self.raw = bytearray()
        self._screen = pyte.Screen(width, height)
        self._stream = pyte.ByteStream(self._screen)
        self._size = struct.pack("HHHH", height, width, 0, 0)
        self._arrived = asyncio.Event()
        self._ended = False
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, *argv: str, env: Mapping[str, str], cwd: Path | None = None) -> None:
        leader, follower = pty.openpty()
        fcntl.ioctl(follower, termios.TIOCSWINSZ, self._size)
        self._fd = leader
        try:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *argv,
                stdin=follower,
                stdout=follower,
                stderr=follower,
                env=dict(env),
                cwd=cwd,
                start_new_session=True,
            )
        finally:
            os.close(follower)
        asyncio.get_running_loop().add_reader(leader, self._read)

    def _read(self) -> None:
        try:
            data = os.read(self._fd, 65536)
        except OSError:
            data = b""
        if not data:
            self._stop_reading()
        self.raw += data
        # pyte takes private modes with intermediate characters and DCS for text; real terminals do not show them.
        self._stream.feed(data)
        self._arrived.set()

    def _stop_reading(self) -> None:
        if not self._ended:
            self._ended = True
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._arrived.set()

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def press(self, keys: bytes) -> None:
        os.write(self._fd, keys)

    async def answer(self, key: bytes, question: str) -> None:
        """Presses `key` until it counts, which it does once the grace of the question is over and `question` is gone."""
        async with asyncio.timeout(DEADLINE):
            while question in self.text:
                self.press(key)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.4):
                        while question in self.text:
                            self._arrived.clear()
                            await self._arrived.wait()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Waits, with a deadline, until `condition` holds; fails with what the terminal shows then."""
        try:
            async with asyncio.timeout(DEADLINE):
                while not condition():
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            raise AssertionError(f"the terminal shows:\n{self.text}") from None

    async def ended(self) -> int:
        assert self.process is not None
        async with asyncio.timeout(DEADLINE):
            code = await self.process.wait()
        self._read_rest()
        return code

    def _read_rest(self) -> None:
        while not self._ended:
            self._read()

    async def close(self) -> None:
        if self.process is not None and self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.kill()
            await self.process.wait()
        self._stop_reading()


def environment(**more: str) -> dict[str, str]:
    root = Path(__file__).resolve().parents[2]
    return {
        "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
        "HOME": "/nonexistent",
        "TERM": "xterm-256color",
        "COLORTERM": "truecolor",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(root),
        **more,
    }
