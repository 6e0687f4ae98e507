"""The verdict of the last probe, kept until anything that it depends on is different.

Probing starts two interpreters, which takes longer than everything else that is done before a first request. Only the
verdict that the strongest backend of this system holds is kept: a weaker one is looked at anew each time, because a person may
have mended what was missing.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

_PROGRAM: Final = Path("/usr/bin/bwrap")
_STATUS: Final = ("CapBnd", "CapEff", "NoNewPrivs", "Seccomp", "Uid")


class Verdict(NamedTuple):
    """The backend that held, and the optional flags of its program with which it did."""

    backend: str
    options: frozenset[str] = frozenset()


def circumstances(platform: str, **others: str) -> dict[str, str]:
    """What a verdict depends on: this boot, kernel and container, what confines us ourselves, the program, and `others`."""
    found = {"uname": " ".join(os.uname()), "platform": platform, "program": _stat(_PROGRAM), **others}
    for name in ("/proc/sys/kernel/random/boot_id", "/proc/self/attr/current"):
        found[name] = _read(Path(name)).strip()
    for name in ("user", "mnt"):
        found[f"namespace {name}"] = _link(Path("/proc/self/ns") / name)
    status = dict(line.split(":", 1) for line in _read(Path("/proc/self/status")).splitlines() if ":" in line)
    return {**found, **{name: status.get(name, "").strip() for name in _STATUS}}


def recall(file: Path, now: Mapping[str, str]) -> Verdict | None:
    """What held under the same circumstances, None where it is not known. A file that others could have written
    does not count."""
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(descriptor, "rb") as stream:
        state = os.fstat(descriptor)
        if state.st_uid != os.getuid() or state.st_mode & 0o022:
            return None
        try:
            kept = json.loads(stream.read(1 << 16))
        except ValueError:
            return None
    if not isinstance(kept, dict) or kept.get("circumstances") != dict(now):
        return None
    backend, options = kept.get("backend"), kept.get("options")
    if not isinstance(backend, str) or not isinstance(options, list) or not all(isinstance(flag, str) for flag in options):
        return None
    return Verdict(backend, frozenset(options))


def remember(file: Path, now: Mapping[str, str], verdict: Verdict) -> None:
    """Never raises: what cannot be kept is probed again."""
    fresh = file.with_name(f"{file.name}.{os.getpid()}")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            kept = {"circumstances": dict(now), "backend": verdict.backend, "options": sorted(verdict.options)}
            json.dump(kept, stream)
        fresh.replace(file)
    except OSError:
        fresh.unlink(missing_ok=True)


def _stat(path: Path) -> str:
    try:
        found = path.stat()
    except OSError:
        return "missing"
    parts = (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode, found.st_uid)
    return " ".join(map(str, parts))


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _link(path: Path) -> str:
    try:
        return str(path.readlink())
    except OSError:
        return ""
