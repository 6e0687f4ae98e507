"""Configuration of this machine, for one folder and one task."""

import sys
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.config.errors import ConfigError
from goose_py.config.load import Loaded, load
from goose_py.config.secrets import SecretStore
from goose_py.config.settings import AUTO, NONE
from goose_py.protocol.errors import UserError
from goose_py.tasks.spec import TaskSpec

PROJECT_FILE = Path(".goose") / "config.toml"


def load_settings(host: Host, spec: TaskSpec | None = None, flags: Mapping[str, Any] | None = None) -> Loaded:
    """The user's file, what a trusted repository's own file may say, the environment, and what this task was given. Raises
    ConfigError."""
    stands = (Path(spec.folder) if spec is not None else host.cwd).resolve()
    root = project_root(stands)
    file = root / PROJECT_FILE
    trusted, approved = False, frozenset[str]()
    if file.is_file():
        from goose_py.bootstrap.trust_store import trust_store
        from goose_py.permissions.trust import identify

        store, folder = trust_store(host), identify(root)
        trusted, approved = store.trusts(folder), store.approved(folder)
    loaded = load(
        user=host.paths.config_file,
        project=file,
        trusted=trusted,
        approved=approved,
        env=host.env,
        flags=dict(spec.overrides) if spec is not None else dict(flags or {}),
    )
    _refuse_own(loaded.settings.sandbox.env)
    if not loaded.settings.checks and spec is not None and not spec.checks:
        from goose_py.bootstrap.check_trust import with_found_checks

        return with_found_checks(host, loaded, stands, root)
    if NONE in loaded.settings.checks:
        return without_checks(loaded)
    if AUTO in loaded.settings.checks:
        from goose_py.bootstrap.check_trust import with_auto_checks

        return with_auto_checks(host, loaded, stands, root)
    if stands != root and loaded.origins().get("checks") == "project":
        from goose_py.bootstrap.check_trust import begun_in

        # Its file stands in the root, and says them for there.
        checks = tuple(begun_in(stands, root, check) for check in loaded.settings.checks)
        return msgspec.structs.replace(loaded, settings=msgspec.structs.replace(loaded.settings, checks=checks))
    return loaded


def _refuse_own(names: Collection[str]) -> None:
    """Raises ConfigError where variables are granted that nobody can grant."""
    if names:
        from goose_py.sandbox.variables import refusal

        if problems := tuple(why for name in names if (why := refusal(name))):
            raise ConfigError(problems)


def without_checks(loaded: Loaded) -> Loaded:
    """Raises UserError where `none` is not the only one."""
    if loaded.settings.checks != (NONE,):
        raise UserError(f"`{NONE}` is no check beside others: it says that none shall run.")
    return msgspec.structs.replace(loaded, settings=msgspec.structs.replace(loaded.settings, checks=()))


def project_root(folder: Path) -> Path:
    """The folder whose files speak for the project: the nearest one upwards that has a `.git`, else `folder` itself. What the
    `.git` says plays no part: a pointer to a trusted place lends no trust."""
    real = folder.resolve()
    return next((place for place in (real, *real.parents) if (place / ".git").exists()), real)


def told_of(loaded: Loaded) -> tuple[str, ...]:
    """What a person should know of how the settings came about, in sentences."""
    waiting = tuple(f"{ignored.key} of {ignored.file} does not count: {ignored.reason}." for ignored in loaded.ignored)
    hint = ("`goose-py trust` shows what this repository wants and lets you approve it.",) if loaded.pending else ()
    return (*loaded.warnings, *waiting, *hint)


def secret_store(host: Host, notice: Callable[[str], None] | None = None) -> SecretStore:
    def say(text: str) -> None:
        print(text, file=sys.stderr)

    return SecretStore(host.env, host.paths.secrets_file, notice=notice or say)
