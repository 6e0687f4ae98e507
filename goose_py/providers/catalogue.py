"""What is known of providers and models, from bundled data, and how it becomes a `Profile`.

`data/providers.json` holds presets: title, address, protocol, quirks. `data/models.json` holds figures of single models with
the date and source they are from, and patterns for families of models that many servers offer under names of their own.
Nothing here is ever fetched. Every figure can be overridden in the settings."""

from collections.abc import Mapping
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import msgspec

from goose_py.protocol.errors import AuthenticationFailed, UserError
from goose_py.protocol.messages import ModelRef
from goose_py.providers.profile import Profile


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What configuration says of one provider; every field may be left out.

    `preset` names the preset that a provider of the user's own starts from ("openai" for a server of that protocol).
    `profile` overrides fields of `Profile` for all of its models, `models` for single ones (by name, or a pattern with `*`).
    `options` are for the cloud clients: `region`, `profile` (Bedrock), `project` (Vertex), `api_version` (Azure).
    `script` (path) and `values` (placeholders) are for the scripted provider. `timeouts` overrides fields of `Timeouts`."""

    preset: str | None = None
    base_url: str | None = None
    api_key: str | None = None
    transport: Literal["http", "sdk"] | None = None
    headers: dict[str, str] = {}
    timeouts: dict[str, float] = {}
    proxy: str | None = None
    ca_file: str | None = None
    options: dict[str, str] = {}
    profile: dict[str, Any] = {}
    models: dict[str, dict[str, Any]] = {}
    script: str | None = None
    values: dict[str, str] = {}


NO_SETTINGS = ProviderSettings()


class Preset(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A provider as it is known. `profile`: fields of `Profile`. `listing`: how its models are listed ("openai", "anthropic",
    "ollama", "gemini", "none"). `default_model` "" where the user must choose. `vendor`: the provider whose models it
    serves under other names (Bedrock, Vertex, Azure). `local`: it runs on the user's own machine."""

    title: str
    profile: dict[str, Any]
    default_model: str = ""
    listing: Literal["openai", "anthropic", "ollama", "none"] = "openai"
    vendor: str = ""
    local: bool = False
    note: str = ""


class Family(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    match: str
    profile: dict[str, Any]


class _Models(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    as_of: str
    source: str
    families: list[Family]
    models: dict[str, dict[str, dict[str, Any]]]


@cache
def presets() -> Mapping[str, Preset]:
    return msgspec.json.decode(_data("providers.json"), type=dict[str, Preset])


def provider_names() -> tuple[str, ...]:
    return tuple(sorted(presets()))


def model_names(provider: str) -> tuple[str, ...]:
    """The models of a provider that the catalogue knows, sorted; empty for servers with models of their own."""
    return tuple(sorted(_models().models.get(provider, {})))


def resolve(ref: ModelRef, settings: ProviderSettings = NO_SETTINGS) -> Profile:
    """The profile of a model. Later layers win: the preset, the model's family, the model, then the settings. Raises
    `UserError` in one sentence for a provider that is not known, a model without a name, and settings that do not fit."""
    preset = _preset(ref.provider, settings)
    if not ref.model:
        known = ", ".join(model_names(ref.provider)[:8])
        raise UserError(f"No model is named for {ref.provider}." + (f" Known are: {known}." if known else ""))
    facts = _facts(ref, settings, preset)
    guessed = facts is None or facts.get("assumed", False)
    own = {**settings.profile, **_matching(settings.models, ref.model)}
    layers: dict[str, Any] = {
        **preset.profile,
        **(_family(ref.model) if guessed else {}),
        **(facts or {}),
        **own,
        "provider": ref.provider,
        "model": ref.model,
        "title": preset.title,
    }
    layers["assumed"] = guessed and "context_window" not in own
    layers["headers"] = {**preset.profile.get("headers", {}), **settings.headers}
    layers["timeouts"] = {**layers.get("timeouts", {}), **settings.timeouts}
    if settings.transport:
        layers["transport"] = settings.transport
    if settings.base_url:
        layers["base_url"] = settings.base_url
        layers["needs_key"] = False  # a server of the user's own: it will say so itself if it wants a key
    if layers.get("base_url"):
        layers["base_url"] = _base_url(layers["base_url"], layers["protocol"], ref.provider)
    try:
        return msgspec.convert(layers, Profile)
    except msgspec.ValidationError as error:
        raise UserError(f"The settings of the provider {ref.provider} do not fit: {error}.") from None


def listing_of(provider: str, settings: ProviderSettings = NO_SETTINGS) -> str:
    """How a provider's models are listed: "openai", "anthropic", "ollama" or "none"."""
    return _preset(provider, settings).listing


def check_key(profile: Profile, api_key: str | None) -> None:
    """Raises `AuthenticationFailed` in one sentence where the provider needs a key and none is there."""
    if profile.needs_key and not api_key:
        names = " or ".join(profile.key_env)
        how = f"set {names}, or run `goose-py configure`" if names else "run `goose-py configure`"
        raise AuthenticationFailed(f"{profile.title or profile.provider} needs a key: {how}.", provider=profile.provider)


def nearest(name: str, known: tuple[str, ...]) -> str:
    """"Did you mean" for an unknown name; "" where nothing is near."""
    from difflib import get_close_matches

    found = get_close_matches(name.lower(), known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(found)}?" if found else ""


def unknown_model_hint(profile: Profile) -> str:
    """What to add to a provider's "no such model": the nearest names that the catalogue knows."""
    return nearest(profile.model, model_names(profile.provider)) if profile.assumed else ""


def _preset(provider: str, settings: ProviderSettings) -> Preset:
    name = settings.preset or provider
    if name in presets():
        return presets()[name]
    known = provider_names()
    hint = nearest(name, known) or f" Known are: {', '.join(known)}."
    own = "" if settings.preset else ' For a server of your own, give it `preset = "openai-compatible"` and a `base_url`.'
    raise UserError(f"No provider is known by the name {name!r}.{hint}{own}")


def _facts(ref: ModelRef, settings: ProviderSettings, preset: Preset) -> dict[str, Any] | None:
    listed = _models()
    for provider in (ref.provider, settings.preset or "", preset.vendor):
        known = listed.models.get(provider, {})
        name = ref.model if ref.model in known else _plain_name(ref.model, known)
        if name:
            return _dated(known[name])
    return None


def _plain_name(model: str, known: Mapping[str, Any]) -> str:
    """The catalogue's name within a cloud's own: `us.anthropic.claude-sonnet-5-v1:0`, `claude-sonnet-5@default`; a dated
    snapshot (`gpt-5.4-2026-03-05`) has its model's figures."""
    inside = [name for name in known if name in model]
    best = max(inside, key=len, default="")
    rest = model.partition(best)[2] if best else ""
    return best if not rest or (rest[0] in "-@:" and _is_snapshot(rest[1:])) else ""


def _is_snapshot(rest: str) -> bool:
    return all(part.isdigit() or part in ("v1", "v2", "default", "latest") for part in rest.replace(":", "-").split("-"))


def _dated(facts: dict[str, Any]) -> dict[str, Any]:
    price = facts.get("price")
    if price is None:
        return facts
    listed = _models()
    return facts | {"price": {"as_of": listed.as_of, "source": listed.source, **price}}


def _family(model: str) -> dict[str, Any]:
    name = model.lower()
    return next((family.profile for family in _models().families if fnmatchcase(name, family.match)), {})


def _matching(overrides: Mapping[str, dict[str, Any]], model: str) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    for pattern, fields in overrides.items():
        if pattern != model and fnmatchcase(model, pattern):
            merged |= fields
    return merged | overrides.get(model, {})


def _base_url(url: str, protocol: str, provider: str) -> str:
    """Without a slash at its end, and for Anthropic without the `/v1` that its paths begin with."""
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"The base URL {url!r} of {provider} must begin with http:// or https:// and name a host.")
    url = url.rstrip("/")
    return url.removesuffix("/v1") if protocol == "anthropic" else url.removesuffix("/api") if protocol == "ollama" else url


@cache
def _models() -> _Models:
    return msgspec.json.decode(_data("models.json"), type=_Models)


def _data(name: str) -> bytes:
    return (Path(__file__).parent / "data" / name).read_bytes()


