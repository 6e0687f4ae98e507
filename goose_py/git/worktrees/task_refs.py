"""The refs of the git directory that a task has in its sandbox, as one text: what they were can be brought back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from goose_py.git.untrusted import UntrustedFolder

OID: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_PACKED: Final = re.compile(rb"^([0-9a-f]{40,64}) (refs/[^\n]+)$", re.MULTILINE)
_SYMBOLIC: Final = re.compile(r"ref: (refs/[^\x00-\x20\x7f]+)")
_PACKED_BYTES: Final = 64 * 1024 * 1024
_LOG_BYTES: Final = 256 * 1024
_MOST_FILES: Final = 5000
_DEEPEST: Final = 16
_STASH: Final = "refs/stash"


@dataclass(frozen=True)
class TaskRefs:
    """`head` is what the file HEAD says, `named` the other refs: by name an object, or `ref: NAME`. `stash` is the log of the
    stash, which is its entries."""

    head: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
    stash: bytes = b""

    @classmethod
    def read(cls, folder: Path) -> TaskRefs:
        """Of a git directory that somebody else may be writing now."""
        with UntrustedFolder.opened(folder) as opened:
            if opened is None:
                return cls()
            named = packed(opened.read("packed-refs", _PACKED_BYTES) or b"")
            room = iter(range(_MOST_FILES))
            with opened.within("refs") as refs:
                if refs is not None:
                    named.update(loose(refs, "refs", _DEEPEST, room))
            with opened.within("logs", "refs") as logs:
                stash = logs.read("stash", _LOG_BYTES) if logs is not None and _STASH in named else None
            return cls(text_of(opened.read("HEAD")), named, stash or b"")

    @classmethod
    def decode(cls, text: bytes) -> TaskRefs:
        """The inverse of `encode`."""
        head, _, rest = text.partition(b"\n")
        listed, _, stash = rest.partition(b"\n\n")
        rows = (line.rpartition(" ") for line in listed.decode("utf-8", "surrogateescape").split("\n") if line)
        return cls(head.decode("utf-8", "surrogateescape"), {name: value for value, _, name in rows}, stash)

    def encode(self) -> bytes:
        """HEAD, the others by name, and behind an empty line the log of the stash."""
        rows = "".join(f"{value} {name}\n" for name, value in sorted(self.named.items()))
        return f"{self.head}\n{rows}\n".encode("utf-8", "surrogateescape") + self.stash

    @property
    def branch(self) -> str | None:
        """What HEAD is on."""
        name = self.head.removeprefix("ref: refs/heads/")
        return None if name == self.head else name

    @property
    def commit(self) -> str | None:
        """What HEAD is at."""
        found = self.named.get(self.head.removeprefix("ref: "), self.head)
        return found if OID.fullmatch(found) else None

    def objects(self) -> set[str]:
        entries = (line.decode("ascii", "replace").split(" ") for line in self.stash.splitlines())
        values = (self.head, *self.named.values(), *(entry[1] for entry in entries if len(entry) > 1))
        return {oid for oid in values if OID.fullmatch(oid)}


def loose(folder: UntrustedFolder, prefix: str, depth: int, room: Iterator[int]) -> Iterator[tuple[str, str]]:
    """By name. As many files are looked at as `room` has steps."""
    for name, _ in zip(folder.names(), room, strict=False):
        value = text_of(folder.read(name))
        if OID.fullmatch(value) or _SYMBOLIC.fullmatch(value):
            yield f"{prefix}/{name}", value
        elif depth:
            with folder.within(name) as inner:
                if inner is not None:
                    yield from loose(inner, f"{prefix}/{name}", depth - 1, room)


def packed(content: bytes) -> dict[str, str]:
    return {name.decode("utf-8", "surrogateescape"): oid.decode() for oid, name in _PACKED.findall(content)}


def text_of(content: bytes | None) -> str:
    return (content or b"").decode("utf-8", "surrogateescape").strip()
