"""`approve`, `reject` and `comment` from the command line: what is decided about which part of a task's changes."""

import asyncio
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from goose_py.actions.review.changes import choose_only, desk, look
from goose_py.actions.review.show import loaded
from goose_py.actions.screen.user_programs import edited
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
class Part:
    """What of a task's changes is meant: all of them, those of `file`, or of it the `hunks` by number (or id) or the `lines` by
    the numbers of `verdicts.numbered_lines`. `task_id` None: the newest task here that has something to review."""

    task_id: str | None = None
    file: str | None = None
    hunks: tuple[str, ...] = ()
    lines: tuple[int, ...] = ()


def decide(part: Part, verdict: Verdict, *, comment: str = "", edit: bool = False, close: bool = False) -> int:
    """`edit`: the hunk is kept as the user changes it first. `close`: the task is over after that."""
    host = Host.here()
    return asyncio.run(_decide(host, part, verdict, comment=comment, edit=edit, close=close))


async def _decide(host: Host, part: Part, verdict: Verdict, *, comment: str, edit: bool, close: bool) -> int:
    folder, files = await _looked_at(host, part, empty=close)
    decisions = _edits(host, files, part, comment) if edit else tuple(_decisions(files, part, verdict, comment))
    async with desk(host, folder) as at:
        if decisions:
            await at.send(cmd.DecideChanges(decisions=tuple(command_for(event) for event in decisions)))
        if close:
            await at.send(cmd.Reject(reason=comment))
    print(f"{MARKS[verdict]}{' as edited' if edit else ''}: {_counted(files, part)} of task {folder.task_id}.")
    if verdict == "keep":
        print(f"Nothing is applied yet: `goose-py apply {folder.task_id}` does that.")
    return 0


def comment_on(part: Part, text: str) -> int:
    """Says something about a part without deciding on it."""
    if not text.strip():
        raise UserError("The comment is empty.")
    host = Host.here()
    return asyncio.run(_comment(host, part, text))


async def _comment(host: Host, part: Part, text: str) -> int:
    folder, files = await _looked_at(host, part)
    if part.file is None and len(files) != 1:
        raise UserError("Say what the comment is about: --file PATH, and --hunk or --line of it.")
    file = files[0]
    decisions = tuple(_decisions(files, part, "undecided", text))
    if not part.hunks and not part.lines:
        decisions = (ChangeDecided(path=file.path, verdict="undecided", comment=text, content=file.id),)
    async with desk(host, folder) as at:
        await at.send(cmd.DecideChanges(decisions=tuple(command_for(event) for event in decisions)))
    print(f"Noted. `goose-py review {folder.task_id} --send` tells the task.")
    return 0


def change_comment(task_id: str | None, number: int, text: str) -> int:
    """Takes the comment back that `review` shows with `number`; `text`, if any, stands in its place."""
    host = Host.here()
    folder = choose_only(host, task_id)
    decisions = decisions_of(read_log(folder.path).records)
    gone = withdrawn(decisions)
    said = next((each for each in decisions if each.seq == number and each.event.comment and number not in gone), None)
    if said is None:
        there = ", ".join(str(each.seq) for each in decisions if each.event.comment and each.seq not in gone) or "none"
        raise UserError(f"The task {folder.task_id} has no comment {number}; it has {there}.")

    async def send() -> None:
        async with desk(host, folder) as at:
            await at.send(
                cmd.DecideChange(path=said.event.path, verdict="undecided", comment=text.strip(), withdraws=number)
            )

    asyncio.run(send())
    print(safe_line(f"{'Changed' if text.strip() else 'Taken back'}: “{said.event.comment}” on {said.event.path}."))
    return 0


async def _looked_at(host: Host, part: Part, *, empty: bool = False) -> tuple[TaskFolder, Sequence[FileChange]]:
    """The task and its files with their hunks. Raises UserError where there is nothing and `empty` does not allow that."""
    looked = await look(host, choose_only(host, part.task_id))
    within = part.hunks or part.lines
    if within and part.file is None and len(looked.changes.files) != 1:
        raise UserError("Hunks and lines are numbered within a file: say --file PATH as well.")
    changes = await loaded(looked, part.file)
    if not changes.files and not empty:
        summary = summary_of(looked.folder)
        ways = [f"`{each.command}` {each.does}" for each in next_commands(summary.task_id, summary.outcome, changed=False)]
        more = f" {ways[0]}." if ways else ""
        raise UserError(f"There are no changes of task {looked.folder.task_id} to decide on.{more}")
    return looked.folder, changes.files


def _decisions(files: Sequence[FileChange], part: Part, verdict: Verdict, comment: str) -> Iterator[ChangeDecided]:
    for file in files:
        if not part.hunks and not part.lines:
            yield from decide_file(file, verdict, comment=comment)
            continue
        for number in part.hunks:
            yield decide_hunk(file, _hunk(file, number), verdict, comment=comment)
        for hunk, lines in _by_hunk(file, part.lines):
            yield decide_hunk(file, hunk, verdict, lines=lines, comment=comment)


def _edits(host: Host, files: Sequence[FileChange], part: Part, comment: str) -> tuple[ChangeDecided, ...]:
    """One hunk as the user wants it: from their editor or, where there is no terminal, from standard input."""
    if len(files) != 1 or len(part.hunks) != 1 or part.lines:
        raise UserError("One hunk is edited at a time: say --file PATH and --hunk N.")
    file = files[0]
    hunk = _hunk(file, part.hunks[0])
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


def _counted(files: Sequence[FileChange], part: Part) -> str:
    count, what = len(files), "file"
    if part.lines:
        count, what = len(part.lines), "line"
    elif part.hunks:
        count, what = len(part.hunks), "hunk"
    return f"{count} {what}" + ("" if count == 1 else "s")
