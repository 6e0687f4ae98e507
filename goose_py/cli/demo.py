"""`goose-py demo`: the whole way on a small repository, without a key."""

import click


@click.command()
@click.option("--yes", is_flag=True, help="Approve and apply without asking.")
@click.option("--folder", metavar="FOLDER", help="Where the small repository is made; a new temporary folder by default.")
@click.option("--sandbox", help="Weakest sandbox to accept: full, partial or none.")
def demo(yes: bool, folder: str | None, sandbox: str | None) -> int:
    """See the whole way: plan, worktree, tools, check, review, apply. The model's replies are scripted, all else is real."""
    from goose_py.bootstrap.demo import run_demo

    return run_demo(yes=yes, folder=folder, sandbox=sandbox)
