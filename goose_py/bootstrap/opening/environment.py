"""Where a task works: its worktree, the sandbox around it, its checks."""

from collections.abc import Collection, Mapping, Sequence

import msgspec

from goose_py.bootstrap.check_runner import Checks
from goose_py.bootstrap.confinement import Confinement, confine, probe_here, require, way_out
from goose_py.bootstrap.opening.opening import Opening
from goose_py.bootstrap.tools import all_ours, extensions_of
from goose_py.bootstrap.workspace.background_checkout import Checkout, checkout
from goose_py.bootstrap.workspace.worktree import OpenWorkspace, open_workspace, start_of
from goose_py.config.load import Loaded
from goose_py.config.settings import Settings
from goose_py.protocol import events as ev
from goose_py.sandbox.policy import Level
from goose_py.sandbox.variables import Granted
from goose_py.toolbox.spec import ExtensionSpec

FEW_FILES = 500
"""So many are there before anything else is ready."""


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """`files` are those of the worktree's base. `found_checks` run though nobody asked for them. `files_follow`: the files are
    still on their way, and the first request may leave before they are there."""

    workspace: OpenWorkspace
    files: tuple[str, ...]
    checkout: Checkout
    confinement: Confinement
    checks: Checks
    found_checks: Mapping[str, str]
    extensions: Sequence[ExtensionSpec]
    files_follow: bool


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
    confinement = await confine(host, settings, folder, workspace.worktree, await probing, workspace.copy_of)
    warn(confinement.warnings)
    require(confinement, settings, interactive=spec.interactive)
    warn(_missing(confinement.granted, spec.overrides.get("sandbox.env", ())))
    confinement = await opening.stack.enter_async_context(
        way_out(confinement, settings, folder, lambda text: warn((text,)))
    )
    files = await listing
    files_follow = not files_first and len(files) > FEW_FILES and _needs_no_files(settings, workspace, extensions)
    if not files_follow:
        await arriving.done()
    started = start_of(records)
    begun = started is not None and started.session_id == spec.task_id
    found = started.found_checks if started is not None and begun else loaded.found_checks
    found = found if begun or confinement.found.level is not Level.NONE else {}
    checks = Checks(
        host, settings, folder, confinement, workspace.worktree, opening.redact, found, opening.coming.base_tree
    )
    return Environment(
        workspace=workspace,
        files=files,
        checkout=arriving,
        confinement=confinement,
        checks=checks,
        found_checks=found,
        extensions=extensions,
        files_follow=files_follow,
    )


def _missing(granted: Granted, asked_for: Collection[str]) -> tuple[str, ...]:
    """Of the variables that this very task was given, those that are not set where it is started."""
    names = [name for name in granted.missing if name in asked_for]
    return (f"Not set here, so commands go without: {', '.join(names)}.",) if names else ()


def _needs_no_files(settings: Settings, workspace: OpenWorkspace, extensions: Sequence[ExtensionSpec]) -> bool:
    """Whether nothing reads the files before the first request. A setup command does; so may a server of somebody else when it
    starts. With submodules, or a sparse checkout, a worktree does not hold just what its base lists."""
    worktree = workspace.worktree
    as_listed = not (workspace.filled or worktree.submodules or worktree.store.settings.sparse)
    return as_listed and settings.worktree.setup is None and all_ours(extensions)
