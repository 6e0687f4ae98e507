"""`goose-py compare`: the same task several times, side by side."""

from functools import partial
from typing import Any

import click

from goose_py.cli.run import limit_options, overrides_of


@click.command()
@click.argument("text", required=False, default="")
@partial(limit_options, model=False, copy=False)
@click.option("--model", "models", multiple=True, metavar="[PROVIDER/]MODEL", help="A model to compare; give several.")
@click.option("--recipe", "recipes", multiple=True, metavar="FILE", help="A recipe to compare; give several.")
@click.option("--no-wait", is_flag=True, help="Only start them.")
@click.option("--show", metavar="GROUP", help="Show a comparison as it stands now.")
@click.option("--diff", is_flag=True, help="With --show: the diffs between the results.")
@click.option("--json", "as_json", is_flag=True, help="With --show: as one JSON document.")
@click.option("--pick", metavar="ID", help="Apply the result of this task; the others are kept.")
@click.option("--how", type=click.Choice(["worktree", "squash", "commits"]), default="worktree", help="With --pick: see apply.")
@click.option("--yes", is_flag=True, help="With --pick: do not ask.")
def compare(text: str, models: tuple[str, ...], recipes: tuple[str, ...], **options: Any) -> int:
    """Run the same task on several models or recipes, each in a worktree of its own, and compare what they made."""
    from goose_py.actions.tasks.compare import CompareRequest, pick, show_comparison
    from goose_py.actions.tasks.compare import compare as run

    if options["pick"]:
        return pick(options["pick"], yes=options["yes"], how=options["how"])
    if options["show"]:
        return show_comparison(options["show"], as_json=options["as_json"], diff=options["diff"])
    if not text and not recipes:
        raise click.UsageError("Say what to do, or name recipes.")
    overrides = overrides_of(options)
    request = CompareRequest(
        text=text, models=models, recipes=recipes, overrides=overrides, base=options["base"], wait=not options["no_wait"]
    )
    return run(request)
