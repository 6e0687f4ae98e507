"""YAML 1.2 into a tree that knows its lines. Only the core schema's plain values exist; a tag is refused, so that no text can
name a constructor, and aliases are counted as what they expand to."""

import math
import re
from typing import Any, Literal

import msgspec

from goose_py.recipes.errors import RecipeError

MAX_BYTES = 256 << 10
"""Of a recipe's own text: ten times the longest known. A hostile one of this size is refused within seconds."""
MAX_NODES = 50_000
MAX_DEPTH = 64

_NULL = re.compile(r"(~|null|Null|NULL|)\Z")
_BOOL = re.compile(r"(true|True|TRUE|false|False|FALSE)\Z")
_INT = re.compile(r"([-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)\Z")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?\Z")
_MAX_DIGITS = 400
_CORE = "tag:yaml.org,2002:"
_PLAIN_TAGS = {_CORE + name for name in ("null", "bool", "int", "float", "str", "timestamp", "merge", "value", "map", "seq")}


class Node(msgspec.Struct):
    """`items` of a table are pairs of nodes, of a list nodes, of a scalar empty. `text` is a scalar's own text. `plain`: it
    was written without quotes, so that `5` is a number. `indent`: of a block scalar, the columns that YAML took away; else
    0. `line` counts from 1."""

    kind: Literal["table", "list", "scalar"]
    line: int
    text: str = ""
    plain: bool = False
    indent: int = 0
    items: list[Any] = []


def parse(text: str, where: str) -> Node | None:
    """The one document of a text; None where it is empty. Raises `RecipeError` for anything else."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        root = YAML(typ="safe", pure=True).compose(text)
        return None if root is None else _Builder(text, where).node(root, 0)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else 1
        raise RecipeError(f"{where}:{line}: not valid YAML: {error.problem}{_hint(text, line)}.") from None
    except YAMLError as error:
        position = getattr(error, "position", None)
        line = text.count("\n", 0, position) + 1 if isinstance(position, int) else 1
        raise RecipeError(f"{where}:{line}: not valid YAML: {str(error).splitlines()[0]}.") from None
    except RecursionError:
        raise RecipeError(f"{where}: nested too deeply; {MAX_DEPTH} levels are enough for any recipe.") from None


def _hint(text: str, line: int) -> str:
    lines = text.splitlines()
    written = lines[line - 1] if 0 < line <= len(lines) else ""
    if "\t" in written[: len(written) - len(written.lstrip())]:
        return "; indent with spaces, not tabs"
    if "{{" in written or "{%" in written:
        return "; put a text that holds templates in quotes, or in a block after `|`"
    return ""


class _Builder:
    def __init__(self, text: str, where: str) -> None:
        self._lines = text.split("\n")
        self._where = where
        self._count = 0

    def node(self, node: Any, depth: int) -> Node:
        self._count += 1
        line = node.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise RecipeError(f"{self._where}:{line}: nested too deeply; {MAX_DEPTH} levels are enough for any recipe.")
        if self._count > MAX_NODES:
            raise RecipeError(f"{self._where}:{line}: more than {MAX_NODES} values, aliases counted as what they stand for.")
        if node.tag not in _PLAIN_TAGS:
            raise RecipeError(f"{self._where}:{line}: the tag {node.tag.replace(_CORE, '!!')} is not allowed in a recipe.")
        match type(node).__name__:
            case "MappingNode":
                pairs = [(self.node(key, depth + 1), self.node(value, depth + 1)) for key, value in node.value]
                return Node(kind="table", line=line, items=pairs)
            case "SequenceNode":
                return Node(kind="list", line=line, items=[self.node(item, depth + 1) for item in node.value])
        indent = self._block_indent(node) if node.style in ("|", ">") else 0
        plain = not node.style and node.tag != _CORE + "str"
        return Node(kind="scalar", line=line, text=node.value, plain=plain, indent=indent)

    def _block_indent(self, node: Any) -> int:
        """The columns before a block scalar's text: as its header says, else those of its first line that is not empty."""
        start, end = node.start_mark.line + 1, node.end_mark.line
        for line in self._lines[start : end + 1]:
            if line.strip():
                spaces = len(line) - len(line.lstrip(" "))
                leading = len(node.value) - len(node.value.lstrip(" ")) if node.value[:1] == " " else 0
                return max(0, spaces - leading)
        return 0


def plain_value(node: Node, text: Any = None) -> Any:
    """A node as plain Python values by the core schema. `text` maps the text of each scalar, keys included."""
    show = text or (lambda scalar: scalar.text)
    if node.kind == "table":
        return {show(key): plain_value(value, text) for key, value in node.items}
    if node.kind == "list":
        return [plain_value(item, text) for item in node.items]
    return resolve(node.text) if node.plain and show(node) == node.text else show(node)


def resolve(text: str) -> Any:
    """A plain scalar's value by YAML 1.2's core schema (section 10.3.2): `no` is text, `010` is ten. Numbers that JSON cannot
    say (`.inf`, `.nan`) stay text."""
    if _NULL.match(text):
        return None
    if _BOOL.match(text):
        return text.lower() == "true"
    if _INT.match(text) and len(text) <= _MAX_DIGITS:
        return int(text, 0) if text[:2] in ("0o", "0x") else int(text)
    if _FLOAT.match(text):
        number = float(text)
        return number if math.isfinite(number) else text
    return text


def is_null(node: Node) -> bool:
    return node.kind == "scalar" and node.plain and bool(_NULL.match(node.text))
