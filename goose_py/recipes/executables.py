"""Every command that a recipe would run, its sub-recipes' included, so that a person sees them before anything runs (A29)."""

import hashlib
import json
import re
import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import read
from goose_py.recipes.parameters import missing
from goose_py.recipes.recipe import RECIPE_DIR, Content, ExtensionEntry, RenderedRecipe, Source, SubRecipe
from goose_py.recipes.render import render, resolve

MAX_DEPTH = 8
MAX_RECIPES = 100
_RECIPE_DIR = re.compile(r"\{\{\s*" + RECIPE_DIR + r"\s*\}\}")

Kind = Literal["extension", "check", "retry_check", "on_failure"]


class Executable(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that would run. `recipe` is the file that it stands in, `summary` the command or address as a person reads
    it, `content` exactly what would run as canonical JSON (argv, env, cwd, url), `sha256` its hash.

    `open` names parameters that have no value yet: those of a sub-recipe, which the model gives when it calls it. What then
    runs has another hash, and so has to be approved again: `executables` of the sub-recipe as it was rendered."""

    kind: Kind
    recipe: str
    summary: str
    content: str
    sha256: str
    open: tuple[str, ...] = ()


def executables(recipe: RenderedRecipe, *, folder: Path, home: Path) -> tuple[Executable, ...]:
    """All of them, the recipe's own first, then those of its sub-recipes in the order of the file. Raises `RecipeError` for
    a sub-recipe that is not valid, for one that contains itself, and where there are more than `MAX_RECIPES`."""
    found: list[Executable] = []
    seen: set[tuple[str, tuple[tuple[str, str], ...]]] = set()
    pending: list[tuple[RenderedRecipe | SubRecipe, tuple[str, ...]]] = [(recipe, ())]
    while pending:
        item, chain = pending.pop(0)
        if isinstance(item, SubRecipe):
            key = (item.path, tuple(sorted(item.values.items())))
            if key in seen:
                continue
            seen.add(key)
            _check_chain(item, chain, len(seen))
            content, source, unset = _sub_content(item, folder, home)
        else:
            content, source, unset = item, item.source, ()
        found += _of(content, source, unset)
        pending += [(sub_recipe, (*chain, source.where)) for sub_recipe in content.sub_recipes]
    return tuple(found)


def fingerprint(found: tuple[Executable, ...]) -> str:
    """One hash for all of them, independent of their order: what `--allow-exec` takes."""
    return hashlib.sha256("\n".join(sorted(entry.sha256 for entry in found)).encode()).hexdigest()


def _check_chain(sub_recipe: SubRecipe, chain: tuple[str, ...], count: int) -> None:
    if sub_recipe.path in chain:
        raise RecipeError(f"{sub_recipe.path}: the recipe is a sub-recipe of itself.")
    if len(chain) > MAX_DEPTH:
        raise RecipeError(f"{sub_recipe.path}: sub-recipes are nested more than {MAX_DEPTH} deep.")
    if count > MAX_RECIPES:
        raise RecipeError(f"{sub_recipe.path}: more than {MAX_RECIPES} sub-recipes.")


def _sub_content(sub_recipe: SubRecipe, folder: Path, home: Path) -> tuple[Content, Source, tuple[str, ...]]:
    """A sub-recipe with what is known of its values: rendered where all are, else as it stands, with its templates."""
    recipe = read(Path(sub_recipe.path))
    unset = tuple(parameter.key for parameter in missing(recipe, sub_recipe.values))
    if not unset:
        return render(recipe, sub_recipe.values, folder=folder, home=home), recipe.source, ()
    where = str(recipe.source.folder)
    below = (msgspec.structs.replace(inner, path=_RECIPE_DIR.sub(lambda _: where, inner.path)) for inner in recipe.sub_recipes)
    followed = tuple(resolve(inner, recipe.source) for inner in below if "{{" not in inner.path)
    return msgspec.structs.replace(recipe, sub_recipes=followed), recipe.source, unset


def _of(content: Content, source: Source, unset: tuple[str, ...]) -> Iterator[Executable]:
    for extension in content.extensions or ():
        if extension.cmd or extension.uri or extension.code:
            yield _executable("extension", source, unset, _extension_summary(extension), _extension_content(extension))
    for command in content.checks:
        yield _executable("check", source, unset, command, {"command": command})
    if content.retry is not None:
        for command in content.retry.checks:
            yield _executable("retry_check", source, unset, command, {"command": command})
        if content.retry.on_failure:
            yield _executable("on_failure", source, unset, content.retry.on_failure, {"command": content.retry.on_failure})


def _executable(kind: Kind, source: Source, unset: tuple[str, ...], summary: str, content: Mapping[str, Any]) -> Executable:
    canonical = json.dumps({"kind": kind, **content}, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return Executable(
        kind=kind,
        recipe=source.where,
        summary=summary,
        content=canonical,
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
        open=tuple(name for name in unset if re.search(rf"\{{[{{%][^}}]*\b{name}\b", canonical)),
    )


def _extension_summary(extension: ExtensionEntry) -> str:
    if extension.cmd:
        what = shlex.join((extension.cmd, *extension.args))
    else:
        what = extension.uri or f"Python code of {extension.name}"
    given = [f"with {name}={shlex.quote(value)}" for name, value in extension.env.items()]
    given += [f"with the header {name}: {value}" for name, value in extension.headers.items()]
    if extension.env_keys:
        given.append(f"given your {', '.join(extension.env_keys)}")
    if extension.cwd:
        given.append(f"in {extension.cwd}")
    return f"{what} [{'; '.join(given)}]" if given else what


def _extension_content(extension: ExtensionEntry) -> dict[str, Any]:
    return {
        "name": extension.name,
        "type": extension.type,
        "argv": [extension.cmd, *extension.args] if extension.cmd else [],
        "env": dict(extension.env),
        "env_keys": list(extension.env_keys),
        "cwd": extension.cwd,
        "url": extension.uri,
        "headers": dict(extension.headers),
        "code": extension.code,
        "dependencies": list(extension.dependencies),
    }
