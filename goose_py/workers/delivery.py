"""The end of a delegated task: its result on a branch of its own and, where the user said so, pushed with a draft request.

Git and the forge's own program run here as the user would run them, with the user's credentials: that is what the word was
given for. No hook of the repository runs."""

import asyncio
import shlex
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.open_task import OpenTask
from goose_py.git.contents.lfs import uses_lfs
from goose_py.git.trees.conflicts import left_in_conflict
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol import commands as cmd
from goose_py.protocol import events as ev
from goose_py.protocol.errors import GooseError, UserError
from goose_py.protocol.resolving import resolving
from goose_py.review.approval import Approval
from goose_py.review.commit_customs import left_out
from goose_py.review.errors import listed
from goose_py.review.landing import commit_on_task_branch
from goose_py.tasks.changes.pull_request import body, title
from goose_py.tasks.changes.review_base import review_base
from goose_py.tasks.spec import Delivery, TaskSpec
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import TaskSummary, summarise

TIMEOUT = 300.0
FORGES = {"gh": "github", "glab": "gitlab"}


class NotDelivered(GooseError):
    """The result is on its branch here; it could not be sent any further."""


@dataclass(frozen=True)
class Delivered:
    """`where` is the address of the request, or the branch. `by_hand` are the commands that are left to the user."""

    where: str
    by_hand: tuple[str, ...] = ()


async def deliver(
    host: Host,
    folder: TaskFolder,
    worktree: TaskWorktree,
    delivery: Delivery,
    history: Callable[[], Iterable[ev.Record]],
    emit: Callable[[ev.DurableEvent], None],
) -> Delivered:
    """Commits what the task made on its branch and sends it on. Each step can be done again where a later one failed. Raises
    UserError where there is nothing, NotDelivered where git or the forge refuses."""
    records = tuple(history())
    summary = summarise(folder.task_id, records)
    approval = await _approval(worktree, records)
    if left := await left_in_conflict(worktree.store, resolving(records), approval.tree):
        raise NotDelivered(f"Conflict markers are left in {listed(left)}.")
    if not approval.empty:
        text = body(summary, records)
        message = f"{title(summary)}\n\n{text}"
        commit = await commit_on_task_branch(worktree, approval, message, "commits", with_changes=delivery.with_changes)
        (folder.path / "pull-request.md").write_text(text, "utf-8")
        if customs := left_out(worktree.repository, worktree.store):
            emit(ev.Warned(text=customs))
    elif summary.delivered or (folder.path / "pull-request.md").exists():
        commit = await worktree.tip() or ""
    else:
        raise UserError(f"The task {folder.task_id} changed nothing, so there is nothing to deliver.")
    branch = await worktree.publish_branch(commit)
    request = _Request.of(host, folder, worktree, branch, delivery, summary)
    found = await request.send() if delivery.push else Delivered(branch, await request.by_hand())
    emit(
        ev.ChangesApplied(
            base_tree=approval.base_tree,
            result_tree=approval.result_tree,
            tree=approval.tree,
            how=ev.DELIVERED,
            target=found.where,
            commit=commit,
            branch=branch,
            by_hand=found.by_hand,
        )
    )
    if found.by_hand:
        emit(ev.Warned(text=f"To send it on: {' && '.join(found.by_hand)}"))
    return found


async def deliver_now(host: Host, task: OpenTask, command: cmd.Deliver) -> None:
    """The same in the task's worker. Raises UserError where a turn runs."""
    delivery = wanted_delivery(task.spec, command)
    work = deliver(host, task.folder, task.changes.worktree, delivery, task.history, task.session.emit)
    await task.session.aside(work)


def wanted_delivery(spec: TaskSpec, command: cmd.Deliver) -> Delivery:
    given = spec.delivery or Delivery()
    return Delivery(
        push=command.push,
        remote=command.remote or given.remote,
        into=command.into or given.into,
        with_changes=command.with_changes or given.with_changes,
    )


async def deliver_if_done(host: Host, task: OpenTask) -> None:
    """What the worker of a delegated task does after a turn that came to its own end. What goes wrong is said in the log,
    where `delegate --finish` can mend it."""
    delivery, outcome = task.spec.delivery, task.session.state.outcome
    if delivery is None or outcome is None or outcome.outcome != "done" or task.session.running():
        return
    if not summarise(task.folder.task_id, task.history()).changed:
        return
    try:
        await task.session.aside(
            deliver(host, task.folder, task.changes.worktree, delivery, task.history, task.session.emit)
        )
    except GooseError as problem:
        again = f"`goose-py delegate --finish {task.folder.task_id}` tries again."
        task.session.emit(ev.Warned(text=f"It was not delivered: {problem} {again}", about="delivery"))


async def _approval(worktree: TaskWorktree, records: Sequence[ev.Record]) -> Approval:
    """All of it: what a delegated task made is judged where it is sent to."""
    tree = (await worktree.snapshot()).tree
    return Approval(review_base(records, worktree.base.tree), tree, tree)


@dataclass(frozen=True)
class _Request:
    host: Host
    repository: Path
    branch: str
    into: str
    remote: str
    title: str
    body: Path
    lfs: bool
    run: Callable[..., Awaitable[str]]

    @classmethod
    def of(
        cls,
        host: Host,
        folder: TaskFolder,
        worktree: TaskWorktree,
        branch: str,
        delivery: Delivery,
        summary: TaskSummary,
    ) -> "_Request":
        async def run(*argv: str) -> str:
            return await _run(host, worktree.repository.root, argv)

        return cls(
            host=host,
            repository=worktree.repository.root,
            branch=branch,
            into=delivery.into or worktree.base.branch or "",
            remote=delivery.remote,
            title=title(summary),
            body=folder.path / "pull-request.md",
            lfs=uses_lfs(worktree.store),
            run=run,
        )

    async def send(self) -> Delivered:
        remote = await self._remote()
        for command in self._pushes(remote):
            await self.run(*command)
        forge = await self._forge(remote)
        if forge is None:
            return Delivered(f"{remote}/{self.branch}", (self._create_by_hand("gh"),))
        printed = await self.run(*self._create(forge))
        address = next((word for word in reversed(printed.split()) if word.startswith(("https://", "http://"))), "")
        return Delivered(address or f"{remote}/{self.branch}")

    async def by_hand(self) -> tuple[str, ...]:
        there = (shlex.join(["cd", str(self.repository)]),)
        try:
            remote = await self._remote()
        except NotDelivered:
            remote = self.remote or "origin"
            there = (*there, shlex.join(["git", "remote", "add", remote, "ADDRESS"]))
        forge = await self._forge(remote) or "gh"
        return (*there, *map(shlex.join, self._pushes(remote)), self._create_by_hand(forge))

    def _create_by_hand(self, forge: str) -> str:
        """In one line: glab takes the text of the request itself, which the shell reads from its file."""
        if forge == "gh":
            return shlex.join(self._create(forge))
        return f'{shlex.join(self._create(forge)[:-1])} "$(cat {shlex.quote(str(self.body))})"'

    def _pushes(self, remote: str) -> list[list[str]]:
        """What a push hook of Git LFS would send goes first: without it the branch holds pointers to nothing."""
        name = f"refs/heads/{self.branch}"
        contents = [["git", "lfs", "push", remote, self.branch]] if self.lfs else []
        return [*contents, ["git", "push", "--no-verify", "--set-upstream", remote, f"{name}:{name}"]]

    def _create(self, forge: str) -> list[str]:
        if forge == "glab":
            text = self.body.read_text("utf-8") if self.body.exists() else ""
            into = ["--target-branch", self.into] if self.into else []
            return ["glab", "mr", "create", "--draft", "--yes", "--source-branch", self.branch, *into,
                    "--title", self.title, "--description", text]  # fmt: skip
        into = ["--base", self.into] if self.into else []
        return ["gh", "pr", "create", "--draft", "--head", self.branch, *into,
                "--title", self.title, "--body-file", str(self.body)]  # fmt: skip

    async def _remote(self) -> str:
        """The one that was named, else the only one, else origin. Raises NotDelivered."""
        names = (await self.run("git", "remote")).split()
        if self.remote:
            if self.remote in names:
                return self.remote
            raise NotDelivered(f"The repository has no remote {self.remote}; it has {', '.join(names) or 'none'}.")
        if not names:
            raise NotDelivered(f"{self.repository} has no remote to push to: add one, then `goose-py delegate --finish`.")
        return names[0] if len(names) == 1 else "origin"

    async def _forge(self, remote: str) -> str | None:
        """The program for the remote's forge, where it is installed; where the address tells nothing, the one that is."""
        try:
            address = await self.run("git", "remote", "get-url", remote)
        except NotDelivered:
            address = ""
        installed = [program for program in FORGES if self.host.which(program)]
        named = [program for program, forge in FORGES.items() if forge in address]
        if named:
            return named[0] if named[0] in installed else None
        return installed[0] if installed else None


async def _run(host: Host, folder: Path, argv: Sequence[str]) -> str:
    """Standard output. Raises NotDelivered with the last line of what it said."""
    program = host.which(argv[0])
    if program is None:
        raise NotDelivered(f"{argv[0]} is not installed.")
    env = {**host.env, "GIT_TERMINAL_PROMPT": "0", "GH_PROMPT_DISABLED": "1", "NO_COLOR": "1"}
    process = await asyncio.create_subprocess_exec(
        str(program),
        *argv[1:],
        cwd=folder,
        env=env,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    try:
        async with asyncio.timeout(TIMEOUT):
            out, err = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise NotDelivered(f"`{argv[0]} {argv[1]}` did not end within {TIMEOUT:g} seconds.") from None
    if process.returncode:
        said = (err or out).decode("utf-8", "replace").strip().splitlines()
        raise NotDelivered(f"`{argv[0]} {argv[1]}` failed: {said[-1] if said else f'exit code {process.returncode}'}")
    return out.decode("utf-8", "replace")
