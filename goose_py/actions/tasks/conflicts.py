"""`goose-py task conflicts`: pairs of unmerged tasks that will not go together."""

import asyncio
import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from goose_py.actions.review.inspection import inspect_task
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.scope import tasks_here
from goose_py.bootstrap.host import Host
from goose_py.files import recall, remember
from goose_py.git.errors import GitError
from goose_py.git.repository import Repository
from goose_py.git.runner import Git
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.review.errors import listed
from goose_py.tasks.changes.conflicts import TaskConflict, Work, conflicts_between
from goose_py.tasks.summaries import list_tasks
from goose_py.tasks.summary import TaskSummary

OVER = ("merged", "rejected", "cancelled", "queued")
AT_WORK = ("planning", "running", "verifying", "awaiting approval")
MOST = 2_000
"""So many pairs that nobody has compared yet are compared for a list: what was, is remembered."""
SHOWN = 20
"""So many pairs are named by a list."""
REMEMBERED = 5_000
"""So many answers about a repository's tasks as they were before are remembered beside those about its tasks as they are."""


@dataclass(frozen=True)
class Conflicts:
    """`apart` are sentences on tasks that are not compared with others."""

    found: tuple[TaskConflict, ...] = ()
    apart: tuple[str, ...] = ()

    def lines(self, most: int | None = None) -> tuple[str, ...]:
        """At `most` so many pairs, and how many more there are."""
        pairs = [f"{each.one} and {each.other} will conflict in {listed(each.paths)}" for each in self.found[:most]]
        if left := len(self.found) - len(pairs):
            pairs.append(f"{left} more pairs will conflict: `goose-py task conflicts` names them.")
        return tuple(map(safe_text, (*pairs, *self.apart)))


async def live_conflicts(host: Host, summaries: tuple[TaskSummary, ...], most: int | None = None) -> Conflicts:
    """Among the unmerged tasks of each repository: as their logs have recorded them, those at work as their files are now. At
    `most` so many new pairs are compared; how many are left is said."""
    found: list[TaskConflict] = []
    apart: list[str] = []
    for place in dict.fromkeys(summary.repository for summary in summaries):
        unmerged = [each for each in summaries if each.repository == place and _at_stake(each)]
        if len(unmerged) < 2:
            continue
        works = []
        for summary in unmerged:
            try:
                works.append(await _work(host, summary))
            except (GitError, UserError) as problem:
                apart.append(_apart(summary.task_id, problem))
        file = host.paths.cache / "conflicts" / hashlib.sha256(os.fsencode(place)).hexdigest()[:16]
        known = recall(file, dict[str, tuple[str, ...]]) or {}
        before = len(known)
        forecast = await conflicts_between(works, known, _Opening(host, place).worktree, most)
        found += forecast.found
        apart += (_apart(*each) for each in forecast.apart.items())
        if forecast.left:
            apart.append(f"{forecast.left} pairs of tasks are not compared yet: `goose-py task conflicts` compares all.")
        if len(known) != before:
            with suppress(OSError):  # it can be found out again
                others = [each for each in known.items() if each[0] not in forecast.about][-REMEMBERED:]
                remember(file, dict(others) | {key: known[key] for key in forecast.about})
    return Conflicts(tuple(found), tuple(apart))


async def _work(host: Host, summary: TaskSummary) -> Work:
    base_tree, tree = summary.base_tree or "", summary.result_tree or ""
    if summary.state in AT_WORK:
        changes = (await inspect_task(host, host.tasks.folder(summary.task_id))).changes
        base_tree, tree = changes.base_tree, changes.result_tree
    return Work(summary.task_id, summary.base or "", base_tree, tree)


class _Opening:
    """The repository is opened once for all of its tasks, and not before one is asked for."""

    def __init__(self, host: Host, place: str) -> None:
        self._host, self._place = host, place
        self._repository: Repository | None = None

    async def worktree(self, task_id: str) -> TaskWorktree:
        if self._repository is None:
            git = Git.create(self._host.which("git"), self._host.env)
            self._repository = await Repository.open(git, Path(self._place))
        worktree = await TaskWorktree.open(self._repository, self._host.tasks.folder(task_id).store)
        await worktree.require_base()
        return worktree


def _apart(task_id: str, problem: object) -> str:
    return f"{task_id} is not compared with the others: {problem}"


def _at_stake(summary: TaskSummary) -> bool:
    return summary.state not in OVER and summary.base_tree is not None and (summary.alive or summary.changed)


def show_conflicts(*, as_json: bool, everywhere: bool) -> int:
    """Exit code 1 where there are any, for scripts."""
    host = host_with_tasks()
    tasks = list_tasks(host.tasks)
    here = tasks if everywhere else tasks_here(host.cwd, tasks)[0]
    found = asyncio.run(live_conflicts(host, here))
    if as_json:
        sys.stdout.write(json.dumps([asdict(conflict) for conflict in found.found], indent=2) + "\n")
        for sentence in found.apart:
            print(safe_text(f"goose-py: {sentence}"), file=sys.stderr)
    else:
        for line in found.lines():
            print(line)
        if not found.found:
            print("No two tasks here stand in each other's way.")
    return 1 if found.found else 0


def conflicts_of_list(host: Host, summaries: tuple[TaskSummary, ...]) -> tuple[str, ...]:
    """What a list of tasks says besides."""
    if sum(map(_at_stake, summaries)) < 2:
        return ()
    return asyncio.run(live_conflicts(host, summaries, MOST)).lines(SHOWN)
