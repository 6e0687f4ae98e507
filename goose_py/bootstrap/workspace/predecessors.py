"""Where a task begins that comes after others: at what the one of them made that is not merged yet."""

from goose_py.bootstrap.host import Host
from goose_py.git.repository import Repository
from goose_py.git.worktrees.base import Base
from goose_py.git.worktrees.worktree import TaskWorktree
from goose_py.protocol.errors import UserError
from goose_py.review.errors import CannotApply
from goose_py.review.users_work import apart_from_users_work, head_tree
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
    return await _standing_on(earlier, tree)


async def _standing_on(earlier: TaskWorktree, tree: str) -> Base:
    """A commit of what it made, and on top of that, as uncommitted as it was, what the user had not committed."""
    store, base = earlier.store, earlier.base
    made = f"What task {earlier.task_id} made\n"
    if not base.recorded:
        commit = await store.commit(tree, [base.commit], made)
        await store.publish([commit], [base.commit], earlier.repository)
        return Base(commit, tree, base.branch)
    commit, start = base.commit, await head_tree(earlier)
    try:
        start = await (await apart_from_users_work(earlier, base.tree, tree, start)).on(store, start)
        commit = await store.commit(start, [commit], made)
    except CannotApply:
        pass  # what cannot be told apart is not committed
    recorded = await store.commit(tree, [commit], made)
    await store.publish([recorded], [base.commit], earlier.repository)
    return Base(
        commit, tree, base.branch, includes_changes=True, index=start, recorded=recorded, uncommitted=base.uncommitted,
        left_out=base.left_out,
    )  # fmt: skip
