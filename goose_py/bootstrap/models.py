"""From settings to somebody who answers: providers opened when first asked, and kept open for the life of the task."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.config.secrets import SecretStore
from goose_py.config.settings import ModelSettings, Price, Settings
from goose_py.config.settings import ProviderSettings as Configured
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import Phase
from goose_py.protocol.messages import ModelRef
from goose_py.providers.catalogue import ProviderSettings, presets, resolve
from goose_py.providers.local_server import Servers, is_local, learned
from goose_py.providers.open_model import OpenModel, open_model
from goose_py.providers.profile import Profile, cost
from goose_py.providers.retry import Gate, Retrying
from goose_py.proxy import proxy_for
from goose_py.session.ports import Answering, OnRetry


def chosen_model(settings: Settings) -> ModelRef:
    """Who answers by default. Raises UserError where nothing was chosen and nothing can be guessed."""
    ref = settings.model_for()
    if ref is not None:
        return ref
    if settings.provider is None:
        raise UserError(
            "No provider is chosen. Run `goose-py configure`, or say `--provider NAME --model NAME`; "
            "`goose-py models list` shows what there is, and `goose-py demo` needs none."
        )
    preset = presets().get(settings.provider)
    if preset is None or not preset.default_model:
        raise UserError(f"No model is chosen for {settings.provider}: say `--model NAME`, or set `model` in the configuration.")
    return ModelRef(provider=settings.provider, model=preset.default_model, effort=settings.effort)


def default_model(settings: Settings, overrides: Mapping[str, object]) -> ModelRef | None:
    """What the settings choose, None where a task was given a model of its own."""
    return None if {"provider", "model"} & overrides.keys() else chosen_model(settings)


class Answers(Protocol):
    """Where a task's answers come from: models, or a recording of them."""

    values: dict[str, str]
    warnings: list[str]

    async def open(self, ref: ModelRef) -> OpenModel: ...

    async def answering(self, ref: ModelRef, phase: Phase, on_retry: OnRetry) -> Answering: ...

    async def close(self) -> None: ...


class Models:
    """Implements `SessionPorts.answering`. `values` are the placeholders of the scripted provider. `default` is the model
    that the settings choose, None where this task was given one of its own: what a person picks for a task or in its midst
    answers in every phase but the summaries, whatever the settings say of phases. `warnings` are what was found out about
    the servers that were asked. `close` ends every connection."""

    def __init__(
        self, host: Host, settings: Settings, secrets: SecretStore, default: ModelRef | None = None
    ) -> None:
        self._host = host
        self._settings = settings
        self._secrets = secrets
        self._default = default
        self._servers = Servers(host.paths.cache / "servers.json", host.now)
        self.values: dict[str, str] = {}
        self.warnings: list[str] = []
        self._open: dict[ModelRef, OpenModel] = {}
        self._gates: dict[str, Gate] = {}

    async def answering(self, ref: ModelRef, phase: Phase, on_retry: OnRetry) -> Answering:
        """The session's own choice, unless the settings name another model for this phase. Raises UserError, and
        AuthenticationFailed where the key is missing."""
        wanted = self._for_phase(ref, phase)
        model = await self.open(wanted)
        profile = model.profile
        gate = self._gate(wanted.provider)
        return Answering(
            ref=wanted,
            model=Retrying(model, gate=gate, on_retry=on_retry),
            images=profile.images,
            context_window=profile.context_window,
            max_output_tokens=profile.max_output_tokens,
            cost=lambda usage: cost(usage, profile),
        )

    async def profile(self, ref: ModelRef) -> Profile:
        return resolve(ref, await self.settings_of(ref.provider))

    async def close(self) -> None:
        for model in self._open.values():
            await model.close()
        self._open.clear()

    def _gate(self, provider: str) -> Gate:
        """One for all tasks of this machine that ask the same provider: they slow down together."""
        if provider not in self._gates:
            shared = self._host.paths.runtime / f"gate-{provider}"
            self._gates[provider] = Gate(now=self._host.monotonic, epoch=self._host.now, shared=shared)
        return self._gates[provider]

    def _for_phase(self, ref: ModelRef, phase: Phase) -> ModelRef:
        own = getattr(self._settings.phases, phase)
        default = self._default
        picked = default is None or (ref.provider, ref.model) != (default.provider, default.model)
        if (own.provider is None and own.model is None and own.effort is None) or (picked and phase != "summarise"):
            return ref
        provider = own.provider or ref.provider
        model = own.model or (ref.model if provider == ref.provider else _default_of(provider))
        # An effort that was picked in mid-session counts for more than the phase's.
        effort = ref.effort if default is not None and ref.effort != default.effort else own.effort or ref.effort
        return ModelRef(provider=provider, model=model, effort=effort)

    async def open(self, ref: ModelRef) -> OpenModel:
        """Contacts nobody but a server on this machine, which is asked what its model can do. Raises UserError, and
        AuthenticationFailed where the key is missing."""
        if ref not in self._open:
            settings = await self.settings_of(ref.provider)
            if is_local(ref, settings) and (found := await self._servers.ask(ref, settings)) is not None:
                settings, warning = learned(ref, settings, found)
                self.warnings += [warning] if warning is not None else []
            self._open[ref] = open_model(ref, settings, now=self._host.now)
        return self._open[ref]

    async def settings_of(self, provider: str) -> ProviderSettings:
        configured = self._settings.providers.get(provider, Configured())
        names = [configured.api_key_env] if configured.api_key_env else list(_key_names(provider))
        key = None
        for name in names:
            key = key or await self._secrets.get(name)
        return provider_settings(provider, configured, self._settings, api_key=key, env=self._host.env, values=self.values)


def window_of(ref: ModelRef, settings: Settings) -> int | None:
    """The size of a model's window in tokens, from the catalogue and the settings; None for one that cannot be resolved."""
    configured = settings.providers.get(ref.provider, Configured())
    try:
        known = provider_settings(ref.provider, configured, settings, api_key=None, env={}, values={})
        return resolve(ref, known).context_window
    except UserError:
        return None


def provider_settings(
    provider: str,
    configured: Configured,
    settings: Settings,
    *,
    api_key: str | None,
    env: Mapping[str, str],
    values: dict[str, str],
) -> ProviderSettings:
    """The configuration's words in the providers' own."""
    profile: dict[str, object] = {}
    for name in ("protocol", "needs_key", "sdk", "context_window"):
        if (value := getattr(configured, name)) is not None:
            profile[name] = value
    if configured.query:
        profile["query"] = dict(configured.query)
    scripted = provider == "scripted" or configured.protocol == "scripted"
    address = configured.base_url
    return ProviderSettings(
        preset=None if provider in presets() else _preset_of(configured),
        base_url=None if scripted else address,
        script=address.removeprefix("file://") if scripted and address else None,
        api_key=api_key,
        transport=configured.transport,
        headers=dict(configured.headers),
        timeouts={name: value for name, value in msgspec.structs.asdict(configured.timeouts).items() if value is not None},
        proxy=proxy_for(address or _known_address(provider), env),
        options=dict(configured.options),
        ca_file=env.get("SSL_CERT_FILE"),
        profile=profile,
        models={
            name.removeprefix(f"{provider}/"): _model_fields(model)
            for name, model in settings.models.items()
            if "/" not in name or name.startswith(f"{provider}/")
        },
        values=values,
    )


def _preset_of(configured: Configured) -> str | None:
    """A provider of the user's own starts from the preset of its protocol; None where nothing says that there is one."""
    if configured.base_url is None and configured.protocol is None:
        return None
    return _COMPATIBLE[configured.protocol or "chat"]


_COMPATIBLE = {
    "anthropic": "anthropic-compatible",
    "responses": "responses-compatible",
    "chat": "openai-compatible",
    "ollama": "ollama",
    "scripted": "scripted",
}


def _known_address(provider: str) -> str:
    preset = presets().get(provider)
    return str(preset.profile.get("base_url", "")) if preset is not None else ""


def _default_of(provider: str) -> str:
    """The preset's own choice, "" where it has none: then opening the model says that one has to be named."""
    preset = presets().get(provider)
    return preset.default_model if preset is not None else ""


def _key_names(provider: str) -> tuple[str, ...]:
    preset = presets().get(provider)
    return tuple(preset.profile.get("key_env", ())) if preset is not None else ()


def _model_fields(model: ModelSettings) -> dict[str, object]:
    fields: dict[str, object] = {}
    for name, value in msgspec.structs.asdict(model).items():
        if value is None or value == {}:
            continue
        fields[name] = _price(value) if isinstance(value, Price) else value
    return fields


def _price(price: Price) -> dict[str, float]:
    return {name: value for name, value in msgspec.structs.asdict(price).items() if value is not None}
