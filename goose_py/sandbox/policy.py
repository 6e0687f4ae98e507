"""What a sandboxed process may touch, and the start command that comes of it. Values only; nothing here runs."""

import os
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


GIT_DIR = "/run/goose-py/git"
GIT_OBJECTS = "/run/goose-py/objects"


class GitInside(msgspec.Struct, frozen=True):
    """The git directory that a task has of its own, which makes `git commit` work where the user's repository is not there at
    all. `folder` is it on the host, seen at GIT_DIR; what lies in `<folder>.fixed`, its configuration and hooks, is laid over
    it read-only. `objects` are the stores that it borrows from, read-only at GIT_OBJECTS by their number."""

    folder: Path
    objects: tuple[Path, ...]


class Share(msgspec.Struct, frozen=True):
    """A folder of the user's that the task works with as it is: its dependencies.

    It is seen at `path`, which is relative to the workspace or, for a folder elsewhere, absolute, and read from `source`.
    What the task changes of it lands in `upper`, a folder of its own; without one it changes nothing. `hidden` are the
    paths below it that the task does not see."""

    source: Path
    path: Path
    upper: Path | None = None
    hidden: tuple[str, ...] = ()


class Namespaces(msgspec.Struct, frozen=True):
    """Where the shares are mounted, as paths that nsenter(1) takes. They hold as long as the process that they name."""

    user: str
    mount: str


class Grants(msgspec.Struct, frozen=True):
    """What a policy gives beyond the workspace, as sentences are made of it. `hosts` are those of the network that are open
    while the rest of it is not."""

    network: bool
    hosts: tuple[str, ...]
    readable: tuple[Path, ...]
    writable: tuple[Path, ...]
    shared: tuple[Share, ...]
    read_only: bool


class Policy(msgspec.Struct, frozen=True):
    """What one task's processes may touch. Paths are absolute; they need not be free of symlinks.

    `workspace` is writable unless `read_only`; its `.git` never is. Where the backend can mount, it is seen at
    `place`, and what stands there on the host is out of reach; None is its own path. `names` are
    further paths that mean the place, through symlinks of the user's. `shares` are folders of the user's
    that are seen in it; those with an upper layer are mounted in `namespaces`. `writable` and `readable` are further
    paths (toolchains, the running Python, logs): a missing one is ignored, so that a list made once fits every machine.
    `home` is replaced by an empty folder of its own, with `cache` as its `.cache` when given. `tmp` becomes /tmp; without
    it /tmp is empty at each start. `proxy` is the socket of a `proxy.HostProxy`, the way out to `hosts` while there is no
    `network` (level full on Linux; elsewhere there is none). `git` is what the workspace's `.git` leads to where
    the backend can mount; elsewhere that is the user's repository, which then has to be `readable`. `network`
    gives the host's network.
    `unix_sockets` allows local sockets to be made, which some test suites need; those of the host stay out of sight at
    level full."""

    workspace: Path
    home: Path
    place: Path | None = None
    names: tuple[Path, ...] = ()
    shares: tuple[Share, ...] = ()
    namespaces: Namespaces | None = None
    writable: tuple[Path, ...] = ()
    readable: tuple[Path, ...] = ()
    git: GitInside | None = None
    tmp: Path | None = None
    cache: Path | None = None
    network: bool = False
    proxy: Path | None = None
    hosts: tuple[str, ...] = ()
    unix_sockets: bool = False
    read_only: bool = False
    limits: Limits = Limits()

    @property
    def seen_at(self) -> Path:
        """What the workspace is called inside."""
        return self.place or self.workspace

    def inside(self, path: str | Path) -> Path:
        """What a path of the host is called inside; one outside the workspace is itself."""
        return _moved(Path(path), (self.workspace, _real(self.workspace), *self.names), self.seen_at)

    def outside(self, path: str | Path) -> Path:
        """The inverse: where on the host a path lies that somebody inside, or who knows only the checkout, speaks of."""
        return _moved(Path(path), (self.seen_at, _real(self.seen_at), *self.names), self.workspace)

    def reading(self) -> "Policy":
        """For processes that are to change nothing: none of what is shared can be written, and there is no network. /tmp and
        the cache of the home folder are still theirs."""
        return msgspec.structs.replace(
            self,
            read_only=True,
            readable=(*self.readable, *self.writable),
            writable=(),
            network=False,
            proxy=None,
            hosts=(),
            unix_sockets=False,
        )

    def grants(self) -> Grants:
        """What is open besides the workspace and the system: network, folders, shares."""
        hosts = self.hosts if self.proxy is not None and not self.network else ()
        return Grants(self.network, hosts, self.readable, self.writable, self.shares, self.read_only)


def _moved(path: Path, origins: tuple[Path, ...], target: Path) -> Path:
    """By the names alone, so that `..` behind a symlink leads where it led; what climbs out stays what it is."""
    for origin in origins:
        if path.is_relative_to(origin) and Path(os.path.normpath(path)).is_relative_to(origin):
            return target / path.relative_to(origin)
    return path


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))


class SpawnSpec(msgspec.Struct, frozen=True):
    """A process start, complete: run `argv` in `cwd` with exactly `env`, in a new session.

    It needs no inherited descriptors and no preexec function, so any launcher can use it, the MCP SDK's included."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: str
