"""A task on the branch as it is now; what conflicts becomes the task's own work."""

from dataclasses import dataclass

from goose_py.git.trees.conflicts import conflicting_text
from goose_py.git.trees.merge import Merged, merge_trees
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import Rebased
from goose_py.review.errors import listed
from goose_py.review.merge import name_in_markers
from goose_py.review.users_work import base_on

CONTEXT = 3
SHOWN_PER_FILE = 6000
SHOWN_FILES = 20
RESOLVE = "Resolve them so that both changes keep their meaning, remove every marker, and see that the checks pass."


@dataclass(frozen=True)
class Rebasing:
    """A rebase that has been worked out, in objects only. `prompt` is empty where nothing conflicts."""

    base: Base
    tree: str
    conflicts: tuple[str, ...]
    prompt: str


async def plan_rebase(worktree: TaskWorktree, branch: str) -> Rebasing | None:
    """None where the task stands on the tip already. Raises UserError where the branch is gone."""
    repository, store = worktree.repository, worktree.store
    tip = await repository.branch_tip(branch)
    if tip is None:
        raise UserError(f"The branch {branch} no longer exists; name another one with --into.")
    if tip == worktree.base.commit:
        return None
    base = await base_on(worktree, tip, await repository.tree_of(tip), branch)
    result = (await worktree.snapshot()).tree
    # What the task changed counts from its own base, wherever the branch has gone from there: it may have been rewritten, and
    # the base may hold work of the user's that was never committed.
    merged = await merge_trees(store, worktree.base.tree, base.tree, result, (branch, name_in_markers(worktree.task_id)))
    conflicts = merged.conflicting
    prompt = await _prompt(worktree, merged, base, conflicts) if conflicts else ""
    return Rebasing(base, merged.tree, conflicts, prompt)


class ConflictsLeft(UserError):
    """What was approved still holds conflict markers of a rebase. `paths` names the files."""

    def __init__(self, task_id: str, paths: tuple[str, ...]) -> None:
        super().__init__(
            f"Conflict markers are left in {listed(paths)}; nothing was applied. `goose-py task say {task_id} 'Resolve them'` "
            "sends the task back, leaving these files out of what you approve applies the rest, `--no-verify` all of it."
        )
        self.paths = paths


async def rebase(
    worktree: TaskWorktree, base: Base, tree: str, conflicts: tuple[str, ...] = ()
) -> tuple[TaskWorktree, Rebased]:
    """Carries it out and says what happened. Raises WouldOverwrite, and then nothing was changed."""
    moved, before = await worktree.rebase(base, tree)
    event = Rebased(
        base=base.commit, base_tree=base.tree, tree=tree, undo=before.tree, branch=base.branch, conflicts=conflicts
    )
    return moved, event


async def _prompt(worktree: TaskWorktree, merged: Merged, base: Base, conflicts: tuple[str, ...]) -> str:
    sections = [
        f"The branch {base.branch} has moved to {base.commit[:12]} since you began, and your changes conflict with it. Your "
        "workspace now stands on that commit with your changes merged in; the files below carry conflict markers, the "
        f"branch's side first. {RESOLVE}"
    ]
    messages = {path: conflict.message for conflict in merged.conflicts for path in conflict.paths}
    for path in conflicts[:SHOWN_FILES]:
        try:
            hunks = conflict_hunks(await conflicting_text(worktree.store, merged, path))
        except KeyError:
            hunks = ""
        shown = f"\n```\n{hunks[:SHOWN_PER_FILE]}\n```" if hunks else ""
        sections.append(f"## {path}\n{messages[path]}{shown}")
    if len(conflicts) > SHOWN_FILES:
        sections.append(f"And {len(conflicts) - SHOWN_FILES} more files: {', '.join(conflicts[SHOWN_FILES:][:100])}")
    return "\n\n".join(sections)


def conflict_hunks(text: str) -> str:
    """The parts of a file between conflict markers, each with its line number and some lines around it. Pure."""
    lines = text.split("\n")
    shown: list[str] = []
    start: int | None = None
    for number, line in enumerate(lines):
        if line.startswith("<<<<<<< "):
            start = number
        elif line.startswith(">>>>>>> ") and start is not None:
            first = max(0, start - CONTEXT)
            shown += [f"@@ line {first + 1} @@", *lines[first : number + 1 + CONTEXT]]
            start = None
    return "\n".join(shown)
