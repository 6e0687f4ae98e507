"""Changing the user's file, only ever because `configure` was asked to: comments, order and format stay as they are."""

import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from goose_py.config import layers
from goose_py.config.errors import ConfigError
from goose_py.config.files import locked, write_atomic
from goose_py.config.paths import private_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from tomlkit import TOMLDocument


def set_value(path: Path, key: str, value: Any) -> None:
    """Set one key or one whole table (`extensions.fs`) of the file at `path`, which need not exist. Writers wait for each
    other; a reader sees the old file or the new one. The file keeps its mode, a new one is 0600.

    Raises `ConfigError` where the key is unknown, the value does not fit, or the file is not valid TOML as it stands: a
    file that the user has to mend first is left alone."""
    parts = layers.split_key(key)
    _check(parts, value)

    def change(document: "TOMLDocument") -> None:
        table: Any = document
        for part in parts[:-1]:
            if part not in table:
                table[part] = _table()
            table = table[part]
        table[parts[-1]] = value

    _change(path, change)


def unset_value(path: Path, key: str) -> bool:
    """Remove one key or table; False where it was not set. Raises as `set_value` does."""
    parts = layers.split_key(key)
    found = False

    def change(document: "TOMLDocument") -> None:
        nonlocal found
        table: Any = document
        for part in parts[:-1]:
            table = table.get(part)
            if not isinstance(table, Mapping):
                return
        found = parts[-1] in table
        if found:
            del table[parts[-1]]

    _change(path, change)
    return found


def _check(parts: tuple[str, ...], value: Any) -> None:
    from goose_py.config.diagnose import problems

    values: dict[str, Any] = {}
    layers.put(values, parts, dict(value) if isinstance(value, Mapping) else value)
    found = problems(layers.Layer(name="flag", where="configure", values=values))
    if found:
        raise ConfigError(found)


def _change(path: Path, change: Callable[["TOMLDocument"], None]) -> None:
    import tomlkit

    private_folder(path.parent)
    with locked(path):
        try:
            before, mode = path.read_bytes(), path.stat().st_mode & 0o777
        except FileNotFoundError:
            before, mode = b"", 0o600
        layers.parse(before, name="user", where=str(path))
        document = tomlkit.parse(before)
        change(document)
        after = tomlkit.dumps(document).encode()
        tomllib.loads(after.decode())
        if after != before:
            write_atomic(path, after, mode=mode)


def _table() -> Any:
    import tomlkit

    return tomlkit.table()
