"""Changing the user's file, only ever because `configure` was asked to: comments, order and format stay as they are."""

import codecs
import tomllib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from goose_py.config import layers
from goose_py.config.errors import ConfigError
from goose_py.config.paths import private_folder
from goose_py.files import locked, write_atomic


def set_value(path: Path, key: str, value: Any) -> None:
    """Set one key or one whole table (`extensions.fs`) of the file at `path`, which need not exist. Writers wait for each
    other; a reader sees the old file or the new one. The file keeps its mode, a new one is 0600.

    Raises `ConfigError` where the key is unknown, the value does not fit, or the file is not valid TOML as it stands: a
    file that the user has to mend first is left alone."""
    parts = layers.split_key(key)
    _check(parts, value)

    def change(document: Any) -> None:
        table = document
        for part in parts[:-1]:
            if part not in table:
                table[part] = _table_for(table)
            table = table[part]
        table[parts[-1]] = _item_for(table, value)

    _change(path, change, lambda values: layers.put(values, parts, value))


def unset_value(path: Path, key: str) -> bool:
    """Remove one key or table; False where it was not set. Raises as `set_value` does."""
    parts = layers.split_key(key)
    return _change(path, lambda document: _remove(document, parts), lambda values: _remove(values, parts))


def _remove(values: Any, parts: tuple[str, ...]) -> None:
    for part in parts[:-1]:
        values = values.get(part)
        if not isinstance(values, Mapping):
            return
    if parts[-1] in values:
        del values[parts[-1]]


def _check(parts: tuple[str, ...], value: Any) -> None:
    from goose_py.config.diagnose import problems

    values: dict[str, Any] = {}
    layers.put(values, parts, dict(value) if isinstance(value, Mapping) else value)
    found = problems(layers.Layer(name="flag", where="configure", values=values))
    if found:
        raise ConfigError(found)


def _change(path: Path, change: Callable[[Any], None], same: Callable[[dict[str, Any]], None]) -> bool:
    """Apply `change` to the document; whether it changed anything. `same` is the change to the plain values: where the
    two do not agree, the file is written in a way that cannot be kept, and is left alone."""
    import tomlkit
    from tomlkit.exceptions import TOMLKitError

    private_folder(path.parent)
    with locked(path):
        try:
            before, mode = path.read_bytes(), path.stat().st_mode & 0o777
        except FileNotFoundError:
            before, mode = b"", 0o600
        expected = layers.parse(before, name="user", where=str(path)).values
        same(expected)
        try:
            document = tomlkit.parse(before.decode("utf-8-sig"))
            change(document)
            text = tomlkit.dumps(document)
            agreed = _pruned(tomllib.loads(text)) == _pruned(expected)
        except (TOMLKitError, tomllib.TOMLDecodeError, TypeError, ValueError):
            agreed = False
        if not agreed:
            raise ConfigError((f"{path}: cannot be changed without rewriting it; please change it by hand.",))
        changed = layers.parse(before, name="user", where="").values != expected
        if changed:
            mark = codecs.BOM_UTF8 if before.startswith(codecs.BOM_UTF8) else b""
            write_atomic(path.resolve(), mark + text.encode(), mode=mode)
        return changed


def _pruned(values: dict[str, Any]) -> dict[str, Any]:
    """Without tables that hold nothing: whether the header of one stays says nothing."""
    pruned = {name: _pruned(value) if isinstance(value, dict) else value for name, value in values.items()}
    return {name: value for name, value in pruned.items() if value != {}}


def _table_for(parent: Any) -> Any:
    import tomlkit
    from tomlkit.items import InlineTable

    return tomlkit.inline_table() if isinstance(parent, InlineTable) else tomlkit.table()


def _item_for(parent: Any, value: Any) -> Any:
    """Tables inside an inline table are inline too."""
    from tomlkit.items import InlineTable

    if not isinstance(value, Mapping) or not isinstance(parent, InlineTable):
        return value
    table = _table_for(parent)
    for name, item in value.items():
        table[name] = _item_for(table, item)
    return table
