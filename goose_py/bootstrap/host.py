"""The machine and process we run in, read once."""

import os
import secrets
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from goose_py.config.paths import Paths, private_folder, resolve
from goose_py.protocol.errors import UserError
from goose_py.tasks.store import TaskFolder, TaskStore

LONGEST_RUNTIME = 107 - len("/0000-000000.sock")
"""Bytes. The address of a Unix socket holds 108 with its end (`sun_path`, unix(7)); macOS has 104, and short temporary folders
of its own."""


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
        host = cls(
            env=env,
            cwd=cwd,
            home=home,
            paths=_private(resolve(env, home=home, platform=sys.platform)),
            stdin_is_terminal=sys.stdin is not None and sys.stdin.isatty(),
            stdout_is_terminal=sys.stdout is not None and sys.stdout.isatty(),
        )
        host.tasks.keep_key()
        return host

    def task(self, name: str) -> TaskFolder:
        """See `find_task`: by id or what is unique of it, or by title. Raises UserError."""
        from goose_py.tasks.summaries import find_task

        return find_task(self.tasks, name)

    def which(self, program: str) -> Path | None:
        """The absolute path of a program for us to run, on the user's PATH; never one of the current repository, which others
        have written. A repository that holds the home folder is the user's own."""
        parts = self._path()
        around = next((folder for folder in (self.cwd, *self.cwd.parents) if os.path.lexists(folder / ".git")), None)
        if around is not None and not self.home.resolve().is_relative_to(around.resolve()):
            parts = [part for part in parts if not Path(os.path.realpath(part)).is_relative_to(around.resolve())]
        found = shutil.which(program, path=os.pathsep.join(parts))
        return Path(found) if found else None

    def on_path(self, program: str) -> bool:
        """Whether the user's commands find it, also in the repository: a virtual environment is often there."""
        return shutil.which(program, path=os.pathsep.join(self._path())) is not None

    def _path(self) -> list[str]:
        return [part for part in self.env.get("PATH", "").split(os.pathsep) if part.startswith("/")]

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


def _private(paths: Paths) -> Paths:
    """Makes the folders that hold what nobody else may read, whatever the umask is. Sockets lie in a short folder where the
    path of the usual one is longer than the address of a socket may be. Raises UserError."""
    try:
        private_folder(paths.state)
        for folder in (paths.cache, paths.runtime):
            private_folder(folder)
        if len(os.fsencode(paths.runtime)) > LONGEST_RUNTIME:
            return msgspec.structs.replace(paths, runtime=short_folder(paths.state / "sockets"))
    except OSError as error:
        raise UserError(
            f"{error.filename} cannot be used for goose-py's own files: {error.strerror}. "
            "Set GOOSE_PY_HOME to a folder that you can write to."
        ) from None
    return paths


def short_folder(link: Path) -> Path:
    """The private folder with a short path that `link`, kept in a folder of ours, leads to; made where it is gone. Its name
    cannot be guessed, and one that is not ours alone is not used. Raises OSError."""
    if (folder := _led_to(link)) is not None:
        return folder
    link.unlink(missing_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="goose-py-", dir="/tmp"))
    try:
        link.symlink_to(folder)
    except FileExistsError:  # another process of ours was faster
        folder.rmdir()
        return short_folder(link)
    return folder


def _led_to(link: Path) -> Path | None:
    try:
        folder = link.readlink()
        found = folder.lstat()
    except OSError:
        return None
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077
    return folder if ours else None
