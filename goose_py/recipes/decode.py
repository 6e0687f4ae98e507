"""A parsed document into a recipe's content."""

import re
from collections.abc import Mapping
from typing import Any, get_args

from goose_py.protocol.events import Limits
from goose_py.protocol.messages import Effort
from goose_py.protocol.modes import Mode
from goose_py.recipes.document import Node, is_null, plain_value
from goose_py.recipes.fields import Reader
from goose_py.recipes.recipe import (
    RECIPE_DIR,
    Author,
    Content,
    ExtensionEntry,
    ExtensionType,
    InputType,
    Parameter,
    RecipeSettings,
    Requirement,
    Response,
    Retry,
    SubRecipe,
)

_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SHELLS = re.compile(r"(?:.*/)?(?:ba|da|z|k|a)?sh\Z")
_SHELL_COMMAND_FLAG = re.compile(r"-[a-zA-Z]*c\Z")
_RUNNABLE = ("builtin", "platform", "stdio", "streamable_http")
_DESKTOP = ("name", "isGlobal", "lastModified", "isArchived")

_RECIPE_FIELDS = (
    "version", "title", "description", "instructions", "prompt", "activities", "author", "settings", "parameters",
    "extensions", "sub_recipes", "response", "retry", "checks", "limits", "mode", "env",
)  # fmt: skip
_EXTENSION_FIELDS = (
    "type", "name", "display_name", "description", "cmd", "args", "envs", "env", "env_keys", "cwd", "uri", "headers",
    "timeout", "available_tools", "bundled", "code", "dependencies", "tools", "instructions", "socket", "client_id",
    "client_secret_key", "scopes", "enabled",
)  # fmt: skip
_NOT_HERE = ("socket", "client_id", "client_secret_key", "scopes")
"""Goose's fields for unix sockets and OAuth clients registered beforehand, which we know and do not have."""

_MODES = {"approve": "ask", "smart_approve": "ask"} | {mode: mode for mode in get_args(Mode)}


class Decoder(Reader):
    """Reads one document: `content`, once."""

    def content(self, root: Node | None) -> Content | None:
        """The content, or None where there are problems."""
        fields = self._recipe_fields(root)
        if fields is None:
            return None
        title, description = self._required_text(fields, root, "title"), self._required_text(fields, root, "description")
        content = Content(
            title=title,
            description=description,
            version=self._text(fields, "version") or "1.0.0",
            instructions=self._text(fields, "instructions"),
            prompt=self._text(fields, "prompt"),
            activities=self._texts(fields, "activities"),
            author=self._author(fields.get("author")),
            settings=self._settings(fields.get("settings")),
            parameters=self._parameters(fields),
            extensions=self._extensions(fields),
            sub_recipes=tuple(self._each(fields, "sub_recipes", self._sub_recipe)),
            response=self._response(fields.get("response")),
            retry=self._retry(fields.get("retry")),
            checks=self._commands(fields, "checks"),
            limits=self._limits(fields.get("limits")),
            mode=self._mode(fields.get("mode")),
            env=self._texts(fields, "env"),
        )
        if not (content.instructions or "").strip() and not (content.prompt or "").strip():
            self._problem(root, "a recipe needs `instructions` or `prompt`; both are missing or empty")
        return None if self.problems else content

    def _recipe_fields(self, root: Node | None) -> dict[str, Node] | None:
        if root is None:
            self.problems.append(f"{self._where}:1: the file is empty; a recipe needs at least title, description and prompt.")
            return None
        if root.kind != "table":
            self._problem(root, "a recipe is a table of fields such as title, description and prompt")
            return None
        inner = next((value for key, value in root.items if key.text == "recipe" and value.kind == "table"), None)
        if inner is not None:
            self._table(root, "", ("recipe", *_DESKTOP))
            return self._table(inner, "", _RECIPE_FIELDS)
        return self._table(root, "", (*_RECIPE_FIELDS, *_DESKTOP, "id"))

    def _author(self, node: Node | None) -> Author | None:
        fields = self._optional_table(node, "author", ("contact", "metadata"))
        if fields is None:
            return None
        return Author(contact=self._text(fields, "contact"), metadata=self._text(fields, "metadata"))

    def _settings(self, node: Node | None) -> RecipeSettings:
        known = ("goose_provider", "goose_model", "effort", "temperature", "max_turns")
        fields = self._optional_table(node, "settings", known) or {}
        effort = self._choice(fields, "effort", get_args(Effort))
        turns = self._number(fields, "max_turns", whole=True, least=1)
        return RecipeSettings(
            provider=self._text(fields, "goose_provider"),
            model=self._text(fields, "goose_model"),
            effort=effort,
            temperature=self._number(fields, "temperature"),
            max_turns=int(turns) if turns is not None else None,
        )

    def _parameters(self, fields: Mapping[str, Node]) -> tuple[Parameter, ...]:
        found: dict[str, Parameter] = {}
        for parameter in self._each(fields, "parameters", self._parameter):
            place = f"{self._where}:{parameter.line}"
            if parameter.key in found:
                self.problems.append(f"{place}: Duplicate parameter definition: {parameter.key}.")
            if parameter.key == RECIPE_DIR or not _KEY.match(parameter.key):
                self.problems.append(f"{place}: {parameter.key!r} cannot be the key of a parameter: use letters, digits and _.")
            if parameter.input_type == "file" and parameter.default is not None:
                self.problems.append(
                    f"{place}: File parameters cannot have default values to avoid importing sensitive user files: "
                    f"{parameter.key}."
                )
            elif parameter.requirement == "optional" and parameter.default is None:
                self.problems.append(
                    f"{place}: Optional parameters missing default values in the recipe: {parameter.key}. "
                    "Please provide defaults."
                )
            if parameter.input_type == "select" and not parameter.options:
                self.warnings.append(f"{place}: {parameter.key} is a select without options: any value is taken.")
            found.setdefault(parameter.key, parameter)
        return tuple(found.values())

    def _parameter(self, node: Node) -> Parameter | None:
        known = ("key", "input_type", "requirement", "description", "default", "options")
        fields = self._table(node, "parameter", known)
        if fields is None:
            return None
        missing = [name for name in known[:4] if name not in fields]
        if missing:
            name = f" {self._show(fields['key'])!r}" if "key" in fields else ""
            self._problem(node, f"the parameter{name} has no `{'`, `'.join(missing)}`")
            return None
        input_type = self._choice(fields, "input_type", get_args(InputType))
        requirement = self._choice(fields, "requirement", get_args(Requirement))
        if input_type is None or requirement is None:
            return None
        return Parameter(
            key=self._text(fields, "key") or "",
            input_type=input_type,
            requirement=requirement,
            description=self._text(fields, "description") or "",
            default=self._loose_text(fields.get("default")),
            options=self._texts(fields, "options"),
            line=node.line,
        )

    def _extensions(self, fields: Mapping[str, Node]) -> tuple[ExtensionEntry, ...] | None:
        node = fields.get("extensions")
        return None if node is None or is_null(node) else tuple(self._each(fields, "extensions", self._extension))

    def _extension(self, node: Node) -> ExtensionEntry | None:
        fields = self._table(node, "extension", _EXTENSION_FIELDS)
        if fields is None:
            return None
        name = self._required_text(fields, node, "name", "the extension")
        kind: ExtensionType | None = self._choice(fields, "type", get_args(ExtensionType))
        if kind is None:
            if "type" not in fields:
                self._problem(node, f"the extension {name!r} has no `type`: one of {', '.join(_RUNNABLE)}")
            return None
        for needed in {"stdio": ("cmd", "args"), "streamable_http": ("uri",), "inline_python": ("code",)}.get(kind, ()):
            if needed not in fields:
                self._problem(node, f"the extension {name!r} of type {kind} has no `{needed}`")
        if kind not in _RUNNABLE:
            self.warnings.append(f"{self._where}:{node.line}: the extension {name!r} of type {kind} cannot be run here.")
        unused = [field for field in _NOT_HERE if field in fields and not is_null(fields[field])]
        if unused:
            self.warnings.append(f"{self._where}:{node.line}: the extension {name!r} has {', '.join(unused)}: not used here.")
        cmd = self._text(fields, "cmd")
        return ExtensionEntry(
            type=kind,
            name=name,
            display_name=self._text(fields, "display_name"),
            description=self._text(fields, "description") or "",
            cmd=cmd,
            args=self._arguments(fields, cmd),
            env=self._text_table(fields, "envs") | self._text_table(fields, "env"),
            env_keys=self._texts(fields, "env_keys"),
            cwd=self._text(fields, "cwd"),
            uri=self._text(fields, "uri"),
            headers=self._text_table(fields, "headers"),
            timeout=self._number(fields, "timeout", least=0),
            available_tools=self._texts(fields, "available_tools"),
            code=self._text(fields, "code"),
            dependencies=self._texts(fields, "dependencies"),
            line=node.line,
        )

    def _arguments(self, fields: Mapping[str, Node], cmd: str | None) -> tuple[str, ...]:
        """Arguments are data for a program, but the one after a shell's `-c` is a command."""
        nodes = self._scalars(fields, "args")
        arguments: list[str] = []
        for node in nodes:
            after_flag = arguments and _SHELL_COMMAND_FLAG.match(arguments[-1])
            shell = cmd is not None and _SHELLS.match(cmd)
            arguments.append(self._command(node) if shell and after_flag else self._show(node))
        return tuple(arguments)

    def _sub_recipe(self, node: Node) -> SubRecipe | None:
        known = ("name", "path", "values", "sequential_when_repeated", "description")
        fields = self._table(node, "sub-recipe", known)
        if fields is None:
            return None
        values = fields.get("values")
        given: dict[str, str] = {}
        if values is not None and not is_null(values):
            if values.kind != "table":
                self._problem(values, "`values` of a sub-recipe is a table")
            else:
                given = {self._show(key): self._loose_text(value, null="null") or "" for key, value in values.items}
        return SubRecipe(
            name=self._required_text(fields, node, "name", "the sub-recipe"),
            path=self._required_text(fields, node, "path", "the sub-recipe"),
            values=given,
            sequential_when_repeated=self._flag(fields, "sequential_when_repeated"),
            description=self._text(fields, "description"),
            line=node.line,
        )

    def _response(self, node: Node | None) -> Response | None:
        fields = self._optional_table(node, "response", ("json_schema",))
        schema_node = (fields or {}).get("json_schema")
        if schema_node is None or is_null(schema_node):
            return None
        schema = plain_value(schema_node, self._show)
        if not isinstance(schema, dict) or not schema:
            self._problem(schema_node, "`json_schema` must be a JSON Schema: a table that is not empty")
            return None
        if self._seal is None and (wrong := _schema_error(schema)):
            self._problem(schema_node, f"`json_schema` is not a valid JSON Schema: {wrong}")
        return Response(json_schema=schema)

    def _retry(self, node: Node | None) -> Retry | None:
        known = ("max_retries", "checks", "on_failure", "timeout_seconds", "on_failure_timeout_seconds")
        fields = self._optional_table(node, "retry", known)
        if fields is None or node is None:
            return None
        for name in known[:2]:
            if name not in fields:
                self._problem(node, f"`retry` has no `{name}`")
        retries = self._number(fields, "max_retries", whole=True, least=1)
        on_failure = fields.get("on_failure")
        timeout = self._number(fields, "timeout_seconds", least=1)
        after = self._number(fields, "on_failure_timeout_seconds", least=1)
        return Retry(
            max_retries=int(retries or 1),
            checks=tuple(self._each(fields, "checks", self._retry_check)),
            on_failure=self._command(on_failure) if on_failure is not None and not is_null(on_failure) else None,
            timeout_seconds=timeout or 300.0,
            on_failure_timeout_seconds=after or 600.0,
        )

    def _retry_check(self, node: Node) -> str | None:
        fields = self._table(node, "check", ("type", "command"))
        if fields is None:
            return None
        if "type" in fields and self._show(fields["type"]).lower() != "shell":
            self._problem(fields["type"], "a check of `retry` has the type `shell`; there is no other")
        if "command" not in fields:
            self._problem(node, "a check of `retry` has no `command`")
            return None
        return self._command(fields["command"])

    def _limits(self, node: Node | None) -> Limits:
        fields = self._optional_table(node, "limits", ("max_turns", "max_seconds", "max_cost", "max_tokens")) or {}
        turns = self._number(fields, "max_turns", whole=True, least=1)
        tokens = self._number(fields, "max_tokens", whole=True, least=1)
        return Limits(
            max_turns=int(turns) if turns is not None else None,
            max_seconds=self._number(fields, "max_seconds", least=0),
            max_cost=self._number(fields, "max_cost", least=0),
            max_tokens=int(tokens) if tokens is not None else None,
        )

    def _mode(self, node: Node | None) -> Mode | None:
        if node is None or is_null(node) or self._is_open(node):
            return None
        mode = _MODES.get(self._show(node))
        if mode is None:
            self._problem(node, f"`mode` must be one of {', '.join(get_args(Mode))}, not {self._show(node)!r}")
        return mode  # type: ignore[return-value]


def _schema_error(schema: Mapping[str, Any]) -> str:
    """What is wrong with a JSON Schema, or nothing. No reference is followed."""
    from jsonschema.exceptions import SchemaError
    from jsonschema.validators import validator_for

    try:
        validator_for(schema).check_schema(schema)
    except SchemaError as error:
        where = "/".join(str(part) for part in error.absolute_path)
        return f"{error.message}{f' at {where}' if where else ''}"
    return ""
