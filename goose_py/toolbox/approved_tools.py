"""What was approved of a server's tools, and what the server has made of it since.

A tool is pinned by what the model and the person who approved it were shown: extension, name, description, schema. A server
that later lists anything else under that name has a different tool, which is withheld until somebody approves it. What was
approved of third-party servers is kept between sessions, one JSON file a server, named by the hash of its settings: nothing
need be started to know what it offers.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from goose_py.files import recall, remember
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
    listing = recall(folder / f"{identity}.json", Listing)
    return listing if listing is not None and listing.version == VERSION else None


def save(folder: Path, identity: str, listing: Listing) -> None:
    """Replace it in one step. Raises OSError."""
    remember(folder / f"{identity}.json", listing)


def trusted_never(tools: Iterable[ToolSpec], extension: str) -> tuple[ToolSpec, ...]:
    """The tools of a listing as they may be used: a file can claim neither trust nor another extension's name."""
    return tuple(
        tool for tool in tools if not tool.trusted and tool.extension == extension and tool.name.startswith(f"{extension}__")
    )


class ToolChange(msgspec.Struct, frozen=True, kw_only=True):
    """One difference between the approved tools of `extension` and those it lists now. `before` None: it is new; `after`
    None: it is gone. A renamed tool is one that is gone and one that is new."""

    extension: str
    tool: str
    before: ToolSpec | None = None
    after: ToolSpec | None = None

    @property
    def kind(self) -> Literal["added", "removed", "changed"]:
        if self.before is None:
            return "added"
        return "removed" if self.after is None else "changed"

    def diff(self) -> str:
        """Unified diff of what the model is told of the tool."""
        import difflib

        lines = difflib.unified_diff(
            _shown(self.before).splitlines(), _shown(self.after).splitlines(), "approved", "now", lineterm=""
        )
        return "\n".join(lines)

    def __str__(self) -> str:
        return f"{self.tool} {self.kind}"


def fingerprint(spec: ToolSpec) -> str:
    """SHA-256 of (extension, name, description, schema) as lower-case hex. Annotations are no part of it: they are
    never believed of a server that is not bundled."""
    pinned = [spec.extension, spec.remote_name, spec.description, spec.input_schema]
    return hashlib.sha256(
        json.dumps(pinned, sort_keys=True, separators=(",", ":")).encode("utf-8", "surrogatepass")
    ).hexdigest()


def compare(extension: str, approved: Mapping[str, ToolSpec], listed: Sequence[ToolSpec]) -> dict[str, ToolChange]:
    """Every difference, by the tool's own name, sorted. `approved` is keyed by that name as well."""
    now = {spec.remote_name: spec for spec in listed}
    changes = {}
    for tool in sorted({*approved, *now}):
        before, after = approved.get(tool), now.get(tool)
        if before is None or after is None or fingerprint(before) != fingerprint(after):
            changes[tool] = ToolChange(extension=extension, tool=tool, before=before, after=after)
    return changes


def _shown(spec: ToolSpec | None) -> str:
    if spec is None:
        return ""
    return f"{spec.remote_name}\n{spec.description}\n{json.dumps(spec.input_schema, indent=2, sort_keys=True)}"
