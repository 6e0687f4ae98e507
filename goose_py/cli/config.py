"""`goose-py config`: the settings there are, and what they are set to."""

import sys
import tomllib

import click


@click.group()
def config() -> None:
    """Settings: flags win over the environment, that over your file."""


@config.command("list")
def list_() -> int:
    """Every key with its value, where the value comes from, and what it is for."""
    from goose_py.bootstrap.host import Host
    from goose_py.bootstrap.settings import load_settings
    from goose_py.config.keys import table

    host = Host.here()
    loaded = load_settings(host)
    origins = loaded.origins()
    print(f"# {host.paths.config_file}")
    for key in table().values():
        origin = origins.get(key.name, "default")
        print(f"{key.name:<32} {_value(loaded.settings, key.name)!s:<16} [{origin}]  {key.doc}")
    for warning in loaded.warnings:
        print(f"! {warning}", file=sys.stderr)
    return 0


@config.command()
@click.argument("key")
def get(key: str) -> int:
    """Print the value of one key."""
    from goose_py.bootstrap.host import Host
    from goose_py.bootstrap.settings import load_settings
    from goose_py.protocol.errors import UserError

    value: object = load_settings(Host.here()).settings
    for part in key.split("."):
        missing = object()
        found = value.get(part, missing) if isinstance(value, dict) else getattr(value, part, missing)
        if found is missing:
            raise UserError(f"There is no key {key!r}; `goose-py config list` shows all of them.")
        value = found
    print(_shown(value))
    return 0


@config.command("set")
@click.argument("key")
@click.argument("value")
def set_(key: str, value: str) -> int:
    """Set one key in your file; comments and order stay as they are."""
    from goose_py.bootstrap.host import Host
    from goose_py.config.edit import set_value

    host = Host.here()
    set_value(host.paths.config_file, key, _parsed(value))
    print(f"{key} is set in {host.paths.config_file}.")
    return 0


@config.command()
@click.argument("key")
def unset(key: str) -> int:
    """Remove one key from your file."""
    from goose_py.bootstrap.host import Host
    from goose_py.config.edit import unset_value

    host = Host.here()
    removed = unset_value(host.paths.config_file, key)
    print(f"{key} is no longer set." if removed else f"{key} was not set in {host.paths.config_file}.")
    return 0


@config.command()
def path() -> int:
    """Print where your file is."""
    from goose_py.bootstrap.host import Host

    print(Host.here().paths.config_file)
    return 0


def _parsed(value: str) -> object:
    """A TOML value; a word that is none is a text."""
    try:
        return tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return value


def _shown(value: object) -> str:
    """As it would stand in the file: a text bare, everything else as TOML; "" where nothing is set."""
    if value is None or isinstance(value, str):
        return value or ""
    import msgspec
    import tomlkit

    plain = _without_nothing(msgspec.to_builtins(value))
    if isinstance(plain, dict):
        return tomlkit.dumps(plain).strip()
    return tomlkit.item(plain).as_string()


def _without_nothing(value: object) -> object:
    """TOML has no null."""
    if isinstance(value, dict):
        return {key: _without_nothing(item) for key, item in value.items() if item is not None}
    return [_without_nothing(item) for item in value] if isinstance(value, (list, tuple)) else value


def _value(settings: object, name: str) -> object:
    value = settings
    for part in name.split("."):
        if part == "*":
            return "…"
        value = value.get(part) if isinstance(value, dict) else getattr(value, part, None)
    return "–" if value in (None, (), {}) else _shown(value)
