"""A task's checks without its session: the same commands in the same sandbox, for a merge that needs no model."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from goose_py.bootstrap.check_runner import Checks
from goose_py.bootstrap.confinement import confine, mounted_shares
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.known_secrets import redaction
from goose_py.bootstrap.settings import load_settings
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.bootstrap.workspace.shares import shares_of
from goose_py.bootstrap.workspace.worktree import start_of
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import DurableEvent, Record, VerificationFinished
from goose_py.session.log import read_log
from goose_py.tasks.spec import read_spec
from goose_py.tasks.store import TaskFolder


async def run_checks(
    host: Host, folder: TaskFolder, worktree: TaskWorktree, records: Sequence[Record], emit: Callable[[DurableEvent], None]
) -> Sequence[VerificationFinished]:
    """Runs every check of the task on its files as they are, and logs each result."""
    started = start_of(records)
    if started is None or not started.checks:
        return ()
    results: list[VerificationFinished] = []
    async with _checks(host, folder, worktree, records) as checks:
        tree = (await worktree.snapshot()).tree
        for command in started.checks:
            results.append(await checks.run(command, tree))
            emit(results[-1])
    return results


async def run_setup(host: Host, folder: TaskFolder) -> VerificationFinished:
    """The setup command of the settings, in the task's worktree. Raises UserError where there is none."""
    settings = load_settings(host, read_spec(folder.path)).settings
    if settings.worktree.setup is None:
        raise UserError("There is no setup command: worktree.setup names one.")
    records = read_log(folder.path).records
    async with _checks(host, folder, await open_worktree(host, folder, records), records) as checks:
        return await checks.commands.with_timeout(settings.worktree.setup_timeout, start=".").run(settings.worktree.setup, None)


@asynccontextmanager
async def _checks(
    host: Host, folder: TaskFolder, worktree: TaskWorktree, records: Sequence[Record]
) -> AsyncIterator[Checks]:
    settings = load_settings(host, read_spec(folder.path)).settings
    started = start_of(records)
    copy_of = started.copy_of if started is not None else ""
    confinement = await confine(host, settings, folder, worktree, copy_of=copy_of, told=started)
    start = (started.folder if started is not None else "") or "."
    found = started.found_checks if started is not None else {}
    folders = (await shares_of(host, settings, worktree, start)).folders
    if confinement.policy.place is None:
        yield Checks(host, settings, folder, confinement.reading(folders), worktree, redaction(host), start, found)
        return
    async with mounted_shares(folder, worktree, folders) as mounted:
        shared = confinement.sharing(mounted, lambda text: None)
        yield Checks(host, settings, folder, shared, worktree, redaction(host), start, found)
