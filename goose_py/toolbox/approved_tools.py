"""The approved tools of third-party servers, kept between sessions: nothing need be started to know what it offers, and a
server that changes its tools from one day to the next is noticed.

One JSON file a server, named by the hash of its settings, readable by the user alone.
"""

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from goose_py.protocol.tools import ToolSpec

VERSION = 1


class Listing(msgspec.Struct, frozen=True, kw_only=True):
    """`era` is how the server was last spoken to: "legacy" (the initialize handshake) or "modern" (2026-07-28 and
    later); trying the right one first saves a server that knows only the other up to ten seconds."""

    version: int = VERSION
    extension: str
    era: str = ""
    tools: tuple[ToolSpec, ...]


def load(folder: Path, identity: str) -> Listing | None:
    """None where there is none, or one that cannot be read: the server is then asked again."""
    try:
        listing = msgspec.json.decode((folder / f"{identity}.json").read_bytes(), type=Listing)
    except (OSError, msgspec.MsgspecError):
        return None
    return listing if listing.version == VERSION else None


def save(folder: Path, identity: str, listing: Listing) -> None:
    """Replace it in one step. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    target = folder / f"{identity}.json"
    draft = folder / f".{identity}.{os.getpid()}"
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.encode(listing))
        draft.replace(target)
    except OSError:
        with contextlib.suppress(OSError):
            draft.unlink()
        raise


def trusted_never(tools: Iterable[ToolSpec], extension: str) -> tuple[ToolSpec, ...]:
    """The tools of a listing as they may be used: a file can claim neither trust nor another extension's name."""
    return tuple(
        tool for tool in tools if not tool.trusted and tool.extension == extension and tool.name.startswith(f"{extension}__")
    )
