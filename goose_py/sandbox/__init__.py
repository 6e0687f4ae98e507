"""Confinement of processes by the operating system: policies, backends, and the probe that tells which one holds here."""

from goose_py.sandbox.environment import child_env, safe_path
from goose_py.sandbox.find import FoundSandbox, find_sandbox
from goose_py.sandbox.policy import Commits, Level, Limits, Policy, SandboxError, SpawnSpec
from goose_py.sandbox.spawn import BoundSpawn, Sandbox, bind, spawn
from goose_py.sandbox.toolchains import home_toolchains, python_roots

__all__ = [
    "BoundSpawn", "Commits", "FoundSandbox", "Level", "Limits", "Policy", "Sandbox", "SandboxError", "SpawnSpec", "bind",
    "child_env", "find_sandbox", "home_toolchains", "python_roots", "safe_path", "spawn",
]  # fmt: skip
