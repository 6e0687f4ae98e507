"""Level full on Linux: one bubblewrap container per process start.

The new root holds the system read-only, an empty home, an empty /run, the task's /tmp and its workspace: what is not named
does not exist inside. Fresh namespaces for users, processes, network, IPC and host name; no capabilities; a system-call
filter; the container dies with the process that started it, and everything in it with the container.
"""

import json
import os
import stat
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from goose_py.sandbox.mounts.mount_points import make_way, mount_point
from goose_py.sandbox.mounts.overlays import NSENTER
from goose_py.sandbox.policy import GIT_DIR, GIT_OBJECTS, Level, Limits, Policy, SandboxError, Share, SpawnSpec

PROGRAM: Final = Path("/usr/bin/bwrap")
"""Named by its place: a `bwrap` found through PATH could be anybody's."""

OPTIONAL: Final = ("--disable-userns", "--size")
"""Flags that not every bwrap has."""

_SYSTEM: Final = ("/usr", "/etc", "/opt", "/nix/store", "/gnu/store")
_MERGED: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_ETC_SECRETS: Final = (
    "shadow", "shadow-", "gshadow", "gshadow-", "sudoers", "sudoers.d", "ssl/private", "pki/tls/private", "ssh",
    "security/opasswd", "krb5.keytab", "NetworkManager/system-connections", "wireguard", "ipsec.secrets", "docker",
    "kubernetes", "rancher", "letsencrypt", "ppp", "wpa_supplicant",
)  # fmt: skip
_TEMPORARY_BYTES: Final = 1024**3

# Limits must be set and the filter opened before bwrap starts; a shell does both without a descriptor of ours being
# inherited, so that launchers we do not write can start the container as well. `-u` is Bash's and `-p` dash's name of the
# number of processes; where a hard limit is lower already, it stays.
_PREPARE: Final = (
    'ulimit -c 0; ulimit -n "$1" 2>/dev/null; ulimit -f "$2" 2>/dev/null; '
    '{ ulimit -u "$3" || ulimit -p "$3"; } 2>/dev/null; exec 3<"$4" || exit 126; shift 4; exec "$@"'
)
_SHELL: Final = "/bin/sh"
_SHIMS: Final = "/run/goose-py-shims"
_PROXY: Final = "/run/goose-py-proxy"
_REACH: Final = Path(__file__).with_name("reach.py")
_FILE_BLOCK: Final = 512


class Bubblewrap(msgspec.Struct, frozen=True):
    """`filter_file` holds the assembled system-call filter; `options` are the optional flags this bwrap knows.
    `python` runs the shim that opens the way to allowed hosts; the policy has to let it be read."""

    filter_file: Path
    filter_with_unix: Path
    options: frozenset[str]
    program: Path = PROGRAM
    python: Path = Path("/usr/bin/python3")

    level = Level.FULL

    def wrap(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], policy: Policy) -> SpawnSpec:
        """Raises SandboxError when the workspace is missing or `cwd` is not visible inside."""
        if not policy.workspace.is_dir():
            raise SandboxError(f"The workspace {policy.workspace} does not exist, so no command can run in it.")
        inside = {**env, **_environment(policy)}
        filter_file = self.filter_with_unix if policy.unix_sockets else self.filter_file
        way_out: list[str] = []
        if policy.proxy is not None and not policy.network:
            way_out = _way_out(policy.proxy, filter_file)
            wanted = {"socket": _PROXY, "filter": f"{_SHIMS}/filter", "argv": list(argv)}
            argv = (str(self.python), "-I", "-S", f"{_SHIMS}/{_REACH.name}", json.dumps(wanted))
            filter_file = self.filter_with_unix
        container = [*_entering(policy), str(self.program), *self._isolation(policy), *_root(policy, self.options, way_out)]
        container += ["--chdir", str(policy.inside(cwd)), "--seccomp", "3", "--", *argv]
        return SpawnSpec(
            (_SHELL, "-c", _PREPARE, "sandbox", *_limits(policy.limits), str(filter_file), *container), inside, "/"
        )

    def _isolation(self, policy: Policy) -> list[str]:
        flags = ["--unshare-all", "--unshare-user", "--new-session", "--die-with-parent", "--cap-drop", "ALL"]
        flags += ["--hostname", "sandbox"]
        if policy.network:
            flags.append("--share-net")
        if "--disable-userns" in self.options:
            flags.append("--disable-userns")
        return flags


def _entering(policy: Policy) -> list[str]:
    """Starts what follows where the shares are mounted."""
    if policy.namespaces is None:
        return []
    names = policy.namespaces
    return [str(NSENTER), "--preserve-credentials", f"--user={names.user}", f"--mount={names.mount}", "--"]


def require_program(program: Path = PROGRAM) -> None:
    """Raises SandboxError when it is missing or not root's: asked at every start."""
    try:
        status = program.stat()
    except OSError as error:
        raise SandboxError(
            f"{program} is missing; install bubblewrap (Debian, Ubuntu: apt-get install bubblewrap; Fedora: dnf install "
            "bubblewrap; Arch: pacman -S bubblewrap)."
        ) from error
    if status.st_uid != 0 or status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SandboxError(f"{program} is not owned by root or others can write it, so it is not used.")


def known_options(program: Path = PROGRAM) -> frozenset[str]:
    """The optional flags that the installed bwrap has: they came with 0.5 to 0.8, distributions carry 0.4 to 0.11.

    Raises SandboxError when it is missing, not root's, or does not run."""
    require_program(program)
    try:
        listing = subprocess.run(
            [program, "--help"], capture_output=True, text=True, timeout=10, check=True, stdin=subprocess.DEVNULL, env={}
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise SandboxError(f"{program} does not run: {error}") from error
    return frozenset(flag for flag in OPTIONAL if flag in listing.stdout)


def _limits(limits: Limits) -> tuple[str, str, str]:
    return str(limits.open_files), str(max(1, limits.file_bytes // _FILE_BLOCK)), str(limits.processes)


def _environment(policy: Policy) -> dict[str, str]:
    return {"HOME": str(_home(policy)), "TMPDIR": "/tmp"}


def _home(policy: Policy) -> Path:
    """Where home lies inside. In some containers it is the root, which an empty folder must not cover."""
    return Path("/home/sandbox") if policy.home == Path("/") else policy.home


def _root(policy: Policy, options: frozenset[str], way_out: Sequence[str] = ()) -> list[str]:
    """The mounts, in order: what comes later lies on top."""
    mounts = [*_system(), "--proc", "/proc", "--dev", "/dev"]
    size = ["--size", str(_TEMPORARY_BYTES)] if "--size" in options else []
    mounts += ["--bind", str(_real(policy.tmp)), "/tmp"] if policy.tmp else [*size, "--tmpfs", "/tmp"]
    mounts += ["--tmpfs", "/run", "--symlink", "../run", "/var/run", "--symlink", "../tmp", "/var/tmp"]
    mounts += way_out
    if policy.network:
        mounts += _resolver()
    home = _home(policy)
    mounts += [*size, "--tmpfs", str(home)]
    if policy.cache:
        mounts += ["--bind", str(_real(policy.cache)), str(home / ".cache")]
    mounts += _named(policy)
    mounts += _workspace(policy)
    mounts += _git(policy)
    _make_ways(mounts)
    # What bwrap made to hang the mounts on: a write there would seem to work and be gone at the end.
    return [*mounts, "--remount-ro", "/"]


def _make_ways(mounts: Sequence[str]) -> None:
    """The folders that mounts hang on below one that the task may write. Raises SandboxError where it has put something else
    there."""
    laid: dict[Path, Path | None] = {}
    for flag, source, place in zip(mounts, mounts[1:], mounts[2:], strict=False):
        if flag == "--tmpfs":
            laid[Path(source)] = None
        if flag not in ("--bind", "--ro-bind"):
            continue
        seen = Path(place)
        around = next((parent for parent in seen.parents if parent in laid), None)
        below = laid[around] if around is not None else None
        if around is not None and below is not None:
            way = seen if os.path.isdir(source) else seen.parent  # noqa: PTH112 - for each mount of each command
            try:
                hindrance = make_way(below, way.relative_to(around))
            except OSError as error:
                raise SandboxError(f"{seen} cannot be shown to commands: {error.strerror}.") from error
            if hindrance:
                raise SandboxError(
                    f"{seen} cannot be shown to commands: the task has put something else, {hindrance}, in its way below "
                    f"{below}. Remove that."
                )
        laid[seen] = Path(source) if flag == "--bind" else None


def _system() -> list[str]:
    mounts: list[str] = []
    for path in _SYSTEM:
        mounts += ["--ro-bind-try", path, path]
    for path in map(Path, _MERGED):
        if path.is_symlink():
            mounts += ["--symlink", str(path.readlink()), str(path)]
        elif path.is_dir():
            mounts += ["--ro-bind", str(path), str(path)]
    for name in _ETC_SECRETS:
        secret = Path("/etc") / name
        # Unreadable ones (the usual case: not root) need no cover, and an unprivileged bwrap may not be able to give it.
        if secret.is_symlink() or not os.access(secret, os.R_OK):
            continue
        mounts += ["--tmpfs", str(secret)] if secret.is_dir() else ["--ro-bind", "/dev/null", str(secret)]
    return mounts


def _way_out(proxy: Path, filter_file: Path) -> list[str]:
    mounts = ["--ro-bind", str(_real(proxy)), _PROXY, "--ro-bind", str(filter_file), f"{_SHIMS}/filter"]
    for shim in (_REACH, _REACH.with_name("confine.py")):
        mounts += ["--ro-bind", str(shim), f"{_SHIMS}/{shim.name}"]
    return mounts


def _resolver() -> list[str]:
    # Often a link into /run, which is empty inside.
    resolver = _real(Path("/etc/resolv.conf"))
    return ["--ro-bind-try", str(resolver), str(resolver)] if str(resolver).startswith("/run/") else []


def _named(policy: Policy) -> list[str]:
    """The paths handed in, outer ones first so that an inner one is not covered; at the same path, writable wins. Those that
    the workspace covers come with it."""
    chosen = [(path, "--ro-bind") for path in policy.readable] + [(path, "--bind") for path in policy.writable]
    elsewhere = [share for share in policy.shares if share.path.is_absolute()]
    covered = (_real(policy.workspace), _real(policy.seen_at), *(share.path for share in elsewhere))
    mounts: list[str] = []
    for path, flag in sorted(chosen, key=lambda pair: len(pair[0].parts)):
        real = _real(path)
        if not real.exists() or any(real.is_relative_to(folder) for folder in covered):
            continue
        mounts += [flag, str(real), str(real)]
        if real != path and not _already_there(path):
            mounts += [flag, str(real), str(path)]
    for share in elsewhere:
        mounts += _share(policy, share, share.path)
    return mounts


def _share(policy: Policy, share: Share, seen: Path) -> list[str]:
    """One that is seen outside the workspace, or that nothing is mounted over. What lies in an overlay comes with it."""
    if share.upper is not None:
        return ["--ro-bind" if policy.read_only else "--bind", str(share.path), str(seen)]
    mounts = ["--ro-bind", str(share.source), str(seen)]
    for name in share.hidden:
        hidden = share.source / name
        if hidden.is_symlink() or not hidden.exists():
            continue
        mounts += ["--tmpfs", str(seen / name)] if hidden.is_dir() else ["--ro-bind", "/dev/null", str(seen / name)]
    return mounts


def _workspace(policy: Policy) -> list[str]:
    """The workspace where it is seen, after everything that may lie around it, and the names by which it may also be called,
    its path on the host among them."""
    flag = "--ro-bind" if policy.read_only else "--bind"
    real, seen = _real(policy.workspace), _real(policy.seen_at)
    mounts = [flag, str(real), str(seen)]
    for name in _other_names(policy):
        # A link in a folder that outlives the container would be in the way of the next one.
        mounts += [flag, str(real), str(name)] if _outlives(policy, name) else ["--symlink", str(seen), str(name)]
    shared = [share for share in policy.shares if not share.path.is_absolute()]
    for share in shared:
        if share.upper is None and share.source.is_dir() and mount_point(real, share.path):
            mounts += _share(policy, share, seen / share.path)
    for path in policy.readable:  # the running Python, say, that lives in the checkout
        if seen == real or not _real(path).is_relative_to(seen):
            continue
        part = _real(path).relative_to(seen)
        if part.parts and not any(part.is_relative_to(share.path) for share in shared) and mount_point(real, part):
            mounts += ["--ro-bind", str(_real(path)), str(seen / part)]
    return mounts


def _other_names(policy: Policy) -> list[Path]:
    real, seen = _real(policy.workspace), _real(policy.seen_at)
    shown = [_real(path) for path in policy.readable]
    names = dict.fromkeys((policy.seen_at, *policy.names, policy.workspace, real))
    return [
        name
        for name in names
        if not (_overlap(name, seen) or _already_there(name) or any(name.is_relative_to(path) for path in shown))
    ]


def _overlap(one: Path, other: Path) -> bool:
    return one.is_relative_to(other) or other.is_relative_to(one)


def _outlives(policy: Policy, name: Path) -> bool:
    kept = [Path("/tmp")] if policy.tmp else []
    kept += [_home(policy) / ".cache"] if policy.cache else []
    return any(name.is_relative_to(folder) for folder in kept)


def _git(policy: Policy) -> list[str]:
    """The task's git directory, the stores that it borrows from, and the pointer that makes the workspace its worktree. What
    such a store borrows itself is mounted beside it: its own list names places that are not there."""
    pointer, git = _real(policy.workspace) / ".git", policy.git
    seen = [_real(policy.seen_at), *(name for name in _other_names(policy) if _outlives(policy, name))]
    places = seen if os.path.lexists(pointer) else []
    if places and (pointer.is_symlink() or (git is not None and not pointer.is_file())):
        raise SandboxError(
            f"{pointer} is not the file any more that git made there: its user has to move it away, and to say "
            "`git worktree repair` in the checkout."
        )
    if git is None:
        return [word for place in places for word in ("--ro-bind", str(pointer), str(place / ".git"))]
    mounts = ["--bind", str(git.folder), GIT_DIR]
    fixed = git.folder.with_name(f"{git.folder.name}.fixed")
    mounts += [word for entry in sorted(fixed.glob("*")) for word in ("--ro-bind", str(entry), f"{GIT_DIR}/{entry.name}")]
    mounts += ["--remount-ro", GIT_DIR] if policy.read_only else []
    for number, store in enumerate(git.objects):
        place = f"{GIT_OBJECTS}/{number}"
        mounts += ["--ro-bind", str(store), place]
        if (store / "info" / "alternates").exists():
            mounts += ["--ro-bind", "/dev/null", f"{place}/info/alternates"]
    pointer = git.folder.with_name(f"{git.folder.name}.pointer")
    _keep(pointer, f"gitdir: {GIT_DIR}\n")
    return [*mounts, *(word for place in places for word in ("--ro-bind", str(pointer), str(place / ".git")))]


def _already_there(path: Path) -> bool:
    """Whether the path, symlinks and all, comes into view with the system directories."""
    return any(path.is_relative_to(system) for system in (*_SYSTEM, *_MERGED))


def _keep(file: Path, text: str) -> None:
    """Not written anew where it says so already: a command that still runs may be reading it."""
    if not file.is_file() or file.read_text("utf-8", "surrogateescape") != text:
        file.write_text(text, "utf-8", "surrogateescape")


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))
