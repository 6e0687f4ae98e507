"""`goose-py inbox`: the questions of every task, and their answers."""

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Literal

import msgspec

from goose_py.actions.tasks.moves import host_with_tasks
from goose_py.actions.tasks.scope import project_at
from goose_py.protocol import commands as cmd
from goose_py.protocol.errors import UserError
from goose_py.protocol.safe_text import safe_text
from goose_py.tasks.inbox import Question, inbox, questions_of
from goose_py.tasks.summaries import list_tasks
from goose_py.workers.launch import tell
from goose_py.workers.queue import advance_queue, stuck_tasks

HINTS = {
    "approval": "goose-py inbox answer {task} --allow | --deny",
    "plan": "goose-py inbox answer {task} --allow | --deny -m 'what to change'",
    "review": "goose-py review {task}",
    "trouble": "goose-py task resume {task}",
}


@dataclass(frozen=True)
class Answer:
    """`question` where the task has several; `pattern` replaces the grant that `scope` would keep."""

    task_id: str
    allow: bool
    question: str | None = None
    scope: Literal["once", "task", "project", "always"] = "once"
    pattern: str | None = None
    note: str = ""


def show_inbox(*, as_json: bool, only_here: bool) -> int:
    """Of all repositories, because what waits unseen waits for ever."""
    host = host_with_tasks()
    advance_queue(host)
    found = inbox(host.tasks, stuck_tasks(host))
    here = project_at(host.cwd, list_tasks(host.tasks)) if found else None
    if only_here:
        found = tuple(question for question in found if here in (None, question.repository))
    if as_json:
        sys.stdout.write(json.dumps(msgspec.to_builtins(found), indent=2) + "\n")
        return 0
    if not found:
        print("Nothing waits for you.")
    for question in found:
        _print(question, here)
    return 0


def answer_question(answer: Answer) -> int:
    host = host_with_tasks()
    folder = host.task(answer.task_id)
    question = _chosen(questions_of(folder), answer, folder.task_id)
    command: cmd.AnyCommand
    if question.kind == "plan":
        command = cmd.DecidePlan(approve=answer.allow, comment=answer.note)
    else:
        command = cmd.ResolveApproval(
            approval_id=question.id, allow=answer.allow, scope=answer.scope, pattern=answer.pattern, note=answer.note
        )
    asyncio.run(tell(host, folder, command))
    print(f"{'Allowed' if answer.allow else 'Denied'}: {safe_text(question.text)} ({folder.task_id})")
    return 0


def _chosen(found: tuple[Question, ...], answer: Answer, task_id: str) -> Question:
    open_ones = [question for question in found if question.kind in ("approval", "plan")]
    if answer.question is not None:
        open_ones = [question for question in open_ones if question.id == answer.question]
    if not open_ones:
        raise UserError(f"The task {task_id} asks nothing that can be answered here.")
    if len(open_ones) > 1:
        names = ", ".join(question.id for question in open_ones)
        raise UserError(f"The task {task_id} asks several things: say which with --question ({names}).")
    return open_ones[0]


def _print(question: Question, here: str | None) -> None:
    where = "" if here == question.repository else f"  ({question.repository})"
    print(safe_text(f"{question.task_id}  {question.title}{where}"))
    print(safe_text(f"    {question.text}"))
    for line in question.details:
        print(safe_text(f"      {line}"))
    if question.reason:
        print(safe_text(f"    why: {question.reason}"))
    if question.kind == "approval":
        print(safe_text(f"    in: {question.workspace}"))
    print(f"    {HINTS[question.kind].format(task=question.task_id)}\n")
