"""`approve`, `reject` and `comment` from the command line: what is decided about which part of a task's changes."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from goose_py.actions.command_channel import command_channel, send_command
from goose_py.actions.review.inspection import inspect_task, task_to_change
from goose_py.actions.review.show import loaded
from goose_py.actions.screen.user_programs import edited
from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.bootstrap.host import Host
from goose_py.protocol import commands as cmd
from goose_py.protocol.changes import FileChange, Hunk
from goose_py.protocol.errors import UserError
from goose_py.protocol.events import ChangeDecided, Verdict
from goose_py.protocol.safe_text import safe_line
from goose_py.review.verdicts import command_for, decide_file, decide_hunk, decisions_of, numbered_lines, withdrawn
from goose_py.session.log import read_log
from goose_py.tasks.next_commands import next_commands
from goose_py.tasks.store import TaskFolder
from goose_py.tasks.summary import summary_of

MARKS = {"keep": "✓ kept", "drop": "✗ dropped", "undecided": "· undecided"}


@dataclass(frozen=True)
class ChangeSelection:
    """What of a task's changes is meant: all of them, those of `file`, or of it the `hunks` by number (or id) or the `lines` by
    the numbers of `verdicts.numbered_lines`. `task_id` None: the only task here that has something to review."""

    task_id: str | None = None
    file: str | None = None
    hunks: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


def decide(selection: ChangeSelection, verdict: Verdict, *, comment: str = "", edit: bool = False, close: bool = False) -> int:
    """`edit`: the hunk is kept as the user changes it first. `close`: the task is over after that."""
    host = host_with_tasks()
    return asyncio.run(_decide(host, selection, verdict, comment=comment, edit=edit, close=close))


async def _decide(host: Host, selection: ChangeSelection, verdict: Verdict, *, comment: str, edit: bool, close: bool) -> int:
    folder, files = await _selected(host, selection, empty=close)
    decisions = _edits(host, files, selection, comment) if edit else tuple(_decisions(files, selection, verdict, comment))
    async with command_channel(host, folder) as channel:
        if decisions:
            await channel.send(cmd.DecideChanges(decisions=tuple(command_for(event) for event in decisions)))
        if close:
            await channel.send(cmd.Reject(reason=comment))
    print(f"{MARKS[verdict]}{' as edited' if edit else ''}: {_counted(files, selection)} of task {folder.task_id}.")
    if verdict == "keep":
        print(f"Nothing is applied yet: `goose-py apply {folder.task_id}` does that.")
    return 0


def comment_on(selection: ChangeSelection, text: str) -> int:
    """Says something about a part without deciding on it."""
    if not text.strip():
        raise UserError("The comment is empty.")
    host = host_with_tasks()
    return asyncio.run(_comment(host, selection, text))


async def _comment(host: Host, selection: ChangeSelection, text: str) -> int:
    folder, files = await _selected(host, selection)
    if selection.file is None and len(files) != 1:
        raise UserError("Say what the comment is about: --file PATH, and --hunk or --line of it.")
    file = files[0]
    decisions = tuple(_decisions(files, selection, "undecided", text))
    if not selection.hunks and not selection.lines:
        decisions = (ChangeDecided(path=file.path, verdict="undecided", comment=text, content=file.id),)
    await send_command(host, folder, cmd.DecideChanges(decisions=tuple(command_for(event) for event in decisions)))
    print(f"Noted. `goose-py review {folder.task_id} --send` tells the task.")
    return 0


def change_comment(task_id: str | None, number: int, text: str) -> int:
    """Takes the comment back that `review` shows with `number`; `text`, if any, stands in its place."""
    host = host_with_tasks()
    folder = task_to_change(host, task_id)
    decisions = decisions_of(read_log(folder.path).records)
    gone = withdrawn(decisions)
    said = next((each for each in decisions if each.seq == number and each.event.comment and number not in gone), None)
    if said is None:
        there = ", ".join(str(each.seq) for each in decisions if each.event.comment and each.seq not in gone) or "none"
        raise UserError(f"The task {folder.task_id} has no comment {number}; it has {there}.")
    command = cmd.DecideChange(path=said.event.path, verdict="undecided", comment=text.strip(), withdraws=number)
    asyncio.run(send_command(host, folder, command))
    print(safe_line(f"{'Changed' if text.strip() else 'Taken back'}: “{said.event.comment}” on {said.event.path}."))
    return 0


async def _selected(host: Host, selection: ChangeSelection, *, empty: bool = False) -> tuple[TaskFolder, Sequence[FileChange]]:
    """The task and its files with their hunks. Raises UserError where there is nothing and `empty` does not allow that."""
    inspected = await inspect_task(host, task_to_change(host, selection.task_id))
    within = selection.hunks or selection.lines
    if within and selection.file is None and len(inspected.changes.files) != 1:
        raise UserError("Hunks and lines are numbered within a file: say --file PATH as well.")
    changes = await loaded(inspected, selection.file)
    if not changes.files and not empty:
        summary = summary_of(inspected.folder)
        ways = [f"`{each.command}` {each.does}" for each in next_commands(summary.task_id, summary.outcome, changed=False)]
        more = f" {ways[0]}." if ways else ""
        raise UserError(f"There are no changes of task {inspected.folder.task_id} to decide on.{more}")
    return inspected.folder, changes.files


def _decisions(
    files: Sequence[FileChange], selection: ChangeSelection, verdict: Verdict, comment: str
) -> Iterator[ChangeDecided]:
    for file in files:
        if not selection.hunks and not selection.lines:
            yield from decide_file(file, verdict, comment=comment)
            continue
        for number in selection.hunks:
            yield decide_hunk(file, _hunk(file, number), verdict, comment=comment)
        for hunk, lines in _by_hunk(file, selection.lines):
            yield decide_hunk(file, hunk, verdict, lines=lines, comment=comment)


def _edits(host: Host, files: Sequence[FileChange], selection: ChangeSelection, comment: str) -> tuple[ChangeDecided, ...]:
    """One hunk as the user wants it: from their editor or, where there is no terminal, from standard input."""
    if len(files) != 1 or len(selection.hunks) != 1 or selection.lines:
        raise UserError("One hunk is edited at a time: say --file PATH and --hunk N.")
    file = files[0]
    hunk = _hunk(file, selection.hunks[0])
    before = "".join(line[1:] for line in hunk.lines if not line.startswith("-"))
    after = edited(before, file.path, host.env) if host.stdin_is_terminal else sys.stdin.read()
    if after == before:
        raise UserError("Nothing was edited, so nothing was decided.")
    return (decide_hunk(file, hunk, "keep", edit=after, comment=comment),)


def _hunk(file: FileChange, name: str) -> Hunk:
    """By number or id."""
    available = file.hunks or ()
    found = next((hunk for hunk in available if hunk.id == name), None)
    if found is None and name.isdigit() and 1 <= int(name) <= len(available):
        found = available[int(name) - 1]
    if found is None:
        raise UserError(f"{file.path} has no hunk {name}; it has {len(available)}.")
    return found


def _by_hunk(file: FileChange, numbers: Sequence[int]) -> list[tuple[Hunk, tuple[int, ...]]]:
    """The hunks that the lines are in, with the lines' indices. Raises UserError for a line that is not changed."""
    left = set(numbers)
    found = []
    for hunk in file.hunks or ():
        known = numbered_lines(hunk)
        if here := left & known.keys():
            found.append((hunk, tuple(sorted(known[number] for number in here))))
            left -= here
    if left:
        raise UserError(
            f"{file.path} has no changed line {min(left, key=abs)}; `goose-py review --numbers` shows the numbers, those of "
            "removed lines with a minus."
        )
    return found


def _counted(files: Sequence[FileChange], selection: ChangeSelection) -> str:
    count, what = len(files), "file"
    if selection.lines:
        count, what = len(selection.lines), "line"
    elif selection.hunks:
        count, what = len(selection.hunks), "hunk"
    return f"{count} {what}" + ("" if count == 1 else "s")
