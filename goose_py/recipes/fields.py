"""Fields of a document as texts, numbers and lists, each problem noted with its line instead of raised, so that a person
sees all of them at once."""

import difflib
import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from goose_py.recipes import commands
from goose_py.recipes.document import Node, is_null, plain_value
from goose_py.recipes.yaml_escaping import Seal

MAX_ITEMS = 500


class Reader:
    """Reads the nodes of one file, `where`. `seal` is the rendering's, None for a recipe that was only loaded: its texts are
    templates, and a number that is one is left out until it has a value. What is unknown is a warning, because Goose ignores
    it and newer recipes may know more than we do."""

    def __init__(self, where: str, seal: Seal | None = None) -> None:
        self._where = where
        self._seal = seal
        self.problems: list[str] = []
        self.warnings: list[str] = []

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
    near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
    return f" (did you mean `{near[0]}`?)" if near else ""
