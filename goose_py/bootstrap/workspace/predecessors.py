"""Where a task begins that comes after others: at what the one of them made that is not merged yet."""

from goose_py.bootstrap.host import Host
from goose_py.git.repository import Repository
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.tasks.schedule import unmerged
from goose_py.tasks.spec import TaskSpec
from goose_py.tasks.summary import summary_of


async def base_after(host: Host, repository: Repository, spec: TaskSpec) -> Base | None:
    """None where all of them are merged, or made nothing: then the task begins like any other. Raises UserError where several
    are not merged."""
    summaries = {task: summary_of(host.tasks.folder(task)) for task in spec.after}
    open_ones = unmerged(spec, summaries)
    if not open_ones:
        return None
    if len(open_ones) > 1:
        raise UserError(f"{spec.task_id} can start from one task that is not merged, not from {' and '.join(open_ones)}.")
    earlier = await TaskWorktree.open(repository, host.tasks.folder(open_ones[0]).store)
    tree = (await earlier.snapshot()).tree if earlier.exists else (await earlier.snapshots())[-1]
    commit = await earlier.store.commit(tree, [earlier.base.commit], f"What task {earlier.task_id} made\n")
    await earlier.store.publish([commit], [earlier.base.commit], repository)
    return Base(commit, tree, earlier.base.branch)
