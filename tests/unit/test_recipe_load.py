"""Recipes from files: every field, every problem with its line, and finding one by name."""

import json
from pathlib import Path

import pytest

from goose_py.protocol.events import Limits
from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import available, find, load, parse, read
from goose_py.recipes.recipe import (
    Author,
    ExtensionEntry,
    Parameter,
    Recipe,
    RecipeSettings,
    Response,
    Retry,
    SubRecipe,
)

FULL = """\
version: 1.0
title: Full
description: Every field
instructions: do {{ what }}
prompt: "in {{ recipe_dir }}"
activities: ["message: hi", b]
author: {contact: me, metadata: m}
settings:
  goose_provider: openai
  goose_model: m
  temperature: 0.1
  max_turns: 3
  effort: high
parameters:
  - key: what
    input_type: select
    requirement: user_prompt
    description: What to do
    options: [one, 2, no]
    default: 1.50
extensions:
  - {type: builtin, name: developer, display_name: Dev, timeout: 30, bundled: true, available_tools: [shell]}
  - {type: stdio, name: s, cmd: npx, args: [-y, 010], envs: {A: 1, B: no}, env_keys: [TOKEN], cwd: sub, description: d}
  - {type: streamable_http, name: h, uri: "http://x/mcp", headers: {X: y}, env_keys: [K], timeout: 5.5}
  - {type: inline_python, name: p, code: "print(1)", dependencies: [x], timeout: 3}
sub_recipes:
  - {name: a, path: ./a.yaml, values: {n: 3, b: true, l: [1, 2], s: str, f: 1.5, z: null}, sequential_when_repeated: true}
response:
  json_schema: {type: object, properties: {a: {type: integer, maximum: 10}}}
retry:
  max_retries: 2
  checks: [{type: shell, command: "test -f x"}, {type: Shell, command: "true"}]
  on_failure: rm -f x
  timeout_seconds: 7
checks: [pytest -q]
limits: {max_cost: 0.5, max_turns: 9}
mode: smart_approve
"""


def text(recipe: str, folder: Path | None = None, where: str = "r.yaml") -> Recipe:
    return parse(recipe.encode(), where=where, folder=folder)


def problems(recipe: str) -> tuple[str, ...]:
    with pytest.raises(RecipeError) as caught:
        text(recipe)
    return caught.value.problems


def test_every_field_is_read_as_goose_reads_it() -> None:
    recipe = text(FULL)
    assert (recipe.version, recipe.title, recipe.description) == ("1.0", "Full", "Every field")
    assert recipe.activities == ("message: hi", "b") and recipe.author == Author(contact="me", metadata="m")
    assert recipe.settings == RecipeSettings(provider="openai", model="m", effort="high", temperature=0.1, max_turns=3)
    assert recipe.parameters == (
        Parameter(
            key="what",
            input_type="select",
            requirement="user_prompt",
            description="What to do",
            default="1.50",
            options=("one", "2", "no"),
            line=15,
        ),
    )
    assert recipe.extensions == (
        ExtensionEntry(type="builtin", name="developer", display_name="Dev", timeout=30.0, available_tools=("shell",), line=22),
        ExtensionEntry(
            type="stdio", name="s", cmd="npx", args=("-y", "010"), env={"A": "1", "B": "no"}, env_keys=("TOKEN",),
            cwd="sub", description="d", line=23,
        ),
        ExtensionEntry(
            type="streamable_http", name="h", uri="http://x/mcp", headers={"X": "y"}, env_keys=("K",), timeout=5.5, line=24
        ),
        ExtensionEntry(type="inline_python", name="p", code="print(1)", dependencies=("x",), timeout=3.0, line=25),
    )  # fmt: skip
    assert recipe.sub_recipes == (
        SubRecipe(
            name="a",
            path="./a.yaml",
            values={"n": "3", "b": "true", "l": "[1,2]", "s": "str", "f": "1.5", "z": "null"},
            sequential_when_repeated=True,
            line=27,
        ),
    )
    assert recipe.response == Response(json_schema={"type": "object", "properties": {"a": {"type": "integer", "maximum": 10}}})
    assert recipe.retry == Retry(
        max_retries=2, checks=("test -f x", "true"), on_failure="rm -f x", timeout_seconds=7.0, on_failure_timeout_seconds=600.0
    )
    assert recipe.checks == ("pytest -q",) and recipe.limits == Limits(max_cost=0.5, max_turns=9) and recipe.mode == "ask"
    assert recipe.variables == ("recipe_dir", "what")
    assert recipe.warnings == ("r.yaml:25: the extension 'p' of type inline_python cannot be run here.",)


def test_json_and_the_desktops_wrapper_read_the_same(tmp_path: Path) -> None:
    plain = {"title": "t", "description": "d", "prompt": "p {{ x }}", "parameters": [
        {"key": "x", "input_type": "string", "requirement": "required", "description": "é"}]}  # fmt: skip
    wrapped = {"name": "n", "isGlobal": True, "lastModified": "2026", "isArchived": False, "recipe": plain}
    for index, value in enumerate((plain, wrapped)):
        for indent in (None, 2, "\t"):
            path = tmp_path / f"{index}.json"
            path.write_text(json.dumps(value, indent=indent))
            recipe = read(path)
            assert (recipe.prompt, recipe.parameters[0].description, recipe.warnings) == ("p {{ x }}", "é", ())


def test_without_extensions_none_are_named_and_an_empty_list_names_none() -> None:
    assert text("title: t\ndescription: d\nprompt: p\n").extensions is None
    assert text("title: t\ndescription: d\nprompt: p\nextensions: []\n").extensions == ()


def test_all_problems_are_found_at_once_each_with_its_line() -> None:
    found = problems("""\
description: d
author: somebody
settings: {temperature: hot, max_turns: 0, effort: extreme}
parameters:
  - {key: a, input_type: strnig, requirement: required, description: d}
  - {key: b, requirement: optional, input_type: string, description: d}
  - {key: c, input_type: string, requirement: required}
  - {key: recipe_dir, input_type: string, requirement: required, description: d}
  - {key: "a b", input_type: string, requirement: required, description: d}
extensions:
  - {type: stdio, name: s, cmd: x}
  - {name: n}
  - {type: frontned, name: n}
  - just text
response: {json_schema: {type: nonsense}}
retry: {max_retries: 0, checks: [{type: python, command: x}, {type: shell}]}
limits: {max_turns: many}
mode: yolo
checks: pytest
title: [1]
title: again
""")
    assert found == (
        "r.yaml:21: `title` stands here twice.",
        "r.yaml:20: `title` is a text, not a list.",
        "r.yaml:2: an author is a table of fields: contact, metadata.",
        "r.yaml:3: `effort` must be one of off, minimal, low, medium, high, max, not 'extreme'.",
        "r.yaml:3: `max_turns` must be a whole number of at least 1, not '0'.",
        "r.yaml:3: `temperature` must be a number, not 'hot'.",
        "r.yaml:5: `input_type` must be one of string, number, boolean, date, file, select, object, array, not 'strnig' "
        "(did you mean `string`?).",
        "r.yaml:7: the parameter 'c' has no `description`.",
        "r.yaml:6: Optional parameters missing default values in the recipe: b. Please provide defaults.",
        "r.yaml:8: 'recipe_dir' cannot be the key of a parameter: use letters, digits and _.",
        "r.yaml:9: 'a b' cannot be the key of a parameter: use letters, digits and _.",
        "r.yaml:11: the extension 's' of type stdio has no `args`.",
        "r.yaml:12: the extension 'n' has no `type`: one of builtin, platform, stdio, streamable_http.",
        "r.yaml:13: `type` must be one of builtin, platform, stdio, streamable_http, sse, frontend, inline_python, "
        "not 'frontned' (did you mean `frontend`?).",
        "r.yaml:14: an extension is a table of fields: type, name, display_name, description.",
        "r.yaml:15: `json_schema` is not a valid JSON Schema: 'nonsense' is not valid under any of the given schemas at type.",
        "r.yaml:16: `max_retries` must be a whole number of at least 1, not '0'.",
        "r.yaml:16: a check of `retry` has the type `shell`; there is no other.",
        "r.yaml:16: a check of `retry` has no `command`.",
        "r.yaml:19: `checks` is a list.",
        "r.yaml:17: `max_turns` must be a whole number of at least 1, not 'many'.",
        "r.yaml:18: `mode` must be one of plan, ask, auto, chat, not 'yolo'.",
        "r.yaml:1: a recipe needs `instructions` or `prompt`; both are missing or empty.",
    )


@pytest.mark.parametrize(
    ("recipe", "problem"),
    [
        ("title: t\ndescription: d\nprompt: a: b\n", "r.yaml:3: not valid YAML: mapping values are not allowed here."),
        ("title: t\n\tdescription: d\n", "r.yaml:2: not valid YAML: found character '\\t' that cannot start any token"),
        ("title: t\ndescription: d\nprompt: {{ y }}\n", '`prompt` is a text, not a table; write "{{ ... }}" in quotes.'),
        (
            "title: t\ndescription: d\nprompt: x {{ y }}\n",
            "r.yaml:3: Missing definitions for parameters in the recipe file: y.",
        ),
        ("title: t\ndescription: d\nprompt: |\n  {% if x %}\n", "the template does not work: unexpected end of input"),
        (
            "title: t\ndescription: d\nprompt: '{{ x | nofilter }}'\n"
            "parameters: [{key: x, input_type: string, requirement: required, description: d}]\n",
            "r.yaml:3: the template does not work: filter nofilter is unknown.",
        ),
        ("title: t\ndescription: d\nprompt: p\nresponse: {json_schema: []}\n", "must be a JSON Schema"),
        ("title: t\ndescription: d\nprompt: p\nresponse: {json_schema: {}}\n", "that is not empty"),
        ("title: t\ndescription: d\nprompt: '  '\ninstructions: ''\n", "needs `instructions` or `prompt`"),
        ("title:\ndescription: d\nprompt: p\n", "r.yaml:1: the recipe has no `title`."),
        ("title: t\ndescription: d\nprompt: p\nretry: {checks: []}\n", "`retry` has no `max_retries`"),
        ("title: t\ndescription: d\nprompt: p\nsub_recipes: [{name: a}]\n", "the sub-recipe has no `path`"),
    ],
)
def test_a_problem_says_where_and_what(recipe: str, problem: str) -> None:
    assert any(problem in found for found in problems(recipe)), problems(recipe)


def test_unknown_fields_are_warnings_with_the_nearest_name() -> None:
    recipe = text("title: t\ndescription: d\nprompt: p\nactivites: [a]\nid: x\nsettings: {goose_modle: m}\n")
    assert recipe.warnings == (
        "r.yaml:4: unknown field `activites` (did you mean `activities`?); it is ignored.",
        "r.yaml:6: unknown field `goose_modle` (did you mean `goose_model`?); it is ignored.",
    )


def test_fields_of_goose_that_are_not_used_here_are_said() -> None:
    extension = "{type: streamable_http, name: h, uri: 'http://x', client_id: c, socket: null, scopes: [a]}"
    recipe = text(f"title: t\ndescription: d\nprompt: p\nextensions: [{extension}]\n")
    assert recipe.warnings == ("r.yaml:4: the extension 'h' has client_id, scopes: not used here.",)


def test_yaml_1_2_words_are_words() -> None:
    recipe = text("title: no\ndescription: 010\nprompt: on\nversion: 1.50\nactivities: [2026-01-02, 12:30:45, ~x, y]\n")
    assert (recipe.title, recipe.description, recipe.prompt, recipe.version) == ("no", "010", "on", "1.50")
    assert recipe.activities == ("2026-01-02", "12:30:45", "~x", "y")


def test_windows_line_ends_and_a_byte_order_mark_change_nothing() -> None:
    recipe = parse("\ufefftitle: t\r\ndescription: d\r\nprompt: |\r\n  a\r\n  b\r\n".encode(), where="r.yaml", folder=None)
    assert recipe.prompt == "a\nb\n"


def test_the_hash_of_a_recipe_covers_what_it_inherits_from(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("title: t\ndescription: d\nprompt: |\n  {% block b %}x{% endblock %}\n")
    (tmp_path / "c.yaml").write_text('{% extends "p.yaml" %}{% block b %}y{% endblock %}')
    before = read(tmp_path / "c.yaml").source.sha256
    assert read(tmp_path / "c.yaml").source.sha256 == before
    (tmp_path / "p.yaml").write_text("title: t2\ndescription: d\nprompt: |\n  {% block b %}x{% endblock %}\n")
    assert read(tmp_path / "c.yaml").source.sha256 != before


MINIMAL = "title: {}\ndescription: d\nprompt: p\n"


def test_a_bare_name_is_found_in_the_first_folder_that_has_it(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    for folder, names in ((first, ("x.yml", "both.yaml")), (second, ("both.yaml", "y.json", "bad.yaml", "note.txt"))):
        folder.mkdir()
        for name in names:
            (folder / name).write_text(
                MINIMAL.format(f"{folder.name}-{name}")
                if name != "y.json"
                else json.dumps({"title": "j", "description": "d", "prompt": "p"})
            )
    (second / "bad.yaml").write_text("title: [")
    (second / "linked.yaml").symlink_to(first / "x.yml")
    search = (first, tmp_path / "absent", second)
    assert load("both", folder=tmp_path, search=search).title == "a-both.yaml"
    assert load("x", folder=tmp_path, search=search).title == "a-x.yml"
    assert load("y", folder=tmp_path, search=search).title == "j"
    assert load("b/both.yaml", folder=tmp_path).title == "b-both.yaml"
    listed = available(search)
    assert [(entry.name, entry.title) for entry in listed] == [
        ("bad", ""),
        ("both", "a-both.yaml"),
        ("x", "a-x.yml"),
        ("y", "j"),
    ]
    assert "bad.yaml:1: not valid YAML" in listed[0].problem
    with pytest.raises(RecipeError, match=r"boht: no recipe of that name in .*; did you mean both"):
        find("boht", folder=tmp_path, search=search)


@pytest.mark.parametrize("name", ["", "a/b", "x.txt", "..", "goose://recipe?config=x", "a\\b"])
def test_what_is_neither_a_file_nor_a_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="is neither a recipe's file"):
        load(name, folder=tmp_path, search=(tmp_path,))


def test_files_that_cannot_be_read_say_so(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text(MINIMAL.format("t"))
    (tmp_path / "link.yaml").symlink_to(tmp_path / "real.yaml")
    (tmp_path / "folder.yaml").mkdir()
    for name, words in (
        ("link.yaml", "a symbolic link"),
        ("folder.yaml", "a folder"),
        ("absent.yaml", "no such file"),
        ("nul\0.yaml", "cannot be read"),
    ):
        with pytest.raises(RecipeError, match=words):
            load(name, folder=tmp_path)


def test_invisible_characters_are_reported_with_their_place(tmp_path: Path) -> None:
    """Tags, direction overrides and zero-width characters, in the recipe and in what it includes (the recipe's part of A35)."""
    (tmp_path / "part.txt").write_text("fine\n  hid\u200bden\n")
    recipe = "title: t\ndescription: d\nprompt: |\n  a\U000e0041b \u202e c\n  {% include 'part.txt' %}\n"
    found = text(recipe, folder=tmp_path)
    assert found.warnings == (
        "r.yaml:4: invisible character \\u{e0041} in column 4; check what this line really says.",
        "r.yaml:4: invisible character \\u{202e} in column 7; check what this line really says.",
        f"{tmp_path}/part.txt:2: invisible character \\u{{200b}} in column 6; check what this line really says.",
    )
    assert "a\U000e0041b" in (found.prompt or ""), "nothing is silently removed"


@pytest.mark.parametrize(
    ("content", "words"),
    [("\U000f0001", "private plane 15"), ("x" * ((1 << 20) + 1), "larger than 1 MiB")],
    ids=["private", "big"],
)
def test_a_template_beside_the_recipe_has_to_be_as_plain_as_the_recipe(content: str, words: str, tmp_path: Path) -> None:
    (tmp_path / "part.txt").write_text(content)
    with pytest.raises(RecipeError, match=words):
        text("title: t\ndescription: d\nprompt: |\n  {% include 'part.txt' %}\n", folder=tmp_path)


def test_json_that_is_none_says_where(tmp_path: Path) -> None:
    (tmp_path / "r.json").write_text('{\n\t"title": "t",\n\t"prompt": }\n')
    with pytest.raises(RecipeError, match=r"r\.json:3: not valid JSON"):
        read(tmp_path / "r.json")
