"""Trust: which folders' own files count, and which of the things they want to execute were approved, to the byte.

A folder is known by its resolved path, its device and its inode; what its files say about themselves (a `.git` file that
points elsewhere) plays no part. Something executable is known by the hash of everything that decides what runs: argv,
environment, working folder, URL. Any change is a different thing, which is asked about again with a diff.
"""

import hashlib
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from goose_py.permissions.record_file import RecordFile
from goose_py.protocol.errors import UserError


@dataclass(frozen=True, slots=True)
class Folder:
    """A folder's identity. Moved or replaced by another one, it is another."""

    path: str
    device: int
    inode: int


def identify(folder: Path) -> Folder:
    """Raises UserError where there is no such folder."""
    real = os.path.realpath(folder)
    try:
        status = Path(real).stat()
    except OSError as error:
        raise UserError(f"{real} cannot be looked at: {error.strerror}.") from error
    return Folder(real, status.st_dev, status.st_ino)


def canonical(content: Mapping[str, Any]) -> str:
    """The one spelling of a JSON object: keys sorted, no white space, ASCII."""
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(content: Mapping[str, Any] | str) -> str:
    """SHA-256 in hex of something executable: an object, or its canonical spelling."""
    text = content if isinstance(content, str) else canonical(content)
    return hashlib.sha256(text.encode()).hexdigest()


def difference(before: str, after: str) -> str:
    """A unified diff of two canonical spellings, one field a line; "" where they are equal."""
    import difflib

    lines = difflib.unified_diff(_lines(before), _lines(after), "approved", "now", lineterm="", n=1000)
    return "\n".join(lines)


def _lines(spelling: str) -> list[str]:
    return json.dumps(json.loads(spelling), indent=2, sort_keys=True, ensure_ascii=True).splitlines()


@dataclass(frozen=True, slots=True)
class Question:
    """What has to be asked before `content` runs: nothing when `approved`; else the diff to what was approved under the
    same name ("" when nothing was)."""

    name: str
    content: str
    sha256: str
    approved: bool
    changed: str = ""


class TrustStore:
    """The trust of one user, in a file outside everything that an agent can write."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._file = RecordFile(path)
        self._now = now

    def trusts(self, folder: Folder) -> bool:
        return bool(self._state(folder)[0])

    def trust(self, folder: Folder) -> None:
        """The folder's own configuration counts from now on; nothing of it runs by that alone."""
        self._add("trusted", folder)

    def distrust(self, folder: Folder) -> None:
        """Takes back the trust and every approval."""
        self._add("distrusted", folder)

    def approve(self, folder: Folder, name: str, content: Mapping[str, Any] | str) -> None:
        """Approve exactly `content` (an object or its canonical spelling) under the name it has in the folder's files."""
        spelling = content if isinstance(content, str) else canonical(content)
        self._add("approved", folder, name=name, content=spelling, sha256=fingerprint(spelling))

    def approved(self, folder: Folder) -> frozenset[str]:
        """The hashes that may run. None before the folder is trusted."""
        trusted, approvals = self._state(folder)
        return frozenset(fingerprint(content) for content in approvals.values()) if trusted else frozenset()

    def question(self, folder: Folder, name: str, content: Mapping[str, Any] | str) -> Question:
        """Whether `content` may run, and what to show a person if not."""
        spelling = content if isinstance(content, str) else canonical(content)
        trusted, approvals = self._state(folder)
        before = approvals.get(name)
        approved = trusted and spelling in approvals.values()
        changed = "" if approved or before is None else difference(before, spelling)
        return Question(name, spelling, fingerprint(spelling), approved, changed)

    def _state(self, folder: Folder) -> tuple[bool, dict[str, str]]:
        trusted = False
        approvals: dict[str, str] = {}
        for record in self._file.read():
            if [record.get("path"), record.get("device"), record.get("inode")] != [folder.path, folder.device, folder.inode]:
                continue
            kind = record.get("record")
            if kind == "trusted":
                trusted = True
            elif kind == "distrusted":
                trusted, approvals = False, {}
            elif kind == "approved" and _is_sound(record):
                approvals[record["name"]] = record["content"]
        return trusted, approvals

    def _add(self, kind: str, folder: Folder, **fields: str) -> None:
        place = {"path": folder.path, "device": folder.device, "inode": folder.inode}
        self._file.add({"record": kind, **place, **fields, "at": self._now()})


def _is_sound(record: Mapping[str, Any]) -> bool:
    name, content = record.get("name"), record.get("content")
    return isinstance(name, str) and isinstance(content, str) and fingerprint(content) == record.get("sha256")
