"""What extensions get of the program that hosts them. Nothing is read from the process's own environment."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from goose_py.toolbox.processes import ProcessRecord

Launch = Callable[[Sequence[str], Mapping[str, str], str], tuple[Sequence[str], Mapping[str, str]]]
"""`launch(argv, env, cwd)` returns the command and environment to start instead: the sandbox goes here. Raises OSError or
GooseError where it will not have it started."""


def launch_plain(argv: Sequence[str], env: Mapping[str, str], cwd: str) -> tuple[Sequence[str], Mapping[str, str]]:
    return argv, env


def no_secret(name: str) -> str | None:
    return None


class ExtensionHost(msgspec.Struct, frozen=True, kw_only=True):
    """`workspace` is the folder that tools work in, `shown` what it is called inside `launch`, where that is another path.
    `standing`, `spawn`, `state` and `env` are handed to bundled servers as they are: how they know it, how they start
    processes, the folder for their own files, the environment of what they start.

    `environment` is the scrubbed base environment of third-party servers (PATH at least); `secret` finds the value of a
    name that an extension declared in `env_keys`; `on_process(record, alive)` hears of every server process, so that a
    list of them can be kept on disk for `processes.reap`. `redact` takes secrets out of text before it is kept in a file;
    `cleaner` makes what does so for the output of one command, as it arrives: `feed(bytes)` and `end()` return bytes."""

    workspace: Path
    shown: Path | None = None
    standing: Mapping[str, Any] = {}
    spawn: Any = None
    state: Path | None = None
    env: Mapping[str, str] | None = None
    environment: Mapping[str, str] = {}
    launch: Launch = launch_plain
    secret: Callable[[str], str | None] = no_secret
    on_process: Callable[[ProcessRecord, bool], None] | None = None
    redact: Callable[[str], str] = str
    cleaner: Callable[[], Any] | None = None
