"""A repository of the user's, opened with the git that is on their PATH; and what of one they were asked about first."""

from dataclasses import replace
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.git.doubts import Accepted, Doubt
from goose_py.git.repository import Repository, doubts_about
from goose_py.git.runner import Git
from goose_py.permissions.trust import Folder, TrustStore


def git_of(host: Host) -> Git:
    """Raises GitUnavailable."""
    return Git.create(host.which("git"), host.env)


async def open_repository(host: Host, folder: Path) -> Repository:
    """The one that `folder` is in. Raises GitError."""
    return await Repository.open(git_of(host), folder, accepted_by(host))


def accepted_by(host: Host) -> Accepted:
    """By the user of this machine, earlier, with `goose-py trust`."""

    def accepted(doubt: Doubt) -> bool:
        from goose_py.bootstrap.trust_store import trust_store

        return trust_store(host).question(_as_such(doubt.folder), doubt.kind, doubt.about).approved

    return accepted


async def open_doubts(host: Host, folder: Path) -> tuple[Doubt, ...]:
    """What is still to be asked about the repository that `folder` is in. Raises GitError where there is none."""
    accepted = accepted_by(host)
    return tuple(doubt for doubt in await doubts_about(git_of(host), folder) if not accepted(doubt))


def accept(store: TrustStore, doubt: Doubt) -> None:
    folder = _as_such(doubt.folder)
    store.trust(folder)
    store.approve(folder, doubt.kind, doubt.about)


def withdraw(store: TrustStore, root: Path) -> None:
    store.distrust(_as_such(root))


def _as_such(root: Path) -> Folder:
    """The checkout as a repository: that it may be used says nothing of its configuration."""
    from goose_py.permissions.trust import identify

    folder = identify(root)
    return replace(folder, path=f"repository at {folder.path}")
