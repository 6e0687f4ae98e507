"""`goose-py task rewind`: a task as it was before one of its turns, after a look at what that means."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from goose_py.actions.command_channel import send_command
from goose_py.actions.confirmation import confirmed
from goose_py.actions.review.inspection import InspectedTask, inspect_task
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.bootstrap.host import Host
from goose_py.git.trees.diff import changeset_summary
from goose_py.protocol import commands as cmd
from goose_py.protocol.changes import FileChange
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.history.checkpoints import (
    CallCheckpoint,
    Checkpoint,
    call_checkpoints,
    checkpoints,
    chosen,
    chosen_call,
)

SHOWN = 40
Scope = Literal["files", "conversation", "both"]
MARKS = {"added": "removes", "deleted": "brings back", "renamed": "renames back"}


@dataclass(frozen=True)
class RewindRequest:
    """`to` is the number of a turn, a call (as `turn.number` or the beginning of its id) or the beginning of a recorded tree's
    id; None is the last turn."""

    task_id: str
    to: str | None = None
    scope: Scope = "files"
    preview: bool = False
    undo: bool = False
    listing: bool = False
    yes: bool = False


def rewind(request: RewindRequest) -> int:
    host = host_with_tasks()
    return asyncio.run(_rewind(host, request))


async def _rewind(host: Host, request: RewindRequest) -> int:
    inspected = await inspect_task(host, host.task(request.task_id))
    points = checkpoints(inspected.records)
    if request.listing:
        _print_points(points, call_checkpoints(inspected.records))
        return 0
    if request.undo:
        await send_command(host, inspected.folder, cmd.Rewind(undo=True))
        print("The last rewind is taken back.")
        return 0
    target = await _target(inspected, points, request)
    await _print_preview(inspected, target, request.scope)
    if request.preview:
        return 0
    if not request.yes and not confirmed(host, "Go back there?"):
        print("Nothing was changed.")
        return 0
    to_seq = target.to_seq if request.scope != "files" else None
    command = cmd.Rewind(tree=target.tree, state=target.state, scope=request.scope, to_seq=to_seq)
    await send_command(host, inspected.folder, command)
    print(f"Done. `goose-py task rewind {inspected.folder.task_id} --undo` takes it back.")
    return 0


@dataclass(frozen=True)
class _Target:
    """`where` in words. `to_seq` and `prompt` are those of a turn; `state` is "" where only files can go back."""

    tree: str
    where: str
    state: str = ""
    to_seq: int | None = None
    prompt: str = ""


async def _target(inspected: InspectedTask, points: Sequence[Checkpoint], request: RewindRequest) -> _Target:
    if request.to is None or (request.to.isdigit() and len(request.to) < 7):
        point = chosen(points, request.to)
        return _Target(point.tree, f"before turn {point.turn}", point.state, point.to_seq, point.prompt)
    if request.scope != "files":
        raise UserError("Only files can go back to a call or a tree; for the conversation name a turn.")
    fits = {tree for tree in await inspected.worktree.snapshots() if tree.startswith(request.to)}
    if len(fits) == 1:
        return _Target(fits.pop(), f"to {request.to[:12]}")
    if fits:
        raise UserError(f"{request.to} names {len(fits)} recorded states of the task.")
    call = chosen_call(call_checkpoints(inspected.records), request.to)
    return _Target(call.tree, f"before call {call.name} ({call.words})", call.state)


async def _print_preview(inspected: InspectedTask, target: _Target, scope: Scope) -> None:
    if scope != "conversation":
        now = inspected.changes.result_tree
        changes = await changeset_summary(inspected.worktree.store, target.tree, now)
        print(safe_text(f"Files, back {target.where}: {len(changes.files) or 'nothing'} to change."))
        for file in changes.files[:SHOWN]:
            print(f"  {_said(file)}")
        if len(changes.files) > SHOWN:
            print(f"  and {len(changes.files) - SHOWN} more")
        if target.state:
            print("What git ignores, and the task's branches, tags and stash, go back with them.")
    if scope != "files" and target.to_seq is not None:
        print(f"Conversation, back {target.where}: forgets everything from “{safe_text(target.prompt[:80])}” on.")


def _said(file: FileChange) -> str:
    lines = f"  +{file.removed or 0} −{file.added or 0}" if file.status == "modified" else ""
    return f"{MARKS.get(file.status, 'changes'):<12} {safe_text(file.path)}{lines}"


def _print_points(points: Sequence[Checkpoint], calls: Sequence[CallCheckpoint]) -> None:
    """Each turn, and below it its calls."""
    for point in points:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(point.at))
        print(f"{point.turn:>4}    {when}  {point.tree[:12]}  {safe_text(point.prompt[:80])}")
        for call in calls:
            if call.name.startswith(f"{point.turn}."):
                nothing = "" if call.changed else "  (changed nothing)"
                print(safe_text(f"{call.name:>6}  {call.call_id}  {call.words[:80]}{nothing}"))
