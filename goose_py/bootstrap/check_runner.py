"""How the commands that we run ourselves are started in one task: its checks, and what makes its worktree ready."""

from collections.abc import Callable, Collection
from functools import partial

import msgspec

from goose_py.bootstrap.confinement import Confinement
from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.events import VerificationFinished
from goose_py.sandbox.policy import Level
from goose_py.sandbox.variables import Granted
from goose_py.tasks.check_outcomes import NOT_STARTED, Hindrance, hindrance
from goose_py.tasks.checks import CheckRunner
from goose_py.tasks.found_check_runs import FoundCheckRuns
from goose_py.tasks.store import TaskFolder

SHELL = "/bin/bash"
FOUND_SECONDS = 300.0
"""Longer than this nobody waits for a check that they have not asked for."""


class Checks:
    """The checks of one task, which begin in the folder `start` of its workspace. `run` takes one of them and the tree of the
    present files; those in `found` nobody asked for. `base` is the tree that the work is measured from, None for the worktree's
    own."""

    def __init__(
        self,
        host: Host,
        settings: Settings,
        folder: TaskFolder,
        confinement: Confinement,
        worktree: TaskWorktree,
        redact: Callable[[str], str],
        start: str,
        found: Collection[str] = (),
        base: Callable[[], str | None] = lambda: None,
    ) -> None:
        self.commands = _runner(host, settings, folder, confinement, redact, start)
        self._found = frozenset(found)
        self._grants = partial(_what_grants, host)
        self._network = settings.sandbox.network
        self._sandboxed = confinement.found.level is not Level.NONE
        bare = msgspec.structs.replace(confinement.policy, network=False, proxy=None)
        alone = msgspec.structs.replace(confinement, policy=bare, granted=Granted())
        limited = msgspec.structs.replace(settings, check_timeout=min(settings.check_timeout, FOUND_SECONDS))
        runner = _runner(host, limited, folder, alone, redact, start)
        self._runs = FoundCheckRuns(
            runner, worktree, folder.scratch, base, _withheld(settings, confinement), partial(self._grants, found=True)
        )

    async def run(self, command: str, tree: str | None) -> VerificationFinished:
        """Never raises but for cancellation, which kills the check."""
        if command not in self._found:
            return self._told(await self.commands.run(command, tree))
        if not self._sandboxed:
            why = "What nobody has asked for runs in a sandbox only, and there is none: `--check auto` runs it."
            return VerificationFinished(
                command=command, exit_code=None, tree=tree, outcome="cannot run", reason=why, found=True
            )
        return await self._runs.run(command, tree)

    def _told(self, result: VerificationFinished) -> VerificationFinished:
        """What it went without, where its end says that for certain."""
        if result.came_to != "failed":
            return result
        found = hindrance(result.exit_code, result.output, network=self._network)
        if found is None or found.kind == "module" or (found.kind == "program" and result.exit_code not in NOT_STARTED):
            return result
        why = f"{found.sentence(result.command)} {self._grants(found)}".strip()
        return msgspec.structs.replace(result, outcome="cannot run", reason=why)


def _runner(
    host: Host, settings: Settings, folder: TaskFolder, confinement: Confinement, redact: Callable[[str], str], start: str
) -> CheckRunner:
    return CheckRunner(
        confinement.spawn(),
        confinement.policy.workspace,
        confinement.env_of_commands,
        folder.logs,
        SHELL,
        settings.check_timeout,
        host.monotonic,
        redact,
        start,
    )


def _withheld(settings: Settings, confinement: Confinement) -> str:
    kept = ["your variables"] if confinement.granted.names else []
    kept += ["the network"] if settings.sandbox.network or settings.sandbox.allow_hosts else []
    return f"It ran without {' and '.join(kept)}: `goose-py trust` lets it have what you granted." if kept else ""


def _what_grants(host: Host, went_without: Hindrance, *, found: bool = False) -> str:
    """The line of the configuration that would give a check what it went without, in a sentence."""
    match went_without.kind:
        case "network":
            setting = f'sandbox.allow_hosts = ["{went_without.subject}"]' if went_without.subject else "sandbox.network = true"
            return f"`{setting}` opens it to commands" + (", and `goose-py trust` to this check." if found else ".")
        case "program" if went_without.subject and (there := host.which(went_without.subject)):
            return f'`sandbox.readable = ["{there.parent}"]` shows commands the one that you have.'
        case "program" | "module":
            return '`worktree.setup = "COMMAND"` installs what a new worktree needs.'
        case "read-only":
            return "It may write in its worktree and in $TMPDIR."


async def set_up(command: str, runner: CheckRunner) -> tuple[str, str | None]:
    """Runs what makes a new worktree ready, a second time where it failed (it may have been the network). Returns how it went,
    for the model, and for a person where it failed."""
    result = await runner.run(command, None)
    if result.exit_code not in (0, None):
        result = await runner.run(command, None)
    if result.exit_code == 0:
        return f"Setup: `{command}` has run.", None
    how = f"exit code {result.exit_code}" if result.exit_code is not None else "it did not end"
    failed = f"The setup command `{command}` failed ({how}): {result.output.strip()[-400:]}"
    return failed, f"{failed} The full output is in {result.log}."
