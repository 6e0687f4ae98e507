"""Mend what models get slightly wrong in a tool's arguments, and say clearly what cannot be mended.

A repair is made only where the schema leaves one reading: nothing is invented, and half a JSON is never completed.
"""

import functools
import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import msgspec

from goose_py.toolbox.imports import imported

ALIASES: dict[str, tuple[str, ...]] = {
    "path": ("file_path", "filepath", "filename", "file", "file_name", "target_file", "absolute_path"),
    "file_path": ("path", "filepath", "filename", "file", "file_name", "target_file", "absolute_path"),
    "command": ("cmd", "shell_command", "bash_command", "script"),
    "old_string": ("old_str", "old_text", "oldString", "oldText", "old", "before", "search"),
    "new_string": ("new_str", "new_text", "newString", "newText", "new", "after", "replace"),
    "old_text": ("old_string", "old_str", "oldText", "oldString", "before", "search"),
    "new_text": ("new_string", "new_str", "newText", "newString", "after", "replace"),
    "old_str": ("old_string", "old_text", "oldString", "oldText", "before", "search"),
    "new_str": ("new_string", "new_text", "newString", "newText", "after", "replace"),
    "before": ("old_string", "old_str", "old_text"),
    "after": ("new_string", "new_str", "new_text"),
    "content": ("contents", "text", "file_text", "data", "body"),
    "pattern": ("regex", "query", "search", "glob"),
    "query": ("q", "search", "pattern", "search_query"),
    "patch": ("input", "diff", "patch_text"),
    "timeout": ("timeout_secs", "timeout_seconds"),
    "timeout_secs": ("timeout", "timeout_seconds"),
    "replace_all": ("replaceAll", "all", "global"),
    "url": ("uri", "link"),
    "uri": ("url", "link"),
}
"""Names under which models know an argument from other tools. One is taken only where the tool's own name is not given
and the other name is not one of the tool's."""

_SHOWN = 5
_MAX_VARIANTS = 32
_MAX_REFERENCES = 2000
_KINDS = frozenset(("string", "boolean", "integer", "number", "array", "object", "null"))


class Repaired(msgspec.Struct, frozen=True, kw_only=True):
    """Arguments that satisfy the schema, and what was done to make them so, each a short phrase."""

    arguments: dict[str, Any]
    notes: tuple[str, ...] = ()


def repair(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> Repaired | str:
    """The arguments as the tool wants them, or one sentence that says what is wrong and what is expected.

    Mended: an alias of a missing name; "5" for 5, "true" for true, 5.0 for 5; 5 for "5"; a bare value for a list of one;
    a whole JSON text for an object or a list; null for an argument that may be left out. A schema that is itself not
    valid is left to the server."""
    notes: list[str] = []
    mended = _rename(dict(arguments), schema, notes)
    properties = schema.get("properties")
    if isinstance(properties, dict):
        required = schema.get("required") or ()
        for name in list(mended):
            if name not in properties:
                continue
            wanted = _resolve(properties[name], schema)
            if mended[name] is None and name not in required and not _accepts(wanted, None, schema):
                del mended[name]
                notes.append(f"{name}: null left out")
                continue
            mended[name] = _mend(mended[name], wanted, schema, name, notes)
    problem = _violation(mended, schema)
    return problem if problem else Repaired(arguments=mended, notes=tuple(notes))


def unknown_tool(name: str, known: Collection[str]) -> str:
    """The sentence for a call of a tool that does not exist, with the names that it may have meant."""
    if not known:
        return f"There is no tool {name!r}: no tools are available."
    import difflib

    near = difflib.get_close_matches(name, known, n=3, cutoff=0.5)
    near += [k for k in sorted(known) if name and k not in near and (k.endswith(f"__{name}") or name.endswith(f"__{k}"))]
    if near:
        return f"There is no tool {name!r}. Did you mean {' or '.join(near[:4])}?"
    listed = sorted(known)
    more = f" and {len(listed) - 20} more" if len(listed) > 20 else ""
    return f"There is no tool {name!r}. The tools are: {', '.join(listed[:20])}{more}."


def _rename(arguments: dict[str, Any], schema: Mapping[str, Any], notes: list[str]) -> dict[str, Any]:
    properties = schema.get("properties")
    if not isinstance(properties, dict):
        return arguments
    for name in properties:
        if name in arguments:
            continue
        known_as = {_squashed(name), *map(_squashed, ALIASES.get(name, ()))}
        spellings = [given for given in arguments if given not in properties and _squashed(given) in known_as]
        if spellings:
            arguments[name] = arguments.pop(spellings[0])
            notes.append(f"{spellings[0]} taken as {name}")
    return arguments


def _squashed(name: str) -> str:
    """One form for all spellings of a name: oldString, old-string and old_string."""
    return name.replace("_", "").replace("-", "").lower()


def _resolve(schema: Any, root: Mapping[str, Any]) -> Mapping[str, Any]:
    """The schema behind a chain of local `$ref`s; {} (anything) where there is none."""
    for _ in range(8):
        if not isinstance(schema, dict):
            return {}
        reference = schema.get("$ref")
        if not isinstance(reference, str):
            return schema
        if not reference.startswith("#/"):
            return {}
        schema = functools.reduce(
            lambda node, key: node.get(key.replace("~1", "/").replace("~0", "~")) if isinstance(node, dict) else None,
            reference[2:].split("/"),
            root,
        )
    return {}


def _variants(schema: Mapping[str, Any], root: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The alternatives of `anyOf`/`oneOf` and of a list of types, else the schema itself; bounded, because a schema may
    refer to itself."""
    waiting = [schema]
    for _ in range(_MAX_VARIANTS):
        if not waiting:
            return
        one = waiting.pop(0)
        options = next((one[key] for key in ("anyOf", "oneOf") if isinstance(one.get(key), list)), None)
        if options is not None:
            waiting += [_resolve(option, root) for option in options[:_MAX_VARIANTS]]
        elif isinstance(one.get("type"), list):
            yield from ({**one, "type": kind} for kind in one["type"])
        else:
            yield one


def _accepts(schema: Mapping[str, Any], value: Any, root: Mapping[str, Any]) -> bool:
    return any(_is(value, variant.get("type")) for variant in _variants(schema, root))


def _is(value: Any, kind: Any) -> bool:
    match kind:
        case "string":
            return isinstance(value, str)
        case "boolean":
            return isinstance(value, bool)
        case "integer":
            return isinstance(value, int) and not isinstance(value, bool)
        case "number":
            return isinstance(value, int | float) and not isinstance(value, bool)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "null":
            return value is None
    return True


def _mend(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str, notes: list[str]) -> Any:
    if _accepts(schema, value, root):
        return _mend_inside(value, schema, root, where, notes)
    readings = [
        reading for variant in _variants(schema, root) if (reading := _reading(value, variant, root)) is not _NO_READING
    ]
    if len(readings) != 1:
        return value
    notes.append(f"{where}: {_brief(value)} taken as {_brief(readings[0])}")
    return _mend_inside(readings[0], schema, root, where, notes)


def _mend_inside(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], where: str, notes: list[str]) -> Any:
    """Mend the members of a list or object, where only one shape is possible."""
    variants = [variant for variant in _variants(schema, root) if _is(value, variant.get("type"))]
    if len(variants) != 1:
        return value
    only = variants[0]
    if isinstance(value, list) and isinstance(only.get("items"), dict):
        wanted = _resolve(only["items"], root)
        return [_mend(item, wanted, root, f"{where}[{n}]", notes) for n, item in enumerate(value)]
    properties = only.get("properties")
    if isinstance(value, dict) and isinstance(properties, dict):
        return {
            key: _mend(item, _resolve(properties[key], root), root, f"{where}.{key}", notes) if key in properties else item
            for key, item in value.items()
        }
    return value


_NO_READING = object()


def _reading(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    """The one value of the schema's type that `value` stands for, else `_NO_READING`."""
    kind = schema.get("type")
    if isinstance(value, str):
        return _read_text(value.strip(), kind, value, schema, root)
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "string" and isinstance(value, int | float) and not isinstance(value, bool):
        return json.dumps(value)
    if kind == "array" and value is not None:
        return _list_of_one(value, schema, root)
    return _NO_READING


def _read_text(text: str, kind: Any, raw: str, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    if kind == "boolean":
        return {"true": True, "false": False}.get(text.lower(), _NO_READING)
    if kind in ("integer", "number", "object"):
        parsed = _json(text)
        if kind == "integer" and isinstance(parsed, float) and parsed.is_integer():
            parsed = int(parsed)
        return parsed if parsed is not _NO_READING and _is(parsed, kind) else _NO_READING
    if kind == "array":
        parsed = _json(text)
        if isinstance(parsed, list):
            return parsed
        return _NO_READING if text.startswith(("[", "{")) else _list_of_one(raw, schema, root)
    return _NO_READING


def _list_of_one(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any]) -> Any:
    items = _resolve(schema.get("items", {}), root)
    if _accepts(items, value, root):
        return [value]
    return _NO_READING


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_READING


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=repr)
    return text if len(text) <= 40 else f"{text[:37]}…"


def _violation(arguments: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """One sentence on the first things that are wrong, "" where nothing is."""
    if _fits_plainly(arguments, schema):
        return ""
    compiled = _validator(json.dumps(schema, sort_keys=True))
    if compiled is None:
        return ""
    validator, steps = compiled
    steps.count = 0
    from referencing.exceptions import Unresolvable

    try:
        errors = sorted(validator.iter_errors(arguments), key=lambda error: [str(part) for part in error.absolute_path])
    except (Unresolvable, RecursionError, _TooManyReferences):
        return ""
    if not errors:
        return ""
    complaints = [_complaint(error) for error in errors[:_SHOWN]]
    more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
    return f"The arguments do not fit: {'; '.join(dict.fromkeys(complaints))}{more}. Expected: {expected(schema)}."


_ABOUT = ("default", "description", "title")
_PLAIN = frozenset(("type", "properties", "required", "additionalProperties", "items", "minItems", "maxItems", "enum", *_ABOUT))


def _fits_plainly(value: Any, schema: Any) -> bool:
    """Whether a value fits can be seen at a glance, as in nearly every call of a tool of ours: the validator, which has the
    word on everything else, takes long to load."""
    if not isinstance(schema, dict) or not schema.keys() <= _PLAIN or not isinstance(kind := schema.get("type"), str):
        return False
    if kind not in _KINDS or not _is(value, kind):
        return False
    match value:
        case str():
            options = schema.get("enum", [value])
            return isinstance(options, list) and value in options
        case list():
            least, most = schema.get("minItems", 0), schema.get("maxItems", len(value))
            within = type(least) is type(most) is int and least <= len(value) <= most
            return within and "enum" not in schema and all(_fits_plainly(item, schema.get("items")) for item in value)
        case dict():
            known, required = schema.get("properties"), schema.get("required", [])
            if not isinstance(known, dict) or not isinstance(required, list) or "enum" in schema:
                return False
            complete = all(isinstance(name, str) and name in value for name in required)
            return complete and all(_fits_plainly(item, known.get(name)) for name, item in value.items())
    return "enum" not in schema


class _TooManyReferences(Exception):
    """A schema's references multiply: no honest one needs so many for one set of arguments."""


class _Steps:
    """How many references one validation has followed."""

    def __init__(self) -> None:
        self.count = 0

    def bounding(self, check: Any) -> Any:
        def follow(*args: Any) -> Any:
            self.count += 1
            if self.count > _MAX_REFERENCES:
                raise _TooManyReferences
            return check(*args)

        return follow


@functools.lru_cache(maxsize=256)
def _validator(schema: str) -> tuple[Any, _Steps] | None:
    """A compiled validator and its steps, to be set to 0 before each use; None where the schema is not valid itself.

    It is a stranger's schema and runs in our event loop: nothing is fetched, and what could run for ever is left to the
    server, regular expressions (which backtrack) and references that multiply."""
    jsonschema, referencing = imported(_packages)
    parsed = json.loads(schema)
    kind = jsonschema.validators.validator_for(parsed, default=jsonschema.Draft202012Validator)
    try:
        kind.check_schema(parsed)
    except (jsonschema.SchemaError, RecursionError):
        return None
    steps = _Steps()
    known = kind.VALIDATORS

    def unchecked(*_: Any) -> tuple[()]:
        return ()

    def closed(validator: Any, allowed: Any, instance: Any, within: Any) -> Any:
        if "patternProperties" in within:
            return ()
        return known["additionalProperties"](validator, allowed, instance, within)

    checks = {"pattern": unchecked, "patternProperties": unchecked, "additionalProperties": closed}
    checks |= {name: steps.bounding(known[name]) for name in ("$ref", "$dynamicRef") if name in known}
    return jsonschema.validators.extend(kind, checks)(parsed, registry=referencing.Registry()), steps


def _packages() -> tuple[Any, Any]:
    import jsonschema.validators
    import referencing

    return jsonschema, referencing


def _complaint(error: Any) -> str:
    where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path).lstrip(".")
    wanted, value = error.validator_value, _brief(error.instance)
    match error.validator:
        case "required":
            missing = [name for name in wanted if name not in error.instance]
            return f"{f'{where}: ' if where else ''}{_names(missing)} {'is' if len(missing) == 1 else 'are'} missing"
        case "additionalProperties":
            extra = [name for name in error.instance if name not in error.schema.get("properties", {})]
            return f"{f'{where}: ' if where else ''}{_names(extra)} {'is' if len(extra) == 1 else 'are'} not known"
        case "type":
            kinds = " or ".join(wanted) if isinstance(wanted, list) else wanted
            return f"{where or 'the whole'} is {value}, it must be of type {kinds}"
        case "enum":
            return f"{where} is {value}, it must be one of {', '.join(_brief(option) for option in wanted[:20])}"
    return f"{where or 'the whole'}: {error.message[:200]}"


def _names(names: list[str]) -> str:
    return ", ".join(repr(name) for name in names)


def expected(schema: Mapping[str, Any]) -> str:
    """The arguments of a schema on one line: `path: string, limit?: integer`."""
    properties = schema.get("properties")
    if not isinstance(properties, dict) or not properties:
        return "no arguments"
    required = schema.get("required") or ()
    parts = []
    for name, wanted in itertools.islice(properties.items(), 40):
        kinds = [str(variant.get("type", "any")) for variant in _variants(_resolve(wanted, schema), schema)]
        parts.append(f"{name}{'' if name in required else '?'}: {'|'.join(dict.fromkeys(kinds))}")
    return ", ".join(parts)
