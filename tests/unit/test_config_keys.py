"""The table of keys is whole: what is documented is what is parsed."""

import re
from pathlib import Path
from typing import Any

import pytest
import tomlkit

from goose_py.config import keys
from goose_py.config.layers import from_text, put, split_key
from goose_py.config.load import load
from goose_py.config.locate import line_of
from goose_py.config.settings import Settings

SAMPLES = {"text": "abc", "whole number": "7", "number": "2.5", "true | false": "true", "list of text": '["a", "b"]'}


def sample(key: keys.Key) -> str:
    """A value other than the default, as text. The neighbour of a whole number's default is within its bounds too."""
    if key.type == "whole number" and isinstance(key.default, int):
        return str(key.default + 1)
    if key.type in SAMPLES:
        return SAMPLES[key.type]
    if key.type.startswith("table of"):
        return '{a = "b"}'
    choices = [choice for choice in key.type.split(" | ") if choice != key.default]
    return SAMPLES.get(choices[0], choices[0])


def value_at(settings: Settings, name: str) -> Any:
    value: Any = settings
    for part in name.split("."):
        value = getattr(value, part)
    return value


@pytest.mark.parametrize("key", [key for key in keys.table().values() if key.env], ids=lambda key: key.name)
def test_each_key_can_be_set_by_its_variable_and_by_flag_and_in_a_file(key: keys.Key, tmp_path: Path) -> None:
    assert key.env is not None
    text = sample(key)
    by_env = load(env={key.env: text})
    by_flag = load(flags={key.name: text})
    values: dict[str, Any] = {}
    put(values, split_key(key.name), from_text(key, text))
    file = tmp_path / "c.toml"
    file.write_text(tomlkit.dumps(values))
    by_file = load(user=file)
    assert value_at(by_env.settings, key.name) == value_at(by_flag.settings, key.name) == value_at(by_file.settings, key.name)
    assert value_at(by_env.settings, key.name) != value_at(Settings(), key.name)
    assert (by_env.origins(), by_flag.origins(), by_file.origins()) == (
        {key.name: "environment"},
        {key.name: "flag"},
        {key.name: "user"},
    )


def test_each_key_is_documented_typed_and_scoped() -> None:
    for key in keys.table().values():
        assert key.doc and key.doc[0].isupper() and not key.doc.endswith("."), key
        assert key.type and "NODEFAULT" not in repr(key.default), key
        assert key.scope in ("user", "both", "tighten", "executes"), key


def test_variables_are_distinct_and_plain() -> None:
    names = [key.env for key in keys.table().values() if key.env]
    assert len(names) == len(set(names))
    assert all(re.fullmatch(r"GOOSE_PY_[A-Z_]+", name) for name in names)
    assert not set(names) & set(keys.OTHER_VARIABLES)


def test_what_decides_over_security_is_the_users_alone() -> None:
    scopes = {key.name: key.scope for key in keys.table().values()}
    own = ("mode", "plan_approval", "provider", "worktree.location")
    below = ("sandbox.", "providers.", "models.", "ui.")
    assert {scopes[name] for name in scopes if name in own or name.startswith(below) or name.endswith(".provider")} == {"user"}
    executing = ("checks", "extensions.", "worktree.setup")
    assert {scopes[name] for name in scopes if name.startswith(executing) and name != "worktree.setup_timeout"} == {"executes"}
    assert {name for name in scopes if scopes[name] == "tighten"} == {
        "limits.max_turns", "limits.max_seconds", "limits.max_cost", "limits.max_tokens", "rules",
    }  # fmt: skip


def test_a_path_names_a_key_a_section_or_nothing() -> None:
    assert isinstance(keys.find(("models", "gpt-4.1", "images")), keys.Key)
    assert isinstance(keys.find(("limits",)), dict)
    assert keys.find(("limits", "nothing")) is None
    assert keys.find(("mode", "deeper")) is None


TOML = '''\
# a comment
mode = "ask"   # more
"quoted key" = 1

[limits] # header
max_turns = 5
text = """
[not.a.header]
mode = 3
"""
list = [
  1,
  # [rules]
  2,
]

[models."gpt-4.1"]
price = {input = 1,
  output = 2} 
[[rules]]
a.b = 1
[[rules]]
c = 1
[rules.inner]
d = 2
'''.replace("input = 1,\n ", "input = 1, ")


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("mode",), 2),
        (("quoted key",), 3),
        (("limits",), 5),
        (("limits", "max_turns"), 6),
        (("limits", "list"), 11),
        (("models", "gpt-4.1", "price"), 18),
        (("rules", "0"), 19),
        (("rules", "0", "a", "b"), 20),
        (("rules", "1", "c"), 22),
        (("rules", "1", "inner", "d"), 24),
        (("limits", "absent"), 5),
        (("absent",), 1),
    ],
)
def test_lines_of_keys_are_found(path: tuple[str, ...], line: int) -> None:
    assert line_of(TOML, path) == line
