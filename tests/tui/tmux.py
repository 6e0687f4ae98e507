"""The installed command in a tmux of its own: keys go in as a person types them, the screen comes out as text."""

import asyncio
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest
from command import GOOSE, User

needs_tmux = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed: .ci/run installs it")


HAND = 0.15
"""Seconds between two keys of a person. Keys that arrive together are no keys for the program, but a paste."""
_FRAME = str.maketrans("", "", " \n│╭╮╰╯─|+")


class Terminal:
    """A tmux of our own with one window of the given size, opened in the user's repository or in `folder`."""

    def __init__(self, user: User, columns: int = 120, rows: int = 35, folder: Path | None = None) -> None:
        self._user = user
        self._folder = folder or user.repository
        self._socket = f"goose-py-{uuid.uuid4().hex[:8]}"
        self._size = (str(columns), str(rows))

    async def open(self, *arguments: str) -> None:
        env = {**self._user.environment(), "TERM": "xterm-256color", "COLORTERM": "truecolor"}
        assignments = [f"{name}={value}" for name, value in env.items()]
        columns, rows = self._size
        await self._tmux(
            "-u", "-f", "/dev/null", "new-session", "-d", "-x", columns, "-y", rows, "-c", str(self._folder),
            "env", "-i", *assignments,
            "/bin/sh", "-c", 'echo "[begun]"; "$0" "$@"; echo "[ended $?]"; exec cat', str(GOOSE), *arguments,
            ";", "set-option", "-s", "set-clipboard", "on",
        )  # fmt: skip

    async def type(self, text: str) -> None:
        """Returns when it is on the screen, so that what is pressed next is pressed alone."""
        await asyncio.sleep(HAND)
        await self.write(text)
        end = text.translate(_FRAME)[-12:]
        async with asyncio.timeout(60):
            while end not in (await self._tmux("capture-pane", "-p")).translate(_FRAME):
                await asyncio.sleep(0.02)

    async def write(self, data: str | bytes) -> None:
        """Puts characters or bytes, whatever they are, where a keyboard would, all at once."""
        raw = data.encode() if isinstance(data, str) else data
        await self._tmux("send-keys", "-H", *(f"{byte:02x}" for byte in raw))

    async def press(self, *keys: str) -> None:
        for key in keys:
            await asyncio.sleep(HAND)
            await self._tmux("send-keys", key)

    async def ask(self, text: str) -> None:
        """Writes a prompt and sends it, once the screen takes one."""
        await self.shows("Say what should be done")
        await self.type(text)
        await self.press("Enter")

    async def shows(self, *texts: str, within: float = 60) -> str:
        """Waits until all of `texts` are on the screen at once, and returns the screen."""
        screen = ""
        try:
            async with asyncio.timeout(within):
                while True:
                    screen = await self._tmux("capture-pane", "-p")
                    if all(text in screen for text in texts):
                        return screen
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pytest.fail(f"{texts} did not appear within {within} s on\n{screen}")

    async def answer(self, key: str, *then: str, within: float = 40) -> None:
        """Presses `key` until the screen shows all of `then`: a question takes no answer for a moment after it was drawn."""
        screen = ""
        try:
            async with asyncio.timeout(within):
                screen = await self._tmux("capture-pane", "-p")
                while not all(text in screen for text in then):
                    await self.press(key)
                    await asyncio.sleep(0.1)
                    screen = await self._tmux("capture-pane", "-p")
        except TimeoutError:
            pytest.fail(f"{key} did not lead to {then!r} on\n{screen}")

    async def paste(self, text: str, *, brackets: bool = True) -> None:
        """As a terminal pastes: between the marks that the program has asked for, or as old ones do, without."""
        file = self._user.root / "pasted"
        file.write_bytes(text.encode())
        await self._tmux("load-buffer", "-b", "pasted", str(file))
        await self._tmux("paste-buffer", "-r", *(["-p"] if brackets else []), "-b", "pasted")

    async def copied(self) -> str:
        """What a program has put on the clipboard with OSC 52 last."""
        return await self._tmux("show-buffer", check=False)

    async def everything(self) -> str:
        """The screen, and above it what has scrolled out of it."""
        return await self._tmux("capture-pane", "-p", "-S", "-")

    async def on_screen_of_its_own(self) -> bool:
        """Whether the program has taken the terminal's alternate screen, which leaves nothing behind."""
        return (await self._tmux("display-message", "-p", "#{alternate_on}")).strip() == "1"

    async def close(self) -> None:
        await self._tmux("kill-server", check=False)

    async def _tmux(self, *arguments: str, check: bool = True) -> str:
        process = await asyncio.create_subprocess_exec(
            "tmux", "-L", self._socket, *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        out, err = await process.communicate()
        assert not check or process.returncode == 0, err.decode()
        return out.decode("utf-8", "replace")
