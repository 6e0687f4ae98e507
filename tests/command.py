"""The installed command, run as a user runs it: a home of its own, a real repository, a scripted model on loopback."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from wire import WireServer

from goose_py.providers.scripted import parse_script

GOOSE = Path(sys.executable).with_name("goose-py")
CART = """\
def total(prices, discount=0):
    return sum(prices) + discount
"""
CART_TEST = """\
from cart import total


def test_discount_is_taken_off():
    assert total([10, 5], discount=3) == 12
"""
CHECK = "python -m pytest -q --disable-plugin-autoload -p no:cacheprovider test_cart.py"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass
class User:
    """A person with a home folder, a repository and a configuration. `env` is added to the command's environment. Without
    `found_checks` the configuration asks for none where it does not speak of them: each run would start pytest twice."""

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    found_checks: bool = False

    def __post_init__(self) -> None:
        self.repository = self.root / "cart"
        self.repository.mkdir(parents=True)
        (self.repository / "cart.py").write_text(CART)
        (self.repository / "test_cart.py").write_text(CART_TEST)
        (self.root / "home").mkdir(exist_ok=True)
        (self.root / "home" / ".gitconfig").write_text("[user]\n\tname = Ada\n\temail = ada@example.org\n")
        self.git("init", "-q", "-b", "main")
        self.commit("A cart with a bug")

    @property
    def state(self) -> Path:
        return self.root / "home" / "state"

    @property
    def sockets(self) -> Path:
        """Where workers listen: a folder elsewhere when the usual one has too long a path for the address of a socket."""
        elsewhere = self.state / "sockets"
        return elsewhere.readlink() if elsewhere.is_symlink() else self.root / "home" / "run"

    def environment(self) -> dict[str, str]:
        bin_folder = str(Path(sys.executable).parent)
        return {
            "HOME": str(self.root / "home"),
            "GOOSE_PY_HOME": str(self.root / "home"),
            "GOOSE_PY_DISABLE_KEYRING": "1",
            "PATH": f"{bin_folder}:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "TERM": "dumb",
            **self.env,
        }

    def configure(self, text: str) -> None:
        file = self.root / "home" / "config" / "config.toml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text if self.found_checks or re.search(r"^checks\b", text, re.MULTILINE) else f"checks = []\n{text}")

    def git(self, *args: str) -> str:
        identity = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org", "-c", "commit.gpgsign=false")
        env = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
        done = subprocess.run(
            ["git", *identity, *args], cwd=self.repository, env=env, capture_output=True, text=True, check=True
        )
        return done.stdout

    def commit(self, message: str) -> str:
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", message)
        return self.git("rev-parse", "HEAD").strip()

    def tree(self) -> str:
        """Everything in the checkout and the index, as one value: what no run may change."""
        return self.git("status", "--porcelain=v2", "--branch") + self.git("stash", "list") + self.git("diff", "HEAD")

    async def goose(self, *args: str, stdin: str | None = None, cwd: Path | None = None, seconds: float = 60) -> Ended:
        process = await self.start(*args, stdin=stdin is not None, cwd=cwd)
        async with asyncio.timeout(seconds):
            out, err = await process.communicate(stdin.encode() if stdin is not None else None)
        assert process.returncode is not None
        return Ended(process.returncode, out.decode(), err.decode())

    async def start(self, *args: str, stdin: bool = False, cwd: Path | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            GOOSE,
            *args,
            cwd=cwd or self.repository,
            env=self.environment(),
            stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )

    def processes(self) -> list[psutil.Process]:
        """All commands, screens and workers of this person, and what else works in their folders."""
        others = (process for process in psutil.process_iter() if process.pid != os.getpid())
        return [process for process in others if self._has(process)]

    def _has(self, process: psutil.Process) -> bool:
        with suppress(psutil.Error, OSError):  # a folder too deep for its name to be read is none of ours
            if process.environ().get("GOOSE_PY_HOME") == str(self.root / "home"):
                return True
            # Workers that were copied from another process have its environment.
            places = (process.cwd(), *(file.path for file in process.open_files()))
            return any(Path(place).is_relative_to(self.root) for place in places)
        return False

    def leave(self) -> None:
        """Ends every process that is left, and removes what lies outside of `root`."""
        for _ in range(3):  # what had just been started by one of them is found the next time
            for process in self.processes():
                with suppress(psutil.Error):
                    process.kill()
        if (self.state / "sockets").is_symlink():
            shutil.rmtree(self.sockets, ignore_errors=True)


@contextmanager
def user_at(root: Path) -> Iterator[User]:
    """A person who leaves no process behind. Workers outlive the commands that start them, so somebody has to end them."""
    user = User(root)
    try:
        yield user
    finally:
        user.leave()


@asynccontextmanager
async def answered(user: User, turns: list[dict[str, Any]], protocol: str = "anthropic", **settings: Any):  # type: ignore[no-untyped-def]
    """Configures `user` with a model server on loopback that answers from `turns`, and yields the server."""
    transport = settings.pop("transport", "http")
    extra = settings.pop("config", "")
    async with WireServer(parse_script(json.dumps({"version": 1, "turns": turns}).encode(), "turns", json=True)) as server:
        provider = {"anthropic": "anthropic", "responses": "openai", "chat": "lmstudio", "ollama": "ollama"}[protocol]
        user.configure(
            f'provider = "{provider}"\nmodel = "scripted-model"\n{extra}\n'
            f'[providers.{provider}]\nbase_url = "{server.base_url(protocol)}"\ntransport = "{transport}"\n'
        )
        yield server


def calls(*items: tuple[str, dict[str, Any]], text: str = "") -> dict[str, Any]:
    return {"text": text, "calls": [{"name": name, "arguments": arguments} for name, arguments in items]}


PLAN = (
    "update_plan",
    {"steps": [{"title": "Take the discount off", "status": "in_progress", "acceptance": "the test passes"}]},
)
PLAN_DONE = ("update_plan", {"steps": [{"title": "Take the discount off", "status": "completed"}]})
FIX = ("edit", {"path": "cart.py", "old_string": "sum(prices) + discount", "new_string": "sum(prices) - discount"})
FIXING = [
    calls(("read", {"path": "cart.py"}), ("read", {"path": "test_cart.py"}), text="I look first."),
    calls(PLAN, FIX),
    calls(("shell", {"command": CHECK}), PLAN_DONE),
    {"text": "It works now."},
    {"text": "The discount is taken off now; the test passes."},
]
