"""Approved changes on their way to the user's branch: rebased, checked as they will be, then fast-forwarded."""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from goose_py.git.errors import RefMoved
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import Record, SessionStarted, VerificationFinished
from goose_py.review.approval import Approval
from goose_py.review.errors import BaseMoved
from goose_py.review.landing import Followed, History, Landing, land, prepare_landing
from goose_py.review.merge import merged_onto
from goose_py.review.users_work import base_on
from goose_py.tasks.changes.trial import on_trial

ATTEMPTS = 5
OUTPUT_SHOWN = 600

RunChecks = Callable[[], Awaitable[Sequence[VerificationFinished]]]
"""Runs all checks of the task on its files as they are, and logs the results."""


class ChecksFail(UserError):
    """The changes merge, but what comes of it does not pass the task's checks. Nothing was merged."""


@dataclass(frozen=True)
class Merge:
    """What was asked for: `message` of the commit, `branch` without refs/heads/; `verify`: run the checks first;
    `with_changes`: what the user had not committed when the task began is committed too."""

    branch: str
    message: str
    history: History
    verify: bool = True
    with_changes: bool = False


@dataclass(frozen=True)
class Landed:
    """`followed` tells of the checkout that has the branch; nothing where it is checked out nowhere."""

    landing: Landing
    followed: Followed


async def merge(
    worktree: TaskWorktree, approval: Approval, wanted: Merge, records: Sequence[Record], check: RunChecks, scratch: Path
) -> Landed:
    """Rebase what was approved on the branch's tip, check the result, fast-forward. Where somebody else moves the branch
    meanwhile, that is done again on the new tip. Raises BaseMoved with the files that conflict, ChecksFail, and what
    `review.landing.land` raises; then the branch, its checkout and the worktree are as they were."""
    for _ in range(ATTEMPTS):
        landing = await prepare_landing(
            worktree, approval, wanted.branch, wanted.message, wanted.history, with_changes=wanted.with_changes
        )
        if landing.tree == await worktree.repository.tree_of(landing.tip):
            # A crash after the merge and before it was logged, or somebody made the same change: it is there already, and the
            # commit that was prepared is nowhere.
            await worktree.store.mark_landed(approval.tree)
            return Landed(replace(landing, commit=landing.tip), Followed())
        if wanted.verify and not _proven(records, landing.tree):
            async with on_trial(worktree, landing.tree, scratch):
                _refuse_failed(await check(), wanted.branch)
        try:
            followed = await land(await worktree.repository.reopened(), worktree.store, landing, scratch)
        except RefMoved:
            continue
        return Landed(landing, followed)
    raise RefMoved(f"{wanted.branch} moved {ATTEMPTS} times while the result was checked; nothing was merged. Merge again.")


async def rest_after(worktree: TaskWorktree, landing: Landing, edited: str) -> tuple[Base, str] | None:
    """What the task stands on once that has landed, and the tree that leaves in the worktree what was not approved; None where
    that conflicts. `edited` are the task's files with what the reviewer edited."""
    approval, store = landing.approval, worktree.store
    base = await base_on(worktree, landing.commit, landing.tree, landing.branch)
    try:
        rest = await merged_onto(store, approval.tree, edited, base.tree)
    except BaseMoved:
        return None
    return base, rest.tree


def _proven(records: Iterable[Record], tree: str) -> bool:
    """Every check has run on exactly this tree, and its last run there does not stand in the way."""
    checks: tuple[str, ...] = ()
    passed: dict[str, bool] = {}
    for record in records:
        match record.event:
            case SessionStarted(checks=wanted):
                checks = wanted
            case VerificationFinished(tree=checked) as run if checked == tree:
                passed[run.command] = not run.stands_in_the_way
            case _:
                pass
    return all(passed.get(command, False) for command in checks)


def _refuse_failed(results: Iterable[VerificationFinished], branch: str) -> None:
    for run in results:
        if run.stands_in_the_way:
            how = "did not end" if run.exit_code is None else f"ends with exit code {run.exit_code}"
            raise ChecksFail(
                f"Merged into {branch} as it is now, `{run.command}` {how}; nothing was merged. `goose-py task rebase` brings "
                f"the task there to see to it.\n{run.output.strip()[-OUTPUT_SHOWN:]}"
            )
