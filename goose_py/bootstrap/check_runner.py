"""How the commands that we run ourselves are started in one task: its checks, and what makes its worktree ready."""

from collections.abc import Callable

from goose_py.bootstrap.confinement import Confinement
from goose_py.bootstrap.host import Host
from goose_py.config.settings import Settings
from goose_py.tasks.checks import CheckRunner
from goose_py.tasks.store import TaskFolder

SHELL = "/bin/bash"


def check_runner(
    host: Host,
    settings: Settings,
    folder: TaskFolder,
    confinement: Confinement,
    redact: Callable[[str], str],
    start: str = ".",
) -> CheckRunner:
    """Checks begin in the folder `start` of the workspace."""
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
