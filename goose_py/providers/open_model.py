"""From "provider/model" and settings to something that implements the Model port."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module
from pathlib import Path

from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef
from goose_py.providers.catalogue import NO_SETTINGS, ProviderSettings, check_key, resolve
from goose_py.providers.model_port import OpenModel
from goose_py.providers.profile import Profile
from goose_py.providers.transport import Transport


def open_model(
    ref: ModelRef,
    settings: ProviderSettings = NO_SETTINGS,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> OpenModel:
    """Opens a model without contacting anybody: the connection, and the SDK where one is chosen, come with the first
    request. Raises `UserError` for unknown names and settings that do not fit, `AuthenticationFailed` where a key is
    missing; each in one sentence. `now` is in seconds since the epoch. Retries are not included: see `retry`."""
    profile = resolve(ref, settings)
    if profile.protocol == "scripted":
        return _scripted(profile, settings, now=now, sleep=sleep)
    check_key(profile, settings.api_key)
    from goose_py.providers.model import ProtocolModel

    adapter = import_module(f"goose_py.providers.protocols.{profile.protocol}")
    model: OpenModel = ProtocolModel(
        profile, adapter, _open_transport(profile, settings, adapter.HEADERS), secret=settings.api_key or "", now=now
    )
    if profile.tool_calls in ("text", "prompt"):
        from goose_py.providers.protocols.text_calls import TextCalls

        model = TextCalls(model)
    return model


def _open_transport(profile: Profile, settings: ProviderSettings, headers: Mapping[str, str]) -> Transport:
    if profile.transport == "sdk":
        if not profile.sdk:
            raise UserError(f'{profile.title or profile.provider} has no official client: use transport = "http".')
        from goose_py.providers.sdk import SdkTransport

        return SdkTransport(profile, settings, headers)
    if not profile.base_url:
        raise UserError(f"{profile.title or profile.provider} needs a base URL: set base_url in the provider's settings.")
    from goose_py.providers.transport import HttpTransport

    return HttpTransport(profile, settings, headers)


def _scripted(
    profile: Profile,
    settings: ProviderSettings,
    *,
    now: Callable[[], float],
    sleep: Callable[[float], Awaitable[None]],
) -> OpenModel:
    from goose_py.providers.scripted import ScriptedModel, load_script

    path = settings.script or (profile.model if profile.model.endswith((".yaml", ".yml", ".json")) else "")
    if not path:
        raise UserError(
            "The scripted provider needs a file of turns: set providers.scripted.base_url to its path, or name it as the model."
        )
    return ScriptedModel(load_script(Path(path)), profile, values=settings.values, now=now, sleep=sleep)
