"""Level partial on Linux, where containers are not allowed: Landlock for files, seccomp for sockets, no namespaces.

Files outside can be neither read nor written and no socket leaves, but processes outside are visible, `.git` of the
workspace can be changed, and so can the mode and times of files outside. SECURITY.md has the whole list.
"""

import ctypes
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goose_py.sandbox.policy import Level, Policy, SandboxError, SpawnSpec

MINIMUM_ABI: Final = 4
"""The first that can hold TCP, of Linux 6.7."""

_SHIM: Final = Path(__file__).with_name("confine.py")
_SYSTEM: Final = (
    "/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/etc", "/opt", "/nix/store", "/gnu/store", "/proc", "/sys", "/dev",
    "/run/systemd/resolve", "/var/lib",
)  # fmt: skip
_DEVICES: Final = (
    "/dev/null",
    "/dev/zero",
    "/dev/full",
    "/dev/random",
    "/dev/urandom",
    "/dev/tty",
    "/dev/ptmx",
    "/dev/pts",
    "/dev/shm",
)


@dataclass(frozen=True, slots=True)
class Landlock:
    """`python` runs the shim. The filters are those of `seccomp.assemble`, by what they leave: (internet, local sockets)."""

    python: Path
    filters: Mapping[tuple[bool, bool], Path]

    level = Level.PARTIAL

    def wrap(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], policy: Policy) -> SpawnSpec:
        """Raises SandboxError when the workspace is missing."""
        if not policy.workspace.is_dir():
            raise SandboxError(f"The workspace {policy.workspace} does not exist, so no command can run in it.")
        limits = policy.limits
        wanted = {
            "read": [*_SYSTEM, *map(str, _read(policy))],
            "write": [*_DEVICES, *map(str, _written(policy))],
            "filter": str(self.filters[policy.network, policy.unix_sockets]),
            "tcp": policy.network,
            "limits": {
                "RLIMIT_CORE": 0,
                "RLIMIT_FSIZE": limits.file_bytes,
                "RLIMIT_NOFILE": limits.open_files,
                "RLIMIT_NPROC": limits.processes,
            },
            "cwd": cwd,
            "argv": list(argv),
        }
        inside = {**env, **_environment(policy)}
        return SpawnSpec((str(self.python), "-I", "-S", str(_SHIM), json.dumps(wanted)), inside, "/")


def abi() -> int:
    """The Landlock version of this kernel, 0 where there is none (or no Linux)."""
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        return max(0, libc.syscall(ctypes.c_long(444), None, ctypes.c_size_t(0), ctypes.c_uint32(1)))
    except (OSError, AttributeError):
        return 0


def _read(policy: Policy) -> list[Path]:
    return [_real(path) for path in (*policy.readable, policy.workspace)]


def _written(policy: Policy) -> list[Path]:
    given = [*policy.writable, policy.tmp, policy.cache]
    if not policy.read_only:
        given.append(policy.workspace)
    return [_real(path) for path in given if path is not None]


def _environment(policy: Policy) -> dict[str, str]:
    """Home is out of reach, so programs that keep things there are sent to the task's own folder."""
    if policy.tmp is None:
        return {}
    return {"TMPDIR": str(policy.tmp), "HOME": str(policy.cache or policy.tmp)}


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
