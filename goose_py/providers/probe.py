"""Asking a server what it has: its models, and how large their windows really are. Nothing here runs by itself: `models
probe` and `doctor` ask for it."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any

import msgspec

from goose_py.protocol.errors import ProviderUnavailable, RequestRejected
from goose_py.protocol.messages import ModelRef
from goose_py.providers import errors
from goose_py.providers.catalogue import NO_SETTINGS, ProviderSettings, listing_of, resolve
from goose_py.providers.profile import Profile
from goose_py.providers.transport import HttpTransport, network_errors

_PATIENCE = 10.0
_LARGEST = 32 * 1024 * 1024


class FoundModel(msgspec.Struct, frozen=True, kw_only=True):
    """A model as its server describes it; None where the server does not say. `chosen`: somebody set the window, it is not
    only what the model was trained for."""

    name: str
    context_window: int | None = None
    chosen: bool = False
    max_output_tokens: int | None = None
    tools: bool | None = None
    images: bool | None = None


async def list_models(
    provider: str, settings: ProviderSettings = NO_SETTINGS, *, now: Callable[[], float]
) -> tuple[FoundModel, ...]:
    """The models that an endpoint offers, sorted by name. Raises `ModelError` where it cannot be asked, `RequestRejected`
    where it has no listing (Bedrock, Vertex, Azure)."""
    profile = resolve(ModelRef(provider=provider, model="?"), settings)
    listing = listing_of(provider, settings)
    if listing == "none":
        raise RequestRejected(f"{profile.title} does not list its models.", provider=provider)
    async with Ask(profile, settings, now) as ask:
        if listing == "ollama":
            found = [FoundModel(name=entry["name"]) for entry in (await ask("GET", "/api/tags"))["models"]]
        else:
            path = "/v1/models?limit=1000" if listing == "anthropic" else "/models"
            found = [_described(entry) for entry in (await ask("GET", path))["data"]]
    return tuple(sorted(found, key=lambda model: model.name))


async def describe(
    ref: ModelRef, settings: ProviderSettings = NO_SETTINGS, *, now: Callable[[], float]
) -> FoundModel:
    """What a server says of one model. Ollama: `/api/show` (its length, which `num_ctx` may not exceed, and its abilities);
    vLLM and OpenRouter: the listing; llama.cpp: `/props`; LM Studio: its own listing."""
    profile = resolve(ref, settings)
    async with Ask(profile, settings, now) as ask:
        if profile.protocol == "ollama":
            return _shown_by_ollama(ref.model, await ask("POST", "/api/show", {"model": profile.wire_model}))
        for question in (_from_listing, _from_props, _from_lmstudio):
            try:
                if found := await question(ask, profile):
                    return FoundModel(name=ref.model, context_window=found)
            except RequestRejected:
                continue  # this server has no such page
    return FoundModel(name=ref.model)


class Ask:
    """One conversation with a server's pages. Raises what `errors` makes of a failure."""

    def __init__(self, profile: Profile, settings: ProviderSettings, now: Callable[[], float]) -> None:
        adapter = import_module(f"goose_py.providers.protocols.{profile.protocol}")
        self._transport = HttpTransport(profile, settings, adapter.HEADERS)
        self._profile = profile
        self._secret = settings.api_key or ""
        self._now = now

    async def __call__(self, method: str, path: str, body: dict[str, Any] | None = None, *, root: bool = False) -> Any:
        """`root`: the path begins at the server, not at the protocol's base."""
        base = self._profile.base_url
        if root:
            base = base.removesuffix("/v1")
        try:
            async with asyncio.timeout(_PATIENCE):
                response = await self._transport.request(method, base + path, body)
                try:
                    said = await response.read(_LARGEST)
                finally:
                    await response.close()
        except TimeoutError:
            raise ProviderUnavailable(
                f"{self._profile.provider} did not answer {path} within {_PATIENCE:g} s.", provider=self._profile.provider
            ) from None
        except network_errors() as error:
            raise errors.from_network(error, provider=self._profile.provider, url=base) from error
        if response.status != 200:
            raise errors.from_response(
                response.status, response.headers, said, provider=self._profile.provider, secret=self._secret, now=self._now
            )
        try:
            return msgspec.json.decode(said, type=dict[str, Any])
        except msgspec.DecodeError:
            raise RequestRejected(
                f"{self._profile.provider} answered {path} with something that is no JSON object.",
                provider=self._profile.provider,
            ) from None

    async def __aenter__(self) -> "Ask":
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self._transport.close()


async def _from_listing(ask: Ask, profile: Profile) -> int | None:
    path = "/v1/models?limit=1000" if profile.protocol == "anthropic" else "/models"
    for entry in (await ask("GET", path))["data"]:
        if entry.get("id") == profile.wire_model:
            return _described(entry).context_window
    return None


async def _from_props(ask: Ask, profile: Profile) -> int | None:
    props = await ask("GET", "/props", root=True)
    return _whole(props.get("default_generation_settings", {}).get("n_ctx")) or _whole(props.get("n_ctx"))


async def _from_lmstudio(ask: Ask, profile: Profile) -> int | None:
    for entry in (await ask("GET", "/api/v0/models", root=True))["data"]:
        if entry.get("id") == profile.wire_model:
            return _whole(entry.get("loaded_context_length")) or _whole(entry.get("max_context_length"))
    return None


def _described(entry: dict[str, Any]) -> FoundModel:
    """`max_model_len` is vLLM's, `context_length` OpenRouter's and Together's, `context_window` Groq's, `max_input_tokens`
    Anthropic's, `meta.n_ctx` llama.cpp's."""
    names = ("max_model_len", "context_length", "context_window", "max_context_length", "max_input_tokens")
    meta = entry.get("meta") or {}
    window = next((size for name in names if (size := _whole(entry.get(name)))), None) or _whole(meta.get("n_ctx"))
    top = entry.get("top_provider") or {}
    limits = (top.get("max_completion_tokens"), entry.get("max_completion_tokens"), entry.get("max_tokens"))
    output = next((size for limit in limits if (size := _whole(limit))), None)
    return FoundModel(name=str(entry["id"]), context_window=window, max_output_tokens=output)


def _shown_by_ollama(name: str, shown: dict[str, Any]) -> FoundModel:
    able = shown.get("capabilities")
    tools, images = ("tools" in able, "vision" in able) if isinstance(able, list) else (None, None)
    chosen = _chosen_window(shown)
    window = chosen if chosen is not None else _trained_window(shown)
    return FoundModel(name=name, context_window=window, chosen=chosen is not None, tools=tools, images=images)


def _chosen_window(shown: dict[str, Any]) -> int | None:
    """A `num_ctx` of the model file is what its author chose."""
    for line in str(shown.get("parameters") or "").splitlines():
        name, _, value = line.strip().partition(" ")
        if name == "num_ctx" and value.strip().isdigit():
            return int(value)
    return None


def _trained_window(shown: dict[str, Any]) -> int | None:
    info = shown.get("model_info") or {}
    return next((_whole(size) for name, size in info.items() if name.endswith(".context_length")), None)


def _whole(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None
