"""A repository of the user's, opened with the git that is on their PATH."""

from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.git.repository import Repository
from goose_py.git.runner import Git


async def open_repository(host: Host, folder: Path) -> Repository:
    """The one that `folder` is in. Raises GitError."""
    return await Repository.open(Git.create(host.which("git"), host.env), folder)
