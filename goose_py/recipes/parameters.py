"""The values that a person gives: which are missing, whether they fit their type, and where each came from."""

import datetime
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.recipes.errors import MissingParameters, RecipeError
from goose_py.recipes.recipe import RECIPE_DIR, Content, Parameter, Recipe

MAX_FILE_BYTES = 4 << 20
MAX_VALUE_CHARACTERS = 4 << 20
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0")


class Explained(msgspec.Struct, frozen=True, kw_only=True):
    """One parameter as a run would see it. `value` None: it has none yet."""

    parameter: Parameter
    value: str | None
    origin: Literal["given", "default", "missing"]


def explain(recipe: Recipe, given: Mapping[str, str]) -> tuple[Explained, ...]:
    """Every parameter with the value that it would have. No file is read."""
    return tuple(
        Explained(parameter=parameter, value=given[parameter.key], origin="given")
        if parameter.key in given
        else Explained(
            parameter=parameter,
            value=parameter.default,
            origin="missing" if parameter.default is None else "default",
        )
        for parameter in recipe.parameters
    )


def missing(content: Content, given: Mapping[str, str]) -> tuple[Parameter, ...]:
    """The parameters without a value: those of requirement `user_prompt` can be asked for, the others not."""
    return tuple(parameter for parameter in content.parameters if parameter.key not in given and parameter.default is None)


def values(recipe: Recipe, given: Mapping[str, str], *, folder: Path, home: Path) -> dict[str, Any]:
    """The value of every variable. Files are relative to `folder`, `~` is `home`. Raises `MissingParameters`, or `RecipeError`
    with every value that does not fit. Defaults are the recipe's own business and are taken as they are."""
    absent = missing(recipe, given)
    if absent:
        raise MissingParameters(tuple(parameter.key for parameter in absent))
    problems: list[str] = []
    found: dict[str, Any] = {RECIPE_DIR: str(recipe.source.folder or "")}
    for parameter in recipe.parameters:
        try:
            text = given.get(parameter.key)
            if text is None:
                found[parameter.key] = _structured(parameter, parameter.default or "")
            else:
                found[parameter.key] = value(parameter, text, folder=folder, home=home)
        except ValueError as error:
            problems.append(f"{parameter.key}: {error}.")
    if problems:
        raise RecipeError(*problems)
    return found


def value(parameter: Parameter, text: str, *, folder: Path, home: Path) -> Any:
    """One value checked against its type: text, or plain JSON values for `object` and `array`. Booleans become "true" and
    "false", which is what templates compare with. Raises `ValueError` with what is wrong."""
    _check_text(text)
    match parameter.input_type:
        case "number":
            if not _is_number(text):
                raise ValueError(f"{text!r} is not a number")
        case "boolean":
            word = text.strip().lower()
            if word not in _TRUE + _FALSE:
                raise ValueError(f"{text!r} is neither true nor false")
            return "true" if word in _TRUE else "false"
        case "date":
            if not _is_date(text):
                raise ValueError(f"{text!r} is not a date; write it as 2026-11-22")
        case "select":
            if parameter.options and text not in parameter.options:
                raise ValueError(f"{text!r} is none of {', '.join(parameter.options)}")
        case "file":
            return _read(text, folder, home)
    return _structured(parameter, text)


def _structured(parameter: Parameter, text: str) -> Any:
    if not parameter.structured:
        return text
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    kind = dict if parameter.input_type == "object" else list
    if not isinstance(found, kind):
        raise ValueError(f"not a JSON {parameter.input_type}")
    return found


def _check_text(text: str) -> None:
    if "\0" in text:
        raise ValueError("holds a NUL character, which no text may")
    if len(text) > MAX_VALUE_CHARACTERS:
        raise ValueError(f"longer than {MAX_VALUE_CHARACTERS} characters; give it as a file to read instead")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("is not valid UTF-8") from None


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text)) and "_" not in text
    except ValueError:
        return False


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text.strip())
    except ValueError:
        return False
    return True


def _read(text: str, folder: Path, home: Path) -> str:
    path = home / text[2:] if text.startswith("~/") else folder / text
    try:
        if not path.is_file():
            raise ValueError(f"{text}: no such file" if not path.exists() else f"{text}: not a plain file")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ValueError(f"{text}: cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE_BYTES:
        raise ValueError(f"{text}: larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        content = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{text}: not a UTF-8 text file") from None
    _check_text(content)
    return content
