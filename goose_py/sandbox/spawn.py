"""Starting processes inside a sandbox."""

import asyncio
import errno
from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from goose_py.sandbox.policy import Level, Policy, SandboxError, SpawnSpec


class Sandbox(Protocol):
    """One way of confining a process. `wrap` starts nothing; it may make folders that the policy names as the task's own.

    `cwd` is the working folder inside. `env` is the whole environment the command gets (see `child_env`), to which `wrap`
    adds what the sandbox itself decides, such as HOME and TMPDIR."""

    @property
    def level(self) -> Level: ...

    def wrap(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], policy: Policy) -> SpawnSpec: ...


async def spawn(spec: SpawnSpec, stdout: int, stderr: int) -> asyncio.subprocess.Process:
    """Start it with /dev/null as standard input, as the leader of a new session: killing its process group ends everything
    in the sandbox. Call it on the event loop's own thread, since the container dies with the thread that started it.
    Raises OSError where the program cannot be started."""
    return await asyncio.create_subprocess_exec(
        *spec.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        cwd=spec.cwd,
        env=dict(spec.env),
        start_new_session=True,
    )


class BoundSpawn(msgspec.Struct, frozen=True):
    """A starter of processes under one policy: what the developer extension is handed as its `spawn`. Raises OSError,
    whose text is the sandbox's own sentence where that refuses."""

    sandbox: Sandbox
    policy: Policy

    async def __call__(
        self, argv: Sequence[str], *, cwd: str, env: Mapping[str, str], stdout: int, stderr: int
    ) -> asyncio.subprocess.Process:
        try:
            spec = self.sandbox.wrap(argv, cwd, env, self.policy)
        except SandboxError as error:
            raise OSError(errno.EPERM, str(error).rstrip(".")) from error
        return await spawn(spec, stdout, stderr)


def bind(sandbox: Sandbox, policy: Policy) -> BoundSpawn:
    """`sandbox` with `policy` for every process it starts."""
    return BoundSpawn(sandbox, policy)
