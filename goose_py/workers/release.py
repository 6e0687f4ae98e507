"""A task that came to its end and changed nothing gives its worktree back by itself: every question would leave one behind.

Its log and recorded states stay; whoever goes on with it gets the worktree again. What is ignored by git no review shows, so a
file of that kind that a command has made keeps the worktree, unless it is a cache that its program makes anew."""

from goose_py.bootstrap.host import Host
from goose_py.bootstrap.port_leases import port_leases
from goose_py.bootstrap.workspace.removal import ignored_work, status_of
from goose_py.protocol.errors import GooseError
from goose_py.session.log import Log, LogBusy
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summarise


async def release_unused(host: Host, folder: TaskFolder) -> bool:
    """Whether the worktree went. To be called when nothing works on the task any more; where somebody has begun to meanwhile,
    or anything about it is not as expected, it stays."""
    try:
        log, contents = Log.open(folder.path, host.now)
    except LogBusy:
        return False
    try:
        if summarise(folder.task_id, contents.records).state != "idle":
            return False
        status, worktree = await status_of(host, folder)
        if status.state != "clean" or worktree is None or await ignored_work(worktree):
            return False
        await worktree.remove()
        port_leases(host).release(folder.task_id)
    except GooseError:
        return False
    finally:
        log.close()
    return True
