"""The checks that a project's files give away, and what a person's word on them changes.

They run in the sandbox like any command of the model's, with nothing that the user granted: no variables, no network. Where
somebody has asked for them, for one task (`--check auto`) or for every task of the repository (`goose-py trust`, which approves
exactly these; a change of them is asked about again), they count as if they had been configured.
"""

import os
import shlex
from collections.abc import Collection
from pathlib import Path

import msgspec

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.trust_store import trust_store
from goose_py.config.load import Loaded
from goose_py.config.project import Executable, executable
from goose_py.config.settings import AUTO
from goose_py.git.untrusted import read_small
from goose_py.permissions.trust import identify
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_line
from goose_py.tasks.found_checks import FoundCheck, Project, found_checks

READABLE = 1 << 20
"""Bytes of a file that is looked at."""


def find_checks(host: Host, root: Path) -> tuple[FoundCheck, ...]:
    """What is found in a project's root folder."""
    try:
        with os.scandir(root) as entries:
            names = {entry.name + ("/" if entry.is_dir(follow_symlinks=False) else "") for entry in entries}
    except OSError:
        return ()
    project = Project(
        names=names, read=lambda name: read_small(root / name, READABLE), has=host.on_path
    )
    return found_checks(project)


def nearest_checks(host: Host, folder: Path, root: Path) -> tuple[FoundCheck, ...]:
    """What is found in the nearest folder from `folder` up to `root`, as commands that begin in `folder`."""
    for place in (folder, *folder.parents):
        if found := find_checks(host, place):
            return tuple(FoundCheck(begun_in(folder, place, check.command), check.because) for check in found)
        if place == root:
            break
    return ()


def begun_in(folder: Path, place: Path, command: str) -> str:
    """A command that belongs to the folder `place`, for a shell that begins in `folder`."""
    return command if folder == place else f"cd {shlex.quote(os.path.relpath(place, folder))} && {command}"


def as_proposal(found: Collection[FoundCheck]) -> Executable:
    """What an approval of these commands is bound to."""
    return executable(("checks",), {"checks": [check.command for check in found]})


def with_found_checks(host: Host, loaded: Loaded, folder: Path, root: Path) -> Loaded:
    """The settings with what was found for `folder` of the project in `root`, where nobody has configured a check: as checks
    like any other where these commands are approved, else apart from them."""
    configured = "checks" in loaded.origins() or any(wanted.key == "checks" for wanted in loaded.executables)
    if configured or not (found := nearest_checks(host, folder, root)):
        return loaded
    if as_proposal(found).sha256 in trust_store(host).approved(identify(root)):
        return _using(loaded, [check.command for check in found])
    return msgspec.structs.replace(loaded, found_checks={check.command: check.because for check in found})


def with_auto_checks(host: Host, loaded: Loaded, folder: Path, root: Path) -> Loaded:
    """The settings with what was found for `folder` in the place of `auto`, where whoever starts the task said that. Raises
    UserError where there is nothing to be found."""
    checks = loaded.settings.checks
    if AUTO not in checks or loaded.origins().get("checks") not in ("flag", "environment"):
        return loaded
    found = nearest_checks(host, folder, root)
    if not found:
        raise UserError(f"`--check auto` finds no test command in {folder}. Name one: `--check COMMAND`.")
    expanded: list[str] = []
    for check in checks:
        expanded += [each.command for each in found] if check == AUTO else [check]
    return _using(loaded, expanded)


def shown(found: Collection[FoundCheck]) -> str:
    """Fit for a terminal: the file that a check was found by is named by whoever wrote the repository."""
    return ", ".join(f"`{check.command}` ({safe_line(check.because)})" for check in found)


def _using(loaded: Loaded, commands: Collection[str]) -> Loaded:
    settings = msgspec.structs.replace(loaded.settings, checks=tuple(dict.fromkeys(commands)))
    return msgspec.structs.replace(loaded, settings=settings)
