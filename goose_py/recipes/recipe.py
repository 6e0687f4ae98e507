"""A recipe as frozen values. Field names and rules are Goose's (its `recipe/mod.rs`, 1.47 to 1.52); `checks`, `limits`,
`mode`, `env` and `settings.effort` are ours."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.protocol.events import Limits
from goose_py.protocol.messages import Effort
from goose_py.protocol.modes import Mode

InputType = Literal["string", "number", "boolean", "date", "file", "select", "object", "array"]
Requirement = Literal["required", "optional", "user_prompt"]
ExtensionType = Literal["builtin", "platform", "stdio", "streamable_http", "sse", "frontend", "inline_python"]

RECIPE_DIR = "recipe_dir"
"""The one variable that every template has: the folder of the recipe's file."""


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the user gives. `default` is text whatever the type. `line` is where it stands in the file."""

    key: str
    input_type: InputType
    requirement: Requirement
    description: str
    default: str | None = None
    options: tuple[str, ...] = ()
    line: int = 0

    @property
    def structured(self) -> bool:
        return self.input_type in ("object", "array")


class ExtensionEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An MCP server that the recipe asks for. `env` are variables with values, `env_keys` names of secrets."""

    type: ExtensionType
    name: str
    display_name: str | None = None
    description: str = ""
    cmd: str | None = None
    args: tuple[str, ...] = ()
    env: Mapping[str, str] = {}
    env_keys: tuple[str, ...] = ()
    cwd: str | None = None
    uri: str | None = None
    headers: Mapping[str, str] = {}
    timeout: float | None = None
    available_tools: tuple[str, ...] = ()
    code: str | None = None
    dependencies: tuple[str, ...] = ()
    line: int = 0


class SubRecipe(msgspec.Struct, frozen=True, kw_only=True):
    """A recipe that this one may run. `path` is beneath the recipe's folder; in a rendered recipe it is absolute."""

    name: str
    path: str
    values: Mapping[str, str] = {}
    sequential_when_repeated: bool = False
    description: str | None = None
    line: int = 0


class RecipeSettings(msgspec.Struct, frozen=True, kw_only=True):
    provider: str | None = None
    model: str | None = None
    effort: Effort | None = None
    temperature: float | None = None
    max_turns: int | None = None


class Response(msgspec.Struct, frozen=True, kw_only=True):
    """The shape of the final answer, as JSON Schema."""

    json_schema: Mapping[str, Any]


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """Run again, from the first messages on, until every check exits 0: at most `max_retries` times after the first.
    Commands run by `sh -c`; times in seconds."""

    max_retries: int
    checks: tuple[str, ...]
    on_failure: str | None = None
    timeout_seconds: float = 300.0
    on_failure_timeout_seconds: float = 600.0


class Author(msgspec.Struct, frozen=True, kw_only=True):
    contact: str | None = None
    metadata: str | None = None


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """Where a recipe came from. `where` names it for a person; `folder` is None for one that is no file (a link). `text` is
    the file's, and `sha256` its hash together with that of every template that it extends or includes."""

    where: str
    text: str
    folder: Path | None = None
    sha256: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """What a recipe says. In a loaded recipe the texts are templates, in a rendered one they are final.

    `env` are names of variables that its commands need, which only the user can grant. `extensions` None: the recipe does not
    name any, the session's own stay. `mode` and `limits` are wishes: a caller takes
    the stricter of them and of what the user allows."""

    title: str
    description: str
    version: str = "1.0.0"
    instructions: str | None = None
    prompt: str | None = None
    activities: tuple[str, ...] = ()
    author: Author | None = None
    settings: RecipeSettings = RecipeSettings()
    parameters: tuple[Parameter, ...] = ()
    extensions: tuple[ExtensionEntry, ...] | None = None
    sub_recipes: tuple[SubRecipe, ...] = ()
    response: Response | None = None
    retry: Retry | None = None
    checks: tuple[str, ...] = ()
    limits: Limits = Limits()
    mode: Mode | None = None
    env: tuple[str, ...] = ()


class Recipe(Content, frozen=True, kw_only=True):
    """A recipe that was read and found valid. `warnings` are sentences with file and line."""

    source: Source
    variables: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


class RenderedRecipe(Content, frozen=True, kw_only=True):
    """A recipe filled in with `values`; those of file parameters are the contents of the files."""

    source: Source
    values: Mapping[str, Any] = {}
    warnings: tuple[str, ...] = ()
