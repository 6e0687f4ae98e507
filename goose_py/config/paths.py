"""Where goose-py keeps its own things. Computed from an environment that is handed in, never from the process's own.

Source: XDG Base Directory Specification 0.8 on Linux and other systems; Apple's `~/Library` only for caches, as the
command-line tools that people keep in dotfiles do.
"""

import errno
import os
from collections.abc import Mapping
from pathlib import Path

import msgspec

NAME = "goose-py"


class Paths(msgspec.Struct, frozen=True, kw_only=True):
    """Absolute folders. `config`: what the user wrote. `data`: sessions, tasks. `state`: locks, logs, trust, private
    repositories. `cache`: may be deleted at any time. `runtime`: sockets; not in XDG_RUNTIME_DIR, which cron and su do not
    have, and which a logout empties while tasks go on."""

    config: Path
    data: Path
    state: Path
    cache: Path
    runtime: Path

    @property
    def config_file(self) -> Path:
        return self.config / "config.toml"

    @property
    def secrets_file(self) -> Path:
        return self.config / "secrets.json"

    @property
    def recipes(self) -> Path:
        return self.config / "recipes"

    def make(self) -> None:
        """Make the folders, each 0700 whatever the umask is. A folder that exists and is open to others is closed; one that
        belongs to somebody else raises `PermissionError`."""
        for path in (self.config, self.data, self.state, self.cache, self.runtime):
            private_folder(path)


def private_folder(path: Path) -> Path:
    """Make a folder that only its owner can enter. Parents are made as the umask says. Raises `PermissionError` for one
    that belongs to somebody else, and `OSError`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid():
        raise PermissionError(errno.EPERM, "it belongs to another user", str(path))
    if found.st_mode & 0o077:
        path.chmod(0o700)
    return path


def resolve(env: Mapping[str, str], *, home: Path, platform: str) -> Paths:
    """The folders that `env` asks for. `GOOSE_PY_HOME` puts them all beneath one root. Relative paths in variables are
    ignored, as XDG asks; a relative `GOOSE_PY_HOME` too, because a program started in a hostile folder must not take its
    settings from there."""
    root = _absolute(env.get("GOOSE_PY_HOME"), home)
    if root is not None:
        return Paths(
            config=root / "config",
            data=root / "data",
            state=root / "state",
            cache=root / "cache",
            runtime=root / "run",
        )
    caches = home / "Library" / "Caches" if platform == "darwin" else home / ".cache"
    state = (_absolute(env.get("XDG_STATE_HOME"), home) or home / ".local" / "state") / NAME
    return Paths(
        config=(_absolute(env.get("XDG_CONFIG_HOME"), home) or home / ".config") / NAME,
        data=(_absolute(env.get("XDG_DATA_HOME"), home) or home / ".local" / "share") / NAME,
        state=state,
        cache=(_absolute(env.get("XDG_CACHE_HOME"), home) or caches) / NAME,
        runtime=state / "run",
    )


def _absolute(value: str | None, home: Path) -> Path | None:
    if not value:
        return None
    if value == "~" or value.startswith("~/"):
        return home / value[2:]
    path = Path(value)
    return path if path.is_absolute() else None
