"""Merges that were cut off by the end of their process: finished or undone, said to the user, and put on record."""

import asyncio
import sys
from collections.abc import Iterable
from pathlib import Path

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.repository import open_repository
from goose_py.git.repository import Repository
from goose_py.git.worktrees.task_file import TaskFile
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol import events as ev
from goose_py.protocol.errors import GooseError
from goose_py.protocol.safe_text import safe_text
from goose_py.review.recovery import Recovered, has_leftovers, recover_all
from goose_py.session.log import Log
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summaries import list_tasks


def end_all_cut_off(host: Host) -> None:
    """In every repository that a task is about and that needs it. One that cannot be opened says so where it is shown."""
    places = dict.fromkeys(summary.repository for summary in list_tasks(host.tasks))
    if needing := [Path(place) for place in places if place and has_leftovers(Path(place))]:
        asyncio.run(_end_each(host, needing))


async def end_cut_off_of(host: Host, folder: TaskFolder) -> None:
    """In the repository of one task, before its log is read: what is found may be put on record there."""
    try:
        place = Path(TaskFile.read(folder.store).repository)
    except GooseError:
        return  # it has no worktree yet
    if has_leftovers(place):
        await _end_each(host, [place])


async def _end_each(host: Host, places: Iterable[Path]) -> None:
    for place in places:
        try:
            await _end(host, await open_repository(host, place))
        except GooseError as problem:
            print(safe_text(f"goose-py: {problem}"), file=sys.stderr)


async def _end(host: Host, repository: Repository) -> None:
    for found in await recover_all(repository):
        print(safe_text(f"goose-py: {found.sentence()}"), file=sys.stderr)
        if found.merged:
            await _put_on_record(host, repository, found)


async def _put_on_record(host: Host, repository: Repository, found: Recovered) -> None:
    """What the killed process was about to log. Where another process has the log by now, merging again finds that it is
    done, and logs it."""
    journal, branch = found.journal, found.journal.branch
    # By name among those there are: the journal lay in the repository, where others may write.
    folder = next((each for each in host.tasks.all() if each.task_id == journal.task_id), None)
    if folder is None or not folder.made_here() or not _is_about(folder, repository) or not folder.began() or folder.owned():
        return
    log, contents = Log.open(folder.path, host.now)
    try:
        if any(isinstance(r.event, ev.ChangesApplied) and r.event.commit == journal.commit for r in contents.records):
            return
        log.append(
            ev.ChangesApplied(
                base_tree=journal.base_tree,
                result_tree=journal.result_tree,
                tree=journal.tree,
                how=journal.how,
                target=branch,
                commit=journal.commit,
                files=tuple(journal.files),
            )
        )
        log.append(ev.TaskEnded(state="merged", detail=f"{branch} is at {journal.commit[:12]}"))
    finally:
        log.close()
    worktree = await TaskWorktree.open(repository, folder.store)
    await worktree.store.mark_landed(journal.tree)


def _is_about(folder: TaskFolder, repository: Repository) -> bool:
    try:
        return Path(TaskFile.read(folder.store).common_dir) == repository.common_dir
    except GooseError:
        return False
