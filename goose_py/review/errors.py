"""Why an approved change cannot be applied. Nothing was changed whenever one of these is raised."""

from __future__ import annotations

from collections.abc import Sequence

from goose_py.protocol.errors import GooseError


class CannotApply(GooseError):
    """`paths` are the files that stand in the way."""

    def __init__(self, message: str, paths: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.paths = tuple(paths)


class UncommittedOverlap(CannotApply):
    """The user has work of their own, not committed yet, in files that the change touches."""


class BaseMoved(CannotApply):
    """The repository went on since the task began, in the same places."""


class UsersWork(CannotApply):
    """A commit of this would hold work of the user's that they have not committed."""


class ApprovalOutdated(CannotApply):
    """The task changed after it was approved."""


def listed(paths: Sequence[str], limit: int = 8) -> str:
    """Names for a sentence."""
    shown = ", ".join(paths[:limit])
    return f"{shown} and {len(paths) - limit} more" if len(paths) > limit else shown
