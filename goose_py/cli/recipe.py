"""`goose-py recipe`: the recipes there are, and whether they are right."""

import json
import sys

import click


@click.group()
def recipe() -> None:
    """Recipes: Goose's format, checked before anything runs."""


@recipe.command()
@click.argument("source")
def validate(source: str) -> int:
    """Say whether a recipe is valid, or everything that is wrong with it."""
    from goose_py.actions.recipes.library import load_recipe
    from goose_py.bootstrap.host import Host
    from goose_py.protocol.safe_text import safe_text
    from goose_py.recipes.errors import RecipeError

    try:
        found, _ = load_recipe(Host.here(), source, {})
    except RecipeError as error:
        print(f"✗ recipe file is invalid: {safe_text(str(error))}", file=sys.stderr)
        return 1
    for warning in found.warnings:
        print(f"! {safe_text(warning)}", file=sys.stderr)
    print("✓ recipe file is valid")
    return 0


@recipe.command("list")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def list_(form: str) -> int:
    """List the recipes that can be run by name."""
    from goose_py.actions.recipes.library import search_path
    from goose_py.bootstrap.host import Host
    from goose_py.protocol.safe_text import safe_text
    from goose_py.recipes.load import available

    found = available(search_path(Host.here()))
    if form == "json":
        entries = [
            {
                "name": entry.name,
                "source": "local",
                "path": str(entry.path),
                "title": entry.title,
                "description": entry.description,
            }
            for entry in found
        ]
        sys.stdout.write(json.dumps(entries, indent=2) + "\n")
        return 0
    for entry in found:
        print(safe_text(f"{entry.name:<24} {entry.problem or entry.title}".replace("\n", " ")))
    return 0


@recipe.command()
@click.argument("source")
@click.option("--params", multiple=True, metavar="KEY=VALUE")
def explain(source: str, params: tuple[str, ...]) -> int:
    """Say what a recipe is and takes."""
    from goose_py.actions.recipes.library import explain_recipe

    return explain_recipe(source, params)


@recipe.command()
@click.argument("source")
@click.option("-p", "--param", "params", multiple=True, metavar="KEY=VALUE")
def deeplink(source: str, params: tuple[str, ...]) -> int:
    """Print a goose://recipe link."""
    from goose_py.actions.recipes.library import load_recipe, pairs
    from goose_py.bootstrap.host import Host
    from goose_py.recipes.deeplink import encode

    recipe, given = load_recipe(Host.here(), source, dict(pairs(params)))
    print(encode(recipe, given))
    return 0
