"""What a user's own `git commit` does and one of ours leaves out: whose it is, its signature, the hooks of the repository."""

import os
from pathlib import Path

from goose_py.git.private import PrivateStore
from goose_py.git.repository import Repository
from goose_py.review.errors import CannotApply

HOOKS = ("pre-commit", "prepare-commit-msg", "commit-msg", "post-commit")


def require_author(store: PrivateStore) -> None:
    """Raises CannotApply where nobody has told git who the user is: the commit would be nobody's."""
    if not store.settings.author_known:
        raise CannotApply(
            "git does not know who you are, so the commit would be nobody's: set `git config user.name NAME` and "
            "`git config user.email ADDRESS`, or leave the changes in the working tree (`--how worktree`). Nothing was changed."
        )


def left_out(repository: Repository, store: PrivateStore) -> str:
    """A sentence on what the user's configuration asks of a commit that ours does not have, and on how it gets that; "" where
    it asks nothing. Nothing is run here: an agent may have changed what would run."""
    hooks = _hooks(repository, store)
    named = f"{', '.join(hooks)} {'was' if len(hooks) == 1 else 'were'} not run" if hooks else ""
    parts = [part for part in ("the commit is not signed" if store.settings.signs else "", named) if part]
    if not parts:
        return ""
    sentence = " and ".join(parts)
    return f"{sentence[0].upper()}{sentence[1:]}: `git commit --amend --no-edit` there does what your configuration says."


def _hooks(repository: Repository, store: PrivateStore) -> list[str]:
    said = store.settings.hooks_path
    folder = repository.root / said if said else repository.common_dir / "hooks"
    return [name for name in HOOKS if _runs(folder / name)]


def _runs(hook: Path) -> bool:
    return hook.is_file() and os.access(hook, os.X_OK)
