"""A folder that is no repository, as the checkout of the copy that a task works on: what is there as it was copied is clean,
everything else is the user's own work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from goose_py.git.repository import Repository
from goose_py.review.errors import CannotApply, UncommittedOverlap, listed


def checkout_of_copy(copy: Repository, folder: Path) -> Repository:
    """`copy` bound to the folder that it was made of; only the folder is written to. Raises CannotApply where it is gone."""
    if not folder.is_dir():
        raise CannotApply(f"{folder}, which the task has a copy of, is not there any more; nothing was changed.")
    return replace(copy, root=folder.resolve())


def differs_from_copy(paths: Sequence[str]) -> UncommittedOverlap:
    return UncommittedOverlap(
        f"{listed(paths)} changed in the folder since it was copied, and this change touches it too; nothing was changed. "
        "Move your version away, or leave these files out of what you approve.",
        paths,
    )
