"""Secrets are taken out of an event before it is logged: what is never written down cannot leak from a log, a resumed
conversation, an export or the search index."""

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import msgspec

E = TypeVar("E", bound=msgspec.Struct)

_OPAQUE = frozenset({"signature", "data", "item_id"})
"""Fields that are no text but proofs and pictures: a chance likeness to a key must not break them."""


def redacted(event: E, redact: Callable[[str], str]) -> E:
    """The event with `redact` applied to every text in it; the event itself where that changes nothing. `redact` finds in
    lines what it finds in each of them."""
    raw = msgspec.to_builtins(event)
    # One look at all of them: nearly always none holds anything.
    together = "\n".join(_texts(raw))
    if redact(together) == together:
        return event
    clean = _clean(raw, redact)
    return event if clean == raw else msgspec.convert(clean, type(event))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield key
            if key not in _OPAQUE:
                yield from _texts(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _texts(item)


def _clean(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {redact(key): item if key in _OPAQUE else _clean(item, redact) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean(item, redact) for item in value]
    return value
