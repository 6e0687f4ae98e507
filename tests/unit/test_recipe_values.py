"""A value is data: whatever it holds, it ends up where the recipe puts it, as it was given, and changes nothing else (A30)."""

import os
import re
import subprocess
import time
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from minijinja import Environment
from ruamel.yaml import YAML

from goose_py.recipes.commands import Unsafe, place
from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import parse, read
from goose_py.recipes.recipe import Recipe
from goose_py.recipes.render import render
from goose_py.recipes.template import Templates
from goose_py.recipes.yaml_escaping import CLOSE, OPEN, SOFT, Seal

HOME = Path("/nonexistent")

HOSTILE = (
    '"; touch p #',
    "$(touch p)",
    "`touch p`",
    "'; touch p; '",
    "a\nextensions:\n  - {type: stdio, name: x, cmd: sh, args: [-c, touch p]}",
    '"\nretry: {max_retries: 1, checks: [{type: shell, command: touch p}]}\nx: "',
    "a' b\" c \\ d",
    "{{ recipe_dir }} {% include 'x' %} {# no #}",
    "${IFS}touch${IFS}p",
    "# comment",
    ": & * ! | > % @ - ? , [ ] { }",
    "*alias &anchor !!tag",
    "--- \n...\n",
    "\t tab, \r return, \x0b\x0c\x1b[31m\x85\u2028\u2029\ufeff",
    "\U000f0000\U000f0001\U000f0002\U000f0005",
    "null",
    "true",
    "010",
    "",
    " leading and trailing ",
    "a\n\n\nb\n",
    "$IFS; ls | tee p & wait",
    "\\",
    "'",
    '"',
    "-rf",
)

PLACES = """\
title: "a {{ v }} b"
description: 'a {{ v }} b'
instructions: |
  before
    {{ v }}
  after
prompt: >-
  folded {{ v }}
activities:
  - plain {{ v }} text
  - "{{ v }}"
extensions:
  - type: stdio
    name: s
    cmd: prog
    args: ["--x={{ v }}", "{{ v }}"]
    env: {K: "{{ v }}"}
settings: {goose_model: "{{ v }}"}
response: {json_schema: {type: object, description: "{{ v }}", maxItems: 5}}
# a comment with {{ v }}
parameters:
  - {key: v, input_type: string, requirement: required, description: d}
"""


def filled(text: str, value: str) -> Recipe:
    recipe = parse(text.encode(), where="r.yaml", folder=Path("/"))
    return render(recipe, {"v": value}, folder=HOME, home=HOME)


def check_places(value: str) -> None:
    found = filled(PLACES, value)
    assert found.title == found.description == f"a {value} b"
    assert found.instructions == f"before\n  {value}\nafter\n"
    assert found.prompt == f"folded {value}"
    assert found.activities == (f"plain {value} text", value)
    assert found.settings.model == value
    assert found.retry is None and found.checks == () and found.sub_recipes == ()
    assert found.extensions is not None and len(found.extensions) == 1
    extension = found.extensions[0]
    assert (extension.cmd, extension.args, extension.env) == ("prog", (f"--x={value}", value), {"K": value})
    assert found.response is not None
    assert found.response.json_schema == {"type": "object", "description": value, "maxItems": 5}


@pytest.mark.case("A30")
@pytest.mark.parametrize("value", HOSTILE)
def test_a_hostile_value_ends_up_whole_in_every_scalar_and_nowhere_else(value: str) -> None:
    check_places(value)


@settings(max_examples=150, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), max_size=60))
@example("\U000f0003")
def test_any_text_ends_up_whole_in_every_scalar_and_nowhere_else(value: str) -> None:
    check_places(value)


FILTERED = """\
title: t
description: d
prompt: |
  {{% set c %}}cap {{{{ v }}}} %s{{% endset %}}{expression}
checks: ["true"]
parameters:
  - {{key: v, input_type: string, requirement: required, description: d}}
"""
EXPRESSIONS = [
    *(
        f"{{{{ v | {name} }}}} {{{{ c | {name} }}}}"
        for name in re.findall(
            r"\S+",
            "capitalize default d e escape first last list lower lines pprint reverse safe sort split string striptags "
            "title tojson trim truncate unique upper urlencode wordwrap indent batch(2) join(',') chain(v) format(v) "
            "replace('a',v) replace(v,'x') default(v) slice(2) select reject",
        )
    ),
    "{{ c ~ v }}{{ v ~ c }}{{ c + v }}{{ [c, v] }}{{ [c, v]|join(v) }}{{ {'k': v} }}{{ {v: c} }}",
    "{{ c.replace('cap', v) }}{{ c.join([v, v]) }}{{ v.split('x') }}{{ c[0:2] }}{{ v|safe|safe }}{{ v|e|safe }}",
    "{% filter indent(4) %}{{ v }}{% endfilter %}{% filter safe %}{{ v }}{% endfilter %}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m(v) }}{{ m(v|safe) }}{{ m(c) }}{% call m(v) %}{{ v }}{% endcall %}",
    "{% autoescape false %}{{ v }}{{ c }}{% endautoescape %}{% autoescape 'json' %}{{ v }}{% endautoescape %}",
    "{% for x in [v, c] %}{{ x }}{{ loop.index }}{% endfor %}{% set w = v %}{{ w }}{% with z = v|safe %}{{ z }}{% endwith %}",
    "{{ v if v else c }}{{ namespace(a=v).a }}{{ dict(a=v) }}{{ cycler(v)|string }}",
]


@pytest.mark.case("A30")
@pytest.mark.parametrize("expression", EXPRESSIONS)
@pytest.mark.parametrize("value", ['a"\nchecks: [evil]\nextensions: []\n#', "x\n  {{ v }}\n'\"<&>", "%s\nretry: {}"])
def test_no_filter_or_construct_lets_a_value_out_of_its_scalar(expression: str, value: str) -> None:
    """The recipe renders, or its own template is refused; a value never becomes structure."""
    text = FILTERED.format(expression=expression)
    try:
        found = filled(text, value)
    except RecipeError as error:
        assert "the template does not work" in str(error)
        return
    assert (found.title, found.description, found.checks) == ("t", "d", ("true",))
    assert found.extensions is None and found.retry is None and found.activities == ()


def test_the_sealed_text_shows_yaml_only_letters_digits_and_private_characters() -> None:
    seal = Seal()
    text = Templates("a: {{ v }}\n", "r.yaml", None).render({"v": "x\n- y: 'z'"}, seal)
    inside = text[text.index(OPEN) : text.index(CLOSE) + 1]
    assert all(character.isalnum() or "\U000f0000" <= character <= "\U000ffffd" for character in inside)
    assert seal.text(text) == "a: x\n- y: 'z'"


@given(st.text(max_size=40), st.text(max_size=40))
def test_unsealing_is_the_inverse_of_sealing(value: str, other: str) -> None:
    seal = Seal()
    sealed = "lit" + seal.apply(seal.value(value)) + "eral" + seal.apply(seal.value(other))
    assert seal.pieces(sealed) == [(False, "lit"), (True, value), (False, "eral"), (True, other)]


def test_a_recipe_may_not_use_the_characters_of_the_seal() -> None:
    with pytest.raises(RecipeError, match="private plane 15"):
        parse(f"title: {SOFT}\n".encode(), where="r.yaml", folder=None)


def run(command: str, folder: Path, shell: str = "/bin/sh") -> str:
    done = subprocess.run(
        [shell, "-c", command], cwd=folder, capture_output=True, timeout=20, env={"PATH": os.environ["PATH"]}, check=False
    )
    return done.stdout.decode()


COMMANDS = """\
title: t
description: d
prompt: p
checks:
  - printf '%s|' {{ v }}
  - printf '%s|' "{{ v }}"
  - printf '%s|' pre{{ v }}post "a b {{ v }} c"
  - printf '%s|' "$(printf %s {{ v }})"
retry:
  max_retries: 1
  checks: [{type: shell, command: "printf '%s|' {{ v }}"}]
  on_failure: printf '%s|' "{{ v }}"
extensions:
  - {type: stdio, name: s, cmd: /bin/sh, args: [-c, "printf '%s|' {{ v }}"]}
parameters:
  - {key: v, input_type: string, requirement: required, description: d}
"""


@pytest.mark.case("A30")
@pytest.mark.parametrize("value", [value for value in HOSTILE if value])
@pytest.mark.parametrize("shell", ["/bin/sh", "/bin/bash"])
def test_a_value_in_a_shell_command_arrives_as_one_argument_and_runs_nothing(value: str, shell: str, tmp_path: Path) -> None:
    found = filled(COMMANDS, value)
    assert found.retry is not None and found.retry.on_failure is not None and found.extensions is not None
    plain, quoted, mixed, nested = (run(command, tmp_path, shell) for command in found.checks)
    normal = value.replace("\r\n", "\n")
    assert plain == quoted == f"{normal}|"
    assert mixed == f"pre{normal}post|a b {normal} c|"
    assert nested == f"{normal.rstrip(chr(10))}|"
    for command in (found.retry.checks[0], found.retry.on_failure, found.extensions[0].args[1]):
        assert run(command, tmp_path, shell) == f"{normal}|"
    assert list(tmp_path.iterdir()) == []


def test_the_textual_way_would_have_run_it(tmp_path: Path) -> None:
    """The control: the same values put into the text of the command do run."""
    run("printf '%s|' VALUE".replace("VALUE", '"; touch p #'.removeprefix('"')), tmp_path)
    run('printf "%s|" "VALUE"'.replace("VALUE", "$(touch q)"), tmp_path)
    assert {entry.name for entry in tmp_path.iterdir()} == {"p", "q"}


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters(exclude_categories=("Cs",), exclude_characters="\0"), min_size=1, max_size=30))
def test_any_value_arrives_as_one_argument(value: str) -> None:
    for pieces in ([(False, "printf %s "), (True, value)], [(False, 'printf %s "'), (True, value), (False, '"')]):
        assert run(place(pieces), Path("/")) == value


@pytest.mark.parametrize(
    "before",
    [
        "printf '%s ",
        'sh -c "printf ',
        'bash -lc "x ',
        "/usr/bin/env bash -c ",
        "python3 -c ",
        "perl -e ",
        "eval ",
        "ssh host ",
        "xargs -n1 ",
        "find . -exec ",
        "echo $((",
        "[[ 1 -eq ",
        "cat <<EOF\n",
        "printf $'",
        "echo \\",
    ],
)
def test_where_a_value_would_be_evaluated_again_only_a_harmless_one_is_placed(before: str) -> None:
    assert place([(False, before), (True, "tests/test_x.py::test_a")]) == before + "tests/test_x.py::test_a"
    for value in ("$(touch p)", "a b", "x;y", "a[$(touch p)]"):
        with pytest.raises(Unsafe):
            place([(False, before), (True, value)])


def test_a_harmless_value_reads_as_a_person_would_type_it() -> None:
    assert place([(False, "python -m pytest -q "), (True, "tests/test_x.py::test_a")]) == (
        "python -m pytest -q tests/test_x.py::test_a"
    )
    assert place([(False, "x "), (True, ""), (False, ' "'), (True, ""), (False, '"')]) == "x '' \"\""
    assert place([(True, "npm test && npm run lint")]) == "npm test && npm run lint"


def test_a_value_that_cannot_be_placed_names_the_line() -> None:
    text = COMMANDS.replace('"{{ v }}"', "'{{ v }}'", 1)
    with pytest.raises(RecipeError, match=r"r\.yaml:6: a parameter cannot be put into this command: .*single quotes"):
        filled(text, "a b")
    assert filled(text, "ab").checks[1] == "printf '%s|' 'ab'"


PARAMETER = "parameters: [{key: v, input_type: string, requirement: required, description: d}]\n"


@pytest.mark.parametrize("value", ['"\nretry: {max_retries: 1, checks: [{type: shell, command: touch p}]}\nactivities: ["a'])
def test_the_textual_way_would_have_let_the_value_add_a_command(value: str) -> None:
    """The control: the same recipe and value, filled in as text, gain commands to run."""
    text = 'title: "{{ v }}"\ndescription: d\nprompt: p\n'
    by_text = Environment(auto_escape_callback=lambda _: False).render_str(text.replace('}}"', '}}"]'), v=value)
    assert YAML(typ="safe", pure=True).load(by_text)["retry"]["checks"][0]["command"] == "touch p"
    found = filled(text + PARAMETER, value)
    assert found.title == value and found.retry is None


MINIMAL = "title: t\ndescription: d\nprompt: |\n  {text}\n"


@pytest.mark.case("A30")
@pytest.mark.parametrize(
    "expression",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ v.__class__ }}",
        "{{ [].__class__.__base__.__subclasses__() }}",
        "{{ range.__globals__ }}",
        "{{ self.__init__ }}",
        "{{ v|attr('__class__') }}",
        "{{ cycler.__init__.__globals__.os }}",
    ],
)
def test_no_attribute_of_a_python_object_can_be_reached(expression: str) -> None:
    text = (
        MINIMAL.format(text=expression + " {{ v }}")
        + "parameters: [{key: v, input_type: string, requirement: required, description: d}]\n"
    )
    with pytest.raises(RecipeError) as caught:
        found = filled(text, "x")
        assert "class" not in (found.prompt or ""), found.prompt
        raise RecipeError("rendered to nothing")
    assert "built-in" not in str(caught.value)


@pytest.mark.case("A30")
@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "title: !!python/object/apply:os.system ['touch p']\n",
            r"r\.yaml:1: the tag !!python/object/apply:os.system is not allowed",
        ),
        ("title: t\nx: !custom 3\n", r"r\.yaml:2: the tag !custom is not allowed"),
        (
            "a: &a [x,x,x,x,x,x,x,x,x]\n"
            + "".join(f"{b}: &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
            "more than 50000 values, aliases counted",
        ),
        ("a: &a [*a]\n", "undefined alias|nested too deeply"),
        ("[" * 20_000, "nested too deeply"),
        ("a: " * 5 + "\n" + "\n".join(" " * n + "b:" for n in range(1, 100)), "not valid YAML|nested too deeply"),
        ("- " * 5_000 + "x", "nested too deeply"),
        ("x" * ((256 << 10) + 1), "larger than 256 KiB"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("a: \x00", "not valid YAML"),
        ("", "the file is empty"),
        ("[1, 2]", "a recipe is a table"),
    ],
)
def test_yaml_can_neither_construct_explode_nor_hang(text: str, words: str, tmp_path: Path) -> None:
    started = time.process_time()
    with pytest.raises(RecipeError, match=words):
        parse(text.encode(), where="r.yaml", folder=tmp_path)
    assert time.process_time() - started < 20
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "text",
    [
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}.{% endfor %}{% endfor %}{% endfor %}",
        "{{ 'aaaaaaaaaa' * 2000000 }}",
        "{% for a in range(90000) %}{{ 'aaaaaaaaaa' * 100 }}{% endfor %}",
    ],
)
def test_a_template_cannot_run_or_grow_without_end(text: str) -> None:
    recipe = parse(MINIMAL.format(text=text).encode(), where="r.yaml", folder=None)
    with pytest.raises(RecipeError, match=r"more than 8 MiB|out of fuel|too much text"):
        render(recipe, {}, folder=HOME, home=HOME)


@pytest.mark.case("A30")
@pytest.mark.parametrize("path", ["../../x.yaml", "/etc/passwd", "sub/../../x.yaml", "link/x.yaml", "{{ v }}"])
def test_a_sub_recipe_outside_the_folder_is_refused(path: str, tmp_path: Path) -> None:
    outside = tmp_path / "x.yaml"
    outside.write_text(MINIMAL.format(text="x"))
    folder = tmp_path / "recipes" / "deep"
    folder.mkdir(parents=True)
    (folder / "link").symlink_to(tmp_path)
    text = MINIMAL.format(text="{{ v }}") + f'sub_recipes: [{{name: a, path: "{path}"}}]\n' + PARAMETER
    (folder / "r.yaml").write_text(text)
    with pytest.raises(RecipeError, match="is outside the folder of the recipe"):
        render(read(folder / "r.yaml"), {"v": "../../x.yaml"}, folder=folder, home=HOME)


@pytest.mark.parametrize("name", ["../secret.txt", "/etc/passwd", "link.txt", "sub/../../secret.txt"])
@pytest.mark.parametrize("statement", ["include", "extends", "import"])
def test_a_template_outside_the_folder_is_refused(name: str, statement: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret")
    folder = tmp_path / "recipes"
    folder.mkdir()
    (folder / "link.txt").symlink_to(tmp_path / "secret.txt")
    suffix = " as x" if statement == "import" else ""
    text = f'{{% {statement} "{name}"{suffix} %}}\n' + MINIMAL.format(text="p")
    with pytest.raises(RecipeError, match="outside the folder"):
        parse(text.encode(), where="r.yaml", folder=folder)
