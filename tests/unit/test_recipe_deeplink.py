"""Recipes in links, both ways."""

import base64
import json
from pathlib import Path

import pytest

from goose_py.recipes.deeplink import decode, encode
from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import parse, read
from goose_py.recipes.render import render

BUNDLED = Path(__file__).parents[2] / "recipes"


@pytest.mark.parametrize("path", sorted(BUNDLED.glob("*.yaml")), ids=lambda path: path.stem)
def test_our_own_recipes_survive_a_link(path: Path, tmp_path: Path) -> None:
    recipe = read(path)
    given = {parameter.key: "x & y=z/ü" for parameter in recipe.parameters if parameter.default is None}
    link = encode(recipe, given)
    assert link.startswith("goose://recipe?config=") and link.isascii() and "=" not in link.split("config=")[1].split("&")[0]
    back = decode(link)
    assert back.parameters == given
    ours = render(recipe, given, folder=tmp_path, home=tmp_path)
    theirs = render(back.recipe, back.parameters, folder=tmp_path, home=tmp_path)
    for field in ("title", "description", "instructions", "prompt", "checks", "response", "settings"):
        assert getattr(ours, field) == getattr(theirs, field), field
    assert [entry.name for entry in theirs.extensions or ()] == ["developer"]


def test_links_of_goose_are_read_in_both_alphabets_and_with_padding() -> None:
    data = json.dumps(
        {"version": "1.0.0", "title": "tä??>>", "description": "d", "instructions": None, "prompt": "p", "activities": None}
    )
    for encoded in (base64.b64encode(data.encode()), base64.urlsafe_b64encode(data.encode())):
        found = decode(f"goose://recipe?config={encoded.decode()}&who=me&empty=")
        assert found.recipe.title == "tä??>>" and found.parameters == {"who": "me", "empty": ""}


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("goose://recipe", "not a recipe's link"),
        ("goose://recipe?config=", "not a recipe's link"),
        ("goose://extension?config=e30", "not a recipe's link"),
        ("https://recipe?config=e30", "not a recipe's link"),
        ("goose://recipe?config=a", "not base64"),
        ("goose://recipe?config=%FF%FE", "damaged|not base64|is empty|not valid"),
        ("goose://recipe?config=e30", "the recipe has no `title`"),
        ("goose://recipe?config=" + "A" * (3 << 20), "too long"),
    ],
)
def test_a_damaged_link_is_refused_in_a_sentence(link: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        decode(link)


def test_a_recipe_of_several_files_cannot_be_a_link_and_one_from_a_link_reaches_no_file(tmp_path: Path) -> None:
    (tmp_path / "part.txt").write_text("x")
    recipe = parse(b"title: t\ndescription: d\nprompt: |\n  {% include 'part.txt' %}\n", where="r.yaml", folder=tmp_path)
    with pytest.raises(RecipeError, match="which a link cannot carry"):
        encode(recipe)
    for extra in (
        {"prompt": "{% include '/etc/passwd' %}"},
        {"prompt": "p", "sub_recipes": [{"name": "a", "path": "/etc/passwd"}]},
    ):
        data = base64.urlsafe_b64encode(json.dumps({"title": "t", "description": "d", **extra}).encode()).decode()
        with pytest.raises(RecipeError, match="no folder"):
            render(decode(f"goose://recipe?config={data}").recipe, {}, folder=tmp_path, home=tmp_path)
