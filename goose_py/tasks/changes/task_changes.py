"""What becomes of a task's changes: decisions, feedback, merging, going back. Works with and without a running session."""

import shlex
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec

from goose_py.git.errors import WorktreeMissing
from goose_py.git.repository import Repository
from goose_py.git.trees.conflicts import left_in_conflict
from goose_py.git.trees.diff import changeset_summary, file_change
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import EMPTY_TREES, TaskWorktree
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.amounts import counted
from goose_py.protocol.changes import ChangeSet, FileChange
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import Text
from goose_py.protocol.resolving import resolving
from goose_py.review.apply import Applied, apply_to_working_tree, take_back
from goose_py.review.approval import Approval
from goose_py.review.errors import ApprovalOutdated, BaseMoved, UncommittedOverlap, listed
from goose_py.review.feedback import feedback, remarks
from goose_py.review.merge import not_run
from goose_py.review.plain_folder import checkout_of_copy, differs_from_copy
from goose_py.review.selection import reviewed, selected_tree, tree_with_edits
from goose_py.review.verdicts import decisions_of, keep_undecided, withdrawn
from goose_py.tasks.changes.merging import Merge, RunChecks, merge, rest_after
from goose_py.tasks.changes.rebasing import RESOLVE, ConflictsLeft, plan_rebase, rebase
from goose_py.tasks.changes.review_base import last_applied, recorded_tree, review_base
from goose_py.tasks.changes.trial import end_trial, switching
from goose_py.tasks.changes.workspace import changes_recorded

Scope = Literal["files", "conversation", "both"]
FEEDBACK = "review-"
"""How the ids of prompts begin that a review has sent."""


@dataclass(frozen=True)
class ChangePorts:
    """`emit` appends to the task's log, `history` reads all of it; `check` runs and logs the task's checks on its files;
    `prompt` says something to the task, None where no session is there to hear it; `scratch` is a folder of ours for
    temporary files."""

    emit: Callable[[ev.DurableEvent], None]
    history: Callable[[], Iterable[ev.Record]]
    check: RunChecks
    scratch: Path
    new_id: Callable[[], str]
    prompt: Callable[[cmd.Prompt], Awaitable[None]] | None = None


class TaskChanges:
    """Carries out the commands that are about changes. Raises UserError and other GooseErrors with one sentence; then nothing
    was changed. Commands in `EXCLUSIVE` change files: the caller sees to it that no turn runs meanwhile."""

    EXCLUSIVE = (cmd.ApplyChanges, cmd.UndoApply, cmd.Rebase, cmd.Rewind, cmd.Reject)

    def __init__(self, worktree: TaskWorktree, ports: ChangePorts) -> None:
        self.worktree = worktree
        self._ports = ports
        self._emit = ports.emit

    async def perform(self, command: cmd.AnyCommand) -> bool:
        """False where the command is about something else."""
        match command:
            case cmd.DecideChange() if command.withdraws:
                self._withdraw(command)
            case cmd.DecideChange():
                await self._decide((command,))
            case cmd.DecideChanges(decisions=decisions):
                await self._decide(decisions)
            case cmd.SendFeedback():
                await self._send_feedback(command)
            case cmd.ApplyChanges():
                await self._end_trial()
                await self._apply(command)
            case cmd.UndoApply():
                await self._take_back()
            case cmd.Rebase():
                await self._end_trial()
                await self._rebase(command)
            case cmd.Rewind():
                if not self.worktree.intact:  # it was given back, since what was left changed nothing
                    self.worktree = await self.worktree.recreate()
                await self._end_trial()
                await self._rewind(command)
            case cmd.Reject():
                self._emit(ev.TaskEnded(state="rejected", detail=command.reason))
            case _:
                return False
        return True

    async def _end_trial(self) -> None:
        scratch = self._ports.scratch
        self.worktree = await end_trial(self.worktree, scratch, self._ports.history()) or self.worktree

    def _switching(self) -> AbstractAsyncContextManager[None]:
        return switching(self.worktree, self._ports.scratch, self._ports.history())

    async def changes(self, base: str | None = None) -> ChangeSet:
        """What the task changed since its review base (or the tree `base`), as it stands now, without hunks."""
        base = base or self._review_base()
        if not self.worktree.intact and recorded_tree(self._ports.history()) not in EMPTY_TREES:
            raise WorktreeMissing(self.worktree.path, self.worktree.task_id)
        snapshot = await self.worktree.snapshot()
        return await changeset_summary(self.worktree.store, base, snapshot.tree)

    def _review_base(self) -> str:
        return review_base(self._ports.history(), self.worktree.base.tree)

    async def _decide(self, wanted: Sequence[cmd.DecideChange]) -> None:
        changes = await self.changes()
        loaded: dict[str, FileChange] = {}
        for path in dict.fromkeys(command.path for command in wanted if command.hunk is not None):
            loaded[path] = await file_change(self.worktree.store, changes, path)
        for event in [_decided(changes, loaded, command, self._reviewer) for command in wanted]:
            self._emit(event)

    @property
    def _reviewer(self) -> str:
        """Whoever is the author of commits here: what is landed says the same."""
        person = self.worktree.store.settings
        return f"{person.author_name} <{person.author_email}>"

    def _withdraw(self, command: cmd.DecideChange) -> None:
        """Also where what the comment is about has changed since. What the task was told already cannot be untold."""
        records = list(self._ports.history())
        decisions = decisions_of(records)
        said = next((each for each in decisions if each.seq == command.withdraws), None)
        if said is None or not said.event.comment or said.seq in withdrawn(decisions):
            raise UserError("That comment is not there, or was taken back already.")
        if said.seq <= _last_feedback(records):
            raise UserError("The task was sent that comment already, so it cannot be taken back: say what holds now instead.")
        event = msgspec.structs.replace(said.event, verdict="undecided", edit=None)
        self._emit(msgspec.structs.replace(event, comment=command.comment, withdraws=said.seq))

    async def _send_feedback(self, command: cmd.SendFeedback) -> None:
        if self._ports.prompt is None:
            raise UserError("Feedback needs the task's worker: resume the task.")
        recent = _since_last_feedback(self._ports.history())
        changeset, review = await reviewed(self.worktree.store, await self.changes(), decisions_of(recent))
        said = [command.note, feedback(changeset, review), *await self._remarks(recent, changeset)]
        text = "\n\n".join(part for part in said if part.strip())
        if not text:
            raise UserError("There is nothing to send: nothing was rejected, edited or commented since the last time.")
        await self._say(text, FEEDBACK)

    async def _remarks(self, recent: Sequence[ev.Record], left: ChangeSet) -> list[str]:
        """What was said of changes that were applied since: no changeset shows them any more."""
        said, begin = [], 0
        for number, record in enumerate(recent):
            if isinstance(record.event, ev.ChangesApplied):
                store, applied = self.worktree.store, record.event
                changes = await changeset_summary(store, applied.base_tree, applied.result_tree)
                later = [each for each in decisions_of(recent[number:]) if each.event.withdraws]
                decisions = (*decisions_of(recent[begin:number]), *later)
                said.append(remarks(*await reviewed(store, changes, decisions), left))
                begin = number + 1
        return said

    async def _apply(self, command: cmd.ApplyChanges) -> None:
        base = command.base_tree
        if base not in (self._review_base(), self.worktree.base.tree):
            raise _outdated()
        changes = await self.changes(base)
        if changes.result_tree != command.result_tree:
            raise _outdated()
        approval = await self._approval(changes, all_of_it=command.all)
        if approval.empty:
            raise UserError("Nothing was kept, so there is nothing to apply. Approve files or hunks first.")
        if command.how != "worktree" and (folder := copy_of(self._ports.history())):
            raise UserError(f"{folder} is no repository, so nothing can be committed there: apply it as files.")
        if command.verify:
            await self._refuse_markers(approval.tree)
        await self._record(changes.result_tree)
        edited = await self._edited(changes)
        try:
            if command.how == "worktree":
                await self._leave_in_checkout(approval, edited)
            else:
                await self._merge(approval, command, edited)
        except BaseMoved as moved:
            raise self._with_way_back(moved, command) from None

    async def _edited(self, changes: ChangeSet) -> str:
        store = self.worktree.store
        return await tree_with_edits(store, *await reviewed(store, changes, decisions_of(self._ports.history())))

    async def _take_over(self, edited: str, before: str) -> None:
        """What the reviewer edited stands in the task's files too: what is left to review would take it back otherwise."""
        if edited == before:
            return
        async with self._switching():
            await self.worktree.restore(edited)
            left = resolving(self._ports.history())
            base = self._review_base()
            self._emit(await changes_recorded(self.worktree.store, base, before, edited, resolving=left))

    def _with_way_back(self, moved: BaseMoved, command: cmd.ApplyChanges) -> BaseMoved:
        """Names the command that lets the task resolve what conflicts."""
        branch = command.into
        if command.how == "worktree":
            branch = self.worktree.repository.head.branch or ""
        into = f" --into {shlex.quote(branch)}" if branch not in ("", self.worktree.base.branch) else ""
        if not moved.paths:
            return moved
        back = f"`goose-py task rebase {self.worktree.task_id}{into}` sends it back to resolve that."
        return BaseMoved(f"{moved} {back}", moved.paths)

    async def _refuse_markers(self, tree: str) -> None:
        left = await left_in_conflict(self.worktree.store, resolving(self._ports.history()), tree)
        if left:
            raise ConflictsLeft(self.worktree.task_id, left)

    async def _record(self, tree: str) -> None:
        """What somebody changed by hand since the last turn is known from here on: it is not what was checked then."""
        records = tuple(self._ports.history())
        before = recorded_tree(records)
        if before not in (None, tree):
            base = review_base(records, self.worktree.base.tree)
            self._emit(await changes_recorded(self.worktree.store, base, before, tree, resolving=resolving(records)))

    async def _leave_in_checkout(self, approval: Approval, edited: str) -> None:
        target, applied = await self._written(approval)
        self._applied(approval, how="worktree", target=target, applied=applied)
        merged = f", {len(applied.merged)} merged" if applied.merged else ""
        detail = f"{counted(len(applied.files), 'file')} written{merged}{_told(applied.yours, applied.as_text)}"
        self._emit(ev.TaskEnded(state="merged", detail=detail))
        await self._take_over(edited, approval.result_tree)

    async def _checkout(self) -> Repository:
        """Where files go: the checkout or, where the task has a copy, what it is a copy of."""
        repository = await self.worktree.repository.reopened()
        folder = copy_of(self._ports.history())
        return checkout_of_copy(repository, Path(folder)) if folder else repository

    async def _written(self, approval: Approval) -> tuple[str, Applied]:
        repository = await self._checkout()
        try:
            applied = await apply_to_working_tree(repository, self.worktree.store, approval, self._ports.scratch)
        except UncommittedOverlap as overlap:
            if not copy_of(self._ports.history()):
                raise
            raise differs_from_copy(overlap.paths) from None
        return str(repository.root), applied

    async def _take_back(self) -> None:
        """The files that were applied last are again what they were before; the changes are to be reviewed again."""
        last = last_applied(self._ports.history())
        if last is None:
            raise UserError("This task left nothing in your files that can be taken back. `git revert` undoes a commit.")
        back = Approval(base_tree=last.tree, result_tree=last.base_tree, tree=last.base_tree)
        if last.after:
            repository = await self._checkout()
            applied = await take_back(repository, self.worktree.store, last.before, last.after, last.base_tree)
            target = str(repository.root)
        else:
            # An earlier version did not keep the bytes.
            target, applied = await self._written(back)
        result = (await self.worktree.snapshot()).tree
        self._applied(replace(back, result_tree=result), how=ev.UNDONE, target=target, applied=applied)

    async def _merge(self, approval: Approval, command: cmd.ApplyChanges, edited: str) -> None:
        branch, history = self._branch(command.into), tuple(self._ports.history())
        message = (command.message.strip() or _title(history) or f"Task {self.worktree.task_id}") + "\n"
        assert command.how != "worktree"
        wanted = Merge(
            branch=branch,
            message=message,
            history=command.how,
            verify=command.verify,
            with_changes=command.with_changes,
        )
        landed = await merge(self.worktree, approval, wanted, history, self._ports.check, self._ports.scratch)
        landing, followed = landed.landing, landed.followed
        written = Applied(landing.tree, followed.files)
        self._applied(approval, how=command.how, target=branch, applied=written, commit=landing.commit)
        told = _told(followed.yours, landing.as_text)
        self._emit(ev.TaskEnded(state="merged", detail=f"{branch} is at {landing.commit[:12]}{told}"))
        if (rest := await rest_after(self.worktree, landing, edited)) is not None:
            await self._move(*rest)
        else:
            await self._take_over(edited, approval.result_tree)

    async def _rebase(self, command: cmd.Rebase) -> None:
        planned = await plan_rebase(self.worktree, self._branch(command.into))
        if planned is None:
            await self._resolve_again()
            return
        if planned.conflicts and self._ports.prompt is None:
            raise UserError("Resolving conflicts needs the task's worker: resume the task.")
        await self._move(planned.base, planned.tree, planned.conflicts)
        if planned.conflicts:
            await self._say(planned.prompt, "rebase-")

    async def _resolve_again(self) -> None:
        """Nothing is to be rebased: what an earlier rebase has left is still to be resolved."""
        tree = (await self.worktree.snapshot()).tree
        left = await left_in_conflict(self.worktree.store, resolving(self._ports.history()), tree)
        if not left or self._ports.prompt is None:
            raise UserError("The task stands on the tip of that branch already.")
        await self._say(f"{', '.join(left)} still hold conflict markers. {RESOLVE}", "rebase-")

    async def _move(self, base: Base, tree: str, conflicts: tuple[str, ...] = ()) -> None:
        async with self._switching():
            worktree, moved = await rebase(self.worktree, base, tree, conflicts)
            self._emit(moved)
        for warning in base.warnings:
            self._emit(ev.Warned(text=warning))
        self.worktree = worktree
        left = resolving(self._ports.history())
        self._emit(await changes_recorded(self.worktree.store, base.tree, moved.undo, tree, resolving=left))

    async def _approval(self, changes: ChangeSet, *, all_of_it: bool) -> Approval:
        """The content that the decisions in the log add up to; with `all_of_it`, what nobody decided on is kept."""
        store = self.worktree.store
        changeset, review = await reviewed(store, changes, decisions_of(self._ports.history()))
        if all_of_it:
            review = keep_undecided(changeset, review)
        tree = await selected_tree(store, changeset, review)
        return Approval(base_tree=changes.base_tree, result_tree=changes.result_tree, tree=tree)

    async def _rewind(self, command: cmd.Rewind) -> None:
        if command.undo:
            await self._undo_rewind()
            return
        state = command.state
        if not (await self.worktree.states.kept(state) if state else command.tree in await self.worktree.snapshots()):
            raise UserError(f"{command.state or command.tree} is not a recorded state of this task.")
        async with self._switching():
            back = await self._put_back(command.tree, command.state, command.scope)
            self._emit(msgspec.structs.replace(back, to_seq=command.to_seq))

    async def _undo_rewind(self) -> None:
        records = list(self._ports.history())
        undone = {record.event.undoes for record in records if isinstance(record.event, ev.Rewound)}
        last = next(
            (r for r in reversed(records) if isinstance(r.event, ev.Rewound) and not r.event.undoes and r.seq not in undone),
            None,
        )
        if last is None or not isinstance(last.event, ev.Rewound):
            raise UserError("There is no rewind to take back.")
        scope = last.event.scope
        if scope != "files" and any(isinstance(r.event, ev.PromptReceived) and r.seq > last.seq for r in records):
            raise UserError("The conversation has gone on since it was rewound, so that cannot be taken back.")
        async with self._switching():
            back = await self._put_back(last.event.undo, last.event.undo_state, scope)
            self._emit(msgspec.structs.replace(back, undoes=last.seq))

    async def _put_back(self, tree: str, state: str, scope: Scope) -> ev.Rewound:
        """To a whole state or, where there is none, to the files of a tree."""
        if scope == "conversation":
            now = await self.worktree.record()
            return ev.Rewound(tree=now.tree, undo=now.tree, scope=scope, state=now.state, undo_state=now.state)
        if not state:
            return ev.Rewound(tree=tree, undo=(await self.worktree.restore(tree)).tree, scope=scope)
        before = await self.worktree.put_back(state)
        files = (await self.worktree.states.parts(state)).files
        return ev.Rewound(tree=files, undo=before.tree, scope=scope, state=state, undo_state=before.state)

    async def _say(self, text: str, prefix: str) -> None:
        assert self._ports.prompt is not None
        await self._ports.prompt(cmd.Prompt(prompt_id=f"{prefix}{self._ports.new_id()}", parts=(Text(text),)))

    def _applied(
        self, approval: Approval, *, how: str, target: str, applied: Applied, commit: str | None = None
    ) -> None:
        self._emit(
            ev.ChangesApplied(
                base_tree=approval.base_tree,
                result_tree=approval.result_tree,
                tree=approval.tree,
                how=how,
                target=target,
                commit=commit,
                files=(*applied.files, *applied.already),
                before=applied.before,
                after=applied.after,
            )
        )

    def _branch(self, named: str) -> str:
        branch = named or self.worktree.base.branch
        if branch is None:
            raise UserError("The task began at a commit, not at a branch: name the branch with --into.")
        return branch


def _decided(
    changes: ChangeSet, loaded: Mapping[str, FileChange], command: cmd.DecideChange, by: str
) -> ev.ChangeDecided:
    """`by` is who decided. Raises UserError where what was judged is not what is there now."""
    change = changes.file(command.path)
    if change is None:
        raise UserError(f"{command.path} is not among the changed files.")
    content = command.content
    if not content:
        content = change.id if command.hunk is None else command.hunk
    if command.hunk is not None:
        if all(hunk.id != command.hunk for hunk in loaded[command.path].hunks or ()):
            raise UserError(f"That hunk of {command.path} is no longer there: the file has changed. Look at it again.")
    elif content not in (change.id, change.attributes_id):
        raise UserError(f"{command.path} has changed since you looked at it. Look at it again.")
    return ev.ChangeDecided(
        path=command.path,
        hunk=command.hunk,
        lines=command.lines,
        verdict=command.verdict,
        comment=command.comment,
        edit=command.edit,
        content=content,
        by=by,
    )


def _told(yours: Sequence[str], as_text: Sequence[str]) -> str:
    """What a person should know of how it was merged, to follow on other words."""
    beside = f", merged with your uncommitted changes in {listed(yours)}" if yours else ""
    return beside + (f"; {not_run(as_text)}" if as_text else "")


def _outdated() -> ApprovalOutdated:
    return ApprovalOutdated("The task has changed since you looked at it; nothing was applied. Look at it again.")


def copy_of(history: Iterable[ev.Record]) -> str:
    """The folder that the task has a copy of, "" where it works on a repository of the user's."""
    found = ""
    for record in history:
        if isinstance(record.event, (ev.SessionStarted, ev.RepositoryMoved)):
            found = record.event.copy_of
    return found


def _title(history: Iterable[ev.Record]) -> str:
    title = ""
    for record in history:
        match record.event:
            case ev.SessionStarted(title=str(text)) | ev.TitleSet(title=text) if text:
                title = text
            case _:
                pass
    return title


def _last_feedback(history: Iterable[ev.Record]) -> int:
    """The record with which the task was told last what its reviewer thinks; 0 where it never was."""
    last = 0
    for record in history:
        if isinstance(record.event, ev.PromptReceived) and record.event.prompt_id.startswith(FEEDBACK):
            last = record.seq
    return last


def _since_last_feedback(history: Iterable[ev.Record]) -> list[ev.Record]:
    records = list(history)
    last = _last_feedback(records)
    return [record for record in records if record.seq > last]
