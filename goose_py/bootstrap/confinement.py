"""The sandbox of one task: which backend holds here, what it may see, and the environment of what runs inside."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.git.worktree import TaskWorktree
from goose_py.protocol.errors import GooseError
from goose_py.sandbox.environment import child_env
from goose_py.sandbox.policy import Policy
from goose_py.sandbox.probe import Chosen, choose
from goose_py.sandbox.spawn import BoundSpawn, bind
from goose_py.tasks.store import TaskFolder

EXIT_SANDBOX = 3


class SandboxRefused(GooseError):
    """What the sandbox can do here is less than the user accepts."""

    exit_code = EXIT_SANDBOX


@dataclass(frozen=True)
class Confinement:
    """`chosen` is the backend with the verdict of its probe; `policy` what a task's processes may touch; `env` what they see."""

    chosen: Chosen
    policy: Policy
    env: Mapping[str, str]

    def spawn(self, *, read_only: bool = False) -> BoundSpawn:
        return bind(self.chosen.sandbox, replace(self.policy, read_only=read_only))


async def confine(host: Host, settings: Settings, folder: TaskFolder, worktree: TaskWorktree) -> Confinement:
    """Probes by really trying, once."""
    env = child_env(host.env, unsafe_path=(str(worktree.path),))
    policy = policy_of(host, settings, folder, worktree)
    return Confinement(chosen=await choose(policy, env), policy=policy, env=env)


def policy_of(host: Host, settings: Settings, folder: TaskFolder, worktree: TaskWorktree) -> Policy:
    for path in (folder.logs, folder.scratch, folder.path / "cache"):
        path.mkdir(parents=True, exist_ok=True, mode=0o700)
    readable = [Path(path).expanduser() for path in settings.sandbox.readable]
    return Policy(
        workspace=worktree.path,
        home=host.home,
        writable=(folder.logs,),
        readable=(*toolchains(host), *readable),
        git_common=worktree.repository.common_dir,
        commits=None,
        tmp=folder.scratch,
        cache=folder.path / "cache",
        network=settings.sandbox.network,
    )


def toolchains(host: Host) -> tuple[Path, ...]:
    """What the programs on PATH need to run where they are not the system's own: this Python, virtual environments, and
    toolchains in the home folder (`~/.cargo/bin` needs `~/.cargo`). The home folder itself is never shown."""
    found: dict[Path, None] = {Path(prefix): None for prefix in (sys.prefix, sys.base_prefix)}
    for entry in host.env.get("PATH", "").split(":"):
        path = Path(entry)
        if not path.is_absolute() or path.is_relative_to("/usr") or path in (Path("/bin"), Path("/sbin")):
            continue
        whole = path.parent if path.name in ("bin", "sbin", "shims") else path
        shown = path if whole in (host.home, host.home / ".local", Path("/")) else whole
        if not host.home.is_relative_to(shown):
            found[shown] = None
    return tuple(path for path in found if path.exists())


def require(confinement: Confinement, settings: Settings, *, interactive: bool) -> None:
    """A run without a person refuses to start commands in a weaker sandbox than was asked for. Raises SandboxRefused."""
    strength = {"none": 0, "partial": 1, "full": 2}
    level = confinement.chosen.sandbox.level
    if interactive or strength[level] >= strength[settings.sandbox.level]:
        return
    raise SandboxRefused(
        f"{confinement.chosen.verdict.sentence} This run asks for {settings.sandbox.level}. Install bubblewrap, or say "
        f"`--sandbox {level}` to accept it."
    )


