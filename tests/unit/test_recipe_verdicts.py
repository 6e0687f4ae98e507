"""Our verdict on recipes against that of Goose 1.52's own validator, and our way of filling in against its own.

The recipes are those of Goose's repository and a set of edge cases, with its verdicts (`VERDICTS.tsv`). They live beside
the repository, in `../shared/data`; where that folder is absent, the cases below that are written out still run.
"""

import csv
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from minijinja import Environment
from ruamel.yaml import YAML

from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import parse, read
from goose_py.recipes.recipe import Recipe
from goose_py.recipes.render import render

ROOT = Path(__file__).parents[2]
DATA = ROOT.parent / "shared" / "data"
BUNDLED = ROOT / "recipes"

ON_PURPOSE = {
    "a.yml": "Goose refuses the ending .yml; it is the usual one",
    "filt.yaml": "Goose runs a template with nothing defined to find its names, so that methods of a value fail; we read them",
    "topif.yaml": "Goose parses the text before its templates are resolved; a statement at the margin is resolved first here",
}
"""Recipes that Goose refuses and we accept. There is none the other way round."""


def verdicts(folder: str) -> list[tuple[str, bool]]:
    table = DATA / folder / "VERDICTS.tsv"
    if not table.is_file():
        return []
    with table.open() as stream:
        return [
            (name, "invalid" not in said and "valid" in said) for name, said in list(csv.reader(stream, delimiter="\t"))[1:]
        ]


def accepts(path: Path) -> bool:
    try:
        read(path)
    except RecipeError as error:
        assert error.problems and all(str(path) in problem for problem in error.problems)
        return False
    return True


@pytest.mark.parametrize(("name", "valid"), verdicts("goose-recipes"))
def test_real_recipes_get_gooses_verdict(name: str, valid: bool) -> None:
    assert accepts(DATA / "goose-recipes" / name) is valid


@pytest.mark.parametrize(("name", "valid"), verdicts("recipe-edge-cases"))
def test_edge_cases_get_gooses_verdict_but_for_those_chosen_on_purpose(name: str, valid: bool, tmp_path: Path) -> None:
    folder = shutil.copytree(DATA / "recipe-edge-cases", tmp_path / "cases")
    folder.chmod(0o700)
    (folder / "frag.txt").write_text("fragment\n")
    assert accepts(folder / name) is (True if name in ON_PURPOSE else valid)
    assert not (valid and name in ON_PURPOSE)


def goose_text(recipe: Recipe, values: dict[str, str]) -> str:
    """Goose's way (`render_recipe_content_with_params`): the whole file as text, values unescaped. But for one step that is
    not ours on purpose: it rewrites each `: ""` to `: ''`, over line ends too, which turns the docstrings in a real recipe
    (generate-locustfile.yaml) into something that is not Python."""

    def wrap(match: re.Match[str]) -> str:
        inside = match[1]
        if re.fullmatch(r"\s*[a-zA-Z_]\w*\s*", inside) or inside.strip()[:1] in ("'", '"'):
            return match[0]
        try:
            Environment().undeclared_variables_in_str(match[0])
        except Exception:  # noqa: BLE001 - any refusal of the engine counts
            return "{% raw %}" + match[0] + "{% endraw %}"
        return match[0]

    text = re.sub(r"\{\{(.*?)\}\}", wrap, recipe.source.text)
    env = Environment(undefined_behavior="strict", auto_escape_callback=lambda _: False)
    folder = recipe.source.folder
    assert folder is not None
    env.loader = lambda name: (folder / name).read_text()
    return env.render_str(text, **values)


def by_goose(recipe: Recipe, values: dict[str, str]) -> dict[str, Any]:
    loaded = YAML(typ="safe", pure=True).load(goose_text(recipe, values))
    return loaded.get("recipe", loaded)


def values_for(recipe: Recipe, style: str) -> dict[str, str]:
    """A value for each parameter that survives Goose's textual way."""
    chosen = {"plain": "some/value-1.0", "words": "it's two words, (really) & more", "true": "true", "empty": ""}[style]
    return {
        parameter.key: {
            "number": "5",
            "boolean": "true",
            "date": "2026-01-01",
            "select": parameter.options[0] if parameter.options else "x",
        }.get(parameter.input_type, chosen)
        for parameter in recipe.parameters
        if parameter.input_type != "file"
    }


def same(recipe: Recipe, given: dict[str, str], tmp_path: Path) -> None:
    files = {}
    for parameter in recipe.parameters:
        if parameter.input_type == "file":
            (tmp_path / "one-line.txt").write_text("content of a file")
            files[parameter.key] = "one-line.txt"
    ours = render(recipe, {**given, **files}, folder=tmp_path, home=tmp_path)
    contents = {key: "content of a file" for key in files}
    theirs = by_goose(recipe, {**given, **contents, "recipe_dir": str(recipe.source.folder)})
    assert (ours.title, ours.description) == (theirs["title"], theirs["description"])
    assert ours.instructions == theirs.get("instructions")
    assert ours.prompt == theirs.get("prompt")
    assert list(ours.activities) == (theirs.get("activities") or [])
    assert [(entry.name, entry.cmd, list(entry.args)) for entry in ours.extensions or ()] == [
        (entry["name"], entry.get("cmd"), entry.get("args") or []) for entry in theirs.get("extensions") or []
    ]
    assert [dict(entry.values) for entry in ours.sub_recipes] == [
        {
            key: str(value).lower() if isinstance(value, bool) else str(value)
            for key, value in (entry.get("values") or {}).items()
        }
        for entry in theirs.get("sub_recipes") or []
    ]


@pytest.mark.parametrize("style", ["plain", "words", "true", "empty"])
@pytest.mark.parametrize("name", [name for name, valid in verdicts("goose-recipes") if valid])
def test_real_recipes_are_filled_in_as_goose_fills_them_in(name: str, style: str, tmp_path: Path) -> None:
    recipe = read(DATA / "goose-recipes" / name)
    same(recipe, values_for(recipe, style), tmp_path)


@pytest.mark.parametrize("style", ["plain", "words", "true", "empty"])
@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_recipes_are_valid_and_would_read_the_same_in_goose(path: Path, style: str, tmp_path: Path) -> None:
    recipe = read(path)
    assert recipe.warnings == () and recipe.prompt and recipe.description.endswith(".")
    same(recipe, values_for(recipe, style), tmp_path)


FILES = {
    "parent.yaml": """\
title: Parent
description: Base
parameters:
  - {key: z, input_type: string, requirement: optional, default: "zz", description: z}
prompt: |
  {% block prompt %}
  Default {{ z }}
  {% endblock %}
""",
    "child.yaml": '{% extends "parent.yaml" %}\n{% block prompt %}\n  Modified {{ z }}\n{% endblock %}\n',
    "super.yaml": '{% extends "parent.yaml" %}\n{% block prompt %}{{ super() }}\n  More {{ z }}\n{% endblock %}\n',
    "macro.yaml": """\
title: m
description: d
prompt: |
  {% macro say(v) %}<{{ v }}>{% endmacro %}{{ say(z) }} {{ z | upper }} {{ z | default("x") | title }} {{ z|length }}
  {% set q %}captured {{ z }}{% endset %}{{ q }} {% filter upper %}f {{ z }}{% endfilter %}
  {%- for part in z.split(",") %} [{{ loop.index }} {{ part }}]{% endfor %}
  {{ 'literal {{z}}' }} {% raw %}{{ raw }}{% endraw %} {{ words that are none }} {# comment #}
parameters:
  - {key: z, input_type: string, requirement: required, description: z}
""",
    "comment.yaml": """\
title: c
description: d
prompt: hello {{ z }}
# {% if z == "a" %}
instructions: for a
# {% else %}
activities: [other]
# {% endif %}
parameters:
  - {key: z, input_type: string, requirement: required, description: z}
""",
    "top.yaml": """\
title: c
description: d
{% if z == "a" %}
prompt: is a
{% else %}
prompt: "is {{ z }}"
{% endif %}
parameters:
  - {key: z, input_type: string, requirement: required, description: z}
""",
    "included.yaml": 'title: i\ndescription: d\n{% include "part.txt" %}\n',
    "part.txt": 'prompt: "from a part"\nactivities: [one, two]\n',
}


@pytest.mark.parametrize("value", ["a", "b,c", "some words", "UPPER lower"])
@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_every_construct_of_templates_means_what_it_means_in_goose(name: str, value: str, tmp_path: Path) -> None:
    for file, text in FILES.items():
        (tmp_path / file).write_text(text)
    recipe = read(tmp_path / name)
    same(recipe, {"z": value} if recipe.parameters else {}, tmp_path)


def test_the_indent_idiom_for_files_gives_the_file_as_goose_gives_it(tmp_path: Path) -> None:
    """Continuation lines are indented for YAML's sake; YAML takes that indentation away again."""
    text = (
        "title: t\ndescription: d\nprompt: |\n  FILE:\n    {{ f | indent(4) }}\n  END\n"
        "parameters:\n  - {key: f, input_type: file, requirement: required, description: n}\n"
    )
    content = "def f():\n    return 1\n\nx = 2"
    (tmp_path / "f.py").write_text(content)
    recipe = parse(text.encode(), where="r.yaml", folder=tmp_path)
    ours = render(recipe, {"f": "f.py"}, folder=tmp_path, home=tmp_path).prompt
    assert ours == by_goose(recipe, {"f": content, "recipe_dir": str(tmp_path)})["prompt"]
    assert ours == "FILE:\n  def f():\n      return 1\n\n  x = 2\nEND\n"
