"""What a server on the user's own machine says of a model, asked once before the first request and remembered for a while.

The catalogue knows nothing of such models: how large the window is, and whether the server offers tools to the model at all,
only the server can tell. It is asked with little patience, because a session must start without it too."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import msgspec

from goose_py.files import recall, remember
from goose_py.protocol.errors import ModelError, UserError
from goose_py.protocol.messages import ModelRef
from goose_py.providers.catalogue import ProviderSettings, presets, resolve
from goose_py.providers.probe import FoundModel, describe
from goose_py.providers.profile import Profile
from goose_py.providers.transport import is_loopback

PATIENCE = 2.0
FRESH = 60.0
"""Seconds: how long a server may take, and how long its word is taken without asking again."""

_LARGEST_CACHE = 200


class _Heard(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    found: FoundModel


class Servers:
    """`ask` describes a model by its server, from `memory` (a file that may be deleted at any time) where that is fresh, or
    where the server does not answer in time. `now` is Unix time."""

    def __init__(self, memory: Path, now: Callable[[], float], *, patience: float = PATIENCE) -> None:
        self._memory = memory
        self._now = now
        self._patience = patience

    async def ask(self, ref: ModelRef, settings: ProviderSettings) -> FoundModel | None:
        """None where nothing is known. Never raises because of the server."""
        profile = resolve(ref, settings)
        key = f"{profile.base_url} {profile.wire_model}"
        heard = recall(self._memory, dict[str, _Heard]) or {}
        known = heard.get(key)
        if known is not None and 0 <= self._now() - known.at < FRESH:
            return known.found
        try:
            async with asyncio.timeout(self._patience):
                found = await describe(ref, settings, now=self._now)
        except (ModelError, TimeoutError, KeyError, TypeError):  # a page of another shape than the server's documentation says
            return known.found if known is not None else None
        heard[key] = _Heard(at=self._now(), found=found)
        with suppress(OSError):  # of two that write at once one is forgotten, which costs a question
            remember(self._memory, dict(sorted(heard.items(), key=lambda item: item[1].at)[-_LARGEST_CACHE:]))
        return found


def is_local(ref: ModelRef, settings: ProviderSettings) -> bool:
    """Whether the model's server is one of the user's own machine, which nobody minds being asked: that of a local preset, or
    a provider of the user's own."""
    preset = presets().get(ref.provider)
    if preset is not None and not preset.local:
        return False
    try:
        profile = resolve(ref, settings)
    except UserError:
        return False
    return profile.protocol != "scripted" and profile.transport != "sdk" and is_loopback(profile.base_url)


def learned(ref: ModelRef, settings: ProviderSettings, found: FoundModel) -> tuple[ProviderSettings, str | None]:
    """The settings with what the server said, as far as the user's own say nothing of it; and a sentence where the two
    contradict each other."""
    profile = resolve(ref, settings)
    told = _told(ref.model, settings)
    facts: dict[str, Any] = {}
    warning = None
    window = found.context_window
    if window is not None and "context_window" in told and profile.context_window > window:
        warning = (
            f"The configuration gives {ref.model} a window of {profile.context_window:,} tokens, but its server says "
            f"{window:,}: what is longer may be cut without a word."
        )
    elif window is not None and "context_window" not in told:
        facts["context_window"] = _usable(window, found, profile)
        facts["max_output_tokens"] = min(profile.max_output_tokens, max(256, facts["context_window"] // 4))
    if found.tools is False and "tool_calls" not in told:
        facts["tool_calls"] = "prompt"
    if found.images is not None and "images" not in told:
        facts["images"] = facts["images_in_results"] = found.images
    own = settings.models.get(ref.model, {})
    merged = {**settings.models, ref.model: {**facts, **own}} if facts else settings.models
    return msgspec.structs.replace(settings, models=merged), warning


def _usable(window: int, found: FoundModel, profile: Profile) -> int:
    """Ollama says what a model was trained for, and what is asked for is what it allocates: no more than our own default,
    unless the model's author chose a window. Other servers say what they have allocated already."""
    if profile.protocol == "ollama" and not found.chosen:
        return min(window, profile.context_window)
    return window


def _told(model: str, settings: ProviderSettings) -> set[str]:
    """The fields that the user's own settings give this model."""
    fields = set(settings.profile)
    for pattern, own in settings.models.items():
        if pattern == model or fnmatchcase(model, pattern):
            fields |= set(own)
    return fields

