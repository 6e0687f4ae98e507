"""`goose-py cost`: what was spent."""

import click


@click.command()
@click.argument("id", required=False)
@click.option("--days", default=7, show_default=True, type=click.IntRange(1), help="How many days, today included.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON document.")
def cost(id: str | None, days: int, as_json: bool) -> int:
    """What was spent, by day and by task; with a task's ID or name, by its turns. Cached and uncached tokens are told apart."""
    from goose_py.actions.tasks.cost import print_cost

    return print_cost(id, days, as_json=as_json)
