"""What a tool is: a function with a name, words for the model, hints, and arguments that are checked before it runs."""

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from .refusal import Refused

_REQUIRED = object()
_FLAGS = dict.fromkeys(("true", "t", "yes", "y", "on", "1"), True) | dict.fromkeys(("false", "f", "no", "n", "off", "0"), False)


@dataclass(frozen=True)
class Text:
    """A content block of MCP, by its attributes."""

    type: ClassVar[str] = "text"
    text: str


@dataclass(frozen=True)
class Image:
    """A content block of MCP, by its attributes; `data` is base64."""

    type: ClassVar[str] = "image"
    data: str
    mime_type: str


@dataclass(frozen=True)
class Result:
    """What a call gave: `content` is for the model, `meta` for the host."""

    content: tuple[Text | Image, ...]
    is_error: bool = False
    meta: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Argument:
    """`read` gives the value that is meant, or raises ValueError with what it should be. One without a default has to be
    given; one whose default is None may also be given as null."""

    type: str
    read: Callable[[Any], Any]
    description: str
    default: Any
    options: tuple[str, ...] = ()

    @property
    def required(self) -> bool:
        return self.default is _REQUIRED

    def schema(self) -> dict[str, Any]:
        has_default = not self.required and self.default is not None
        return {
            "type": self.type,
            **({"default": self.default} if has_default else {}),
            **({"description": self.description} if self.description else {}),
            **({"enum": list(self.options)} if self.options else {}),
        }


@dataclass(frozen=True)
class Tool:
    """`function` is called with the `tools.Call` and the arguments by name. `hints` are MCP's annotations."""

    name: str
    description: str
    hints: Mapping[str, bool]
    arguments: Mapping[str, Argument]
    function: Callable[..., Awaitable[Result | str]]

    def definition(self) -> dict[str, Any]:
        """The tool as `tools/list` answers it: a flat schema, required arguments first, closed."""
        return {
            "name": self.name,
            "description": self.description,
            "inputSchema": {
                "type": "object",
                "properties": {name: argument.schema() for name, argument in self.arguments.items()},
                "required": [name for name, argument in self.arguments.items() if argument.required],
                "additionalProperties": False,
            },
            "annotations": dict(self.hints),
        }

    def values(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them. Raises Refused with all that is wrong in one sentence."""
        unknown = sorted(set(given) - set(self.arguments))
        if unknown:
            known = ", ".join(self.arguments)
            raise Refused(f"{self.name} has no argument {', '.join(map(repr, unknown))}; its arguments are {known}.")
        values, wrong = {}, []
        for name, argument in self.arguments.items():
            try:
                if name in given and not (given[name] is None and argument.default is None):
                    values[name] = argument.read(given[name])
                elif argument.required:
                    wrong.append(f"the argument {name!r} is missing")
            except ValueError as error:
                wrong.append(f"{name!r}: input should be {error}")
        if wrong:
            raise Refused(f"{self.name}: {'; '.join(wrong)}.")
        return {name: argument.default for name, argument in self.arguments.items()} | values


def text(description: str = "", default: str | object | None = _REQUIRED) -> Argument:
    return Argument("string", _text, description, default)


def identifier() -> Argument:
    """A text, for which a number may stand; it may be left out."""
    return Argument("string", lambda value: str(value) if type(value) in (int, float) else _text(value), "", None)


def choice(*options: str) -> Argument:
    return Argument("string", lambda value: _option(value, options), "", _REQUIRED, options)


def integer(description: str = "", default: int | None = None) -> Argument:
    return Argument("integer", _integer, description, default)


def number(description: str = "") -> Argument:
    return Argument("number", _number, description, None)


def flag(description: str = "") -> Argument:
    return Argument("boolean", _flag, description, False)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("a valid string")
    return value


def _option(value: Any, options: tuple[str, ...]) -> str:
    if value not in options:
        quoted = list(map(repr, options))
        raise ValueError(f"{', '.join(quoted[:-1])} or {quoted[-1]}")
    return value


def _integer(value: Any) -> int:
    if isinstance(value, str):
        try:
            return int(re.sub(r"\.0+\s*$", "", value))
        except ValueError:
            raise ValueError("a valid integer, unable to parse string as an integer") from None
    if not isinstance(value, int | float):
        raise ValueError("a valid integer")
    if not math.isfinite(value):
        raise ValueError("a finite number")
    if value != int(value):
        raise ValueError("a valid integer, got a number with a fractional part")
    return int(value)


def _number(value: Any) -> float:
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            raise ValueError("a valid number, unable to parse string as a number") from None
    if not isinstance(value, int | float):
        raise ValueError("a valid number")
    return float(value)


def _flag(value: Any) -> bool:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, str | int):
        raise ValueError("a valid boolean")
    meant = _FLAGS.get(str(value).lower())
    if meant is None:
        raise ValueError("a valid boolean, unable to interpret input")
    return meant
