"""macOS: sandbox-exec with a profile of ours. Apple calls the program deprecated and ships it; other agents rely on it too.

Paths reach the profile as parameters (`-D NAME=VALUE`) and never as text, so that no path can end a string. Seatbelt
compares resolved paths: /tmp is /private/tmp. For one operation the last matching rule wins.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from goose_py.sandbox.policy import Level, Policy, SandboxError, SpawnSpec

PROGRAM: Final = Path("/usr/bin/sandbox-exec")

_HEADER: Final = """\
(version 1)
(deny default)
(import "system.sb")
(allow process-exec process-fork)
(allow signal (target same-sandbox))
(allow process-info* (target same-sandbox))
(allow sysctl-read)
(allow pseudo-tty)
(allow file-ioctl (subpath "/dev"))
(allow file-read-metadata)
(allow file-read* (literal "/") (subpath "/bin") (subpath "/sbin") (subpath "/usr") (subpath "/System") (subpath "/Library")
  (subpath "/opt") (subpath "/private/etc") (subpath "/private/var/db") (subpath "/dev") (subpath "/Applications/Xcode.app"))
(allow file-write* (literal "/dev/null") (literal "/dev/zero") (literal "/dev/tty") (subpath "/dev/fd"))
"""

# macOS has no signal for a parent's death, so a watcher beside the command asks every second whether the launcher lives,
# and ends the command's process group when it does not.
_WATCH: Final = (
    'ulimit -c 0; ulimit -n "$1" 2>/dev/null; ulimit -f "$2" 2>/dev/null; ulimit -u "$3" 2>/dev/null; shift 3; '
    '( parent=$PPID; self=$$; while kill -0 "$parent" 2>/dev/null && kill -0 "$self" 2>/dev/null; do sleep 1; done; '
    'kill -9 -"$self" 2>/dev/null ) </dev/null >/dev/null 2>&1 & exec "$@"'
)
_SHELL: Final = "/bin/sh"
_FILE_BLOCK: Final = 512


@dataclass(frozen=True, slots=True)
class Seatbelt:
    """Files, the network and local sockets are held. There is no namespace of processes: other programs are visible."""

    program: Path = PROGRAM

    level = Level.FULL

    def wrap(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], policy: Policy) -> SpawnSpec:
        """Raises SandboxError when the workspace is missing."""
        if not policy.workspace.is_dir():
            raise SandboxError(f"The workspace {policy.workspace} does not exist, so no command can run in it.")
        text, parameters = profile(policy)
        definitions = [part for name, value in parameters.items() for part in ("-D", f"{name}={value}")]
        limits = policy.limits
        numbers = (str(limits.open_files), str(max(1, limits.file_bytes // _FILE_BLOCK)), str(limits.processes))
        command = (str(self.program), "-p", text, *definitions, "--", *argv)
        inside = dict(env)
        if policy.tmp is not None:
            inside |= {"TMPDIR": str(policy.tmp), "HOME": str(policy.cache or policy.tmp)}
        return SpawnSpec((_SHELL, "-c", _WATCH, "sandbox", *numbers, *command), inside, cwd)


def profile(policy: Policy) -> tuple[str, dict[str, str]]:
    """The profile's text and the values of its parameters. The text depends on how many paths there are, never on them."""
    parameters: dict[str, str] = {}

    def name(kind: str, path: Path) -> str:
        parameter = f"{kind}_{sum(key.startswith(kind) for key in parameters)}"
        parameters[parameter] = os.path.realpath(path)
        return f'(subpath (param "{parameter}"))'

    lines = [_HEADER.rstrip()]
    shown = [*policy.readable, policy.workspace]
    lines.append(f"(allow file-read* {' '.join(name('READ', path) for path in shown)})")
    written = [*policy.writable, *(path for path in (policy.tmp, policy.cache) if path)]
    if not policy.read_only:
        written.append(policy.workspace)
    if written:
        lines.append(f"(allow file-read* file-write* {' '.join(name('WRITE', path) for path in written)})")
    lines.append(f"(deny file-write* {name('GUARD', policy.workspace / '.git')})")
    lines += _network(policy)
    return "\n".join(lines) + "\n", parameters


def _network(policy: Policy) -> list[str]:
    lines = ["(deny network*)"]
    if policy.network:
        lines.append('(allow network-outbound (remote ip "*:*"))')
        lines.append('(allow network-inbound network-bind (local ip "*:*"))')
        lines.append('(allow network-outbound (literal "/private/var/run/mDNSResponder"))')
    if policy.unix_sockets:
        lines.append("(allow network* (local unix-socket) (remote unix-socket))")
    return lines
