"""The machine and process we run in, read once."""

import os
import secrets
import shutil
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from goose_py.config.paths import Paths, resolve
from goose_py.protocol.errors import UserError
from goose_py.tasks.store import TaskStore


@dataclass(frozen=True)
class Host:
    """`env` is the process's environment as it was at the start; `cwd` and `home` are absolute."""

    env: Mapping[str, str]
    cwd: Path
    home: Path
    paths: Paths
    stdin_is_terminal: bool = False
    stdout_is_terminal: bool = False
    tasks: TaskStore = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", TaskStore(self.paths.state / "tasks", self.paths.runtime))

    @classmethod
    def here(cls) -> "Host":
        """Raises UserError where the working folder is gone."""
        try:
            cwd = Path.cwd()
        except FileNotFoundError:
            raise UserError("The folder you are in does not exist any more; change to another one.") from None
        env = dict(os.environ)
        home = Path(env.get("HOME") or Path.home())
        return cls(
            env=env,
            cwd=cwd,
            home=home,
            paths=resolve(env, home=home, platform=sys.platform),
            stdin_is_terminal=sys.stdin is not None and sys.stdin.isatty(),
            stdout_is_terminal=sys.stdout is not None and sys.stdout.isatty(),
        )

    def which(self, program: str) -> Path | None:
        """The absolute path of a program on the user's PATH; never one of the current folder."""
        search = os.pathsep.join(part for part in self.env.get("PATH", "").split(os.pathsep) if part.startswith("/"))
        found = shutil.which(program, path=search)
        return Path(found) if found else None

    @staticmethod
    def now() -> float:
        """Unix time in seconds."""
        return time.time()

    @staticmethod
    def monotonic() -> float:
        return time.perf_counter()

    @staticmethod
    def new_id() -> str:
        return secrets.token_hex(4)
