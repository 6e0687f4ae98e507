"""Values that a person gives: missing ones, types, files, and where each came from."""

from pathlib import Path
from typing import Any

import pytest

from goose_py.recipes.errors import MissingParameters, RecipeError
from goose_py.recipes.load import parse
from goose_py.recipes.parameters import explain, missing
from goose_py.recipes.recipe import Recipe, RenderedRecipe
from goose_py.recipes.render import render


def recipe(*parameters: str, prompt: str = "{{ p }}") -> Recipe:
    listed = "".join(f"  - {{{parameter}, description: d}}\n" for parameter in parameters)
    return parse(
        f"title: t\ndescription: d\nprompt: '{prompt}'\nparameters:\n{listed}".encode(), where="r.yaml", folder=Path("/")
    )


def fill(loaded: Recipe, folder: Path = Path("/nonexistent"), **given: str) -> RenderedRecipe:
    return render(loaded, given, folder=folder, home=folder)


def one(kind: str, more: str = "") -> Recipe:
    return recipe(f"key: p, input_type: {kind}, requirement: required{more}")


def test_missing_values_are_named_as_they_are_given() -> None:
    loaded = recipe(
        "key: a, input_type: string, requirement: required",
        "key: b, input_type: string, requirement: optional, default: x",
        "key: c, input_type: string, requirement: user_prompt",
        prompt="{{ a }} {{ b }} {{ c }}",
    )
    with pytest.raises(MissingParameters) as caught:
        fill(loaded)
    assert str(caught.value) == (
        "Please provide the following parameters in the command line: --params a=your_value --params c=your_value"
    )
    assert caught.value.keys == ("a", "c")
    assert [parameter.requirement for parameter in missing(loaded, {"a": "1"})] == ["user_prompt"]
    assert fill(loaded, a="1", c="3").prompt == "1 x 3"


def test_a_default_serves_also_where_a_value_is_required() -> None:
    assert fill(one("string", ', default: "dd"')).prompt == "dd"
    assert fill(one("number", ", default: 1.50")).prompt == "1.50"
    assert fill(recipe('key: p, input_type: string, requirement: optional, default: ""', prompt="[{{ p }}]")).prompt == "[]"


@pytest.mark.parametrize(
    ("kind", "text", "shown"),
    [
        ("string", "anything", "anything"),
        ("number", "5", "5"),
        ("number", "-1.5e3", "-1.5e3"),
        ("boolean", "yes", "true"),
        ("boolean", "0", "false"),
        ("boolean", "False", "false"),
        ("date", "2026-11-22", "2026-11-22"),
        ("date", "2026-11-22T10:00:00", "2026-11-22T10:00:00"),
    ],
)
def test_values_that_fit_their_type(kind: str, text: str, shown: str) -> None:
    assert fill(one(kind), p=text).prompt == shown


@pytest.mark.parametrize(
    ("kind", "text", "words"),
    [
        ("number", "abc", "p: 'abc' is not a number."),
        ("number", "nan", "is not a number"),
        ("number", "1_000", "is not a number"),
        ("number", "", "is not a number"),
        ("boolean", "maybe", "is neither true nor false"),
        ("date", "22.11.2026", "is not a date; write it as 2026-11-22"),
        ("date", "2026-02-30", "is not a date"),
        ("object", "[1]", "p: not a JSON object."),
        ("array", "{", "p: not a JSON array."),
        ("string", "a\0b", "holds a NUL character"),
        ("string", "a\udcffb", "is not valid UTF-8"),
    ],
)
def test_values_that_do_not_fit_are_refused(kind: str, text: str, words: str) -> None:
    with pytest.raises(RecipeError, match=words.replace(".", r"\.")):
        fill(one(kind), p=text)


def test_a_select_takes_only_its_options_and_all_of_them_when_it_has_none() -> None:
    loaded = one("select", ", options: [a, b]")
    assert fill(loaded, p="b").prompt == "b"
    with pytest.raises(RecipeError, match=r"p: 'c' is none of a, b\."):
        fill(loaded, p="c")
    free = one("select")
    assert fill(free, p="c").prompt == "c" and "without options" in free.warnings[0]


def test_every_wrong_value_is_reported_at_once() -> None:
    loaded = recipe(
        "key: a, input_type: number, requirement: required",
        "key: b, input_type: date, requirement: required",
        prompt="{{ a }} {{ b }}",
    )
    with pytest.raises(RecipeError) as caught:
        fill(loaded, a="x", b="y")
    assert len(caught.value.problems) == 2


def test_structured_values_can_be_walked() -> None:
    loaded = recipe(
        "key: o, input_type: object, requirement: required",
        'key: l, input_type: array, requirement: optional, default: "[1, 2]"',
        prompt='{{ o.name }} {{ o["x y"] }}{% for i in l %} {{ i }}{% endfor %} {{ l }} {{ o.flag }} {{ [o.name, true] }}',
    )
    given = {"o": '{"name": "n\\n: [", "x y": 1, "flag": true}'}
    assert fill(loaded, **given).prompt == 'n\n: [ 1 1 2 [1, 2] true ["n\\n: [", true]'


def test_files_are_read_from_the_folder_that_is_given_or_from_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (tmp_path / "a.txt").write_text("line 1\nline: 2\n")
    (home / "b.txt").write_bytes("\ufeffhome".encode())
    loaded = one("file")
    assert fill(loaded, tmp_path, p="a.txt").prompt == "line 1\nline: 2\n"
    assert render(loaded, {"p": "~/b.txt"}, folder=tmp_path, home=home).prompt == "home"
    assert fill(loaded, tmp_path, p=str(tmp_path / "a.txt")).prompt == "line 1\nline: 2\n"


def test_files_that_cannot_be_taken_say_why_and_special_ones_do_not_block(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with (tmp_path / "sparse").open("wb") as stream:
        stream.truncate(5 << 30)
    for name, words in (
        ("absent", "no such file"),
        (".", "not a plain file"),
        ("fifo", "not a plain file"),
        ("/dev/tty", "not a plain file|no such file"),
        ("binary", "not a UTF-8 text file"),
        ("sparse", "larger than 4 MiB"),
    ):
        with pytest.raises(RecipeError, match=words):
            fill(one("file"), tmp_path, p=name)


def test_an_explanation_shows_each_value_and_its_origin_and_reads_no_file() -> None:
    loaded = recipe(
        "key: a, input_type: file, requirement: required",
        "key: b, input_type: string, requirement: optional, default: x",
        "key: c, input_type: string, requirement: required",
        prompt="{{ a }} {{ b }} {{ c }}",
    )
    found = explain(loaded, {"a": "/no/such/file"})
    assert [(entry.parameter.key, entry.value, entry.origin) for entry in found] == [
        ("a", "/no/such/file", "given"),
        ("b", "x", "default"),
        ("c", None, "missing"),
    ]


def test_values_that_the_recipe_does_not_know_are_ignored_with_a_warning() -> None:
    found = fill(one("string"), p="x", q="y")
    assert found.prompt == "x" and found.warnings == ("r.yaml: has no parameter 'q'; it is ignored.",)


def test_a_number_may_stand_where_the_file_wants_one() -> None:
    text = (
        'title: t\ndescription: d\nprompt: p\nsettings: {max_turns: "{{ n }}", temperature: "{{ n }}"}\n'
        'limits: {max_cost: "{{ n }}"}\nmode: "{{ m }}"\nsub_recipes: []\n'
        "parameters:\n  - {key: n, input_type: number, requirement: required, description: d}\n"
        "  - {key: m, input_type: string, requirement: required, description: d}\n"
    )
    loaded = parse(text.encode(), where="r.yaml", folder=None)
    found: Any = fill(loaded, n="5", m="plan")
    assert (found.settings.max_turns, found.settings.temperature, found.limits.max_cost, found.mode) == (5, 5.0, 5.0, "plan")
    with pytest.raises(RecipeError, match=r"r\.yaml:4: `max_turns` must be a whole number of at least 1, not '1\.5'"):
        fill(loaded, n="1.5", m="plan")
