"""What a task starts from, recorded when it is asked for: whatever becomes of the checkout until it begins."""

from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import open_repository
from goose_py.git.errors import NotARepository, UnbornHead
from goose_py.git.repository import Repository
from goose_py.git.worktrees.base import Base, base_from_head, base_from_revision, base_with_changes
from goose_py.protocol.errors import UserError

CHANGES = "changes"
"""The checkout as it is, uncommitted work included: what a task starts from unless something else is asked for."""


async def repository_of(host: Host, folder: Path, *, as_copy: bool = False) -> Repository | None:
    """None where a copy is to be made of a folder that is in none. Raises UserError, GitError."""
    try:
        return await open_repository(host, folder)
    except NotARepository:
        if as_copy:
            return None
        raise UserError(no_repository(folder)) from None


def no_repository(folder: Path) -> str:
    return f"{folder} is not in a git repository. Run `git init` and commit there yourself, or say `--copy` to work on a copy."


async def recorded_base(host: Host, repository: Repository, wanted: str) -> Base:
    """`wanted` is "changes", "head" or a revision. Raises UserError, GitError."""
    scratch = host.paths.state / "tmp"
    scratch.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        if wanted == CHANGES:
            return await base_with_changes(repository, scratch)
        return await (base_from_head(repository) if wanted == "head" else base_from_revision(repository, wanted))
    except UnbornHead:
        raise UserError(
            f"{repository.root} has no commit yet. Commit something first, or leave `--base` out to start from the files as "
            "they are."
        ) from None
