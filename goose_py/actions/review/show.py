"""`goose-py review`: what a task changed, with the evidence of its checks."""

import asyncio
import json
import sys

import msgspec

from goose_py.actions.review.inspection import InspectedTask, inspect_task, task_to_show
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.bootstrap.host import Host
from goose_py.bootstrap.workspace.removal import ignored_work
from goose_py.git.trees.diff import with_hunks
from goose_py.protocol.changes import ChangeSet
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_line
from goose_py.review.errors import listed
from goose_py.review.verdicts import decisions_of, fold
from goose_py.workers.queue_watch import start_next


def show(task_id: str | None, *, file: str | None, stat: bool, as_json: bool, audit: bool, numbers: bool = False) -> int:
    host = host_with_tasks()
    asyncio.run(start_next(host))
    return asyncio.run(_show(host, task_id, file, stat=stat, as_json=as_json, audit=audit, numbers=numbers))


async def _show(
    host: Host, task_id: str | None, file: str | None, *, stat: bool, as_json: bool, audit: bool, numbers: bool
) -> int:
    inspected = await inspect_task(host, task_to_show(host, task_id))
    if audit:
        from goose_py.actions.review.audit import audit_of

        sys.stdout.write(await audit_of(inspected))
        return 0
    changes = await loaded(inspected, file)
    chosen = {change.path for change in changes.files}
    review = fold(changes, (made for made in decisions_of(inspected.records) if made.event.path in chosen))
    ignored = await ignored_work(inspected.worktree) if inspected.worktree.intact and file is None else ()
    if as_json:
        document = {"task": inspected.summary, "changes": changes, "ignored": ignored}
        sys.stdout.write(json.dumps(msgspec.to_builtins(document), indent=2) + "\n")
        return 0
    from goose_py.headless.diff import print_review

    if changes.files and not inspected.worktree.intact:
        again = f"`goose-py task restore {inspected.folder.task_id}` brings it back."
        print(f"The worktree is gone: this was recorded last. {again}", file=sys.stderr)
    print_review(inspected.summary, changes, review, stat=stat, numbers=numbers)
    if ignored:
        named = listed([safe_line(path) for path in ignored])
        print(f"In no change, since git ignores it: {named}. It lies in {inspected.worktree.path}.", file=sys.stderr)
    return 0


async def loaded(inspected: InspectedTask, file: str | None) -> ChangeSet:
    """With hunks: all files, or the one that is named. Raises UserError where it is not among them."""
    changes = inspected.changes
    if file is not None:
        found = changes.file(file)
        if found is None:
            names = ", ".join(change.path for change in changes.files[:8]) or "nothing"
            raise UserError(f"{file} is not among the changed files: {names}.")
        changes = msgspec.structs.replace(changes, files=(found,))
    return await with_hunks(inspected.worktree.store, changes)
