"""The installed program in a terminal, on a real repository: only the model's replies are scripted."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from tui.terminal import Terminal, environment

from goose_py.demo import PROJECT, SCRIPT

CONFIG = f"""
provider = "scripted"
model = "demo"
mode = "ask"

[providers.scripted]
base_url = "{SCRIPT}"

[sandbox]
level = "none"
"""


class Place:
    """A repository with a failing test, and a home of its own for the program."""

    def __init__(self, root: Path) -> None:
        self.repository = root / "shop"
        home = root / "home"
        (home / "config").mkdir(parents=True)
        (home / "config" / "config.toml").write_text(CONFIG)
        shutil.copytree(PROJECT, self.repository, ignore=shutil.ignore_patterns("__pycache__"))
        (self.repository / ".gitignore").write_text("__pycache__/\n.pytest_cache/\n")
        search = f"{Path(sys.executable).parent}:/usr/local/bin:/usr/bin:/bin"
        self.env = environment(HOME=str(root), GOOSE_PY_HOME=str(home), PATH=search, GIT_CONFIG_GLOBAL=os.devnull)
        self.git("init", "-q", "-b", "main")
        self.git("add", "-A")
        self.git("-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-q", "-m", "A cart with a bug")

    def git(self, *arguments: str) -> str:
        command = ["git", "-C", str(self.repository), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=self.env).stdout

    def workers(self) -> list[psutil.Process]:
        """The worker processes that this place's program has started."""
        found = []
        for process in psutil.process_iter():
            try:
                if process.environ().get("GOOSE_PY_HOME") == self.env["GOOSE_PY_HOME"]:
                    found.append(process)
            except (psutil.AccessDenied, psutil.NoSuchProcess, psutil.ZombieProcess):
                continue
        return found


@pytest.fixture
def place() -> Iterator[Place]:
    with tempfile.TemporaryDirectory(prefix="goose") as root:
        made = Place(Path(root))
        yield made
        for process in made.workers():
            process.kill()
        psutil.wait_procs(made.workers(), timeout=10)


async def opened(place: Place, size: tuple[int, int]) -> Terminal:
    terminal = Terminal(*size)
    await terminal.start("-P", "-m", "goose_py", env=place.env, cwd=place.repository)
    return terminal


async def test_a_question_waits_while_nobody_looks_and_is_answered_by_whoever_comes_back(place: Place):
    terminal = await opened(place, (120, 35))
    try:
        await terminal.until(lambda: "scripted/demo" in terminal.text and "ready" in terminal.text)
        terminal.press(b"fix the failing test in test_cart.py")
        await terminal.until(lambda: "fix the failing test in test_cart.py" in terminal.text)
        terminal.press(b"\r")
        await terminal.until(lambda: "python -m pytest -q test_cart.py" in terminal.text and "enter choose" in terminal.text)
        terminal.press(b"\x11")
        assert await terminal.ended() == 0
        assert b"goes on working without a screen" in terminal.raw
        await terminal.close()

        terminal = await opened(place, (80, 24))
        await terminal.until(lambda: "enter choose" in terminal.text)
        assert "python -m pytest -q test_cart.py" in terminal.text and place.git("status", "--porcelain") == ""
        await terminal.answer(b"s", "enter choose")
        await terminal.until(lambda: "ready for review" in terminal.text)
        assert place.git("status", "--porcelain") == ""
        terminal.press(b"\x11")
        assert await terminal.ended() == 0 and b"is kept" in terminal.raw
    finally:
        await terminal.close()
