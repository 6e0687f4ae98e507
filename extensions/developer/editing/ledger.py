"""What the model has seen of each file, and how often in a row an edit failed."""

from collections import OrderedDict
from dataclasses import dataclass, field
from difflib import SequenceMatcher
from threading import Lock

from ..files import digest
from ..refusal import Refused
from .encoding import decode
from .lines import unified

_KEPT_BYTES = 32_000_000
_KEPT_FILE_BYTES = 2_000_000


@dataclass(frozen=True)
class Drift:
    """How a file differs from what was last seen of it. `regions` are (first, end) line indices, from 0 and end
    excluded, of the file as it is now; a region of no lines is where lines were removed. None when the old content
    was too large to keep."""

    added: int
    removed: int
    regions: tuple[tuple[int, int], ...] | None

    def touches(self, first: int, end: int) -> bool:
        """Whether the lines [first, end) of the file as it is now overlap what changed."""
        if self.regions is None:
            return False
        return any(max(start, first) < min(stop, end) or first < start == stop < end for start, stop in self.regions)

    def __str__(self) -> str:
        return f"+{self.added}/-{self.removed} lines" if self.regions is not None else "in ways not kept track of"


@dataclass
class Ledger:
    """Contents by path, newest last, within a budget of memory. One per connection; safe in several threads."""

    _seen: "OrderedDict[str, tuple[str, bytes | None]]" = field(default_factory=OrderedDict)
    _failures: dict[str, tuple[str, int]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def saw(self, path: str, data: bytes) -> None:
        """The model was shown, or wrote, this content."""
        name = digest(data)
        with self._lock:
            self._seen[path] = (name, data if len(data) <= _KEPT_FILE_BYTES else None)
            self._seen.move_to_end(path)
            kept = sum(len(content) for _, content in self._seen.values() if content)
            for old, (old_name, content) in list(self._seen.items()):
                if kept <= _KEPT_BYTES:
                    break
                kept -= len(content or b"")
                self._seen[old] = (old_name, None)

    def forget(self, path: str) -> None:
        with self._lock:
            self._seen.pop(path, None)

    def knows(self, path: str) -> bool:
        return path in self._seen

    def drift(self, path: str, data: bytes) -> Drift | None:
        """None when the content is what was last seen, or the file was never seen."""
        seen = self._seen.get(path)
        if seen is None or seen[0] == digest(data):
            return None
        if seen[1] is None:
            return Drift(0, 0, None)
        try:
            return _drift(unified(decode(seen[1], path).text), unified(decode(data, path).text))
        except Refused:
            return Drift(0, 0, None)

    def failed(self, path: str, request: str) -> int:
        """Counts a failure; gives how many times in a row this very request has now failed for this path."""
        last, count = self._failures.get(path, ("", 0))
        self._failures[path] = (request, count + 1 if last == request else 1)
        return self._failures[path][1]

    def succeeded(self, path: str) -> None:
        self._failures.pop(path, None)


def _drift(before: str, now: str) -> Drift:
    old, new = before.split("\n"), now.split("\n")
    head = next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest_old, rest_new = old[head:], new[head:]
    tail = next(
        (i for i, (a, b) in enumerate(zip(reversed(rest_old), reversed(rest_new), strict=False)) if a != b),
        min(len(rest_old), len(rest_new)),
    )
    matcher = SequenceMatcher(None, rest_old[: len(rest_old) - tail], rest_new[: len(rest_new) - tail], autojunk=True)
    changes = [(i1, i2, j1, j2) for tag, i1, i2, j1, j2 in matcher.get_opcodes() if tag != "equal"]
    return Drift(
        sum(j2 - j1 for _, _, j1, j2 in changes),
        sum(i2 - i1 for i1, i2, _, _ in changes),
        tuple((head + j1, head + j2) for _, _, j1, j2 in changes),
    )
