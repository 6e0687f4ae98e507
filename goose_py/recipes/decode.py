"""A parsed document into a recipe's content. Every problem is collected with its line; what is unknown is a warning, because
Goose ignores it and newer recipes may know more than we do."""

import json
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, get_args

from goose_py.protocol.events import Limits
from goose_py.protocol.messages import Effort
from goose_py.protocol.modes import Mode
from goose_py.recipes import commands
from goose_py.recipes.document import Node, is_null, plain_value
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
from goose_py.recipes.sealing import Seal

MAX_ITEMS = 500
_KEY = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SHELLS = re.compile(r"(?:.*/)?(?:ba|da|z|k|a)?sh\Z")
_SHELL_COMMAND_FLAG = re.compile(r"-[a-zA-Z]*c\Z")
_RUNNABLE = ("builtin", "platform", "stdio", "streamable_http")
_DESKTOP = ("name", "isGlobal", "lastModified", "isArchived")

_RECIPE_FIELDS = (
    "version", "title", "description", "instructions", "prompt", "activities", "author", "settings", "parameters",
    "extensions", "sub_recipes", "response", "retry", "checks", "limits", "mode",
)  # fmt: skip
_EXTENSION_FIELDS = (
    "type", "name", "display_name", "description", "cmd", "args", "envs", "env", "env_keys", "cwd", "uri", "headers",
    "timeout", "available_tools", "bundled", "code", "dependencies", "tools", "instructions", "socket", "client_id",
    "client_secret_key", "scopes", "enabled",
)  # fmt: skip
_MODES = {"approve": "ask", "smart_approve": "ask"} | {mode: mode for mode in get_args(Mode)}


class Decoder:
    """Reads one document. `seal` is the rendering's, None for a recipe that was only loaded: its texts are templates, and a
    number that is one is left out until it has a value."""

    def __init__(self, where: str, seal: Seal | None = None) -> None:
        self._where = where
        self._seal = seal
        self.problems: list[str] = []
        self.warnings: list[str] = []

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

    # -- the parts ---------------------------------------------------------------------------------------------------

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

    # -- reading nodes -----------------------------------------------------------------------------------------------

    def _problem(self, node: Node | None, what: str) -> None:
        self.problems.append(f"{self._where}:{node.line if node is not None else 1}: {what}.")

    def _show(self, node: Node) -> str:
        return self._seal.text(node.text, node.indent) if self._seal is not None else node.text

    def _is_open(self, node: Node) -> bool:
        """Whether a scalar has no value yet because it is a template."""
        return self._seal is None and ("{{" in node.text or "{%" in node.text)

    def _command(self, node: Node) -> str:
        if node.kind != "scalar":
            self._problem(node, "a command is one text")
            return ""
        if self._seal is None:
            return node.text
        try:
            return commands.place(self._seal.pieces(node.text, node.indent))
        except commands.Unsafe as unsafe:
            self._problem(node, f"a parameter cannot be put into this command: {unsafe}")
            return ""

    def _commands(self, fields: Mapping[str, Node], name: str) -> tuple[str, ...]:
        return tuple(self._command(node) for node in self._scalars(fields, name))

    def _table(self, node: Node, what: str, known: tuple[str, ...]) -> dict[str, Node] | None:
        if node.kind != "table":
            self._problem(node, f"{'an' if what[:1] in 'aeiou' else 'a'} {what} is a table of fields: {', '.join(known[:4])}")
            return None
        fields: dict[str, Node] = {}
        for key, value in node.items:
            name = self._show(key) if key.kind == "scalar" else "?"
            if name in fields:
                self._problem(key, f"`{name}` stands here twice")
            elif name not in known:
                self.warnings.append(f"{self._where}:{key.line}: unknown field `{name}`{_near(name, known)}; it is ignored.")
            fields.setdefault(name, value)
        return fields

    def _optional_table(self, node: Node | None, what: str, known: tuple[str, ...]) -> dict[str, Node] | None:
        return None if node is None or is_null(node) else self._table(node, what, known)

    def _each(self, fields: Mapping[str, Node], name: str, read: Callable[[Node], Any]) -> list[Any]:
        return [item for item in (read(node) for node in self._list(fields, name)) if item is not None]

    def _list(self, fields: Mapping[str, Node], name: str) -> list[Node]:
        node = fields.get(name)
        if node is None or is_null(node):
            return []
        if node.kind != "list":
            self._problem(node, f"`{name}` is a list")
            return []
        if len(node.items) > MAX_ITEMS:
            self._problem(node, f"`{name}` has more than {MAX_ITEMS} entries")
            return []
        return node.items

    def _scalars(self, fields: Mapping[str, Node], name: str) -> list[Node]:
        nodes = self._list(fields, name)
        for node in nodes:
            if node.kind != "scalar" or is_null(node):
                self._problem(node, f"each entry of `{name}` is a text")
        return [node for node in nodes if node.kind == "scalar" and not is_null(node)]

    def _texts(self, fields: Mapping[str, Node], name: str) -> tuple[str, ...]:
        return tuple(self._show(node) for node in self._scalars(fields, name))

    def _text_table(self, fields: Mapping[str, Node], name: str) -> dict[str, str]:
        node = fields.get(name)
        if node is None or is_null(node):
            return {}
        if node.kind != "table":
            self._problem(node, f"`{name}` is a table of texts")
            return {}
        return {self._show(key): self._loose_text(value) or "" for key, value in node.items}

    def _text(self, fields: Mapping[str, Node], name: str) -> str | None:
        node = fields.get(name)
        if node is None or is_null(node):
            return None
        if node.kind != "scalar":
            braces = node.kind == "table" and len(node.items) == 1 and node.items[0][0].kind == "table"
            hint = '; write "{{ ... }}" in quotes' if braces else ""
            self._problem(node, f"`{name}` is a text, not a {node.kind}{hint}")
            return None
        return self._show(node)

    def _required_text(self, fields: Mapping[str, Node], node: Node | None, name: str, of: str = "the recipe") -> str:
        if name not in fields or is_null(fields[name]):
            self._problem(node, f"{of} has no `{name}`")
            return ""
        return self._text(fields, name) or ""

    def _loose_text(self, node: Node | None, null: str | None = None) -> str | None:
        """Any value as text, as Goose coerces defaults and values of sub-recipes: numbers as written, lists as JSON."""
        if node is None:
            return None
        if node.kind != "scalar":
            return json.dumps(plain_value(node, self._show), separators=(",", ":"), ensure_ascii=False)
        return null if is_null(node) else self._show(node)

    def _flag(self, fields: Mapping[str, Node], name: str) -> bool:
        node = fields.get(name)
        if node is None or is_null(node) or self._is_open(node):
            return False
        word = self._show(node).lower()
        if node.kind != "scalar" or word not in ("true", "false"):
            self._problem(node, f"`{name}` must be true or false")
        return word == "true"

    def _choice(self, fields: Mapping[str, Node], name: str, choices: tuple[Any, ...]) -> Any:
        node = fields.get(name)
        if node is None or is_null(node) or self._is_open(node):
            return None
        if self._show(node) in choices:
            return self._show(node)
        near = _near(self._show(node), choices)
        self._problem(node, f"`{name}` must be one of {', '.join(choices)}, not {self._show(node)!r}{near}")
        return None

    def _number(
        self, fields: Mapping[str, Node], name: str, *, whole: bool = False, least: float | None = None
    ) -> float | None:
        node = fields.get(name)
        if node is None or is_null(node) or (node.kind == "scalar" and self._is_open(node)):
            return None
        try:
            number = float(int(self._show(node)) if whole else float(self._show(node)))
        except ValueError:
            number = math.nan
        if node.kind != "scalar" or not math.isfinite(number) or (least is not None and number < least):
            bound = f" of at least {least:g}" if least else ""
            self._problem(node, f"`{name}` must be a {'whole ' if whole else ''}number{bound}, not {self._show(node)!r}")
            return None
        return number


def _near(name: str, known: tuple[str, ...]) -> str:
    import difflib

    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean `{near[0]}`?)" if near else ""


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
