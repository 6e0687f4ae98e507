"""Does the sandbox hold on this machine? Found out by trying to break out of it, not by looking at versions."""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import msgspec

from goose_py.sandbox.policy import Policy, SandboxError
from goose_py.sandbox.spawn import Sandbox, spawn

_DEADLINE: Final = 20.0
_SECRET_NAME: Final = "GOOSE_PY_PROBE_SECRET"

# What is tried inside. Every line that gets through prints its name; `ran` and `wrote` have to, the others must not.
_ATTEMPTS: Final = r"""
import hashlib, json, os, socket, sys
known = json.loads(sys.argv[1])
def attempt(name, action):
    try:
        if action() is not False:
            print(name, flush=True)
    except OSError:
        pass
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as client:
        client.settimeout(2)
        client.connect(address)
        client.sendall(b"x")
def datagram():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"x", ("127.0.0.1", known["udp"]))
    return False
def environments():
    for process in os.listdir("/proc"):
        try:
            with open(f"/proc/{process}/environ", "rb") as file:
                if hashlib.sha256(file.read()).hexdigest() == known["environ"]:
                    return True
        except OSError:
            continue
    return False
print("ran", flush=True)
attempt("wrote", lambda: open(known["inside"], "w").close())
attempt("write outside", lambda: open(known["outside"] + "/new", "w").close())
attempt("read outside", lambda: open(known["outside"] + "/secret").close())
attempt("tcp", lambda: connect(socket.AF_INET, ("127.0.0.1", known["tcp"])))
attempt("udp", datagram)
attempt("unix", lambda: connect(socket.AF_UNIX, known["outside"] + "/socket"))
attempt("abstract", lambda: connect(socket.AF_UNIX, "\0" + known["abstract"]))
attempt("environment", lambda: known["name"] in os.environ)
attempt("environments", environments)
"""

_BREACHES: Final = {
    "write outside": "commands could write outside the workspace",
    "read outside": "commands could read your files",
    "tcp": "commands could reach the network",
    "udp": "commands could reach the network",
    "unix": "commands could reach local sockets",
    "abstract": "commands could reach local sockets",
    "environment": "commands could read the environment of goose-py",
    "environments": "commands could read the environment of other programs",
    "plan": "a read-only workspace could be written",
}


class Probe(msgspec.Struct, frozen=True):
    """`holds` when every attempt failed and the sandbox is of use. `reason` says in one clause what is wrong if not."""

    holds: bool
    reason: str = ""
    breaches: tuple[str, ...] = ()


async def probe(sandbox: Sandbox, scratch: Path, python: Path, readable: Sequence[Path] = ()) -> Probe:
    """Start `python` inside `sandbox` and let it try to write, read and connect to what is outside.

    `scratch` is a folder of ours for it, outside /tmp; what is made there is removed. `readable` is what `python` needs."""
    folder = scratch / f"probe-{secrets.token_hex(6)}"
    try:
        for part in ("workspace", "outside", "home"):
            (folder / part).mkdir(mode=0o700, parents=True)
        (folder / "outside" / "secret").write_text("secret")
        return await asyncio.wait_for(_try(sandbox, folder, python, tuple(readable)), _DEADLINE)
    except TimeoutError:
        return Probe(False, "a command inside it did not end")
    except (OSError, SandboxError) as error:
        return Probe(False, str(error).rstrip("."))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def starts(sandbox: Sandbox, scratch: Path) -> Probe:
    """Whether a command comes to its end in it at all: what is asked of a sandbox that was probed before."""
    folder = scratch / f"probe-{secrets.token_hex(6)}"
    try:
        (folder / "home").mkdir(mode=0o700, parents=True)
        policy = Policy(workspace=folder, home=folder / "home")
        said, errors = await asyncio.wait_for(_run(sandbox, ("/bin/echo", "ran"), policy), _DEADLINE)
    except TimeoutError:
        return Probe(False, "a command inside it did not end")
    except (OSError, SandboxError) as error:
        return Probe(False, str(error).rstrip("."))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Probe("ran" in said, _first_line(errors))


async def _try(sandbox: Sandbox, folder: Path, python: Path, readable: tuple[Path, ...]) -> Probe:
    policy = Policy(workspace=folder / "workspace", home=folder / "home", readable=readable)
    plan = Policy(workspace=folder / "workspace", home=folder / "home", readable=readable, read_only=True)
    with _listeners(folder / "outside") as listening:
        known = {
            "inside": str(folder / "workspace" / "new"),
            "outside": str(folder / "outside"),
            "name": _SECRET_NAME,
            "environ": _own_environment(),
            **listening.addresses,
        }
        command = (str(python), "-I", "-S", "-c", _ATTEMPTS, json.dumps(known))
        reported, errors = await _run(sandbox, command, policy)
        planned, _ = await _run(sandbox, command, plan)
        reached = listening.reached()
    if "ran" not in reported or "wrote" not in reported:
        return Probe(False, _first_line(errors) or "a command inside it did not work")
    breaches = {*reported, *reached} - {"ran", "wrote"}
    if "wrote" in planned:
        breaches.add("plan")
    found = tuple(name for name in _BREACHES if name in breaches)
    return Probe(not found, "; ".join(dict.fromkeys(_BREACHES[name] for name in found)), found)


def _own_environment() -> str:
    try:
        return hashlib.sha256(Path("/proc/self/environ").read_bytes()).hexdigest()
    except OSError:
        return ""


async def _run(sandbox: Sandbox, command: Sequence[str], policy: Policy) -> tuple[set[str], str]:
    environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    spec = sandbox.wrap(command, str(policy.workspace), environment, policy)
    process = await spawn(spec, asyncio.subprocess.PIPE, asyncio.subprocess.PIPE)
    try:
        output, errors = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, 9)
            await process.wait()
    return set(output.decode(errors="replace").splitlines()), errors.decode(errors="replace")


def _first_line(text: str) -> str:
    return next((line.strip().rstrip(".") for line in text.splitlines() if line.strip()), "")


class _Listening:
    """Sockets of the host that nothing inside may reach."""

    def __init__(self, folder: Path) -> None:
        abstract = f"goose-py-probe-{secrets.token_hex(8)}"
        self._sockets: dict[str, socket.socket] = {}
        self.addresses: dict[str, int | str] = {"abstract": abstract}
        for name, family, kind, address in (
            ("tcp", socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", 0)),
            ("udp", socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", 0)),
            ("unix", socket.AF_UNIX, socket.SOCK_STREAM, "socket"),
            ("abstract", socket.AF_UNIX, socket.SOCK_STREAM, "\0" + abstract),
        ):
            with contextlib.suppress(OSError):
                self._listen(name, family, kind, address, folder)

    def _listen(self, name: str, family: int, kind: int, address: object, folder: Path) -> None:
        opened = socket.socket(family, kind)
        self._sockets[name] = opened
        opened.setblocking(False)
        if name == "unix":
            _bind_in(opened, folder)
        else:
            opened.bind(address)
        if kind == socket.SOCK_STREAM:
            opened.listen(4)
        if family == socket.AF_INET:
            self.addresses[name] = opened.getsockname()[1]

    def reached(self) -> set[str]:
        """The sockets on which somebody arrived."""
        found: set[str] = set()
        for name, opened in self._sockets.items():
            with contextlib.suppress(OSError):
                if opened.type == socket.SOCK_DGRAM:
                    opened.recv(16)
                else:
                    opened.accept()[0].close()
                found.add(name)
        return found

    def close(self) -> None:
        for opened in self._sockets.values():
            opened.close()


def _bind_in(opened: socket.socket, folder: Path) -> None:
    """Bind to `folder`/socket, whose path may be longer than the 107 bytes a socket address has."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        opened.bind(f"/proc/self/fd/{descriptor}/socket" if Path("/proc/self/fd").is_dir() else str(folder / "socket"))
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _listeners(folder: Path) -> Iterator[_Listening]:
    listening = _Listening(folder)
    try:
        yield listening
    finally:
        listening.close()
