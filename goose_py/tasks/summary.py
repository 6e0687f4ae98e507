"""What a task is at the moment: a fold of its log, cheap enough to list hundreds."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.protocol.messages import ModelRef, Text, Usage
from goose_py.review.evidence import Standing, evidence, overall
from goose_py.session.log import Cursor, read_log, records_of
from goose_py.tasks.spec import read_spec
from goose_py.tasks.store import TaskFolder

TaskState = Literal[
    "queued",
    "planning",
    "awaiting plan approval",
    "awaiting approval",
    "running",
    "verifying",
    "awaiting review",
    "delivered",
    "idle",
    "merged",
    "rejected",
    "failed",
    "cancelled",
    "foreign",
]
"""`foreign`: not made by this user's program; what its log says of checks, approvals and merges is not taken for true."""


class TaskSummary(msgspec.Struct, frozen=True, kw_only=True):
    """`alive`: a process works on it or waits for its commands. `result_tree` is the tree after the last turn; `changed` tells
    whether it differs from the base and from what was applied. `missing`: what of the worktree was not ready when the task
    began, in sentences. `seconds` that its turns took; `delivered` is where its result was sent, a branch or an address.
    `by_hand` are the commands that are left to send it on, `undelivered` why it could not be. `unresolved` are the files in
    which a rebase has left conflict markers. `copy_of` is the folder whose copy it works on, where that is no repository.
    `outcome`: how its last turn ended. `unpriced`: of a part of `cost` no price is known."""

    task_id: str
    title: str = ""
    repository: str = ""
    workspace: str = ""
    branch: str | None = None
    base: str | None = None
    base_tree: str | None = None
    result_tree: str | None = None
    applied_tree: str | None = None
    state: TaskState = "queued"
    detail: str = ""
    alive: bool = False
    checks: Standing = "not run"
    failed_check: str = ""
    model: ModelRef | None = None
    files: int = 0
    added: int = 0
    removed: int = 0
    cost: float = 0.0
    unpriced: bool = False
    usage: Usage = Usage()
    started_at: float = 0.0
    updated_at: float = 0.0
    question: str = ""
    missing: tuple[str, ...] = ()
    unresolved: tuple[str, ...] = ()
    seconds: float = 0.0
    delivered: str = ""
    by_hand: tuple[str, ...] = ()
    undelivered: str = ""
    copy_of: str = ""
    outcome: ev.Outcome | None = None

    @property
    def place(self) -> str:
        """The folder of the user's that it is about."""
        return self.copy_of or self.repository

    @property
    def changed(self) -> bool:
        return self.result_tree is not None and self.result_tree not in (self.base_tree, self.applied_tree)


_UNCHANGED: dict[ev.Outcome, TaskState] = {"done": "idle", "interrupted": "cancelled"}
"""What a task that changed nothing is after its last turn; where it is not said, it failed."""


_UNSEEN = frozenset((b"model_replied", b"tool_finished", b"context_added", b"prefix_set"))
"""Kinds of records in which a summary finds nothing but when they were written: nearly all bytes of a long log."""


class SummaryFold(msgspec.Struct):
    """All that a summary needs of the records so far; it can be kept, and go on later. `feed` takes each record once, in
    order."""

    value: TaskSummary
    fed: bool = False
    _running: bool = False
    _begun: bool = False
    _since: float = 0.0
    _verifying: bool = False
    _questions: dict[str, str] = {}
    _plan_open: bool = False
    _plan_seen: bool = False
    _outcome: ev.TurnEnded | None = None
    _ended: ev.TaskEnded | None = None
    _checks: tuple[str, ...] = ()
    _checked: list[ev.VerificationFinished] = []
    _tree: str | None = None
    _counts: dict[str, tuple[int, int, int]] = {}
    _unresolved: dict[str, tuple[str, ...]] = {}

    def feed(self, record: ev.Record) -> None:
        event = record.event
        self.fed = True
        self._set(updated_at=record.at)
        match event:
            case ev.SessionStarted():
                # Of a fork, what came before is its parent's: the conversation goes on, the bill and the end do not.
                self._tree, self._checks, self._ended = event.base_tree, event.checks, None
                self._set(
                    cost=0.0,
                    unpriced=False,
                    usage=Usage(),
                    applied_tree=None,
                    files=0,
                    added=0,
                    removed=0,
                    title=event.title,
                    repository=event.repository or event.workspace,
                    workspace=event.worktree or event.workspace,
                    copy_of=event.copy_of,
                    branch=event.branch,
                    base=event.base,
                    base_tree=event.base_tree,
                    result_tree=event.base_tree,
                    model=event.model,
                    started_at=record.at,
                )
            case ev.TitleSet(title=title):
                self._set(title=title)
            case ev.PromptReceived(parts=parts) if not self.value.title:
                text = " ".join(part.text for part in parts if isinstance(part, Text))
                self._set(title=" ".join(text.split())[:80])
            case ev.ModelSet(model=model):
                self._set(model=model)
            case ev.Warned(text=text, about="delivery"):
                self._set(undelivered=text)
            case ev.Warned(text=text) if not self._begun:
                self._set(missing=(*self.value.missing, text))
            case ev.TurnStarted():
                self._begun, self._since = True, record.at
                self._running, self._verifying, self._outcome, self._ended = True, False, None, None
            case ev.PlanProposed():
                self._plan_open, self._plan_seen = not self._plan_seen, True
            case ev.PlanDecided(approved=approved):
                self._plan_open, self._plan_seen = False, approved
            case ev.ApprovalRequested():
                self._questions[event.approval_id] = f"{event.call.name}: {event.cause or event.reason}"
            case ev.ApprovalResolved():
                self._questions.pop(event.approval_id, None)
            case ev.ToolStarted():
                self._verifying = False
            case ev.VerificationFinished():
                self._verifying = True
                again = event.command, event.tree
                self._checked = [each for each in self._checked if (each.command, each.tree) != again] + [event]
            case ev.UsageRecorded():
                self._set(
                    cost=self.value.cost + (event.cost or 0.0),
                    unpriced=self.value.unpriced or event.cost is None,
                    usage=self.value.usage + event.usage,
                )
            case ev.ChangesRecorded():
                self._counts[event.tree_after] = event.files, event.added, event.removed
                self._unresolved[event.tree_after] = event.unresolved
                self.found(event.tree_after)
            case ev.Rewound():
                self.found(event.tree)
            case ev.Rebased():
                self._tree = event.tree
                self._set(base=event.base, base_tree=event.base_tree, result_tree=event.tree)
            case ev.RepositoryMoved():
                self._set(
                    repository=event.repository, workspace=event.worktree or self.value.workspace, copy_of=event.copy_of
                )
            case ev.ChangesApplied(how=ev.UNDONE):
                self._ended, self._tree = None, event.result_tree
                self._set(applied_tree=None)
            case ev.ChangesApplied():
                self._tree = event.result_tree
                self._set(applied_tree=event.result_tree)
                if event.how == ev.DELIVERED:
                    branch = event.branch or self.value.branch
                    self._set(delivered=event.target, branch=branch, by_hand=event.by_hand, undelivered="")
            case ev.TurnEnded():
                took = max(0.0, record.at - self._since) if event.seconds is None else event.seconds
                self._set(seconds=self.value.seconds + took)
                self._running, self._outcome = False, event
                self._questions.clear()
            case ev.TaskEnded():
                self._ended = event
            case _:
                pass

    def found(self, tree: str) -> None:
        """The files are those of `tree` now."""
        self._tree = tree
        files, added, removed = self._counts.get(tree, (0, 0, 0))
        self._set(result_tree=tree, files=files, added=added, removed=removed)

    def result(self, alive: bool) -> TaskSummary:
        state, detail = self._state(alive)
        tree = self._tree or ""
        standing = evidence(self._checks, self._checked, tree)
        failed = next((check for check in standing if check.stands_in_the_way), None)
        return msgspec.structs.replace(
            self.value,
            alive=alive,
            state=state,
            detail=detail,
            outcome=None if self._running or self._outcome is None else self._outcome.outcome,
            checks=overall(standing),
            failed_check=failed.command if failed else "",
            unresolved=self._unresolved.get(tree, ()) if state not in ("merged", "rejected") else (),
            # Of a worker that died nobody waits for the answer.
            question=detail if state == "awaiting approval" else "",
        )

    def _state(self, alive: bool) -> tuple[TaskState, str]:
        if self._ended is not None:
            return self._ended.state, self._ended.detail
        if self._running and alive:
            if self._questions:
                return "awaiting approval", next(iter(self._questions.values()))
            if self._verifying:
                return "verifying", ""
            return ("running" if self._plan_seen else "planning"), ""
        if self._running:
            return "failed", "The program ended while a turn was running; resume it to go on."
        if self._outcome is None:
            # A conversation that nobody has said anything in has no title yet.
            return ("queued" if self.value.title else "idle"), ""
        if self._outcome.outcome == "awaiting_plan":
            return "awaiting plan approval", self._outcome.detail
        detail = self._outcome.detail or ("It was interrupted." if self._outcome.outcome == "interrupted" else "")
        if self.value.changed:
            return "awaiting review", self.value.undelivered or detail
        if self.value.delivered:
            return "delivered", self.value.delivered
        return _UNCHANGED.get(self._outcome.outcome, "failed"), detail

    def _set(self, **fields: object) -> None:
        self.value = msgspec.structs.replace(self.value, **fields)


def summarise(
    task_id: str, records: Iterable[ev.Record], *, alive: bool = False, tree: str | None = None
) -> TaskSummary:
    """`tree`: the task's files as somebody has found them to be; by default as the log knows them."""
    fold = SummaryFold(TaskSummary(task_id=task_id))
    for record in records:
        fold.feed(record)
    if tree is not None:
        fold.found(tree)
    return fold.result(alive)


def summary_of(task: TaskFolder) -> TaskSummary:
    """Never raises: a task whose files are damaged is listed as failed, with the reason."""
    return read_on(task, Folded.of(task)).summary(task)


class Folded(msgspec.Struct):
    """A log as far as it was read, and what is the matter with one that holds no record."""

    fold: SummaryFold
    cursor: Cursor
    damage: str = ""

    @classmethod
    def of(cls, task: TaskFolder) -> "Folded":
        return cls(SummaryFold(TaskSummary(task_id=task.task_id)), Cursor())

    def summary(self, task: TaskFolder) -> TaskSummary:
        if not task.made_here():
            found = self.fold.value
            why = "its folder was not made by your goose-py, so nothing that it says was done is taken for true"
            return TaskSummary(
                task_id=task.task_id,
                title=found.title,
                repository=found.repository,
                state="foreign",
                detail=why,
                started_at=found.started_at,
                updated_at=found.updated_at,
            )
        alive, damage = task.owned(), self.damage
        if self.fold.fed or not (damage or task.spec.exists()):
            return self.fold.result(alive)
        try:
            queued = _queued(task, alive)
        except UserError as error:
            return TaskSummary(task_id=task.task_id, state="failed", detail=damage or str(error), alive=alive)
        return queued if not (damage and task.began()) else msgspec.structs.replace(queued, state="failed", detail=damage)


def read_on(task: TaskFolder, folded: Folded) -> Folded:
    """What was added to the log since. It is `folded` itself that is changed."""
    try:
        for record in records_of(task.path, _UNSEEN, folded.cursor):
            folded.fold.feed(record)
        empty = not folded.fold.fed and not task.owned()
        folded.damage = " ".join(read_log(task.path).warnings()) if empty else ""
    except UserError as error:
        folded.damage = str(error)
    return folded


def _queued(task: TaskFolder, alive: bool) -> TaskSummary:
    """A task that has not begun. Raises UserError."""
    spec = read_spec(task.path)
    title = spec.title or " ".join(part.text for part in spec.prompt if isinstance(part, Text))[:80]
    try:
        problem = task.waiting.read_text("utf-8")
    except FileNotFoundError:
        problem = ""
    return TaskSummary(
        task_id=spec.task_id,
        title=title,
        repository=spec.repository or spec.folder,
        state="failed" if problem else "queued",
        detail=problem,
        alive=alive,
        started_at=spec.created_at,
        updated_at=spec.created_at,
    )
