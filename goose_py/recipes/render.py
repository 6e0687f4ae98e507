"""A recipe filled in: its template rendered with the values, read again, and made frozen values."""

from collections.abc import Mapping
from pathlib import Path

import msgspec

from goose_py.recipes import parameters
from goose_py.recipes.decode import Decoder
from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import parse_text
from goose_py.recipes.recipe import Recipe, RenderedRecipe, Source, SubRecipe
from goose_py.recipes.template import Templates
from goose_py.recipes.yaml_escaping import Seal


def render(recipe: Recipe, given: Mapping[str, str], *, folder: Path, home: Path) -> RenderedRecipe:
    """Fill in a recipe with what a person gave. `folder` and `home` are where relative file parameters and `~` start.

    A value ends up in texts exactly as it was given, in commands as data (`goose_py.recipes.commands`), and nowhere else.
    Raises `MissingParameters`, or `RecipeError` with every problem.
    """
    found = parameters.values(recipe, given, folder=folder, home=home)
    source = recipe.source
    seal = Seal()
    text = Templates(source.text, source.where, source.folder).render(found, seal)
    decoder = Decoder(source.where, seal)
    content = decoder.content(parse_text(text, source.where, as_json=source.where.endswith(".json")))
    if content is None:
        raise RecipeError(*decoder.problems)
    rendered = RenderedRecipe(
        **{field: getattr(content, field) for field in content.__struct_fields__},
        source=source,
        values=found,
        warnings=recipe.warnings + _unknown(recipe, given),
    )
    return msgspec.structs.replace(
        rendered, sub_recipes=tuple(resolve(sub_recipe, source) for sub_recipe in rendered.sub_recipes)
    )


def resolve(sub_recipe: SubRecipe, source: Source) -> SubRecipe:
    """A sub-recipe with its path absolute. One that leads out of the recipe's folder is refused: whoever reads a recipe must
    be able to find everything that it runs beside it."""
    place = f"{source.where}:{sub_recipe.line}"
    if source.folder is None:
        raise RecipeError(f"{place}: the sub-recipe {sub_recipe.name!r} is a file, and this recipe has no folder.")
    root = source.folder.resolve()
    path = (root / sub_recipe.path).resolve()
    if not path.is_relative_to(root):
        raise RecipeError(f"{place}: the sub-recipe {sub_recipe.path!r} is outside the folder of the recipe.")
    if not path.is_file():
        raise RecipeError(f"{place}: the sub-recipe {sub_recipe.path!r} does not exist.")
    return msgspec.structs.replace(sub_recipe, path=str(path))


def _unknown(recipe: Recipe, given: Mapping[str, str]) -> tuple[str, ...]:
    declared = {parameter.key for parameter in recipe.parameters}
    return tuple(f"{recipe.source.where}: has no parameter {key!r}; it is ignored." for key in given if key not in declared)
