"""`goose-py session fork`: a new task that goes on from somewhere in another one, with its conversation and its files."""

import asyncio
import shutil

import msgspec

from goose_py import __version__
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.settings import load_settings
from goose_py.bootstrap.workspace.existing_worktree import open_worktree
from goose_py.bootstrap.workspace.worktree import place_of_worktree
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol import events as ev
from goose_py.protocol.errors import UserError
from goose_py.session.fork import SOURCE, ForkPoint, fork_point, opening_words
from goose_py.session.log import Log, read_log
from goose_py.tasks.spec import read_spec, write_spec
from goose_py.tasks.store import TaskFolder


def fork_session(name: str, at: int | None, title: str | None) -> int:
    """Prints the new task's id."""
    host = host_with_tasks()
    folder = asyncio.run(make_fork(host, host.task(name), at, title))
    print(folder.task_id)
    return 0


async def make_fork(host: Host, parent: TaskFolder, at: int | None = None, title: str | None = None) -> TaskFolder:
    """A task whose log goes on from the parent's record `at` (the last one by default), in a worktree of its own with the
    files that were recorded there. Its limits and bill are its own. Raises GooseError; then there is no new task."""
    source = await open_worktree(host, parent, read_log(parent.path).records)
    async with source.store.locked():
        pass  # what is being recorded now is in the log then
    point = fork_point(read_log(parent.path).records, at)
    folder = host.tasks.new(host.now)
    try:
        worktree = await _worktree(host, parent, source, folder, point)
        _write(host, parent, folder, point, worktree, title)
    except BaseException:
        shutil.rmtree(folder.path, ignore_errors=True)
        raise
    return folder


async def _worktree(
    host: Host, parent: TaskFolder, source: TaskWorktree, folder: TaskFolder, point: ForkPoint
) -> TaskWorktree:
    """From the parent's base, with the files of the fork's point, ignored ones too: what is reviewed is the work of both."""
    settings = load_settings(host, read_spec(parent.path)).settings
    where = place_of_worktree(folder, source.repository, settings)
    worktree = await TaskWorktree.create(
        source.repository, folder.task_id, where=where, store=folder.store, base=source.base
    )
    if point.recorded or (point.tree is not None and point.tree != source.base.tree):
        try:
            await worktree.store.take(source.store, point.recorded or point.tree, source.base.tree)
            if point.recorded:
                await worktree.take_files(point.recorded)
            else:
                await worktree.restore(point.tree)
        except BaseException:
            await worktree.remove()
            raise
    return worktree


def _write(
    host: Host, parent: TaskFolder, folder: TaskFolder, point: ForkPoint, worktree: TaskWorktree, title: str | None
) -> None:
    started = point.state.started
    if started is None:
        raise UserError(f"The session {parent.task_id} had not begun there.")
    spec = read_spec(parent.path)
    mapped = bool(started.worktree) and started.workspace != started.worktree
    told = started.workspace if mapped else str(worktree.path)
    title = title or f"{point.state.title or spec.title} (fork)"
    write_spec(folder.path, msgspec.structs.replace(spec, task_id=folder.task_id, title=title, prompt=()))
    log = Log.create(folder.path, folder.task_id, host.now, parent=parent.task_id, parent_seq=point.seq)
    try:
        log.append(
            msgspec.structs.replace(
                started,
                session_id=folder.task_id,
                title=title,
                workspace=told,
                worktree=str(worktree.path),
                branch=worktree.branch,
                model=point.state.model,
                mode=point.state.mode,
                limits=point.state.limits,
                program=__version__,
            )
        )
        if point.state.open_turn:
            for result in point.state.conversation.unanswered():
                log.append(ev.ToolFinished(result=result))
            log.append(ev.TurnEnded(outcome="interrupted", detail="The session was forked while this turn was running."))
        if point.tree is not None and point.tree != worktree.base.tree:
            log.append(ev.Rewound(tree=point.tree, undo=worktree.base.tree))
        log.append(ev.ContextAdded(source=SOURCE, text=opening_words(parent.task_id, told)))
    finally:
        log.close()
