"""What a recipe is, in words, as `recipe explain` and `run --explain` print it."""

from collections.abc import Iterable, Mapping

from msgspec.structs import asdict

from goose_py.recipes.parameters import Explained, explain
from goose_py.recipes.recipe import ExtensionEntry, Recipe


def explain_text(recipe: Recipe, given: Mapping[str, str]) -> str:
    """Title, description, parameters with the values they would have, and what it brings along. No file is read and
    nothing is filled in. The text holds whatever the recipe's author wrote: it has to be made safe for a terminal."""
    parts = [f"{recipe.title}\n{recipe.description}".strip(), f"From {recipe.source.where}"]
    explained = explain(recipe, given)
    if explained:
        parts.append("Parameters:\n" + "\n".join(_parameter(entry) for entry in explained))
    unset = [entry.parameter.key for entry in explained if entry.origin == "missing"]
    if unset:
        parts.append("Still missing: " + " ".join(f"--params {key}=your_value" for key in unset))
    unknown = [key for key in given if key not in {entry.parameter.key for entry in explained}]
    if unknown:
        parts.append(f"Not parameters of this recipe, and ignored: {', '.join(unknown)}")
    parts += _contents(recipe)
    return "\n\n".join(parts + list(recipe.warnings))


def _parameter(entry: Explained) -> str:
    parameter = entry.parameter
    facts = f"{parameter.input_type}, {parameter.requirement}"
    options = f" one of {', '.join(parameter.options)}" if parameter.options else ""
    default = f" (default: {parameter.default})" if parameter.default is not None else ""
    value = f" = {entry.value}" if entry.origin == "given" else ""
    return f"  {parameter.key} ({facts}){options}{default}{value}\n      {parameter.description}"


def _contents(recipe: Recipe) -> list[str]:
    settings = recipe.settings
    limits = [f"{name} {value}" for name, value in asdict(recipe.limits).items() if value is not None]
    return [
        f"{title}: {', '.join(str(entry) for entry in entries)}"
        for title, entries in (
            ("Model", [word for word in (settings.provider, settings.model, settings.effort) if word]),
            ("Mode", [recipe.mode] if recipe.mode else []),
            ("Extensions", _extensions(recipe.extensions or ())),
            ("Sub-recipes", [f"{entry.name} ({entry.path})" for entry in recipe.sub_recipes]),
            ("Checks", recipe.checks),
            ("Retried until", recipe.retry.checks if recipe.retry else ()),
            ("Limits", limits),
            ("Needs of your variables", recipe.env),
            ("Answers with", ["JSON of its own schema"] if recipe.response else []),
        )
        if entries
    ]


def _extensions(entries: Iterable[ExtensionEntry]) -> list[str]:
    return [
        f"{entry.name} ({' '.join((entry.cmd, *entry.args)) if entry.cmd else entry.uri or entry.type})" for entry in entries
    ]
