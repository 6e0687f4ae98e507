"""Goose's templates: minijinja, undefined names refused, over the text of the whole file (its `template_recipe.rs`).

Rendering has no access to anything but the values: no attribute of a Python object can be reached, files come only from
the recipe's own folder, and the work and the output are bounded.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from goose_py.recipes.errors import RecipeError
from goose_py.recipes.yaml_escaping import RESERVED, SOFT, Seal

if TYPE_CHECKING:
    from minijinja import Environment

MAX_OUTPUT = 8 << 20
FUEL = 2_000_000
"""Steps of the engine before it gives up; a recipe of a thousand lines needs some ten thousand."""

MAX_TEMPLATE_BYTES = 1 << 20

_VARIABLE = re.compile(r"\{\{(.*?)\}\}")
_NAME = re.compile(r"\s*[a-zA-Z_][a-zA-Z0-9_]*\s*\Z")
_INHERITS = re.compile(r"\{%[-+]?\s*(extends|include|import|from)\b")
_TOP_LEVEL = re.compile(r"^\{%", re.MULTILINE)
_RAW = re.compile(r"\{%[-+]?\s*raw\s*[-+]?%\}.*?\{%[-+]?\s*endraw\s*[-+]?%\}|\{#.*?#\}", re.DOTALL)
GLOBALS = frozenset({"range", "dict", "namespace", "cycler", "joiner"})
"""Names that the engine itself defines."""

_PRODUCES_SAFE = ("safe", "e", "escape", "tojson", "replace", "format", "join")
"""Filters whose result minijinja can take for text that needs no escaping. We keep that mark for captured blocks alone."""


def is_structural(text: str) -> bool:
    """Whether the text is YAML only once its templates are resolved: it inherits, includes, or has a statement at the
    margin. (Goose refuses the last.)"""
    return bool(_INHERITS.search(text) or _TOP_LEVEL.search(text))


def protect(text: str) -> str:
    """`{{ words that are no expression }}` stay as they are, as in Goose: each is wrapped in `raw`."""
    env = _environment()
    kept = [match.span() for match in _RAW.finditer(text)]

    def wrap(match: re.Match[str]) -> str:
        inside = match[1]
        if _NAME.match(inside) or inside.strip()[:1] in ("'", '"') or any(a <= match.start() < b for a, b in kept):
            return match[0]
        return match[0] if _compiles(env, match[0]) else "{% raw %}" + match[0] + "{% endraw %}"

    return _VARIABLE.sub(wrap, text)


class Templates:
    """The text of a recipe and the templates beside it. `folder` None: there are none beside it."""

    def __init__(self, text: str, where: str, folder: Path | None) -> None:
        if RESERVED.search(text):
            raise RecipeError(f"{where}: uses characters of the private plane 15, which a recipe may not hold.")
        self._text = protect(text)
        self._where = where
        self._folder = folder
        self.loaded: dict[str, str] = {}

    def variables(self) -> dict[str, int]:
        """Every name that has to be given, with the line of its first use. Names in the templates that were loaded so far
        count too. Raises `RecipeError` for a template that does not compile."""
        found: dict[str, int] = {}
        from minijinja import TemplateError

        for name, text in ((self._where, self._text), *self.loaded.items()):
            try:
                names = _environment().undeclared_variables_in_str(text)
            except TemplateError as error:
                raise self._explain(error, name) from None
            for variable in sorted(names):
                found.setdefault(variable, _line_of_use(text, variable) if name == self._where else 1)
        return found

    def draft(self) -> str:
        """The text with every value empty: what a structural recipe is before it has values (as Goose's validation)."""
        env = _environment(undefined="chainable")
        env.loader = self._load
        names: dict[str, str] = dict.fromkeys(self.variables().keys() - GLOBALS, "")
        env.add_filter("indent", lambda value, *_, **__: value or "")
        return self._run(env, names)

    def check(self) -> None:
        """Raise `RecipeError` for a filter, test or function that does not exist. Other faults may be those of the empty
        values that it is tried with."""
        from minijinja import TemplateError

        try:
            self.draft()
        except RecipeError as error:
            cause = error.__cause__
            if isinstance(cause, TemplateError) and cause.kind in ("UnknownFilter", "UnknownTest", "UnknownFunction"):
                raise

    def render(self, values: Mapping[str, Any], seal: Seal) -> str:
        """The text with sealed values. Raises `RecipeError` where a name is undefined or a limit is passed."""
        env = _environment(autoescape=True)
        env.loader = self._load
        env.finalizer = _finalizer(seal)
        env.add_filter("indent", _indent)
        plain = _environment()
        for name in _PRODUCES_SAFE:
            env.add_filter(name, _as_text(plain, name))
        try:
            return self._run(env, {name: _sealable(value, seal) for name, value in values.items()})
        except ValueError as error:
            raise RecipeError(f"{self._where}: {error}.") from None

    def _run(self, env: "Environment", values: Mapping[str, Any]) -> str:
        from minijinja import TemplateError

        env.fuel = FUEL
        try:
            output = env.render_str(self._text, self._where, **values)
        except TemplateError as error:
            raise self._explain(error, self._where) from error
        if len(output) > MAX_OUTPUT:
            raise RecipeError(f"{self._where}: the templates make more than {MAX_OUTPUT >> 20} MiB of text.")
        return output

    def _load(self, name: str) -> str | None:
        """A template beside the recipe. Absolute names, `..` and links that lead out are refused."""
        if self._folder is None:
            raise RecipeError(f"{self._where}: has no folder to take the template {name!r} from.")
        root = self._folder.resolve()
        path = (root / name).resolve()
        if Path(name).is_absolute() or ".." in Path(name).parts or not path.is_relative_to(root):
            raise RecipeError(f"{self._where}: the template {name!r} is outside the folder of the recipe.")
        try:
            data = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise RecipeError(f"{path}: cannot be read: {error.strerror}.") from None
        if len(data) > MAX_TEMPLATE_BYTES:
            raise RecipeError(f"{path}: larger than {MAX_TEMPLATE_BYTES >> 20} MiB.")
        text = data.decode("utf-8", "replace")
        if RESERVED.search(text):
            raise RecipeError(f"{path}: uses characters of the private plane 15, which a recipe may not hold.")
        self.loaded[name] = text
        return protect(text)

    def _explain(self, error: Exception, name: str) -> RecipeError:
        line = getattr(error, "line", None)
        message = getattr(error, "message", None) or str(error).splitlines()[0]
        detail = getattr(error, "detail", None)
        return RecipeError(f"{name}:{line or 1}: the template does not work: {detail or message}.")


def _environment(*, undefined: str = "strict", autoescape: bool = False) -> "Environment":
    from minijinja import Environment

    return Environment(undefined_behavior=undefined, auto_escape_callback=lambda _: autoescape)


def _compiles(env: "Environment", text: str) -> bool:
    from minijinja import TemplateError

    try:
        env.undeclared_variables_in_str(text)
    except TemplateError:
        return False
    return True


def _line_of_use(text: str, variable: str) -> int:
    found = re.search(r"\{[{%][^}]*?\b" + re.escape(variable) + r"\b", text)
    return text.count("\n", 0, found.end()) + 1 if found else 1


def _finalizer(seal: Seal) -> Any:
    from minijinja import Markup

    def finalize(value: Any) -> Any:
        """A captured block is text of the recipe with sealed values in it, and stays as it is."""
        return value if isinstance(value, Markup) else Markup(seal.apply(show(value)))

    return finalize


def _as_text(plain: "Environment", name: str) -> Any:
    from minijinja import Markup

    def apply(value: Any, *arguments: Any, **options: Any) -> str:
        given = {f"a{index}": _unmark(argument, Markup) for index, argument in enumerate((value, *arguments))}
        given |= {f"o_{key}": _unmark(option, Markup) for key, option in options.items()}
        listed = [f"a{index + 1}" for index in range(len(arguments))] + [f"{key}=o_{key}" for key in options]
        return str(plain.eval_expr(f"a0|{name}({', '.join(listed)})", **given))

    return apply


def _unmark(value: Any, markup: type) -> Any:
    if isinstance(value, list | tuple):
        return [_unmark(item, markup) for item in value]
    return str(value) if isinstance(value, markup) else value


def _indent(value: Any, width: int = 4, first: bool = False, blank: bool = False) -> str:
    """minijinja's `indent`, with columns that can be told from the value's own spaces."""
    text = show(value)
    text = text[:-1] if text.endswith("\n") else text
    margin = SOFT * max(0, int(width))
    lines = text.split("\n")
    return "\n".join(
        margin + line if (first if index == 0 else True) and (line or blank) else line for index, line in enumerate(lines)
    )


def _sealable(value: Any, seal: Seal) -> Any:
    if isinstance(value, str):
        return seal.value(value)
    if isinstance(value, Mapping):
        return {_sealable(key, seal): _sealable(item, seal) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_sealable(item, seal) for item in value]
    return value


def show(value: Any) -> str:
    """A value as minijinja prints it in Goose: `true`, `none`, lists and tables in brackets."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None:
        return "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_quoted(key)}: {_quoted(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(_quoted(item) for item in value) + "]"
    return str(value)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, str) else show(value)
