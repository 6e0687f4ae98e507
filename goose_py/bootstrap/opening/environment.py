"""Where a task works: its worktree, the sandbox around it, its checks."""

import asyncio
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from goose_py.bootstrap.check_runner import Checks
from goose_py.bootstrap.confinement import Confinement, confine, mounted_shares, probe_here, require, way_out
from goose_py.bootstrap.extension_specs import all_ours, extensions_of
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.opening.opening import Opening
from goose_py.bootstrap.workspace.background_checkout import Checkout, checkout
from goose_py.bootstrap.workspace.shares import Shares, shares_of
from goose_py.bootstrap.workspace.unmounted_shares import bring
from goose_py.bootstrap.workspace.worktree import OpenWorkspace, open_workspace, start_of
from goose_py.config.load import Loaded
from goose_py.config.settings import Settings
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol import events as ev
from goose_py.protocol.errors import GooseError
from goose_py.sandbox.detection import FoundSandbox
from goose_py.sandbox.mounts.overlays import Mounted
from goose_py.sandbox.policy import Level
from goose_py.sandbox.variables import Granted
from goose_py.tasks.spec import TaskSpec
from goose_py.toolbox.spec import ExtensionSpec

FEW_FILES = 500
"""So many are there before anything else is ready."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """`files` are those of the worktree's base. `found_checks` run though nobody asked for them. `files_follow`: the files are
    still on their way, and the first request may leave before they are there. `start` is the folder that its user stood in,
    relative to the root of the workspace: relative paths and commands begin there."""

    workspace: OpenWorkspace
    files: tuple[str, ...]
    checkout: Checkout
    confinement: Confinement
    checks: Checks
    found_checks: Mapping[str, str]
    extensions: Sequence[ExtensionSpec]
    files_follow: bool
    start: str

    def on_host(self, path: str) -> Path:
        """Where a path lies that the model speaks of."""
        policy = self.confinement.policy
        return policy.outside(policy.seen_at / self.start / path)


async def prepare_environment(
    opening: Opening, loaded: Loaded, records: tuple[ev.Record, ...], *, files_first: bool
) -> Environment:
    """When this returns the files are there, unless nothing needs them yet. Raises GooseError."""
    settings = loaded.settings
    host, folder, spec, warn = opening.host, opening.folder, opening.spec, opening.coming.warn
    extensions, warnings = extensions_of(spec, settings)
    warn(warnings)
    probing = opening.meanwhile(probe_here(host, none_chosen=settings.sandbox.level == "none"))
    workspace = await open_workspace(host, folder, spec, settings, records)
    arriving = await opening.stack.enter_async_context(checkout(workspace.fill))
    listing = opening.meanwhile(workspace.worktree.base_files())
    start, is_new = _start(spec, workspace, records)
    finding = opening.meanwhile(_shares(host, settings, workspace.worktree, start, arriving))
    mounting = opening.meanwhile(_mount(opening, workspace, probing, finding))
    told, copy_of = None if is_new else start_of(records), workspace.copy_of
    confinement = await confine(host, settings, folder, workspace.worktree, await probing, copy_of=copy_of, told=told)
    warn(confinement.warnings)
    require(confinement, settings, interactive=spec.interactive)
    if confinement.found.level is Level.PARTIAL and "sandbox.level" not in loaded.origins():
        warn((f"{confinement.found.sentence} `--sandbox {Level.PARTIAL}`, or sandbox.level, accepts that.",))
    warn(_missing(confinement.granted, spec.overrides.get("sandbox.env", ())))
    confinement = await opening.stack.enter_async_context(
        way_out(confinement, settings, folder, lambda text: warn((text,)))
    )
    files = await listing
    shares = await finding
    warn(shares.sentences())
    await asyncio.to_thread(workspace.worktree.commits.show_rules)
    found = await mounting
    if confinement.policy.place is not None:
        confinement = confinement.sharing(found, lambda text: warn((text,)))
    elif confinement.found.backend != "bubblewrap":
        await arriving.done()
        held = confinement.found.level is not Level.NONE
        links, problems = await bring(workspace.worktree, shares.folders, sys.platform, linked=held)
        confinement = confinement.reading(links)
        warn(problems)
    found_checks = _found_checks(loaded, confinement, told)
    has_start = start == "." or any(path.startswith(f"{start}/") for path in files)
    files_follow = not files_first and len(files) > FEW_FILES and _needs_no_files(settings, workspace, extensions) and has_start
    if not files_follow:
        await arriving.done()
    if is_new and not has_start:
        with suppress(OSError):  # an empty folder is in no tree
            (workspace.worktree.path / start).mkdir(parents=True, exist_ok=True)
    return Environment(
        workspace=workspace,
        files=files,
        checkout=arriving,
        confinement=confinement,
        checks=Checks(
            host,
            settings,
            folder,
            confinement,
            workspace.worktree,
            opening.redact,
            start,
            found_checks,
            opening.coming.base_tree,
        ),
        found_checks=found_checks,
        extensions=extensions,
        files_follow=files_follow,
        start=start,
    )


async def _shares(host: Host, settings: Settings, worktree: TaskWorktree, start: str, arriving: Checkout) -> Shares:
    if worktree.submodules:  # they are only filled where nothing stands in them
        try:
            await arriving.done()
        except GooseError:
            return Shares()  # said by those who wait for the files
    return await shares_of(host, settings, worktree, start)


async def _mount(
    opening: Opening, workspace: OpenWorkspace, probing: asyncio.Task[FoundSandbox], finding: asyncio.Task[Shares]
) -> Mounted:
    """While the rest is still being put together."""
    if (await probing).backend != "bubblewrap":
        return Mounted()
    mounting = mounted_shares(opening.folder, workspace.worktree, (await finding).folders)
    return await opening.stack.enter_async_context(mounting)


def _missing(granted: Granted, asked_for: Collection[str]) -> tuple[str, ...]:
    """Of the variables that this very task was given, those that are not set where it is started."""
    names = [name for name in granted.missing if name in asked_for]
    return (f"Commands go without {', '.join(names)} (not set where this was started).",) if names else ()


def _found_checks(loaded: Loaded, confinement: Confinement, started: ev.SessionStarted | None) -> Mapping[str, str]:
    """Those that the session began with; in a new one those that are found now, where there is a sandbox to run them in."""
    if started is not None:
        return started.found_checks
    return loaded.found_checks if confinement.found.level is not Level.NONE else {}


def _start(spec: TaskSpec, workspace: OpenWorkspace, records: tuple[ev.Record, ...]) -> tuple[str, bool]:
    """The folder that the task began in, or begins in now."""
    started = start_of(records)
    if started is not None and started.session_id == spec.task_id:
        return started.folder or ".", False
    here, root = Path(spec.folder).resolve(), workspace.worktree.repository.root
    return (here.relative_to(root).as_posix() if here.is_relative_to(root) else "."), True


def _needs_no_files(settings: Settings, workspace: OpenWorkspace, extensions: Sequence[ExtensionSpec]) -> bool:
    """Whether nothing reads the files before the first request. A setup command does; so may a server of somebody else when it
    starts. With submodules, or a sparse checkout, a worktree does not hold just what its base lists."""
    worktree = workspace.worktree
    as_listed = not (workspace.filled or worktree.submodules or worktree.store.settings.sparse)
    return as_listed and settings.worktree.setup is None and all_ours(extensions)
