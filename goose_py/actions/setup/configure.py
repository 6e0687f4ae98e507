"""What `goose-py configure` does: asks what was not given, stores the key, and changes the user's file only there."""

import asyncio
import getpass
import sys
from dataclasses import dataclass
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import load_settings, secret_store
from goose_py.config.edit import set_value
from goose_py.protocol.errors import UserError
from goose_py.providers.catalogue import Preset, model_names, nearest, presets, provider_names


@dataclass(frozen=True)
class Wanted:
    provider: str | None = None
    model: str | None = None
    base_url: str | None = None
    protocol: str | None = None
    key_stdin: bool = False


def configure_provider(wanted: Wanted) -> int:
    host = Host.here()
    configured = load_settings(host).settings
    provider = wanted.provider or (configured.provider if wanted.model else None)
    provider = provider or _ask(host, "Provider", provider_names(), configured.provider or "anthropic")
    preset = presets().get(provider)
    known = configured.providers.get(provider)
    if preset is None and not wanted.base_url and known is None:
        raise UserError(
            f"There is no provider {provider!r}.{nearest(provider, provider_names())} "
            "For a server of your own say --base-url and --protocol."
        )
    model = wanted.model or _model(host, provider, preset)
    file = host.paths.config_file
    if wanted.base_url:
        set_value(file, f"providers.{provider}.base_url", wanted.base_url)
    if wanted.protocol:
        set_value(file, f"providers.{provider}.protocol", wanted.protocol)
    key_name = _key_name(provider, preset)
    if preset is None and wanted.key_stdin:
        set_value(file, f"providers.{provider}.api_key_env", key_name)
    set_value(file, "provider", provider)
    set_value(file, "model", model)
    print(f"{provider}/{model} answers from now on ({file}).")
    asyncio.run(_key(host, wanted, preset, key_name))
    return 0


def take_over(source: str) -> int:
    from goose_py.config.goose_import import from_goose
    from goose_py.files import write_atomic

    host = Host.here()
    try:
        text = Path(source).expanduser().read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"Cannot read {source}: {error}.") from None
    converted, notes = from_goose(text)
    for note in notes:
        print(f"! {note}", file=sys.stderr)
    file = host.paths.config_file
    if file.exists():
        print(converted)
        print(f"{file} exists and was not changed: add from the above what you want.", file=sys.stderr)
        return 0
    host.paths.make()
    write_atomic(file.resolve(), converted.encode())
    print(f"Written to {file}.")
    return 0


def _model(host: Host, provider: str, preset: Preset | None) -> str:
    default = preset.default_model if preset is not None else ""
    if host.stdin_is_terminal:
        return _ask(host, "Model", model_names(provider), default)
    if default:
        return default
    raise UserError(f"No model is named for {provider}: say --model NAME.")


def _key_name(provider: str, preset: Preset | None) -> str:
    names = preset.profile.get("key_env", ()) if preset is not None else ()
    return names[0] if names else f"{provider.upper().replace('-', '_')}_API_KEY"


async def _key(host: Host, wanted: Wanted, preset: Preset | None, name: str) -> None:
    store = secret_store(host)
    if wanted.key_stdin:
        print(f"{name} is kept in the {await store.set(name, sys.stdin.readline().strip())}.")
        return
    needed = preset is not None and preset.profile.get("needs_key", True) and not wanted.base_url
    if not needed:
        return
    if await store.get(name):
        print(f"{name} is there already.")
    elif host.stdin_is_terminal:
        try:
            value = getpass.getpass(f"{name} (not shown, empty to skip): ").strip()
        except EOFError:
            value = ""
        if value:
            print(f"{name} is kept in the {await store.set(name, value)}.")
    else:
        print(f"No key yet: set {name}, or pipe it to `goose-py configure --provider {wanted.provider} --key-stdin`.")


def _ask(host: Host, what: str, known: tuple[str, ...], default: str) -> str:
    if not host.stdin_is_terminal:
        raise UserError(f"Say --{what.lower()} NAME: there is nobody to ask here. Known: {', '.join(known)}.")
    if known:
        print(f"{what}s: {', '.join(known)}")
    try:
        answer = input(f"{what}{f' [{default}]' if default else ''}: ").strip()
    except EOFError:
        raise UserError(f"No {what.lower()} was chosen; nothing was changed.") from None
    if not (answer or default):
        raise UserError(f"No {what.lower()} was chosen; nothing was changed.")
    return answer or default
