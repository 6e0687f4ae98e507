"""Finding and reading recipes."""

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from goose_py.protocol.decoding import decoded
from goose_py.protocol.safe_text import find_hidden
from goose_py.recipes import document
from goose_py.recipes.decode import Decoder
from goose_py.recipes.errors import RecipeError
from goose_py.recipes.recipe import RECIPE_DIR, Content, Recipe, Source
from goose_py.recipes.template import GLOBALS, Templates, is_structural

SUFFIXES = (".yaml", ".yml", ".json")
MAX_BYTES = document.MAX_BYTES


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """One recipe that can be named. `problem` is the first thing wrong with one that cannot be used; it is listed all the
    same, so that a person sees why it does not run."""

    name: str
    path: Path
    title: str = ""
    description: str = ""
    problem: str = ""


def load(source: str, *, folder: Path, search: Sequence[Path] = ()) -> Recipe:
    """The recipe that `source` names: a path (ending .yaml, .yml or .json; relative to `folder`), or a bare name that is
    looked for in `search`, in order. Links are read by `goose_py.recipes.deeplink`. Raises `RecipeError`."""
    return read(find(source, folder=folder, search=search))


def find(source: str, *, folder: Path, search: Sequence[Path] = ()) -> Path:
    """The file that a path or a bare name stands for. Raises `RecipeError` where there is none."""
    if source.endswith(SUFFIXES):
        return folder / source
    if not source or "/" in source or "\\" in source or "." in source:
        raise RecipeError(
            f"{source!r} is neither a recipe's file (it would end in .yaml, .yml or .json) nor the name of a recipe."
        )
    for place in search:
        for suffix in SUFFIXES:
            candidate = place / f"{source}{suffix}"
            if candidate.is_file() and not candidate.is_symlink():
                return candidate
    known = [entry.name for entry in available(search, titles=False)]
    places = ", ".join(str(place) for place in search) or "no folder at all"
    raise RecipeError(f"{source}: no recipe of that name in {places}{_near(source, known)}.")


def available(search: Iterable[Path], *, titles: bool = True) -> tuple[Listed, ...]:
    """Every recipe that a bare name finds, sorted by name; the first folder of `search` that has a name wins."""
    found: dict[str, Listed] = {}
    for place in search:
        if not place.is_dir():
            continue
        for path in sorted(place.iterdir()):
            if path.suffix not in SUFFIXES or path.stem in found or path.is_symlink() or not path.is_file():
                continue
            if listed := _listed(path) if titles else Listed(name=path.stem, path=path):
                found[path.stem] = listed
    return tuple(found[name] for name in sorted(found))


def _listed(path: Path) -> Listed | None:
    try:
        recipe = read(path)
    except RecipeError as error:
        return Listed(name=path.stem, path=path, problem=error.problems[0])
    return Listed(name=path.stem, path=path, title=recipe.title, description=recipe.description)


def read(path: Path) -> Recipe:
    """A recipe from a file. A link is refused, as Goose does: what is shown must be what is read."""
    try:
        if path.is_symlink():
            raise RecipeError(f"{path}: a symbolic link; name the file itself.")
        if path.is_dir():
            raise RecipeError(f"{path}: a folder, not a recipe's file.")
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(f"{path}: no such file.") from None
    except (OSError, ValueError) as error:
        raise RecipeError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}.") from None
    return parse(data, where=str(path), folder=path.parent.absolute())


def parse(data: bytes, *, where: str, folder: Path | None) -> Recipe:
    """A recipe from the bytes of its file; `where` names it in messages. Raises `RecipeError` with every problem found."""
    if len(data) > MAX_BYTES:
        raise RecipeError(f"{where}: larger than {MAX_BYTES >> 10} KiB: this is no recipe.")
    text = decoded(data).replace("\r\n", "\n")
    templates = Templates(text, where, folder)
    root = parse_text(templates.draft() if is_structural(text) else text, where, as_json=where.endswith(".json"))
    decoder = Decoder(where)
    content = decoder.content(root)
    if content is None:
        raise RecipeError(*decoder.problems)
    variables = templates.variables()
    problems = _parameter_problems(content, variables, where)
    if problems:
        raise RecipeError(*problems)
    templates.check()
    return Recipe(
        **{field: getattr(content, field) for field in content.__struct_fields__},
        source=Source(where=where, text=text, folder=folder, sha256=_hash(text, templates.loaded)),
        variables=tuple(sorted(variables)),
        warnings=(*decoder.warnings, *_hidden(text, where), *_hidden_beside(templates, folder)),
    )


def _hidden(text: str, where: str) -> tuple[str, ...]:
    """A recipe that says more than it shows: invisible characters, as they are used to hide instructions from people."""
    return tuple(
        f"{where}:{found.line}: invisible character {found.shown} in column {found.column}; check what this line really says."
        for found in find_hidden(text, limit=5)
    )


def _hidden_beside(templates: Templates, folder: Path | None) -> tuple[str, ...]:
    return tuple(
        warning for name, text in templates.loaded.items() for warning in _hidden(text, str((folder or Path()) / name))
    )


def parse_text(text: str, where: str, *, as_json: bool) -> document.Node | None:
    """A document's tree. JSON is YAML but for some white space (tabs), which is normalised."""
    if as_json and "\t" in text:
        try:
            text = json.dumps(json.loads(text), indent=1, ensure_ascii=False)
        except (ValueError, RecursionError) as error:
            line = getattr(error, "lineno", 1)
            raise RecipeError(f"{where}:{line}: not valid JSON: {getattr(error, 'msg', 'nested too deeply')}.") from None
    return document.parse(text, where)


def _parameter_problems(content: Content, variables: dict[str, int], where: str) -> list[str]:
    """Goose's two: each name in a template is a parameter, and each parameter is used."""
    declared = {parameter.key: parameter for parameter in content.parameters}
    missing = sorted(set(variables) - set(declared) - GLOBALS - {RECIPE_DIR})
    unused = [key for key in declared if key not in variables]
    problems = []
    if missing:
        line = min(variables[name] for name in missing)
        problems.append(f"{where}:{line}: Missing definitions for parameters in the recipe file: {', '.join(missing)}.")
    if unused:
        line = declared[unused[0]].line
        problems.append(f"{where}:{line}: Unnecessary parameter definitions: {', '.join(unused)}.")
    return problems


def _hash(text: str, templates: dict[str, str]) -> str:
    canonical = json.dumps([text, sorted(templates.items())], ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _near(name: str, known: list[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=2, cutoff=0.5)
    return f"; did you mean {' or '.join(near)}?" if near else ""
