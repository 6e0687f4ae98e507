"""The sandbox of one task: which backend holds here, what it may see, and the environment of what runs inside."""

import asyncio
import platform
import sys
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from goose_py import __version__
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.port_leases import own_environment
from goose_py.config.settings import Settings
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import GooseError
from goose_py.protocol.events import SessionStarted
from goose_py.sandbox.detection import FoundSandbox, find_sandbox
from goose_py.sandbox.environment import child_env, elsewhere, english
from goose_py.sandbox.mounts.overlays import Mounted, ShareWatch, mounted
from goose_py.sandbox.policy import GitInside, Grants, Level, Policy, Share
from goose_py.sandbox.probe_cache import circumstances
from goose_py.sandbox.sentences import described
from goose_py.sandbox.spawn import BoundSpawn, bind
from goose_py.sandbox.toolchains import home_toolchains, python_roots
from goose_py.sandbox.variables import Granted, grant
from goose_py.tasks.checks import Spawn
from goose_py.tasks.store import TaskFolder

EXIT_SANDBOX = 3
MISSING = "is missing"
"""What the sandbox says of a program that is not there."""
STRENGTH = {"none": 0, "partial": 1, "full": 2}
REFUSED_WRITE = {
    "bubblewrap": ("read-only file system",),
    "landlock": ("permission denied", "operation not permitted"),
    "sandbox-exec": ("operation not permitted",),
}
"""How a program says, in lower case, that a backend kept it from writing: EROFS, EACCES, EPERM."""


class SandboxRefused(GooseError):
    """What the sandbox can do here is less than the user accepts."""

    exit_code = EXIT_SANDBOX


class _Reading(msgspec.Struct, frozen=True):
    """Starts what was judged to change nothing. `refused_write` tells the developer extension what a program says there that
    wants to, in English whatever the user's language is."""

    bound: BoundSpawn
    first: Callable[[], None]
    refused_write: tuple[str, ...]

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> asyncio.subprocess.Process:
        self.first()
        return await self.bound(argv, cwd=cwd, env=english(env), stdout=stdout, stderr=stderr)


class _SpawnWhile(msgspec.Struct, frozen=True):
    """`contained` tells the developer extension that nothing outlives the process that is returned: the container ends with
    it. `reading` is for what was judged to change nothing, whatever the mode; None where nothing could keep it to that."""

    writing: BoundSpawn
    planned: BoundSpawn
    planning: Callable[[], bool]
    reading: _Reading | None
    contained: bool
    first: Callable[[], None]

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> asyncio.subprocess.Process:
        self.first()
        chosen = self.planned if self.planning() else self.writing
        return await chosen(argv, cwd=cwd, env=env, stdout=stdout, stderr=stderr)


class Confinement(msgspec.Struct, frozen=True):
    """`found` is the backend with the verdict of its probe; `policy` what a task's processes may touch; `env` what they see;
    `granted` what commands see besides, because the user named it. `warnings` are sentences for a person; `before_each` is
    called before the model's commands."""

    found: FoundSandbox
    policy: Policy
    env: Mapping[str, str]
    granted: Granted = Granted()
    warnings: tuple[str, ...] = ()
    before_each: Callable[[], None] = lambda: None

    @property
    def env_of_commands(self) -> Mapping[str, str]:
        return {**self.granted.values, **self.env}

    def spawn(self) -> BoundSpawn:
        """Starts processes that may write the workspace."""
        return bind(self.found.sandbox, self.policy)

    def said(self, home: Path, ours: Path) -> str:
        """What holds for its commands, in words. `ours` is a folder that the program itself needs inside."""
        grants = self.policy.grants()
        shown = _there(folder for folder in grants.readable if folder != ours)
        return described(self.found, msgspec.structs.replace(grants, readable=shown), home, self.granted.names)

    def sharing(self, found: Mounted, warn: Callable[[str], None]) -> "Confinement":
        """With what is mounted seen inside."""
        if found.reason:
            warn(f"What is shared with the task is read-only there, so that nothing can be installed: {found.reason}.")
        policy = found.seen_by(self.policy)
        env, watch = {**self.env, **elsewhere(policy)}, ShareWatch(policy.workspace, found.shares, warn)
        return msgspec.structs.replace(self, policy=policy, env=env, before_each=watch.look)

    def reading(self, shares: Sequence[Share]) -> "Confinement":
        """With these folders of the user's readable, where a sandbox of permissions shows them under their own names."""
        policy = self.policy
        shown = (*policy.readable, *(share.source for share in shares))
        changed = msgspec.structs.replace(policy, readable=shown, shares=tuple(shares))
        return msgspec.structs.replace(self, policy=changed)

    def spawn_while(self, planning: Callable[[], bool]) -> Spawn:
        """Starts processes that may write the workspace unless `planning` says at that moment that nothing may."""
        sandbox, first = self.found.sandbox, self.before_each
        reading = _Reading(bind(sandbox, self.policy.reading()), first, REFUSED_WRITE.get(self.found.backend, ()))
        return _SpawnWhile(
            writing=self.spawn(),
            planned=bind(sandbox, msgspec.structs.replace(self.policy, read_only=True)),
            planning=planning,
            reading=None if self.found.level is Level.NONE else reading,
            contained=self.found.backend == "bubblewrap",
            first=first,
        )


async def probe_here(host: Host, *, none_chosen: bool = False, anew: bool = False) -> FoundSandbox:
    """The strongest sandbox that holds on this machine, found out by trying. What was found since this machine was started
    is taken again as long as nothing that matters is different, unless it shall be tried `anew`."""
    now = circumstances(sys.platform, goose_py=__version__, python=sys.executable, readable=":".join(map(str, _python())))
    return await find_sandbox(
        platform=sys.platform,
        machine=platform.machine(),
        state=host.paths.state / "sandbox",
        python=Path(sys.executable),
        readable=_python(),
        none_chosen=none_chosen,
        circumstances=None if anew else now,
    )


async def confine(
    host: Host,
    settings: Settings,
    folder: TaskFolder,
    worktree: TaskWorktree,
    found: FoundSandbox | None = None,
    *,
    copy_of: str = "",
    told: SessionStarted | None = None,
) -> Confinement:
    """What the task in `worktree` is run with. `copy_of` is the folder that was copied because it is no repository, else "";
    `told` is what a task that goes on was told: one of an earlier version, the worktree's own path."""
    found = found or await probe_here(host, none_chosen=settings.sandbox.level == "none")
    mounting = found.backend == "bubblewrap"
    policy = _policy(host, settings, folder, worktree)
    if mounting:
        policy = msgspec.structs.replace(policy, git=await _git_inside(worktree))
    else:
        policy = msgspec.structs.replace(policy, readable=(*policy.readable, worktree.repository.common_dir))
    checkout = Path(copy_of) if copy_of else worktree.repository.root
    warnings: tuple[str, ...] = ()
    names = _spelled(host, checkout)
    if not can_be_covered(checkout, host.home):
        if mounting:
            warnings += (
                f"{checkout} holds your home folder or the system, so commands see the task's files at {worktree.path} "
                "instead, without what git ignores.",
            )
    elif mounting and told is not None and not told.worktree:
        policy = msgspec.structs.replace(policy, place=worktree.path, names=(checkout, *names))
    elif mounting:
        policy = msgspec.structs.replace(policy, place=checkout, names=names)
    else:
        # Nothing can be mounted: what means the checkout is mapped by our own tools.
        policy = msgspec.structs.replace(policy, names=(checkout, *names))
    return Confinement(
        found=found,
        policy=policy,
        # Byte code beside the sources would be part of every diff in a repository that does not ignore it.
        env={
            # What lies in the checkout is meant as it is seen at its place: the task's own.
            **child_env(host.env, unsafe_path=(str(worktree.path),)),
            **own_environment(host, settings, folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            **_network_said(settings, found),
        },
        granted=grant(settings.sandbox.env, host.env),
        warnings=warnings,
    )


def _spelled(host: Host, checkout: Path) -> tuple[Path, ...]:
    """What the user's shell calls the checkout where that leads through a symlink: a virtual environment that was made there
    has this name in its programs."""
    here = Path(host.env.get("PWD", ""))
    for folder in (here, *here.parents) if here.is_absolute() else ():
        if folder != checkout and folder.is_dir() and folder.resolve() == checkout:
            return (folder,)
    return ()


def can_be_covered(checkout: Path, home: Path) -> bool:
    """Whether the task's files can be shown in the place of the checkout. Where it holds the home folder or the system, that
    would take away from commands what they need, or give them what is nobody's project."""
    real = checkout.resolve()
    needed = (home.resolve(), *map(Path, ("/usr", "/etc", "/proc", "/dev", "/run", "/tmp", "/bin", "/lib")))
    return not any(folder.is_relative_to(real) for folder in needed) and not any(
        real.is_relative_to(folder) for folder in map(Path, ("/proc", "/dev", "/sys"))
    )


def _network_said(settings: Settings, found: FoundSandbox) -> dict[str, str]:
    """What the shell tool tells a model whose command failed for want of a network: that this is policy, not a fault."""
    if settings.sandbox.network or found.level is Level.NONE:
        return {}
    hosts = settings.sandbox.allow_hosts if found.backend == "bubblewrap" else ()
    return {"SANDBOX_NETWORK": ", ".join(hosts) or "off"}


@asynccontextmanager
async def mounted_shares(folder: TaskFolder, worktree: TaskWorktree, shares: Sequence[Share]) -> AsyncIterator[Mounted]:
    """The task's shares, mounted for as long as this lasts: copy-on-write where the kernel can, else read-only."""
    async with mounted(worktree.path, shares, layers_of(folder), Path(sys.executable)) as found:
        yield found


def layers_of(folder: TaskFolder) -> Path:
    """Where what a task has changed of its shares is kept, with nothing else."""
    return folder.path / "shares"


@asynccontextmanager
async def way_out(
    confinement: Confinement, settings: Settings, folder: TaskFolder, warn: Callable[[str], None]
) -> AsyncIterator[Confinement]:
    """The confinement with the way to the allowed hosts open, for as long as this lasts. Raises SandboxError where an entry is
    no host."""
    if settings.sandbox.network or not settings.sandbox.allow_hosts:
        yield confinement
        return
    from goose_py.sandbox.hosts import AllowedHosts
    from goose_py.sandbox.proxy import HostProxy

    allowed = AllowedHosts.parse(settings.sandbox.allow_hosts)
    if confinement.found.backend != "bubblewrap":
        if confinement.found.level is not Level.NONE:
            warn("sandbox.allow_hosts needs bubblewrap: commands have no network in this sandbox.")
        yield confinement
        return
    proxy = HostProxy(allowed, lambda host: warn(f"A command asked for {host}, which sandbox.allow_hosts does not name."))
    place = folder.socket.with_suffix(".net")
    await proxy.start(place)
    try:
        policy = msgspec.structs.replace(confinement.policy, proxy=place, hosts=settings.sandbox.allow_hosts)
        yield msgspec.structs.replace(confinement, policy=policy)
    finally:
        await proxy.close()
        place.unlink(missing_ok=True)


def require(confinement: Confinement, settings: Settings, *, interactive: bool) -> None:
    """A run without a person refuses to start commands in a weaker sandbox than was asked for. Raises SandboxRefused."""
    level = confinement.found.level.value
    if interactive or STRENGTH[level] >= STRENGTH[settings.sandbox.level]:
        return
    why = dict(confinement.found.tried).get("bubblewrap", "")
    mend = "let bubblewrap make namespaces" if why and MISSING not in why else "install bubblewrap"
    raise SandboxRefused(
        f"{confinement.found.sentence} This run asks for {settings.sandbox.level}: {mend}, or say `--sandbox {level}` to "
        "accept what there is."
    )


def _policy(host: Host, settings: Settings, folder: TaskFolder, worktree: TaskWorktree) -> Policy:
    cache = folder.path / "cache"
    for path in (folder.logs, folder.scratch, folder.tmp, cache):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    return Policy(
        workspace=worktree.path,
        home=host.home,
        # Written by us, outside the sandbox: what a task could change there, a link for one, would be written through.
        # What lies in the checkout is the task's own there, or shared with it.
        readable=(folder.logs, *_outside(worktree.repository.root, _shown(host, settings))),
        tmp=folder.tmp,
        cache=cache,
        network=settings.sandbox.network,
    )


async def _git_inside(worktree: TaskWorktree) -> GitInside | None:
    own = await worktree.commits.prepare()
    return None if own is None else GitInside(own.folder, own.objects)


def _shown(host: Host, settings: Settings) -> tuple[Path, ...]:
    """The folders outside the workspace that every task's commands may read: toolchains, and what the user named."""
    chosen = [Path(path).expanduser() for path in settings.sandbox.readable]
    return (*_python(), *home_toolchains(host.env.get("PATH", ""), host.home), *_on_path(host), *chosen)


def _outside(checkout: Path, folders: Iterable[Path]) -> tuple[Path, ...]:
    """But for the Python that runs us: commands start through it."""
    needed = _python()
    return tuple(each for each in folders if each in needed or not each.resolve().is_relative_to(checkout))


def said_of(host: Host, settings: Settings, found: FoundSandbox) -> str:
    """What holds for the commands of every task, without what a single one adds."""
    hosts = settings.sandbox.allow_hosts if found.backend == "bubblewrap" and not settings.sandbox.network else ()
    grants = Grants(settings.sandbox.network, hosts, _there(_shown(host, settings)), (), (), read_only=False)
    return described(found, grants, host.home, grant(settings.sandbox.env, host.env).names)


def _there(folders: Iterable[Path]) -> tuple[Path, ...]:
    return tuple(dict.fromkeys(folder for folder in folders if folder.exists()))


def _python() -> tuple[Path, ...]:
    return python_roots(Path(sys.executable), (Path(sys.prefix), Path(sys.base_prefix)))


def _on_path(host: Host) -> tuple[Path, ...]:
    """Folders on PATH that are neither the system's nor in the home folder, such as an activated virtual environment."""
    found: dict[Path, None] = {}
    for entry in host.env.get("PATH", "").split(":"):
        folder = Path(entry)
        root = folder.parent if folder.name == "bin" else folder
        if folder.is_absolute() and root.is_dir() and root != Path("/") and not host.home.is_relative_to(root):
            found[root] = None
    return tuple(path for path in found if not path.is_relative_to(host.home) or (path / "pyvenv.cfg").is_file())
