"""`goose-py task conflicts`: pairs of unmerged tasks that will not go together."""

import asyncio
import hashlib
import json
import os
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass

from goose_py.actions.review.inspection import inspect_task
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.scope import tasks_here
from goose_py.bootstrap.host import Host
from goose_py.files import recall, remember
from goose_py.git.errors import GitError, GitUnavailable
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.review.errors import listed
from goose_py.tasks.changes.conflicts import TaskConflict, Work, conflicts_between
from goose_py.tasks.summaries import list_tasks
from goose_py.tasks.summary import TaskSummary

OVER = ("merged", "rejected", "cancelled", "queued")
NEWEST = 16
"""So many of a repository's tasks are compared for a list of them: the number of pairs grows with its square."""
REMEMBERED = 20_000
"""Pairs of a repository, the oldest of which are forgotten first."""


@dataclass(frozen=True)
class Conflicts:
    """`apart` are sentences on tasks that are not compared with others."""

    found: tuple[TaskConflict, ...] = ()
    apart: tuple[str, ...] = ()

    def lines(self) -> tuple[str, ...]:
        pairs = (f"{each.one} and {each.other} will conflict in {listed(each.paths)}" for each in self.found)
        return tuple(map(safe_text, (*pairs, *self.apart)))


async def live_conflicts(host: Host, summaries: tuple[TaskSummary, ...], newest: int | None = None) -> Conflicts:
    """Among the tasks of each repository, or so many of its `newest` ones; how many were left out is said. Raises
    GitUnavailable where git is too old."""
    found: list[TaskConflict] = []
    apart: list[str] = []
    for repository in dict.fromkeys(summary.repository for summary in summaries):
        works = []
        unmerged = [each for each in summaries if each.repository == repository and _at_stake(each)]
        if newest is not None and len(unmerged) > newest:
            left_out = len(unmerged) - newest
            apart.append(f"{left_out} older tasks are not compared here: `goose-py task conflicts` compares all.")
        for summary in unmerged[:newest]:
            try:
                inspected = await inspect_task(host, host.tasks.folder(summary.task_id))
                await inspected.worktree.require_base()
            except (GitError, UserError) as problem:
                apart.append(f"{summary.task_id} is not compared with the others: {problem}")
                continue
            if inspected.changes.files:
                works.append(Work(inspected.worktree, inspected.changes.result_tree, inspected.changes.base_tree))
        file = host.paths.cache / "conflicts" / hashlib.sha256(os.fsencode(repository)).hexdigest()[:16]
        known = recall(file, dict[str, tuple[str, ...]]) or {}
        before = len(known)
        found += await conflicts_between(works, known)
        if len(known) != before:
            with suppress(OSError):  # it can be found out again
                remember(file, dict(list(known.items())[-REMEMBERED:]))
    return Conflicts(tuple(found), tuple(apart))


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
    """What a list of tasks says besides; nothing where git is too old to tell."""
    if sum(map(_at_stake, summaries)) < 2:
        return ()
    try:
        return asyncio.run(live_conflicts(host, summaries, NEWEST)).lines()
    except GitUnavailable:
        return ()
