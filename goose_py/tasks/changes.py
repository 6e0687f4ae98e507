"""What becomes of a task's changes: decisions, applying, going back. Works with and without a running session."""

from collections.abc import Callable, Iterable
from pathlib import Path

from goose_py.git.diff import changeset_summary, file_change
from goose_py.git.worktree import TaskWorktree
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.errors import UserError
from goose_py.review.apply import apply_to_working_tree
from goose_py.review.approval import Approval
from goose_py.review.errors import ApprovalOutdated
from goose_py.review.selection import reviewed, selected_tree
from goose_py.review.verdicts import decisions_of, keep_undecided


class TaskChanges:
    """Carries out the commands that are about changes. `emit` appends to the task's log, `history` reads all of it, `running`
    tells whether a turn runs; `scratch` is a folder of ours for temporary files. Raises UserError and other GooseErrors with
    one sentence; then nothing was changed."""

    def __init__(
        self,
        worktree: TaskWorktree,
        emit: Callable[[ev.DurableEvent], None],
        history: Callable[[], Iterable[ev.Record]],
        running: Callable[[], bool],
        scratch: Path,
    ) -> None:
        self.worktree = worktree
        self._emit = emit
        self._history = history
        self._running = running
        self._scratch = scratch

    async def perform(self, command: cmd.AnyCommand) -> bool:
        """False where the command is about something else."""
        match command:
            case cmd.DecideChange():
                await self._decide(command)
            case cmd.ApplyChanges():
                await self._apply(command)
            case cmd.Rewind():
                await self._rewind(command)
            case cmd.Reject():
                self._refuse_while_running("rejected")
                self._emit(ev.TaskEnded(state="rejected", detail=command.reason))
            case _:
                return False
        return True

    async def changes(self) -> ChangeSet:
        """What the task changed since its base, as it stands now, without hunks."""
        snapshot = await self.worktree.snapshot()
        return await changeset_summary(self.worktree.store, self.worktree.base.tree, snapshot.tree)

    async def _decide(self, command: cmd.DecideChange) -> None:
        changes = await self.changes()
        change = changes.file(command.path)
        if change is None:
            raise UserError(f"{command.path} is not among the changed files.")
        content = command.content
        if not content:
            content = change.id if command.hunk is None else command.hunk
        if command.hunk is not None:
            loaded = await file_change(self.worktree.store, changes, command.path)
            if all(hunk.id != command.hunk for hunk in loaded.hunks or ()):
                raise UserError(f"That hunk of {command.path} is no longer there: the file has changed. Look at it again.")
        elif content not in (change.id, change.attributes_id):
            raise UserError(f"{command.path} has changed since you looked at it. Look at it again.")
        self._emit(
            ev.ChangeDecided(
                path=command.path,
                hunk=command.hunk,
                lines=command.lines,
                verdict=command.verdict,
                comment=command.comment,
                edit=command.edit,
                content=content,
            )
        )

    async def _apply(self, command: cmd.ApplyChanges) -> None:
        self._refuse_while_running("applied")
        changes = await self.changes()
        if (changes.base_tree, changes.result_tree) != (command.base_tree, command.result_tree):
            raise ApprovalOutdated("The task has changed since you looked at it; nothing was applied. Look at it again.")
        if command.how != "worktree":
            raise UserError(f"Applying as {command.how!r} is not possible yet; leave `how` out to change the working tree.")
        approval = await self._approval(changes, all_of_it=command.all)
        if approval.empty:
            raise UserError("Nothing was kept, so there is nothing to apply. Approve files or hunks first.")
        repository = await self.worktree.repository.reopened()
        applied = await apply_to_working_tree(repository, self.worktree.store, approval, self._scratch)
        self._emit(
            ev.ChangesApplied(
                base_tree=approval.base_tree,
                result_tree=approval.result_tree,
                tree=approval.tree,
                how=command.how,
                target=str(repository.root),
                files=(*applied.files, *applied.already),
            )
        )
        detail = f"{len(applied.files)} files written" + (f", {len(applied.merged)} merged" if applied.merged else "")
        self._emit(ev.TaskEnded(state="merged", detail=detail))

    async def _approval(self, changes: ChangeSet, *, all_of_it: bool) -> Approval:
        """The content that the decisions in the log add up to; with `all_of_it`, what nobody decided on is kept."""
        store = self.worktree.store
        changeset, review = await reviewed(store, changes, decisions_of(self._history()))
        if all_of_it:
            review = keep_undecided(changeset, review)
        tree = await selected_tree(store, changeset, review)
        return Approval(base_tree=changes.base_tree, result_tree=changes.result_tree, tree=tree)

    async def _rewind(self, command: cmd.Rewind) -> None:
        self._refuse_while_running("rewound")
        if command.tree not in await self.worktree.snapshots():
            raise UserError(f"{command.tree} is not a recorded state of this task.")
        undo = await self.worktree.restore(command.tree)
        self._emit(ev.Rewound(tree=command.tree, undo=undo.tree))

    def _refuse_while_running(self, what: str) -> None:
        if self._running():
            raise UserError(f"The task is running and cannot be {what} now. Interrupt it first.")
