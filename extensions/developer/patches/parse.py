"""Parses a patch in either of the two formats, told apart by their first lines."""

from collections.abc import Sequence

from ..refusal import Refused
from .format import FilePatch
from .unified_diff import read_unified
from .v4a import read_v4a

MAX_PATCH_CHARS = 4_000_000


def read_patch(text: str) -> Sequence[FilePatch]:
    """The changes of a patch in V4A (`*** Begin Patch`) or unified format, in order. Raises Refused, naming the
    line."""
    if len(text) > MAX_PATCH_CHARS:
        raise Refused(f"The patch has {len(text):,} characters; at most {MAX_PATCH_CHARS:,} are taken. Split it.")
    lines = text.split("\n")
    if all(line.endswith("\r") for line in lines[:-1]):  # what carried the patch changed its line ends
        lines = [line.removesuffix("\r") for line in lines]
    first = next((i for i, line in enumerate(lines) if line.strip() == "*** Begin Patch"), None)
    if first is not None:
        return read_v4a(lines, first)
    if any(line.startswith(("--- ", "diff --git ")) for line in lines):
        return read_unified(lines)
    raise Refused(
        "This is no patch: it has neither a '*** Begin Patch' line nor the '--- a/file' and '+++ b/file' lines of a "
        "unified diff."
    )
