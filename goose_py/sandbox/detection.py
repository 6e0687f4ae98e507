"""The strongest sandbox that holds here, and one sentence about it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from goose_py.files import write_atomic
from goose_py.sandbox import seccomp
from goose_py.sandbox.bubblewrap import Bubblewrap, known_options, require_program
from goose_py.sandbox.policy import Level, SandboxError
from goose_py.sandbox.probe import probe, starts
from goose_py.sandbox.probe_cache import Verdict, recall, remember
from goose_py.sandbox.spawn import Sandbox
from goose_py.sandbox.unconfined import Plain


class FoundSandbox(msgspec.Struct, frozen=True):
    """`sentence` is for people: which it is, with the reasons why it is not better; what it lets commands do is the policy's
    affair, see `sentences`. `tried` has those reasons by backend."""

    sandbox: Sandbox
    backend: str
    sentence: str
    tried: tuple[tuple[str, str], ...] = ()

    @property
    def level(self) -> Level:
        return self.sandbox.level


_NONE: Final = "so every shell command is asked about, and without a terminal none runs unless you choose --sandbox=none"
_VERDICT: Final = "verdict.json"
_UBUNTU: Final = Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns")


async def find_sandbox(
    *,
    platform: str,
    machine: str,
    state: Path,
    python: Path,
    readable: Sequence[Path] = (),
    none_chosen: bool = False,
    circumstances: Mapping[str, str] | None = None,
) -> FoundSandbox:
    """Try the backends of `platform` (`sys.platform`), strongest first, and take the first whose probe holds.

    `state` is a folder of ours (0700, outside /tmp and every workspace) for filters and the probe. `python` runs the probe
    and `readable` is what it needs. With `none_chosen`, which only a person may say, nothing is tried. With `circumstances`
    (see `remembered`), a verdict that was found under the same ones is taken again after one start inside; without, every
    attempt is made."""
    if none_chosen:
        return FoundSandbox(Plain(), "none", "Sandbox: none, because you chose it; nothing confines what commands do.")
    tried: list[tuple[str, str]] = []
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    known = None if circumstances is None else recall(state / _VERDICT, circumstances)
    for name in ("sandbox-exec",) if platform == "darwin" else ("bubblewrap", "landlock") if platform == "linux" else ():
        if known is not None and name == known.backend:
            found = await _taken_again(known, machine, state, python)
            if found is not None:
                return found
        try:
            sandbox = _make(name, machine, state, python)
        except SandboxError as error:
            tried.append((name, str(error).rstrip(".")))
            continue
        result = await probe(sandbox, state, python, readable)
        if result.holds:
            if circumstances is not None and not tried:
                remember(state / _VERDICT, circumstances, Verdict(name, getattr(sandbox, "options", frozenset())))
            return FoundSandbox(sandbox, name, _sentence(sandbox.level, name, tried), tuple(tried))
        tried.append((name, _explain(name, result.reason)))
    return FoundSandbox(Plain(), "none", _sentence(Level.NONE, "none", tried), tuple(tried))


async def _taken_again(known: Verdict, machine: str, state: Path, python: Path) -> FoundSandbox | None:
    """The sandbox that held before, with the very flags that it was probed with, where something still starts in it."""
    try:
        sandbox = _make(known.backend, machine, state, python, known.options)
    except SandboxError:
        return None
    if not (await starts(sandbox, state)).holds:
        return None
    return FoundSandbox(sandbox, known.backend, _sentence(sandbox.level, known.backend, ()))


def _make(name: str, machine: str, state: Path, python: Path, options: frozenset[str] | None = None) -> Sandbox:
    """`options` are the flags of the program where they are known; else it is asked."""
    if name == "sandbox-exec":
        from goose_py.sandbox.seatbelt import PROGRAM as SANDBOX_EXEC
        from goose_py.sandbox.seatbelt import Seatbelt

        if not SANDBOX_EXEC.exists():
            raise SandboxError(f"{SANDBOX_EXEC} is missing")
        return Seatbelt()
    if not seccomp.supported(machine):
        raise SandboxError(f"there is no system-call filter for {machine} processors yet")
    filters = {
        (internet, unix): _filter_file(state, machine, internet=internet, unix_sockets=unix)
        for internet in (False, True)
        for unix in (False, True)
    }
    if name == "bubblewrap":
        # Inside a network of its own the internet's sockets reach nothing but each other, and tests need them.
        require_program()
        flags = known_options() if options is None else options
        return Bubblewrap(filters[True, False], filters[True, True], flags, python=python)
    from goose_py.sandbox.landlock import MINIMUM_ABI, Landlock, abi

    version = abi()
    if version < MINIMUM_ABI:
        raise SandboxError(f"this kernel has Landlock version {version}, and {MINIMUM_ABI} (Linux 6.7) is needed")
    return Landlock(python, filters)


def _filter_file(state: Path, machine: str, *, internet: bool, unix_sockets: bool) -> Path:
    """The assembled filter as a file, made anew when its content is not what it should be."""
    program = seccomp.assemble(machine, internet=internet, unix_sockets=unix_sockets)
    path = state / f"seccomp-{machine}-{'net' if internet else 'nonet'}-{'unix' if unix_sockets else 'nounix'}.bpf"
    try:
        if path.exists() and path.read_bytes() == program:
            return path
        write_atomic(path, program, durable=False)
    except OSError as error:
        raise SandboxError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _explain(name: str, reason: str) -> str:
    if name == "bubblewrap" and "uid map" in reason and _UBUNTU.exists():
        return f"{reason} (this system's AppArmor forbids it to bwrap; a profile for /usr/bin/bwrap would allow it)"
    return reason


def _sentence(level: Level, name: str, tried: Sequence[tuple[str, str]]) -> str:
    because = "; ".join(f"{backend} is not used because {reason}" for backend, reason in tried)
    if level is Level.NONE:
        return f"Sandbox: none ({because or 'there is none for this system'}), {_NONE}."
    which = f"Sandbox: {level} ({name})."
    return f"{which} A stronger one was not found: {because}." if because else which
