"""`goose-py inbox`: what waits for a person."""

from typing import Any

import click


@click.group(invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
@click.option("--here", "only_here", is_flag=True, help="Only of the repository you are in.")
@click.pass_context
def inbox(ctx: click.Context, as_json: bool, only_here: bool) -> int | None:
    """Every question of every task of all repositories: approvals, plans, changes to review, tasks in trouble."""
    if ctx.invoked_subcommand is not None:
        return None
    from goose_py.actions.tasks.inbox import show_inbox

    return show_inbox(as_json=as_json, only_here=only_here)


@inbox.command()
@click.argument("id")
@click.option("--allow/--deny", required=True, default=None, help="Let it, or not.")
@click.option("--question", metavar="ID", help="Which one, where the task asks several things.")
@click.option(
    "--scope", type=click.Choice(["once", "task", "project", "always"]), default="once", show_default=True, help="For how long."
)
@click.option("--pattern", help="What exactly to allow for longer than once.")
@click.option("-m", "--note", default="", help="What to tell the task with it.")
def answer(id: str, allow: bool, **options: Any) -> int:
    """Answer a task's question."""
    from goose_py.actions.tasks.inbox import Answer, answer_question

    return answer_question(Answer(task_id=id, allow=allow, **options))
