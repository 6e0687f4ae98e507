"""What `goose-py models` prints."""

import asyncio

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.models import Models, chosen_model
from goose_py.bootstrap.settings import load_settings, secret_store
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef
from goose_py.protocol.safe_text import safe_text
from goose_py.providers.catalogue import model_names, nearest, presets, provider_names


def print_models(provider: str | None) -> int:
    if provider is None:
        named = max(map(len, provider_names()))
        titled = max(len(presets()[name].title) for name in provider_names())
        for name in provider_names():
            preset = presets()[name]
            known = len(model_names(name))
            what = f"{known} models known" if known else "models of its own"
            print(f"{name:<{named}}  {preset.title:<{titled}}  {what}{', local' if preset.local else ''}")
        return 0
    if provider not in presets():
        raise UserError(f"There is no provider {provider!r}.{nearest(provider, provider_names())}")
    names = model_names(provider)
    for name in names:
        print(f"{provider}/{name}")
    if not names:
        print(f"{provider} has models of its own: `goose-py models probe {provider}` asks for them.")
    return 0


def print_model(name: str) -> int:
    host = Host.here()
    provider, separator, model = name.partition("/")
    if not separator:
        raise UserError(f"Name the provider as well: PROVIDER/{name}.")
    return asyncio.run(_print_model(host, ModelRef(provider=provider, model=model)))


async def _print_model(host: Host, ref: ModelRef) -> int:
    profile = await open_models(host).profile(ref)
    price = profile.price
    lines = [
        ("model", str(ref) + (" (not in the catalogue: safe assumptions)" if profile.assumed else "")),
        ("protocol", f"{profile.protocol} over {profile.transport}, {profile.base_url or 'address set by its client'}"),
        ("window", f"{profile.context_window:,} tokens, answers up to {profile.max_output_tokens:,}"),
        ("price", f"${price.input:g} in, ${price.output:g} out per million tokens" if price else "not known"),
        ("effort", ", ".join(profile.efforts) or "no such dial"),
        ("images", "yes" if profile.images else "no"),
        ("tool calls", profile.tool_calls + ("" if profile.tool_set == "full" else ", small set of tools")),
        ("edits with", profile.edit_format),
        ("key", " or ".join(profile.key_env) if profile.needs_key else "none needed"),
    ]
    for label, value in lines:
        print(f"{label:<11} {value}")
    return 0


def probe_models(provider: str | None) -> int:
    return asyncio.run(_probe(Host.here(), provider))


async def _probe(host: Host, provider: str | None) -> int:
    from goose_py.providers.probe import list_models

    settings = load_settings(host).settings
    name = provider or chosen_model(settings).provider
    found = await list_models(name, await open_models(host).settings_of(name), now=host.now)
    for model in found:
        window = f"  {model.context_window:,} tokens" if model.context_window else ""
        print(safe_text(f"{name}/{model.name}{window}"))
    if not found:
        print(f"{name} answered, and has no models.")
    return 0


def open_models(host: Host) -> Models:
    return Models(host, load_settings(host).settings, secret_store(host))
