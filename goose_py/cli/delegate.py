"""`goose-py delegate`: work in the background that ends in a pull request."""

from functools import partial
from typing import Any

import click

from goose_py.cli.run import limit_options, overrides_of


@click.command()
@click.argument("text", required=False)
@click.option("--push", is_flag=True, help="Push the branch and open a draft pull request when it is done.")
@click.option("--remote", default="", help="Remote to push to; the only one, or origin, by default.")
@click.option("--into", default="", metavar="BRANCH", help="Branch that it is meant for; the one it began at by default.")
@click.option("--with-my-changes", "with_changes", is_flag=True, help="It may hold what you had not committed at the start.")
@click.option("--finish", metavar="ID", help="Deliver (again) what this task made.")
@click.option("--after", multiple=True, metavar="ID", help="Begin when this task has come to its end, from what it made.")
@partial(limit_options, copy=False)
def delegate(
    text: str | None, push: bool, remote: str, into: str, with_changes: bool, finish: str | None, **options: Any
) -> int:
    """Run a task in the background that ends in a branch and a draft pull request with plan, evidence and cost.

    Nothing leaves this machine without --push: the exact commands are said instead.
    """
    from goose_py.actions.tasks.delegate import delegate as start
    from goose_py.actions.tasks.delegate import finish as deliver
    from goose_py.actions.tasks.start import TaskRequest
    from goose_py.tasks.spec import Delivery

    delivery = Delivery(push=push, remote=remote, into=into, with_changes=with_changes)
    if finish is not None:
        return deliver(finish, delivery)
    if text is None:
        raise click.UsageError("Say what to do: a TEXT, or --finish ID.")
    request = TaskRequest(
        text=text,
        overrides=overrides_of(options),
        base=options["base"],
        after=options["after"],
    )
    return start(request, delivery)
