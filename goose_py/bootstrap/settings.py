"""Configuration of this machine, for one folder and one task."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from goose_py.bootstrap.host import Host
from goose_py.config.load import Loaded, load
from goose_py.config.secrets import SecretStore
from goose_py.tasks.spec import TaskSpec

PROJECT_FILE = Path(".goose") / "config.toml"


def load_settings(host: Host, spec: TaskSpec | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """The user's file, the environment, and what this task was given. Raises ConfigError.

    A repository's own file is not read before it is trusted, which this version has no way to say yet."""
    folder = Path(spec.folder) if spec is not None else host.cwd
    return load(
        user=host.paths.config_file,
        project=folder / PROJECT_FILE,
        trusted=False,
        env=host.env,
        flags=dict(spec.overrides) if spec is not None else dict(flags or {}),
    )


def secret_store(host: Host, notice: Callable[[str], None] | None = None) -> SecretStore:
    def say(text: str) -> None:
        print(text, file=sys.stderr)

    return SecretStore(host.env, host.paths.secrets_file, notice=notice or say)
