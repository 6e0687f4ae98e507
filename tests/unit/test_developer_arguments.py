"""Arguments of the developer's tools are read as pydantic reads them, in its words, without it."""

from typing import Annotated, Any, Literal

import pytest
from developer_extension import module
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, TypeAdapter, ValidationError

tool = module("tool")
Refused = module("refusal").Refused
ARGUMENTS = {
    "text": (tool.text(), str),
    "name": (tool.identifier(), Annotated[str, Field(coerce_numbers_to_str=True)] | None),
    "choice": (tool.choice("list", "log", "kill"), Literal["list", "log", "kill"]),
    "integer": (tool.integer(), int | None),
    "counted": (tool.integer("", 2), int),
    "number": (tool.number(), float | None),
    "flag": (tool.flag(), bool),
}
WORDS = ["", "a", "5", "5.0", "5.5", " 5 ", "+5", "1_000", "1e3", "true", "Yes", "OFF", "maybe", "null", "list", "inf", "[1]"]
JSON = st.one_of(
    st.none(), st.booleans(), st.integers(-2**40, 2**40), st.integers(-2, 2), st.floats(-1e9, 1e9), st.sampled_from(WORDS),
    st.sampled_from([0.0, 1.0, 5.0, 5.5]), st.just([]), st.just({}),
)  # fmt: skip


@pytest.mark.parametrize("kind", ARGUMENTS)
@given(value=JSON)
def test_a_value_is_read_or_refused_as_pydantic_does(kind: str, value: Any) -> None:
    argument, wanted = ARGUMENTS[kind]
    one = tool.Tool("try", "", {}, {"x": argument}, None)
    try:
        expected = TypeAdapter(wanted).validate_python(value)
    except ValidationError as error:
        with pytest.raises(Refused) as refused:
            one.values({"x": value})
        assert str(refused.value) == f"try: 'x': {error.errors()[0]['msg'].lower()}."
        return
    read = one.values({"x": value})["x"]
    assert read == expected and type(read) is type(expected)


def test_what_is_left_out_has_its_default_and_everything_wrong_is_said_at_once() -> None:
    one = tool.Tool("try", "", {}, {"a": tool.text(), "b": tool.integer("", 2), "c": tool.number(), "d": tool.flag()}, None)
    assert one.values({"a": ""}) == {"a": "", "b": 2, "c": None, "d": False}
    with pytest.raises(Refused, match=r"^try: the argument 'a' is missing; 'b': input should be a valid integer\.$"):
        one.values({"b": None})
    with pytest.raises(Refused, match=r"^try has no argument 'x'; its arguments are a, b, c, d\.$"):
        one.values({"x": 1})
