"""Links that carry a recipe: `goose://recipe?config=` and the recipe's JSON in URL-safe base64 without padding, parameters
as further queries. The format is Goose's (its `recipe_deeplink.rs`)."""

import base64
import binascii
import io
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import msgspec

from goose_py.recipes import document
from goose_py.recipes.errors import RecipeError
from goose_py.recipes.load import MAX_BYTES, parse, parse_text
from goose_py.recipes.recipe import Recipe
from goose_py.recipes.template import is_structural

_PREFIX = "goose://recipe?config="


class Linked(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe from a link, and the parameters that came with it."""

    recipe: Recipe
    parameters: Mapping[str, str]


def encode(recipe: Recipe, parameters: Mapping[str, str] | None = None) -> str:
    """The link for a recipe. Raises `RecipeError` for one that is made of several files: a link carries only one."""
    source = recipe.source
    if is_structural(source.text):
        raise RecipeError(f"{source.where}: inherits from or includes other files, which a link cannot carry.")
    root = parse_text(source.text, source.where, as_json=source.where.endswith(".json"))
    value: Any = document.plain_value(root) if root is not None else {}
    data = json.dumps(value.get("recipe", value), ensure_ascii=False, separators=(",", ":")).encode()
    config = base64.urlsafe_b64encode(data).rstrip(b"=").decode()
    query = "".join(f"&{quote(key, safe='')}={quote(text, safe='')}" for key, text in (parameters or {}).items())
    return f"{_PREFIX}{config}{query}"


def decode(link: str) -> Linked:
    """The recipe in a link. It has no folder, so that it can neither include a template nor run a sub-recipe. Raises
    `RecipeError`."""
    parts = urlsplit(link)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    config = query.pop("config", "")
    if parts.scheme != "goose" or parts.netloc != "recipe" or not config:
        raise RecipeError(f"not a recipe's link: it begins with {_PREFIX}")
    if len(config) > MAX_BYTES * 2:
        raise RecipeError("the link is too long to be a recipe's.")
    try:
        data = base64.urlsafe_b64decode(config.replace("+", "-").replace("/", "_").replace(" ", "-") + "=" * (-len(config) % 4))
    except (binascii.Error, ValueError):
        raise RecipeError("the link is damaged: its recipe is not base64.") from None
    return Linked(recipe=parse(_as_written(data), where="recipe (from a link)", folder=None), parameters=query)


def _as_written(data: bytes) -> bytes:
    """The JSON as the YAML that a person would have written, texts of several lines as blocks: templates trim white space
    (`{%- if %}`), which has to be there and not in escapes. The JSON itself where YAML cannot say it as blocks."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from ruamel.yaml.scalarstring import LiteralScalarString

    def block(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: block(item) for key, item in value.items()}
        if isinstance(value, list):
            return [block(item) for item in value]
        return LiteralScalarString(value) if isinstance(value, str) and "\n" in value else value

    try:
        value = json.loads(data)
        written = io.StringIO()
        YAML().dump(block(value), written)
        root = document.parse(written.getvalue(), "recipe")
        return written.getvalue().encode() if root is not None and document.plain_value(root) == value else data
    except (ValueError, RecursionError, YAMLError, RecipeError):
        return data
