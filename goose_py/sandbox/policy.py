"""What a sandboxed process may touch, and the start command that comes of it. Values only; nothing here runs."""

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import msgspec

from goose_py.protocol.errors import GooseError


class Level(StrEnum):
    """How much the operating system enforces. The values are what `permissions.Place.sandbox` takes.

    `full`: writes, reads, network and local sockets are confined, secrets are out of sight. `partial`: writes and the
    network are confined, but see SECURITY.md for what is not. `none`: nothing is."""

    FULL = "full"
    PARTIAL = "partial"
    NONE = "none"


class SandboxError(GooseError):
    """The sandbox cannot do what it was asked for. The message says why and what to do."""


class Limits(msgspec.Struct, frozen=True):
    """Resource limits of every process inside, as setrlimit(2) takes them. Core dumps are always off: they would hold
    whatever the process had in memory."""

    file_bytes: int = 4 * 1024**3
    open_files: int = 8192
    processes: int = 8192


class Commits(msgspec.Struct, frozen=True):
    """Lets `git commit` work inside a linked worktree without making the user's repository writable.

    New objects, the branch's new position, HEAD and index land in `store`, a folder of the task's own; nothing of the user's
    repository is written. `git_dir` is `<common>/worktrees/<name>`, `branch` the full ref ("refs/heads/goose/t1"). `identity`
    is the (name, email) of the commits where the repository's configuration names none: the user's own is out of sight."""

    git_dir: Path
    branch: str
    store: Path
    identity: tuple[str, str]


class Policy(msgspec.Struct, frozen=True):
    """What one task's processes may touch. Paths are absolute; they need not be free of symlinks.

    `workspace` is writable unless `read_only` (plan mode); its `.git` never is. `writable` and `readable` are further
    paths (toolchains, the running Python, logs): a missing one is ignored, so that a list made once fits every machine.
    `home` is replaced by an empty folder of its own, with `cache` as its `.cache` when given. `tmp` becomes /tmp; without
    it /tmp is empty at each start. `proxy` is the socket of a `proxy.HostProxy`, the way out while there is no
    `network` (level full on Linux; elsewhere there is none). `git_common` is the user's repository, read-only. `network`
    gives the host's network.
    `unix_sockets` allows local sockets to be made, which some test suites need; those of the host stay out of sight at
    level full."""

    workspace: Path
    home: Path
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    git_common: Path | None = None
    commits: Commits | None = None
    tmp: Path | None = None
    cache: Path | None = None
    network: bool = False
    proxy: Path | None = None
    unix_sockets: bool = False
    read_only: bool = False
    limits: Limits = Limits()


class SpawnSpec(msgspec.Struct, frozen=True):
    """A process start, complete: run `argv` in `cwd` with exactly `env`, in a new session.

    It needs no inherited descriptors and no preexec function, so any launcher can use it, the MCP SDK's included."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
