"""Everything that a recipe would run is known before it runs."""

import json
from pathlib import Path

import pytest

from goose_py.recipes.errors import RecipeError
from goose_py.recipes.executables import executables, fingerprint
from goose_py.recipes.load import read
from goose_py.recipes.render import render

TOP = """\
title: top
description: d
prompt: p {{ x }}
checks: ["make {{ x }}"]
retry: {max_retries: 1, checks: [{type: shell, command: touch p}], on_failure: touch q}
extensions:
  - {type: stdio, name: e, cmd: sh, args: [-c, touch p], envs: {A: "{{ x }}"}}
  - {type: builtin, name: developer}
  - {type: streamable_http, name: h, uri: "http://x/mcp"}
sub_recipes:
  - {name: known, path: "{{ recipe_dir }}/sub/known.yaml", values: {v: "{{ x }}"}}
  - {name: open, path: sub/open.yaml}
parameters:
  - {key: x, input_type: string, requirement: required, description: d}
"""
KNOWN = """\
title: known
description: d
prompt: "{{ v }}"
checks: ["known {{ v }}"]
sub_recipes: [{name: deep, path: deep/deep.yaml}]
parameters: [{key: v, input_type: string, requirement: required, description: d}]
"""
DEEP = "title: deep\ndescription: d\nprompt: p\nextensions: [{type: stdio, name: d, cmd: deep, args: [a b]}]\n"
OPEN = """\
title: open
description: d
prompt: "{{ m }}"
checks: ["open {{ m }}", "fixed"]
sub_recipes: [{name: deep, path: "{{recipe_dir}}/deep/deep.yaml"}, {name: chosen, path: "{{ m }}"}]
parameters: [{key: m, input_type: string, requirement: required, description: d}]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in (("top.yaml", TOP), ("sub/known.yaml", KNOWN), ("sub/open.yaml", OPEN), ("sub/deep/deep.yaml", DEEP)):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    return tmp_path


def found(folder: Path, name: str = "top.yaml", **given: str) -> list[tuple[str, str, str, tuple[str, ...]]]:
    recipe = render(read(folder / name), given, folder=folder, home=folder)
    return [
        (entry.kind, entry.recipe.removeprefix(f"{folder}/"), entry.summary, entry.open)
        for entry in executables(recipe, folder=folder, home=folder)
    ]


def test_every_command_of_every_nested_recipe_is_listed_before_anything_runs(folder: Path) -> None:
    assert found(folder, x="a;b") == [
        ("extension", "top.yaml", "sh -c 'touch p' [with A='a;b']", ()),
        ("extension", "top.yaml", "http://x/mcp", ()),
        ("check", "top.yaml", "GOOSE_PY_VALUE_1='a;b'\nmake \"${GOOSE_PY_VALUE_1}\"", ()),
        ("retry_check", "top.yaml", "touch p", ()),
        ("on_failure", "top.yaml", "touch q", ()),
        ("check", "sub/known.yaml", "GOOSE_PY_VALUE_1='a;b'\nknown \"${GOOSE_PY_VALUE_1}\"", ()),
        ("check", "sub/open.yaml", "open {{ m }}", ("m",)),
        ("check", "sub/open.yaml", "fixed", ()),
        ("extension", "sub/deep/deep.yaml", "deep 'a b'", ()),
    ]
    assert sorted(entry.name for entry in folder.iterdir()) == ["sub", "top.yaml"]


def hashes(folder: Path, **given: str) -> tuple[str, ...]:
    recipe = render(read(folder / "top.yaml"), given, folder=folder, home=folder)
    return tuple(entry.sha256 for entry in executables(recipe, folder=folder, home=folder))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("top.yaml", "[-c, touch p]", "[-c, touch z]"),
        ("top.yaml", "envs: {A: ", "envs: {B: 1, A: "),
        ("top.yaml", "cmd: sh,", "cmd: sh, cwd: sub,"),
        ("top.yaml", "http://x/mcp", "http://y/mcp"),
        ("top.yaml", "on_failure: touch q", "on_failure: touch r"),
        ("sub/deep/deep.yaml", "[a b]", "[a c]"),
        ("sub/open.yaml", '"fixed"', '"changed"'),
    ],
)
def test_a_change_of_anything_that_runs_changes_exactly_its_hash(folder: Path, file: str, old: str, new: str) -> None:
    before = hashes(folder, x="1")
    path = folder / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    after = hashes(folder, x="1")
    assert len(after) == len(before)
    assert sum(one != other for one, other in zip(before, after, strict=True)) == 1


def test_what_does_not_run_changes_no_hash_and_a_value_in_a_command_does(folder: Path) -> None:
    before = hashes(folder, x="1")
    path = folder / "top.yaml"
    path.write_text(path.read_text().replace("prompt: p {{ x }}", "prompt: other {{ x }}"))
    assert hashes(folder, x="1") == before
    assert hashes(folder, x="2") != before


def test_one_fingerprint_stands_for_all_in_any_order(folder: Path) -> None:
    recipe = render(read(folder / "top.yaml"), {"x": "1"}, folder=folder, home=folder)
    all_of_them = executables(recipe, folder=folder, home=folder)
    assert fingerprint(all_of_them) == fingerprint(tuple(reversed(all_of_them)))
    assert fingerprint(all_of_them) != fingerprint(all_of_them[1:])
    assert len(fingerprint(())) == 64
    assert json.loads(all_of_them[0].content)["argv"] == ["sh", "-c", "touch p"]


def test_a_recipe_that_runs_nothing_lists_nothing(folder: Path) -> None:
    (folder / "plain.yaml").write_text("title: t\ndescription: d\nprompt: p\nextensions: [{type: builtin, name: developer}]\n")
    assert found(folder, "plain.yaml") == []


def test_a_recipe_inside_itself_is_refused(folder: Path) -> None:
    (folder / "a.yaml").write_text("title: t\ndescription: d\nprompt: p\nsub_recipes: [{name: b, path: b.yaml}]\n")
    (folder / "b.yaml").write_text(
        "title: t\ndescription: d\nprompt: p\nsub_recipes: [{name: a, path: a.yaml, values: {x: 1}}]\n"
    )
    with pytest.raises(RecipeError, match="is a sub-recipe of itself"):
        found(folder, "a.yaml")


def test_a_crowd_of_sub_recipes_is_refused(folder: Path) -> None:
    lines = "".join(f"  - {{name: s{index}, path: sub/deep/deep.yaml, values: {{v: {index}}}}}\n" for index in range(101))
    (folder / "many.yaml").write_text("title: t\ndescription: d\nprompt: p\nsub_recipes:\n" + lines)
    with pytest.raises(RecipeError, match="more than 100 sub-recipes"):
        found(folder, "many.yaml")


def test_a_sub_recipe_that_is_missing_or_broken_stops_everything(folder: Path) -> None:
    (folder / "sub" / "known.yaml").unlink()
    with pytest.raises(RecipeError, match=r"top\.yaml:11: the sub-recipe .* does not exist"):
        found(folder, x="1")
    (folder / "sub" / "known.yaml").write_text("title: [")
    with pytest.raises(RecipeError, match="not valid YAML"):
        found(folder, x="1")
