"""Slightly wrong arguments are mended, the rest is refused with a sentence that helps."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from goose_py.toolbox.repair import Repaired, expected, repair, unknown_tool

SCHEMA = {
    "type": "object",
    "properties": {
        "path": {"type": "string"},
        "limit": {"type": "integer"},
        "ratio": {"type": "number"},
        "all": {"type": "boolean"},
        "globs": {"type": "array", "items": {"type": "string"}},
        "sizes": {"type": "array", "items": {"type": "integer"}},
        "options": {"type": "object", "properties": {"depth": {"type": "integer"}}},
        "maybe": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
        "mixed": {"type": ["string", "integer"]},
        "kind": {"enum": ["file", "folder"]},
        "referred": {"$ref": "#/$defs/Level"},
    },
    "required": ["path"],
    "additionalProperties": False,
    "$defs": {"Level": {"type": "integer"}},
}


def mended(**arguments: Any) -> dict[str, Any]:
    outcome = repair({"path": "p", **arguments}, SCHEMA)
    assert isinstance(outcome, Repaired), outcome
    del outcome.arguments["path"]
    return outcome.arguments


def refused(arguments: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> str:
    outcome = repair(arguments, schema)
    assert isinstance(outcome, str), outcome
    return outcome


@pytest.mark.parametrize(
    ("given", "taken"),
    [
        ({"limit": "5"}, {"limit": 5}),
        ({"limit": " -5 "}, {"limit": -5}),
        ({"limit": 5.0}, {"limit": 5}),
        ({"limit": "5.0"}, {"limit": 5}),
        ({"ratio": "0.5"}, {"ratio": 0.5}),
        ({"all": "true"}, {"all": True}),
        ({"all": "False"}, {"all": False}),
        ({"globs": "*.py"}, {"globs": ["*.py"]}),
        ({"globs": '["a", "b"]'}, {"globs": ["a", "b"]}),
        ({"sizes": 3}, {"sizes": [3]}),
        ({"sizes": ["3", 4]}, {"sizes": [3, 4]}),
        ({"sizes": '["3"]'}, {"sizes": [3]}),
        ({"options": '{"depth": 2}'}, {"options": {"depth": 2}}),
        ({"options": {"depth": "2"}}, {"options": {"depth": 2}}),
        ({"options": '{"depth": "2"}'}, {"options": {"depth": 2}}),
        ({"maybe": "7"}, {"maybe": 7}),
        ({"maybe": None}, {"maybe": None}),
        ({"mixed": "5"}, {"mixed": "5"}),
        ({"referred": "2"}, {"referred": 2}),
        ({"limit": None}, {}),
    ],
)
def test_one_clear_reading_is_taken(given: dict[str, Any], taken: dict[str, Any]) -> None:
    assert mended(**given) == taken


def test_a_number_for_a_text_is_taken_as_text() -> None:
    outcome = repair({"path": 5}, SCHEMA)
    assert isinstance(outcome, Repaired)
    assert outcome.arguments == {"path": "5"}
    assert outcome.notes == ('path: 5 taken as "5"',)


@pytest.mark.parametrize(
    "arguments",
    [
        {"limit": "five"},
        {"limit": 5.5},
        {"limit": True},
        {"all": "yes"},
        {"all": 1},
        {"globs": '["a", '},
        {"globs": {"a": 1}},
        {"options": '{"depth": 2'},
        {"options": "depth"},
        {"ratio": ""},
        {"kind": "socket"},
    ],
)
def test_nothing_is_guessed(arguments: dict[str, Any]) -> None:
    assert "do not fit" in refused({"path": "p", **arguments})


@pytest.mark.parametrize("alias", ["file_path", "filepath", "filePath", "file", "Path"])
def test_another_name_for_a_missing_argument_is_understood(alias: str) -> None:
    outcome = repair({alias: "a.py"}, SCHEMA)
    assert isinstance(outcome, Repaired)
    assert outcome.arguments == {"path": "a.py"}
    assert outcome.notes == (f"{alias} taken as path",)


@pytest.mark.parametrize(
    ("alias", "name"), [("cmd", "command"), ("old_str", "old_string"), ("old_text", "old_string"), ("newString", "new_string")]
)
def test_the_names_of_other_agents_tools_are_understood(alias: str, name: str) -> None:
    schema = {"type": "object", "properties": {name: {"type": "string"}}, "required": [name]}
    outcome = repair({alias: "x"}, schema)
    assert isinstance(outcome, Repaired)
    assert outcome.arguments == {name: "x"}


def test_an_alias_is_not_taken_where_the_argument_is_given() -> None:
    assert "'file_path' is not known" in refused({"path": "a", "file_path": "b"})


def test_an_alias_that_is_an_argument_of_its_own_is_left_alone() -> None:
    schema = {
        "type": "object",
        "properties": {"path": {"type": "string"}, "file": {"type": "string"}},
        "required": ["path"],
    }
    assert "'path' is missing" in refused({"file": "a"}, schema)


def test_the_sentence_names_what_is_wrong_and_what_is_expected() -> None:
    assert refused({"limit": "five", "kind": "x", "what": 1}) == (
        "The arguments do not fit: 'what' is not known; 'path' is missing; "
        'kind is "x", it must be one of "file", "folder"; limit is "five", it must be of type integer. '
        "Expected: path: string, limit?: integer, ratio?: number, all?: boolean, globs?: array, sizes?: array, "
        "options?: object, maybe?: integer|null, mixed?: string|integer, kind?: any, referred?: integer."
    )


def test_a_fault_inside_a_value_is_named_by_its_place() -> None:
    assert "options.depth is" in refused({"path": "p", "options": {"depth": []}})
    assert "sizes[1] is" in refused({"path": "p", "sizes": [1, {}]})


def test_a_schema_without_arguments_says_so() -> None:
    assert expected({"type": "object"}) == "no arguments"


def test_the_given_arguments_are_not_changed() -> None:
    arguments = {"file": "p", "options": {"depth": "2"}}
    repair(arguments, SCHEMA)
    assert arguments == {"file": "p", "options": {"depth": "2"}}


@pytest.mark.parametrize("schema", [{}, {"type": 7}, {"properties": []}, {"$ref": "#/nowhere"}, {"$ref": "https://h/s"}])
def test_a_schema_that_is_itself_wrong_is_left_to_the_server(schema: dict[str, Any]) -> None:
    assert repair({"a": 1}, schema) == Repaired(arguments={"a": 1})


def test_a_schema_that_refers_to_itself_ends() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/properties/a"}}}
    assert isinstance(repair({"a": 1}, schema), Repaired)


HOSTILE = [
    {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/a"}]}}, "properties": {"a": {"$ref": "#/$defs/a"}}},
    {
        "$defs": {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}},
        "properties": {"a": {"$ref": "#/$defs/d0"}},
    },
    {"properties": {"a": {"type": "string", "pattern": "^(a+)+$"}}},
    {"patternProperties": {"^(a+)+$": {}}, "additionalProperties": False},
    {"properties": {"a": {"type": "string"}}, "$ref": "#"},
]


@pytest.mark.parametrize("schema", HOSTILE)
def test_a_schema_made_to_run_for_ever_does_not(schema: dict[str, Any]) -> None:
    arguments = {"a": "a" * 60 + "!", "a" * 60 + "!": 1}
    assert isinstance(repair(arguments, {"type": "object", **schema}), Repaired)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["depth", "x"]), inner, max_size=2),
    max_leaves=4,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from([*SCHEMA["properties"], "other", "file"]), values))
def test_whatever_is_given_is_mended_to_something_valid_or_refused_and_mending_is_stable(arguments: dict[str, Any]) -> None:
    outcome = repair(arguments, SCHEMA)
    if isinstance(outcome, Repaired):
        assert repair(outcome.arguments, SCHEMA) == Repaired(arguments=outcome.arguments)


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("shel", "There is no tool 'shel'. Did you mean shell?"),
        ("create_issue", "There is no tool 'create_issue'. Did you mean github__create_issue?"),
        ("developer__read", "There is no tool 'developer__read'. Did you mean read?"),
        ("", "There is no tool ''. The tools are: github__create_issue, read, shell."),
        ("memory__remember", "There is no tool 'memory__remember'. The tools are: github__create_issue, read, shell."),
    ],
)
def test_an_unknown_tool_is_answered_with_the_names_that_it_may_have_meant(name: str, answer: str) -> None:
    assert unknown_tool(name, ["shell", "read", "github__create_issue"]) == answer


NAMES = st.sampled_from(["a", "b"])
SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-2, 2), st.floats(-2, 2), st.sampled_from(["", "a", "b"]))
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner), max_leaves=6)


def schemas_of_objects(properties: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.fixed_dictionaries(
        {"type": st.just("object"), "properties": st.dictionaries(NAMES, properties)},
        optional={"required": st.lists(NAMES, max_size=2, unique=True), "additionalProperties": st.booleans()},
    )


SCHEMAS = st.recursive(
    st.fixed_dictionaries(
        {}, optional={
            "type": st.sampled_from(["string", "boolean", "integer", "number", "null", ["string", "null"]]),
            "enum": st.lists(SCALARS, min_size=1, max_size=3), "const": SCALARS, "minLength": st.integers(0, 2),
        },
    ),
    lambda inner: schemas_of_objects(inner) | st.fixed_dictionaries(
        {"type": st.just("array")},
        optional={"items": inner, "minItems": st.integers(0, 2), "maxItems": st.integers(0, 2), "uniqueItems": st.booleans()},
    ),
    max_leaves=4,
)  # fmt: skip


@settings(max_examples=500, deadline=None)
@given(schemas_of_objects(SCHEMAS), st.dictionaries(NAMES, VALUES))
def test_what_is_let_through_is_what_the_validator_lets_through(schema: dict[str, Any], arguments: dict[str, Any]) -> None:
    outcome = repair(arguments, schema)
    if isinstance(outcome, Repaired):
        assert Draft202012Validator(schema).is_valid(outcome.arguments)
