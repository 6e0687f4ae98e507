"""Layers of configuration before they are merged: a file, the environment, or flags, as nested tables of plain values."""

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import msgspec

from goose_py.config import keys
from goose_py.config.errors import ConfigError

LayerName = Literal["default", "user", "project", "environment", "flag"]
MAX_BYTES = 1 << 20
MOST_DOTS = 50
"""In a line, outside of strings and comments."""

MODE_ALIASES = {"approve": "ask", "smart_approve": "ask"}
"""Goose's names of modes (its 1.52 `goose configure`)."""

_TRUE = ("1", "true", "yes", "on", "y", "t")
_FALSE = ("0", "false", "no", "off", "n", "f", "")
_TOML_LINE = re.compile(r" \(at (?:line (\d+), column \d+|end of document)\)$")
_LITERAL = re.compile(r""""(?:\\.|[^"\\])*"|'[^']*'|#.*""")
_BARE = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\Z")


class Layer(msgspec.Struct, kw_only=True):
    """`where` names the source for a person: a path, "environment" or "command line". `text` is the file's, for lines."""

    name: LayerName
    where: str
    values: dict[str, Any]
    text: str = ""


def truthy(value: str | None) -> bool:
    """Whether a variable is switched on, as people expect: 0, false, no, off and nothing are not."""
    return value is not None and value.strip().lower() not in _FALSE


def split_key(dotted: str) -> tuple[str, ...]:
    """`models."gpt-4.1".images` into its parts, by the rules of TOML. Raises `ConfigError` for what is no key."""
    if _BARE.match(dotted):
        return tuple(dotted.split("."))
    try:
        value: Any = tomllib.loads(f"{dotted} = 0")
    except tomllib.TOMLDecodeError:
        raise ConfigError((f"{dotted}: not a key; write it as in TOML, with quotes around parts that hold dots.",)) from None
    path: tuple[str, ...] = ()
    while isinstance(value, dict) and len(value) == 1:
        name, value = next(iter(value.items()))
        path += (name,)
    return path


def join_key(path: tuple[str, ...]) -> str:
    return ".".join(part if _BARE.match(part) and "." not in part else f'"{part}"' for part in path)


def read_file(path: Path, name: LayerName) -> Layer:
    """A file's layer; an empty one where there is no file. Raises `ConfigError` where it cannot be read as TOML."""
    try:
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        return Layer(name=name, where=str(path), values={})
    except OSError as error:
        raise ConfigError((f"{path}: cannot be read: {error.strerror}.",)) from None
    return parse(data, name=name, where=str(path))


def parse(data: bytes, *, name: LayerName, where: str) -> Layer:
    if len(data) > MAX_BYTES:
        raise ConfigError((f"{where}: larger than {MAX_BYTES} bytes: this is no configuration of ours.",))
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n")
        _refuse_long_keys(text, where)
        return Layer(name=name, where=where, values=tomllib.loads(text), text=text)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError((f"{where}:{line}: not UTF-8; save the file as UTF-8.",)) from None
    except RecursionError:
        raise ConfigError((f"{where}: nested too deeply: this is no configuration of ours.",)) from None
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        found = _TOML_LINE.search(message)
        line = int(found[1]) if found and found[1] else text.count("\n") + 1
        message = _TOML_LINE.sub("", message)
        raise ConfigError((f"{where}:{line}: not valid TOML: {message[:1].lower()}{message[1:]}.",)) from None


def _refuse_long_keys(text: str, where: str) -> None:
    """tomllib takes memory by the square of a key's parts: all there is for a key that fills the file."""
    for number, line in enumerate(text.split("\n"), start=1):
        if line.count(".") > MOST_DOTS and _LITERAL.sub("", line).count(".") > MOST_DOTS:
            raise ConfigError((f"{where}:{number}: a key of more than {MOST_DOTS} parts: this is no configuration of ours.",))


def environment(env: Mapping[str, str]) -> tuple[Layer, tuple[str, ...]]:
    """The settings among environment variables, and a warning for each variable of ours that is none. Empty ones count as
    not set."""
    layer = Layer(name="environment", where="environment", values={})
    ours = {name: text for name, text in env.items() if name.startswith(keys.ENV_PREFIX) and text}
    if not ours:
        return layer, ()
    warnings: list[str] = []
    known = keys.env_names()
    for name, text in sorted(ours.items()):
        key = known.get(name)
        if key is not None:
            put(layer.values, split_key(key.name), from_text(key, text))
        elif name not in keys.OTHER_VARIABLES:
            warnings.append(sentence(f"{name} is no setting{suggest(name, known)}"))
    return layer, tuple(warnings)


def flags(values: Mapping[str, Any]) -> Layer:
    """Settings from the command line by dotted key. Text is read as the key's type asks; None counts as not given."""
    layer = Layer(name="flag", where="command line", values={})
    for dotted, value in values.items():
        if value is None:
            continue
        path = split_key(dotted)
        key = keys.find(path)
        put(layer.values, path, from_text(key, value) if isinstance(key, keys.Key) and isinstance(value, str) else value)
    return layer


def from_text(key: keys.Key, text: str) -> Any:
    """A value written as text, as far as it can be read as the key's type; else the text itself, which parsing refuses. A
    list is a TOML array, or its single element; a table is a TOML inline table."""
    if key.type.startswith(("list", "table")) or key.type == "any value":
        return _toml_value(text, [text] if key.type.startswith("list") else text)
    if key.type == "true | false":
        word = text.strip().lower()
        return word in _TRUE if word in _TRUE + _FALSE else text
    if "number" in key.type and text.strip().lower() != "none":
        return _number(text, whole="whole" in key.type)
    return text


def _toml_value(text: str, otherwise: Any) -> Any:
    if not text.lstrip().startswith(("[", "{")):
        return otherwise
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return otherwise


def _number(text: str, *, whole: bool) -> Any:
    try:
        return int(text) if whole else float(text)
    except ValueError:
        return text


def put(values: dict[str, Any], path: tuple[str, ...], value: Any) -> None:
    for part in path[:-1]:
        values = values.setdefault(part, {})
    values[path[-1]] = value


def leaves(
    values: Mapping[str, Any], path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], Any, "keys.Key | keys.Tree | None"]]:
    """Each key that is set: its path, its value, and what the table of keys has there. That is a `Key` but for an unknown
    name (None) and for a section that was given a plain value (its tree)."""
    for name, value in values.items():
        below = (*path, name)
        node = keys.find(below)
        if isinstance(node, dict) and isinstance(value, dict):
            yield from leaves(value, below)
        else:
            yield below, value, node


def suggest(name: str, known: Iterable[str]) -> str:
    """`; did you mean x or y?` for the nearest known names, else nothing."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=2, cutoff=0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""


def sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."
