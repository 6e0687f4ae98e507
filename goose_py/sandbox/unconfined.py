"""Level none: no confinement by the operating system. Only the environment is clean and the session new."""

from collections.abc import Mapping, Sequence

from goose_py.sandbox.policy import Level, Policy, SandboxError, SpawnSpec


class Plain:
    """Chosen by a person, never by default and never by the model."""

    level = Level.NONE

    def wrap(self, argv: Sequence[str], cwd: str, env: Mapping[str, str], policy: Policy) -> SpawnSpec:
        """Raises SandboxError for a read-only policy, which cannot be kept here."""
        if policy.read_only:
            raise SandboxError("Without a sandbox nothing keeps a command from writing, so none runs in plan mode.")
        return SpawnSpec(tuple(argv), dict(env), cwd)
